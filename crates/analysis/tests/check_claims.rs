//! The lints' claims against the engine, and against the reference where its library is installed: a rule
//! called shadowed never decides, and a pattern called never-matching never matches.

mod random;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use analysis::check::{self, Finding};
use analysis::document::{Content, Document, Documents, content};
use hosts_access::dry::DryHost;
use hosts_access::syntax::option::{limit, max};
use hosts_access::syntax::time::Moment;
use hosts_access::{Fact, Found, Request, TableKind, Verdict};
use random::Random;

const DAEMONS: &[&str] = &[
    "ALL",
    "sshd",
    "SSHD",
    "in.ftpd",
    "in.*",
    "in.",
    ".ftpd",
    "KNOWN",
    "sshd@10.0.0.1",
    "sshd@[::1]",
    "22",
    "21",
    "*",
    "s*d",
    "vsftpd@ALL",
];
const CLIENTS: &[&str] = &[
    "ALL",
    "all",
    "*",
    "LOCAL",
    "KNOWN",
    "UNKNOWN",
    "PARANOID",
    "10.0.0.1",
    "10.0.0.0",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.",
    "10.",
    "10.0.0.0/30",
    "10.0.0.0/31",
    "10.0.0.2/31",
    "10.0.0.0/255.255.255.252",
    "10.0.0.0/8",
    "10.0.0.0/255.0.0.255",
    "0.0.0.0/0.0.0.0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "192.168.1.0/25",
    "192.168.1.128/25",
    "192.168.1.",
    "192.168.1.7",
    ".168.1.7",
    "[::1]",
    "[2001:db8::1]",
    "[2001:db8::]/32",
    "[2001:db8::]/33",
    "[2001:db8:8000::]/33",
    "[fe80::1]",
    "[fe80::1%lo]",
    "[fe80::]/10",
    "[::]/0",
    "[::ffff:10.0.0.1]",
    "[::ffff:10.0.0.0]/104",
    "[10.0.0.1]",
    "[2001:db8::/32]",
    "10.0.0.1/8",
    "10.0.0.0/33",
    "0.0.0.0/0",
    "10.0.0.1/255.255.255.255",
    "192.168",
    "10.0.0.256",
    "010.0.0.1",
    "10.0.0.1.",
    "192.168/16",
    "10.0.0.0/",
    "a.example.com",
    "A.Example.COM",
    "b.example.com",
    "example.com",
    ".example.com",
    ".a.example.com",
    ".com",
    "a.",
    "a*",
    "*.example.*",
    "*.com",
    "localhost",
    "user@ALL",
    "user@10.0.0.1",
    "user@.example.com",
    "root@ALL",
    "@group",
    "/nonexistent",
];
const ADDRESSES: &[&str] = &[
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "10.1.2.3",
    "192.168.1.7",
    "192.168.1.200",
    "192.168.0.0",
    "255.255.255.254",
    "0.0.0.0",
    "127.0.0.1",
    "::1",
    "2001:db8::1",
    "2001:db8:8000::1",
    "2001:db9::1",
    "fe80::1",
    "fe80::1%lo",
    "fe80::1%2",
    "::ffff:10.0.0.1",
    "::ffff:192.168.1.7",
    "::",
    "unknown",
];
const NAMES: &[&str] = &[
    "unknown",
    "paranoid",
    "a.example.com",
    "b.example.com",
    "B.A.Example.com",
    "example.com",
    "example.org",
    "a.example.org",
    "localhost",
    "a",
    "a.b",
    "10.example.com",
];

fn list(random: &mut Random, from: &[&str]) -> String {
    let mut text = String::new();
    for part in 0..3 {
        if part > 0 {
            if random.chance(80) {
                break;
            }
            text.push_str(" EXCEPT");
        }
        for _ in 0..=random.below(3) {
            let _ = write!(text, " {}", random.of(from));
            if random.chance(50) {
                break;
            }
        }
    }
    text
}

fn rule(random: &mut Random, clients: &[&str], options: &[&str]) -> String {
    let daemons = list(random, DAEMONS);
    let clients = list(random, clients);
    let option = if random.chance(40) { random.of(options) } else { "" };
    format!("{} :{}{}\n", daemons.trim_start(), clients, option)
}

fn table(random: &mut Random, clients: &[&str], options: &[&str]) -> Document {
    let mut text = String::new();
    for _ in 0..random.below(12) {
        text.push_str(&rule(random, clients, options));
    }
    Document::new("table", text)
}

