//! Numeric addresses as the language reads them (hosts_access(5), PATTERNS): dotted quads in any base
//! `inet_addr` takes, and IPv6 with an optional scope id.

use std::net::Ipv6Addr;

use crate::text::is_white_space;

/// A dotted quad: exactly four runs of other characters than dots, which `inet_addr` takes for an address: numbers in
/// decimal, octal (`0…`) or hexadecimal (`0x…`). `255.255.255.255` does not count as one, being what
/// `inet_addr` returns for an error.
pub fn dotted_quad(text: &[u8]) -> Option<u32> {
    let runs = text.split(|b| *b == b'.').filter(|run| !run.is_empty());
    if runs.count() != 4 {
        return None;
    }
    // It does not look behind white space; with fewer numbers before that, the last stands for all bytes that are left.
    let end = text.iter().position(|b| is_white_space(*b));
    let mut numbers = text[..end.unwrap_or(text.len())].split(|b| *b == b'.').peekable();
    let mut address = 0;
    let mut left = u32::BITS;
    while let Some(number) = numbers.next().map(quad_part) {
        let is_last = numbers.peek().is_none();
        let bits = if is_last { left } else { 8 };
        let number = number.filter(|number| number.checked_shr(bits).unwrap_or(0) == 0)?;
        left = left.checked_sub(bits)?;
        address |= number << left;
    }
    Some(address).filter(|address| *address != u32::MAX)
}

fn quad_part(part: &[u8]) -> Option<u32> {
    let (digits, radix) = match part {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        [b'0', rest @ ..] if !rest.is_empty() => (rest, 8),
        _ => (part, 10),
    };
    // A bare `0x` is none either.
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

/// The dotted quad that `text` is, if it is written the one way addresses are shown in. Only then does
/// an equal number mean an equal string.
pub(crate) fn canonical_quad(text: &[u8]) -> Option<u32> {
    let (mut value, mut parts) = (0, 0);
    let mut part: Option<u32> = None;
    for byte in text {
        match (byte, part) {
            // No other number begins with a zero.
            (b'0'..=b'9', None | Some(1..)) => {
                part = Some(part.unwrap_or(0) * 10 + u32::from(byte - b'0')).filter(|n| *n <= 255);
                part?;
            }
            (b'.', Some(number)) => {
                value = value << 8 | number;
                parts += 1;
                part = None;
            }
            _ => return None,
        }
    }
    // The broadcast address is no number to the language, only a string.
    part.filter(|_| parts == 3)
        .map(|last| value << 8 | last)
        .filter(|bits| *bits != u32::MAX)
}

/// An IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6 {
    /// The address.
    pub bits: u128,
    /// Is a scope id written?
    pub has_scope: bool,
}

impl Ipv6 {
    /// Reads a numeric IPv6 address, without brackets, as `getaddrinfo` does: a scope id is a number or,
    /// for link-local addresses, the name of an interface that this host has. Which one makes no difference.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // Names are tried too, and most have none.
        memchr::memchr(b':', text)?;
        let (address, scope) = match memchr::memchr(b'%', text) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let address: Ipv6Addr = std::str::from_utf8(address).ok()?.parse().ok()?;
        if let Some(scope) = scope {
            let scope = std::str::from_utf8(scope).ok()?;
            let is_number = !scope.starts_with('+') && scope.parse::<u32>().is_ok();
            let is_known = is_number || is_link_local(address) && has_interface(scope);
            if !is_known {
                return None;
            }
        }
        Some(Ipv6 {
            bits: address.to_bits(),
            has_scope: scope.is_some(),
        })
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
}

/// Has this host, in the network this process is in, an interface of that name? Where that cannot be told, as in
/// a changed root, it has: the kernel shows clients' addresses with one, and a rule that denies them must hold.
fn has_interface(name: &str) -> bool {
    let Ok(table) = std::fs::read_to_string("/proc/net/dev") else {
        return !name.is_empty();
    };
    let mut names = table.lines().filter_map(|line| line.split_once(':'));
    names.any(|(found, _)| found.trim_start() == name)
}

