//! Names that move, and lists in the DNS, on a name server of the test's own, reached by IPv4 and by IPv6.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use state::config::Dns;
use state::names::{Family, Names};
use support::{alone, name_server_at};

/// Where the server is asked.
const SERVERS: [&str; 2] = ["127.0.0.1", "::1"];

fn names(keep: u64) -> Names {
    names_waiting(60, keep)
}

/// Waits so many seconds for an answer.
fn names_waiting(seconds: u64, keep: u64) -> Names {
    Names::new(Dns {
        timeout: Some(Duration::from_secs(seconds)),
        keep: Duration::from_secs(keep),
    })
}

fn ask(names: &Names, name: &str, family: Family) -> Result<Vec<IpAddr>, String> {
    let answer = names.addresses(name, family);
    answer
        .map(|found| found.addresses.to_vec())
        .map_err(|unknown| unknown.to_string())
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_name_moves_and_is_followed_when_its_time_is_over() {
    alone(|machine| {
        for server in SERVERS {
            let before = name_server_at(
                machine,
                server,
                &["--host-record=home.example.org,198.51.100.7,2001:db8::7"],
            );
            let (kept, not_kept) = (names(3600), names(0));
            for names in [&kept, &not_kept] {
                assert_eq!(
                    ask(names, "home.example.org", Family::V4),
                    Ok(vec![address("198.51.100.7")])
                );
                assert_eq!(
                    ask(names, "HOME.example.org", Family::V6),
                    Ok(vec![address("2001:db8::7")])
                );
                assert_eq!(
                    ask(names, "none.example.org", Family::V4),
                    Ok(vec![]),
                    "no such name is an answer"
                );
            }
            drop(before);
            let _after = name_server_at(machine, server, &["--host-record=home.example.org,198.51.100.8"]);
            assert_eq!(
                ask(&kept, "home.example.org", Family::V4),
                Ok(vec![address("198.51.100.7")])
            );
            assert_eq!(
                ask(&not_kept, "home.example.org", Family::V4),
                Ok(vec![address("198.51.100.8")])
            );
            assert_eq!(
                ask(&not_kept, "home.example.org", Family::V6),
                Ok(vec![]),
                "it has none of that family"
            );
        }
    });
}

#[test]
fn a_server_that_fails_or_does_not_answer_is_unknown() {
    alone(|machine| {
        for server in SERVERS {
            machine.put("/etc/nsswitch.conf", "hosts: files dns\n");
            machine.put("/etc/hosts", "127.0.0.1 localhost\n");
            machine.put(
                "/etc/resolv.conf",
                format!("nameserver {server}\noptions timeout:30 attempts:1\n"),
            );
            // Nobody there.
            assert!(ask(&names(0), "home.example.org", Family::V4).is_err());
            // Somebody who never answers: our patience ends before the resolver's own thirty seconds.
            let silent = UdpSocket::bind((server, 53)).unwrap();
            assert!(ask(&names_waiting(1, 0), "home.example.org", Family::V4).is_err());
            drop(silent);
            // Servers that refuse, or fail. A name server for these must be asked, and is not there.
            let server = name_server_at(machine, server, &["--server=/failing.example/127.0.0.9"]);
            let failed = ask(&names_waiting(1, 0), "home.failing.example", Family::V4);
            assert!(failed.is_err(), "{failed:?}");
            let refused = ask(&names(0), "home.example.net", Family::V4);
            assert!(refused.is_err(), "{refused:?}");
            drop(server);
            // What the hosts file has needs nobody.
            machine.put(
                "/etc/hosts",
                "127.0.0.1 localhost\n198.51.100.9 home.example.org\n",
            );
            assert_eq!(
                ask(&names(0), "home.example.org", Family::V4),
                Ok(vec![address("198.51.100.9")])
            );
        }
    });
}

#[test]
fn lists_in_the_dns() {
    alone(|machine| {
        for server in SERVERS {
            let _dns = name_server_at(
                machine,
                server,
                &[
                    "--host-record=7.100.51.198.rbl.example.org,127.0.0.2",
                    "--host-record=8.100.51.198.rbl.example.org,127.0.0.10",
                    // What lists put where they do not want to answer, and what a provider's server puts everywhere.
                    "--host-record=9.100.51.198.rbl.example.org,127.255.255.254",
                    "--host-record=10.100.51.198.rbl.example.org,203.0.113.1",
                    "--host-record=7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.rbl.example.org,127.0.0.3",
                ],
            );
            let names = names(60);
            let listed = |client: &str| {
                let codes = names.listed("rbl.example.org", address(client));
                codes.map(|codes| codes.iter().map(ToString::to_string).collect::<Vec<_>>())
            };
            assert_eq!(listed("198.51.100.7"), Ok(vec!["127.0.0.2".to_owned()]));
            assert_eq!(listed("::ffff:198.51.100.8"), Ok(vec!["127.0.0.10".to_owned()]));
            assert_eq!(listed("2001:db8::7"), Ok(vec!["127.0.0.3".to_owned()]));
            assert_eq!(listed("198.51.100.1"), Ok(vec![]));
            assert_eq!(listed("198.51.100.10"), Ok(vec![]));
            let refused = listed("198.51.100.9").unwrap_err().to_string();
            assert_eq!(refused, "rbl.example.org refuses to answer (127.255.255.254)");
            assert!(names.listed("rbl.example.net", address("198.51.100.7")).is_err());
        }
    });
}
