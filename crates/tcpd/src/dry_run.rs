//! The [`Host`] of tcpdmatch and tcpdchk: looks names up, and carries nothing out.

use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hosts_access::decide::reason;
use hosts_access::{Diagnostic, Effect, Fact, Found, Host, Kind, Known, Outcome, Place, Side, UNKNOWN};

use system::{connection, facts, netdb};

use crate::report::Report;

/// A host that reports what the engine says and does nothing that it asks for.
///
/// Everything about the request is set beforehand; what is not, is unknown.
pub(crate) struct DryRun<'r> {
    report: &'r mut Report,
    /// Does a `twist` option end the decision, and is a banner shown? In tcpdmatch it is so, in tcpdchk the rule is
    /// shown to its end.
    pub(crate) twist_delegates: bool,
    /// A command was met whose status would decide.
    pub(crate) command_decides: bool,
}

impl<'r> DryRun<'r> {
    pub(crate) fn new(report: &'r mut Report) -> Self {
        DryRun {
            report,
            twist_delegates: false,
            command_decides: false,
        }
    }
}

impl Host for DryRun<'_> {
    fn address(&mut self, _side: Side, _at: Option<&Place>) -> Vec<u8> {
        UNKNOWN.to_vec()
    }

    fn name(&mut self, _side: Side, _address: &[u8], _at: Option<&Place>) -> Vec<u8> {
        UNKNOWN.to_vec()
    }

    fn port(&mut self, _side: Side) -> Option<u16> {
        None
    }

    fn user(&mut self, _at: Option<&Place>) -> Vec<u8> {
        UNKNOWN.to_vec()
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        netdb::in_netgroup(group, host)
    }

    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, at: Option<&Place>) -> Known {
        match fact {
            // A dry run counts nothing.
            Fact::Rate { .. } | Fact::Connections(_) => {
                if self.twist_delegates {
                    let what = match fact {
                        Fact::Rate { .. } => "limit",
                        _ => "max",
                    };
                    let text = format!("{what} is not asked here: whoever is over it is denied");
                    self.report
                        .diagnostic(&Diagnostic::new(Kind::Warning, at.cloned(), text));
                }
                Ok(Found::Yes)
            }
            Fact::Location
            | Fact::System
            | Fact::Addresses(_)
            | Fact::Listed(_)
            | Fact::Nearness
            | Fact::Time(_)
            | Fact::Banned => facts::answer(&facts::ONCE, fact, client, None),
        }
    }

    /// tcpdmatch shows what would be sent. A directory that is not there would be logged on a real run.
    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        let problem = match fs::metadata(Path::new(OsStr::from_bytes(directory))) {
            Ok(facts) if facts.is_dir() => {
                let report = &mut self.report;
                return connection::banner(directory, daemon, &mut |problem| {
                    report.diagnostic(&Diagnostic::new(Kind::Warning, at.cloned(), problem));
                })
                .filter(|_| self.twist_delegates);
            }
            Ok(_) => "not a directory".to_owned(),
            Err(error) => reason(&error),
        };
        let text = [directory, b": ", problem.as_bytes()].concat();
        self.report
            .diagnostic(&Diagnostic::new(Kind::Warning, at.cloned(), text));
        None
    }

    fn perform(&mut self, effect: &Effect, _at: Option<&Place>) -> Outcome {
        match effect {
            Effect::Aclexec(_) => self.command_decides = true,
            Effect::Banner { text, .. } => self.report.raw(text),
            Effect::Twist(_) if self.twist_delegates => return Outcome::Delegated,
            Effect::User { user, group } => {
                return match group {
                    _ if netdb::user(user).is_none() => refused("user", user),
                    Some(group) if netdb::group(group).is_none() => refused("group", group),
                    _ => Outcome::Done,
                };
            }
            Effect::Group(group) if netdb::group(group).is_none() => return refused("group", group),
            _ => {}
        }
        Outcome::Done
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        self.report.diagnostic(diagnostic);
    }
}

fn refused(what: &str, name: &[u8]) -> Outcome {
    Outcome::Refused([b"unknown ", what.as_bytes(), b": \"", name, b"\""].concat())
}
