//! Which rules an index offers: every one that could match, and of those with keys no other.

use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use proptest::sample::select;

use crate::index::disk::{self, DiskIndex, Jump, What};
use crate::index::{Candidate, TableIndex};
use crate::matching::tests::NoFiles;
use crate::matching::{Match, clients_match, daemons_match};
use crate::request::{Need, Request, Side};
use crate::source::FileId;
use crate::syntax::fields;
use crate::work::counter;

/// A request about which all is known.
fn known(client: &str, name: &str, user: &str) -> Request {
    Request::new("sshd")
        .known_address(Side::Client, client)
        .known_name(Side::Client, name)
        .known_user(user)
        .known_address(Side::Server, "10.0.0.1")
        .known_name(Side::Server, "server.example.org")
        .known_port(Side::Server, Some(22))
}

fn text(rules: &[impl AsRef<str>]) -> String {
    rules.iter().map(|rule| format!("{}\n", rule.as_ref())).collect()
}

/// The numbers of the rules that are offered from one of them on.
fn offered_from(rules: &[impl AsRef<str>], request: &mut Request, from: u32) -> Vec<u32> {
    let text = text(rules);
    let index = TableIndex::new(text.as_bytes()).unwrap();
    let mut candidates = index.candidates(from);
    let mut offered = Vec::new();
    while let Some((at, candidate)) = candidates.next(text.as_bytes(), request).unwrap() {
        let Candidate::Lines(mut lines) = candidate else {
            panic!("no list is long")
        };
        let line = lines.next().unwrap();
        assert_eq!(
            line.text,
            format!("{}\n", rules[at as usize - 1].as_ref()).as_bytes()
        );
        assert_eq!(line.first, at);
        offered.push(at);
    }
    assert_eq!(
        offered,
        offered_by_file(&text, request, from),
        "by an index on disk"
    );
    offered
}

/// The same by an index in a file.
fn offered_by_file(text: &str, request: &mut Request, from: u32) -> Vec<u32> {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("hosts.deny");
    // Only long tables have one.
    let text = format!("{text}#{}\n", "-".repeat(disk::SMALLEST as usize));
    fs::write(&table, &text).unwrap();
    let metadata = table.metadata().unwrap();
    let id = FileId::of(&metadata);
    let image = disk::of_text(text.as_bytes(), &id).unwrap();
    fs::write(disk::path_of(&table), &image.bytes).unwrap();
    let index = DiskIndex::open(&table, What::Table, &id, metadata.uid()).unwrap();
    let mut candidates = index.candidates(from);
    let mut offered = Vec::new();
    loop {
        match index.next(&mut candidates, request).unwrap() {
            Jump::To(at, offset, above) => {
                assert_eq!(text[..offset as usize].matches('\n').count(), above as usize);
                offered.push(at);
            }
            Jump::End => return offered,
            Jump::Lost => panic!("damaged"),
        }
    }
}

fn offered(rules: &[impl AsRef<str>], request: &mut Request) -> Vec<u32> {
    offered_from(rules, request, 0)
}

/// The numbers of the rules that match.
fn matching(rules: &[impl AsRef<str>], request: &mut Request) -> Vec<u32> {
    let mut matches = |rule: &str| {
        let line = format!("{rule}\n");
        let fields = fields(line.as_bytes()).unwrap();
        let daemons = daemons_match(fields.daemons, request, &mut NoFiles).unwrap();
        daemons.and(clients_match(fields.clients, request, &mut NoFiles).unwrap()) == Match::Yes
    };
    (1..)
        .zip(rules)
        .filter(|(_, rule)| matches(rule.as_ref()))
        .map(|(at, _)| at)
        .collect()
}

