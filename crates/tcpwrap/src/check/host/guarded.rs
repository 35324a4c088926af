//! Which daemons are here, and which of them ask the tables.

use analysis::check::{Code, host as codes, quoted};
use hosts_access::Diagnostic;
use obey::{Answer, Listener, Listeners, Machine, words};

use super::reach::{Decider, stopped};

/// What is known of this machine's daemons.
pub(super) struct Guards {
    machine: Option<Machine>,
    listeners: Option<Listeners>,
}

impl Guards {
    pub(super) fn of_this_host() -> Self {
        Guards {
            // Only a file that is named can fail to be read.
            machine: Machine::of_this_host(None).ok(),
            listeners: None,
        }
    }

    /// What is wrong with a daemon's name on this machine.
    pub(super) fn judge(&self, name: &[u8]) -> Option<(&'static Code, String)> {
        // Names that sshd itself asks about when it forwards.
        if name.starts_with(b"sshdfwd-") || name.starts_with(b"sshfwd-") {
            return self.judge(b"sshd");
        }
        let answer = self.machine.as_ref()?.daemon(name);
        let code = match answer {
            Answer::Obeyed(_) => return None,
            Answer::Perhaps(..) => &codes::UNCERTAIN,
            Answer::Off(..) => &codes::SWITCHED_OFF,
            Answer::OtherName(..) => &codes::OTHER_NAME,
            Answer::Bare(..) | Answer::Unguarded(_) => &codes::UNGUARDED,
            Answer::Unknown => &codes::NO_PROGRAM,
        };
        Some((code, answer.problem(name)?))
    }

    /// What is wrong with a rule for a port.
    pub(super) fn judge_port(&mut self, port: u16) -> Option<(&'static Code, String)> {
        let bare = self
            .bare()
            .find(|listener| listener.socket.address.port() == port)?;
        let message = format!("nothing asks these tables at port {port}: {}", shown(bare));
        Some((&codes::UNGUARDED, message))
    }

    /// What is wrong with a rule for all daemons.
    pub(super) fn judge_all(&mut self) -> Option<(&'static Code, String)> {
        const MOST_SHOWN: usize = 5;
        let bare = self
            .bare()
            .filter(|listener| !listener.socket.address.ip().is_loopback());
        let mut names: Vec<String> = bare.map(shown).collect();
        names.dedup();
        let more = names.len().saturating_sub(MOST_SHOWN);
        names.truncate(MOST_SHOWN);
        let mut list = names.join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} more"));
        }
        let message = format!("this does not hold for what asks nobody here: {list}");
        (!names.is_empty()).then_some((&codes::BARE_LISTENERS, message))
    }

    /// What waits for clients here.
    pub(super) fn listeners(&mut self) -> impl Iterator<Item = &Listener> {
        if self.listeners.is_none() {
            let machine = self.machine.as_ref();
            self.listeners = machine.and_then(|machine| obey::listeners(machine, false).ok());
        }
        self.listeners.iter().flat_map(|listeners| &listeners.all)
    }

    /// The daemons of units that do not run.
    pub(super) fn stopped(&self, running: &[Decider]) -> Vec<Decider> {
        self.machine
            .as_ref()
            .map_or_else(Vec::new, |machine| stopped(machine, running))
    }

    /// Listeners for which it is certain that nothing asks.
    fn bare(&mut self) -> impl Iterator<Item = &Listener> {
        let all = self.listeners();
        all.filter(|listener| listener.obeys.is_bare() && listener.process.is_some())
    }

    /// What is wrong with the files that say what is started.
    pub(super) fn problems(&self) -> &[Diagnostic] {
        self.machine.as_ref().map_or(&[], Machine::problems)
    }
}

fn shown(listener: &Listener) -> String {
    format!(
        "{} at {}",
        quoted(&listener.daemon),
        words::endpoint(&listener.socket)
    )
}
