//! The one-shot scan and the compiled policy are one evaluator: the same verdict, rule, effects, log
//! lines and lookups, for any tables and requests.

mod cases;

use hosts_access::dry::DryHost;
use hosts_access::source::FileId;
use hosts_access::{Decision, Diagnostic, Policy, Request, Side, TableKind, Tables, index_file};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const DAEMONS: &[&str] = &[
    "sshd",
    "vsftpd",
    "ALL",
    "ss*",
    "*hd",
    "x*d",
    "?*s*h",
    "sshd@ALL",
    "sshd@10.0.0.2",
    "sshd@10.0.0.0/24",
    "vsftpd@10.0.0.1",
    "ss*@server.example.org",
    "sshd@10.0.0.1",
    "sshd@.example.org",
    "sshd@FILE",
    "sshd@KNOWN",
    "ALL@@group",
    "s*@/nowhere",
    "22",
    "23",
    "EXCEPT",
    "SSHD",
    ".d",
    "s.",
];

const HOSTS: &[&str] = &[
    "ALL",
    "LOCAL",
    "KNOWN",
    "UNKNOWN",
    "PARANOID",
    "EXCEPT",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.",
    "192.0.",
    "192.",
    "192.0.2.1.",
    "0192.0.2.1",
    "0300.0.2.1",
    "0300.0.02.01",
    "0300.",
    "192.0.02.1",
    "192.0.02.0/24",
    "192.0.0x2.1/32",
    "0.0.2.1/0.0.255.255",
    "012.9.8.0/24",
    "012.",
    "300.",
    ".2.1",
    ".1",
    ".51.100.7",
    "192.0.2.0/24",
    "192.0.2.1/24",
    "192.0.2.1/32",
    "192.0.0.0/16",
    "192.0.2.1/255.255.255.255",
    "192.0.2.1/255.0.255.255",
    "192.0.2.0/0",
    "192.0.2.0/x",
    "192.0.2.0/255.255.255.0",
    "198.51.100.0/255.255.255.0",
    "198.51.100.0/24",
    "198.51.100.0/8",
    "128.0.0.0/1x",
    "128.0.0.0/01",
    "128.0.0.0/1/24",
    "128.0.0.0/1",
    "128.0.0.0/192.0.0.0",
    "0300.0.2.0/24",
    "10.0.0.0/9",
    "10.0.0.1",
    "server.example.org",
    "198.51.100.7",
    "198.51.100.",
    "0.0.0.0/1",
    "[2001:db8::1]",
    "[2001:db8::]/32",
    "[2001:db8::1]/128",
    "[::]/0",
    "[2001:db8::1]/64",
    "[fe80::1%lo]",
    "[::ffff:192.0.2.1]",
    "[x]",
    "host.example.org",
    ".example.org",
    ".org",
    "HOST.EXAMPLE.ORG",
    "other.example.org",
    "hosts.example.org",
    "another.example.net",
    ".Example.Org",
    ".example.net",
    ".host.example.org",
    "ample.org",
    ".ample.org",
    "host.example.org.",
    "host_1.example.org",
    "192.0.2.1.example.org",
    "a-long-name-of-more-than-32-letters.example.org",
    "localhost.example.org",
    "paranoid.example.org",
    "host.",
    "*.example.org",
    "host*.example.*",
    "h*t.example.org",
    "*st.exam*",
    "*ost.example.o*",
    "*2.0.2.1",
    "*",
    "**",
    "?*",
    "*.?*",
    "*2*",
    "192.?.2.*",
    "u1@192.0.2.1",
    "u2@192.0.2.1",
    "u1@192.0.2.0/24",
    "U1@*",
    "u*@host.example.org",
    "u2@KNOWN",
    "ALL@.org",
    "1.",
    "1.2.",
    "1.2.3",
    "u1@.example.org",
    "u2@ALL",
    "@group",
    "@u1",
    "/nowhere",
    "FILE",
    "u1@FILE",
    "OTHER",
    "::1",
    "localhost",
];

const ADDRESSES: &[&str] = &[
    "192.0.2.1",
    "192.0.2.2",
    "192.0.3.1",
    "198.51.100.7",
    "10.9.8.7",
    "unknown",
    "",
    "2001:db8::1",
    "2001:db8:0:0::1",
    "2001:db9::1",
    "::ffff:192.0.2.1",
    "fe80::1%lo",
    "0192.0.2.1",
    "0300.0.2.1",
    "192.0.2.01",
    "192.0.02.1",
    "012.9.8.7",
    "junk",
    "1.2.3",
    "1.2.3.",
    "1.",
    ".1.2",
    "::ffff:1.2",
    "::ffff:0300.0.2.1",
    "0x0a.9.8.7",
    "192.0.2.1.",
    "[2001:db8::1]",
    "host.example.org",
    "ALL",
    "255.255.255.255",
];

