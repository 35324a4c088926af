//! Classes where patterns have wildcards further in: every string followed through all patterns at once.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::atoms::{Atoms, lower};
use super::{Found, Kind, fillers};
use crate::compare::Incomparable;
use hosts_access::string_matches;
use hosts_access::syntax::pattern::StringPattern;

/// All patterns with wildcards, in lower case.
pub(super) fn patterns(atoms: &Atoms<'_>) -> Vec<Vec<u8>> {
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
pub(super) fn way(patterns: &[Vec<u8>], string: &[u8]) -> Vec<bool> {
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
pub(super) fn automaton(
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
