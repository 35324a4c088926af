//! What `tcpwrap diff` prints is what it found: the text and the JSON are read back into sets of requests, and each
//! request of a small universe lies in exactly one difference, with its verdicts, if it ends differently, and else in
//! none.

#[path = "../../analysis/tests/random/mod.rs"]
mod random;

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use hosts_access::dry::DryHost;
use hosts_access::syntax::pattern::StringPattern;
use hosts_access::{Request, Tables, Verdict, string_matches};
use random::Random;
use serde_json::Value;

const DAEMONS: &[&str] = &[
    "ALL",
    "sshd",
    "ftpd",
    "in.*",
    "22",
    "*d",
    "ALL@10.0.0.",
    "sshd@gate",
];
const HOSTS: &[&str] = &[
    "ALL",
    "10.0.0.1",
    "10.0.",
    "10.0.0.0/31",
    "10.0.0.0/255.0.0.255",
    "0.0.0.0/0.0.0.0",
    "[::]/0",
    "10.0.*",
    "[2001:db8::]/32",
    "1?.0.0.1",
    "LOCAL",
    "KNOWN",
    "UNKNOWN",
    "PARANOID",
    "host*",
    "host1",
    ".b",
    "a.b",
    "a.",
    "*.b",
    "h*1",
    "x@ALL",
    "y*@.b",
    "KNOWN@10.",
];
const OPTIONS: &[&str] = &["", "", "", ": allow", ": deny", ": spawn x", ": twist t"];
const ADDRESSES: &[&str] = &[
    "10.0.0.0",
    "10.0.0.1",
    "10.0.1.1",
    "10.1.0.1",
    "11.0.0.1",
    "12.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "fe80::1",
    "unknown",
];
const NAMES: &[&str] = &[
    "unknown", "paranoid", "host", "host1", "host1.b", "hostx.c", "a.b", "a.x", "q", "q.q", "xa.b",
];
const USERS: &[&str] = &["unknown", "x", "y", "yy", "z"];

fn list(random: &mut Random, from: &[&str]) -> String {
    let mut list = random.of(from).to_owned();
    for _ in 0..random.below(3) {
        list.push_str(random.of(&[" ", ", ", " EXCEPT "]));
        list.push_str(random.of(from));
    }
    list
}

fn rules(random: &mut Random, most: usize) -> Vec<String> {
    (0..random.below(most + 1))
        .map(|_| {
            format!(
                "{}: {} {}\n",
                list(random, DAEMONS),
                list(random, HOSTS),
                random.of(OPTIONS)
            )
        })
        .collect()
}

#[derive(Debug)]
struct Asked<'a> {
    daemon: &'a str,
    port: u16,
    server: (&'a str, &'a str),
    address: &'a str,
    name: &'a str,
    user: &'a str,
}

fn decided(tables: &Tables, asked: &Asked<'_>) -> &'static str {
    let mut host = DryHost::new(asked.address)
        .named(asked.name)
        .with_user(asked.user);
    host = host.with_server(asked.server.0, asked.server.1, Some(asked.port));
    match tables.decide(&mut Request::new(asked.daemon), &mut host).verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
        Verdict::Delegated => "delegated",
    }
}

/// A set of requests, as it was read.
struct Set<'t> {
    verdicts: [String; 2],
    holds: Box<dyn Fn(&Asked<'_>) -> bool + 't>,
}

fn matches(pattern: &str, text: &str) -> bool {
    string_matches(StringPattern::parse(pattern.as_bytes()), text.as_bytes())
}

/// Does the text of an address match: a pattern, or a network with an odd mask?
fn is_spelled(pattern: &str, address: &str) -> bool {
    let Some((net, mask)) = pattern.split_once('/') else {
        return matches(pattern, address);
    };
    let number = |text: &str| text.parse::<std::net::Ipv4Addr>().map(u32::from);
    // The broadcast address reads as none where masks are compared.
    number(address)
        .is_ok_and(|address| address != u32::MAX && address & number(mask).unwrap() == number(net).unwrap())
}

