//! The machine a test gets is its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use support::{Daemon, alone, packaged};

#[test]
fn the_network_is_private() {
    alone(|machine| {
        machine.address("192.0.2.7/24");
        machine.address("2001:db8::7/64");
        for address in ["192.0.2.7:7", "[2001:db8::7]:7"] {
            let _listener = TcpListener::bind(address).expect("nobody else is here");
            machine.wait_for_port(address);
        }
    });
}

#[test]
fn files_in_etc_are_private() {
    alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/etc/hosts", "192.0.2.7 seven.example.org seven\n");
        let found = Command::new("getent")
            .args(["hosts", "seven"])
            .output()
            .expect("getent runs");
        assert!(String::from_utf8_lossy(&found.stdout).contains("seven.example.org"));
        // As the others see it, from outside this mount namespace's /etc.
        assert!(std::fs::read_to_string("/etc/hosts.deny").is_ok_and(|text| text == "ALL: ALL\n"));
    });
    let outside = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    assert!(!outside.contains("seven.example.org"));
}

#[test]
fn log_lines_are_caught() {
    alone(|machine| {
        let log = machine.log();
        let sent = Command::new("logger")
            .args(["-i", "-t", "who", "-p", "auth.warning", "what\x01"])
            .status();
        assert!(sent.expect("logger runs").success());
        let entry = log.wait_for("what");
        assert_eq!(
            (entry.facility(), entry.level(), entry.ident.as_str()),
            (4 << 3, 4, "who")
        );
        assert!(entry.process.is_some());
        assert_eq!(log.settled().len(), 1);
        log.clear();
        assert_eq!(log.settled(), []);
    });
}

#[test]
fn a_neighbour_connects_from_its_own_address() {
    alone(|machine| {
        let neighbour = machine.neighbour(
            "far",
            &["192.0.2.1/24", "2001:db8::1/64"],
            &["192.0.2.2/24", "2001:db8::2/64"],
        );
        for (listen, from) in [("192.0.2.1:7", "192.0.2.2"), ("[2001:db8::1]:7", "2001:db8::2")] {
            let listener = TcpListener::bind(listen).expect("nobody else is here");
            let port = listen
                .rsplit_once(':')
                .expect("a port")
                .0
                .trim_matches(['[', ']']);
            let mut nc = Daemon::start(neighbour.command(packaged("nc")).args(["-N", port, "7"]));
            let (mut stream, peer) = listener.accept().expect("a connection");
            assert_eq!(peer.ip().to_string(), from);
            stream.write_all(b"hello").expect("sent");
            nc.wait_for("hello");
            drop(stream);
            assert!(nc.ended().success());
        }
    });
}

#[test]
fn daemons_end_with_their_value() {
    alone(|machine| {
        let mut daemon = Daemon::start(Command::new("sh").args(["-c", "echo ready; sleep 100"]));
        daemon.wait_for("ready");
        assert!(daemon.is_running());
        let status = std::path::PathBuf::from(format!("/proc/{}", daemon.id()));
        assert!(status.exists());
        drop(daemon);
        assert!(!status.exists());
        assert!(machine.directory().is_dir());
    });
}

#[test]
#[should_panic(expected = "this is why")]
fn a_failure_inside_is_a_failure_outside() {
    alone(|_| panic!("this is why"));
}

#[test]
fn a_connection_goes_through_loopback() {
    alone(|machine| {
        machine.address("192.0.2.9/32");
        let listener = TcpListener::bind("192.0.2.9:0").expect("an address of ours");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (mut server, _) = listener.accept().expect("a connection");
        server.write_all(b"x").expect("sent");
        let mut byte = [0];
        client.read_exact(&mut byte).expect("received");
        assert_eq!(&byte, b"x");
    });
}
