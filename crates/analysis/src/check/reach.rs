//! What a host pattern can match at all: address blocks, strings, or nothing, and whether one pattern
//! lies within another or apart from it (hosts_access(5), PATTERNS).
//!
//! Answers are on the safe side: `covers` and `is_apart_from` are true only where that is certain, and
//! a pattern is called [`Never`] only where no request that can occur matches it.

use std::net::{Ipv4Addr, Ipv6Addr};

use hosts_access::address::{Ipv6, dotted_quad};
use hosts_access::meaning::{Meaning, Strings};
use hosts_access::syntax::atoi;
use hosts_access::syntax::pattern::{HostPattern, StringPattern};
use hosts_access::{Network, string_matches};

/// Why a pattern matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Never {
    /// `a.b.c.d/m` with bits of the address outside the mask; the network it lies in.
    HostBits(u32, u32),
    /// The mask 255.255.255.255.
    FullMask,
    /// `/0` in IPv4.
    Zero,
    /// A prefix length or mask out of range.
    Length,
    /// What stands after the slash is no number.
    NoLength,
    /// The part before the slash is no IPv4 address.
    Net,
    /// Not a possible IPv4 address.
    Impossible,
    /// An octet with a leading zero.
    LeadingZero,
    /// One to three octets, without a dot at the end.
    Unfinished,
    /// An IPv4 address in brackets.
    BracketedV4,
    /// `[net/len]`.
    LengthInside,
    /// Brackets around something that is no IPv6 address.
    NotV6,
    /// An IPv4-mapped IPv6 address, with the prefix length where it has one.
    Mapped(Ipv4Addr, Option<u32>),
}

/// Why the pattern matches no request; nothing where it may match one.
pub(super) fn never(pattern: &HostPattern<'_>) -> Option<Never> {
    match *pattern {
        HostPattern::Net { net, mask } => never_net(net, mask),
        HostPattern::Text {
            pattern: StringPattern::Bracketed(inner),
            ..
        } => match v6(inner) {
            Some(v6) => mapped(v6.bits).map(|v4| Never::Mapped(v4, None)),
            None if dotted_quad(inner).is_some() => Some(Never::BracketedV4),
            None if inner.contains(&b'/') => Some(Never::LengthInside),
            None => Some(Never::NotV6),
        },
        HostPattern::Text {
            pattern,
            tries_name: false,
        } => never_number(pattern),
        HostPattern::Netgroup(_)
        | HostPattern::File(_)
        | HostPattern::Known
        | HostPattern::Local
        | HostPattern::Text { .. }
        | HostPattern::Brace(_) => None,
    }
}

fn never_net(net: &[u8], mask: &[u8]) -> Option<Never> {
    if let [b'[', inner @ .., b']'] = net {
        let Some(v6) = v6(inner) else {
            let is_v4 = dotted_quad(inner).is_some();
            return Some(if is_v4 { Never::BracketedV4 } else { Never::NotV6 });
        };
        return match atoi(mask) {
            length @ 0..=128 => match mapped(v6.bits) {
                Some(v4) if length >= 96 => Some(Never::Mapped(v4, u32::try_from(length - 96).ok())),
                _ => None,
            },
            _ => Some(Never::Length),
        };
    }
    let Some(address) = dotted_quad(net) else {
        return Some(Never::Net);
    };
    match Network::parse(net, mask) {
        Some(Network::V4 { mask, .. }) if address & !mask != 0 => Some(Never::HostBits(address & mask, mask)),
        Some(_) => None,
        None if mask == b"255.255.255.255" => Some(Never::FullMask),
        None if !mask.iter().any(u8::is_ascii_digit) => Some(Never::NoLength),
        None if !mask.is_empty() && mask.iter().all(|b| *b == b'0') => Some(Never::Zero),
        None => Some(Never::Length),
    }
}