/// One request, by what a rule can see of it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    daemon: &'static str,
    address: &'static str,
    name: &'static str,
    user: &'static str,
    server: &'static str,
    port: u16,
}

impl Asked {
    fn random(random: &mut Random) -> Self {
        Asked {
            daemon: random.of(&["sshd", "in.ftpd", "vsftpd", "in.", "unknown", "x"]),
            address: random.of(ADDRESSES),
            name: random.of(NAMES),
            user: random.of(&["user", "root", "unknown"]),
            server: random.of(&["10.0.0.1", "::1", "192.168.1.1"]),
            port: [22, 21, 80][random.below(3)],
        }
    }

    fn host(&self) -> DryHost {
        DryHost::new(self.address)
            .named(self.name)
            .with_user(self.user)
            .with_server(self.server, "server.example.com", Some(self.port))
    }
}

fn decide(tables: &hosts_access::Tables, asked: &Asked, succeed: bool) -> hosts_access::Decision {
    let mut host = asked.host().commands_succeed(succeed);
    tables.decide(&mut Request::new(asked.daemon), &mut host)
}

fn write(directory: &Path, allow: &Document, deny: &Document) -> hosts_access::Tables {
    std::fs::write(directory.join("hosts.allow"), &allow.text).unwrap();
    std::fs::write(directory.join("hosts.deny"), &deny.text).unwrap();
    hosts_access::Tables::in_directory(directory)
}

fn claims(allow: &Document, deny: &Document) -> Vec<Finding> {
    let tables = Documents {
        allow: Some(allow),
        deny: Some(deny),
    };
    let mut found = check::check(tables);
    found.retain(|f| matches!(f.code.id, "W401" | "W402" | "W403" | "W404"));
    found
}

/// No rule decides of which it is claimed that it has no effect.
fn assert_no_claim(
    claims: &[Finding],
    asked: &Asked,
    decision: &hosts_access::Decision,
    [allow, deny]: [&Document; 2],
) {
    let Some(rule) = &decision.rule else { return };
    let claim = claims
        .iter()
        .find(|f| f.table == rule.table && f.span.line == rule.place.line);
    assert!(
        claim.is_none(),
        "{asked:?} is decided by a rule without effect: {:?}\n{}--\n{}",
        claim.map(|c| &c.message),
        String::from_utf8_lossy(&allow.text),
        String::from_utf8_lossy(&deny.text),
    );
}

/// Has tables made of these studied, and requests decided by those of which something is claimed.
fn hold_claims(
    random: &mut Random,
    (clients, options): (&[&str], &[&str]),
    mut decide: impl FnMut(&mut Random, &Asked, [&Document; 2]) -> hosts_access::Decision,
) {
    let (mut requests, mut claimed, mut tested) = (0, 0, 0);
    while requests < 6_000 {
        let [allow, deny] = [0, 1].map(|_| table(random, clients, options));
        let claims = claims(&allow, &deny);
        tested += 1;
        if claims.is_empty() {
            continue;
        }
        claimed += claims.len();
        for _ in 0..100 {
            requests += 1;
            let asked = Asked::random(random);
            let decision = decide(random, &asked, [&allow, &deny]);
            assert_no_claim(&claims, &asked, &decision, [&allow, &deny]);
        }
    }
    // The test is worth something only where claims are made, and not all the time.
    assert!(claimed > 50 && tested > 50, "{claimed} claims in {tested} tables");
}

#[test]
fn a_rule_called_shadowed_never_decides() {
    let options = [
        " : allow",
        " : deny",
        " : aclexec /x",
        " : severity auth.info",
        " : bogus",
        " : twist /x",
    ];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let directory = tempfile::tempdir().unwrap();
    hold_claims(
        &mut random,
        (CLIENTS, &options),
        |random, asked, [allow, deny]| {
            let tables = write(directory.path(), allow, deny);
            decide(&tables, asked, random.chance(50))
        },
    );
}

/// Hosts that meet often, and what is asked besides.
const ASKING: &[&str] = &[
    "ALL",
    "10.0.0.0/30",
    "10.0.0.0/31",
    "10.0.0.1",
    "10.",
    ".example.com",
    "[2001:db8::]/32",
    "{country=DE}",
    "{country=DE|AT}",
    "{continent=EU}",
    "{asn=1}",
    "{samehost}",
    "{samenet}",
    "{time=Mon-Fri}",
    "{time=Mon/2200-0600}",
    "{banned}",
    "{rbl=zone.example.net}",
    "{wrong=1}",
    "user@{banned}",
];

