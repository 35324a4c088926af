//! A [`Host`] that looks nothing up and does nothing: for explaining, testing and comparing tables.

use std::net::IpAddr;

use crate::diagnostic::{Diagnostic, Place};
use crate::effect::{Effect, Outcome};
use crate::fact::{Cause, Fact, Known};
use crate::host::Host;
use crate::request::{Side, UNKNOWN};

/// Why a question has no answer that was not given beforehand.
const NOT_GIVEN: &str = "it was not said beforehand";

/// A host whose answers are given beforehand. Effects are not carried out; commands that would decide
/// end the decision as [`Verdict::Delegated`](crate::Verdict::Delegated).
#[derive(Debug, Clone)]
pub struct DryHost {
    addresses: [Vec<u8>; 2],
    names: [Vec<u8>; 2],
    ports: [Option<u16>; 2],
    user: Vec<u8>,
    netgroups: Vec<(Vec<u8>, Vec<u8>)>,
    command_succeeds: Option<bool>,
    facts: Vec<(Fact, Known)>,
    /// What was logged.
    pub log: Vec<Diagnostic>,
    /// Which lookups were needed, in order.
    pub lookups: Vec<Lookup>,
}

/// A lookup that a decision needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The name of one end.
    Name(Side),
    /// The user at the client's end.
    User,
}

impl DryHost {
    /// A client at this address; nothing else is known.
    pub fn new(address: impl Into<Vec<u8>>) -> Self {
        let unknown = || UNKNOWN.to_vec();
        DryHost {
            addresses: [address.into(), unknown()],
            names: [unknown(), unknown()],
            ports: [None; 2],
            user: unknown(),
            netgroups: Vec::new(),
            command_succeeds: None,
            facts: Vec::new(),
            log: Vec::new(),
            lookups: Vec::new(),
        }
    }

    /// Sets the client's name.
    pub fn named(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.names[0] = name.into();
        self
    }

    /// Sets the user at the client's end.
    pub fn with_user(mut self, user: impl Into<Vec<u8>>) -> Self {
        self.user = user.into();
        self
    }

    /// Sets the server endpoint's address, name and port.
    pub fn with_server(
        mut self,
        address: impl Into<Vec<u8>>,
        name: impl Into<Vec<u8>>,
        port: Option<u16>,
    ) -> Self {
        self.addresses[1] = address.into();
        self.names[1] = name.into();
        self.ports[1] = port;
        self
    }

    /// Sets the client's port.
    pub fn with_client_port(mut self, port: u16) -> Self {
        self.ports[0] = Some(port);
        self
    }

    /// Makes `host` a member of a netgroup.
    pub fn in_netgroup(mut self, group: impl Into<Vec<u8>>, host: impl Into<Vec<u8>>) -> Self {
        self.netgroups.push((group.into(), host.into()));
        self
    }

    /// Gives the answer to a question of the additions to the language; what is not given is not known. An answer
    /// about a limit holds for the limits of all rules, one about connections for all bounds, and a time without a zone
    /// for all zones: their clocks show it.
    pub fn told(mut self, fact: Fact, known: impl Into<Known>) -> Self {
        self.facts.push((fact, known.into()));
        self
    }

    /// Supposes that every `aclexec` command succeeds, or that every one fails.
    pub fn commands_succeed(mut self, succeed: bool) -> Self {
        self.command_succeeds = Some(succeed);
        self
    }
}

impl Host for DryHost {
    fn address(&mut self, side: Side, _at: Option<&Place>) -> Vec<u8> {
        self.addresses[side as usize].clone()
    }

    fn name(&mut self, side: Side, _address: &[u8], _at: Option<&Place>) -> Vec<u8> {
        self.lookups.push(Lookup::Name(side));
        self.names[side as usize].clone()
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        self.ports[side as usize]
    }

    fn user(&mut self, _at: Option<&Place>) -> Vec<u8> {
        self.lookups.push(Lookup::User);
        self.user.clone()
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        self.netgroups
            .iter()
            .any(|(g, h)| g == group && h.eq_ignore_ascii_case(host))
    }

    fn banner(&mut self, _directory: &[u8], _daemon: &[u8], _at: Option<&Place>) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn fact(&mut self, fact: &Fact, _client: Option<IpAddr>, _at: Option<&Place>) -> Known {
        let is_given =
            |asked: &Fact| asked.is_like(fact) || matches!((asked, fact), (Fact::Time(None), Fact::Time(_)));
        let given = self.facts.iter().find(|(asked, _)| is_given(asked));
        given.map_or_else(|| Err(Cause::new(NOT_GIVEN)), |(_, known)| known.clone())
    }

    fn perform(&mut self, effect: &Effect, _at: Option<&Place>) -> Outcome {
        match (effect, self.command_succeeds) {
            (Effect::Aclexec(_), Some(true)) => Outcome::Done,
            (Effect::Aclexec(_), Some(false)) => Outcome::Failed,
            (Effect::Aclexec(_) | Effect::Twist(_), _) => Outcome::Delegated,
            (
                Effect::Spawn(_)
                | Effect::Banner { .. }
                | Effect::Keepalive
                | Effect::Linger(_)
                | Effect::Nice(_)
                | Effect::Umask(_)
                | Effect::Setenv { .. }
                | Effect::User { .. }
                | Effect::Group(_)
                | Effect::IdentTimeout(_)
                | Effect::Ban(_),
                _,
            ) => Outcome::Done,
        }
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        self.log.push(diagnostic.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;
    use crate::decide::Tables;
    use crate::request::Request;

    #[test]
    fn it_answers_what_it_was_told() {
        let directory = tempfile::tempdir().unwrap();
        let decide = |allow: &str, host: &DryHost| {
            std::fs::write(directory.path().join("hosts.allow"), format!("{allow}\n")).unwrap();
            std::fs::write(directory.path().join("hosts.deny"), "ALL: ALL\n").unwrap();
            let tables = Tables::in_directory(directory.path());
            tables
                .decide(&mut Request::new("sshd"), &mut host.clone())
                .verdict
        };
        let host = DryHost::new("192.0.2.1")
            .named("gate.example.org")
            .with_user("joe")
            .with_server("192.0.2.99", "server.example.org", Some(22))
            .in_netgroup("trusted", "Gate.Example.Org");
        for rule in [
            "sshd: 192.0.2.1",
            "sshd: gate.example.org",
            "sshd: joe@192.0.2.1",
            "sshd: @trusted",
            "22: ALL",
            "sshd@192.0.2.99: ALL",
            "sshd@server.example.org: ALL",
        ] {
            assert_eq!(decide(rule, &host), Verdict::Granted, "{rule}");
        }
        for rule in ["23: ALL", "0: ALL", "sshd: jim@ALL", "sshd: @others"] {
            assert_eq!(decide(rule, &host), Verdict::Denied, "{rule}");
        }
        for (succeeds, verdict) in [(true, Verdict::Granted), (false, Verdict::Denied)] {
            let host = host.clone().commands_succeed(succeeds);
            assert_eq!(decide("sshd: ALL: aclexec x", &host), verdict);
            assert_eq!(decide("sshd: ALL: twist x", &host), Verdict::Delegated);
        }
        assert_eq!(decide("sshd: ALL: aclexec x", &host), Verdict::Delegated);
    }
}
