//! The classes of strings (daemons' names, host names, users) that a set of patterns can tell apart
//! (hosts_access(5), PATTERNS), each with a string in it.
//!
//! Exact for any set of patterns: exact strings are tried one by one; beginnings and endings are chains,
//! so that one string stands for all with the same longest ones; patterns with wildcards further in are
//! followed through the automaton of all of them together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::Incomparable;
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

/// Which strings, in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strings {
    /// This string; `unknown` and `paranoid` are such strings.
    Exactly(Vec<u8>),
    /// Strings that these patterns match and no longer or more exact one does.
    Matching(Vec<Vec<u8>>),
    /// Strings with a dot that nothing else names.
    OtherDotted,
    /// Strings without a dot that nothing else names.
    OtherLocal,
    /// Strings that nothing else names.
    Other,
}

/// Strings that no atom tells apart.
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// The tags of the atoms that hold, sorted.
    pub(super) tags: Vec<u32>,
    /// One of the strings.
    pub(super) witness: Vec<u8>,
    /// All of them, in words.
    pub(super) strings: Vec<Strings>,
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
pub(super) fn classes(atoms: &[(Atom<'_>, u32)], kind: Kind) -> Result<Vec<Class>, Incomparable> {
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
    // Neither is ever a daemon's name, and only a host's name is ever `paranoid`.
    if kind != Kind::Daemons {
        exact.insert(UNKNOWN.to_vec());
    }
    if kind == Kind::Hosts {
        exact.insert(PARANOID.to_vec());
    }
    // The first string of a class stands for it.
    let unknown = exact.get(UNKNOWN);
    for string in unknown.into_iter().chain(exact.iter().filter(|s| *s != UNKNOWN)) {
        let strings = Strings::Exactly(string.clone());
        found.add(atoms.tags(string), string.clone(), strings);
    }
    let has_automaton = atoms
        .others
        .iter()
        .any(|(pattern, _)| matches!(pattern, StringPattern::Wildcard(_)));
    if has_automaton {
        automaton(&atoms, &exact, kind, &mut found)?;
    } else {
        chains(&atoms, &exact, &mut found);
        // A suffix pattern wants something before it, which other patterns for the same ending do not.
        for text in atoms.tails.keys().filter(|_| kind != Kind::Hosts) {
            let tags = atoms.tags(text);
            if !text.is_empty() && !found.classes.contains_key(&tags) {
                found.add(tags, text.clone(), Strings::Exactly(text.clone()));
            }
        }
    }
    let mut classes: Vec<Class> = found.classes.into_values().collect();
    for class in &mut classes {
        class.strings.sort();
    }
    classes.sort_by(|a, b| a.strings.cmp(&b.strings));
    Ok(classes)
}

struct Found<'a, 't> {
    classes: HashMap<Vec<u32>, Class>,
    atoms: &'a Atoms<'t>,
}

impl Found<'_, '_> {
    fn add(&mut self, tags: Vec<u32>, witness: Vec<u8>, strings: Strings) {
        debug_assert_eq!(self.atoms.tags(&witness), tags);
        let class = self.classes.entry(tags).or_insert_with_key(|tags| Class {
            tags: tags.clone(),
            witness,
            strings: Vec::new(),
        });
        class.strings.push(strings);
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
        _ => b"unknown",
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

/// A longest beginning or ending: the tags of it and of all that it holds, one text, and in words.
struct Chain {
    tags: Vec<u32>,
    text: Vec<u8>,
    dotted: bool,
    texts: Vec<Vec<u8>>,
}

/// How many combinations of a beginning and an ending are told one by one.
const MOST_NAMED: usize = 256;

fn grouped(chains: impl Iterator<Item = (Vec<u8>, Vec<u32>, Vec<u8>)>) -> Vec<Chain> {
    let mut groups: BTreeMap<(Vec<u32>, bool), Chain> = BTreeMap::new();
    for (text, mut tags, shown) in chains {
        tags.sort_unstable();
        tags.dedup();
        let dotted = text.contains(&b'.');
        let chain = groups
            .entry((tags, dotted))
            .or_insert_with_key(|(tags, _)| Chain {
                tags: tags.clone(),
                text,
                dotted,
                texts: Vec::new(),
            });
        chain.texts.push(shown);
    }
    groups.into_values().collect()
}

/// All classes of strings that are not exactly named, where patterns leave only one end free. A string
/// with a longest beginning and a longest ending among the patterns agrees with any other that has the
/// same two, but for having a dot.
fn chains(atoms: &Atoms<'_>, exact: &BTreeSet<Vec<u8>>, found: &mut Found<'_, '_>) {
    let none = (Vec::new(), Vec::new(), Vec::new());
    let mut heads = grouped(atoms.heads.keys().map(|text| {
        let tags = (0..=text.len()).filter_map(|end| atoms.heads.get(&text[..end]));
        (text.clone(), tags.flatten().copied().collect(), show_head(text))
    }));
    heads.insert(0, grouped(std::iter::once(none.clone())).remove(0));
    let mut tails = grouped(atoms.tails.keys().map(|text| {
        let tags = (0..=text.len()).filter_map(|start| atoms.tails.get(&text[start..]));
        let tags = tags.flatten().map(|(tag, _)| *tag).collect();
        (text.clone(), tags, show_tail(text))
    }));
    tails.insert(0, grouped(std::iter::once(none)).remove(0));
    let fillers = fillers(atoms, exact);
    let tells_dots = !atoms.local.is_empty();
    for head in &heads {
        for tail in &tails {
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
                    for strings in in_words(head, tail, tells_dots.then_some(dotted)) {
                        found.add(expected.clone(), witness.clone(), strings);
                    }
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
        [.., b'.'] => text.to_vec(),
        _ => [text, b"*"].concat(),
    }
}

fn show_tail(text: &[u8]) -> Vec<u8> {
    match text {
        [b'.', ..] => text.to_vec(),
        _ => [b"*", text].concat(),
    }
}

fn in_words(head: &Chain, tail: &Chain, dotted: Option<bool>) -> Vec<Strings> {
    match (head.text.is_empty(), tail.text.is_empty()) {
        (true, true) => vec![match dotted {
            None => Strings::Other,
            Some(true) => Strings::OtherDotted,
            Some(false) => Strings::OtherLocal,
        }],
        (true, false) => tail
            .texts
            .iter()
            .map(|t| Strings::Matching(vec![t.clone()]))
            .collect(),
        (false, true) => head
            .texts
            .iter()
            .map(|h| Strings::Matching(vec![h.clone()]))
            .collect(),
        (false, false) => {
            let pairs = head
                .texts
                .iter()
                .flat_map(|h| tail.texts.iter().map(move |t| (h, t)));
            pairs
                .take(MOST_NAMED)
                .map(|(h, t)| Strings::Matching(vec![h.clone(), t.clone()]))
                .collect()
        }
    }
}

/// How much work following wildcards may be.
const MOST_WORK: usize = 200_000_000;

/// All classes of strings that are not exactly named, by following every string through all patterns at
/// once: the states of the automaton are the sets of places in the patterns that a string can have
/// reached.
fn automaton(
    atoms: &Atoms<'_>,
    exact: &BTreeSet<Vec<u8>>,
    kind: Kind,
    found: &mut Found<'_, '_>,
) -> Result<(), Incomparable> {
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
    for pattern in &patterns {
        let place = text.len() as u32;
        text.extend_from_slice(pattern);
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
                let tags = atoms.tags(&longer);
                if !found.classes.contains_key(&tags) || state.2 {
                    let matching: Vec<Vec<u8>> = patterns
                        .iter()
                        .filter(|p| string_matches(StringPattern::Wildcard(p), &longer))
                        .map(|p| {
                            p.strip_prefix(b"?*.")
                                .map_or_else(|| p.clone(), |t| [b".", t].concat())
                        })
                        .take(MOST_NAMED)
                        .collect();
                    let strings = match (matching.is_empty(), atoms.local.is_empty(), state.1) {
                        (false, ..) => Strings::Matching(matching),
                        (true, true, _) => Strings::Other,
                        (true, false, true) => Strings::OtherDotted,
                        (true, false, false) => Strings::OtherLocal,
                    };
                    let is_told = found
                        .classes
                        .get(&tags)
                        .is_some_and(|c| c.strings.contains(&strings));
                    if !is_told {
                        found.add(tags, longer.clone(), strings);
                    }
                }
            }
            queue.push_back((state, longer));
        }
    }
    Ok(())
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

    fn tags(patterns: &[&str], kind: Kind) -> BTreeSet<Vec<u32>> {
        let atoms: Vec<(Atom<'_>, u32)> = patterns
            .iter()
            .enumerate()
            .map(|(at, text)| match *text {
                "LOCAL" => (Atom::Local, at as u32),
                text => (Atom::Matches(StringPattern::parse(text.as_bytes())), at as u32),
            })
            .collect();
        let classes = classes(&atoms, kind).unwrap();
        for class in &classes {
            let truth: Vec<u32> = Atoms::new(&atoms, kind).tags(&class.witness);
            assert_eq!(truth, class.tags);
        }
        classes.into_iter().map(|class| class.tags).collect()
    }

    /// Every string of up to seven letters of a small alphabet.
    fn by_force(patterns: &[&str], kind: Kind) -> BTreeSet<Vec<u32>> {
        let letters = b"ab.x";
        let mut strings: Vec<Vec<u8>> = vec![vec![]];
        let mut from = 0;
        for _ in 0..7 {
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
        strings.extend([&b"unknown"[..], b"xknown", b"paranoid"].map(<[u8]>::to_vec));
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

    #[test]
    fn classes_are_those_found_by_force() {
        let sets: [&[&str]; 13] = [
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
        ];
        for set in sets {
            for kind in [Kind::Hosts, Kind::Users] {
                assert_eq!(tags(set, kind), by_force(set, kind), "{set:?}");
            }
        }
    }
}
