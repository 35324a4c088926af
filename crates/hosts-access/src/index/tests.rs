//! What a decision costs through the index, in lines, patterns and positions looked at: never more than through the
//! scan, whatever the table; and for tables with keys a few, however long they are.

mod offers;

use std::fmt::Write;
use std::sync::Arc;

use super::disk;
use crate::dry::DryHost;
use crate::policy::Compiled;
use crate::request::{Request, Side};
use crate::work::counter::steps;
use crate::{Evaluation, Fact, Found, Policy, Step, Tables, host};

/// What looking for keys may cost where nothing is found, once for each thing that is looked up meanwhile.
const FEW: u64 = 80;
/// How long the tables are.
const RULES: u32 = 2_000;

/// A table of so many rules, by the number of each.
fn table(rules: u32, rule: impl Fn(u32) -> String) -> String {
    (0..rules).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "{}", rule(at));
        text
    })
}

fn address(at: u32) -> String {
    format!("192.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255)
}

/// A deny table in a directory of its own, and compiled.
struct Scene {
    directory: tempfile::TempDir,
    tables: Tables,
    compiled: Arc<Compiled>,
}

/// Where no rule is for.
const LOCATION: Found = Found::Location {
    country: Some(*b"JP"),
    continent: None,
};

/// Steps of the scan and of the index for one client, and how many things were looked up.
struct Costs {
    scan: u64,
    index: u64,
    needs: u64,
}

impl Scene {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::in_directory(directory.path());
        std::fs::write(directory.path().join("hosts.deny"), text).unwrap();
        Scene {
            compiled: Policy::new(tables.clone()).current(),
            directory,
            tables,
        }
    }

    fn costs(&self, client: &str, name: Option<&str>) -> Costs {
        let mut host = DryHost::new(client)
            .named(name.unwrap_or("client.example.com"))
            .with_user("u7")
            .told(Fact::Location, Ok(LOCATION))
            .with_server("10.0.0.1", "server.example.org", Some(22));
        let mut needs = 0;
        let mut cost = |mut evaluation: Evaluation<'_>| {
            let mut request = Request::new("sshd");
            if let Some(name) = name {
                request = request.known_name(Side::Client, name);
            }
            needs = 0;
            steps(|| {
                loop {
                    match evaluation.step(&mut request) {
                        Step::Need(need) => {
                            needs += 1;
                            host::answer(&need, &mut request, &mut host);
                        }
                        Step::Log(_) => {}
                        Step::Do(effect) => panic!("{effect:?}"),
                        Step::Done(_) => break,
                    }
                }
            })
        };
        let (scan, index) = (cost(self.tables.evaluate()), cost(self.compiled.evaluate()));
        Costs { scan, index, needs }
    }
}

type Rule = fn(u32) -> String;

/// Tables whose rules have keys that tell them apart.
const KEYED: [(&str, Rule); 24] = [
    ("addresses", |at| format!("sshd: {}", address(at))),
    ("networks", |at| format!("sshd: {}/28", address(at << 4))),
    ("prefixes", |at| format!("sshd: {}.{}.", 20 + (at >> 8), at & 255)),
    ("masks with holes", |at| {
        format!("sshd: {}.0.{}.0/255.0.255.0", 11 + (at >> 8), at & 255)
    }),
    ("odd spellings", |at| format!("sshd: 0{}", address(at))),
    ("IPv6", |at| format!("sshd: [2001:db8::{at:x}]")),
    ("all of IPv6", |_| "sshd: [::]/0".to_owned()),
    ("names", |at| format!("sshd: host{at}.example.net")),
    ("domains", |at| format!("sshd: .sub{at}.example.net")),
    ("other daemons", |at| format!("d{at}: ALL")),
    ("other daemons, one address", |at| format!("d{at}: 10.99.98.97")),
    ("distinct daemon lists", |at| {
        format!("sshd d{at}: {}", address(at))
    }),
    ("daemons at addresses", |at| {
        format!("sshd@10.0.0.1: {}", address(at))
    }),
    ("daemons at many addresses", |at| {
        format!("sshd@{}: ALL", address(at))
    }),
    ("daemons at many names", |at| {
        format!("sshd@host{at}.example.net: .example.com")
    }),
    ("daemons at networks", |at| {
        format!("ALL@{}/28: .example.com", address(at << 4))
    }),
    ("ends", |at| format!("sshd: *.sub{at}.example.net")),
    ("beginnings", |at| format!("sshd: host{at}-*.example.*")),
    ("both", |at| format!("sshd: a{at}*{at}.example.net")),
    ("text between", |at| format!("sshd: *evil{at:05}*")),
    ("addresses with wildcards", |at| {
        format!("sshd: {}.{}.*", 11 + (at >> 8), at & 255)
    }),
    ("users", |at| format!("sshd: u{at}x@ALL")),
    ("users of a domain", |at| format!("sshd: u{at}x@.example.com")),
    ("daemons with wildcards", |at| format!("d{at}*: ALL")),
];

