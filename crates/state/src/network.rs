//! Networks: an address and how many of its bits count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// How many bits stand before an IPv4 address where all addresses are 128 bits long.
const MAPPED: u8 = 96;

/// A network, or one address. Bits outside its length are zero.
///
/// IPv4-mapped IPv6 addresses are IPv4 addresses; an IPv6 network never holds any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    bits: u128,
    length: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadNetwork {
    /// It is no address, or the length is no number in its range.
    Malformed,
    /// Bits are set outside the length; this network was probably meant.
    HostBits(Network),
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadNetwork::Malformed => f.write_str("not an address or network"),
            BadNetwork::HostBits(meant) => {
                write!(f, "bits are set outside the network; {meant} is the whole of it")
            }
        }
    }
}

impl std::error::Error for BadNetwork {}

fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl Network {
    /// The network of that length around an address; of an address's own length, or a greater one, the address alone.
    pub fn around(address: IpAddr, length: u8) -> Self {
        let (bits, is_v4) = bits(address);
        let length = if is_v4 {
            length.min(32) + MAPPED
        } else {
            length.min(128)
        };
        Network {
            bits: bits & mask(length),
            length,
        }
    }

    /// Reads a network or an address, as [`str::parse`] does.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn read(text: &[u8]) -> Result<Self, BadNetwork> {
        match quad(text) {
            Some((address, [])) => Ok(IpAddr::from(address).into()),
            _ => std::str::from_utf8(text)
                .map_err(|_| BadNetwork::Malformed)?
                .parse(),
        }
    }

    /// Does a line begin with an address of IPv4, and a blank, that is not this one? It does not where it cannot be told.
    #[inline]
    pub(crate) fn begins_with_another(line: &[u8], address: IpAddr) -> bool {
        matches!(quad(line), Some((other, [b' ', ..])) if IpAddr::V4(other) != address)
    }

    /// All bits, those of IPv4 as mapped, and the length among 128.
    pub(crate) fn raw(self) -> (u128, u8) {
        (self.bits, self.length)
    }

    /// Is it one of IPv4?
    pub fn is_v4(self) -> bool {
        self.length >= MAPPED && self.bits >> 32 == 0xffff
    }

    /// Its first address.
    pub fn address(self) -> IpAddr {
        match self.is_v4() {
            true => Ipv4Addr::from_bits(self.bits as u32).into(),
            false => Ipv6Addr::from_bits(self.bits).into(),
        }
    }

    /// How many bits count, of 32 or 128.
    pub fn length(self) -> u8 {
        match self.is_v4() {
            true => self.length - MAPPED,
            false => self.length,
        }
    }

    /// Is it a single address?
    pub fn is_address(self) -> bool {
        self.length == 128
    }

    /// Is the address in it?
    pub fn contains(self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits(address);
        is_v4 == self.is_v4() && bits & mask(self.length) == self.bits
    }

    /// Do the two have an address in common?
    pub fn overlaps(self, other: Network) -> bool {
        let length = mask(self.length.min(other.length));
        self.is_v4() == other.is_v4() && self.bits & length == other.bits & length
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Network::around(address, 128)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_address() {
            true => self.address().fmt(f),
            false => write!(f, "{}/{}", self.address(), self.length()),
        }
    }
}

/// Reads an address of IPv4 at the beginning of a text as the standard library does, and faster: lists of a million
/// lines have hardly anything else. What stands behind it is returned, too, and is no digit.
#[inline]
fn quad(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let mut bits = 0;
    let mut rest = text;
    for part in 0..4 {
        if part > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (&first, mut left) = rest.split_first()?;
        let mut number = u32::from(first.wrapping_sub(b'0'));
        if number > 9 {
            return None;
        }
        // Nothing follows a zero.
        while let [digit @ b'0'..=b'9', then @ ..] = left {
            number = number * 10 + u32::from(digit - b'0');
            if !(10..256).contains(&number) {
                return None;
            }
            left = then;
        }
        bits = bits << 8 | number;
        rest = left;
    }
    Some((Ipv4Addr::from_bits(bits), rest))
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork::Malformed)?;
        let Some(length) = length else {
            return Ok(address.into());
        };
        if length.is_empty() || length.len() > 3 || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadNetwork::Malformed);
        }
        let length: u16 = length.parse().map_err(|_| BadNetwork::Malformed)?;
        let is_mapped = address.is_ipv6() && address.to_canonical().is_ipv4();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            length if length > most => return Err(BadNetwork::Malformed),
            length if is_mapped => length.checked_sub(MAPPED.into()).ok_or(BadNetwork::Malformed)?,
            length => length,
        };
        let network = Network::around(address, length as u8);
        match bits(address).0 == network.bits {
            true => Ok(network),
            false => Err(BadNetwork::HostBits(network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_read_is_shown() {
        for text in [
            "192.0.2.7",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "::/0",
            "::",
            "2001:db8::/32",
            "2001:db8::1",
        ] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
        assert_eq!(network("::ffff:192.0.2.0/120"), network("192.0.2.0/24"));
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "/",
            "x",
            "1.2.3",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/-1",
            "::/129",
            "::1%lo",
            "1.2.3.4/08a",
            "::ffff:0.0.0.0/95",
            " 1.2.3.4",
            "01.2.3.4",
        ] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::Malformed), "{text}");
        }
        assert_eq!(
            "192.0.2.7/24".parse::<Network>(),
            Err(BadNetwork::HostBits(network("192.0.2.0/24")))
        );
    }

    #[test]
    fn addresses_are_read_as_the_standard_library_reads_them() {
        // Every text of what such addresses are made of, up to a length, between two ends that could make it one.
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..5 {
            let to = texts.len();
            for at in from..to {
                for letter in ['0', '1', '2', '5', '6', '.', 'x'] {
                    texts.push(texts[at].clone() + &letter.to_string());
                }
            }
            from = to;
        }
        for middle in texts {
            for text in [
                middle.clone(),
                format!("1.{middle}.255"),
                format!("192.168.{middle}"),
            ] {
                let whole = quad(text.as_bytes()).filter(|(_, rest)| rest.is_empty());
                assert_eq!(whole.map(|(address, _)| address), text.parse().ok(), "{text}");
                let client = "1.1.1.255".parse().unwrap();
                let other = text
                    .parse::<Ipv4Addr>()
                    .is_ok_and(|other| client != IpAddr::V4(other));
                assert_eq!(
                    Network::begins_with_another(format!("{text} x").as_bytes(), client),
                    other
                );
                assert!(!Network::begins_with_another(text.as_bytes(), client));
            }
        }
    }

    #[test]
    fn the_families_are_apart() {
        let v4: IpAddr = "192.0.2.7".parse().unwrap();
        assert!(network("0.0.0.0/0").contains(v4));
        assert!(!network("::/0").contains(v4));
        assert!(network("::/0").contains("::1".parse().unwrap()));
        assert!(!network("::/0").overlaps(network("0.0.0.0/0")));
        assert!(network("10.0.0.0/8").overlaps(network("10.1.2.3")));
        assert!(network("10.1.2.3").overlaps(network("10.0.0.0/8")));
        assert!(!network("10.0.0.0/9").overlaps(network("10.128.0.0/9")));
    }
}
