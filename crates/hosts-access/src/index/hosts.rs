//! Host patterns by what could match them: exact addresses, networks, exact names, suffixes; the rest
//! are candidates always.
//!
//! A pattern that tries the host's name starts a name lookup when it is reached, which log lines and
//! `%c` show; so as long as the name has not been looked up, the first such pattern is a candidate too.

use std::net::Ipv4Addr;

use super::postings::{Postings, hash_tails, key};
use crate::address::{Ipv6, reduce_mapped};
use crate::matching::Network;
use crate::request::{Address, Request, Side};
use crate::syntax::pattern::{HostPattern, StringPattern};

/// Kinds of keys. Networks are `NET4 + length` and `NET6 + length`.
const ANY: u32 = 0;
const TRIGGER: u32 = 1;
const TEXT: u32 = 2;
const NET4: u32 = 0x100;
const NET6: u32 = 0x200;

/// What kinds of keys a group has, so that no others are looked for.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    /// Bit `n`: networks of that many bits, addresses as 32.
    lengths4: u64,
    /// Bit `n - 1`: the same for IPv6.
    lengths6: u128,
    /// Names or suffixes.
    texts: bool,
}

/// An index of host patterns, each with the position it stands at; several groups share one.
#[derive(Debug)]
pub(crate) struct HostIndex {
    postings: Postings,
    shapes: Vec<Shape>,
}

/// Collects patterns in ascending order of position.
#[derive(Debug, Default)]
pub(crate) struct HostIndexBuilder {
    entries: Vec<(u64, u32)>,
    shapes: Vec<Shape>,
}

impl HostIndexBuilder {
    /// Makes room beforehand.
    pub(crate) fn reserve(&mut self, patterns: usize) {
        self.entries.reserve_exact(patterns);
    }

    /// Adds a position that is a candidate whatever the host is.
    pub(crate) fn add_any(&mut self, group: u32, position: u32) {
        self.push(group, ANY, 0, position);
    }

    /// Adds a pattern.
    pub(crate) fn add(&mut self, group: u32, pattern: HostPattern<'_>, position: u32) {
        match pattern {
            HostPattern::Net { net, mask } => match Network::parse(net, mask) {
                Some(Network::V4 { net, mask }) if mask.leading_ones() + mask.trailing_zeros() == 32 => {
                    self.add_net4(group, net, mask.leading_ones(), position);
                }
                Some(Network::V6 {
                    net,
                    length: length @ 1..,
                }) => {
                    self.add_net6(group, net, length, position);
                }
                Some(_) => self.add_any(group, position),
                // It matches no address and looks no name up.
                None => {}
            },
            HostPattern::Text { pattern, tries_name } => {
                match pattern {
                    StringPattern::Exact(text) => match canonical_quad(text) {
                        Some(quad) => self.add_net4(group, quad, 32, position),
                        None => self.add_text(group, text, position),
                    },
                    StringPattern::Suffix(text) => self.add_text(group, text, position),
                    StringPattern::Prefix(text) => match octets(text) {
                        Some((net, length)) => self.add_net4(group, net, length, position),
                        None => return self.add_any(group, position),
                    },
                    StringPattern::Bracketed(inner) => {
                        if let Some(v6) = Ipv6::parse(inner) {
                            self.add_net6(group, v6.bits, 128, position);
                        }
                    }
                    StringPattern::All | StringPattern::Known | StringPattern::Wildcard(_) => {
                        return self.add_any(group, position);
                    }
                }
                if tries_name {
                    self.push(group, TRIGGER, 0, position);
                }
            }
            HostPattern::Netgroup(_) | HostPattern::File(_) | HostPattern::Known | HostPattern::Local => {
                self.add_any(group, position);
            }
        }
    }

    fn add_net4(&mut self, group: u32, net: u32, length: u32, position: u32) {
        self.shape(group).lengths4 |= 1 << length;
        self.push(group, NET4 + length, u64::from(net), position);
    }

    fn add_net6(&mut self, group: u32, net: u128, length: u32, position: u32) {
        self.shape(group).lengths6 |= 1 << (length - 1);
        self.push(group, NET6 + length, fold(net & prefix_mask(length)), position);
    }

    fn add_text(&mut self, group: u32, text: &[u8], position: u32) {
        self.shape(group).texts = true;
        self.push(group, TEXT, hash_tails(text, |_| {}), position);
    }

