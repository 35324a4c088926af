//! The tables that count for a service, and what they say: nearly always the same two for all of them, but a guard may
//! have been given others, and a container has its own.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use hosts_access::policy::Compiled;
use hosts_access::{Host, Request, TableKind, Tables, Verdict};

use super::about::{About, Named};
use super::open::{Key, Open, Opened};
use crate::check::input::{self, Policy};

/// Two tables, the allow table first.
pub type Pair = [PathBuf; 2];

/// What is known of each pair.
#[derive(Debug, Default)]
pub struct Policies {
    known: HashMap<Pair, Known>,
}

#[derive(Debug)]
struct Known {
    policy: Result<Policy, String>,
    named: Named,
    opened: Option<Opened>,
    compiled: Option<Compiled>,
    /// What was asked before.
    told: RefCell<HashMap<Key, Option<Open>>>,
}

impl Policies {
    /// Reads these pairs.
    pub fn read(pairs: impl Iterator<Item = Pair>) -> Self {
        let pairs: HashSet<Pair> = pairs.collect();
        let known = pairs.into_iter().map(|pair| {
            let policy = input::both(&tables(&pair), false);
            let known = match policy {
                Ok(policy) => Known {
                    named: Named::new(policy.tables()),
                    opened: Opened::new(policy.tables()).ok(),
                    compiled: Some(policy.tables().compiled()),
                    told: RefCell::default(),
                    policy: Ok(policy),
                },
                Err(problem) => Known {
                    policy: Err(problem),
                    named: Named::default(),
                    opened: None,
                    compiled: None,
                    told: RefCell::default(),
                },
            };
            (pair, known)
        });
        Policies {
            known: known.collect(),
        }
    }

    /// What a pair says; the error is why it cannot be read.
    pub fn policy(&self, pair: &Pair) -> Option<Result<&Policy, &str>> {
        let known = self.known.get(pair)?;
        Some(known.policy.as_ref().map_err(String::as_str))
    }

    /// To whom a daemon is open; nothing where that is too much to follow.
    pub fn open(&self, pair: &Pair, daemon: &[u8], address: SocketAddr) -> Option<Open> {
        let known = self.known.get(pair)?;
        let opened = known.opened.as_ref()?;
        let key = opened.key(daemon, address);
        let mut told = known.told.borrow_mut();
        told.entry(key)
            .or_insert_with(|| opened.to(daemon, address))
            .clone()
    }

    /// What a pair decides; nothing where it cannot be read.
    pub fn decide(&self, pair: &Pair, request: &mut Request, host: &mut dyn Host) -> Option<Verdict> {
        Some(
            self.known
                .get(pair)?
                .compiled
                .as_ref()?
                .decide(request, host)
                .verdict,
        )
    }

    /// Which rules are about it.
    pub fn about(&self, pair: &Pair, daemon: &[u8], port: u16) -> About {
        let known = self.known.get(pair);
        known.map_or(About::Nothing, |known| known.named.about(daemon, port))
    }
}

/// The pair as tables.
fn tables([allow, deny]: &Pair) -> Tables {
    Tables::new(allow.clone(), deny.clone())
}

/// Tables as a pair.
pub fn pair(tables: &Tables) -> Pair {
    [TableKind::Allow, TableKind::Deny].map(|kind| tables.path(kind).to_path_buf())
}
