//! Documents that nobody would write: no panic, fixes that come to an end, and a style that keeps every rule.

mod random;

use analysis::check::{self, Fix, Options};
use analysis::document::{Document, Documents};
use analysis::format::{format, same_rules};
use hosts_access::source::Ending;
use random::Random;

const PIECES: &[&[u8]] = &[
    b"sshd",
    b"ALL",
    b"all",
    b":",
    b":",
    b" : ",
    b" ",
    b"\t",
    b",",
    b", ",
    b"\n",
    b"\n",
    b"\\\n",
    b"\\",
    b"\r\n",
    b"#",
    b" # ",
    b"[",
    b"]",
    b"[::1]",
    b"::1",
    b"2001:db8::1",
    b"/",
    b"/32",
    b"/33",
    b"10.",
    b"10.0.0.1",
    b"010.1",
    b".",
    b".example.com",
    b"example.com",
    b"EXCEPT",
    b"except ",
    b"@",
    b"user@",
    b"*",
    b"?",
    b"%",
    b"%a",
    b"%x",
    b"spawn ",
    b"spawn=",
    b"twist",
    b"allow",
    b"deny",
    b"ALLOW",
    b"severity ",
    b"umask 022",
    b"aclexec /x",
    b"'",
    b"\"",
    b"=",
    b"date \"+%H:%M\"",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"###sshguard###\n",
    b"# DenyHosts: x\n",
    b"<ip>",
    b"x.x.x.x",
    b"{",
    b"}",
    b"-",
    b"1-2",
    b"22",
    b"70000",
    b"ssh.service",
    b"!",
    b"\x1b",
];

fn soup(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.below(60) {
        text.extend_from_slice(PIECES[random.below(PIECES.len())]);
    }
    text
}

#[test]
fn any_bytes_can_be_checked_mended_and_formatted() {
    let mut random = Random(0xdead_beef_1234_5678);
    for _ in 0..1_500 {
        let allow = Document::new("hosts.allow", soup(&mut random));
        let deny = Document::new("hosts.deny", soup(&mut random));
        let tables = Documents {
            allow: Some(&allow),
            deny: Some(&deny),
        };
        let found = check::check_with(
            tables,
            Options {
                implicit_allow: true,
                portable: true,
                today: Some(20_783),
                ..Default::default()
            },
        );
        for finding in &found {
            let document = tables
                .iter()
                .find(|(table, _)| *table == finding.table)
                .unwrap()
                .1;
            let span = &finding.span.bytes;
            assert!(
                span.start <= span.end && span.end <= document.text.len(),
                "{finding:?}"
            );
            let edits = finding.fix.iter().flat_map(|fix| &fix.edits);
            for edit in edits {
                assert!(
                    edit.bytes.start <= edit.bytes.end && edit.bytes.end <= document.text.len(),
                    "{finding:?}"
                );
            }
        }
        mend(allow.clone());
        style(&allow);
        style(&deny);
    }
}

/// Safe fixes are made again and again until none is left.
fn mend(mut document: Document) {
    let first = document.text.clone();
    for _ in 0..20 {
        let found = check::check(Documents {
            allow: Some(&document),
            deny: None,
        });
        let fixes = found
            .iter()
            .filter_map(|f| f.fix.as_ref())
            .filter(|fix: &&Fix| fix.is_safe);
        let (text, made) = check::apply(&document.text, fixes);
        if made == 0 {
            return;
        }
        document = Document::new("hosts.allow", text);
    }
    panic!("no end to mending {:?}", String::from_utf8_lossy(&first));
}

fn style(document: &Document) {
    let new = Document::new("t", format(document));
    let shown = String::from_utf8_lossy(&document.text);
    assert!(same_rules(document, &new), "{shown:?}");
    // What holds a NUL byte is left alone as it stands, blank lines above it apart.
    let is_whole = document.entries.iter().all(|e| e.ending == Ending::Newline);
    if is_whole {
        assert_eq!(
            String::from_utf8_lossy(&format(&new)),
            String::from_utf8_lossy(&new.text),
            "{shown:?}"
        );
    }
}
