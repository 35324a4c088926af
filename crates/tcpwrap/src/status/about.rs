//! Which rules are about a service.

use analysis::document::{Content, Documents, content};
use hosts_access::string_matches;
use hosts_access::syntax::pattern::{DaemonPattern, Service, StringPattern};
use serde::Serialize;

/// How a rule comes to be about a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// No rule is.
    Nothing,
    /// One is for all daemons.
    All,
    /// One names it, or its port.
    Named,
}

/// The daemons that rules name.
#[derive(Debug, Default)]
pub struct Named {
    tokens: Vec<Vec<u8>>,
}

impl Named {
    /// Those of these tables.
    pub fn new(tables: Documents<'_>) -> Self {
        let mut tokens = std::collections::BTreeSet::new();
        for (_, document) in tables.iter() {
            for entry in &document.entries {
                let line = document.line(entry);
                if let Content::Rule(rule) = content(&line) {
                    for token in rule.daemons.tokens() {
                        if !tokens.contains(token.text) {
                            tokens.insert(token.text.to_vec());
                        }
                    }
                }
            }
        }
        Named {
            tokens: tokens.into_iter().collect(),
        }
    }

    /// Is one of them this daemon, at this port?
    pub fn about(&self, daemon: &[u8], port: u16) -> About {
        let about = |token: &Vec<u8>| match DaemonPattern::parse(token).service {
            Service::Port(named) if named == port => About::Named,
            Service::Port(_) => About::Nothing,
            Service::Name(StringPattern::All) => About::All,
            Service::Name(pattern) if string_matches(pattern, daemon) => About::Named,
            Service::Name(_) => About::Nothing,
        };
        self.tokens.iter().map(about).max().unwrap_or(About::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use analysis::document::Document;

    #[test]
    fn by_name_port_and_for_all() {
        let allow = Document::new("a", &b"sshd, in.*: 10.\n80: 10.\nweb@192.0.2.1: ALL\n"[..]);
        let named = |deny: Option<&Document>| {
            Named::new(Documents {
                allow: Some(&allow),
                deny,
            })
        };
        let deny = Document::new("d", &b"ALL EXCEPT x: ALL\n"[..]);
        let (some, all) = (named(None), named(Some(&deny)));
        assert_eq!(some.about(b"SSHD", 22), About::Named);
        assert_eq!(some.about(b"in.ftpd", 21), About::Named);
        assert_eq!(some.about(b"nginx", 80), About::Named);
        assert_eq!(some.about(b"web", 81), About::Named);
        assert_eq!(some.about(b"nginx", 81), About::Nothing);
        assert_eq!(all.about(b"nginx", 81), About::All);
    }
}