    fn shape(&mut self, group: u32) -> &mut Shape {
        let at = group as usize;
        if self.shapes.len() <= at {
            self.shapes.resize(at + 1, Shape::default());
        }
        &mut self.shapes[at]
    }

    fn push(&mut self, group: u32, kind: u32, value: u64, position: u32) {
        self.shape(group);
        self.entries.push((key(kind, group, value), position));
    }

    /// The finished index.
    pub(crate) fn build(self) -> HostIndex {
        HostIndex {
            postings: Postings::new(&self.entries),
            shapes: self.shapes,
        }
    }
}

impl HostIndex {
    /// Starts to look for the candidates of some groups for one end of the connection.
    pub(crate) fn candidates(&self, groups: Vec<u32>, side: Side) -> Candidates<'_> {
        Candidates {
            index: self,
            side,
            lists: Vec::new(),
            triggers: Vec::new(),
            groups,
            stage: Stage::New,
            next: 0,
        }
    }

    fn shape(&self, group: u32) -> Shape {
        self.shapes.get(group as usize).copied().unwrap_or_default()
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.postings.bytes() + size_of_val(&*self.shapes)
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
    groups: Vec<u32>,
    lists: Vec<&'i [u32]>,
    triggers: Vec<&'i [u32]>,
    stage: Stage,
    next: u32,
}

impl<'i> Candidates<'i> {
    /// Adds positions that are candidates in any case.
    pub(crate) fn add(&mut self, positions: &'i [u32]) {
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
                && *first < self.next
            {
                *list = rest;
            }
            if let [first, ..] = *list {
                lowest = lowest.min(*first);
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
        if address.quad.is_some() && canonical_quad(text) != address.quad {
            self.stage = Stage::Everything;
            return;
        }
        self.stage = Stage::AddressKnown;
        for at in 0..self.groups.len() {
            let group = self.groups[at];
            self.find(group, ANY, 0);
            if !named {
                self.triggers
                    .push(self.index.postings.get(key(TRIGGER, group, 0)));
            }
            self.find_address(group, address);
            self.find_text(group, text);
        }
    }

    fn learn_name(&mut self, name: &[u8]) {
        self.stage = Stage::NameKnown;
        let name = reduce_mapped(name);
        // A name set by the program may look like an address.
        let ipv6 = Ipv6::parse(name);
        self.triggers.clear();
        for at in 0..self.groups.len() {
            let group = self.groups[at];
            self.find_text(group, name);
            if let Some(v6) = &ipv6 {
                self.find(group, NET6 + 128, fold(v6.bits));
            }
        }
    }

    fn find(&mut self, group: u32, kind: u32, value: u64) {
        let positions = self.index.postings.get(key(kind, group, value));
        // Only what is not passed yet; lists may be long.
        let from = positions.partition_point(|p| *p < self.next);
        self.add(&positions[from..]);
    }

    fn find_address(&mut self, group: u32, address: &Address) {
        let shape = self.index.shape(group);
        if let Some(quad) = address.quad {
            let mut lengths = shape.lengths4;
            while lengths != 0 {
                let length = lengths.trailing_zeros();
                lengths &= lengths - 1;
                self.find(
                    group,
                    NET4 + length,
                    u64::from(quad & (u32::MAX << (32 - length))),
                );
            }
        }
        if let Some(bits) = address.ipv6 {
            let mut lengths = shape.lengths6;
            while lengths != 0 {
                let length = lengths.trailing_zeros() + 1;
                lengths &= lengths - 1;
                self.find(group, NET6 + length, fold(bits & prefix_mask(length)));
            }
        }
    }

    fn find_text(&mut self, group: u32, text: &[u8]) {
        if !self.index.shape(group).texts {
            return;
        }
        let mut tails = Vec::with_capacity(8);
        let whole = hash_tails(text, |hash| tails.push(hash));
        self.find(group, TEXT, whole);
        for hash in tails {
            self.find(group, TEXT, hash);
        }
    }
}

/// The dotted quad that `text` is, if it is written the one way addresses are shown in. Only then does
/// an equal number mean an equal string.
fn canonical_quad(text: &[u8]) -> Option<u32> {
    let address: Ipv4Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_bits())
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
