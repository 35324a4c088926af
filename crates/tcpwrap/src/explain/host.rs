//! The machine as `explain` shows it: names are really looked up, effects only noted.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use hosts_access::{Diagnostic, Effect, Fact, Host, Known, Outcome, Place, Side, UNKNOWN};
use serde::Serialize;
use system::facts;
use system::names::verified_name;
use system::netdb;

use super::requests::{Asked, NameSource};
use crate::evidence;
use crate::output::{Text, utf8};

/// A lookup that was needed.
#[derive(Debug, Clone, Serialize)]
pub struct Lookup {
    /// What was looked up: `client name`, `server name`, `client user`, or what a pattern in braces or a limit asks.
    pub what: &'static str,
    /// What was found.
    pub found: Text,
    /// How long it took, in milliseconds; nothing where the answer was given beforehand.
    pub milliseconds: Option<f64>,
}

/// Answers for one request.
pub struct ExplainHost<'r> {
    request: &'r Asked,
    /// What was looked up, in order.
    pub lookups: Vec<Lookup>,
    /// What would be logged.
    pub log: Vec<String>,
}

impl<'r> ExplainHost<'r> {
    /// A host that answers for `request`.
    pub fn new(request: &'r Asked) -> Self {
        ExplainHost {
            request,
            lookups: Vec::new(),
            log: Vec::new(),
        }
    }
}

impl Host for ExplainHost<'_> {
    fn address(&mut self, side: Side, _at: Option<&Place>) -> Vec<u8> {
        match side {
            Side::Client => self.request.address.clone(),
            Side::Server => self.request.server_address.clone(),
        }
    }

    fn name(&mut self, side: Side, address: &[u8], _at: Option<&Place>) -> Vec<u8> {
        let (what, source) = match side {
            Side::Client => ("client name", &self.request.name),
            Side::Server => ("server name", &self.request.server_name),
        };
        let start = Instant::now();
        let (name, milliseconds) = match source {
            NameSource::Given(name) => (name.clone(), None),
            NameSource::NameService => {
                let log = &mut self.log;
                let name = socket_address(address).map_or_else(
                    || UNKNOWN.to_vec(),
                    |address| {
                        verified_name(&address, &mut |text| {
                            log.push(format!("warning: {}", utf8(&text)));
                        })
                    },
                );
                (name, Some(start.elapsed().as_secs_f64() * 1e3))
            }
        };
        self.lookups.push(Lookup {
            what,
            found: Text(name.clone()),
            milliseconds,
        });
        name
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        match side {
            Side::Client => None,
            Side::Server => self.request.port,
        }
    }

    fn user(&mut self, _at: Option<&Place>) -> Vec<u8> {
        let user = self.request.user.clone().unwrap_or_else(|| UNKNOWN.to_vec());
        self.lookups.push(Lookup {
            what: "client user",
            found: Text(user.clone()),
            milliseconds: None,
        });
        user
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        netdb::in_netgroup(group, host)
    }

    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, _at: Option<&Place>) -> Known {
        let start = Instant::now();
        let evidence = evidence::of(&facts::ONCE, fact, client, self.request.port);
        self.lookups.push(Lookup {
            what: evidence.what,
            found: Text(evidence.text.into_bytes()),
            milliseconds: Some(start.elapsed().as_secs_f64() * 1e3),
        });
        evidence.known
    }

    fn banner(&mut self, directory: &[u8], daemon: &[u8], _at: Option<&Place>) -> Option<Vec<u8>> {
        let file = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(daemon));
        // A banner that is not there is still an option that was reached.
        Some(std::fs::read(file).unwrap_or_default())
    }

    fn perform(&mut self, effect: &Effect, _at: Option<&Place>) -> Outcome {
        match effect {
            Effect::Aclexec(_) | Effect::Twist(_) => Outcome::Delegated,
            _ => Outcome::Done,
        }
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        self.log.push(diagnostic.to_string());
    }
}

fn socket_address(address: &[u8]) -> Option<SocketAddr> {
    // Through the resolver, which knows interface names in scope ids.
    netdb::is_numeric(address)
        .then(|| netdb::resolve(address, netdb::Family::Any))
        .flatten()
        .and_then(|resolved| resolved.addresses.first().copied())
}