/// Tables whose rules must all be tried, by both.
const UNKEYED: [(&str, Rule); 8] = [
    ("everyone except", |at| {
        format!("sshd d{at}: ALL EXCEPT 10.99.98.97")
    }),
    ("everyone except, at addresses", |at| {
        format!("sshd@{} ALL: ALL EXCEPT ALL", address(at))
    }),
    ("nobody", |at| format!("d{at} ALL EXCEPT sshd: ALL")),
    ("wildcards", |at| format!("sshd: *{}*?", at % 7)),
    ("daemons with few letters", |at| {
        format!("*{}* ?: {}", at % 10, address(at))
    }),
    ("users with wildcards", |at| format!("sshd: a{at}*@ALL")),
    ("no colon", |at| format!("sshd {at}")),
    ("groups", |at| format!("sshd: @group{at}")),
];

#[test]
fn rules_with_keys_cost_next_to_nothing() {
    for (shape, rule) in KEYED {
        let [short, long] = [RULES / 8, RULES].map(|rules| Scene::new(&table(rules, rule)));
        for name in [None, Some("client.example.com"), Some("unknown")] {
            let Costs { scan, index, .. } = long.costs("10.99.98.97", name);
            assert!(scan >= u64::from(RULES), "{shape}: the scan is counted");
            assert!(index <= FEW, "{shape}, {name:?}: {index} steps, the scan {scan}");
            // Eight times as many rules are no dearer.
            let shorter = short.costs("10.99.98.97", name).index;
            assert!(
                index <= shorter + 8,
                "{shape}, {name:?}: {index} steps, {shorter} in a shorter table"
            );
        }
    }
}

#[test]
fn no_table_costs_more_than_its_scan() {
    for (shape, rule) in KEYED.into_iter().chain(UNKEYED) {
        let scene = Scene::new(&table(RULES, rule));
        for client in ["10.99.98.97", "192.0.0.77", "2001:db8::7", "192.0.2", "unknown"] {
            for name in [None, Some("host77.example.net"), Some("unknown")] {
                let Costs { scan, index, needs } = scene.costs(client, name);
                // Where something is looked up, which costs far more, candidates are looked for anew.
                assert!(
                    index <= scan + FEW + 6 * needs,
                    "{shape}, {client} {name:?}: {index} steps, the scan {scan}"
                );
            }
        }
    }
}

#[test]
fn countries_cost_one_question_however_many_rules_ask() {
    let addresses = table(RULES, |at| format!("sshd: {}", address(at)));
    let countries = |many: usize| {
        let codes = ["DE", "AT", "CH", "FR", "NL", "BE", "DK", "PL", "CZ", "IT"];
        codes[..many]
            .iter()
            .map(|code| format!("sshd: {{country={code}}}\n"))
            .collect::<String>()
    };
    let costs = |many| Scene::new(&(addresses.clone() + &countries(many))).costs("10.99.98.97", None);
    let (none, one, ten) = (costs(0), costs(1), costs(10));
    assert_eq!((one.needs, ten.needs), (none.needs + 1, none.needs + 1));
    // Each of these rules is tried, and the first one again when it has its answer.
    assert!(
        ten.index <= none.index + 60,
        "{} steps, without {}",
        ten.index,
        none.index
    );
    assert!(one.index <= ten.index && ten.index < u64::from(RULES) / 10);
}

