//! Every code against its examples.

use super::*;
use crate::document::Document;

fn documents(example: Example) -> (Document, Document) {
    (
        Document::new("hosts.allow", example.allow),
        Document::new("hosts.deny", example.deny),
    )
}

fn findings(example: Example) -> Vec<Finding> {
    let (allow, deny) = documents(example);
    let options = Options {
        implicit_allow: true,
        portable: true,
        today: Some(20_783),
        ..Default::default()
    };
    check_with(
        Documents {
            allow: Some(&allow),
            deny: Some(&deny),
        },
        options,
    )
}

fn all_codes() -> impl Iterator<Item = &'static Code> {
    code::all().iter().copied()
}

#[test]
fn every_bad_example_raises_its_code_and_no_good_one_does() {
    for code in all_codes().filter(|code| !code.needs_host) {
        let bad = findings(code.bad);
        let hit = bad.iter().find(|f| f.code == code);
        assert!(hit.is_some(), "{} not raised by its example: {bad:#?}", code.id);
        let good = findings(code.good);
        assert!(
            good.iter().all(|f| f.code != code),
            "{} raised by {:?}",
            code.id,
            code.good
        );
    }
}

#[test]
fn good_examples_raise_nothing_at_all() {
    for code in all_codes() {
        let (allow, deny) = documents(code.good);
        let tables = Documents {
            allow: Some(&allow),
            deny: Some(&deny),
        };
        let loud: Vec<_> = check(tables)
            .into_iter()
            .filter(|f| f.level >= Level::Warning)
            .collect();
        assert!(loud.is_empty(), "{}: {loud:#?}", code.id);
    }
}

#[test]
fn examples_of_each_side_differ() {
    for code in all_codes() {
        assert_ne!(code.bad, code.good, "{}", code.id);
    }
}

