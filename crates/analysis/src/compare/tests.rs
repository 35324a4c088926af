//! The comparison against brute force: requests of a small universe are decided under both policies,
//! and each must lie in exactly the difference that says what becomes of it, or in none.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::daemons::Port;
use super::family::Family;
use super::ranges::Ranges;
use super::rules::Box_;
use super::spelling::Together;
use super::strings::{Atom, Class};
use super::*;
use crate::document::Document;
use hosts_access::decision::{Deciding, Verdict};
use hosts_access::dry::DryHost;
use hosts_access::effect::Effect;
use hosts_access::policy::Compiled;
use hosts_access::syntax::option::Keyword;
use hosts_access::{Fact, Found, Known, Request, string_matches};
use random::Random;
use world::{Answering, World};

#[path = "../../tests/random/mod.rs"]
mod random;
mod world;

const DAEMONS: &[&str] = &[
    "ALL",
    "sshd",
    "ftpd",
    "in.*",
    "sshd@10.0.0.1",
    "ALL@10.0.0.",
    "22",
    "sshd@gate",
    "ALL@LOCAL",
    "KNOWN",
];
const HOSTS: &[&str] = &[
    "ALL",
    "10.0.0.1",
    "10.0.0.",
    "10.0.",
    "10.0.0.0/255.255.255.254",
    "10.0.0.0/31",
    "10.0.1.0/24",
    "10.0.0.2/31",
    "10.0.0.0/255.0.0.255",
    "0.0.0.1/0.0.0.1",
    ".1",
    "10.0.*",
    "*.2",
    "1?.0.0.1",
    "[2001:db8::]/32",
    "[2001:db8::1]",
    "[2001:db8::2]/127",
    "*b*",
    "2001*",
    "[::ffff:10.0.0.1]",
    "LOCAL",
    "KNOWN",
    "UNKNOWN",
    "PARANOID",
    "a.b",
    ".b",
    "*.b",
    "a",
    "a.",
    "*a*",
    "?.b",
    "@g",
    "@h",
    "x@ALL",
    "x@10.0.0.",
    "KNOWN@.b",
    "y*@a.b",
    "root@@g",
];
const OPTIONS: &[&str] = &[
    "",
    "",
    "",
    "",
    ": allow",
    ": deny",
    ": spawn x",
    ": spawn x : deny",
    ": twist t",
    ": aclexec c",
    ": aclexec c : allow",
    ": aclexec d : deny",
    ": bogus",
    ":",
    ": severity info",
    ": umask 22 : nice",
    ": UMASK=022 : nice 10",
    ": banners /b",
];
const BRACES: &[&str] = &[
    "{country=DE}",
    "{country=at|DE}",
    "{continent=EU}",
    "{asn=1|AS2}",
    "{asn=3}",
    "{dns=home.example.net}",
    "{rbl=zone.example.net}",
    "{rbl=zone.example.net|127.0.0.2|127.0.0.4}",
    "{rbl=zone.example.net|127.0.0.2}",
    "{samehost}",
    "{samenet}",
    "{time=Mon-Fri/0800-1800}",
    "{time=2200-0600}",
    "{time=Sat|Sun/UTC}",
    "{time=2026-12-24..2026-12-26/2200-0600}",
    "{banned}",
    "{wrong=1}",
    "x@{banned}",
];
const ADDITIONS: &[&str] = &[
    "",
    "",
    "",
    "",
    ": trial",
    ": limit 5/minute",
    ": limit 5/60seconds : max 3",
    ": max 3 total : ban 1h",
    ": ban 60m",
    ": limit 1/hour : ban 2h : ban 1d",
    ": limit 0/hour",
    ": max 3 : if 10.0.0.",
];
const ADDRESSES: &[&str] = &[
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.1.1",
    "10.1.0.2",
    "11.0.0.1",
    "12.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::b",
    "2001:db9::1",
    "fe80::1",
    "::1",
    "b::",
    "::0.1.0.2",
    "::1.2.3.1",
    "unknown",
];
const NAMES: &[&str] = &[
    "unknown", "paranoid", "a", "b", "a.b", "b.b", "xa.b", "a.x", "q", "q.q", "xab",
];
const USERS: &[&str] = &["unknown", "x", "y", "yy", "root", "z"];