fn is_in(block: &str, address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let (net, length) = match block.split_once('/') {
        Some((net, length)) => (net, length.parse().unwrap()),
        None => (block, if block.contains(':') { 128u32 } else { 32 }),
    };
    match (address, net.parse().unwrap()) {
        (IpAddr::V4(address), IpAddr::V4(net)) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            address.to_bits() & mask == net.to_bits()
        }
        (IpAddr::V6(address), IpAddr::V6(net)) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            address.to_bits() & mask == net.to_bits()
        }
        _ => false,
    }
}

mod text {
    //! The text, read as docs/diff.md has it.

    use super::*;

    pub fn sets(text: &str) -> Vec<Set<'_>> {
        let blocks = text.split("\n\n").filter(|block| block.contains(" → "));
        blocks.map(set).collect()
    }

    fn set(block: &str) -> Set<'_> {
        let (old, new) = block.lines().next().unwrap().split_once(" → ").unwrap();
        let fields = |label: &str| {
            let lines = block
                .lines()
                .filter_map(move |line| line.trim_start().strip_prefix(label));
            lines.map(str::trim_start).collect::<Vec<_>>()
        };
        let services = [fields("daemons:"), fields("and:")].concat();
        let (clients, names, users) = (fields("clients:"), fields("names:"), fields("users:"));
        Set {
            verdicts: [old, new].map(str::to_owned),
            holds: Box::new(move |asked| {
                services.iter().any(|text| service(text, asked))
                    && address(clients[0], asked.address)
                    && names.iter().all(|text| strings(text, asked.name))
                    && users.iter().all(|text| strings(text, asked.user))
            }),
        }
    }

    fn service(text: &str, asked: &Asked<'_>) -> bool {
        // Everything of the server comes last.
        let mut daemon = text;
        let mut holds = true;
        for label in ["; server name ", "; server address ", "; port "] {
            let Some((before, value)) = daemon.split_once(label) else {
                continue;
            };
            daemon = before;
            holds &= match label {
                "; port " => ports(value, asked.port),
                "; server address " => address(value, asked.server.0),
                _ => strings(value, asked.server.1),
            };
        }
        holds && (daemon == "any" || strings(daemon, asked.daemon))
    }

    fn ports(text: &str, port: u16) -> bool {
        let has = |list: &str| list.split(", ").any(|one| one.parse() == Ok(port));
        text.strip_prefix("any but ")
            .map_or_else(|| has(text), |but| !has(but))
    }

    fn address(text: &str, address: &str) -> bool {
        let has = |list: &str| list.split(", ").any(|block| is_in(block, address));
        if text == "any" {
            return true;
        }
        if let Some(but) = text.strip_prefix("any but ") {
            return !has(but);
        }
        text.split("; ").any(|part| {
            let (blocks, condition) = part.split_once(", where the text ").unwrap_or((part, ""));
            let mut conditions = condition.split(" and ").filter(|one| !one.is_empty());
            let is_met = conditions.all(|one| match one.strip_prefix("does not match ") {
                Some(pattern) => !is_spelled(pattern, address),
                None => is_spelled(one.strip_prefix("matches ").unwrap(), address),
            });
            let ip = address.parse::<IpAddr>();
            let of_family = |rest: &str, is: bool| {
                is && rest
                    .strip_prefix(" but ")
                    .map_or_else(|| rest.is_empty(), |but| !has(but))
            };
            is_met
                && if let Some(rest) = blocks.strip_prefix("any IPv4 address") {
                    of_family(rest, ip.is_ok_and(|ip| ip.is_ipv4()))
                } else if let Some(rest) = blocks.strip_prefix("any IPv6 address") {
                    of_family(rest, ip.is_ok_and(|ip| ip.is_ipv6()))
                } else if blocks == "an unknown address" {
                    ip.is_err()
                } else {
                    has(blocks)
                }
        })
    }

    fn strings(text: &str, string: &str) -> bool {
        let is_pattern = |word: &str| {
            !word.starts_with('"')
                && (word.contains(['*', '?']) || word.starts_with('.') || word.ends_with('.'))
        };
        let is = |word: &str| {
            if is_pattern(word) {
                matches(word, string)
            } else {
                word.trim_matches('"') == string
            }
        };
        text.split("; ").any(|item| {
            let (head, but) = item.split_once(" but ").unwrap_or((item, ""));
            let (head, dot) = if let Some(head) = head.strip_suffix(" without a dot") {
                (head, Some(false))
            } else if let Some(head) = head.strip_suffix(" with a dot") {
                (head, Some(true))
            } else {
                (head, None)
            };
            let is_like = head == "any" || is_pattern(head.split(' ').next().unwrap());
            if !is_like {
                return item.split(", ").any(is);
            }
            (head == "any" || head.split(" and ").all(is))
                && dot.is_none_or(|dot| dot == string.contains('.'))
                && !but.split(", ").any(is)
        })
    }
}

