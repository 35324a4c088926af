//! Whole decisions of a process that stays: how much longer they take than by a rule with an address, one that the index
//! excludes and one that is read and matches, and their instructions, as valgrind counts them where it is installed.

use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;

use benches::tables;
use benches::{instructions, nanoseconds};
use hosts_access::{Policy, Tables};
use system::endpoints::{Endpoint, Endpoints};
use system::facts::State;
use system::host::SocketHost;

use crate::questions::client;

/// Where the tables are.
const RULES: &str = "/srv/rules";
/// The argument by which this program only decides.
pub const REPEAT: &str = "--repeat";

/// Rules for ten countries.
fn countries() -> String {
    let codes = ["DE", "AT", "CH", "FR", "NL", "BE", "DK", "PL", "CZ", "IT"];
    codes.map(|code| format!("sshd: {{country={code}}}\n")).concat()
}

/// Prints the table.
pub fn run(has_database: bool) -> Result<(), String> {
    let (long, _) = tables::addresses(100_000);
    let mut cases = vec![
        ("an address", "sshd: 198.51.100.1\n".to_owned()),
        (
            "an address whose rule is read",
            "sshd: 0.0.0.0/0.0.0.0\n".to_owned(),
        ),
        ("{banned}, 1,001,000 bans", "sshd: {banned}\n".to_owned()),
        // Of clients that come no faster than they are forgotten, and of so many that its memory is full.
        ("limit", "sshd: ALL: limit 1000/second\n".to_owned()),
        ("limit, memory full", "sshd: ALL: limit 5/day\n".to_owned()),
        ("100,000 addresses", long.clone()),
    ];
    if has_database {
        cases.insert(2, ("{country}", "sshd: {country=DE}\n".to_owned()));
        cases.insert(3, ("ten rules with {country}", countries()));
        cases.push(("100,000 addresses, ten with {country}", long + &countries()));
    }
    println!(
        "\n{:<44}{:>10}{:>12}{:>12}{:>14}",
        "microseconds a decision", "", "more", "than read", "instructions"
    );
    let mut addresses: Vec<f64> = Vec::new();
    for (name, deny) in cases {
        std::fs::create_dir_all(RULES).map_err(|error| error.to_string())?;
        std::fs::write(Path::new(RULES).join("hosts.allow"), deny).map_err(|error| error.to_string())?;
        let took = by_rules(|decide| nanoseconds(decide))?;
        if addresses.len() < 2 {
            addresses.push(took);
        }
        let more = |than: usize| {
            let than = addresses.get(than).map(|than| (took - than) / 1e3);
            than.map_or_else(String::new, |more| format!("{more:.3}"))
        };
        // What making ready costs is in both.
        let [few, many] = [10, 1010].map(|times| instructions(&[REPEAT, &times.to_string()]));
        let counted = few.and_then(|few| Ok(((many? - few) / 1000).to_string()));
        println!(
            "{name:<44}{:>10.3}{:>12}{:>12}{:>14}",
            took / 1e3,
            more(0),
            more(1),
            counted.unwrap_or_else(|problem| problem),
        );
    }
    Ok(())
}

/// Decides so often, for valgrind.
pub fn repeat(times: &str) -> Result<(), String> {
    let times: u32 = times.parse().map_err(|_| "how often?")?;
    by_rules(|decide| (0..times).for_each(|_| decide()))
}

/// Gives `work` a decision by the rules, each time about another client.
fn by_rules<R>(work: impl FnOnce(&mut dyn FnMut()) -> R) -> Result<R, String> {
    let compiled = Policy::new(Tables::in_directory(Path::new(RULES))).current();
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let state = State::new(true);
    let mut n = 7;
    Ok(work(&mut || {
        let ends = Endpoints {
            client: Endpoint::Internet(SocketAddr::new(client(&mut n), 4000)),
            server: Endpoint::Internet(SocketAddr::from(([192, 0, 2, 1], 22))),
            datagram: false,
        };
        let mut host = SocketHost::with_endpoints(socket.as_fd(), ends, &|_, _| {}).remembering(&state);
        let mut request = host.request("sshd");
        let _ = black_box(compiled.decide(&mut request, &mut host));
    }))
}
