//! Whole decisions of a process that stays, and how much longer they take than by a rule with an address.

use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;

use benches::nanoseconds;
use benches::tables::addresses;
use hosts_access::{Policy, Tables};
use system::endpoints::{Endpoint, Endpoints};
use system::facts::State;
use system::host::SocketHost;

use crate::questions::client;

/// Rules for ten countries.
fn countries() -> String {
    let codes = ["DE", "AT", "CH", "FR", "NL", "BE", "DK", "PL", "CZ", "IT"];
    codes.map(|code| format!("sshd: {{country={code}}}\n")).concat()
}

/// Prints the table.
pub fn run(has_database: bool) -> Result<(), String> {
    let (long, _) = addresses(100_000);
    let mut cases = vec![
        ("an address", "sshd: 198.51.100.1\n".to_owned()),
        ("{banned}, 1,001,000 bans", "sshd: {banned}\n".to_owned()),
        ("limit", "sshd: ALL: limit 5/minute\n".to_owned()),
        ("100,000 addresses", long.clone()),
    ];
    if has_database {
        cases.insert(1, ("{country}", "sshd: {country=DE}\n".to_owned()));
        cases.insert(2, ("ten rules with {country}", countries()));
        cases.push(("100,000 addresses, ten with {country}", long + &countries()));
    }
    println!("\n{:<44}{:>10}{:>12}", "microseconds a decision", "", "more");
    let mut first = None;
    for (name, deny) in cases {
        let took = decide(&deny)?;
        let first = *first.get_or_insert(took);
        println!("{name:<44}{:>10.3}{:>12.3}", took / 1e3, (took - first) / 1e3);
    }
    Ok(())
}

fn decide(deny: &str) -> Result<f64, String> {
    let problem = |error: std::io::Error| error.to_string();
    let directory = Path::new("/srv/rules");
    std::fs::create_dir_all(directory).map_err(problem)?;
    std::fs::write(directory.join("hosts.deny"), deny).map_err(problem)?;
    let compiled = Policy::new(Tables::in_directory(directory)).current();
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(problem)?;
    let state = State::new(true);
    let mut n = 7;
    Ok(nanoseconds(|| {
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