fn list(random: &mut Random, tokens: &[&str]) -> String {
    let mut list = random.of(tokens).to_owned();
    for _ in 0..random.below(3) {
        list.push_str(random.of(&[" ", ", ", " EXCEPT "]));
        list.push_str(random.of(tokens));
    }
    list
}

fn rule(random: &mut Random, hosts: &[&str]) -> String {
    let daemons = list(random, DAEMONS);
    let clients = list(random, hosts);
    let mut additions = String::new();
    if hosts.iter().any(|host| host.starts_with('{')) {
        if random.below(4) == 0 {
            let condition = list(random, hosts);
            additions.push_str(&format!(": if {condition} "));
        }
        additions.push_str(random.of(ADDITIONS));
    }
    format!("{daemons}: {clients} {additions}{}\n", random.of(OPTIONS))
}

fn edited(random: &mut Random, hosts: &[&str], lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    for _ in 0..=random.below(2) {
        let at = random.below(lines.len() + 1);
        match random.below(4) {
            0 => lines.insert(at, rule(random, hosts)),
            1 if at < lines.len() => drop(lines.remove(at)),
            2 if at < lines.len() => lines[at] = rule(random, hosts),
            3 if lines.len() > 1 => {
                let last = lines.len() - 1;
                lines.swap(at.min(last), last);
            }
            _ => {}
        }
    }
    lines
}

struct Asking<'a> {
    daemon: &'a str,
    port: Option<u16>,
    server: (&'a str, &'a str),
    address: &'a str,
    name: &'a str,
    user: &'a str,
    groups: &'a [&'a str],
    world: &'a World,
}

/// Verdict and step for each number of commands that fail first.
type Ends = Vec<(Verdict, Step)>;

const FAILING: usize = 5;

/// How many requests of the universe are tried in each case.
const REQUESTS: usize = 300;

fn decided(compiled: &Compiled, asked: &Asking<'_>, failing: usize) -> Ends {
    let one = |failing| {
        let (verdict, step, _) = decided_in(compiled, asked, failing, &[]);
        (verdict, step)
    };
    (0..failing).map(one).collect()
}

/// Decides a request, so many commands failing first, in its world but for what is told of it.
fn decided_in(
    compiled: &Compiled,
    asked: &Asking<'_>,
    failing: usize,
    told: &[(Fact, Known)],
) -> (Verdict, Step, Option<Deciding>) {
    let mut dry = DryHost::new(asked.address)
        .named(asked.name)
        .with_user(asked.user);
    dry = dry.with_server(asked.server.0, asked.server.1, asked.port);
    for group in asked.groups {
        dry = dry.in_netgroup(*group, asked.name);
    }
    let world = asked.world;
    let mut host = Answering {
        dry,
        failing,
        world,
        told,
    };
    let decision = compiled.decide(&mut Request::new(asked.daemon), &mut host);
    let step = confirm::decided_step(&decision).expect("a rule on trial decides nothing");
    let done: Vec<Keyword> = decision.effects.iter().map(Effect::option).collect();
    let runs: Vec<Keyword> = step.runs.iter().map(|run| run.keyword).collect();
    assert!(done.ends_with(&runs), "{done:?} {runs:?}");
    (decision.verdict, step, decision.rule)
}

fn computed(outcome: &Outcome, world: &World, failing: usize) -> Ends {
    let one = |failing: usize| {
        let mut failing = failing;
        for step in &outcome.steps {
            for bound in &step.bounds {
                match world.is_within(bound.keyword, &bound.value) {
                    Some(true) => {}
                    Some(false) => return (Verdict::Denied, Step::denied(step.beyond.clone())),
                    None => return (Verdict::Denied, Step::plain(Verdict::Denied)),
                }
            }
            if step.is_asked_only {
                continue;
            }
            if !step.may_fail || failing == 0 {
                return (step.verdict, step.clone());
            }
            failing -= 1;
        }
        panic!("there is no last step in {outcome:?}")
    };
    (0..failing).map(one).collect()
}

