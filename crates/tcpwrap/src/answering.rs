//! A dry run that is told what this machine knows of a client: nothing is counted, nobody banned.

use std::net::IpAddr;
use std::time::Duration;

use hosts_access::dry::DryHost;
use hosts_access::{Diagnostic, Effect, Fact, Found, Host, Known, Outcome, Place, Side};
use system::facts;

use crate::evidence;

/// A dry host whose questions of the additions to the language are answered for real.
pub struct Answering {
    host: DryHost,
    /// The server's port.
    port: Option<u16>,
    /// What is answered whether the client is banned, if that is supposed.
    banned: Option<bool>,
}

impl Answering {
    /// Answers for the client of this host, who comes to a port.
    pub fn new(host: DryHost, port: Option<u16>) -> Self {
        Answering {
            host,
            port,
            banned: None,
        }
    }

    /// Supposes that the client is banned, or that it is not.
    pub fn supposed_banned(mut self, is_banned: bool) -> Self {
        self.banned = Some(is_banned);
        self
    }
}

impl Host for Answering {
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
        self.host.address(side, at)
    }

    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8> {
        self.host.name(side, address, at)
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        self.host.port(side)
    }

    fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
        self.host.user(at)
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        system::netdb::in_netgroup(group, host)
    }

    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        self.host.banner(directory, daemon, at)
    }

    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, _at: Option<&Place>) -> Known {
        match (fact, self.banned) {
            (Fact::Banned, Some(is_banned)) => Ok(Found::from(is_banned)),
            _ => evidence::of(&facts::ONCE, fact, client, self.port).known,
        }
    }

    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        self.host.perform(effect, at)
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        self.host.log(diagnostic);
    }

    fn pause(&mut self, _time: Duration) {}
}