const NAMES: &[&str] = &[
    "host.example.org",
    "other.example.org",
    "localhost",
    "unknown",
    "paranoid",
    "192.0.2.1",
    "2001:db8::1",
    "::ffff:192.0.2.1",
    "x.org.",
    "",
];

const OPTIONS: &[&str] = &[
    "",
    "",
    "",
    ": allow",
    ": deny",
    ": spawn echo %c %n %u %s",
    ": bad",
    ": severity info",
    ":",
    ": aclexec x",
    ": twist y",
];

fn line() -> impl Strategy<Value = String> {
    let list = |from: &'static [&'static str]| {
        prop::collection::vec(select(from), 0..4).prop_map(|tokens| tokens.join(" "))
    };
    prop_oneof![
        12 => (list(DAEMONS), list(HOSTS), select(OPTIONS)).prop_map(|(d, c, o)| format!("{d}:{c}{o}\n")),
        1 => Just("# comment\n".to_owned()),
        1 => Just("sshd: \\\n 192.0.2.1\n".to_owned()),
        1 => Just("no separator\n".to_owned()),
        1 => Just("\n".to_owned()),
    ]
}

/// The usual line, of which tables have many, and what looks nearly like it.
fn plain_line() -> impl Strategy<Value = String> {
    const STARTS: &[&str] = &[
        "sshd: ",
        "sshd: ",
        "sshd:",
        "ALL: ",
        "vsftpd: ",
        "sshd, vsftpd: ",
        "22: ",
        "sshd : ",
        "sshd@.org: ",
        "sshd@FILE: ",
        "23, sshd@KNOWN: ",
        "vsftpd@@group: ",
    ];
    const ENDS: &[&str] = &[
        "\n", "\n", "\n", "\n", "\r\n", " \n", "\\\n", ": deny\n", ", x\n", "\0\n",
    ];
    let one = || (select(STARTS), select(HOSTS), select(ENDS)).prop_map(|(d, c, end)| format!("{d}{c}{end}"));
    prop_oneof![
        3 => one(),
        // Alike for a while, as in long tables.
        1 => (select(STARTS), prop::collection::vec(select(HOSTS), 0..60))
            .prop_map(|(d, clients)| clients.iter().map(|c| format!("{d}{c}\n")).collect()),
    ]
}

/// Rules that are alike in their client, more than are kept under one key.
fn alike() -> impl Strategy<Value = String> {
    let list = prop::collection::vec(select(DAEMONS), 0..3).prop_map(|tokens| tokens.join(" "));
    let user = select(&["", "", "u1@", "u2@", "u*@"][..]);
    let rule = (list, user, select(OPTIONS));
    (select(HOSTS), prop::collection::vec(rule, 6..30)).prop_map(|(host, rules)| {
        let rules = rules
            .iter()
            .map(|(daemons, user, options)| format!("{daemons}: {user}{host}{options}\n"));
        rules.collect()
    })
}

/// Rules whose client lists are so long that they have an index of their own.
fn long() -> impl Strategy<Value = String> {
    let end = select(&["\n", " EXCEPT ALL\n", " EXCEPT EXCEPT u1@FILE\n", ": deny\n"][..]);
    (
        select(DAEMONS),
        prop::collection::vec(select(HOSTS), 70..200),
        end,
    )
        .prop_map(|(daemons, clients, end)| format!("{daemons}: {}{end}", clients.join(", \\\n")))
}

fn table() -> impl Strategy<Value = String> {
    let line = prop_oneof![30 => line(), 30 => plain_line(), 5 => alike(), 1 => long()];
    (prop::collection::vec(line, 0..12), prop::bool::weighted(0.05))
        .prop_map(|(lines, cut)| lines.concat() + if cut { "ALL: ALL" } else { "" })
}

