//! Patterns on the text of an address, such as `.3` or `10.*.7`: which addresses have such a text.
//!
//! Where these are not too many ranges, they are listed. Otherwise the pattern stays a condition of its
//! own, and what is computed here, exactly, is which conditions can hold together, and for which
//! address of a range they do.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::family::{Family, zero_run};
use super::ranges::{Ranges, normal};

/// So many ranges may a pattern be.
const MOST_RANGES: usize = 1 << 12;

/// The states after each of the 256 octets, by the state before them and their place.
type Octets = HashMap<(u32, usize), Rc<Vec<u32>>>;

/// A pattern on the text of an address, or a mask that leaves out bits in front.
#[derive(Debug)]
pub(super) struct Spelling {
    /// The pattern as it is written.
    pub(super) text: Vec<u8>,
    test: Test,
    /// The states after each octet, by state and place.
    octets: RefCell<Octets>,
}

#[derive(Debug)]
enum Test {
    Text(Automaton),
    Mask { net: u32, mask: u32 },
}

/// A wildcard pattern, followed letter by letter. States are numbered as they are met.
#[derive(Debug)]
struct Automaton {
    pattern: Vec<u8>,
    states: RefCell<States>,
}

#[derive(Debug, Default)]
struct States {
    places: Vec<Vec<u16>>,
    numbers: HashMap<Vec<u16>, u32>,
    steps: HashMap<(u32, u8), u32>,
}

/// The state from which nothing is accepted.
const DEAD: u32 = 0;
/// The state at the start.
const START: u32 = 1;
/// Of a mask: an octet was not 255. Until then the state is that at the start.
const NO_BROADCAST: u32 = 2;

impl Automaton {
    /// `pattern` in lower case, `*` and `?` alone special.
    fn new(pattern: Vec<u8>) -> Self {
        let automaton = Automaton {
            pattern,
            states: RefCell::default(),
        };
        let mut start = Vec::new();
        automaton.reach(0, &mut start);
        let mut states = automaton.states.borrow_mut();
        states.number(Vec::new());
        states.number(start);
        drop(states);
        automaton
    }

    /// Adds a place and those reached from it without a letter.
    fn reach(&self, place: usize, places: &mut Vec<u16>) {
        let stars = self.pattern[place..].iter().take_while(|b| **b == b'*').count();
        // Patterns are as long as a line at most; one of 64 kB matches no address.
        places.extend((place..=place + stars).filter_map(|p| u16::try_from(p).ok()));
    }

    fn step(&self, state: u32, letter: u8) -> u32 {
        if let Some(next) = self.states.borrow().steps.get(&(state, letter)) {
            return *next;
        }
        let mut next = Vec::new();
        for &place in &self.states.borrow().places[state as usize] {
            let place = usize::from(place);
            match self.pattern.get(place) {
                Some(b'*') => self.reach(place, &mut next),
                Some(c) if *c == b'?' || *c == letter => self.reach(place + 1, &mut next),
                _ => {}
            }
        }
        next.sort_unstable();
        next.dedup();
        let mut states = self.states.borrow_mut();
        let number = states.number(next);
        states.steps.insert((state, letter), number);
        number
    }

    fn accepts(&self, state: u32) -> bool {
        let places = &self.states.borrow().places[state as usize];
        places
            .last()
            .is_some_and(|p| usize::from(*p) == self.pattern.len())
    }

    /// Does it accept whatever follows?
    fn accepts_all(&self, state: u32) -> bool {
        let places = &self.states.borrow().places[state as usize];
        self.pattern.last() == Some(&b'*')
            && places
                .last()
                .is_some_and(|p| usize::from(*p) == self.pattern.len())
    }
}

impl States {
    fn number(&mut self, places: Vec<u16>) -> u32 {
        let next = self.places.len() as u32;
        *self.numbers.entry(places).or_insert_with_key(|places| {
            self.places.push(places.clone());
            next
        })
    }
}

impl Spelling {
    /// A wildcard pattern.
    pub(super) fn wildcard(text: &[u8], pattern: &[u8]) -> Self {
        Spelling {
            text: text.to_vec(),
            test: Test::Text(Automaton::new(pattern.to_ascii_lowercase())),
            octets: RefCell::default(),
        }
    }

    /// An IPv4 network by its mask.
    pub(super) fn mask(text: &[u8], net: u32, mask: u32) -> Self {
        Spelling {
            text: text.to_vec(),
            test: Test::Mask { net, mask },
            octets: RefCell::default(),
        }
    }