mod json {
    //! The JSON, read as its schema has it.

    use super::*;

    pub fn sets(value: &Value) -> Vec<Set<'_>> {
        let differences = value["result"]["differences"].as_array().unwrap();
        differences.iter().map(set).collect()
    }

    fn set(one: &Value) -> Set<'_> {
        let verdict = |which: &str| one["witness"][which]["verdict"].as_str().unwrap().to_owned();
        Set {
            verdicts: ["old", "new"].map(verdict),
            holds: Box::new(|asked| {
                let services = one["services"].as_array().unwrap();
                services.iter().any(|one| service(one, asked))
                    && address(&one["addresses"], asked.address)
                    && strings(&one["names"], asked.name)
                    && strings(&one["users"], asked.user)
            }),
        }
    }

    fn service(one: &Value, asked: &Asked<'_>) -> bool {
        let has = |list: &Value| list.as_array().unwrap().contains(&asked.port.into());
        let ports = &one["ports"];
        strings(&one["daemons"], asked.daemon)
            && (ports.is_null() || ports.get("these").map_or_else(|| !has(&ports["all_but"]), has))
            && (one["server_addresses"].is_null() || address(&one["server_addresses"], asked.server.0))
            && strings(&one["server_names"], asked.server.1)
    }

    fn address(one: &Value, address: &str) -> bool {
        let parts = one["parts"].as_array().unwrap();
        let is_part = |part: &Value| {
            let blocks = part["blocks"].as_array().unwrap();
            blocks.iter().any(|block| is_in(block.as_str().unwrap(), address))
                && part["spelled"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|one| one["matches"] == is_spelled(one["pattern"].as_str().unwrap(), address))
        };
        parts.iter().any(is_part) || (address == "unknown" && one["unknown"] == true)
    }

    fn strings(all: &Value, string: &str) -> bool {
        let texts = |one: &Value| -> Vec<String> {
            one.as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect()
        };
        all.is_null()
            || all
                .as_array()
                .unwrap()
                .iter()
                .any(|one| match one.get("exactly") {
                    Some(text) => text == string,
                    None => {
                        texts(&one["like"]).iter().all(|pattern| matches(pattern, string))
                            && !texts(&one["unlike"])
                                .iter()
                                .any(|pattern| matches(pattern, string))
                            && !texts(&one["but"]).iter().any(|text| text == string)
                            && one["dot"].as_bool().is_none_or(|dot| dot == string.contains('.'))
                    }
                })
    }
}