fn number(address: &str) -> (Family, u128) {
    match address.parse() {
        Ok(IpAddr::V4(v4)) => (Family::V4, v4.to_bits().into()),
        Ok(IpAddr::V6(v6)) => (Family::V6, v6.to_bits()),
        Err(_) => (Family::Unknown, 0),
    }
}

fn lies_in(family: Family, ranges: &Ranges, way: &[bool], address: &str, together: &Together<'_>) -> bool {
    let (of, address) = number(address);
    let is_in = ranges.iter().any(|r| (r.0..=r.1).contains(&address));
    of == family
        && is_in
        && (family == Family::Unknown || together.find(family, (address, address), way).is_some())
}

/// The place of the class that holds a string.
fn class_of(classes: &[Class], atoms: &[(Atom<'_>, u32)], string: &str) -> u32 {
    let is_known = string != "unknown" && string != "paranoid";
    let holds = |atom: &Atom<'_>| match atom {
        Atom::Matches(pattern) => string_matches(*pattern, string.as_bytes()),
        Atom::Known => is_known,
        Atom::Local => is_known && !string.contains('.'),
    };
    let tags: BTreeSet<u32> = atoms
        .iter()
        .filter(|(atom, _)| holds(atom))
        .map(|(_, tag)| *tag)
        .collect();
    let tags: Vec<u32> = tags.into_iter().collect();
    let at = classes.iter().position(|class| class.tags == tags);
    at.unwrap_or_else(|| panic!("{string} is in no class of {classes:?}")) as u32
}

fn is_in(one: &Box_, place: &[u32]) -> bool {
    one.iter().zip(place).all(|(along, at)| along.contains(at))
}

/// Holds the comparison of one pair of policies against requests of the universe. Gives how many differ.
fn check_case(sides: [[Document; 2]; 2], seed: u64) -> usize {
    let mut random = Random(seed);
    let has_command = sides
        .iter()
        .flatten()
        .any(|d| d.text.windows(7).any(|w| w == b"aclexec"));
    let failing = if has_command { FAILING } else { 1 };
    let asks_besides = sides.iter().flatten().any(|d| d.text.contains(&b'{'));
    let side = |side: usize| Documents {
        allow: Some(&sides[side][0]),
        deny: Some(&sides[side][1]),
    };
    let compiled = [0, 1].map(|number| side(number).compiled());
    let whole = compare(side(0), side(1)).unwrap();
    let lines = [lines(side(0)), lines(side(1))];
    let mut outcomes = Outcomes::default();
    let places = Places::default();
    let mut lists = Lists::new(&places);
    let read = [
        lists.read(&lines[0], &mut outcomes),
        lists.read(&lines[1], &mut outcomes),
    ];
    let files = lists.files().unwrap();
    let (axes, asked) = daemons::asked(&lists, &files).unwrap();
    let mut kept = Ways::new();
    let swept: Vec<Option<Swept<'_>>> = asked
        .iter()
        .map(|asked| super::swept(&lists, &files, &read, asked, &mut outcomes, &mut kept).unwrap())
        .collect();
    let servers = Together::new(axes.shared.spellings.iter().collect());
    let mut differing = 0;
    for _ in 0..REQUESTS {
        let daemon = random.of(&["sshd", "ftpd", "in.x", "zz", "unknown"]);
        let (port, server) = [
            (None, ("unknown", "unknown")),
            (Some(22), ("10.0.0.1", "gate")),
            (Some(23), ("10.0.0.9", "a.b")),
            (Some(22), ("2001:db8::1", "q")),
        ][random.below(4)];
        let (name, user, mut address) = (random.of(NAMES), random.of(USERS), random.of(ADDRESSES));
        // Nobody has the broadcast address; patterns in braces take it for none.
        if asks_besides && address == "255.255.255.255" {
            address = "255.255.255.254";
        }
        let groups: &[&str] = [&[][..], &["g"], &["g", "h"]][random.below(3)];
        let cells = axes.cells.iter();
        let mut cell = cells
            .clone()
            .position(|c| lies_in(c.family, &c.ranges, &c.way, server.0, &servers));
        if cells.len() == 1 {
            cell = Some(0);
        }
        let port_at = axes
            .ports
            .iter()
            .position(|p| Some(*p) == port.map(Port::Exactly));
        let place = [
            class_of(&axes.daemons, &axes.daemon_atoms, daemon),
            port_at.unwrap_or(axes.ports.len() - 1) as u32,
            cell.unwrap() as u32,
            class_of(&axes.names, &axes.shared.names, server.1),
            0,
        ];
        let at: Vec<usize> = (0..asked.len())
            .filter(|at| asked[*at].boxes.iter().any(|one| is_in(one, &place)))
            .collect();
        assert_eq!(at.len(), 1);
        let world = World(random.0);
        let ip = address.parse().ok();
        let found: Vec<[Ends; 2]> = swept[at[0]].as_ref().map_or_else(Vec::new, |swept| {
            let together = Together::new(swept.spellings.iter().collect());
            let mut client = vec![
                class_of(&swept.names, &swept.name_atoms, name),
                class_of(&swept.users, &swept.user_atoms, user),
            ];
            let holds = |g: &&[u8]| groups.iter().any(|group| group.as_bytes() == *g);
            client.extend(swept.groups.iter().map(|g| u32::from(holds(g))));
            let asked = world.holds(&swept.asks, ip.or(Some(IpAddr::from([10, 0, 0, 1]))));
            client.extend(swept.facts.questions.iter().map(|q| q.class_with(&asked)));
            let changed = swept.changed.iter().filter(|changed| {
                let mut parts = changed.parts.iter();
                changed.boxes.iter().any(|one| is_in(one, &client))
                    && parts.any(|p| lies_in(p.family, &p.ranges, &p.way, address, &together))
            });
            changed
                .map(|changed| {
                    [changed.old, changed.new].map(|n| computed(&outcomes.get(n), &world, failing))
                })
                .collect()
        });
        let asking = Asking {
            daemon,
            port,
            server,
            address,
            name,
            user,
            groups,
            world: &world,
        };
        let ends = [0, 1].map(|side: usize| decided(&compiled[side], &asking, failing));
        let request = format!("{daemon} {port:?} {server:?}: {user}@{name} {address} {groups:?} {world:?}");
        // Requests that end in another way in some world are told; in this one, they may end in the same.
        if found.is_empty() {
            assert_eq!(ends[0], ends[1], "missed: {request}");
        } else {
            differing += usize::from(ends[0] != ends[1]);
            assert_eq!(found, [ends], "false: {request}");
        }
    }
    assert_eq!(
        whole.differences.is_empty(),
        swept.iter().flatten().all(|s| s.changed.is_empty())
    );
    differing
}

/// Tries policies and edits of them, with the host patterns that `of_case` gives for each. Gives how many end
/// some request differently, and how many none.
fn check_cases(cases: u64, mut random: Random, of_case: impl Fn(u64) -> Vec<&'static str>) -> (u64, u64) {
    let (mut differing, mut alike) = (0, 0);
    for case in 0..cases {
        let hosts = &of_case(case)[..];
        let count = (random.below(4) + 1, random.below(4));
        let allow: Vec<String> = (0..count.0).map(|_| rule(&mut random, hosts)).collect();
        let deny: Vec<String> = (0..count.1).map(|_| rule(&mut random, hosts)).collect();
        let new_allow = edited(&mut random, hosts, &allow);
        let mut new_deny = if random.below(2) == 0 {
            edited(&mut random, hosts, &deny)
        } else {
            deny.clone()
        };
        if random.below(20) == 0
            && let Some(last) = new_deny.last_mut()
        {
            last.pop();
        }
        let document = |name: &str, lines: &[String]| Document::new(name, lines.concat());
        let sides = [
            [document("a", &allow), document("d", &deny)],
            [document("a", &new_allow), document("d", &new_deny)],
        ];
        let text = format!(
            "case {case}\n{}--\n{}==\n{}--\n{}",
            allow.concat(),
            deny.concat(),
            new_allow.concat(),
            new_deny.concat()
        );
        match std::panic::catch_unwind(|| check_case(sides, case)) {
            Ok(0) => alike += 1,
            Ok(_) => differing += 1,
            Err(_) => panic!("{text}"),
        }
    }
    (differing, alike)
}

fn cases(usual: u64) -> u64 {
    let named = std::env::var("COMPARE_CASES").ok().and_then(|n| n.parse().ok());
    named.unwrap_or(usual)
}

/// Conditions on the text of IPv6 addresses take long to follow where nothing is optimised.
fn is_quick(pattern: &str) -> bool {
    !["*b*", "*a*", "*.2", ".1"].contains(&pattern)
}

#[test]
fn no_difference_is_missed_and_none_is_false() {
    let cases = cases(200);
    let (differing, alike) = check_cases(cases, Random(20_261_123), |case| {
        let hosts = HOSTS.iter().copied();
        hosts.filter(|t| case % 100 == 0 || is_quick(t)).collect()
    });
    assert!(
        differing > cases / 3 && alike > 0,
        "{differing} differ, {alike} do not"
    );
}

#[test]
fn nor_where_hosts_stand_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| -> &'static str {
        let path = directory.path().join(name);
        Box::leak(path.to_str().unwrap().to_owned().into_boxed_str())
    };
    let [plain, nested, around, missing] = ["plain", "nested", "around", "missing"].map(file);
    for (path, text) in [
        (plain, "10.0.0.1 10.0.1.0/24\n[2001:db8::1]\n.b\n".to_owned()),
        // Words, and no list: EXCEPT is a name here, and so is what looks like a comment.
        (nested, format!("# a\n10.0.0.2/31 EXCEPT\t{plain} @g\n")),
        (around, format!("KNOWN {around} {nested}")),
    ] {
        std::fs::write(path, text).unwrap();
    }
    let users: Vec<&'static str> = [plain, nested]
        .map(|path| &*Box::leak(format!("x@{path}").into_boxed_str()))
        .to_vec();
    let cases = cases(80);
    let (differing, alike) = check_cases(cases, Random(20_261_124), |_| {
        let hosts = HOSTS.iter().copied().filter(|t| is_quick(t));
        // As often as all others together.
        let named = [plain, nested, around, missing, users[0], users[1]].repeat(6);
        hosts.chain(named).collect()
    });
    assert!(
        differing > cases / 3 && alike > 0,
        "{differing} differ, {alike} do not"
    );
}