    fn start(&self) -> u32 {
        START
    }

    /// The state after the octet at `place` of four and, but for the last, the dot after it. For a mask
    /// the state is whether it can still match.
    fn octet(&self, state: u32, place: usize, octet: u8) -> u32 {
        match &self.test {
            Test::Text(automaton) => {
                let mut state = state;
                let text = octet.to_string();
                for letter in text.bytes().chain((place < 3).then_some(b'.')) {
                    state = automaton.step(state, letter);
                }
                state
            }
            Test::Mask { net, mask } => {
                if state == DEAD {
                    return DEAD;
                }
                let (net, mask) = (net.to_be_bytes()[place], mask.to_be_bytes()[place]);
                let state = if octet == 255 { state } else { NO_BROADCAST };
                // The broadcast address does not read as an address where masks are compared.
                let is_broadcast = place == 3 && state == START;
                if octet & mask == net && !is_broadcast {
                    state
                } else {
                    DEAD
                }
            }
        }
    }

    /// The states after each octet.
    fn octets(&self, state: u32, place: usize) -> Rc<Vec<u32>> {
        if let Some(next) = self.octets.borrow().get(&(state, place)) {
            return Rc::clone(next);
        }
        let next: Rc<Vec<u32>> = Rc::new((0..=255).map(|octet| self.octet(state, place, octet)).collect());
        self.octets.borrow_mut().insert((state, place), Rc::clone(&next));
        next
    }

    fn letter(&self, state: u32, letter: u8) -> u32 {
        match &self.test {
            Test::Text(automaton) => automaton.step(state, letter),
            Test::Mask { .. } => DEAD,
        }
    }

    fn accepts(&self, state: u32) -> bool {
        match &self.test {
            Test::Text(automaton) => automaton.accepts(state),
            Test::Mask { .. } => state != DEAD,
        }
    }

    /// Does no IPv6 address match?
    pub(super) fn never_v6(&self) -> bool {
        match &self.test {
            Test::Text(automaton) => {
                let alone = Together::new(vec![self]);
                let mut search = Search::new(&alone, 0, u128::MAX, |accepted| accepted == [true]);
                // Only an embedded IPv4 address is written with dots.
                search.is_embedded_only = automaton.pattern.contains(&b'.');
                search.run(Family::V6).is_none()
            }
            Test::Mask { .. } => true,
        }
    }

    /// The IPv4 addresses that match, unless these are too many ranges.
    pub(super) fn v4_ranges(&self) -> Option<Ranges> {
        let mut counts = HashMap::new();
        if self.count(self.start(), 0, &mut counts) > MOST_RANGES {
            return None;
        }
        let mut found = Ranges::new();
        self.v4_below(self.start(), 0, 0, &mut counts, &mut found);
        Some(normal(found))
    }

    /// Do all addresses match that go on from here?
    fn is_all(&self, state: u32, place: usize) -> bool {
        match &self.test {
            Test::Text(automaton) => automaton.accepts_all(state) || (place == 4 && automaton.accepts(state)),
            Test::Mask { .. } if place == 4 => state != DEAD,
            Test::Mask { mask, .. } => {
                state == NO_BROADCAST && mask.checked_shl(8 * place as u32).unwrap_or(0) == 0
            }
        }
    }

    /// How many ranges the addresses that match make at most, going on from here.
    fn count(&self, state: u32, place: usize, counts: &mut HashMap<(u32, usize), usize>) -> usize {
        if self.is_all(state, place) {
            return 1;
        }
        if place == 4 || state == DEAD {
            return 0;
        }
        if let Some(count) = counts.get(&(state, place)) {
            return *count;
        }
        let next = self.octets(state, place);
        let count = next.iter().fold(0usize, |sum, next| {
            sum.saturating_add(self.count(*next, place + 1, counts))
        });
        counts.insert((state, place), count);
        count
    }

    fn v4_below(
        &self,
        state: u32,
        place: usize,
        above: u32,
        counts: &mut HashMap<(u32, usize), usize>,
        found: &mut Ranges,
    ) {
        if self.is_all(state, place) {
            let rest = 32 - 8 * place as u32;
            let low = u128::from(above) << rest;
            found.push((low, low + (1u128 << rest) - 1));
            return;
        }
        if self.count(state, place, counts) == 0 {
            return;
        }
        for (octet, next) in (0..).zip(self.octets(state, place).iter()) {
            self.v4_below(*next, place + 1, above << 8 | octet, counts, found);
        }
    }
}