/// The same where rules ask what is not in the tables, whatever the answers are, and where there are none.
#[test]
fn nor_where_rules_ask_what_the_tables_do_not_say() {
    let options = [
        " : allow",
        " : deny",
        " : if {country=DE}",
        " : if 10.0.0.0/31 : deny",
        " : trial",
        " : limit 5/minute",
        " : max 3 : ban 1h",
        " : if {banned} : max 3 total : aclexec /x",
        " : ban 1h : if 10.",
    ];
    let mut random = Random(0x51ed_2701_8f4d_77a1);
    hold_claims(&mut random, (ASKING, &options), |random, asked, [allow, deny]| {
        let tables = Documents {
            allow: Some(allow),
            deny: Some(deny),
        };
        let mut host = asked.host().commands_succeed(random.chance(50));
        let pair = |at: usize| [Some(*b"DE"), Some(*b"AT"), Some(*b"EU"), None][at];
        let near = random.below(3);
        for (fact, found) in [
            (
                Fact::Location,
                Found::Location {
                    country: pair(random.below(4)),
                    continent: pair(2 + random.below(2)),
                },
            ),
            (Fact::System, Found::System([Some(1), None][random.below(2)])),
            (
                Fact::Nearness,
                Found::Nearness {
                    same_host: near == 0,
                    same_net: near <= 1,
                },
            ),
            (
                Fact::Time(None),
                Found::Time(Moment {
                    day: 20_800 + random.below(7) as i64,
                    minute: [0, 300, 720, 1400][random.below(4)],
                }),
            ),
            (Fact::Banned, Found::from(random.chance(50))),
            (
                Fact::Listed(b"zone.example.net".to_vec()),
                Found::Listed(vec![[127, 0, 0, 2].into(); random.below(2)]),
            ),
            (
                Fact::Connections(max(b"3").unwrap()),
                Found::from(random.chance(70)),
            ),
            (
                Fact::Rate {
                    rule: Vec::new(),
                    limit: limit(b"5/minute").unwrap(),
                },
                Found::from(random.chance(70)),
            ),
        ] {
            // What is not told is not known.
            if random.chance(80) {
                host = host.told(fact, Ok(found));
            }
        }
        tables
            .compiled()
            .decide(&mut Request::new(asked.daemon), &mut host)
    });
}

/// The client patterns that some lint says match nothing.
fn never_matching() -> Vec<&'static str> {
    CLIENTS
        .iter()
        .filter(|client| {
            let document = Document::new("t", format!("sshd: {client}\n"));
            let tables = Documents {
                allow: Some(&document),
                deny: None,
            };
            check::check(tables)
                .iter()
                .any(|f| f.message.contains("never matches"))
        })
        .copied()
        .collect()
}

#[test]
fn a_pattern_called_never_matching_never_matches() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let never = never_matching();
    assert!(never.len() >= 12, "{never:?}");
    let directory = tempfile::tempdir().unwrap();
    let text = format!("ALL: {}\n", never.join(" "));
    let tables = write(
        directory.path(),
        &Document::new("a", text),
        &Document::new("d", &b"ALL: ALL\n"[..]),
    );
    for _ in 0..10_000 {
        let asked = Asked::random(&mut random);
        let decision = decide(&tables, &asked, true);
        assert_eq!(
            decision.verdict,
            Verdict::Denied,
            "{asked:?} matches one of {never:?}"
        );
    }
    // And every other pattern matches something.
    for client in CLIENTS
        .iter()
        .filter(|c| !never.contains(c) && !c.starts_with(['@', '/']))
    {
        let text = format!("ALL: {client}\n");
        let tables = write(
            directory.path(),
            &Document::new("a", text),
            &Document::new("d", &b"ALL: ALL\n"[..]),
        );
        let mut matches = false;
        for _ in 0..20_000 {
            let asked = Asked::random(&mut random);
            matches |= decide(&tables, &asked, true).verdict.is_granted();
            if matches {
                break;
            }
        }
        assert!(matches, "{client} matched nothing, and no lint says so");
    }
}