/// What stands in a file of patterns.
fn words() -> impl Strategy<Value = String> {
    const ENDS: &[&str] = &["\n", "\n", "\n", "\r\n", "\n\n", " ", "\n# ", "\\\n", "\0\n", ""];
    let word = (select(HOSTS), select(ENDS)).prop_map(|(word, end)| [word, end].concat());
    prop::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

/// Text that is mostly made of what rules are made of.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => select(&b":: \n\n\\[]@/.,%#=*?"[..]).prop_map(|byte| vec![byte]),
        3 => select(HOSTS).prop_map(|text| text.as_bytes().to_vec()),
        2 => select(DAEMONS).prop_map(|text| text.as_bytes().to_vec()),
        1 => Just(b"\\\n".to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

type Outcome = (Decision, Vec<Diagnostic>, Vec<hosts_access::dry::Lookup>);

fn ask(
    mut host: DryHost,
    known: bool,
    name: &str,
    decide: impl Fn(&mut Request, &mut DryHost) -> Decision,
) -> Outcome {
    let mut request = Request::new("sshd").verbose(2);
    if known {
        request = request.known_name(Side::Client, name);
    }
    let decision = decide(&mut request, &mut host);
    (decision, host.log, host.lookups)
}

proptest! {
    #![proptest_config(cases::cases(3000))]

    #[test]
    fn decide_alike(
        allow in table(),
        deny in table(),
        words in words(),
        other in words(),
        requests in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 6),
    ) {
        let dir = tempfile::tempdir()?;
        let [file, second] = ["list", "other"].map(|name| dir.path().join(name));
        let named = |text: &str| {
            text.replace("FILE", &file.to_string_lossy()).replace("OTHER", &second.to_string_lossy())
        };
        std::fs::write(dir.path().join("hosts.allow"), named(&allow))?;
        std::fs::write(dir.path().join("hosts.deny"), named(&deny))?;
        std::fs::write(&file, named(&words))?;
        std::fs::write(&second, named(&other))?;
        let tables = Tables::in_directory(dir.path());
        let policy = Policy::new(tables.clone());
        let compiled = policy.current();
        for (address, name, known) in requests {
            let (address, name) = (ADDRESSES[address.index(ADDRESSES.len())], NAMES[name.index(NAMES.len())]);
            let host = DryHost::new(address).named(name).with_user("u1").in_netgroup("group", "host.example.org")
                .with_server("10.0.0.1", "server.example.org", Some(22)).commands_succeed(false);
            let scanned = ask(host.clone(), known, name, |r, h| tables.decide(r, h));
            let decided = ask(host, known, name, |r, h| compiled.decide(r, h));
            prop_assert_eq!(scanned, decided, "client {} {}", address, name);
        }
    }

    #[test]
    fn decide_alike_on_any_bytes(
        allow in bytes(),
        deny in bytes(),
        words in bytes(),
        address in any::<Index>(),
    ) {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("hosts.allow"), &allow)?;
        std::fs::write(dir.path().join("hosts.deny"), &deny)?;
        std::fs::write(dir.path().join("list"), words)?;
        let tables = Tables::in_directory(dir.path());
        let policy = Policy::new(tables.clone());
        let host = DryHost::new(ADDRESSES[address.index(ADDRESSES.len())]).named("host.example.org");
        let scanned = ask(host.clone(), false, "", |r, h| tables.decide(r, h));
        prop_assert_eq!(&scanned, &ask(host, false, "", |r, h| policy.decide(r, h)));
    }
}

/// So long that an index is looked for, and nothing else.
fn filler() -> String {
    format!("#{}\n", "filler ".repeat(5000))
}

proptest! {
    #![proptest_config(cases::cases(50))]

    /// The scan with an index beside each table and list, whole or damaged, is the scan without.
    #[test]
    fn decide_alike_with_an_index_beside_the_tables(
        allow in prop::collection::vec(table(), 0..6),
        deny in prop::collection::vec(table(), 0..12),
        words in words(),
        damage in prop::collection::vec((any::<Index>(), any::<Index>(), 1..=255u8), 4),
        requests in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 24),
    ) {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("list");
        let named = |texts: &[String]| filler() + &texts.concat().replace("FILE", &file.to_string_lossy());
        std::fs::write(dir.path().join("hosts.allow"), named(&allow))?;
        std::fs::write(dir.path().join("hosts.deny"), named(&deny))?;
        std::fs::write(&file, "\n".repeat(40_000) + &words)?;
        let tables = Tables::in_directory(dir.path());
        let requests: Vec<_> = requests
            .into_iter()
            .map(|(address, name, known)| {
                (ADDRESSES[address.index(ADDRESSES.len())], NAMES[name.index(NAMES.len())], known)
            })
            .collect();
        let ask_all = || -> Vec<Outcome> {
            let ask_one = |&(address, name, known): &(&str, &str, bool)| {
                let host = DryHost::new(address).named(name).with_user("u1").in_netgroup("group", "host.example.org")
                    .with_server("10.0.0.1", "server.example.org", Some(22)).commands_succeed(false);
                let mut outcome = ask(host, known, name, |r, h| tables.decide(r, h));
                // That it is damaged is all that may be said besides.
                outcome.1.retain(|line| !String::from_utf8_lossy(&line.text).contains(".index: damaged"));
                outcome
            };
            requests.iter().map(ask_one).collect()
        };
        let scanned = ask_all();
        let mut indexes = Vec::new();
        for kind in [TableKind::Allow, TableKind::Deny] {
            let table = tables.path(kind);
            let index = index_file::path_of(table);
            let id = FileId::of(&std::fs::metadata(table)?);
            let image = index_file::of_text(&std::fs::read(table)?, &id).expect("it is not too long");
            std::fs::write(&index, &image.bytes)?;
            indexes.push((index, image.bytes));
        }
        let id = FileId::of(&std::fs::metadata(&file)?);
        let image = index_file::of_list(&std::fs::read(&file)?, &id).expect("it is not too long");
        std::fs::write(index_file::path_of(&file), &image.bytes)?;
        indexes.push((index_file::path_of(&file), image.bytes));
        prop_assert_eq!(&scanned, &ask_all());
        for (at, cut, bits) in damage {
            for (index, bytes) in &indexes {
                let mut bytes = bytes.clone();
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
                bytes.truncate(cut.index(4 * bytes.len()));
                std::fs::write(index, bytes)?;
            }
            prop_assert_eq!(&scanned, &ask_all());
        }
    }
}

