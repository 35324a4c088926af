//! The addresses that connections come from, as sets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use analysis::compare::{Addresses, Clients, ranges};

/// Addresses of both families as ranges that do not touch, in order. IPv4 addresses are those below 2^32 of the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ranges([Vec<(u128, u128)>; 2]);

/// The highest address of each family.
const HIGHEST: [u128; 2] = [u32::MAX as u128, u128::MAX];

impl Ranges {
    pub(super) fn block(address: IpAddr, length: u8) -> Self {
        let (family, first, bits) = match address {
            IpAddr::V4(v4) => (0, u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (1, v6.to_bits(), 128),
        };
        let free = u128::MAX
            .checked_shr(128 - (bits - u32::from(length)))
            .unwrap_or(0);
        let mut ranges = Ranges::default();
        ranges.0[family].push((first & !free, first | free));
        ranges
    }

    /// Those from which connections come: the broadcast address, which networks do not match, is none.
    pub(super) fn of(clients: &Clients) -> Self {
        Ranges::of_addresses(&clients.addresses).without(&Ranges::block(Ipv4Addr::BROADCAST.into(), 32))
    }

    pub(super) fn of_addresses(addresses: &Addresses) -> Self {
        let mut ranges = Ranges::default();
        for block in addresses.parts.iter().flat_map(|part| &part.blocks) {
            let one = Ranges::block(block.address, block.length);
            (0..2).for_each(|family: usize| ranges.0[family].extend(&one.0[family]));
        }
        ranges.normal()
    }

    pub(super) fn union<'r>(all: impl Iterator<Item = &'r Ranges>) -> Self {
        let mut union = Ranges::default();
        for ranges in all {
            (0..2).for_each(|family: usize| union.0[family].extend(&ranges.0[family]));
        }
        union.normal()
    }

    fn normal(self) -> Self {
        Ranges(self.0.map(ranges::normal))
    }

    /// What is left without these.
    pub(super) fn without(&self, other: &Ranges) -> Self {
        Ranges([0, 1].map(|family: usize| ranges::difference(&self.0[family], &other.0[family])))
    }

    /// All from which connections come.
    pub(super) fn all() -> Self {
        Ranges([vec![(0, HIGHEST[0] - 1)], vec![(0, HIGHEST[1])]])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    pub(super) fn meets(&self, other: &Ranges) -> bool {
        (0..2).any(|family: usize| !ranges::intersection(&self.0[family], &other.0[family]).is_empty())
    }

    /// As networks, the fewest there are. A whole family is one word.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for family in 0..2 {
            // The broadcast address is nobody's.
            if self.0[family] == [(0, [HIGHEST[0] - 1, HIGHEST[1]][family])] {
                words.push(["every IPv4 address", "every IPv6 address"][family].to_owned());
                continue;
            }
            for (first, length) in ranges::blocks(&self.0[family], [32, 128][family]) {
                let address = match family {
                    // `as`: it is below 2^32.
                    0 => IpAddr::from(Ipv4Addr::from_bits(first as u32)),
                    _ => IpAddr::from(Ipv6Addr::from_bits(first)),
                };
                words.push(match length == [32, 128][family] {
                    true => address.to_string(),
                    false => format!("{address}/{length}"),
                });
            }
        }
        words
    }
}
