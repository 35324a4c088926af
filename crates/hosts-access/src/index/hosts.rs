//! Host patterns by what could match them: exact addresses, networks, exact names, suffixes; the rest
//! are candidates always.
//!
//! A pattern that tries the host's name starts a name lookup when it is reached, which log lines and
//! `%c` show; so as long as the name has not been looked up, the first such pattern is a candidate too.

use smallvec::SmallVec;

use super::postings::{Posting, Postings, hash_tails, key};
use crate::address::{Ipv6, canonical_quad, reduce_mapped};
use crate::matching::Network;
use crate::request::{Request, Side};
use crate::syntax::pattern::{HostPattern, StringPattern};

/// Kinds of keys. Networks are `NET4 + length` and `NET6 + length`.
const ANY: u32 = 0;
const TRIGGER: u32 = 1;
const TEXT: u32 = 2;
const NET4: u32 = 0x100;
const NET6: u32 = 0x200;

/// A few groups; hardly ever more than a table has daemon lists that name one daemon.
pub(crate) type Groups = SmallVec<[u32; 8]>;

/// What kinds of keys there are, so that no others are looked for.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    /// Bit `n`: networks of that many bits, addresses as 32.
    lengths4: u64,
    /// Bit `n - 1`: the same for IPv6.
    lengths6: u128,
    /// Names or suffixes with a letter in them, which no dotted quad matches.
    names: bool,
    /// Those without one.
    numbers: bool,
}

/// An index of host patterns, each with the position it stands at.
///
/// Positions belong to groups. Patterns that any host could reach are found by group; for those that
/// only few can, telling the groups apart would cost more look-ups than it saves candidates.
#[derive(Debug)]
pub(crate) struct HostIndex {
    postings: Postings,
    shape: Shape,
}

/// Collects patterns in ascending order of position.
#[derive(Debug, Default)]
pub(crate) struct HostIndexBuilder {
    entries: Vec<(u64, u32)>,
    shape: Shape,
}

impl HostIndexBuilder {
    /// Makes room beforehand.
    pub(crate) fn reserve(&mut self, patterns: usize) {
        self.entries.reserve_exact(patterns);
    }

    /// Adds a position that is a candidate whatever the host is.
    pub(crate) fn add_any(&mut self, group: u32, position: u32) {
        self.push(ANY, group.into(), position);
    }

    /// Adds a pattern.
    pub(crate) fn add(&mut self, group: u32, pattern: HostPattern<'_>, position: u32) {
        match pattern {
            // The interfaces that scope ids name come and go.
            HostPattern::Net { net: text, .. }
            | HostPattern::Text {
                pattern: StringPattern::Bracketed(text),
                ..
            } if text.contains(&b'%') => {
                self.add_any(group, position);
            }
            HostPattern::Net { net, mask } => match Network::parse(net, mask) {
                Some(Network::V4 { net, mask }) if mask.leading_ones() + mask.trailing_zeros() == 32 => {
                    self.add_net4(net, mask.leading_ones(), position);
                }
                Some(Network::V6 {
                    net,
                    length: length @ 1..,
                }) => {
                    self.add_net6(net, length, position);
                }
                Some(_) => self.add_any(group, position),
                // It matches no address and looks no name up.
                None => {}
            },
            HostPattern::Text { pattern, tries_name } => {
                match pattern {
                    StringPattern::Exact(text) => match canonical_quad(text) {
                        Some(quad) => self.add_net4(quad, 32, position),
                        None => self.add_text(text, position),
                    },
                    StringPattern::Suffix(text) => self.add_text(text, position),
                    StringPattern::Prefix(text) => match octets(text) {
                        Some((net, length)) => self.add_net4(net, length, position),
                        None => return self.add_any(group, position),
                    },
                    StringPattern::Bracketed(inner) => {
                        if let Some(v6) = Ipv6::parse(inner) {
                            self.add_net6(v6.bits, 128, position);
                        }
                    }
                    StringPattern::All | StringPattern::Known | StringPattern::Wildcard(_) => {
                        return self.add_any(group, position);
                    }
                }
                if tries_name {
                    self.push(TRIGGER, group.into(), position);
                }
            }
            HostPattern::Netgroup(_) | HostPattern::File(_) | HostPattern::Known | HostPattern::Local => {
                self.add_any(group, position);
            }
        }
    }

    fn add_net4(&mut self, net: u32, length: u32, position: u32) {
        self.shape.lengths4 |= 1 << length;
        self.push(NET4 + length, u64::from(net), position);
    }

    fn add_net6(&mut self, net: u128, length: u32, position: u32) {
        self.shape.lengths6 |= 1 << (length - 1);
        self.push(NET6 + length, fold(net & prefix_mask(length)), position);
    }

    fn add_text(&mut self, text: &[u8], position: u32) {
        if text.iter().any(u8::is_ascii_alphabetic) {
            self.shape.names = true;
        } else {
            self.shape.numbers = true;
        }
        self.push(TEXT, hash_tails(text, |_| {}), position);
    }

    fn push(&mut self, kind: u32, value: u64, position: u32) {
        self.entries.push((key(kind, value), position));
    }

    /// The finished index.
    pub(crate) fn build(self) -> HostIndex {
        HostIndex {
            postings: Postings::new(&self.entries),
            shape: self.shape,
        }
    }
}