/// Files are read in pieces of 128 kB. Wherever the border falls, lines, continued lines and words stay whole.
#[test]
fn borders_of_pieces_may_be_anywhere() {
    const PIECE: usize = 128 << 10;
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let rules = format!(
        "sshd: 198.51.100.7\nsshd: host9.example.net\nsshd: 198.\\\n51.100.8\n# no \\\nsshd: ALL\nsshd: {}\n\
         sshd: 198.51.100.0/24\n no rule\nsshd, \\\nvsftpd: 192.0.\\\n2.1: severity \\\ninfo\n",
        list.display()
    );
    let words =
        "198.51.100.7\n198.51.100.0/24 .example.com\n\\\nother.example.org\r\n198.51.100.8\n192.0.2.2";
    let filler = |length: usize, line: &str| {
        let lines = "#".repeat(length % line.len());
        lines + "\n" + &line.repeat(length / line.len())
    };
    for in_words in [false, true] {
        for cut in 0..=if in_words { words.len() } else { rules.len() } {
            let before = PIECE - cut - 1;
            let (deny, words) = if in_words {
                (rules.clone(), filler(before, "198.51.100.77\n") + words)
            } else {
                (filler(before, "sshd: 198.51.100.77\n") + &rules, String::new())
            };
            std::fs::write(dir.path().join("hosts.deny"), deny).unwrap();
            std::fs::write(&list, words).unwrap();
            let tables = Tables::in_directory(dir.path());
            let policy = Policy::new(tables.clone());
            let compiled = policy.current();
            for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
                let (host, known) = (DryHost::new(address).named("client.example.org"), cut % 2 == 0);
                let scanned = ask(host.clone(), known, "client.example.org", |r, h| {
                    tables.decide(r, h)
                });
                let decided = ask(host, known, "client.example.org", |r, h| compiled.decide(r, h));
                assert_eq!(scanned, decided, "{address}, {cut} bytes before the border");
                let is_denied = scanned.0.verdict == hosts_access::Verdict::Denied;
                let is_listed = address == "192.0.2.1" || in_words && address == "192.0.2.2";
                assert_eq!(is_denied, is_listed, "{address}, {cut} bytes before the border");
            }
        }
    }
}

/// Whatever is edited counts from the next request on: the tables, and the files they name.
#[test]
fn edits_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let policy = Policy::new(Tables::in_directory(directory.path()));
    assert_eq!(policy.tables(), &Tables::in_directory(directory.path()));
    let is_granted = || {
        let decision = policy.decide(&mut Request::new("sshd"), &mut DryHost::new("192.0.2.1"));
        decision.verdict.is_granted()
    };
    let list = path("list");
    let rule = format!("sshd: {}\n", list.display());
    // Of the same length, and within one tick of the clock.
    for round in 0..20 {
        assert!(is_granted(), "{round}");
        std::fs::write(path("hosts.deny"), "sshd: 192.0.2.1\n").unwrap();
        assert!(!is_granted(), "{round}");
        std::fs::write(path("hosts.deny"), "sshd: 192.0.2.2\n").unwrap();
        assert!(is_granted(), "{round}");
        std::fs::write(path("hosts.deny"), &rule).unwrap();
        assert!(is_granted(), "no list, {round}");
        std::fs::write(&list, "192.0.2.1\n").unwrap();
        assert!(!is_granted(), "{round}");
        std::fs::write(&list, "192.0.2.3\n").unwrap();
        assert!(is_granted(), "{round}");
        std::fs::write(path("new"), "192.0.2.1\n").unwrap();
        std::fs::rename(path("new"), &list).unwrap();
        assert!(!is_granted(), "replaced, {round}");
        std::fs::write(path("hosts.allow"), "sshd: ALL\n").unwrap();
        assert!(is_granted(), "{round}");
        std::fs::remove_file(path("hosts.allow")).unwrap();
        assert!(!is_granted(), "{round}");
        std::fs::remove_file(&list).unwrap();
        assert!(is_granted(), "{round}");
        std::fs::remove_file(path("hosts.deny")).unwrap();
    }
}