/// The IPv4 part of an IPv4-mapped address string, or the string itself.
#[inline]
pub(crate) fn reduce_mapped(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b':') => without_mapping(text),
        _ => text,
    }
}

fn without_mapping(text: &[u8]) -> &[u8] {
    const MAPPED: &[u8] = b"::ffff:";
    match text.get(..MAPPED.len()) {
        Some(head) if head.eq_ignore_ascii_case(MAPPED) && dotted_quad(&text[MAPPED.len()..]).is_some() => {
            &text[MAPPED.len()..]
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quads_in_every_base() {
        assert_eq!(dotted_quad(b"10.0x0a.012.1"), Some(0x0a0a_0a01));
        assert_eq!(dotted_quad(b"10.1.2.3\x0bx"), Some(0x0a01_0203));
        assert_eq!(dotted_quad(b"10.1.2.3\x0b.."), Some(0x0a01_0203));
        assert_eq!(dotted_quad(b"10.1.258\x0bx.3"), Some(0x0a01_0102));
        assert_eq!(dotted_quad(b"10.65536\x0b.2.3"), Some(0x0a01_0000));
        assert_eq!(dotted_quad(b"0xc0000201\x0b.1.2.3"), Some(0xc000_0201));
        for text in [
            "10.1.65536\x0b.3",
            "10.16777216\x0b.2.3",
            "256.1\x0b.2.3",
            "4294967296\x0b.1.2.3",
            "4294967295\x0b.1.2.3",
            "10.1.2.3.\x0b",
            "\x0b10.1.2.3",
            "10.1.2.256",
            "10.1.2\x0b",
            "10.1..2.3",
        ] {
            assert_eq!(dotted_quad(text.as_bytes()), None, "{text}");
        }
        assert_eq!(dotted_quad(b"1.2.3"), None);
        assert_eq!(dotted_quad(b"10.1.2.0x"), None);
        assert_eq!(dotted_quad(b"0X.1.2.3"), None);
        assert_eq!(dotted_quad(b"1.2.3.4.5"), None);
        assert_eq!(dotted_quad(b"1..3.4"), None);
        assert_eq!(dotted_quad(b"256.1.1.1"), None);
        assert_eq!(dotted_quad(b"08.1.1.1"), None);
        assert_eq!(dotted_quad(b"255.255.255.255"), None);
    }

    #[test]
    fn one_way_to_write_a_quad() {
        assert_eq!(canonical_quad(b"10.0.255.1"), Some(0x0a00_ff01));
        assert_eq!(canonical_quad(b"0.0.0.0"), Some(0));
        for text in [
            "",
            "1.2.3",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.4.5",
            "1.2.3.4.",
            "01.2.3.4",
            "1.2.3.00",
            "1.2.3.256",
            "1.2.3.0x4",
            "1.2.3.4 ",
            "99999999999.2.3.4",
            "255.255.255.255",
        ] {
            assert_eq!(canonical_quad(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn scope_ids_are_numbers_or_interfaces() {
        for (text, is_address) in [
            ("fe80::1%lo", true),
            ("fe80::1%7", true),
            ("2001:db8::1%7", true),
            ("ff02::1%lo", true),
            ("fe80::1%nosuch", false),
            ("2001:db8::1%lo", false),
            ("fe80::1%", false),
            ("fe80::1%+7", false),
            ("fe80::1%lo:", false),
        ] {
            assert_eq!(Ipv6::parse(text.as_bytes()).is_some(), is_address, "{text}");
        }
    }

    #[test]
    fn mapped_addresses_reduce() {
        assert_eq!(reduce_mapped(b"::ffff:10.0.0.1"), b"10.0.0.1");
        assert_eq!(reduce_mapped(b"::ffff:10.0.0"), b"::ffff:10.0.0");
    }
}
