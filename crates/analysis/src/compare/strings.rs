//! The classes of strings (daemons' names, host names, users) that a set of patterns can tell apart
//! (hosts_access(5), PATTERNS), each with a string in it.
//!
//! Exact for any set of patterns: exact strings are tried one by one; beginnings and endings are chains,
//! so that one string stands for all with the same longest ones; patterns with wildcards further in are
//! followed through the automaton of all of them together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::Incomparable;
use super::words::{Ends, Grouped, Strings, Texts, Wildcards, Words};
use hosts_access::request::{PARANOID, UNKNOWN};
use hosts_access::string_matches;
use hosts_access::syntax::pattern::StringPattern;

/// What is asked of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Atom<'t> {
    /// Does this pattern match it?
    Matches(StringPattern<'t>),
    /// Is it a known host name?
    Known,
    /// Is it a known host name without a dot?
    Local,
}

/// Strings that no atom tells apart.
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// The tags of the atoms that hold, sorted.
    pub(super) tags: Vec<u32>,
    /// One of the strings.
    pub(super) witness: Vec<u8>,
    /// Those that are told by patterns.
    pub(super) free: Vec<Free>,
    /// Those that are named, and where they would be if they were not.
    pub(super) exact: Vec<(Vec<u8>, Free)>,
}

/// Strings that no pattern tells apart: by the number of their longest beginning and ending, or of the way in which
/// patterns match; and whether they have a dot.
pub(super) type Free = (u32, u32, bool);

/// All classes, and how to tell some of them.
#[derive(Debug)]
pub(super) struct Classes {
    all: Vec<Class>,
    words: Words,
}

impl std::ops::Deref for Classes {
    type Target = [Class];

    fn deref(&self) -> &[Class] {
        &self.all
    }
}

impl Classes {
    /// The strings of some classes, or nothing where these are all classes.
    pub(super) fn told(&self, which: &[u32]) -> Option<Vec<Strings>> {
        (which.len() < self.all.len()).then(|| self.words.tell(&self.all, which))
    }
}

/// What kind of strings to class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names of daemons.
    Daemons,
    /// Names of hosts.
    Hosts,
    /// Users.
    Users,
}

/// The atoms, by how they are looked up.
struct Atoms<'t> {
    exact: HashMap<Vec<u8>, Vec<u32>>,
    /// Beginnings, in lower case.
    heads: BTreeMap<Vec<u8>, Vec<u32>>,
    /// Endings, and of each whether it was written as a suffix pattern, which wants something before it.
    tails: HashMap<Vec<u8>, Vec<(u32, bool)>>,
    /// What has wildcards elsewhere.
    others: Vec<(StringPattern<'t>, u32)>,
    known: Vec<u32>,
    local: Vec<u32>,
    all: Vec<u32>,
    longest_tail: usize,
    longest_head: usize,
}

/// A pattern of which only the end or the beginning is free.
enum Shape<'t> {
    Exact(&'t [u8]),
    Head(&'t [u8]),
    Tail(&'t [u8], bool),
    All,
    Never,
    Other,
}

fn shape<'t>(pattern: StringPattern<'t>, kind: Kind) -> Shape<'t> {
    match pattern {
        StringPattern::Exact(text) => Shape::Exact(text),
        StringPattern::Prefix(text) => Shape::Head(text),
        StringPattern::Suffix(text) => Shape::Tail(text, true),
        StringPattern::All => Shape::All,
        // Host names are no addresses: one that reads as an address is `paranoid`.
        StringPattern::Bracketed(_) if kind == Kind::Hosts => Shape::Never,
        StringPattern::Wildcard(text) => {
            let is_literal = |text: &[u8]| !text.iter().any(|b| matches!(b, b'*' | b'?'));
            match text {
                b"*" => Shape::All,
                [head @ .., b'*'] if is_literal(head) => Shape::Head(head),
                [b'*', tail @ ..] if is_literal(tail) => Shape::Tail(tail, false),
                _ => Shape::Other,
            }
        }
        StringPattern::Known | StringPattern::Bracketed(_) => Shape::Other,
    }
}

