//! Keys: what is looked up in an index. Each is a hash of a kind and a value, so that two may be the same, which costs
//! a candidate too many and nothing else.

use crate::address::{Ipv6, reduce_mapped};
use crate::matching::Network;
use crate::meaning::{Meaning, Strings, Wildcard};
use crate::request::{Address, is_known_name};

/// Positions that are candidates whoever asks.
pub(crate) const ALWAYS: u64 = key(0, 0);
/// Patterns that any host could match.
pub(crate) const ANY: u64 = key(0, 1);
/// Patterns that look the host's name up.
pub(crate) const WANTS_NAME: u64 = key(0, 2);
/// Daemon lists that look the server's address up, and its name.
pub(crate) const WANTS_SERVER_ADDRESS: u64 = key(0, 3);
/// See [`WANTS_SERVER_ADDRESS`].
pub(crate) const WANTS_SERVER_NAME: u64 = key(0, 4);
/// Daemon tokens that any daemon could match.
pub(crate) const ANY_SERVICE: u64 = key(0, 5);
/// No user is named, or any user could match.
pub(crate) const ANY_USER: u32 = 0;
/// Patterns that look the user up.
pub(crate) const WANTS_USER: u32 = 1;

const NAME_IS_KNOWN: u64 = key(0, 6);
const NAME_IS_LOCAL: u64 = key(0, 7);
/// Kinds of the other keys. Networks are `NET4 + length` and `NET6 + length`.
const TEXT: u32 = 1;
const BEGINNING: u32 = 2;
const ENDS: u32 = 3;
const WITHIN: u32 = 4;
const MASK: u32 = 5;
const NET4: u32 = 0x100;
const NET6: u32 = 0x200;

/// How much of a wildcard's literal beginning and end is looked at.
const LONGEST: usize = 63;
/// How many lengths of such beginnings and ends there may be before they are rounded.
const MOST_LENGTHS: usize = 64;
/// How many masks with holes in them are told apart.
const MOST_MASKS: usize = 32;
/// The parts that the text between two wildcards is looked for by.
const WITHIN_LENGTHS: [usize; 2] = [4, 8];

/// Where a pattern is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nowhere: nothing matches it.
    Nowhere,
    /// Under this key.
    Under(u64),
    /// Wherever one looks.
    Anywhere,
}

/// Which kinds of keys strings are under, so that no others are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TextShape {
    /// Whole strings or ends with a letter in them, which no dotted quad has.
    pub(super) letters: bool,
    /// Those without one.
    pub(super) numbers: bool,
    /// Beginnings that end in a dot.
    pub(super) beginnings: bool,
    /// Wildcards, by the lengths of their literal beginnings and ends.
    pub(super) ends: Vec<(u8, u8)>,
    /// Wildcards, by text between two of them, of either length.
    pub(super) within: [bool; 2],
}

impl TextShape {
    /// Takes in strings that patterns stand for.
    pub(crate) fn add(&mut self, strings: Strings<'_>) -> Found {
        match strings {
            Strings::Every | Strings::ButUnknown | Strings::Scoped(_) => Found::Anywhere,
            // Numbers are for those who know that they deal with addresses.
            Strings::Ipv6(_) => Found::Anywhere,
            Strings::None => Found::Nowhere,
            Strings::This(text) | Strings::Ending(text) => {
                if text.iter().any(u8::is_ascii_alphabetic) {
                    self.letters = true;
                } else {
                    self.numbers = true;
                }
                Found::Under(key(TEXT, hash_ends(text, |_, _| {})))
            }
            Strings::Beginning(text) => {
                self.beginnings = true;
                Found::Under(key(BEGINNING, hash_beginnings(text, |_, _| {})))
            }
            Strings::Wildcard(wildcard) => self.add_wildcard(wildcard),
        }
    }

