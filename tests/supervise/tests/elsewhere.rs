//! Guarded processes in network namespaces of their own, where addresses and ports are whatever they like: they
//! get nobody else's clients, and the guard connects to nothing for their sake.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use supervise_tests::{Guarded, STRANGER, connect, dns, hello, no_guard_left, with_little_room};
use support::Daemon;

const PORT: u16 = 7000;

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    daemon.ended();
    no_guard_left();
}

/// Another process under the same guard has the same address and port in its own namespace, and makes every
/// connection there that the guard's wake-up could be taken for.
#[test]
fn a_client_that_is_ready_goes_to_the_listener_it_came_to() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.put("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999\n");
        guarded.rules(&format!("ALL: {STRANGER}: aclexec sleep 0.05\n"), "");
        let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a listener");
        let program = guarded.c_program("elsewhere", &[]);
        let mut command = guarded.run(program);
        let daemon = Daemon::start(command.arg("thief").stdin(OwnedFd::from(listener)));
        for round in 1..=8 {
            daemon.wait_for(&format!("round {round}\n"));
            let client = connect(STRANGER, PORT).expect("a handshake");
            assert_eq!(hello(&client), "hello\n", "{round}");
        }
        // Nor does the guard take a connection of theirs for its own.
        let output = daemon.output();
        assert!(!output.contains("swallowed\n"), "{output}");
        stop(daemon);
    });
}

/// A server in this namespace, and not of the guard's, sees none of the connections that wake a program elsewhere.
#[test]
fn the_guard_connects_only_where_its_listener_is() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_millis(200)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let bystander = TcpListener::bind(("192.0.2.1", PORT)).expect("a listener");
        bystander.set_nonblocking(true).expect("a socket");
        let program = guarded.c_program("elsewhere", &[]);
        let daemon = Daemon::start(with_little_room(&guarded, &program).arg("crowd"));
        daemon.wait_for("all\n");
        let output = daemon.output();
        assert!(!output.contains("lost\n"), "{output}");
        let came = bystander.accept().map(|(_, client)| client);
        assert_eq!(came.expect_err("nobody").kind(), ErrorKind::WouldBlock);
        stop(daemon);
    });
}

/// A packet filter rejects the guard's own connection, as if nobody listened. The client is kept for the next call.
#[test]
fn a_wake_up_that_a_packet_filter_rejects() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.address("192.0.2.3/24");
        guarded.rules(&format!("ALL: {STRANGER}: aclexec sleep 0.2\n"), "");
        let filter = "add table ip test
            add chain ip test in { type filter hook input priority 0; }
            add rule ip test in ip saddr 192.0.2.1 tcp dport 7000 reject with tcp reset";
        support::run(std::process::Command::new("nft").arg(filter));
        let program = guarded.c_program("server", &[]);
        for how in ["edges", "levels"] {
            let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a listener");
            let mut command = guarded.run(&program);
            let daemon = Daemon::start(command.args([how, "0"]).stdin(OwnedFd::from(listener)));
            drop(command);
            let late = connect(STRANGER, PORT).expect("a handshake");
            daemon.wait_for("\"verdict\":\"granted\"");
            let next = connect("192.0.2.3", PORT).expect("a handshake");
            for client in [late, next] {
                assert_eq!(hello(&client), "hello\n", "{how}: {}", daemon.output());
            }
            stop(daemon);
        }
    });
}

#[test]
fn a_listener_bound_to_a_device_is_woken() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: aclexec sleep 0.05\n", "");
        let far = machine.neighbour("far", &["10.9.0.1/24"], &["10.9.0.2/24"]);
        let listener = TcpListener::bind(("10.9.0.1", PORT)).expect("a listener");
        let listener = socket2::Socket::from(listener);
        listener.bind_device(Some(b"to-far")).expect("a device");
        let program = guarded.c_program("server", &[]);
        let mut command = guarded.run(&program);
        let daemon = Daemon::start(command.args(["edges", "0"]).stdin(OwnedFd::from(listener)));
        drop(command);
        for _ in 0..3 {
            let client = far
                .command("bash")
                .args(["-c", "head -n 1 <>/dev/tcp/10.9.0.1/7000"])
                .output();
            assert_eq!(client.expect("bash").stdout, b"hello\n", "{}", daemon.output());
        }
        stop(daemon);
    });
}
