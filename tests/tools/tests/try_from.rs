//! try-from beside the reference's, run by a real inetd for clients on another machine, with and without an
//! ident daemon there.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

use support::{Daemon, Machine, Neighbour, packaged, program};
use tools_tests::{Host, said};

/// This machine, where ours answers on port 7001 and the reference's on 7002, and the client's.
fn two_machines(machine: &Machine) -> (Neighbour, Daemon) {
    let host = Host::on(machine);
    let client = machine.neighbour(
        "client",
        &["192.0.2.10/24", "2001:db8::10/64"],
        &["192.0.2.1/24", "192.0.2.7/24", "192.0.2.99/24", "2001:db8::9/64"],
    );
    let mut services = String::new();
    for (port, program) in [(7001, program("tcpd", "try-from")), (7002, packaged("try-from"))] {
        for protocol in ["tcp4", "tcp6"] {
            services += &format!(
                "{port} stream {protocol} nowait.10000 root {} try-from\n",
                program.display()
            );
        }
    }
    host.put("/etc/inetd.conf", services);
    let inetd = Daemon::start(Command::new(packaged("inetd")).args(["-i", "/etc/inetd.conf"]));
    for port in [7001, 7002] {
        machine.wait_for_port(&format!("192.0.2.10:{port}"));
        machine.wait_for_port(&format!("[2001:db8::10]:{port}"));
    }
    (client, inetd)
}

/// What the service on a port of this machine tells a client that calls from this address.
fn answer(client: &Neighbour, from: &str, to: &str, port: u16) -> String {
    let options = if from.contains(':') { "pf=ip6" } else { "pf=ip4" };
    let bracketed = |address: &str| {
        if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        }
    };
    let address = format!("TCP:{}:{port},{options},bind={}", bracketed(to), bracketed(from));
    let output = client
        .command("socat")
        .args(["-u", &address, "-"])
        .output()
        .expect("socat runs");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Ours, having checked that the reference says the same.
fn both(client: &Neighbour, from: &str, to: &str) -> String {
    let ours = answer(client, from, to, 7001);
    assert_eq!(ours, answer(client, from, to, 7002));
    ours
}

#[test]
fn clients_are_known_as_by_the_reference() {
    support::alone(|machine| {
        let (client, _inetd) = two_machines(machine);
        let named = both(&client, "192.0.2.1", "192.0.2.10");
        assert!(
            named.starts_with("client address  (%a): 192.0.2.1\nclient hostname (%n): one.example.com\n")
        );
        assert!(
            named.contains("server info     (%s): try-from@trusted.example.org\n"),
            "{named}"
        );
        let nameless = both(&client, "192.0.2.99", "192.0.2.10");
        assert!(nameless.contains("client hostname (%n): unknown\n"), "{nameless}");
        let six = both(&client, "2001:db8::9", "2001:db8::10");
        assert!(six.contains("client info     (%c): six.example.com\n"), "{six}");
        assert!(
            six.contains("server info     (%s): try-from@2001:db8::10\n"),
            "{six}"
        );
    });
}

#[test]
fn doubts_reach_the_client_s_end_of_standard_error() {
    support::alone(|machine| {
        let (client, _inetd) = two_machines(machine);
        let ours = answer(&client, "192.0.2.7", "192.0.2.10", 7001);
        assert!(ours.contains("client hostname (%n): paranoid\n"), "{ours}");
        let doubt = "warning: host name/name mismatch: seven.example.net != other.example.net\n";
        assert!(ours.contains(doubt), "{ours}");
        // Debian's build sends the doubt to the system log only; all else is the same.
        let reference = answer(&client, "192.0.2.7", "192.0.2.10", 7002);
        assert_eq!(ours.replace(doubt, ""), reference);
    });
}

#[test]
fn users_are_asked_for() {
    support::alone(|machine| {
        let (client, _inetd) = two_machines(machine);
        let arguments = [
            "--foreground",
            "--nosyslog",
            "--reply-all",
            "operator",
            "--user",
            "nobody",
        ];
        let _oidentd = Daemon::start(client.command(packaged("oidentd")).args(arguments));
        // It listens at one address after the other.
        for [from, to] in [["192.0.2.1", "192.0.2.10"], ["2001:db8::9", "2001:db8::10"]] {
            support::wait_until("an ident daemon", || {
                let answer = answer(&client, from, to, 7001);
                answer.contains("client username (%u): operator\n").then_some(())
            });
        }
        let known = both(&client, "192.0.2.1", "192.0.2.10");
        assert!(
            known.contains("client info     (%c): operator@one.example.com\n"),
            "{known}"
        );
        let six = both(&client, "2001:db8::9", "2001:db8::10");
        assert!(six.contains("operator"), "{six}");
    });
}

/// Our try-from with this on standard input.
fn with_input(input: Stdio, arguments: &[&str]) -> Output {
    Command::new(program("tcpd", "try-from"))
        .args(arguments)
        .stdin(input)
        .output()
        .expect("try-from runs")
}

#[test]
fn what_is_no_connection_is_unknown() {
    let output = with_input(Stdio::null(), &["whatever", "-x"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(shown.matches("unknown").count(), 6, "{shown}");
    assert!(shown.ends_with("server info     (%s): try-from\n"), "{shown}");
    assert!(said(&output).starts_with("warning: can't get client address: "));
    assert!(output.status.success());
}

#[test]
fn a_client_that_is_gone_changes_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.write_all(b"bye").unwrap();
    drop(client);
    let output = with_input(OwnedFd::from(server).into(), &[]);
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"client address  (%a): "));
}

#[test]
fn help_and_version() {
    for flag in ["-h", "--help", "--version"] {
        let output = with_input(Stdio::null(), &[flag]);
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty());
    }
}