    fn add_wildcard(&mut self, wildcard: Wildcard<'_>) -> Found {
        let Wildcard {
            head, tail, within, ..
        } = wildcard;
        let (mut first, mut last) = (head.len().min(LONGEST), tail.len().min(LONGEST));
        if first + last < WITHIN_LENGTHS[0]
            && let Some(at) = WITHIN_LENGTHS.iter().rposition(|length| within.len() >= *length)
        {
            self.within[at] = true;
            // Lists are made by counting, so ends tell more than beginnings.
            let text = &within[within.len() - WITHIN_LENGTHS[at]..];
            return Found::Under(key(WITHIN, hash_beginnings(text, |_, _| {})));
        }
        if first + last == 0 {
            return Found::Anywhere;
        }
        // `as`: they are at most 63.
        let lengths = |first, last| (first as u8, last as u8);
        if !self.ends.contains(&lengths(first, last)) {
            if self.ends.len() >= MOST_LENGTHS {
                let rounded = |length: usize| if length == 0 { 0 } else { 1 << length.ilog2() };
                (first, last) = (rounded(first), rounded(last));
            }
            if !self.ends.contains(&lengths(first, last)) {
                self.ends.push(lengths(first, last));
            }
        }
        let beginning = hash_beginnings(&head[..first], |_, _| {});
        let end = hash_ends(&tail[tail.len() - last..], |_, _| {});
        Found::Under(ends_key(lengths(first, last), beginning, end))
    }

    /// The keys that patterns are under which could match a string; mapped addresses are reduced already.
    /// `is_quad`: it is a dotted quad and has no letters.
    #[inline]
    pub(crate) fn each_key(&self, text: &[u8], is_quad: bool, each: &mut dyn FnMut(u64)) {
        let has_wholes = self.numbers || (self.letters && !is_quad);
        if has_wholes || self.beginnings {
            self.each_plain_key(text, has_wholes, each);
        }
        if !self.ends.is_empty() || self.within != [false; 2] {
            self.each_wildcard_key(text, each);
        }
    }

    fn each_plain_key(&self, text: &[u8], has_wholes: bool, each: &mut dyn FnMut(u64)) {
        if has_wholes {
            let whole = hash_ends(text, |byte, hash| {
                if byte == b'.' {
                    each(key(TEXT, hash));
                }
            });
            // Otherwise it was seen already.
            if text.first() != Some(&b'.') {
                each(key(TEXT, whole));
            }
        }
        if self.beginnings {
            hash_beginnings(text, |byte, hash| {
                if byte == b'.' {
                    each(key(BEGINNING, hash));
                }
            });
        }
    }

    fn each_wildcard_key(&self, text: &[u8], each: &mut dyn FnMut(u64)) {
        let (mut beginnings, mut ends) = ([EMPTY; LONGEST + 1], [EMPTY; LONGEST + 1]);
        let most = text.len().min(LONGEST);
        let mut at = 0;
        hash_beginnings(&text[..most], |_, hash| {
            at += 1;
            beginnings[at] = hash;
        });
        at = 0;
        hash_ends(&text[text.len() - most..], |_, hash| {
            at += 1;
            ends[at] = hash;
        });
        for lengths in &self.ends {
            let (first, last) = (usize::from(lengths.0), usize::from(lengths.1));
            if first <= most && last <= most {
                each(ends_key(*lengths, beginnings[first], ends[last]));
            }
        }
        for (length, _) in WITHIN_LENGTHS
            .iter()
            .zip(self.within)
            .filter(|(_, is_used)| *is_used)
        {
            for part in text.windows(*length) {
                each(key(WITHIN, hash_beginnings(part, |_, _| {})));
            }
        }
    }
}

/// Which kinds of keys host patterns are under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostShape {
    /// There are patterns that any host could match.
    pub(super) has_any: bool,
    /// There are patterns that look the name up.
    pub(super) wants_name: bool,
    /// There is `KNOWN` or `LOCAL`.
    pub(super) names: bool,
    /// Bit `n`: networks of that many bits, addresses as 32.
    pub(super) lengths4: u64,
    /// Bit `n - 1`: the same for IPv6.
    pub(super) lengths6: u128,
    /// There is a network of all IPv6 addresses.
    pub(super) every6: bool,
    /// Masks with holes in them.
    pub(super) masks: Vec<u32>,
    /// Strings.
    pub(super) texts: TextShape,
}

impl HostShape {
    /// Takes in a pattern.
    pub(crate) fn add(&mut self, meaning: &Meaning<'_>) -> Found {
        match meaning {
            Meaning::Nothing => Found::Nowhere,
            // Whether a file can be read is logged each time.
            Meaning::Everyone
            | Meaning::Scoped(_)
            | Meaning::Netgroup(_)
            | Meaning::File(_)
            | Meaning::Brace(_) => Found::Anywhere,
            Meaning::Known => {
                self.names = true;
                Found::Under(NAME_IS_KNOWN)
            }
            Meaning::Local => {
                self.names = true;
                Found::Under(NAME_IS_LOCAL)
            }
            Meaning::Addresses(network) => self.add_network(*network),
            Meaning::Text { text, .. } => match (text, text.network()) {
                // As text, since the address may be any text.
                (Strings::Beginning(_), _) | (_, None) => self.texts.add(*text),
                (_, Some(network)) => self.add_network(network),
            },
        }
    }