/// Patterns with a key of their own. No two texts between wildcards end alike.
const KEYED: &[&str] = &[
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3/32",
    "192.0.2.2/31",
    "192.0.2.0/24",
    "192.0.2.0/255.255.255.0",
    "192.0.2.1/24",
    "192.0.0.0/16",
    "192.0.0.0/9",
    "128.0.0.0/1",
    "0.0.0.0/1",
    "0.0.0.0/0.0.0.0",
    "192.0.0.1/255.255.0.255",
    "192.0.0.2/255.255.0.255",
    "0.0.2.0/0.0.255.0",
    "192.",
    "192.0.2.",
    "192.0.20.",
    ".2.1",
    "[2001:db8::1]",
    "[2001:db8::2]",
    "[2001:db8::]/32",
    "[2001:db8::]/127",
    "[2001:db8::]/64",
    "[2001:db8::1]/64",
    "[8000::]/1",
    "[::]/1",
    "[::]/0",
    "[0:0:0:1::]/64",
    "gate.example.org",
    "GATE.Example.Org",
    "host.example.org",
    "gate",
    ".example.org",
    ".example.net",
    ".org",
    "gate.",
    "host.",
    "KNOWN",
    "LOCAL",
    "*.example.org",
    "*.example.net",
    "gate*",
    "gate.ex*",
    "gate.ez*",
    "GA*.org",
    "ho*.org",
    "*2.1",
    "192.0.*",
    "*ate.ex*",
    "*ost.ex*",
    "*evil*",
    "*xamp*",
];

const CLIENTS: &[&str] = &[
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.1.2.1",
    "10.0.0.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:1::1",
    "::1:0:0:0:1",
    "::ffff:192.0.2.1",
    "fe80::1",
    "unknown",
    "192.0.2",
];

const NAMES: &[&str] = &[
    "gate.example.org",
    "host.example.org",
    "Gate.Example.Net",
    "gate",
    "evil.example.com",
    "not-evil-at-all.org",
    "unknown",
    "paranoid",
];

proptest! {
    /// Where any daemon will do, just those are offered whose client matches, however many have the same key.
    #[test]
    fn patterns_with_keys_are_offered_to_whom_they_match(
        patterns in prop::collection::vec(select(KEYED), 1..60),
        address in select(CLIENTS),
        name in select(NAMES),
        from in 0..70u32,
    ) {
        let rules: Vec<_> = patterns.iter().map(|pattern| format!("ALL: {pattern}")).collect();
        // Who has no address has no name.
        let name = if address == "unknown" { address } else { name };
        let mut request = known(address, name, "u1");
        let wanted = matching(&rules, &mut request);
        prop_assert_eq!(&offered(&rules, &mut request), &wanted, "{:?}", rules);
        let later: Vec<_> = wanted.into_iter().filter(|at| *at >= from).collect();
        prop_assert_eq!(offered_from(&rules, &mut request, from), later);
    }

    /// Where more than a few have the same key, daemons, servers and users tell them apart.
    #[test]
    fn rules_for_one_client_are_offered_by_daemon_and_user(
        lists in prop::collection::vec((select(DAEMONS), select(USERS)), 10..40),
        client in select(&["192.0.2.1", "ALL", "*", ".example.org", "192.0.2.0/24"][..]),
        user in select(&["u1", "U2", "unknown"][..]),
    ) {
        let rules: Vec<_> = lists.iter().map(|(daemons, user)| format!("{daemons}: {user}{client}")).collect();
        let mut request = known("192.0.2.1", "gate.example.org", user);
        prop_assert_eq!(offered(&rules, &mut request), matching(&rules, &mut request), "{:?}", rules);
    }
}

/// Daemon lists whose tokens have keys.
const DAEMONS: &[&str] = &[
    "ALL",
    "sshd",
    "SSHD",
    "vsftpd",
    "vsftpd sshd",
    "vsftpd telnetd",
    "ss*",
    "x*",
    "*shd",
    ".d",
    "telnet.",
    "sshd@10.0.0.1",
    "sshd@10.0.0.2",
    "sshd@10.0.0.0/24",
    "vsftpd@10.0.0.1",
    "ALL@10.0.0.1",
    "ALL@10.0.0.2 telnetd",
    "sshd@server.example.org",
    "sshd@.example.org",
    "sshd@.example.net",
    "sshd@KNOWN",
    "sshd@LOCAL",
    "sshd@ALL",
    "vsftpd@ALL",
    "sshd@10.0.0.300/8",
];

const USERS: &[&str] = &["", "", "u1@", "u2@", "U1@", "u3@", "unknown@"];

/// As far as they are read as the index reads them: what follows `EXCEPT` does not narrow a rule.
#[test]
fn exceptions_do_not_narrow_what_is_offered() {
    let rules = [
        "sshd: 192.0.2.1 EXCEPT ALL",
        "sshd: 192.0.2.9 EXCEPT 192.0.2.1",
        "sshd EXCEPT ALL: ALL",
        "vsftpd EXCEPT sshd: ALL",
        "sshd: EXCEPT 192.0.2.1",
    ];
    assert_eq!(offered(&rules, &mut known("192.0.2.1", "unknown", "u1")), [1, 3]);
}