impl<'t> Atoms<'t> {
    fn new(atoms: &[(Atom<'t>, u32)], kind: Kind) -> Self {
        let mut sorted = Atoms {
            exact: HashMap::new(),
            heads: BTreeMap::new(),
            tails: HashMap::new(),
            others: Vec::new(),
            known: Vec::new(),
            local: Vec::new(),
            all: Vec::new(),
            longest_tail: 0,
            longest_head: 0,
        };
        let mut seen = HashSet::new();
        for (atom, tag) in atoms {
            let pattern = match atom {
                Atom::Known => {
                    sorted.known.push(*tag);
                    continue;
                }
                Atom::Local => {
                    sorted.local.push(*tag);
                    continue;
                }
                Atom::Matches(pattern) => *pattern,
            };
            match shape(pattern, kind) {
                Shape::Exact(text) => sorted.exact.entry(lower(text)).or_default().push(*tag),
                Shape::Head([b'.', ..]) if kind == Kind::Hosts => {}
                Shape::Head(text) => sorted.heads.entry(lower(text)).or_default().push(*tag),
                Shape::Tail(text, longer) => {
                    sorted.tails.entry(lower(text)).or_default().push((*tag, longer));
                }
                Shape::All => sorted.all.push(*tag),
                Shape::Never => {}
                Shape::Other => {
                    if seen.insert((format!("{pattern:?}").to_ascii_lowercase(), *tag)) {
                        sorted.others.push((pattern, *tag));
                    }
                }
            }
        }
        sorted.longest_tail = sorted.tails.keys().map(Vec::len).max().unwrap_or(0);
        sorted.longest_head = sorted.heads.keys().map(Vec::len).max().unwrap_or(0);
        sorted
    }

    /// The tags of the atoms that hold for a string in lower case.
    fn tags(&self, string: &[u8]) -> Vec<u32> {
        let mut tags = self.all.clone();
        tags.extend(self.exact.get(string).into_iter().flatten());
        if !self.heads.is_empty() {
            for end in 0..=string.len().min(self.longest_head) {
                tags.extend(self.heads.get(&string[..end]).into_iter().flatten());
            }
        }
        if !self.tails.is_empty() {
            for start in string.len().saturating_sub(self.longest_tail)..=string.len() {
                let found = self.tails.get(&string[start..]).into_iter().flatten();
                tags.extend(
                    found
                        .filter(|(_, longer)| !longer || start > 0)
                        .map(|(tag, _)| tag),
                );
            }
        }
        let others = self.others.iter();
        tags.extend(
            others
                .filter(|(p, _)| string_matches(*p, string))
                .map(|(_, tag)| tag),
        );
        if string != UNKNOWN && string != PARANOID {
            tags.extend(&self.known);
            if !string.contains(&b'.') {
                tags.extend(&self.local);
            }
        }
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

/// The classes that the atoms tell apart. Strings are not empty, and names of hosts neither begin with a
/// dot nor read as addresses.
///
/// # Errors
/// Where wildcards combine in more ways than can be followed.
pub(super) fn classes(atoms: &[(Atom<'_>, u32)], kind: Kind) -> Result<Classes, Incomparable> {
    let atoms = Atoms::new(atoms, kind);
    let mut found = Found {
        classes: HashMap::new(),
        atoms: &atoms,
    };
    let mut exact: BTreeSet<Vec<u8>> = atoms.exact.keys().cloned().collect();
    for (pattern, _) in &atoms.others {
        if let StringPattern::Bracketed(inner) = pattern {
            exact.insert(lower(inner));
        }
    }
    // A program that gives no name is called `unknown`, which only this pattern tells from other daemons.
    let has_known = atoms
        .others
        .iter()
        .any(|(pattern, _)| *pattern == StringPattern::Known);
    if kind != Kind::Daemons || has_known {
        exact.insert(UNKNOWN.to_vec());
    }
    // Only a host's name is ever `paranoid`.
    if kind == Kind::Hosts {
        exact.insert(PARANOID.to_vec());
    }
    // A suffix pattern wants something before it, which other patterns for the same ending do not.
    if kind != Kind::Hosts {
        let tails = atoms
            .tails
            .iter()
            .filter(|(_, tags)| tags.iter().any(|(_, longer)| *longer));
        exact.extend(tails.map(|(text, _)| text.clone()));
    }
    let has_automaton = atoms
        .others
        .iter()
        .any(|(pattern, _)| matches!(pattern, StringPattern::Wildcard(_)));
    let patterns = if has_automaton {
        patterns(&atoms)
    } else {
        Vec::new()
    };
    let ends = Groups::new(&atoms, kind);
    // The first string of a class stands for it.
    let unknown = exact.get(UNKNOWN);
    let mut named: Vec<Vec<bool>> = Vec::new();
    for string in unknown.into_iter().chain(exact.iter().filter(|s| *s != UNKNOWN)) {
        let place = if has_automaton {
            named.push(way(&patterns, string));
            (named.len() as u32 - 1, 0)
        } else {
            (
                ends.heads.longest_of(string, head),
                ends.tails.longest_of(string, tail),
            )
        };
        let place = (place.0, place.1, string.contains(&b'.'));
        found
            .class(atoms.tags(string), string)
            .exact
            .push((string.clone(), place));
    }
    let tells_dots = !atoms.local.is_empty();
    let ways = if has_automaton {
        automaton(&atoms, &patterns, &exact, kind, &mut found)?
    } else {
        chains(&atoms, &ends, &exact, &mut found);
        Vec::new()
    };
    let mut all: Vec<Class> = found.classes.into_values().collect();
    for class in &mut all {
        class.free.sort_by_key(|free| order(free, &ways));
    }
    all.sort_by_cached_key(|class| {
        let free: Vec<_> = class.free.iter().map(|free| order(free, &ways)).collect();
        (class.exact.is_empty(), class.exact.clone(), free)
    });
    let words = if has_automaton {
        Words::Wildcards(Wildcards {
            patterns,
            ways,
            named,
            tells_dots,
        })
    } else {
        Words::Ends(Ends::new(ends.heads, ends.tails, tells_dots, &all))
    };
    Ok(Classes { all, words })
}

/// What nothing names comes last, and of that what has no dot.
fn order(free: &Free, ways: &[Vec<bool>]) -> (bool, u32, u32, bool) {
    let (first, second, dot) = *free;
    let is_other = match ways.get(first as usize) {
        Some(way) => !way.contains(&true),
        None => (first, second) == (0, 0),
    };
    (is_other, first, second, !dot)
}

/// So many letters of a string at its beginning.
fn head(text: &[u8], length: usize) -> &[u8] {
    &text[..length]
}

/// So many letters of a string at its end.
fn tail(text: &[u8], length: usize) -> &[u8] {
    &text[text.len() - length..]
}

struct Found<'a, 't> {
    classes: HashMap<Vec<u32>, Class>,
    atoms: &'a Atoms<'t>,
}

impl Found<'_, '_> {
    /// The class with these tags, for which a string stands if it is new.
    fn class(&mut self, tags: Vec<u32>, witness: &[u8]) -> &mut Class {
        debug_assert_eq!(self.atoms.tags(witness), tags);
        self.classes.entry(tags).or_insert_with_key(|tags| Class {
            tags: tags.clone(),
            witness: witness.to_vec(),
            free: Vec::new(),
            exact: Vec::new(),
        })
    }
}

/// Fillers to put where a pattern leaves strings free, from the prettiest to one that no pattern holds.
fn fillers(atoms: &Atoms<'_>, exact: &BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut fillers: Vec<Vec<u8>> = ["x", "other", "some-host", "q7zx"]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    let mut used = [false; 256];
    let others = atoms.others.iter().map(|(pattern, _)| match pattern {
        StringPattern::Wildcard(text) | StringPattern::Bracketed(text) => *text,
        StringPattern::Suffix(_)
        | StringPattern::All
        | StringPattern::Known
        | StringPattern::Prefix(_)
        | StringPattern::Exact(_) => b"unknown",
    });
    let texts = exact.iter().map(Vec::as_slice).chain(others);
    let texts = texts.chain(atoms.heads.keys().chain(atoms.tails.keys()).map(Vec::as_slice));
    for text in texts {
        text.iter()
            .for_each(|b| used[usize::from(b.to_ascii_lowercase())] = true);
    }
    let free = (b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain([b'_', b'-', b'~', b'+', b'%'])
        .chain(0x80..=0xff)
        .find(|b| !used[usize::from(*b)]);
    fillers.extend(free.map(|b| vec![b]));
    fillers
}

/// Longest beginnings or endings that no atom tells apart: the tags of them and of all that they hold, and one of
/// them.
struct Group {
    tags: Vec<u32>,
    text: Vec<u8>,
    dotted: bool,
}

/// The beginnings and endings of patterns, in groups.
struct Groups {
    head_groups: Vec<Group>,
    tail_groups: Vec<Group>,
    heads: Texts,
    tails: Texts,
}

impl Groups {
    fn new(atoms: &Atoms<'_>, kind: Kind) -> Self {
        let tells_dots = !atoms.local.is_empty();
        let heads = atoms.heads.keys().map(|text| {
            let tags = (0..=text.len()).filter_map(|end| atoms.heads.get(&text[..end]));
            (text.clone(), tags.flatten().copied().collect(), show_head(text))
        });
        let (head_groups, heads) = grouped(heads);
        let tails = atoms.tails.keys().map(|text| {
            let tags = (0..=text.len()).filter_map(|start| atoms.tails.get(&text[start..]));
            let tags = tags.flatten().map(|(tag, _)| *tag).collect();
            (text.clone(), tags, show_tail(text, kind))
        });
        let (tail_groups, tails) = grouped(tails);
        Groups {
            head_groups,
            tail_groups,
            heads: Texts::new(heads, tells_dots, head),
            tails: Texts::new(tails, tells_dots, tail),
        }
    }
}

/// Texts with their tags and as patterns, in groups; the first group is that of the empty text. Beside the groups,
/// each text with the number of its group, and as a pattern.
fn grouped(texts: impl Iterator<Item = (Vec<u8>, Vec<u32>, Vec<u8>)>) -> (Vec<Group>, Vec<Grouped>) {
    let mut groups = vec![Group {
        tags: Vec::new(),
        text: Vec::new(),
        dotted: false,
    }];
    let mut told = vec![(Vec::new(), 0, Vec::new())];
    let mut numbers: HashMap<(Vec<u32>, bool), u32> = HashMap::new();
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    for (text, mut tags, pattern) in texts {
        tags.sort_unstable();
        tags.dedup();
        let dotted = text.contains(&b'.');
        let next = groups.len() as u32;
        let number = *numbers.entry((tags, dotted)).or_insert_with_key(|(tags, _)| {
            groups.push(Group {
                tags: tags.clone(),
                text: text.clone(),
                dotted,
            });
            next
        });
        told.push((text, number, pattern));
    }
    (groups, told)
}

/// All classes of strings that are not exactly named, where patterns leave only one end free. A string
/// with a longest beginning and a longest ending among the patterns agrees with any other that has the
/// same two, but for having a dot.
fn chains(atoms: &Atoms<'_>, groups: &Groups, exact: &BTreeSet<Vec<u8>>, found: &mut Found<'_, '_>) {
    let fillers = fillers(atoms, exact);
    let tells_dots = !atoms.local.is_empty();
    for (head_at, head) in (0..).zip(&groups.head_groups) {
        for (tail_at, tail) in (0..).zip(&groups.tail_groups) {
            let mut expected = [&atoms.all[..], &atoms.known, &head.tags, &tail.tags].concat();
            let is_dotted = head.dotted || tail.dotted;
            for dotted in [false, true] {
                if (is_dotted && !dotted) || (!tells_dots && dotted && !is_dotted) {
                    continue;
                }
                if !dotted {
                    expected.extend(&atoms.local);
                }
                expected.extend(other_holds(atoms));
                expected.sort_unstable();
                expected.dedup();
                let witness = fillers.iter().find_map(|filler| {
                    let middle = if dotted && !is_dotted {
                        [&filler[..], b".", filler].concat()
                    } else {
                        filler.clone()
                    };
                    let string = [&head.text[..], &middle, &tail.text].concat();
                    (!exact.contains(&string) && atoms.tags(&string) == expected).then_some(string)
                });
                if let Some(witness) = witness {
                    let free = (head_at, tail_at, dotted && tells_dots);
                    found.class(expected.clone(), &witness).free.push(free);
                }
                if !dotted {
                    expected.retain(|tag| !atoms.local.contains(tag));
                }
            }
        }
    }
}

/// Tags of `KNOWN` as a string pattern, which holds for all but one string.
fn other_holds<'a>(atoms: &'a Atoms<'_>) -> impl Iterator<Item = &'a u32> {
    let known = atoms.others.iter().filter(|(p, _)| *p == StringPattern::Known);
    known.map(|(_, tag)| tag)
}

fn show_head(text: &[u8]) -> Vec<u8> {
    match text {
        [b'.', ..] => [text, b"*"].concat(),
        [.., b'.'] => text.to_vec(),
        _ => [text, b"*"].concat(),
    }
}

/// For names of hosts, which do not begin with a dot, a suffix is all that ends in it.
fn show_tail(text: &[u8], kind: Kind) -> Vec<u8> {
    match text {
        [b'.', .., last] if kind == Kind::Hosts && *last != b'.' => text.to_vec(),
        _ => [b"*", text].concat(),
    }
}

/// All patterns with wildcards, in lower case.
fn patterns(atoms: &Atoms<'_>) -> Vec<Vec<u8>> {
    let mut patterns: Vec<Vec<u8>> = Vec::new();
    patterns.extend(atoms.heads.keys().map(|text| [text, &b"*"[..]].concat()));
    for (text, tags) in &atoms.tails {
        if tags.iter().any(|(_, longer)| *longer) {
            patterns.push([b"?*", &text[..]].concat());
        }
        if tags.iter().any(|(_, longer)| !longer) {
            patterns.push([b"*", &text[..]].concat());
        }
    }
    for (pattern, _) in &atoms.others {
        if let StringPattern::Wildcard(text) = pattern {
            patterns.push(lower(text));
        }
    }
    patterns.sort();
    patterns.dedup();
    patterns
}

/// Which of the patterns match.
fn way(patterns: &[Vec<u8>], string: &[u8]) -> Vec<bool> {
    let patterns = patterns.iter();
    patterns
        .map(|pattern| string_matches(StringPattern::Wildcard(pattern), string))
        .collect()
}

/// How much work following wildcards may be.
const MOST_WORK: usize = 200_000_000;

/// All classes of strings that are not exactly named, by following every string through all patterns at
/// once: the states of the automaton are the sets of places in the patterns that a string can have
/// reached.
fn automaton(
    atoms: &Atoms<'_>,
    patterns: &[Vec<u8>],
    exact: &BTreeSet<Vec<u8>>,
    kind: Kind,
    found: &mut Found<'_, '_>,
) -> Result<Vec<Vec<bool>>, Incomparable> {
    let free = fillers(atoms, exact).pop().unwrap_or_default();
    let mut letters: Vec<u8> = free.clone();
    let mut rest: BTreeSet<u8> = patterns.concat().into_iter().collect();
    rest.insert(b'.');
    rest.remove(&b'*');
    rest.remove(&b'?');
    letters.extend(rest);

    // One text of all patterns, each ended by a 0, so that a place is a number.
    let mut text: Vec<u8> = Vec::new();
    let mut start: Vec<u32> = Vec::new();
    let mut ends: HashMap<u32, usize> = HashMap::new();
    for (number, pattern) in patterns.iter().enumerate() {
        let place = text.len() as u32;
        text.extend_from_slice(pattern);
        ends.insert(text.len() as u32, number);
        text.push(0);
        reach(&text, place, &mut start);
    }
    start.sort_unstable();
    start.dedup();
    // A state knows beside its places whether the string has a dot, and whether it holds the letter that
    // no exact string has.
    type State = (Vec<u32>, bool, bool);
    let mut seen: HashSet<State> = HashSet::new();
    let mut queue: VecDeque<(State, Vec<u8>)> = VecDeque::new();
    queue.push_back(((start, false, false), Vec::new()));
    // The ways in which patterns match, and those that have been told with and without a dot.
    let mut ways: Vec<Vec<bool>> = Vec::new();
    let mut numbers: HashMap<Vec<bool>, u32> = HashMap::new();
    let mut told: HashSet<(u32, bool)> = HashSet::new();
    let mut work = 0;
    while let Some(((places, dotted, is_free), string)) = queue.pop_front() {
        for &letter in &letters {
            if kind == Kind::Hosts && letter == b'.' && string.is_empty() {
                continue;
            }
            work += places.len() + 8;
            if work > MOST_WORK {
                return Err(Incomparable::TooManyWildcards);
            }
            let mut next = Vec::with_capacity(places.len() + 4);
            for &place in &places {
                match text[place as usize] {
                    b'*' => reach(&text, place, &mut next),
                    c if c != 0 && (c == b'?' || c == letter) => reach(&text, place + 1, &mut next),
                    _ => {}
                }
            }
            next.sort_unstable();
            next.dedup();
            let state = (next, dotted || letter == b'.', is_free || free == [letter]);
            if !seen.insert(state.clone()) {
                continue;
            }
            let mut longer = string.clone();
            longer.push(letter);
            if !exact.contains(&longer) {
                let mut way = vec![false; patterns.len()];
                let ended = state.0.iter().filter_map(|place| ends.get(place));
                ended.for_each(|number| way[*number] = true);
                let next = ways.len() as u32;
                let number = *numbers.entry(way).or_insert_with_key(|way| {
                    ways.push(way.clone());
                    next
                });
                if told.insert((number, state.1)) {
                    found
                        .class(atoms.tags(&longer), &longer)
                        .free
                        .push((number, 0, state.1));
                }
            }
            queue.push_back((state, longer));
        }
    }
    Ok(ways)
}

/// Adds a place and those reached from it without a letter.
fn reach(text: &[u8], place: u32, places: &mut Vec<u32>) {
    let mut place = place;
    loop {
        places.push(place);
        if text[place as usize] != b'*' {
            break;
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms<'t>(patterns: &[&'t str]) -> Vec<(Atom<'t>, u32)> {
        let atoms = (0..).zip(patterns).map(|(at, text)| match *text {
            "LOCAL" => (Atom::Local, at),
            text => (Atom::Matches(StringPattern::parse(text.as_bytes())), at),
        });
        atoms.collect()
    }

    fn tags(patterns: &[&str], kind: Kind) -> BTreeSet<Vec<u32>> {
        let atoms = atoms(patterns);
        let classes = classes(&atoms, kind).unwrap();
        for class in classes.iter() {
            let truth: Vec<u32> = Atoms::new(&atoms, kind).tags(&class.witness);
            assert_eq!(truth, class.tags);
        }
        classes.iter().map(|class| class.tags.clone()).collect()
    }

    /// Every string of up to so many letters of a small alphabet, and some others.
    fn all_strings(most: usize, kind: Kind) -> Vec<Vec<u8>> {
        let letters = b"ab.x";
        let mut strings: Vec<Vec<u8>> = vec![vec![]];
        let mut from = 0;
        for _ in 0..most {
            let to = strings.len();
            for at in from..to {
                for letter in letters {
                    let mut longer = strings[at].clone();
                    longer.push(*letter);
                    strings.push(longer);
                }
            }
            from = to;
        }
        strings.remove(0);
        strings.retain(|s| kind != Kind::Hosts || s[0] != b'.');
        strings.extend([&b"xknown"[..], b"q", b"q.q"].map(<[u8]>::to_vec));
        strings.push(b"unknown".to_vec());
        strings.push(b"paranoid".to_vec());
        strings
    }

    fn by_force(patterns: &[&str], kind: Kind) -> BTreeSet<Vec<u32>> {
        let strings = all_strings(7, kind);
        let is_known = |s: &[u8]| s != b"unknown" && s != b"paranoid";
        strings
            .iter()
            .map(|string| {
                let holds = |text: &str| match text {
                    "LOCAL" => is_known(string) && !string.contains(&b'.'),
                    text => string_matches(StringPattern::parse(text.as_bytes()), string),
                };
                (0..patterns.len() as u32)
                    .filter(|at| holds(patterns[*at as usize]))
                    .collect()
            })
            .collect()
    }

    const SETS: [&[&str]; 18] = [
        &[],
        &["a.b", ".b", ".a.b", "LOCAL"],
        &["a.", "a.b.", ".b", "a.b"],
        &["a*", "*b", "ab", "b"],
        &["*a*", "b*", ".a", "LOCAL"],
        &["a?b", "?a", "*.b"],
        &["a*b", "ab", "a.b", ".b"],
        &["*a*b*", "*b*a*"],
        &["??", "?", "a", "b"],
        &["KNOWN", "unknown", "*known", "paranoid"],
        &["a*.b", "LOCAL", "b?", "b.", "*", "ALL"],
        &["*b", "*ab", "a*", "ab*", "LOCAL", "ab.a"],
        &["*.b", ".b", ".*"],
        &["ab*", "LOCAL"],
        &["a*", "a.", ".b", "LOCAL", "ab.b"],
        &[".b", "*.b", "b", "a.b", "aa.b"],
        &["a*", "ab*", "aba*", "*a", "*ba", "ab", "abab"],
        &["a*b*", ".b", "LOCAL", "ab", "*x"],
    ];

    #[test]
    fn classes_are_those_found_by_force() {
        for set in SETS {
            for kind in [Kind::Hosts, Kind::Users, Kind::Daemons] {
                // Only a host can be local.
                if kind == Kind::Daemons && set.contains(&"LOCAL") {
                    continue;
                }
                assert_eq!(tags(set, kind), by_force(set, kind), "{set:?}");
            }
        }
    }

    /// What is told of some classes holds their strings and no others.
    #[test]
    fn what_is_told_is_what_was_found() {
        let mut random = 1u64;
        let mut chosen = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        };
        for (set, kind) in SETS
            .iter()
            .flat_map(|set| [Kind::Hosts, Kind::Users, Kind::Daemons].map(|kind| (set, kind)))
        {
            // Only a host can be local.
            if set.contains(&"LOCAL") && kind != Kind::Hosts {
                continue;
            }
            let atoms = atoms(set);
            let classes = classes(&atoms, kind).unwrap();
            let sorted = Atoms::new(&atoms, kind);
            let strings: Vec<(Vec<u8>, u32)> = all_strings(6, kind)
                .into_iter()
                .map(|string| {
                    let tags = sorted.tags(&string);
                    let at = classes.iter().position(|class| class.tags == tags);
                    (string, at.unwrap() as u32)
                })
                .collect();
            for _ in 0..24 {
                let bits = chosen();
                let which: Vec<u32> = (0..classes.len() as u32)
                    .filter(|at| bits >> (at % 31) & 1 == 1)
                    .collect();
                let told = classes.told(&which);
                for (string, class) in &strings {
                    let is_told = told
                        .as_ref()
                        .is_none_or(|told| told.iter().any(|one| one.holds(string)));
                    assert_eq!(
                        is_told,
                        which.contains(class),
                        "{set:?} {kind:?}: {} in {which:?}, told as {told:?}",
                        string.escape_ascii()
                    );
                }
            }
        }
    }
}
