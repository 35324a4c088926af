//! What is surely granted or denied by its address is so whatever else there is to know of a client.

use std::net::IpAddr;

use analysis::addresses::{AddressSets, ByAddress};
use hosts_access::dry::DryHost;
use hosts_access::{Cause, Fact, Found, Policy, Request, Tables, Verdict};
use proptest::prelude::*;
use proptest::sample::select;

const DAEMONS: &[&str] = &[
    "sshd",
    "sshd",
    "ALL",
    "ss*",
    "vsftpd",
    "sshd@10.0.0.1",
    "sshd@ALL",
    "22",
    "KNOWN",
    "EXCEPT",
    "sshd@.example.org",
];

const CLIENTS: &[&str] = &[
    "ALL",
    "ALL",
    "192.0.2.1",
    "192.0.2.",
    "192.0.2.0/24",
    "192.0.2.1/24",
    "192.0.0.0/255.0.255.0",
    "198.51.100.0/25",
    "0.0.0.0/0.0.0.0",
    "[2001:db8::1]",
    "[2001:db8::]/32",
    "[::]/0",
    "[::ffff:0:0]/96",
    "[fe80::]/10",
    "[fe80::1%lo]",
    "192.*",
    "*.1",
    ".1",
    ".example.org",
    "a.example.org",
    "host?",
    "KNOWN",
    "LOCAL",
    "UNKNOWN",
    "PARANOID",
    "@group",
    "root@192.0.2.",
    "ALL@192.0.2.1",
    "KNOWN@ALL",
    "{country=DE}",
    "{banned}",
    "{nonsense=1}",
    "{time=08:00-17:00}",
    "255.255.255.255",
    "1.2.3",
    "0x0a.1.2.3",
    "LIST",
    "MISSING",
    "EXCEPT",
    "EXCEPT",
    "EXCEPT",
];

const OPTIONS: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    ": allow",
    ": deny",
    ": severity info",
    ": spawn x",
    ": aclexec x",
    ": twist x",
    ": allow:",
    ": nonsense",
    ": if KNOWN",
    ": trial",
    ": limit 1/m",
    ": deny: allow",
    ": ban 1h",
    ": keepalive",
    ":",
];

fn rule() -> impl Strategy<Value = String> {
    let list = |words: &'static [&'static str], most| {
        prop::collection::vec(select(words), 1..most).prop_map(|words| words.join(" "))
    };
    (list(DAEMONS, 3), list(CLIENTS, 6), select(OPTIONS))
        .prop_map(|(daemons, clients, options)| format!("{daemons}: {clients}{options}\n"))
}

fn table() -> impl Strategy<Value = String> {
    const ENDS: &[&str] = &["", "", "", "", "# only a remark\n", "no rule\n", "ALL: ALL"];
    (prop::collection::vec(rule(), 0..6), select(ENDS)).prop_map(|(rules, end)| rules.concat() + end)
}

/// A client, and all else that is to be known.
#[derive(Debug, Clone)]
struct Asking {
    address: &'static str,
    name: &'static str,
    user: &'static str,
    server: &'static str,
    port: Option<u16>,
    in_group: bool,
    facts: Option<bool>,
    commands: Option<bool>,
}

fn asking() -> impl Strategy<Value = Asking> {
    let addresses = select(
        &[
            "192.0.2.1",
            "192.0.2.2",
            "192.0.3.1",
            "198.51.100.1",
            "198.51.100.200",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "2001:db8:1::1",
            "2001:dead::1",
            "::1",
            "fe80::1",
            "255.255.255.255",
            "0.0.0.0",
            "::192.0.2.1",
            "ff02::1",
        ][..],
    );
    let names = select(&["unknown", "paranoid", "a.example.org", "host1", "b.example.net"][..]);
    let users = select(&["unknown", "root", "other"][..]);
    let servers = select(&["unknown", "10.0.0.1", "10.0.0.2"][..]);
    let ports = select(&[None, Some(22), Some(80)][..]);
    let maybe = select(&[None, Some(false), Some(true)][..]);
    (
        addresses,
        names,
        users,
        servers,
        ports,
        any::<bool>(),
        maybe.clone(),
        maybe,
    )
        .prop_map(
            |(address, name, user, server, port, in_group, facts, commands)| Asking {
                address,
                name,
                user,
                server,
                port,
                in_group,
                facts,
                commands,
            },
        )
}