/// The reference's library under a program that answers requests from its standard input.
struct Reference {
    directory: tempfile::TempDir,
}

impl Reference {
    /// Builds it; nothing where the library or a C compiler is missing.
    fn build() -> Option<Self> {
        let directory = tempfile::tempdir().ok()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference.c");
        let built = Command::new("cc")
            .arg("-o")
            .arg(directory.path().join("reference"))
            .arg(source)
            .arg("-lwrap")
            .stderr(Stdio::null())
            .status();
        matches!(built, Ok(status) if status.success()).then_some(Reference { directory })
    }

    /// The verdicts under two tables: `+` granted, `-` denied.
    fn decide(&self, allow: &[u8], deny: &[u8], requests: &[Asked]) -> Vec<u8> {
        let (a, d) = (
            self.directory.path().join("allow"),
            self.directory.path().join("deny"),
        );
        std::fs::write(&a, allow).unwrap();
        std::fs::write(&d, deny).unwrap();
        let mut child = Command::new(self.directory.path().join("reference"))
            .args([&a, &d])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = String::new();
        for r in requests {
            let _ = writeln!(
                input,
                "{} {} {} {} {} {}",
                r.daemon, r.address, r.name, r.user, r.server, r.port
            );
        }
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout.len(), requests.len());
        output.stdout
    }
}

/// Each claimed rule made to decide the other way: where it never decides, nothing changes.
fn turned_round(document: &Document, claims: &[Finding], table: TableKind) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in &document.entries {
        let line = document.line(entry);
        let is_claimed = claims
            .iter()
            .any(|f| f.table == table && f.span.line == entry.last_line);
        let Content::Rule(rule) = content(&line) else {
            panic!()
        };
        if !is_claimed {
            text.extend_from_slice(&line);
            continue;
        }
        let lists = &line[..rule.clients.span.end];
        let denies = rule
            .options
            .iter()
            .any(|o| o.problem.is_some() || o.text.trim_ascii() == b"deny");
        let grants = rule.options.iter().any(|o| o.text.trim_ascii() == b"allow");
        let grants = grants || (table == TableKind::Allow && !denies);
        text.extend_from_slice(lists.trim_ascii_end());
        text.extend_from_slice(if grants { b" : deny\n" } else { b" : allow\n" });
    }
    text
}

#[test]
fn the_reference_agrees() {
    let Some(reference) = Reference::build() else {
        eprintln!("not tested: no C compiler, or libwrap's development files are not installed");
        return;
    };
    let mut random = Random(0x1234_5678_9abc_def1);
    // Port 22 is a name there too, and a scope in an address needs the interface.
    let options = [" : allow", " : deny", " : severity auth.info", " : bogus"];
    let (mut asked, mut changed) = (0, 0);
    while asked < 10_000 {
        let (allow, deny) = (
            table(&mut random, CLIENTS, &options),
            table(&mut random, CLIENTS, &options),
        );
        let claims = claims(&allow, &deny);
        if claims.is_empty() {
            continue;
        }
        let requests: Vec<_> = (0..250).map(|_| Asked::random(&mut random)).collect();
        asked += requests.len();
        let as_is = reference.decide(&allow.text, &deny.text, &requests);
        let turned = (
            turned_round(&allow, &claims, TableKind::Allow),
            turned_round(&deny, &claims, TableKind::Deny),
        );
        assert_ne!((&turned.0, &turned.1), (&allow.text, &deny.text));
        let after = reference.decide(&turned.0, &turned.1, &requests);
        for ((request, before), after) in requests.iter().zip(&as_is).zip(&after) {
            assert_eq!(
                before,
                after,
                "{request:?}\n{}--\n{}",
                String::from_utf8_lossy(&allow.text),
                String::from_utf8_lossy(&deny.text)
            );
        }
        changed += as_is.iter().filter(|v| **v == b'+').count();
    }
    assert!(changed > 100, "nearly everything was denied");
    let never = never_matching();
    let text = format!("ALL: {}\n", never.join(" "));
    let requests: Vec<_> = (0..10_000).map(|_| Asked::random(&mut random)).collect();
    let verdicts = reference.decide(text.as_bytes(), b"ALL: ALL\n", &requests);
    for (request, verdict) in requests.iter().zip(verdicts) {
        assert_eq!(verdict, b'-', "{request:?} matches one of {never:?}");
    }
}