/// A token of digits and dots is compared with the address as text, which has four octets without
/// leading zeros.
fn never_number(pattern: StringPattern<'_>) -> Option<Never> {
    let (text, most, is_exact) = match pattern {
        StringPattern::Exact(text) => (text, 4, true),
        StringPattern::Prefix(text) => (&text[..text.len() - 1], 3, false),
        StringPattern::Suffix(text) => (&text[1..], 3, false),
        StringPattern::Wildcard(_)
        | StringPattern::All
        | StringPattern::Known
        | StringPattern::Bracketed(_) => return None,
    };
    let mut octets = 0;
    let mut has_zero = false;
    for octet in text.split(|b| *b == b'.') {
        octets += 1;
        let value = octet.iter().fold(0u32, |n, b| {
            n.saturating_mul(10)
                .saturating_add(u32::from(b.wrapping_sub(b'0')))
        });
        if octet.is_empty() || value > 255 {
            return Some(Never::Impossible);
        }
        has_zero |= octet.len() > 1 && octet[0] == b'0';
    }
    match octets {
        _ if octets > most => Some(Never::Impossible),
        _ if has_zero => Some(Never::LeadingZero),
        1..=3 if is_exact => Some(Never::Unfinished),
        _ => None,
    }
}

/// A numeric IPv6 address as it may be read on some host: a scope id is a number or, for link-local addresses,
/// an interface that may or may not be there.
pub(super) fn v6(text: &[u8]) -> Option<Ipv6> {
    let scope = memchr::memchr(b'%', text);
    let v6 = Ipv6::parse(&text[..scope.unwrap_or(text.len())])?;
    let Some(at) = scope else { return Some(v6) };
    let address = Ipv6Addr::from_bits(v6.bits);
    let is_number = text.len() > at + 1 && text[at + 1..].iter().all(u8::is_ascii_digit);
    let is_link_local = address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02;
    (is_number || (is_link_local && text.len() > at + 1)).then_some(Ipv6 {
        has_scope: true,
        ..v6
    })
}

/// The IPv4 address that an IPv4-mapped IPv6 address holds.
fn mapped(bits: u128) -> Option<Ipv4Addr> {
    Ipv6Addr::from_bits(bits).to_ipv4_mapped()
}