impl HostIndex {
    /// Starts to look for the candidates of some groups for one end of the connection.
    pub(crate) fn candidates(&self, groups: Groups, side: Side) -> Candidates<'_> {
        Candidates {
            index: self,
            side,
            lists: SmallVec::new(),
            triggers: SmallVec::new(),
            groups,
            stage: Stage::New,
            next: 0,
        }
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.postings.bytes()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    New,
    AddressKnown,
    NameKnown,
    Everything,
}

/// The positions that could match, ascending. Between two of them the name may get looked up, which
/// changes what can still match.
#[derive(Debug)]
pub(crate) struct Candidates<'i> {
    index: &'i HostIndex,
    side: Side,
    groups: Groups,
    lists: SmallVec<[&'i [Posting]; 6]>,
    triggers: SmallVec<[&'i [Posting]; 4]>,
    stage: Stage,
    next: u32,
}

impl<'i> Candidates<'i> {
    /// Adds positions that are candidates in any case.
    pub(crate) fn add(&mut self, positions: &'i [Posting]) {
        if !positions.is_empty() {
            self.lists.push(positions);
        }
    }

    /// The next position that could match; `None` at the end. The host's address must be one the
    /// index can tell; if not, every position below `all` is a candidate.
    #[inline]
    pub(crate) fn next(&mut self, request: &mut Request<'_>, all: u32) -> Option<u32> {
        if self.stage == Stage::New {
            self.start(request);
        }
        if self.stage == Stage::Everything {
            let position = self.next;
            self.next = position + 1;
            return (position < all).then_some(position);
        }
        if self.stage == Stage::AddressKnown
            && let Some(name) = request.looked_up_name(self.side)
        {
            self.learn_name(name);
        }
        let mut lowest = u32::MAX;
        for list in self.lists.iter_mut().chain(&mut self.triggers) {
            while let [first, rest @ ..] = *list
                && first.position < self.next
            {
                *list = rest;
            }
            if let [first, ..] = *list {
                lowest = lowest.min(first.position);
            }
        }
        self.next = lowest.saturating_add(1);
        (lowest != u32::MAX).then_some(lowest)
    }

    fn start(&mut self, request: &mut Request<'_>) {
        if self.groups.is_empty() {
            self.stage = Stage::NameKnown;
            return;
        }
        let named = request.looked_up_name(self.side).is_some();
        let address = request.parsed_address(self.side);
        let text = reduce_mapped(&address.text);
        if address.quad.is_some() && !address.is_canonical {
            self.stage = Stage::Everything;
            return;
        }
        self.stage = Stage::AddressKnown;
        for at in 0..self.groups.len() {
            let group = u64::from(self.groups[at]);
            self.find(ANY, group);
            if !named {
                self.triggers.push(self.index.postings.get(key(TRIGGER, group)));
            }
        }
        let shape = self.index.shape;
        if let Some(quad) = address.quad {
            let mut lengths = shape.lengths4;
            while lengths != 0 {
                let length = lengths.trailing_zeros();
                lengths &= lengths - 1;
                // The mask 0.0.0.0 has length 0.
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                self.find(NET4 + length, u64::from(quad & mask));
            }
        }
        if let Some(bits) = address.ipv6 {
            let mut lengths = shape.lengths6;
            while lengths != 0 {
                let length = lengths.trailing_zeros() + 1;
                lengths &= lengths - 1;
                self.find(NET6 + length, fold(bits & prefix_mask(length)));
            }
        }
        if shape.numbers || (shape.names && address.quad.is_none()) {
            self.find_text(text);
        }
    }

    fn learn_name(&mut self, name: &[u8]) {
        self.stage = Stage::NameKnown;
        self.triggers.clear();
        let name = reduce_mapped(name);
        // A name set by the program may look like an address.
        if let Some(v6) = Ipv6::parse(name) {
            self.find(NET6 + 128, fold(v6.bits));
        }
        if self.index.shape.names || self.index.shape.numbers {
            self.find_text(name);
        }
    }

    #[inline]
    fn find(&mut self, kind: u32, value: u64) {
        let positions = self.index.postings.get(key(kind, value));
        if positions.is_empty() {
            return;
        }
        // Only what is not passed yet; lists may be long.
        let from = positions.partition_point(|p| p.position < self.next);
        self.add(&positions[from..]);
    }

    fn find_text(&mut self, text: &[u8]) {
        let whole = hash_tails(text, |hash| self.find(TEXT, hash));
        self.find(TEXT, whole);
    }
}

/// The network that a prefix such as `10.1.` stands for among canonical addresses.
fn octets(prefix: &[u8]) -> Option<(u32, u32)> {
    let count = prefix.iter().filter(|b| **b == b'.').count();
    if !(1..=3).contains(&count) {
        return None;
    }
    let zeros = b"0.0.0";
    let whole = [prefix, &zeros[..(4 - count) * 2 - 1]].concat();
    canonical_quad(&whole).map(|net| (net, count as u32 * 8))
}

fn prefix_mask(length: u32) -> u128 {
    u128::MAX << (128 - length)
}

fn fold(bits: u128) -> u64 {
    (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32)
}
