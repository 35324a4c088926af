//! What the additions to the language ask of the world, and what they are told (hosts_access(5), ADDITIONS).
//!
//! Each question has an answer or a cause why it has none. What is not known never opens a door.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::syntax::option::{Limit, Max};
use crate::syntax::time::Moment;

/// A question about a client, or about the world around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Where is its address? [`Found::Location`]
    Location,
    /// In which autonomous system? [`Found::System`]
    System,
    /// Which addresses of the client's family has this name? [`Found::Addresses`]
    Addresses(Vec<u8>),
    /// What does this list in the DNS say of it? [`Found::Listed`]
    Listed(Vec<u8>),
    /// Is it this host, or near? [`Found::Nearness`]
    Nearness,
    /// What time is it in this zone, or else the host's? [`Found::Time`]
    Time(Option<Vec<u8>>),
    /// Is it on the ban list? [`Found::Yes`] or [`Found::No`]
    Banned,
    /// Is one more connection within this limit? It counts from now on. [`Found::Yes`] or [`Found::No`]
    Rate {
        /// What the limit belongs to: the daemon, and the text of the rule.
        rule: Vec<u8>,
        /// How many in what time.
        limit: Limit,
    },
    /// Are there, with this one, no more connections than that? [`Found::Yes`] or [`Found::No`]
    Connections(Max),
}

impl Fact {
    /// Is it the same question, whichever rule it is for?
    pub fn is_like(&self, other: &Fact) -> bool {
        match (self, other) {
            (Fact::Rate { .. }, Fact::Rate { .. }) | (Fact::Connections(_), Fact::Connections(_)) => true,
            (one, other) => one == other,
        }
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Codes of the country and the continent, in capitals, as far as the database has them.
    Location {
        /// ISO 3166
        country: Option<[u8; 2]>,
        /// One of [`CONTINENTS`](crate::syntax::brace::CONTINENTS).
        continent: Option<[u8; 2]>,
    },
    /// The number of the autonomous system, if it is in one.
    System(Option<u32>),
    /// Addresses; none for a name that does not exist.
    Addresses(Vec<IpAddr>),
    /// What a list says; nothing where it does not have the client.
    Listed(Vec<Ipv4Addr>),
    /// How near the client is.
    Nearness {
        /// Its address is one of this host's.
        same_host: bool,
        /// It is in a network that this host is directly on.
        same_net: bool,
    },
    /// The time.
    Time(Moment),
    /// Yes.
    Yes,
    /// No.
    No,
}

impl Found {
    /// The answer to a question that is answered so.
    pub fn yes_or_no(&self) -> Option<bool> {
        match self {
            Found::Yes => Some(true),
            Found::No => Some(false),
            Found::Location { .. }
            | Found::System(_)
            | Found::Addresses(_)
            | Found::Listed(_)
            | Found::Nearness { .. }
            | Found::Time(_) => None,
        }
    }
}

impl From<bool> for Found {
    fn from(yes: bool) -> Self {
        if yes { Found::Yes } else { Found::No }
    }
}

/// Why a question has no answer, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(String);

impl Cause {
    /// This cause.
    pub fn new(text: impl Into<String>) -> Self {
        Cause(text.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// The answer to a question, or why there is none.
pub type Known = Result<Found, Cause>;