/// Lists of many positions are found from any of them on, and end where they end.
#[test]
fn long_lists_are_found_from_anywhere() {
    let rules: Vec<_> = (0..1500)
        .map(|at| {
            if at % 3 == 0 {
                "sshd: ALL".to_owned()
            } else {
                format!("d{at}: ALL")
            }
        })
        .collect();
    let mut request = known("192.0.2.1", "unknown", "u1");
    for from in [
        0,
        1,
        2,
        339,
        340,
        341,
        1022,
        1023,
        1498,
        1499,
        1500,
        1501,
        u32::MAX,
    ] {
        let wanted: Vec<_> = (1..=1500).step_by(3).filter(|at| *at >= from).collect();
        assert_eq!(offered_from(&rules, &mut request, from), wanted, "{from}");
    }
}

/// Lines that are logged or end the table are looked at whoever asks, and what is behind the end is not.
#[test]
fn what_is_no_rule_is_offered_only_where_it_is_logged() {
    let text =
        "# sshd: 192.0.2.1\nno rule\n\nsshd: \\\n 192.0.2.1\nsshd: 192.0.2.2\nsshd: \0\nsshd: 192.0.2.1\n";
    let index = TableIndex::new(text.as_bytes()).unwrap();
    let mut candidates = index.candidates(0);
    let mut request = known("192.0.2.1", "unknown", "u1");
    let mut lines = Vec::new();
    while let Some((at, Candidate::Lines(mut from))) = candidates.next(text.as_bytes(), &mut request).unwrap()
    {
        lines.push((at, from.next().unwrap().first));
    }
    assert_eq!(lines, [(1, 2), (2, 4), (4, 7)]);
    assert!(TableIndex::new(b"# nothing\n\n").unwrap().is_empty());
    assert!(!index.is_empty());
}

/// Eight rules under one key are not told apart; one more, and they are.
#[test]
fn a_few_rules_under_one_key_are_not_split() {
    let rules = |count: u32| {
        (0..count)
            .map(|at| format!("d{at}: 192.0.2.1"))
            .collect::<Vec<_>>()
    };
    let mut request = known("192.0.2.1", "unknown", "u1");
    assert_eq!(offered(&rules(8), &mut request), (1..=8).collect::<Vec<_>>());
    assert_eq!(offered(&rules(9), &mut request), [0; 0]);
    // Nor where another key is counted with them.
    for other in 2..40 {
        let mut rules = rules(8);
        rules.push(format!("sshd: 192.0.2.{other}"));
        assert_eq!(
            offered(&rules, &mut request),
            (1..=8).collect::<Vec<_>>(),
            "{other}"
        );
    }
}

/// A key is looked for only where something can be under one like it.
#[test]
fn what_looking_for_rules_costs() {
    for (rule, found, steps) in [
        // One key. A list that is found is taken up as it is.
        ("sshd: 10.0.N.1", 0, 1),
        ("sshd: 192.0.N.1", 1, 2),
        ("sshd: 10.N.0.0/16", 0, 1),
        ("sshd: [2001:db8::N]", 0, 0),
        ("sshd: u1@10.0.N.1", 0, 1),
        // The daemon is looked for too: itself, and any. And what its names end in.
        ("dN: ALL", 0, 2),
        ("dN: .example.net", 0, 3),
        ("sshd@10.0.0.N: ALL", 0, 8),
    ] {
        let rules: Vec<_> = (2..200).map(|n| rule.replace('N', &n.to_string())).collect();
        let text = text(&rules);
        let index = TableIndex::new(text.as_bytes()).unwrap();
        let mut request = known("192.0.2.1", "gate.example.org", "u1");
        let mut candidates = index.candidates(0);
        let counted = counter::steps(|| {
            let next = || {
                candidates
                    .next(text.as_bytes(), &mut request)
                    .unwrap()
                    .map(|_| ())
            };
            assert_eq!(std::iter::from_fn(next).count(), found, "{rule}");
        });
        assert_eq!(counted, steps, "{rule}");
    }
}

