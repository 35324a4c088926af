//! Tables with many host names, and name servers that are slow or silent: the names are looked up side by side, what is
//! found stands where it did, and nobody waits for ever.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};

use support::{Machine, program};
use tools_tests::{Host, Whose, said};

/// The packets in which each name is asked for, and by whom.
type Asked = BTreeMap<String, Vec<(SocketAddr, Vec<u8>)>>;

/// The only name server of this machine. It knows no name, and says so when it has been asked for `together` names at
/// once, or never. What it returns fills with the names that have been asked for.
fn name_server(machine: &Machine, together: Option<usize>) -> Arc<Mutex<Vec<String>>> {
    machine.put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: dns\n");
    // Whoever asks one after the other has no answer before this test is over.
    machine.put(
        "/etc/resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n",
    );
    let socket = UdpSocket::bind("127.0.0.1:53").expect("the port");
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&names);
    std::thread::spawn(move || {
        let mut open = Asked::new();
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let name = first_label(&packet[..length]);
            let mut seen = seen.lock().expect("no panic while it is held");
            if !seen.contains(&name) {
                seen.push(name.clone());
            }
            let packets = open.entry(name).or_default();
            packets.push((client, packet[..length].to_vec()));
            // Each is asked for in both families.
            let is_whole = |packets: &Vec<_>| packets.len() > 1;
            let whole = open.values().filter(|packets| is_whole(packets)).count();
            if together.is_none_or(|together| whole < together) {
                continue;
            }
            let (whole, half): (Asked, Asked) = open.into_iter().partition(|(_, packets)| is_whole(packets));
            open = half;
            for (client, mut packet) in whole.into_values().flatten() {
                // There is no such name.
                packet[2] = 0x81;
                packet[3] = 0x83;
                socket.send_to(&packet, client).expect("it waits");
            }
        }
    });
    names
}

fn first_label(packet: &[u8]) -> String {
    let end = 13 + usize::from(packet[12]);
    String::from_utf8_lossy(&packet[13..end]).into_owned()
}

fn table(hosts: usize) -> String {
    (0..hosts)
        .map(|n| format!("sshd: host{n}.example : severity mail.info\n"))
        .collect()
}

/// What `tcpwrap check --host` says of the hosts of the tables.
fn check_host(machine: &Machine) -> Vec<String> {
    let directory = machine.directory().join("tables");
    let mut command = Command::new(program("tcpwrap", "tcpwrap"));
    command
        .args(["check", "--host", "--json", "--rules"])
        .arg(&directory);
    let output = command.output().expect("it runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = json["result"]["findings"].as_array().expect("findings");
    let message = |finding: &serde_json::Value| {
        let code = finding["code"].as_str().expect("a code").to_owned();
        let message = finding["message"].as_str().expect("a message");
        matches!(&code[..], "W512" | "W525").then(|| format!("{code} {message}"))
    };
    findings.iter().filter_map(message).collect()
}

#[test]
fn many_are_looked_up_side_by_side() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let asked = name_server(machine, Some(8));
        let directory = host.tables("tables", Some(table(64).as_bytes()), None);
        let output = host.run(&directory, Whose::Ours, "tcpdchk", &["-d", "-v"]);
        let said = said(&output);
        let hosts: Vec<_> = said
            .lines()
            .filter_map(|line| line.split_once(": no such host").map(|(start, _)| start))
            .collect();
        let expected: Vec<_> = (0..64)
            .map(|n| format!("warning: hosts.allow, line {}: host{n}.example", n + 1))
            .collect();
        assert_eq!(hosts, expected, "{said}");
        assert_eq!(asked.lock().expect("no panic").len(), 64);
        // On the terminal both outputs stand together, each line where it belongs.
        let both = format!(
            "cd {} && exec {} -d -v 2>&1",
            directory.display(),
            program("tcpd", "tcpdchk").display()
        );
        let both = Command::new("sh").args(["-c", &both]).output().expect("sh runs");
        let both = String::from_utf8_lossy(&both.stdout).into_owned();
        let mut rest = &both[..];
        for n in 0..64 {
            for part in [
                format!(">>> Rule hosts.allow line {}:\n", n + 1),
                format!(
                    "clients:  host{n}.example\nwarning: hosts.allow, line {}: host{n}.example: no such",
                    n + 1
                ),
                "access:   granted\n".to_owned(),
            ] {
                let at = rest.find(&part).unwrap_or_else(|| panic!("{part} in {both}"));
                rest = &rest[at + part.len()..];
            }
        }
        let found = check_host(machine);
        assert_eq!(found.len(), 64, "{found:?}");
        assert!(found.iter().all(|found| found.starts_with("W512 ")), "{found:?}");
    });
}

#[test]
fn a_silent_name_server_is_not_waited_for_once_for_each_name() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let asked = name_server(machine, None);
        let directory = host.tables("tables", Some(table(2000).as_bytes()), None);
        let output = host.run(&directory, Whose::Ours, "tcpdchk", &["-d"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1));
        let count = |what: &str| said.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("the name service gives no answer"), 16, "{said}");
        assert_eq!(count("no such host"), 0, "{said}");
        assert_eq!(
            count("not looked up, as the name service takes too long: 1984 more hosts"),
            1,
            "{said}"
        );
        assert_eq!(asked.lock().expect("no panic").len(), 16);
        let found = check_host(machine);
        assert_eq!(found.len(), 17, "{found:?}");
        assert!(found.iter().all(|found| found.starts_with("W525 ")), "{found:?}");
        assert!(
            found.iter().any(|found| found.ends_with(" and 1983 more")),
            "{found:?}"
        );
        assert!(asked.lock().expect("no panic").len() <= 32);
    });
}

/// One look-up for all rules that name a host.
#[test]
fn no_name_is_looked_up_twice() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let asked = name_server(machine, Some(1));
        let table = "sshd: a.example\nftpd@a.example: a.example, /srv/list\n".repeat(100);
        host.put("/srv/list", "a.example\n");
        let directory = host.tables("tables", Some(table.as_bytes()), None);
        let output = host.run(&directory, Whose::Ours, "tcpdchk", &["-d"]);
        assert_eq!(said(&output).matches("a.example: no such host").count(), 400);
        assert_eq!(*asked.lock().expect("no panic"), ["a"]);
    });
}