/// Ways in which spellings can hold together, kept from one question to the next.
pub(crate) type Ways = HashMap<(Family, Vec<Vec<u8>>), Vec<Vec<bool>>>;

/// Some spellings looked at together.
pub(super) struct Together<'s> {
    spellings: Vec<&'s Spelling>,
}

impl<'s> Together<'s> {
    pub(super) fn new(spellings: Vec<&'s Spelling>) -> Self {
        Together { spellings }
    }

    fn start(&self) -> Vec<u32> {
        self.spellings.iter().map(|s| s.start()).collect()
    }

    fn accepts(&self, states: &[u32]) -> Vec<bool> {
        let pairs = self.spellings.iter().zip(states);
        pairs.map(|(spelling, state)| spelling.accepts(*state)).collect()
    }

    fn letter(&self, states: &[u32], letter: u8) -> Vec<u32> {
        let pairs = self.spellings.iter().zip(states);
        pairs
            .map(|(spelling, state)| spelling.letter(*state, letter))
            .collect()
    }

    /// All ways in which the spellings hold or do not for an address of the family; nothing where these
    /// are more than `most`.
    pub(super) fn ways(&self, family: Family, most: usize, kept: &mut Ways) -> Option<Vec<Vec<bool>>> {
        if self.spellings.is_empty() {
            return Some(vec![Vec::new()]);
        }
        let is_mask = |spelling: &&Spelling| matches!(spelling.test, Test::Mask { .. });
        if family == Family::V6 && self.spellings.iter().all(is_mask) {
            return Some(vec![vec![false; self.spellings.len()]]);
        }
        let key = (family, self.spellings.iter().map(|s| s.text.clone()).collect());
        if let Some(ways) = kept.get(&key) {
            return Some(ways.clone());
        }
        let mut ways = HashSet::new();
        let mut search = Search::new(self, 0, family.highest(), |accepted| {
            ways.insert(accepted.to_vec());
            ways.len() > most
        });
        search.run(family);
        if ways.len() > most {
            return None;
        }
        let mut ways: Vec<Vec<bool>> = ways.into_iter().collect();
        ways.sort_unstable();
        kept.insert(key, ways.clone());
        Some(ways)
    }

    /// An address of the range for which the spellings hold as wanted.
    pub(super) fn find(&self, family: Family, (low, high): (u128, u128), wanted: &[bool]) -> Option<u128> {
        if self.spellings.is_empty() {
            return Some(low);
        }
        Search::new(self, low, high, |accepted| accepted == wanted).run(family)
    }
}

/// Six zero words, which makes the rest an IPv4 address.
const EMBEDDED: u8 = 0xfc;

/// Which words of an IPv6 address are zero, the first one in the highest bit. Where it is written with an
/// IPv4 address in it, the last word counts as not zero.
fn layout_of(address: u128) -> u8 {
    let words = std::net::Ipv6Addr::from_bits(address).segments();
    let layout = words
        .iter()
        .fold(0, |layout, word| layout << 1 | u8::from(*word == 0));
    if layout == EMBEDDED | 1 { EMBEDDED } else { layout }
}

/// What tells one branch of a search from another: how far it is, whether it still runs along the lower
/// and the upper end of the range, whether a word's digits have begun, and the states.
type Branch = (usize, bool, bool, bool, Vec<u32>);

/// A search through the addresses from `low` to `high`, digit by digit; `is_wanted` ends it.
struct Search<'a, 's, W> {
    together: &'a Together<'s>,
    low: u128,
    high: u128,
    is_wanted: W,
    seen: HashSet<Branch>,
    layout: u8,
    is_embedded_only: bool,
}

impl<'a, 's, W: FnMut(&[bool]) -> bool> Search<'a, 's, W> {
    fn new(together: &'a Together<'s>, low: u128, high: u128, is_wanted: W) -> Self {
        Search {
            together,
            low,
            high,
            is_wanted,
            seen: HashSet::new(),
            layout: 0,
            is_embedded_only: false,
        }
    }

    fn run(&mut self, family: Family) -> Option<u128> {
        let start = self.together.start();
        match family {
            Family::V4 => self.octets(0, false, 0, true, true, start),
            // Which words are zero decides how the others are written.
            Family::V6 => (0..=255u8).find_map(|layout| {
                let is_other = self.low == self.high && layout_of(self.low) != layout;
                if is_other || (self.is_embedded_only && layout != EMBEDDED) {
                    return None;
                }
                self.layout = layout;
                self.seen.clear();
                self.words(start.clone())
            }),
            Family::Unknown => None,
        }
    }