#[test]
fn long_lists_are_looked_up() {
    let many = |from: u32| (from..from + RULES).fold(String::new(), |text, at| text + "\\\n " + &address(at));
    for (list, denies) in [
        (format!("{} {}", many(0), many(RULES)), false),
        (format!("{} 10.99.98.97 EXCEPT {}", many(0), many(RULES)), true),
        (format!("ALL EXCEPT {}", many(0)), true),
        (format!("ALL EXCEPT {} 10.99.98.97", many(0)), false),
        (
            format!("ALL EXCEPT {} ALL EXCEPT 10.99.98.97 {}", many(0), many(0)),
            true,
        ),
    ] {
        let scene = Scene::new(&format!("sshd:{list}\n"));
        let Costs { scan, index, .. } = scene.costs("10.99.98.97", None);
        assert!(index <= FEW, "{index} steps, the scan {scan}");
        let decide = |compiled: &Compiled| {
            compiled.decide(&mut Request::new("sshd"), &mut DryHost::new("10.99.98.97"))
        };
        let scanned = scene
            .tables
            .decide(&mut Request::new("sshd"), &mut DryHost::new("10.99.98.97"));
        assert_eq!(scanned, decide(&scene.compiled));
        assert_eq!(scanned.verdict.is_granted(), !denies);
    }
}

#[test]
fn a_list_with_an_index_beside_it_costs_as_little() {
    let scene = Scene::new("");
    let [deny, list] = ["hosts.deny", "list"].map(|name| scene.directory.path().join(name));
    std::fs::write(&deny, format!("sshd: {}\n", list.display())).unwrap();
    let words = |at| format!("{}\n.sub{at}.example.net 10.{}.0.0/16", address(at), at & 63);
    std::fs::write(&list, table(RULES, words)).unwrap();
    let decide = |client: &str| {
        let (mut host, mut verdict) = (DryHost::new(client), None);
        let steps =
            steps(|| verdict = Some(scene.tables.decide(&mut Request::new("sshd"), &mut host).verdict));
        assert_eq!(host.log, []);
        (steps, verdict.unwrap().is_granted())
    };
    let scanned = ["10.99.98.97", "192.0.3.7", "10.9.0.1"].map(|client| (client, decide(client)));
    let image = disk::compile_list(&list).unwrap().expect("it is long enough");
    assert_eq!(image.rules, 3 * RULES as usize);
    std::fs::write(disk::path_of(&list), image.bytes).unwrap();
    for (client, (scan, granted)) in scanned {
        let (indexed, now) = decide(client);
        assert_eq!(now, granted, "{client}");
        assert!(indexed <= FEW, "{client}: {indexed} steps, the scan {scan}");
    }
    // Another list than it is of, even if it is as long.
    std::fs::write(&list, table(RULES, |at| words(at).replace("10.", "11."))).unwrap();
    assert!(decide("10.9.0.1").1 && !decide("11.9.0.1").1);
}

/// Whichever block of a list's index is damaged: what a file says that the list names is not forgotten.
#[test]
fn a_list_that_is_read_again_asks_the_files_that_it_names_again() {
    let scene = Scene::new("");
    let [deny, list, named] = ["hosts.deny", "list", "named"].map(|name| scene.directory.path().join(name));
    std::fs::write(&deny, format!("sshd: {}\n", list.display())).unwrap();
    std::fs::write(&named, "{country=DE}\n").unwrap();
    // Each second word is tried, and needs nothing.
    let words = table(RULES, |at| address(at) + " *q*?");
    std::fs::write(&list, format!("{}\n{words}", named.display())).unwrap();
    let whole = disk::compile_list(&list)
        .unwrap()
        .expect("it is long enough")
        .bytes;
    let mut damaged = 0;
    for block in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[4096 * block + 8] ^= 1;
        std::fs::write(disk::path_of(&list), bytes).unwrap();
        // Nobody says where the client is.
        let mut host = DryHost::new("10.99.98.97");
        let mut request = Request::new("sshd").known_name(Side::Client, "client.example.com");
        let decision = scene.tables.decide(&mut request, &mut host);
        assert!(!decision.verdict.is_granted(), "block {block}");
        let lost = |line: &crate::Diagnostic| line.text.ends_with(b"damaged, the list is read without it");
        damaged += host.log.iter().filter(|line| lost(line)).count();
    }
    assert!(damaged > 3, "{damaged}");
}

#[test]
fn a_scan_with_an_index_beside_its_table_costs_as_little() {
    for (shape, rule) in KEYED {
        let scene = Scene::new(&format!("#{}\n{}", "-".repeat(40_000), table(RULES, rule)));
        let table = scene.directory.path().join("hosts.deny");
        let image = disk::compile(&table).unwrap().expect("it is long enough");
        std::fs::write(disk::path_of(&table), image.bytes).unwrap();
        let Costs { scan, needs, .. } = scene.costs("10.99.98.97", None);
        assert!(scan <= FEW + 6 * needs, "{shape}: {scan} steps");
    }
}
