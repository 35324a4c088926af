//! The classes of strings (daemons' names, host names, users) that a set of patterns can tell apart
//! (hosts_access(5), PATTERNS), each with a string in it.
//!
//! Exact for any set of patterns: exact strings are tried one by one; beginnings and endings are chains,
//! so that one string stands for all with the same longest ones; patterns with wildcards further in are
//! followed through the automaton of all of them together.

mod atoms;
mod automaton;
mod chains;

use std::collections::{BTreeSet, HashMap};

use self::atoms::{Atoms, lower};
use self::automaton::{automaton, patterns, way};
use self::chains::{Groups, chains, head, tail};
use super::Incomparable;
use super::words::{Ends, Strings, Wildcards, Words};
use hosts_access::request::{PARANOID, UNKNOWN};
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

#[cfg(test)]
mod tests {
    use super::*;
    use hosts_access::string_matches;

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
