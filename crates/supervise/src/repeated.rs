//! Decisions for which nothing was asked but the client's address, and nothing done: by the same rules, the next client
//! from there gets the same one, and the same line in the log.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hosts_access::policy::Compiled;
use hosts_access::{Decision, LogLine};

/// How many clients are remembered.
const KEPT: usize = 1024;

/// An address, with its scope where it has one.
type Client = (IpAddr, u32);

/// What was decided by the rules that hold.
#[derive(Debug, Default)]
pub(crate) struct Repeated(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rules: Weak<Compiled>,
    of: HashMap<Client, Arc<(Decision, LogLine)>>,
}

impl Repeated {
    /// What these rules have decided of this client.
    pub(crate) fn get(&self, rules: &Arc<Compiled>, client: &SocketAddr) -> Option<Arc<(Decision, LogLine)>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.hold_to(rules);
        kept.of.get(&key(client)).cloned()
    }

    /// Keeps it, in the place of any other where there are many.
    pub(crate) fn keep(&self, rules: &Arc<Compiled>, client: &SocketAddr, decided: (Decision, LogLine)) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.hold_to(rules);
        if kept.of.len() >= KEPT {
            kept.of.clear();
        }
        kept.of.insert(key(client), Arc::new(decided));
    }
}

impl Kept {
    /// Forgets what other rules have decided, which would keep them in memory.
    fn hold_to(&mut self, rules: &Arc<Compiled>) {
        // Others do not have the same place, which is taken as long as this is kept.
        if !std::ptr::eq(self.rules.as_ptr(), Arc::as_ptr(rules)) {
            self.rules = Arc::downgrade(rules);
            self.of.clear();
        }
    }
}

fn key(client: &SocketAddr) -> Client {
    match client {
        SocketAddr::V4(v4) => ((*v4.ip()).into(), 0),
        SocketAddr::V6(v6) => ((*v6.ip()).into(), v6.scope_id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hosts_access::dry::DryHost;
    use hosts_access::{Policy, Request, Severity, Tables};

    #[test]
    fn what_other_rules_have_decided_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::in_directory(directory.path());
        let rules = || Policy::new(tables.clone()).current();
        let (old, new) = (rules(), rules());
        let decision = tables.decide(&mut Request::new("www"), &mut DryHost::new("192.0.2.1"));
        let line = LogLine {
            severity: Severity::INFO,
            text: b"connect from 192.0.2.1 (192.0.2.1)".to_vec(),
        };
        let decided = || (decision.clone(), line.clone());
        let client = |text: &str| text.parse::<SocketAddr>().unwrap();
        let repeated = Repeated::default();
        repeated.keep(&old, &client("192.0.2.1:1"), decided());
        let kept = repeated.get(&old, &client("192.0.2.1:2"));
        assert_eq!(kept.as_deref(), Some(&decided()));
        for other in ["192.0.2.2:1", "[::ffff:192.0.2.1]:1"] {
            assert_eq!(repeated.get(&old, &client(other)), None);
        }
        assert_eq!(repeated.get(&new, &client("192.0.2.1:1")), None);
        assert!(repeated.0.lock().unwrap().of.is_empty());
        repeated.keep(&new, &client("[fe80::1%1]:1"), decided());
        assert_eq!(repeated.get(&new, &client("[fe80::1%2]:1")), None);
        for n in 1..=KEPT as u32 + 1 {
            let client = SocketAddr::new(IpAddr::from(n.to_be_bytes()), 1);
            repeated.keep(&new, &client, decided());
        }
        assert!(repeated.0.lock().unwrap().of.len() <= KEPT);
    }
}
