//! The comparison against brute force: requests of a small universe are decided under both policies,
//! and each must lie in exactly the difference that says what becomes of it, or in none.

use std::net::IpAddr;

use super::strings::{Atom, Class};
use super::*;
use crate::document::{Content, Document, content};
use hosts_access::decision::Verdict;
use hosts_access::diagnostic::{Diagnostic, Place};
use hosts_access::dry::DryHost;
use hosts_access::effect::{Effect, Outcome as Outcome_};
use hosts_access::policy::Compiled;
use hosts_access::string_matches;
use hosts_access::{Host, Request, Side};

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % count as u64) as usize
    }

    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

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
    format!("{daemons}: {clients} {}\n", random.of(OPTIONS))
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

/// A host whose command of this number succeeds, all before it having failed.
struct Succeeds {
    dry: DryHost,
    failing: usize,
}

impl Host for Succeeds {
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
        self.dry.address(side, at)
    }
    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8> {
        self.dry.name(side, address, at)
    }
    fn port(&mut self, side: Side) -> Option<u16> {
        self.dry.port(side)
    }
    fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
        self.dry.user(at)
    }
    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        self.dry.netgroup(group, host)
    }
    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        self.dry.banner(directory, daemon, at)
    }
    fn fact(
        &mut self,
        fact: &hosts_access::Fact,
        client: Option<std::net::IpAddr>,
        at: Option<&Place>,
    ) -> hosts_access::Known {
        self.dry.fact(fact, client, at)
    }
    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome_ {
        if !matches!(effect, Effect::Aclexec(_)) {
            return self.dry.perform(effect, at);
        }
        if self.failing == 0 {
            return Outcome_::Done;
        }
        self.failing -= 1;
        Outcome_::Failed
    }
    fn log(&mut self, diagnostic: &Diagnostic) {
        self.dry.log(diagnostic);
    }
}

struct Asking<'a> {
    daemon: &'a str,
    port: Option<u16>,
    server: (&'a str, &'a str),
    address: &'a str,
    name: &'a str,
    user: &'a str,
    groups: &'a [&'a str],
}

/// Verdict and step for each number of commands that fail first.
type Ends = Vec<(Verdict, Step)>;

const FAILING: usize = 5;

/// How many requests of the universe are tried in each case.
const REQUESTS: usize = 300;

fn decided(compiled: &Compiled, asked: &Asking<'_>, failing: usize) -> Ends {
    let one = |failing| {
        let mut dry = DryHost::new(asked.address)
            .named(asked.name)
            .with_user(asked.user);
        dry = dry.with_server(asked.server.0, asked.server.1, asked.port);
        for group in asked.groups {
            dry = dry.in_netgroup(*group, asked.name);
        }
        let mut host = Succeeds { dry, failing };
        let decision = compiled.decide(&mut Request::new(asked.daemon), &mut host);
        let step = match decision.rule {
            None => Step::plain(decision.verdict),
            Some(rule) => match content(&[rule.text(), b"\n"].concat()) {
                Content::Rule(of_line) => Step::of(&of_line, rule.table),
                _ => panic!("no rule"),
            },
        };
        (decision.verdict, step)
    };
    (0..failing).map(one).collect()
}

fn computed(outcome: &Outcome, failing: usize) -> Ends {
    let step = |failing: usize| &outcome.steps[failing.min(outcome.steps.len() - 1)];
    (0..failing)
        .map(|failing| (step(failing).verdict, step(failing).clone()))
        .collect()
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
    let side = |side: usize| Documents {
        allow: Some(&sides[side][0]),
        deny: Some(&sides[side][1]),
    };
    let compiled = [0, 1].map(|number| side(number).compiled());
    let whole = compare(side(0), side(1)).unwrap();
    let lines = [lines(side(0)), lines(side(1))];
    let mut outcomes = Outcomes::default();
    let mut lists = Lists::new();
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
        let daemon = random.of(&["sshd", "ftpd", "in.x", "zz"]);
        let (port, server) = [
            (None, ("unknown", "unknown")),
            (Some(22), ("10.0.0.1", "gate")),
            (Some(23), ("10.0.0.9", "a.b")),
            (Some(22), ("2001:db8::1", "q")),
        ][random.below(4)];
        let (name, user, address) = (random.of(NAMES), random.of(USERS), random.of(ADDRESSES));
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
        let found: Vec<[Ends; 2]> = swept[at[0]].as_ref().map_or_else(Vec::new, |swept| {
            let together = Together::new(swept.spellings.iter().collect());
            let mut client = vec![
                class_of(&swept.names, &swept.name_atoms, name),
                class_of(&swept.users, &swept.user_atoms, user),
            ];
            let holds = |g: &&[u8]| groups.iter().any(|group| group.as_bytes() == *g);
            client.extend(swept.groups.iter().map(|g| u32::from(holds(g))));
            let changed = swept.changed.iter().filter(|changed| {
                let mut parts = changed.parts.iter();
                changed.boxes.iter().any(|one| is_in(one, &client))
                    && parts.any(|p| lies_in(p.family, &p.ranges, &p.way, address, &together))
            });
            changed
                .map(|changed| [changed.old, changed.new].map(|n| computed(&outcomes.get(n), failing)))
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
        };
        let ends = [0, 1].map(|side: usize| decided(&compiled[side], &asking, failing));
        let request = format!("{daemon} {port:?} {server:?}: {user}@{name} {address} {groups:?}");
        if ends[0] == ends[1] {
            assert!(found.is_empty(), "false: {request} {found:?}");
        } else {
            differing += 1;
            assert_eq!(found, [ends], "missed: {request}");
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