/// However many patterns a rule has that any host could match, or that look its name up, it is one candidate.
#[test]
fn a_rule_is_kept_once_for_each_reason() {
    let patterns = |pattern: &str| {
        let tokens: Vec<_> = (0..100).map(|n| pattern.replace('N', &n.to_string())).collect();
        let text = format!("sshd: {}\n", tokens.join(" "));
        TableIndex::new(text.as_bytes()).unwrap().bytes()
    };
    assert!(patterns("@gN") < 200, "{}", patterns("@gN"));
    assert!(patterns("*N?") < 200);
    // Names have a key each.
    assert!(patterns("host-N").abs_diff(patterns("192.0.2.N")) < 200);
}

#[test]
fn long_daemon_lists_are_not_told_apart() {
    let list = |count: u32| {
        let daemons = (0..count).map(|at| format!("d{at}")).collect::<Vec<_>>();
        [format!("{}: ALL", daemons.join(" "))]
    };
    let mut request = known("192.0.2.1", "unknown", "u1");
    assert_eq!(offered(&list(16), &mut request), [0; 0]);
    assert_eq!(offered(&list(17), &mut request), [1]);
    // The same daemon, named often, is one.
    let often = [format!("{}d: ALL", "d ".repeat(30)), "sshd: ALL".to_owned()];
    assert!(!offered(&often, &mut request).is_empty());
}

#[test]
fn so_many_masks_with_holes_are_told_apart() {
    // 255.0.255.1, 255.0.255.2 and so on.
    let rules: Vec<_> = (1..=40)
        .map(|at| format!("sshd: 10.0.0.0/255.0.254.{at}"))
        .collect();
    let mut request = known("192.0.2.1", "unknown", "u1");
    assert_eq!(offered(&rules, &mut request), (33..=40).collect::<Vec<_>>());
    let mut request = known("10.9.0.0", "unknown", "u1");
    assert_eq!(offered(&rules, &mut request), (1..=40).collect::<Vec<_>>());
    let mut request = known("10.9.1.3", "unknown", "u1");
    let wanted: Vec<_> = (1..=40).filter(|at| at & 3 == 0 || *at > 32).collect();
    assert_eq!(offered(&rules, &mut request), wanted);
}

#[test]
fn networks_of_all_lengths_are_told_apart() {
    let rules = |address: u32| {
        let lengths = (0..=32u32).map(|length| {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let [net, mask] = [address & mask, mask].map(std::net::Ipv4Addr::from);
            match length {
                32 => format!("sshd: {net}"),
                _ => format!("sshd: {net}/{mask}"),
            }
        });
        lengths.collect::<Vec<_>>()
    };
    let mut request = known("192.0.2.1", "unknown", "u1");
    let own = rules(0xc000_0201);
    assert_eq!(offered(&own, &mut request), (1..=33).collect::<Vec<_>>());
    assert_eq!(offered(&rules(0x0a00_0001), &mut request), [1]);
    assert_eq!(
        offered(&rules(0xc000_0200), &mut request),
        (1..=32).collect::<Vec<_>>()
    );
}

/// The lengths of the beginnings and ends of wildcards are rounded down where there are too many, to what a string
/// still has that matches.
#[test]
fn wildcards_of_all_lengths_are_found() {
    let name = "a-long.host.name.".repeat(6) + "example.org";
    let mut rules = Vec::new();
    for first in (0..90).step_by(3) {
        for last in (4..name.len() - first).step_by(5) {
            let (head, tail) = (&name[..first], &name[name.len() - last..]);
            rules.push(format!("ALL: {head}*{tail}"));
            rules.push(format!("ALL: x{head}*{tail}"));
            rules.push(format!("ALL: {head}*{tail}x"));
        }
    }
    let mut request = known("192.0.2.1", &name, "u1");
    let wanted: Vec<_> = (1..=rules.len() as u32).step_by(3).collect();
    assert_eq!(offered(&rules, &mut request), wanted);
    assert!(offered(&rules, &mut known("192.0.2.1", "x.example.com", "u1")).is_empty());
    // No shorter string has such a beginning and end.
    let few = ["ALL: gate.ex*", "ALL: *example.org", "ALL: gate.*mple.org"];
    assert_eq!(offered(&few, &mut known("192.0.2.1", "gate.", "u1")), [0; 0]);
}