    fn add_network(&mut self, network: Network) -> Found {
        match network {
            Network::V4 { net, mask } if mask.leading_ones() == mask.count_ones() => {
                self.lengths4 |= 1 << mask.count_ones();
                Found::Under(key(NET4 + mask.count_ones(), u64::from(net)))
            }
            Network::V4 { net, mask } => {
                if !self.masks.contains(&mask) {
                    if self.masks.len() >= MOST_MASKS {
                        return Found::Anywhere;
                    }
                    self.masks.push(mask);
                }
                Found::Under(masked_key(net, mask))
            }
            Network::V6 { length: 0, .. } => {
                self.every6 = true;
                Found::Under(key(NET6, 0))
            }
            Network::V6 { net, length } => {
                self.lengths6 |= 1 << (length - 1);
                Found::Under(net6_key(net, length))
            }
        }
    }

    /// The keys that patterns are under which could match a host by its address.
    pub(crate) fn each_address_key(&self, address: &Address, each: &mut dyn FnMut(u64)) {
        if let Some(quad) = address.quad {
            let mut lengths = self.lengths4;
            while lengths != 0 {
                let length = lengths.trailing_zeros();
                lengths &= lengths - 1;
                // The mask 0.0.0.0 has length 0.
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                each(key(NET4 + length, u64::from(quad & mask)));
            }
            for mask in &self.masks {
                each(masked_key(quad & mask, *mask));
            }
        }
        if let Some(bits) = address.ipv6 {
            if self.every6 {
                each(key(NET6, 0));
            }
            let mut lengths = self.lengths6;
            while lengths != 0 {
                let length = lengths.trailing_zeros() + 1;
                lengths &= lengths - 1;
                each(net6_key(bits, length));
            }
        }
        self.texts
            .each_key(reduce_mapped(&address.text), address.is_canonical, each);
    }

    /// The same by its name.
    pub(crate) fn each_name_key(&self, name: &[u8], each: &mut dyn FnMut(u64)) {
        if self.names && is_known_name(name) {
            each(NAME_IS_KNOWN);
            if !name.contains(&b'.') {
                each(NAME_IS_LOCAL);
            }
        }
        let name = reduce_mapped(name);
        // A name set by the program may look like an address.
        if self.lengths6 >> 127 != 0
            && let Some(v6) = Ipv6::parse(name)
        {
            each(net6_key(v6.bits, 128));
        }
        self.texts.each_key(name, false, each);
    }
}

fn masked_key(net: u32, mask: u32) -> u64 {
    key(MASK, u64::from(mask) << 32 | u64::from(net))
}

fn net6_key(net: u128, length: u32) -> u64 {
    let net = net & u128::MAX << (128 - length);
    key(NET6 + length, (net as u64) ^ ((net >> 64) as u64).rotate_left(32))
}

fn ends_key((first, last): (u8, u8), beginning: u64, end: u64) -> u64 {
    let lengths = u64::from(first) << 8 | u64::from(last);
    key(ENDS, beginning ^ end.rotate_left(32) ^ lengths)
}

/// Mixes a kind of key and a value into one key.
#[inline]
pub(crate) const fn key(kind: u32, value: u64) -> u64 {
    let a = kind as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let folded = fold(a, value ^ 0xd1b5_4a32_d192_ed03);
    // Once more, since the values are often small and regular.
    mixed(folded, 0)
}

/// Mixes a word into a hash.
#[inline]
pub(crate) const fn mixed(hash: u64, word: u64) -> u64 {
    fold(hash ^ word, 0xa076_1d64_78bd_642f)
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product as u64) ^ (product >> 64) as u64
}

/// The key of those positions under a key whose daemon list and whose user have these keys.
#[inline]
pub(crate) const fn refined(of: u64, daemons: u64, user: u32) -> u64 {
    key(user ^ 0x5bd1_e995, of ^ daemons.rotate_left(29))
}