#[test]
fn nor_where_rules_ask_what_the_tables_do_not_say() {
    let cases = cases(40);
    let (differing, alike) = check_cases(cases, Random(20_261_126), |case| {
        // A few of them, so that they meet.
        let from = case as usize % BRACES.len();
        let some = (0..3).map(|at| BRACES[(from + 7 * at) % BRACES.len()]);
        let some: Vec<&str> = some.collect();
        let plain = [
            "ALL",
            "10.0.0.",
            "10.0.0.0/31",
            "[2001:db8::]/32",
            ".b",
            "UNKNOWN",
        ];
        plain.into_iter().chain(some.repeat(2)).collect()
    });
    assert!(
        differing > cases / 3 && alike > 0,
        "{differing} differ, {alike} do not"
    );
}

/// What is said of a ban holds for requests from what is banned, and nothing is said of others.
#[test]
fn what_a_ban_changes_is_all_told() {
    let mut random = Random(20_261_127);
    let hosts = [
        "{banned}",
        "{banned}",
        "{country=DE}",
        "10.0.0.",
        "10.0.0.0/31",
        "ALL",
        ".b",
    ];
    let (mut changed, mut unchanged) = (0, 0);
    for case in 0..cases(60) {
        let mut table = |count| -> String { (0..count).map(|_| rule(&mut random, &hosts)).collect() };
        let tables = [table(4), table(3)].map(|text| Document::new("t", text));
        let shown = || {
            tables
                .iter()
                .map(|d| String::from_utf8_lossy(&d.text))
                .collect::<Vec<_>>()
                .join("--\n")
        };
        let block = |address: [u8; 4], length| Block {
            address: IpAddr::from(address),
            length,
        };
        let are_banned = case % 2 == 0;
        let (networks, besides) = ([block([10, 0, 0, 0], 30)], [block([10, 0, 0, 1], 32)]);
        let found = banning(Documents::both(&tables), &networks, &besides, are_banned).unwrap();
        let compiled = Documents::both(&tables).compiled();
        for difference in &found.comparison.differences {
            let within = difference
                .clients
                .addresses
                .parts
                .iter()
                .flat_map(|part| &part.blocks);
            assert!(
                within
                    .clone()
                    .all(|b| b.ends().0 >= 0x0a00_0000 && b.ends().1 <= 0x0a00_0003),
                "{}",
                shown()
            );
            assert!(!difference.clients.addresses.unknown);
        }
        for _ in 0..100 {
            let asking = Asking {
                daemon: random.of(&["sshd", "ftpd", "in.x"]),
                port: Some(22),
                server: ("10.0.0.1", "gate"),
                address: random.of(&["10.0.0.0", "10.0.0.2", "10.0.0.3"]),
                name: random.of(NAMES),
                user: "unknown",
                groups: &[],
                world: &World(random.0),
            };
            let [old, new] = [!are_banned, are_banned].map(|banned| {
                let known: Known = Ok(Found::from(banned));
                decided_in(&compiled, &asking, 0, &[(Fact::Banned, known)])
            });
            if old.0 != new.0 {
                changed += 1;
                assert!(!found.comparison.differences.is_empty(), "{}", shown());
            } else {
                unchanged += 1;
            }
            if new.0 == Verdict::Granted {
                let by = new.2.map(|rule| (rule.table, rule.first_line as usize - 1));
                assert!(
                    found.let_in.iter().any(|one| one.rule == by),
                    "{by:?} {:?} {}",
                    found.let_in,
                    shown()
                );
            }
        }
    }
    assert!(
        changed > 100 && unchanged > 100,
        "{changed} changed, {unchanged} did not"
    );
}