/// What a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach<'t> {
    /// Every host.
    All,
    /// No host.
    Nothing,
    /// IPv4 addresses whose first bits agree.
    V4(u32, u32),
    /// IPv6 addresses whose first bits agree, whatever their scope.
    V6(u128, u32),
    /// Hosts whose address or name the string pattern matches.
    Name(StringPattern<'t>),
    /// Something else: only itself is known to lie within it.
    Other(HostPattern<'t>),
}

impl<'t> Reach<'t> {
    /// What a host pattern reaches.
    pub(super) fn of(pattern: HostPattern<'t>) -> Self {
        if never(&pattern).is_some() {
            return Reach::Nothing;
        }
        match Meaning::of(pattern) {
            Meaning::Nothing => Reach::Nothing,
            Meaning::Everyone => Reach::All,
            Meaning::Addresses(network) => Reach::of_network(network).unwrap_or(Reach::Other(pattern)),
            // Whether a scope counts, and what it names, is for the machine to say.
            Meaning::Scoped(_)
            | Meaning::Known
            | Meaning::Local
            | Meaning::Netgroup(_)
            | Meaning::File(_)
            | Meaning::Brace(_) => Reach::Other(pattern),
            Meaning::Text { text, tries_name } => match (text, text.network(), pattern) {
                (Strings::Wildcard(stars), ..) if stars.pattern.iter().all(|b| *b == b'*') => Reach::All,
                (Strings::Scoped(_), ..) => Reach::Other(pattern),
                (Strings::Ipv6(_), Some(network), _) => {
                    Reach::of_network(network).unwrap_or(Reach::Other(pattern))
                }
                (_, Some(network), _) if !tries_name => {
                    Reach::of_network(network).unwrap_or(Reach::Other(pattern))
                }
                (_, _, HostPattern::Text { pattern: text, .. }) if tries_name => Reach::Name(text),
                _ => Reach::Other(pattern),
            },
        }
    }

    /// The addresses of a network; nothing where its mask has holes.
    fn of_network(network: Network) -> Option<Self> {
        match network {
            Network::V4 { net, mask } => {
                (mask.leading_ones() == mask.count_ones()).then_some(Reach::V4(net, mask.count_ones()))
            }
            Network::V6 { net, length } => Some(Reach::V6(masked_v6(net, length), length)),
        }
    }

    /// Does every host that `inner` matches also match this?
    pub(super) fn covers(&self, inner: &Reach<'_>) -> bool {
        match (*self, *inner) {
            (Reach::All, _) | (_, Reach::Nothing) => true,
            (Reach::V4(net, length), Reach::V4(within, longer)) => {
                longer >= length && masked_v4(within, length) == net
            }
            (Reach::V6(net, length), Reach::V6(within, longer)) => {
                longer >= length && masked_v6(within, length) == net
            }
            (Reach::V6(net, length), Reach::Other(other)) => {
                scoped(other).is_some_and(|bits| masked_v6(bits, length) == net)
            }
            (Reach::Name(outer), Reach::Name(inner)) => string_covers(outer, inner),
            (Reach::Other(outer), Reach::Other(inner)) => same_host(outer, inner),
            _ => false,
        }
    }

    /// Is there no host that matches both?
    pub(super) fn is_apart_from(&self, other: &Reach<'_>) -> bool {
        match (*self, *other) {
            (Reach::Nothing, _) | (_, Reach::Nothing) => true,
            (Reach::V4(..), Reach::V6(..)) | (Reach::V6(..), Reach::V4(..)) => true,
            (Reach::V4(..), Reach::V4(..)) | (Reach::V6(..), Reach::V6(..)) => {
                !self.covers(other) && !other.covers(self)
            }
            (Reach::Name(a), Reach::Name(b)) => strings_apart(a, b),
            _ => false,
        }
    }
}

/// The bits of a bracketed address with a scope id.
fn scoped(pattern: HostPattern<'_>) -> Option<u128> {
    match pattern {
        HostPattern::Text {
            pattern: StringPattern::Bracketed(inner),
            ..
        } => v6(inner).map(|v6| v6.bits),
        HostPattern::Netgroup(_)
        | HostPattern::File(_)
        | HostPattern::Known
        | HostPattern::Local
        | HostPattern::Net { .. }
        | HostPattern::Text { .. }
        | HostPattern::Brace(_) => None,
    }
}

/// The same pattern: netgroups and files by their bytes, all else by ASCII case apart.
fn same_host(a: HostPattern<'_>, b: HostPattern<'_>) -> bool {
    match (a, b) {
        (HostPattern::Text { pattern: a, .. }, HostPattern::Text { pattern: b, .. }) => same_string(a, b),
        _ => a == b,
    }
}

fn text_of<'t>(pattern: StringPattern<'t>) -> &'t [u8] {
    match pattern {
        StringPattern::Wildcard(t)
        | StringPattern::Suffix(t)
        | StringPattern::Prefix(t)
        | StringPattern::Bracketed(t)
        | StringPattern::Exact(t) => t,
        StringPattern::All => b"ALL",
        StringPattern::Known => b"KNOWN",
    }
}

fn same_string(a: StringPattern<'_>, b: StringPattern<'_>) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b) && text_of(a).eq_ignore_ascii_case(text_of(b))
}

/// Does every string that `inner` matches also match `outer`?
pub(super) fn string_covers(outer: StringPattern<'_>, inner: StringPattern<'_>) -> bool {
    match (outer, inner) {
        (StringPattern::All, _) => true,
        _ if same_string(outer, inner) => true,
        // A mapped address is reduced before it is compared, so such an exact text never matches.
        (StringPattern::Bracketed(_), _) | (_, StringPattern::Bracketed(_)) => false,
        (_, StringPattern::Exact(text)) => string_matches(outer, text),
        (StringPattern::Suffix(outer), StringPattern::Suffix(inner)) => ends_with(inner, outer),
        (StringPattern::Prefix(outer), StringPattern::Prefix(inner)) => starts_with(inner, outer),
        _ => false,
    }
}