impl Asking {
    fn host(&self) -> DryHost {
        let mut host = DryHost::new(self.address)
            .named(self.name)
            .with_user(self.user)
            .with_server(self.server, "server.example.org", self.port);
        if self.in_group {
            host = host.in_netgroup("group", self.name);
        }
        if let Some(yes) = self.facts {
            let location = Found::Location {
                country: yes.then_some(*b"DE"),
                continent: None,
            };
            host = host
                .told(Fact::Location, Ok(location))
                .told(Fact::Banned, Ok(Found::from(yes)));
        } else {
            host = host.told(Fact::Banned, Err(Cause::new("the file is damaged")));
        }
        match self.commands {
            Some(succeed) => host.commands_succeed(succeed),
            None => host,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn who_is_surely_granted_or_denied_is(
        allow in table(),
        deny in table(),
        list in prop::collection::vec(select(&CLIENTS[..32]), 0..4),
        asking in prop::collection::vec(asking(), 1..30),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let place = |text: String| text.replace("LIST", &path("list")).replace("MISSING", &path("missing"));
        std::fs::write(path("list"), place(list.join("\n"))).unwrap();
        std::fs::write(path("hosts.allow"), place(allow)).unwrap();
        std::fs::write(path("hosts.deny"), place(deny)).unwrap();
        let tables = Tables::in_directory(directory.path());
        let sets = AddressSets::read(b"sshd", &tables);
        let compiled = Policy::new(tables).current();
        for asking in asking {
            let by_address = sets.of(asking.address.parse::<IpAddr>().unwrap());
            let wanted = match by_address {
                ByAddress::Granted => Verdict::Granted,
                ByAddress::Denied => Verdict::Denied,
                ByAddress::Asked => continue,
            };
            let decision = compiled.decide(&mut Request::new("sshd"), &mut asking.host());
            prop_assert_eq!(decision.verdict, wanted, "{:?}", asking);
            prop_assert!(decision.effects.is_empty() && decision.severity.is_none());
        }
    }
}

#[test]
fn sets_are_no_smaller_than_need_be() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    std::fs::write(&list, "203.0.113.0/24\n[2001:db8:1::]/48\n").unwrap();
    let sets = |allow: &str, deny: &str| {
        std::fs::write(directory.path().join("hosts.allow"), allow).unwrap();
        std::fs::write(directory.path().join("hosts.deny"), deny).unwrap();
        AddressSets::read(b"sshd", &Tables::in_directory(directory.path()))
    };
    let shown = |ranges: &mut dyn Iterator<Item = (IpAddr, IpAddr)>| {
        ranges
            .map(|(first, last)| format!("{first}-{last}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    // Whoever may be granted by name and else is denied must be asked about; who is granted either way not.
    let mixed = sets(
        "sshd: .example.org\nsshd: 192.0.2.0/24 EXCEPT 192.0.2.128/25\n",
        &format!("sshd: {}\nvsftpd: ALL\n", list.display()),
    );
    assert_eq!(shown(&mut mixed.denied()), "");
    assert_eq!(mixed.of("192.0.2.200".parse().unwrap()), ByAddress::Granted);
    assert_eq!(mixed.of("203.0.113.1".parse().unwrap()), ByAddress::Asked);
    let listed = sets("sshd: 192.0.2.1\n", &format!("sshd: {}\n", list.display()));
    assert_eq!(
        shown(&mut listed.denied()),
        "203.0.113.0-203.0.113.255 2001:db8:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff"
    );
    // An exception that may not hold, and a table that cannot be read to its end.
    let closed = sets("sshd: 192.0.2.1\n", "sshd: ALL EXCEPT KNOWN\nsshd: 198.51.100.");
    assert_eq!(shown(&mut closed.granted()), "192.0.2.1-192.0.2.1");
    assert_eq!(closed.of("203.0.113.1".parse().unwrap()), ByAddress::Denied);
    assert_eq!(
        sets("", "sshd: ALL: spawn x\n").of("192.0.2.1".parse().unwrap()),
        ByAddress::Asked
    );
}
