//! To whom the tables open a service, in words. What is said is computed for all requests there can be, by holding the
//! tables against tables that let everybody in, and against tables that let nobody in.

mod ranges;
#[cfg(test)]
mod tests;
mod words;

use std::net::{IpAddr, SocketAddr};

use analysis::compare::{Clients, Comparison, Outcome, Ports, Service, compare};
use analysis::document::{Document, Documents};
use hosts_access::Verdict;

use ranges::Ranges;
use words::described;

/// What the tables say, for every daemon.
#[derive(Debug)]
pub struct Opened {
    /// Every request that may be let in.
    open: Vec<(Vec<Service>, Clients, bool)>,
    /// Every request that is not.
    closed: Vec<(Vec<Service>, Clients, bool)>,
    /// Services that are too much to follow.
    left_out: Vec<Service>,
    /// The ports that rules name.
    ports: Vec<u16>,
}

/// See [`Opened::key`].
pub type Key = (Vec<u8>, Option<u16>, Option<IpAddr>);

/// To whom one service is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// In words: `everyone`, `nobody`, `10.0.0.0/8 and names under .example.com`.
    pub text: String,
    /// How far.
    pub extent: Extent,
    /// A command decides for some of them.
    pub is_commanded: bool,
    open: Vec<Ranges>,
    closed: Vec<Ranges>,
}

/// How far a service is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To everyone.
    Everyone,
    /// To some.
    Some,
    /// To nobody.
    Nobody,
}

impl Opened {
    /// What these tables say.
    ///
    /// # Errors
    /// Where they are too much to follow.
    pub fn new(tables: Documents<'_>) -> Result<Self, String> {
        let nobody = Document::new("hosts.deny", &b"ALL: ALL\n"[..]);
        let held = |deny| {
            let other = Documents { allow: None, deny };
            compare(other, tables).map_err(|problem| problem.to_string())
        };
        let (opens, closes) = (held(Some(&nobody))?, held(None)?);
        let all = |comparison: &Comparison, is_open| -> Vec<_> {
            let differences = comparison
                .differences
                .iter()
                .filter(|d| may_be_let_in(&d.new) == is_open);
            differences
                .map(|d| (d.services.clone(), d.clients.clone(), is_commanded(&d.new)))
                .collect()
        };
        let left_out = opens.left_out.iter().chain(&closes.left_out);
        let (open, closed) = (all(&opens, true), all(&closes, false));
        let services = open.iter().chain(&closed).flat_map(|(services, ..)| services);
        let ports = services.filter_map(|service| service.ports.as_ref());
        let ports = ports.flat_map(|ports| match ports {
            Ports::These(ports) | Ports::AllBut(ports) => ports.iter().copied(),
        });
        Ok(Opened {
            ports: ports.collect(),
            left_out: left_out.flat_map(|left| left.services.clone()).collect(),
            open,
            closed,
        })
    }

    /// What the answer depends on: the daemon, and its port and address as far as rules ask for them.
    pub fn key(&self, daemon: &[u8], address: SocketAddr) -> Key {
        let mut services = self
            .open
            .iter()
            .chain(&self.closed)
            .flat_map(|(services, ..)| services);
        let port = Some(address.port()).filter(|port| self.ports.contains(port));
        let ip = services
            .any(|service| service.addresses.is_some())
            .then(|| address.ip());
        (daemon.to_ascii_lowercase(), port, ip)
    }

    /// To whom this daemon is open, at this port and address. Nothing where that is too much to follow.
    pub fn to(&self, daemon: &[u8], address: SocketAddr) -> Option<Open> {
        let is_it = |service: &Service| self.is_asked(service, daemon, address);
        if self.left_out.iter().any(is_it) {
            return None;
        }
        let of = |all: &[(Vec<Service>, Clients, bool)]| -> Vec<(Clients, bool)> {
            let all = all.iter().filter(|(services, ..)| services.iter().any(is_it));
            all.map(|(_, clients, commanded)| (clients.clone(), *commanded))
                .collect()
        };
        let (open, closed) = (of(&self.open), of(&self.closed));
        let is_commanded = open.iter().any(|(_, commanded)| *commanded);
        let bare = |all: Vec<(Clients, bool)>| -> Vec<Clients> {
            all.into_iter().map(|(clients, _)| clients).collect()
        };
        let (open, closed) = (bare(open), bare(closed));
        let extent = match (open.iter().any(has_address), closed.iter().any(has_address)) {
            (_, false) => Extent::Everyone,
            (false, true) => Extent::Nobody,
            (true, true) => Extent::Some,
        };
        let text = match extent {
            Extent::Everyone => "everyone".to_owned(),
            Extent::Nobody => "nobody".to_owned(),
            Extent::Some => {
                let (these, others) = (described(&open, &closed), described(&closed, &open));
                match (these, others) {
                    (Some(these), Some(others)) if these.len() <= others.len() + 16 => these,
                    (_, Some(others)) => format!("everyone but {others}"),
                    (Some(these), None) => these,
                    (None, None) => "some, by name".to_owned(),
                }
            }
        };
        Some(Open {
            text,
            extent,
            is_commanded,
            open: open.iter().map(Ranges::of).collect(),
            closed: closed.iter().map(Ranges::of).collect(),
        })
    }

    /// Is this what they ask for?
    fn is_asked(&self, service: &Service, daemon: &[u8], address: SocketAddr) -> bool {
        let at = address.ip().to_canonical();
        let own = Ranges::block(at, if at.is_ipv4() { 32 } else { 128 });
        service
            .daemons
            .as_ref()
            .is_none_or(|all| all.iter().any(|one| one.holds(daemon)))
            && service
                .ports
                .as_ref()
                .is_none_or(|ports| ports.holds(address.port()))
            && service
                .addresses
                .as_ref()
                .is_none_or(|addresses| at.is_unspecified() || Ranges::of_addresses(addresses).meets(&own))
    }
}

impl Open {
    /// How far it is open to one network.
    pub fn within(&self, network: (IpAddr, u8)) -> Extent {
        let network = Ranges::block(network.0, network.1);
        let meets = |all: &[Ranges]| all.iter().any(|ranges| ranges.meets(&network));
        match (meets(&self.open), meets(&self.closed)) {
            (true, false) => Extent::Everyone,
            (false, _) => Extent::Nobody,
            (true, true) => Extent::Some,
        }
    }
}

fn may_be_let_in(outcome: &Outcome) -> bool {
    outcome.steps.iter().any(|step| step.verdict == Verdict::Granted)
}

fn is_commanded(outcome: &Outcome) -> bool {
    outcome.steps.iter().any(|step| step.may_fail)
}

/// Connections have addresses that are known.
fn has_address(clients: &Clients) -> bool {
    !Ranges::of(clients).is_empty()
}
