//! What a comparison says: which requests, by services and clients, and what becomes of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Incomparable;
use super::confirm::Witness;
use super::facts::Answers;
use super::family::Family;
use super::outcome::Outcome;
use super::ranges::{blocks, difference, normal};
use super::words::Strings;

/// What two policies do differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The differences; no request is part of two of them.
    pub differences: Vec<Difference>,
    /// What the differences depend on and the tables do not tell.
    pub unknowns: Vec<Unknown>,
    /// Requests that could not be compared.
    pub left_out: Vec<LeftOut>,
}

/// Requests that could not be compared, and of which so nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What they ask for.
    pub services: Vec<Service>,
    /// Why.
    pub problem: Incomparable,
}

/// Something that is not known from the tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unknown {
    /// Whether this `aclexec` command succeeds.
    Command(Vec<u8>),
    /// Which hosts are in this netgroup.
    Netgroup(Vec<u8>),
    /// Patterns name network interfaces; addresses were taken without them.
    Scope,
}

/// Requests that end differently, all in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What they ask for.
    pub services: Vec<Service>,
    /// Who asks.
    pub clients: Clients,
    /// What became of them.
    pub old: Outcome,
    /// What becomes of them.
    pub new: Outcome,
    /// One of them.
    pub witness: Witness,
}

/// Services by their names, ports and server endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The daemons' names; nothing where any will do.
    pub daemons: Option<Vec<Strings>>,
    /// The server's ports; nothing where any will do.
    pub ports: Option<Ports>,
    /// The server's addresses; nothing where any will do.
    pub addresses: Option<Addresses>,
    /// The server's names; nothing where any will do.
    pub names: Option<Vec<Strings>>,
    /// Netgroups the server is or is not in.
    pub netgroups: Vec<(Vec<u8>, bool)>,
}

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// These.
    These(Vec<u16>),
    /// Any but these, and any that is not known.
    AllBut(Vec<u16>),
}

impl Ports {
    /// Is this port among them?
    pub fn holds(&self, port: u16) -> bool {
        match self {
            Ports::These(ports) => ports.contains(&port),
            Ports::AllBut(ports) => !ports.contains(&port),
        }
    }
}

/// Clients by what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clients {
    /// Their addresses.
    pub addresses: Addresses,
    /// Their names; nothing where any will do.
    pub names: Option<Vec<Strings>>,
    /// Their users; nothing where any will do.
    pub users: Option<Vec<Strings>>,
    /// Netgroups they are or are not in.
    pub netgroups: Vec<(Vec<u8>, bool)>,
    /// What else is known of them: the answer to each question that matters.
    pub answers: Vec<Answers>,
}

/// A set of addresses: the fewest blocks that make it up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Addresses {
    /// Blocks, IPv4 first.
    pub parts: Vec<AddressPart>,
    /// An address that is not known is one of them.
    pub unknown: bool,
}

/// Blocks of addresses, perhaps only those whose text certain patterns match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressPart {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Patterns that match the addresses, or do not.
    pub spelled: Vec<(Vec<u8>, bool)>,
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// The first address.
    pub address: IpAddr,
    /// How many bits of it all of them share.
    pub length: u8,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = if self.address.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.length == full {
            Ok(())
        } else {
            write!(f, "/{}", self.length)
        }
    }
}

impl Block {
    pub(super) fn ends(&self) -> (u128, u128) {
        let (first, bits) = match self.address {
            IpAddr::V4(v4) => (v4.to_bits().into(), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let free = u128::MAX
            .checked_shr(128 - (bits - u32::from(self.length)))
            .unwrap_or(0);
        (first, first | free)
    }
}

impl AddressPart {
    /// The fewest blocks that make up the rest of the family: what the blocks leave out.
    ///
    /// ```
    /// use analysis::compare::{AddressPart, Block};
    /// let block = |address: &str, length| Block { address: address.parse().unwrap(), length };
    /// let part = AddressPart { blocks: vec![block("128.0.0.0", 1), block("64.0.0.0", 2)], spelled: Vec::new() };
    /// assert_eq!(part.rest(), [block("0.0.0.0", 2)]);
    /// ```
    pub fn rest(&self) -> Vec<Block> {
        let Some(first) = self.blocks.first() else {
            return Vec::new();
        };
        let family = if first.address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        let all = Block {
            length: 0,
            address: match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 | Family::Unknown => Ipv6Addr::UNSPECIFIED.into(),
            },
        };
        let ranges = normal(self.blocks.iter().map(Block::ends).collect());
        blocks_of(family, &difference(&[all.ends()], &ranges))
    }
}

impl Addresses {
    /// Is every address one of them, known or not?
    pub fn is_all(&self) -> bool {
        self.unknown && self.holds_both_families()
    }

    /// Is every address one of them, but one that is not known?
    pub(super) fn is_all_known(&self) -> bool {
        !self.unknown && self.holds_both_families()
    }

    fn holds_both_families(&self) -> bool {
        let is_all = |is_v4: bool| {
            self.parts.iter().any(|part| {
                part.spelled.is_empty()
                    && matches!(part.blocks[..], [b] if b.length == 0 && b.address.is_ipv4() == is_v4)
            })
        };
        is_all(true) && is_all(false)
    }
}

/// Ranges of a family as blocks.
pub(super) fn blocks_of(family: Family, ranges: &[(u128, u128)]) -> Vec<Block> {
    let bits = if family == Family::V4 { 32 } else { 128 };
    let blocks = blocks(ranges, bits).into_iter();
    blocks
        .map(|(first, length)| Block {
            // `as`: an address of 32 bits, and a length of 128 at most.
            address: match family {
                Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(first as u32)),
                Family::V6 | Family::Unknown => IpAddr::V6(Ipv6Addr::from_bits(first)),
            },
            length: length as u8,
        })
        .collect()
}
