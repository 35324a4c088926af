//! The addresses of each family as numbers, and the texts by which patterns know them, written as the C
//! library writes them (hosts_access(5), PATTERNS).
//!
//! IPv6 addresses that hold an IPv4 one (`::ffff:a.b.c.d`) count as that IPv4 address, as the language
//! has it, and IPv6 addresses are taken without a scope id.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ranges::{Ranges, difference};
use hosts_access::request::UNKNOWN;

/// Kinds of address a request can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    /// IPv4: 32 bit numbers.
    V4,
    /// IPv6: 128 bit numbers.
    V6,
    /// No address is known: the number 0 alone.
    Unknown,
}

/// The IPv6 addresses that stand for IPv4 ones.
pub(super) const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

impl Family {
    pub(super) const EACH: [Family; 3] = [Family::V4, Family::V6, Family::Unknown];

    /// The highest address.
    pub(super) fn highest(self) -> u128 {
        match self {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
            Family::Unknown => 0,
        }
    }

    /// Every address.
    pub(super) fn all(self) -> Ranges {
        vec![(0, self.highest())]
    }

    /// The range without the addresses that are not of this family.
    pub(super) fn without_mapped(self, range: (u128, u128)) -> Ranges {
        match self {
            Family::V6 => difference(&[range], &[MAPPED]),
            Family::V4 | Family::Unknown => vec![range],
        }
    }

    /// The text of an address.
    pub(super) fn text(self, address: u128) -> Vec<u8> {
        match self {
            // `as`: addresses of this family have 32 bits.
            Family::V4 => Ipv4Addr::from_bits(address as u32).to_string().into_bytes(),
            Family::V6 => v6_text(address).into_bytes(),
            Family::Unknown => UNKNOWN.to_vec(),
        }
    }
}

/// The longest run of two or more zero words, the first of several: where it begins and how long it is.
pub(super) fn zero_run(is_zero: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    let mut at = 0;
    while at < 8 {
        let length = (at..8).take_while(|word| is_zero(*word)).count();
        if length >= 2 && best.is_none_or(|(_, longest)| length > longest) {
            best = Some((at, length));
        }
        at += length.max(1);
    }
    best
}

/// As `inet_ntop` writes it, which unlike Rust writes `::a.b.c.d` where six words are zero.
fn v6_text(address: u128) -> String {
    let words = Ipv6Addr::from_bits(address).segments();
    match zero_run(|word| words[word] == 0) {
        Some((0, 6)) => format!("::{}", Ipv4Addr::from_bits(address as u32)),
        _ => Ipv6Addr::from_bits(address).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_c_library() {
        let text = |text: &str| {
            let address: Ipv6Addr = text.parse().unwrap();
            String::from_utf8(Family::V6.text(address.to_bits())).unwrap()
        };
        // Each checked with inet_ntop of glibc 2.36.
        for canonical in [
            "::",
            "::1",
            "::0.1.0.2",
            "::1.2.3.4",
            "1::",
            "1:0:0:2::3",
            "1:2:0:3:4:5:6:7",
        ] {
            assert_eq!(text(canonical), canonical);
        }
        assert_eq!(text("0:0:1:0:0:2:0:0"), "::1:0:0:2:0:0");
    }
}