#[test]
fn answers_that_are_too_many_to_tell_apart_are_left_out_by_name() {
    let times: String = (0..400)
        .map(|n| {
            format!(
                " {{time=20{}-0{}-{:02}/{:02}{:02}-2400}}",
                30 + n / 20,
                1 + n % 9,
                1 + n % 28,
                n % 24,
                n % 60
            )
        })
        .collect();
    let codes: Vec<String> = (2..40).map(|n| format!("127.0.0.{n}")).collect();
    let lists: String = codes
        .iter()
        .map(|code| format!(" {{rbl=zone.example.net|{code}}}"))
        .collect();
    let questions: String = (0..13).map(|n| format!(" {{dns=h{n}.example.net}}")).collect();
    for clients in [times, lists, questions] {
        let old = Document::new("a", format!("sshd:{clients}\nvsftpd: 10.\n"));
        let new = Document::new(
            "a",
            format!("sshd:{clients} EXCEPT 11.\nvsftpd: 10.\n ftpd: 12.\n"),
        );
        let deny = Document::new("d", "ALL: ALL\n");
        let side = |allow| Documents {
            allow: Some(allow),
            deny: Some(&deny),
        };
        let found = compare(side(&old), side(&new)).unwrap();
        let problems: Vec<_> = found.left_out.iter().map(|left| left.problem.clone()).collect();
        assert_eq!(problems, [Incomparable::TooManyAnswers]);
        assert!(
            found.left_out[0]
                .services
                .iter()
                .all(|s| { s.daemons.as_deref() == Some(&[Strings::Exactly(b"sshd".to_vec())]) })
        );
        assert_eq!(found.differences.len(), 1);
    }
}
