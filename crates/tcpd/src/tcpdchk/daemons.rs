//! Daemon lists: is this a daemon's process name, and does anything ask the tables for it?

use std::collections::HashMap;

use analysis::document::List;
use hosts_access::syntax::pattern::{DaemonPattern, Service, StringPattern};
use obey::Machine;

use super::check_parts;
use super::clients::{self, Names};
use crate::configuration::daemon_problem;
use crate::report::Report;

/// The daemons of this host, as far as rules have named them.
pub(super) struct Daemons {
    machine: Machine,
    /// What is wrong with each, if anything: long tables name few daemons, and looking one up reads programs.
    problems: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Daemons {
    pub(super) fn new(machine: Machine) -> Self {
        Daemons {
            machine,
            problems: HashMap::new(),
        }
    }

    /// Looks at a daemon list.
    pub(super) fn check(
        &mut self,
        list: &List<'_, DaemonPattern<'_>>,
        names: &mut Names,
        report: &mut Report,
    ) {
        check_parts("daemon", list, report);
        for token in list.tokens() {
            if let Some(host) = token.pattern.host {
                names.check_server(host, token.text, report);
            }
            if let Service::Name(name) = token.pattern.service {
                self.daemon(name, report);
            }
        }
    }

    fn daemon(&mut self, pattern: StringPattern<'_>, report: &mut Report) {
        let (name, problem) = match pattern {
            // Which processes a wildcard means is the administrator's to say.
            StringPattern::All | StringPattern::Wildcard(_) => return,
            StringPattern::Suffix(name) => (name, "daemon name begins with a dot"),
            StringPattern::Prefix(name) => (name, "daemon name ends in a dot"),
            StringPattern::Known => (&b"KNOWN"[..], "a word for hosts and users, not a daemon name"),
            StringPattern::Bracketed(name) => (name, "an address, not a daemon name"),
            StringPattern::Exact(name) => match name {
                [b'@', ..] => (name, "daemon name begins with \"@\""),
                [b'/', ..] => (
                    name,
                    "daemon name begins with \"/\"; rules name the last component only",
                ),
                _ if name.eq_ignore_ascii_case(b"FAIL") => (name, clients::FAIL),
                _ if clients::is_host_word(name) => (name, "a word for hosts and users, not a daemon name"),
                _ => {
                    let machine = &self.machine;
                    let problem = self.problems.entry(name.to_vec());
                    if let Some(problem) = problem.or_insert_with(|| daemon_problem(name, machine)) {
                        report.warn(problem.clone());
                    }
                    return;
                }
            },
        };
        report.warn([name, b": ", problem.as_bytes()].concat());
    }
}