/// Is there no name that matches both? Names only: an address is no name.
pub(super) fn strings_apart(a: StringPattern<'_>, b: StringPattern<'_>) -> bool {
    // A host may be `unknown` by address and known by name, or the other way round.
    let is_special = |t: &[u8]| t.eq_ignore_ascii_case(b"unknown");
    match (a, b) {
        (StringPattern::Exact(a), StringPattern::Exact(b)) => {
            !a.eq_ignore_ascii_case(b) && !is_special(a) && !is_special(b)
        }
        (StringPattern::Exact(exact), StringPattern::Suffix(s))
        | (StringPattern::Suffix(s), StringPattern::Exact(exact)) => {
            !is_special(exact) && !string_matches(StringPattern::Suffix(s), exact)
        }
        (StringPattern::Suffix(a), StringPattern::Suffix(b)) => !ends_with(a, b) && !ends_with(b, a),
        _ => false,
    }
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

pub(super) fn masked_v4(bits: u32, length: u32) -> u32 {
    bits & u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

pub(super) fn masked_v6(bits: u128, length: u32) -> u128 {
    bits & u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach<'_> {
        Reach::of(HostPattern::parse(text.as_bytes()))
    }

    #[test]
    fn blocks_cover_what_lies_in_them() {
        for (outer, inner) in [
            ("10.", "10.1.2.3"),
            ("10.0.0.0/8", "10.1."),
            ("10.1.", "10.1.0.0/16"),
            ("[2001:db8::]/32", "[2001:db8::1]"),
            ("[fe80::]/10", "[fe80::1%eth0]"),
            (".example.com", "a.EXAMPLE.com"),
            (".com", ".example.com"),
            ("*.example.*", "a.example.org"),
            ("*", "LOCAL"),
            ("@trusted", "@trusted"),
        ] {
            assert!(reach(outer).covers(&reach(inner)), "{outer} {inner}");
            assert!(!reach(outer).is_apart_from(&reach(inner)), "{outer} {inner}");
        }
        for (outer, inner) in [
            ("10.1.2.3", "10."),
            ("[fe80::1%eth0]", "[fe80::1]"),
            ("LOCAL", "localhost"),
            ("@trusted", "@Trusted"),
            (".example.com", "example.com"),
            ("KNOWN", "a.example.com"),
        ] {
            assert!(!reach(outer).covers(&reach(inner)), "{outer} {inner}");
        }
    }

    #[test]
    fn what_is_apart() {
        assert!(reach("10.").is_apart_from(&reach("192.168.1.1")));
        assert!(reach("10.").is_apart_from(&reach("[::1]")));
        assert!(reach(".example.com").is_apart_from(&reach("a.example.org")));
        assert!(!reach("10.").is_apart_from(&reach("a.example.org")));
        assert!(!reach("unknown").is_apart_from(&reach("a.example.org")));
    }

    #[test]
    fn what_never_matches() {
        let why = |text: &str| never(&HostPattern::parse(text.as_bytes()));
        assert_eq!(why("10.1.2.3/8"), Some(Never::HostBits(0x0a00_0000, 0xff00_0000)));
        assert_eq!(why("10.0.0.1/255.255.255.255"), Some(Never::FullMask));
        assert_eq!(why("0.0.0.0/0"), Some(Never::Zero));
        assert_eq!(why("10.0.0.0/33"), Some(Never::Length));
        assert_eq!(why("10.0.0.0/"), Some(Never::NoLength));
        assert_eq!(why("10.0.0/8"), Some(Never::Net));
        assert_eq!(why("10.0.0.256"), Some(Never::Impossible));
        assert_eq!(why("10.0.0.1."), Some(Never::Impossible));
        assert_eq!(why("010.0.0.1"), Some(Never::LeadingZero));
        assert_eq!(why("192.168"), Some(Never::Unfinished));
        assert_eq!(why("[10.0.0.1]"), Some(Never::BracketedV4));
        assert_eq!(why("[2001:db8::/32]"), Some(Never::LengthInside));
        assert_eq!(why("[2001:dg8::]"), Some(Never::NotV6));
        assert_eq!(
            why("[::ffff:10.0.0.1]"),
            Some(Never::Mapped(Ipv4Addr::new(10, 0, 0, 1), None))
        );
        assert_eq!(
            why("[::ffff:10.0.0.0]/104"),
            Some(Never::Mapped(Ipv4Addr::new(10, 0, 0, 0), Some(8)))
        );
        for fine in [
            "10.",
            "10.0.0.1",
            ".0.1",
            "0.0.0.0/0.0.0.0",
            "[::]/0",
            "[::]/64x",
            "10.0.0.0/8x",
            "a.b",
        ] {
            assert_eq!(why(fine), None, "{fine}");
        }
    }
}