fn diff(directories: [&Path; 2], options: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
    let output = command
        .arg("diff")
        .args(options)
        .args(directories)
        .output()
        .unwrap();
    assert!(output.status.code() < Some(2), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Holds what is printed of one pair of policies against requests. Gives how many end differently.
fn check(random: &mut Random, texts: [[String; 2]; 2]) -> usize {
    let directories = [0, 1].map(|side: usize| {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in ["hosts.allow", "hosts.deny"].iter().zip(&texts[side]) {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    });
    let paths = [directories[0].path(), directories[1].path()];
    let tables = paths.map(Tables::in_directory);
    let printed = diff(paths, &["--all"]);
    let value: Value = serde_json::from_str(&diff(paths, &["--json"])).unwrap();
    let (of_text, of_json) = (text::sets(&printed), json::sets(&value));
    let mut differing = 0;
    for _ in 0..150 {
        let asked = Asked {
            daemon: random.of(&["sshd", "ftpd", "in.x", "zz", "xd"]),
            port: [22, 23][random.below(2)],
            server: [
                ("unknown", "unknown"),
                ("10.0.0.1", "gate"),
                ("2001:db8::1", "q.b"),
            ][random.below(3)],
            address: random.of(ADDRESSES),
            name: random.of(NAMES),
            user: random.of(USERS),
        };
        let verdicts = [0, 1].map(|side: usize| decided(&tables[side], &asked));
        for (form, sets) in [("text", &of_text), ("JSON", &of_json)] {
            let found: Vec<&Set<'_>> = sets.iter().filter(|set| (set.holds)(&asked)).collect();
            let shown = || format!("{form}: {asked:?}\n{texts:#?}\n{printed}");
            if verdicts[0] != verdicts[1] {
                assert_eq!(found.len(), 1, "{}", shown());
                assert_eq!(found[0].verdicts, verdicts, "{}", shown());
            }
            // Where the verdict is the same, what is run may still be another; then it is in one, and never in two.
            assert!(found.len() < 2, "{}", shown());
            let is_same = texts
                .iter()
                .flatten()
                .all(|text| !text.contains("spawn") && !text.contains("twist"));
            if is_same && verdicts[0] == verdicts[1] {
                assert!(found.is_empty(), "{}", shown());
            }
        }
        differing += usize::from(verdicts[0] != verdicts[1]);
    }
    differing
}

#[test]
fn what_is_printed_is_the_set_that_was_computed() {
    let mut random = Random(20_261_126);
    let mut differing = 0;
    for _ in 0..60 {
        let allow = rules(&mut random, 3);
        let deny = rules(&mut random, 3);
        let mut new = [allow.clone(), deny.clone()];
        for table in &mut new {
            let added = rules(&mut random, 2);
            let at = random.below(table.len() + 1);
            table.splice(at..at, added);
        }
        if !new[0].is_empty() && random.below(2) == 0 {
            new[0].remove(0);
        }
        let texts = [[allow, deny], new].map(|tables| tables.map(|lines| lines.concat()));
        differing += usize::from(check(&mut random, texts) > 0);
    }
    assert!(differing > 25, "{differing}");
}

#[test]
fn a_dot_and_a_whole_family_are_told() {
    let printed = |old: &str, new: &str| {
        let directories = [old, new].map(|allow| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("hosts.allow"), allow).unwrap();
            std::fs::write(directory.path().join("hosts.deny"), "ALL: ALL\n").unwrap();
            directory
        });
        diff([directories[0].path(), directories[1].path()], &[])
    };
    let text = printed("sshd: host* EXCEPT LOCAL\n", "sshd: host*\n");
    assert!(text.contains("  names:   host* without a dot\n"), "{text}");
    let text = printed("", "sshd: 0.0.0.0/0.0.0.0 [::]/0\n");
    assert!(
        text.contains("  clients: any IPv4 address but 255.255.255.255; any IPv6 address\n"),
        "{text}"
    );
    // What is most of it is never behind `and 4 more`.
    let names: String = (0..30).map(|n| format!(" h{n}.example.com")).collect();
    let text = printed(&format!("sshd:{names}\n"), "sshd: ALL EXCEPT x\n");
    let line = text.lines().find(|line| line.starts_with("  names:")).unwrap();
    assert!(line.starts_with("  names:   any but h0.example.com, "), "{text}");
}