#[test]
fn codes_are_in_order_and_names_are_unique() {
    let ids: Vec<_> = all_codes().map(|c| c.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let mut names: Vec<_> = all_codes().map(|c| c.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(count, names.len());
}

#[test]
fn safe_fixes_leave_nothing_of_their_kind() {
    for code in all_codes().filter(|code| !code.needs_host) {
        let (allow, deny) = documents(code.bad);
        let found = findings(code.bad);
        let fixes = |table| {
            found
                .iter()
                .filter(move |f| f.table == table && f.code == code)
                .filter_map(|f| f.fix.as_ref())
        };
        let (allow, a) = apply(&allow.text, fixes(TableKind::Allow));
        let (deny, d) = apply(&deny.text, fixes(TableKind::Deny));
        if a + d == 0 {
            continue;
        }
        let (allow, deny) = (Document::new("a", allow), Document::new("d", deny));
        let tables = Documents {
            allow: Some(&allow),
            deny: Some(&deny),
        };
        let left = check_with(
            tables,
            Options {
                implicit_allow: true,
                portable: true,
                today: Some(20_783),
                ..Default::default()
            },
        );
        assert!(
            left.iter().all(|f| f.code != code),
            "{} after its fix: {:?}",
            code.id,
            String::from_utf8_lossy(&allow.text)
        );
    }
}

#[test]
fn what_other_programs_wrote_is_not_mended_unasked() {
    let deny =
        "#---- BlockHosts Additions\nALL: 2001:db8::1 : deny\n#---- BlockHosts Additions\nALL: ::1 : deny\n";
    let deny = Document::new("hosts.deny", deny);
    let tables = Documents {
        allow: None,
        deny: Some(&deny),
    };
    let safe: Vec<_> = check(tables)
        .into_iter()
        .filter(|f| f.code.id == "W201")
        .map(|f| (f.span.line, f.fix.is_some_and(|fix| fix.is_safe)))
        .collect();
    assert_eq!(safe, [(2, false), (4, true)]);
}

/// The lines of rules said never to decide, in the allow and in the deny table.
fn shadowed(allow: &str, deny: &str) -> (Vec<u32>, Vec<u32>) {
    let (allow, deny) = (Document::new("a", allow), Document::new("d", deny));
    let tables = Documents {
        allow: Some(&allow),
        deny: Some(&deny),
    };
    let found = check(tables);
    let lines = |table| {
        found
            .iter()
            .filter(|f| f.table == table && matches!(f.code.id, "W401" | "W402" | "W403"))
            .map(|f| f.span.line)
            .collect()
    };
    (lines(TableKind::Allow), lines(TableKind::Deny))
}

#[test]
fn rules_that_earlier_ones_hide_are_found() {
    for (allow, deny, expected) in [
        ("a: 10.\na: 10.1.2.3\n", "", (vec![2], vec![])),
        ("a: 10.\n", "a: 10.1.2.3\na: 11.\n", (vec![], vec![1])),
        // Two halves, from two rules.
        (
            "a: 10.0.0.0/25\na: 10.0.0.128/25\na: 10.0.0.0/24\na: 10.0.0.\n",
            "",
            (vec![3, 4], vec![]),
        ),
        (
            "a: [2001:db8::]/33 [2001:db8:8000::]/33\na: [2001:db8::]/32\n",
            "",
            (vec![2], vec![]),
        ),
        // One word by each of two rules.
        (
            "a: .x.org\nALL: 10.\na: h.x.org, 10.1.1.1\n",
            "",
            (vec![3], vec![]),
        ),
        ("a, b: 10.\nc: 11.\n", "a b: 10.1.\nb c: 11.\n", (vec![], vec![1])),
        ("a*: ALL\nab: 10.\n", "", (vec![2], vec![])),
        (
            "ALL: ALL EXCEPT 10.0.0.1\na: 11.\na: 10.\n",
            "",
            (vec![2], vec![]),
        ),
        ("ALL EXCEPT b: 10.\na: 10.1.\nb: 10.1.\n", "", (vec![2], vec![])),
        (
            "a: ALL EXCEPT @g\nA : all EXCEPT @g\na: ALL EXCEPT @G\n",
            "",
            (vec![2], vec![]),
        ),
        ("a: ALL : twist x\na: 10. : allow\n", "", (vec![2], vec![])),
        ("a: /f\na: /f\na: /F\n", "", (vec![2], vec![])),
        // In the allow table a command that fails skips the rest; in the deny table it skips nothing.
        (
            "a: ALL: aclexec x\na: 10.\n",
            "a: ALL: aclexec x\na: 10.\n",
            (vec![2], vec![]),
        ),
        (
            "a: 10.\na: ALL: aclexec x\nb: 10.\n",
            "a: 10.1.\nb: 10.1.\n",
            (vec![], vec![1]),
        ),
        (
            "a@10.0.0.1: 10.\na: 10.\na@10.0.0.2: 10.\n",
            "",
            (vec![3], vec![]),
        ),
        ("a: 10.0.0.1", "a: 10.0.0.1\n", (vec![], vec![])),
    ] {
        assert_eq!(shadowed(allow, deny), expected, "{allow:?} {deny:?}");
    }
}

#[test]
fn large_tables_are_checked_line_by_line_all_the_same() {
    let mut text = String::new();
    for n in 0..10_000 {
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("sshd: 10.{}.{}.1\n", n / 250, n % 250));
    }
    text.push_str("sshd: 10.1.1.1\nssh: 10.300.1.1\n");
    let document = Document::new("hosts.allow", text);
    let tables = Documents {
        allow: Some(&document),
        deny: None,
    };
    let found: Vec<_> = check(tables).iter().map(|f| (f.code.id, f.span.line)).collect();
    assert_eq!(found, [("W402", 10_001), ("W123", 10_002), ("W213", 10_002)]);
}

/// What is said of an allow table, with each safe fix made, beside a closed deny table.
fn mended(allow: &[u8]) -> (Vec<&'static str>, Vec<u8>) {
    let document = Document::new("hosts.allow", allow);
    let deny = Document::new("hosts.deny", &b"ALL: ALL\n"[..]);
    let tables = Documents {
        allow: Some(&document),
        deny: Some(&deny),
    };
    let found = check(tables);
    let fixes = found
        .iter()
        .filter_map(|f| f.fix.as_ref())
        .filter(|fix| fix.is_safe);
    let codes = found
        .iter()
        .filter(|f| f.level >= Level::Warning)
        .map(|f| f.code.id);
    (codes.collect(), apply(allow, fixes).0)
}

#[test]
fn files_from_other_systems() {
    for (text, code, fixed) in [
        ("\u{feff}sshd: 10.0.0.1\n", "W008", "sshd: 10.0.0.1\n"),
        (
            "\u{feff}# a comment\nsshd: 10.0.0.1\n",
            "W008",
            "# a comment\nsshd: 10.0.0.1\n",
        ),
        ("\u{feff}\nsshd: 10.0.0.1\n", "W008", "\nsshd: 10.0.0.1\n"),
        ("sshd\u{a0}: 10.0.0.1\u{200b}\n", "W009", "sshd : 10.0.0.1\n"),
        // What a quote or a dash was to be is for a person to say.
        (
            "sshd: \u{201c}10.0.0.1\u{201d}\n",
            "W009",
            "sshd: \u{201c}10.0.0.1\u{201d}\n",
        ),
        (
            "sshd: 10.0.0.1\u{2013}10.0.0.4\n",
            "W009",
            "sshd: 10.0.0.1\u{2013}10.0.0.4\n",
        ),
        (
            "sshd: 10.0.0.1\rvsftpd: 11.0.0.1\r",
            "W003",
            "sshd: 10.0.0.1\rvsftpd: 11.0.0.1\r\n",
        ),
    ] {
        let (codes, text) = mended(text.as_bytes());
        assert!(codes.contains(&code), "{codes:?}");
        assert_eq!(String::from_utf8(text).unwrap(), fixed);
    }
    // Names of other alphabets and commands are not its business.
    for text in [
        "sshd: b\u{fc}ro.example.com\n",
        "sshd: 10.0.0.1: spawn echo \u{201c}x\u{201d}\n",
    ] {
        assert_eq!(mended(text.as_bytes()).0, [""; 0], "{text}");
    }
}

#[test]
fn stars_at_the_end_of_any_part_become_one() {
    for (rule, fixed) in [
        ("in.f**: 10.0.0.1", "in.f*: 10.0.0.1"),
        ("in.f***@gw**: 10.0.0.1", "in.f*@gw*: 10.0.0.1"),
        ("sshd: op**@gw.ex?mple.com****", "sshd: op*@gw.ex?mple.com*"),
        ("sshd: ALL EXCEPT gw**", "sshd: ALL EXCEPT gw*"),
        ("ALL: ** gw**.example.com **x @x** /x** ***", ""),
        ("sshd: 10.0.0.1: spawn echo a**", ""),
    ] {
        let fixed = if fixed.is_empty() { rule } else { fixed };
        let (_, text) = mended(format!("{rule}\n").as_bytes());
        assert_eq!(String::from_utf8(text).unwrap(), format!("{fixed}\n"));
    }
}

#[test]
fn patterns_that_a_blank_or_a_port_spoils() {
    for (clients, expected) in [
        ("10.0.0.0 /8", vec!["W209"]),
        ("10.0.0.0/ 8", vec!["W209"]),
        ("10.0.0.1 22", vec!["W214"]),
        ("https://example.com", vec!["W006"]),
        ("10.0.0.1 /etc/list", vec![]),
    ] {
        let document = Document::new("hosts.allow", format!("sshd: {clients}\n"));
        let tables = Documents {
            allow: Some(&document),
            deny: None,
        };
        let found = check(tables);
        let codes: Vec<_> = found.iter().map(|f| f.code.id).collect();
        assert_eq!(codes, expected, "{clients}");
        // No fix invents a network.
        let fixes = found.iter().filter_map(|f| f.fix.as_ref());
        let (text, _) = apply(&document.text, fixes);
        assert!(!String::from_utf8_lossy(&text).contains("22."), "{clients}");
    }
}

/// The lines of the allow and the deny table that are said to have no effect.
fn idle(allow: &str, deny: &str, files: &[(&str, &str)]) -> Vec<(TableKind, u32)> {
    let (allow, deny) = (Document::new("a", allow), Document::new("d", deny));
    let tables = Documents {
        allow: Some(&allow),
        deny: Some(&deny),
    };
    let files = files
        .iter()
        .map(|(path, text)| (path.as_bytes().to_vec(), text.as_bytes().to_vec()));
    let options = Options {
        files: files.collect(),
        ..Options::default()
    };
    let found = check_with(tables, options);
    let lines = found.iter().filter(|f| matches!(f.code.id, "W401" | "W404"));
    lines.map(|f| (f.table, f.span.line)).collect()
}

#[test]
fn rules_that_decide_nothing_are_found() {
    use TableKind::{Allow, Deny};
    const LIST: &[(&str, &str)] = &[("/l", "10.0.0.0/9 10.128.0.0/9\n.example.com\n"), ("/e", "\n")];
    for (allow, deny, expected) in [
        ("sshd EXCEPT ALL: 10.\n", "", vec![(Allow, 1)]),
        ("sshd EXCEPT ss*: 10.\n", "", vec![(Allow, 1)]),
        ("sshd: 10.1.2.128/25 EXCEPT 10.0.0.0/8\n", "", vec![(Allow, 1)]),
        ("sshd: 192.0.2.1 EXCEPT ALL\n", "", vec![(Allow, 1)]),
        (
            "sshd: a.sub.example.com EXCEPT .sub.example.com\n",
            "",
            vec![(Allow, 1)],
        ),
        ("sshd: 10. EXCEPT 10.0.0.0/9 10.128.0.0/9\n", "", vec![(Allow, 1)]),
        ("sshd: LOCAL EXCEPT KNOWN unknown\n", "", vec![(Allow, 1)]),
        ("sshd: LOCAL EXCEPT KNOWN\n", "", vec![]),
        (
            "ALL: ALL EXCEPT PARANOID : deny\nsshd: KNOWN\n",
            "",
            vec![(Allow, 2)],
        ),
        ("sshd: .example.com\nsshd: a*.example.com\n", "", vec![(Allow, 2)]),
        ("sshd: 10. 11.\nsshd: 1?.0.0.1\n", "", vec![]),
        ("sshd: 10. .example.com\nsshd: /l\n", "", vec![(Allow, 2)]),
        ("sshd: /l\nsshd: 10.1.1.1\n", "", vec![(Allow, 2)]),
        ("sshd: /e\n", "", vec![(Allow, 1)]),
        // Of a file that is not known nothing is said, but that it is the same as itself.
        ("sshd: 10. .example.com\nsshd: /other\n", "", vec![]),
        (
            "sshd: /other 11.\nsshd: /other EXCEPT 10.\n",
            "",
            vec![(Allow, 2)],
        ),
        ("sshd: @g\nsshd: 10. EXCEPT @g\n", "", vec![]),
        (
            "sshd: 10. EXCEPT 10.1.\nsshd: 10.1. EXCEPT 10.1.1.\nsshd: 10.2. 10.1.2.\n",
            "",
            vec![(Allow, 3)],
        ),
        (
            "sshd: 10.\n",
            "sshd: 10.1. EXCEPT 10.1.1.1\nsshd: ALL\n",
            vec![(Deny, 1)],
        ),
        // A command that fails lets the next table decide.
        (
            "sshd: 10. : aclexec /x\n",
            "sshd: 10.1. EXCEPT 10.1.1.1\n",
            vec![],
        ),
        (
            "sshd: ALL : aclexec /x\nsshd: ALL EXCEPT 10.\n",
            "",
            vec![(Allow, 2)],
        ),
        ("22: ALL\n", "sshd: ALL\n", vec![]),
        ("sshd: u@10.\nsshd: 10. EXCEPT v@10.\n", "", vec![]),
        ("sshd: 10.\nsshd: u@10. EXCEPT 10.1.\n", "", vec![(Allow, 2)]),
        // A program without a name is called `unknown`.
        ("KNOWN: ALL\nsshd: 10. EXCEPT 10.1.\n", "", vec![(Allow, 2)]),
        ("KNOWN: ALL\nunknown: 10. EXCEPT 10.1.\n", "", vec![]),
        ("KNOWN: ALL\nALL EXCEPT sshd: 10.\n", "", vec![]),
        // Who is in a country is known, or not known, for all rules that ask.
        (
            "sshd: {country=DE|AT}\nsshd: {country=at}\n",
            "",
            vec![(Allow, 2)],
        ),
        (
            "sshd: {country=DE|AT}\nsshd: {country=AT} : aclexec /x\n",
            "",
            vec![],
        ),
        ("ALL: {banned} : deny\nsshd: {banned}\n", "", vec![(Allow, 2)]),
        (
            "sshd: {time=Mon-Fri}\nsshd: {time=Wed/0800-1800}\n",
            "",
            vec![(Allow, 2)],
        ),
        ("sshd: {time=Mon-Fri}\nsshd: {time=Sat/2200-0600}\n", "", vec![]),
        ("sshd: {samenet}\nsshd: {samehost}\n", "", vec![(Allow, 2)]),
        (
            "sshd: {rbl=a.b}\nsshd: {rbl=a.b|127.0.0.2}\n",
            "",
            vec![(Allow, 2)],
        ),
        (
            "sshd: {rbl=a.b|127.0.0.2}\nsshd: {rbl=a.b|127.0.0.4}\n",
            "",
            vec![],
        ),
        ("sshd: {asn=1}\nsshd: {country=DE}\n", "", vec![]),
        (
            "sshd: 10. : if {country=DE}\nsshd: 10.1. EXCEPT 10.1.1.\n",
            "",
            vec![],
        ),
        ("sshd: 10. : trial\nsshd: 10.1. EXCEPT 10.1.1.\n", "", vec![]),
        (
            "sshd: 10. : limit 5/minute\nsshd: 10.1. EXCEPT 10.1.1.\n",
            "",
            vec![(Allow, 2)],
        ),
    ] {
        assert_eq!(idle(allow, deny, LIST), expected, "{allow:?} {deny:?}");
    }
    // One cause, one finding: what is in error, or behind what is, is told there.
    for (allow, deny) in [
        ("sshd: 10.1.2.3/8 EXCEPT 10.\n", ""),
        ("ALL: ALL\nsshd: 10. EXCEPT 10.1.\n", "ALL: ALL\n"),
        ("sshd: 10.\n", "sshd: 10.1.1.1\n"),
    ] {
        assert_eq!(idle(allow, deny, &[]), [], "{allow:?} {deny:?}");
    }
}