    /// Follows four octets, `above` being those before this one; the first two are not both zero where the
    /// address is embedded in an IPv6 one.
    fn octets(
        &mut self,
        place: usize,
        is_embedded: bool,
        above: u128,
        along_low: bool,
        along_high: bool,
        states: Vec<u32>,
    ) -> Option<u128> {
        if place == 4 {
            let accepted = self.together.accepts(&states);
            return (self.is_wanted)(&accepted).then_some(above);
        }
        let is_bound = is_embedded && place == 1 && above == 0;
        if !self
            .seen
            .insert((place, along_low, along_high, is_bound, states.clone()))
        {
            return None;
        }
        let shift = 8 * (3 - place) as u32;
        let end = |of: u128| (of >> shift) & 0xff;
        let low = if along_low { end(self.low) } else { 0 };
        let high = if along_high { end(self.high) } else { 0xff };
        let pairs = self.together.spellings.iter().zip(&states);
        let next: Vec<Rc<Vec<u32>>> = pairs.map(|(s, state)| s.octets(*state, place)).collect();
        for octet in low.max(u128::from(is_bound))..=high {
            let found = self.octets(
                place + 1,
                is_embedded,
                above << 8 | octet,
                along_low && octet == low,
                along_high && octet == high,
                next.iter().map(|next| next[octet as usize]).collect(),
            );
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn is_zero(&self, word: usize) -> bool {
        self.layout & (0x80 >> word) != 0
    }

    fn words(&mut self, start: Vec<u32>) -> Option<u128> {
        let run = zero_run(|word| self.is_zero(word));
        if run == Some((0, 6)) {
            // Written `::a.b.c.d`, with the first two octets not both zero. The layout with the last
            // word zero is looked at with the one where it is not.
            if self.is_zero(7) || self.low >> 32 != 0 {
                return None;
            }
            let states = [b':', b':']
                .iter()
                .fold(start, |states, letter| self.together.letter(&states, *letter));
            let along_high = self.high >> 32 == 0;
            return self.octets(0, true, 0, true, along_high, states);
        }
        self.digits(0, 0, true, true, false, start, run)
    }

    /// Follows the digits of the words.
    #[allow(clippy::too_many_arguments, reason = "the place of a search, whole")]
    fn digits(
        &mut self,
        digit: usize,
        above: u128,
        along_low: bool,
        along_high: bool,
        begun: bool,
        states: Vec<u32>,
        run: Option<(usize, usize)>,
    ) -> Option<u128> {
        if digit == 32 {
            let accepted = self.together.accepts(&states);
            return (self.is_wanted)(&accepted).then_some(above);
        }
        // Addresses that stand for IPv4 ones are not of this family.
        if digit == 24 && above == 0xffff {
            return None;
        }
        if !self
            .seen
            .insert((digit, along_low, along_high, begun, states.clone()))
        {
            return None;
        }
        let shift = 4 * (31 - digit) as u32;
        let low = if along_low { (self.low >> shift) & 0xf } else { 0 };
        let high = if along_high {
            (self.high >> shift) & 0xf
        } else {
            0xf
        };
        let word = digit / 4;
        let mut states = states;
        if digit.is_multiple_of(4) {
            match run {
                // Written `::`: here one colon, and the other before the word after the run or, where there
                // is none, here too.
                Some((from, length)) if word == from => {
                    states = self.together.letter(&states, b':');
                    if from + length == 8 {
                        states = self.together.letter(&states, b':');
                    }
                }
                Some((from, length)) if word > from && word < from + length => {}
                _ if word > 0 => states = self.together.letter(&states, b':'),
                _ => {}
            }
        }
        let in_run = run.is_some_and(|(from, length)| word >= from && word < from + length);
        let is_last = digit % 4 == 3;
        for value in low..=high {
            let is_zero_word = self.is_zero(word);
            if is_zero_word && value != 0 {
                break;
            }
            // A word that is not zero has a digit that is not.
            if !is_zero_word && is_last && !begun && value == 0 {
                continue;
            }
            let begins = begun || value != 0;
            let is_written = !in_run && (begins || (is_zero_word && is_last));
            let next = if is_written {
                let letter = b"0123456789abcdef"[value as usize];
                self.together.letter(&states, letter)
            } else {
                states.clone()
            };
            let found = self.digits(
                digit + 1,
                above << 4 | value,
                along_low && value == low,
                along_high && value == high,
                begins && !is_last,
                next,
                run,
            );
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hosts_access::string_matches;
    use hosts_access::syntax::pattern::StringPattern;

    fn wildcard(text: &str) -> Spelling {
        Spelling::wildcard(text.as_bytes(), text.as_bytes())
    }

    fn matches(text: &str, family: Family, address: u128) -> bool {
        string_matches(StringPattern::parse(text.as_bytes()), &family.text(address))
    }

    #[test]
    fn ranges_of_ipv4_patterns() {
        assert_eq!(
            wildcard("10.1.*").v4_ranges(),
            Some(vec![(0x0a01_0000, 0x0a01_ffff)])
        );
        assert_eq!(
            wildcard("10.1.2.?").v4_ranges(),
            Some(vec![(0x0a01_0200, 0x0a01_0209)])
        );
        assert_eq!(wildcard("1*").v4_ranges().unwrap().len(), 3);
        assert_eq!(wildcard("*").v4_ranges(), Some(vec![(0, 0xffff_ffff)]));
        assert_eq!(wildcard("*.3").v4_ranges(), None);
        assert_eq!(wildcard("x*").v4_ranges(), Some(vec![]));
        let net = Spelling::mask(b"", 0x0a00_0007, 0xffff_00ff);
        assert_eq!(net.v4_ranges().unwrap().len(), 256);
    }

    /// Addresses with every layout of zero words, and few digits in the others.
    fn samples() -> Vec<u128> {
        let values = [0x1u128, 0xa, 0x1a, 0xffff, 0x10, 0x100];
        let mut samples = Vec::new();
        for layout in 0..256u128 {
            let seed = layout % 5;
            let word = |at: u128| {
                let value = values[((seed * 7 + at * (seed + 1)) % 6) as usize];
                if layout >> at & 1 == 1 { 0 } else { value }
            };
            samples.push((0..8).fold(0, |address, at| address << 16 | word(at)));
        }
        samples.retain(|a| a >> 32 != 0xffff);
        samples
    }

    #[test]
    fn an_ipv6_address_is_found_exactly_where_its_text_matches() {
        for set in [
            &["*a*"][..],
            &["1*", "*:1"],
            &["*::*", "*.1", "?:*"],
            &["0:*", "*:0:*", "::*"],
            &["*1a", "ffff*"],
        ] {
            let spellings: Vec<Spelling> = set.iter().map(|text| wildcard(text)).collect();
            let together = Together::new(spellings.iter().collect());
            let mut ways = HashSet::new();
            for address in samples() {
                let holds: Vec<bool> = set
                    .iter()
                    .map(|text| matches(text, Family::V6, address))
                    .collect();
                for at in 0..1 << set.len() {
                    let wanted: Vec<bool> = (0..set.len()).map(|bit| at >> bit & 1 == 1).collect();
                    let found = together.find(Family::V6, (address, address), &wanted);
                    assert_eq!(found, (wanted == holds).then_some(address), "{set:?} {wanted:?}");
                }
                ways.insert(holds);
            }
            let all = together.ways(Family::V6, 1000, &mut Ways::new()).unwrap();
            for way in &ways {
                assert!(all.contains(way), "{set:?} {way:?}");
            }
            for way in all {
                let found = together.find(Family::V6, (0, u128::MAX), &way).unwrap();
                let holds: Vec<bool> = set.iter().map(|text| matches(text, Family::V6, found)).collect();
                assert_eq!(holds, way);
            }
        }
    }

    #[test]
    fn an_ipv4_address_is_found_in_its_range() {
        let spellings = [wildcard("*.3"), wildcard("*7*"), Spelling::mask(b"", 1, 3)];
        let together = Together::new(spellings.iter().collect());
        let find = |low, high, wanted: [bool; 3]| together.find(Family::V4, (low, high), &wanted);
        assert_eq!(find(0, 0xffff_ffff, [true, true, false]), Some(0x0000_0703));
        assert_eq!(find(0x0a00_0004, 0x0a00_00ff, [true, false, false]), None);
        assert_eq!(
            find(0x0a00_0004, 0x0a00_00ff, [false, true, true]),
            Some(0x0a00_0011)
        );
        assert_eq!(together.ways(Family::V4, 100, &mut Ways::new()).unwrap().len(), 6);
    }
}
