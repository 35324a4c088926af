//! Whatever bytes a table holds: an explained decision is the decision, and spans point at their text.

use analysis::document::{Content, Document, content};
use analysis::explain::explain;
use hosts_access::dry::DryHost;
use hosts_access::{Request, Tables};
use proptest::prelude::*;
use proptest::sample::select;

const PIECES: &[&str] = &[
    "sshd",
    "ALL",
    ":",
    ":",
    "\n",
    "\n",
    " ",
    ",",
    "EXCEPT",
    "\\\n",
    "10.",
    "192.0.2.1",
    "[",
    "]",
    "[::1]",
    "@",
    "LOCAL",
    "192.0.2.0/24",
    "host.example.org",
    "deny",
    "allow",
    "spawn /bin/true",
    "#",
    "\\:",
    "/list",
];

fn table() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => select(PIECES).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn explained_as_decided_and_every_span_at_its_text(
        allow in table(),
        deny in table(),
        address in select(&["192.0.2.1", "10.1.2.3", "::1", "unknown"][..]),
    ) {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("hosts.allow"), &allow)?;
        std::fs::write(dir.path().join("hosts.deny"), &deny)?;
        let tables = Tables::in_directory(dir.path());
        let mut host = DryHost::new(address).named("host.example.org");
        let decided = tables.decide(&mut Request::new("sshd"), &mut host);
        let explained = explain(&tables, &mut Request::new("sshd"), &mut host);
        prop_assert_eq!(&decided, &explained.decision);
        for rule in &explained.rules {
            for token in &rule.tokens {
                prop_assert!(!rule.token(token).is_empty());
            }
        }
        for text in [allow, deny] {
            let document = Document::new("table", text);
            for entry in &document.entries {
                let line = document.line(entry);
                if let Content::Rule(rule) = content(&line) {
                    for token in rule.clients.tokens() {
                        let at = document.position(entry, token.span.start).offset;
                        prop_assert_eq!(document.text.get(at), token.text.first());
                    }
                }
            }
        }
    }
}