/// What is cut off behind 63 bytes is no part of a key.
#[test]
fn long_beginnings_and_ends_of_wildcards() {
    for length in [62, 63, 64, 65, 200] {
        let letters = "abcdefghij".repeat(20);
        let (text, other) = (&letters[..length], "x".repeat(length));
        let rules = [
            format!("ALL: {text}*"),
            format!("ALL: *{text}"),
            format!("ALL: {text}*{text}"),
            format!("ALL: {other}*"),
            format!("ALL: *{other}"),
            format!("ALL: {text}*{other}"),
        ];
        for name in [format!("{text}{text}"), text.to_owned(), format!("{text}.{text}")] {
            let mut request = known("192.0.2.1", &name, "u1");
            let (offered, matching) = (offered(&rules, &mut request), matching(&rules, &mut request));
            assert!(
                matching.iter().all(|at| offered.contains(at)),
                "{length} {name}: {offered:?}"
            );
            assert!(offered.iter().all(|at| *at <= 3), "{length} {name}: {offered:?}");
        }
    }
}

/// Until something is known, rules that would look it up are offered too; then only those that match.
#[test]
fn rules_that_look_something_up_are_offered_until_it_is_known() {
    let first = |rules: &[&str], request: &mut Request| {
        let text = text(rules);
        let index = TableIndex::new(text.as_bytes()).unwrap();
        let mut candidates = index.candidates(0);
        let mut next = |request: &mut Request| {
            let next = candidates.next(text.as_bytes(), request).unwrap();
            next.map(|(at, _)| at)
        };
        let before = next(request);
        request.set_name(Side::Client, b"gate.example.org");
        request.set_user(b"u1");
        request.set_address(Side::Server, b"10.0.0.1");
        request.set_name(Side::Server, b"server.example.org");
        let after: Vec<_> = std::iter::from_fn(|| next(request)).collect();
        (before, after)
    };
    let asked = || Request::new("sshd").known_address(Side::Client, "192.0.2.1");
    let last = "sshd: .example.org";
    for wanting in [
        ["sshd: host.example.net", "sshd: .example.net", "sshd: LOCAL"],
        ["sshd: u2@ALL", "sshd: u3@ALL", "sshd: u4@ALL"],
        ["sshd@10.0.0.2: ALL", "sshd@10.0.0.3: ALL", "sshd@10.0.0.4: ALL"],
        [
            "sshd@a.example.net: ALL",
            "sshd@LOCAL: ALL",
            "sshd@.example.net: ALL",
        ],
    ] {
        let [a, b, c] = wanting;
        assert_eq!(
            first(&[a, b, c, last], &mut asked()),
            (Some(1), vec![4]),
            "{wanting:?}"
        );
        // The daemon is known already.
        let others = wanting.map(|rule| rule.replace("sshd", "vsftpd"));
        let [a, b, c] = others.each_ref().map(String::as_str);
        assert_eq!(
            first(&[a, b, c, last], &mut asked()),
            (Some(4), vec![]),
            "{others:?}"
        );
    }
    // What matches only now is offered from where it is on.
    let rules = [
        "sshd: .example.org",
        "sshd: .example.net",
        "sshd: u1@ALL",
        "sshd@10.0.0.1: ALL",
    ];
    assert_eq!(first(&rules, &mut asked()), (Some(1), vec![3, 4]));
    // All of it looked up before, nothing is offered in vain.
    let rules = [
        "sshd: .example.net",
        "sshd: u2@ALL",
        "sshd@10.0.0.2: ALL",
        "sshd@LOCAL: ALL",
    ];
    assert_eq!(
        offered(&rules, &mut known("192.0.2.1", "gate.example.org", "u1")),
        [0; 0]
    );
}

/// Nothing can be told of a host without its address, which is asked for first.
#[test]
fn the_address_is_asked_for_first() {
    let text = "sshd: ALL\n";
    let index = TableIndex::new(text.as_bytes()).unwrap();
    let mut candidates = index.candidates(0);
    let mut request = Request::new("sshd");
    assert!(candidates.next(text.as_bytes(), &mut request).is_err());
    assert_eq!(request.need(), Some(&Need::Address(Side::Client)));
    request.set_address(Side::Client, b"192.0.2.1");
    assert!(matches!(
        candidates.next(text.as_bytes(), &mut request),
        Ok(Some((1, _)))
    ));
    assert!(matches!(candidates.next(text.as_bytes(), &mut request), Ok(None)));
}