/// The key of the users that a pattern stands for; nothing where they have none.
pub(crate) fn user_key(users: Strings<'_>) -> Option<u32> {
    match users {
        Strings::This(user) => Some(one_user_key(user)),
        Strings::Every
        | Strings::ButUnknown
        | Strings::Beginning(_)
        | Strings::Ending(_)
        | Strings::Wildcard(_)
        | Strings::Ipv6(_)
        | Strings::Scoped(_)
        | Strings::None => None,
    }
}

/// The key of one user.
pub(crate) fn one_user_key(user: &[u8]) -> u32 {
    // `as`: half of a hash is one; the lowest numbers have a meaning of their own.
    (hash_ends(user, |_, _| {}) as u32).max(WANTS_USER + 1)
}

/// What a hash begins with.
const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

#[inline]
fn hash_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Hashes a string from its end, ASCII case apart, reporting each byte and the hash of the end that begins there.
#[inline]
fn hash_ends(text: &[u8], mut each: impl FnMut(u8, u64)) -> u64 {
    let mut hash = EMPTY;
    for byte in text.iter().rev() {
        hash = hash_byte(hash, *byte);
        each(*byte, hash);
    }
    hash
}

/// The same from its beginning.
#[inline]
fn hash_beginnings(text: &[u8], mut each: impl FnMut(u8, u64)) -> u64 {
    let mut hash = EMPTY;
    for byte in text {
        hash = hash_byte(hash, *byte);
        each(*byte, hash);
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::index::postings::bucket;
    use crate::request::{Request, Side};
    use crate::syntax::pattern::{HostPattern, StringPattern};

    /// Are all of these different, and spread evenly? Lists of other keys would be candidates too many.
    fn assert_spread(keys: impl IntoIterator<Item = u64>) {
        let keys: Vec<_> = keys.into_iter().collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        // What is kept of them besides their bucket.
        let halves = keys.iter().map(|key| (*key as u32, bucket(*key, 16)));
        assert_eq!(halves.collect::<HashSet<_>>().len(), keys.len());
        let bits = keys.len().ilog2() - 3;
        let mut counts = vec![0; 1 << bits];
        keys.iter().for_each(|key| counts[bucket(*key, bits)] += 1);
        // Eight to sixteen each, as chance has it.
        assert!(
            counts.iter().all(|count| *count < 48),
            "{:?}",
            counts.iter().max()
        );
    }

    #[test]
    fn other_values_have_other_keys() {
        assert_spread((0..8).flat_map(|kind| (0..4_000).map(move |value| key(kind, value))));
        assert_spread((0..30_000).map(|at| key(NET4 + 24, at << 8)));
        assert_spread((0..30_000).map(|at| key(TEXT, at << 48)));
        assert_spread(
            (0..64).flat_map(|at| (0..64).map(move |bit| refined(key(TEXT, at), key(TEXT, bit), 0))),
        );
        assert_spread((0..4_000).map(|user| refined(key(TEXT, 1), ANY_SERVICE, user)));
        let nets = |high: u128| (0..64).map(move |low| 0x2001_0db8 << 96 | high << 64 | low);
        assert_spread((0..64).flat_map(nets).map(|net| net6_key(net, 128)));
        assert_spread((0..64).flat_map(|net| (0..64).map(move |mask| masked_key(net, mask << 8))));
        let hash = |at: u64| hash_ends(at.to_string().as_bytes(), |_, _| {});
        assert_spread((0..64).flat_map(|a| (0..64).map(move |b| ends_key((2, 2), hash(a), hash(b)))));
    }

    #[test]
    fn other_texts_have_other_hashes() {
        let texts = || (0..20_000).map(|at| format!("host{at}.example.org"));
        assert_spread(texts().map(|text| key(TEXT, hash_ends(text.as_bytes(), |_, _| {}))));
        assert_spread(texts().map(|text| key(TEXT, hash_beginnings(text.as_bytes(), |_, _| {}))));
        let users: HashSet<_> = texts().map(|user| one_user_key(user.as_bytes())).collect();
        assert!(users.len() > 19_990 && users.iter().all(|key| *key > WANTS_USER));
        // Case is no matter, order is.
        let hash = |text: &[u8]| hash_ends(text, |_, _| {});
        assert_eq!(hash(b"Host.Example"), hash(b"hOST.eXAMPLE"));
        assert_ne!(hash(b"ab"), hash(b"ba"));
        // From the end and from the beginning.
        let mut ends = Vec::new();
        hash_ends(b"a.bc", |byte, hash| ends.push((byte, hash)));
        assert_eq!(ends[2], (b'.', hash(b".bc")));
        let mut beginnings = Vec::new();
        hash_beginnings(b"a.bc", |byte, hash| beginnings.push((byte, hash)));
        assert_eq!(beginnings[1], (b'.', hash_beginnings(b"a.", |_, _| {})));
    }

    /// How many keys are looked for: of each kind only where something is under one.
    #[test]
    fn no_key_is_looked_for_that_nothing_can_be_under() {
        let shape = |patterns: &[&str]| {
            let mut shape = HostShape::default();
            for pattern in patterns {
                shape.add(&Meaning::of(HostPattern::parse(pattern.as_bytes())));
            }
            shape
        };
        let of_address = |patterns: &[&str], address: &str| {
            let mut count = 0;
            let mut request = Request::new("sshd").known_address(Side::Client, address);
            let address = request.parsed_address(Side::Client).unwrap();
            shape(patterns).each_address_key(address, &mut |_| count += 1);
            count
        };
        let of_name = |patterns: &[&str], name: &str| {
            let mut count = 0;
            shape(patterns).each_name_key(name.as_bytes(), &mut |_| count += 1);
            count
        };
        // Names are under names alone, networks under their lengths.
        assert_eq!(of_address(&["host.example.org", ".example.org"], "10.1.2.3"), 0);
        assert_eq!(of_name(&["host.example.org"], "a.example.org"), 3);
        assert_eq!(
            of_address(&["10.1.2.3", "10.2.0.0/16", "10.3.0.0/16"], "10.1.2.3"),
            2
        );
        assert_eq!(of_address(&["10.0.0.0/255.0.255.0"], "10.1.2.3"), 1);
        assert_eq!(of_address(&["10.1.2.3", "10.2.0.0/16"], "2001:db8::1"), 0);
        assert_eq!(
            of_address(&["[2001:db8::1]", "[2001:db8::]/32", "[::]/0"], "2001:db8::1"),
            3
        );
        assert_eq!(of_address(&["[2001:db8::1]", "[2001:db8::]/32"], "10.1.2.3"), 0);
        assert_eq!(of_address(&["10."], "10.1.2.3"), 3);
        assert_eq!(of_name(&["10.1.2.3", "[2001:db8::]/32"], "host.example.org"), 0);
        assert_eq!(of_name(&["[2001:db8::1]"], "2001:db8::1"), 1);
        assert_eq!(of_name(&["[2001:db8::]/32"], "2001:db8::1"), 0);
        // One of each pair of lengths of a wildcard that the text has.
        assert_eq!(
            of_name(&["gate*.org", "host*.org", "ga*.example.org"], "gate.example.org"),
            2
        );
        assert_eq!(
            of_name(&["a-long-name-of-a-host*", "*.example.org"], "gate.org"),
            0
        );
        assert_eq!(of_name(&["*.a-long-domain.example.org", "g*"], "gate.org"), 1);
        assert_eq!(of_name(&["a-long-name-of-a-host*.org"], "gate.org"), 0);
        assert_eq!(of_name(&["gate*.a-long-domain.org"], "gate.org"), 0);
        // `KNOWN` and `LOCAL`.
        assert_eq!(of_name(&["KNOWN"], "gate.example.org"), 1);
        assert_eq!(of_name(&["LOCAL"], "gate"), 2);
        assert_eq!(of_name(&["KNOWN"], "unknown"), 0);
        assert_eq!(of_name(&["10.0.0.0/8"], "gate"), 0);
    }

    /// Strings in a shape of their own, as of daemons.
    #[test]
    fn daemons_that_any_or_none_could_be() {
        let found =
            |pattern: &str| TextShape::default().add(Strings::of(StringPattern::parse(pattern.as_bytes())));
        for any in ["ALL", "*", "?", "*a*", "*abc*", "KNOWN"] {
            assert_eq!(found(any), Found::Anywhere, "{any}");
        }
        assert_eq!(found("[x]"), Found::Nowhere);
        for keyed in ["sshd", "s*", "*d", "*abcd*", "a*bcdefghi*", "in.", ".d"] {
            assert!(matches!(found(keyed), Found::Under(_)), "{keyed}");
        }
    }
}
