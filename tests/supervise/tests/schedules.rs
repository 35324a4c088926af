//! Calls, clients and names in unusual order. No outcome depends on how long anything takes.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use supervise_tests::{
    FRIEND, Guarded, STRANGER, connect, connect_to, dns, guards, has_answer, hello, no_guard_left,
    with_little_room,
};
use support::{Daemon, wait_until};

const PORT: u16 = 7000;

/// A listener of ours with a backlog of its own.
fn listener(backlog: i32) -> OwnedFd {
    listener_at("0.0.0.0", backlog).into()
}

fn listener_at(address: &str, backlog: i32) -> Socket {
    let address = SocketAddr::new(address.parse().expect("an address"), PORT);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket");
    socket.bind(&address.into()).expect("the port");
    socket.listen(backlog).expect("a listener");
    socket
}

#[track_caller]
fn served(client: &TcpStream, daemon: &Daemon) {
    assert_eq!(hello(client), "hello\n", "{}", daemon.output());
}

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    daemon.ended();
    no_guard_left();
}

/// Where the backlog is full no wake-up gets into it; a program that hears of edges only hears of none.
#[test]
fn a_backlog_that_is_full_when_the_names_come() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_secs(3)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let program = guarded.c_program("server", &[]);
        let mut command = with_little_room(&guarded, &program);
        let daemon = Daemon::start(command.args(["edges", "0"]).stdin(listener(4)));
        // As many as are undecided at once, and five.
        let clients: Vec<TcpStream> = (0..17)
            .map(|_| connect(STRANGER, PORT).expect("a handshake"))
            .collect();
        for client in clients {
            served(&client, &daemon);
        }
        stop(daemon);
    });
}

/// The program has heard of a wake-up that stays in the backlog, behind clients for whom there is no room. It hears of others
/// that are ready later all the same.
#[test]
fn a_wake_up_that_was_heard_of_while_there_was_no_room() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let names = dns::Held::serve(machine);
        names.hold();
        guarded.rules(
            &format!("ALL: {FRIEND}: aclexec sleep 0.1\nALL: .example\n"),
            "ALL: ALL\n",
        );
        let listener = listener(64);
        let first = connect(FRIEND, PORT).expect("a handshake");
        // With the first as many as are undecided at once, and seven.
        let clients: Vec<_> = (0..18).map(|_| connect(STRANGER, PORT)).collect();
        let program = guarded.c_program("server", &[]);
        let mut command = with_little_room(&guarded, &program);
        let daemon = Daemon::start(command.args(["edges", "0"]).stdin(listener));
        served(&first, &daemon);
        // The program has asked for the next by then, and gone to sleep.
        std::thread::sleep(Duration::from_millis(300));
        names.release();
        for client in clients {
            served(&client.expect("a handshake"), &daemon);
        }
        stop(daemon);
    });
}

/// Starts `programs/calls.c` on a listener.
fn calls(guarded: &Guarded<'_>, how: &str, listener: OwnedFd) -> Daemon {
    let program = guarded.c_program("calls", &[]);
    Daemon::start(guarded.run(&program).arg(how).stdin(listener))
}

/// What became of calls that failed.
fn errors(daemon: &Daemon) -> Vec<String> {
    let output = daemon.output();
    let errors = output.lines().filter(|line| line.starts_with('E'));
    errors.map(str::to_owned).collect()
}

/// A listener's receive timeout is how long a call waits, also while the name of a client is to be found.
#[test]
fn a_receive_timeout_and_a_name_that_never_comes() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, None);
        guarded.rules(&format!("ALL: {FRIEND}\nALL: .example\n"), "ALL: ALL\n");
        let listener = listener(64);
        let late = connect(STRANGER, PORT).expect("a handshake");
        let daemon = calls(&guarded, "timed", listener);
        daemon.wait_for("EAGAIN");
        assert_eq!(hello(&connect(FRIEND, PORT).expect("a handshake")), "hello\n");
        assert!(!has_answer(&late));
        let errors = errors(&daemon);
        assert!(errors.iter().all(|error| error == "EAGAIN"), "{errors:?}");
        stop(daemon);
    });
}

/// The six processes of `calls`'s workers. Waits until each of them has called accept.
fn workers(daemon: &Daemon) -> Vec<u32> {
    let children = format!("/proc/{0}/task/{0}/children", daemon.id());
    let accept = format!("{} ", libc::SYS_accept);
    wait_until("six calls", || {
        let text = std::fs::read_to_string(&children).ok()?;
        let mut all: Vec<u32> = text.split_whitespace().flat_map(str::parse).collect();
        all.push(daemon.id());
        let calls = |id: &u32| {
            let call = std::fs::read_to_string(format!("/proc/{id}/syscall"));
            call.is_ok_and(|call| call.starts_with(&accept))
        };
        (all.len() == 6 && all.iter().all(calls)).then_some(all)
    })
}

/// One worker finds a client that will be refused, the others find none: none of them asks `poll`.
#[test]
fn a_call_that_others_show_to_be_waiting() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let names = dns::Held::serve(machine);
        names.hold();
        guarded.rules("ALL: host1.example\n", "ALL: ALL\n");
        let listener = listener(64);
        let refused = connect(STRANGER, PORT).expect("a handshake");
        let daemon = calls(&guarded, "workers", listener);
        workers(&daemon);
        names.release();
        assert_eq!(hello(&refused), "");
        assert_eq!(hello(&connect(FRIEND, PORT).expect("a handshake")), "hello\n");
        assert_eq!(errors(&daemon), [""; 0], "{}", daemon.output());
        stop(daemon);
    });
}

fn second(from: &str) -> TcpStream {
    connect(from, PORT + 1).expect("a handshake")
}

/// A program that asks `poll` is not taken for one that waits because there was no room: it would be stopped
/// when the clients are refused.
#[test]
fn a_poll_loop_while_there_is_no_room() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_secs(1)));
        guarded.rules("ALL: host1.example\n", "ALL: ALL\n");
        let listener = listener(64);
        let granted: Vec<_> = (0..12).map(|_| connect(FRIEND, PORT)).collect();
        let refused: Vec<_> = (0..17).map(|_| connect(STRANGER, PORT)).collect();
        let program = guarded.c_program("calls", &[]);
        let mut command = with_little_room(&guarded, &program);
        let daemon = Daemon::start(command.arg("two").stdin(listener));
        for client in granted {
            served(&client.expect("a handshake"), &daemon);
        }
        for client in refused {
            assert_eq!(hello(&client.expect("a handshake")), "", "{}", daemon.output());
        }
        served(&second(FRIEND), &daemon);
        stop(daemon);
    });
}

/// Clients of one listener whose names never come leave room for those of another.
#[test]
fn two_listeners_and_room_for_one() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, None);
        guarded.rules(&format!("ALL: {FRIEND}\nALL: .example\n"), "ALL: ALL\n");
        let listener = listener_at("0.0.0.0", 64);
        listener.set_nonblocking(true).expect("a socket");
        let program = guarded.c_program("calls", &[]);
        let mut command = with_little_room(&guarded, &program);
        let daemon = Daemon::start(command.arg("two").stdin(OwnedFd::from(listener)));
        machine.wait_for_port("192.0.2.1:7001");
        served(&second(FRIEND), &daemon);
        let late: Vec<_> = (0..40).map(|_| connect(STRANGER, PORT)).collect();
        for _ in 0..20 {
            served(&second(FRIEND), &daemon);
        }
        assert!(!late.into_iter().flatten().any(|client| has_answer(&client)));
        stop(daemon);
    });
}

/// A poll loop may be taken for a program that waits, half a minute in all, and signals do not prolong that.
#[test]
fn a_poll_loop_and_a_name_that_never_comes() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, None);
        guarded.rules(&format!("ALL: {FRIEND}\nALL: .example\n"), "ALL: ALL\n");
        let listener = listener(64);
        let _late = connect(STRANGER, PORT).expect("a handshake");
        let daemon = calls(&guarded, "two, with signals", listener);
        machine.wait_for_port("192.0.2.1:7001");
        let first = second(FRIEND);
        first
            .set_read_timeout(Some(Duration::from_secs(90)))
            .expect("a socket");
        served(&first, &daemon);
        let _more = connect(STRANGER, PORT).expect("a handshake");
        for _ in 0..5 {
            served(&second(FRIEND), &daemon);
        }
        stop(daemon);
    });
}

/// All workers find clients while there is no room for more, and some of them get none of these.
#[test]
fn many_workers_while_there_is_no_room() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.address("192.0.2.3/24");
        dns::serve(machine, Some(Duration::from_secs(1)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let listener = listener(64);
        let from = [FRIEND, STRANGER, "192.0.2.3"];
        let clients: Vec<_> = (0..48).map(|n| connect(from[n / 16], PORT)).collect();
        let program = guarded.c_program("calls", &[]);
        let mut command = with_little_room(&guarded, &program);
        let daemon = Daemon::start(command.arg("workers").stdin(listener));
        for client in clients {
            served(&client.expect("a handshake"), &daemon);
        }
        assert_eq!(errors(&daemon), [""; 0], "{}", daemon.output());
        stop(daemon);
    });
}

/// A wake-up comes to another listener of the port, which is closed then. Whom it was about is not lost.
#[test]
fn a_wake_up_that_is_lost_with_another_listener() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: aclexec sleep 0.1\n", "");
        // In each round a listener is closed as soon as its client is there; the next client must not come to it.
        let daemon = calls(&guarded, "group", listener(1));
        for round in 1..=12 {
            daemon.wait_for(&format!("round {round}\n"));
            let client = connect_to(FRIEND, ([192, 0, 2, 1], PORT + 1).into()).expect("a handshake");
            served(&client, &daemon);
        }
        stop(daemon);
    });
}

/// A wake-up that found the backlog full must not come when nobody needs it any more: the next call would look
/// as if `poll` had been asked before.
#[test]
fn a_wake_up_that_comes_late() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_secs(3)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let program = guarded.c_program("calls", &[]);
        let mut command = with_little_room(&guarded, &program);
        let listener = listener(8);
        // Some are there before the first call, as many as are undecided at once then, and nine in the backlog.
        let mut clients: Vec<_> = (0..4).map(|_| connect(STRANGER, PORT)).collect();
        let daemon = Daemon::start(command.arg("patient").stdin(listener));
        clients.extend((4..21).map(|_| connect(STRANGER, PORT)));
        let last = clients.pop().expect("a client").expect("a handshake");
        for client in clients {
            served(&client.expect("a handshake"), &daemon);
        }
        served(&last, &daemon);
        // When it would come.
        std::thread::sleep(Duration::from_millis(2500));
        drop(last);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(hello(&connect(STRANGER, PORT).expect("a handshake")), "hello\n");
        assert_eq!(errors(&daemon), [""; 0], "{}", daemon.output());
        stop(daemon);
    });
}

/// Whose clients are undecided or ready when the listener is closed, or the program ends, sees an end too, and
/// nothing of them stays in the guard.
#[test]
fn a_listener_that_is_closed_before_its_clients_are_accepted() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: aclexec sleep 0.3\n", "");
        let program = guarded.c_program("calls", &[]);
        for (how, times) in [("leaves", 1), ("leaves", 2), ("exits", 1), ("exits", 2)] {
            let mut command = guarded.run(&program);
            command
                .arg(how)
                .args(vec!["again"; times - 1])
                .stdin(listener(64));
            let mut daemon = Daemon::start(&mut command);
            drop(command);
            let client = connect(FRIEND, PORT).expect("a handshake");
            let end = (&client).read(&mut [0]);
            let waits = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
            assert!(!end.as_ref().is_err_and(waits), "{how} {times}: {end:?}");
            // Commands that the guard starts have its descriptors for a moment.
            wait_until("the port to be free", || {
                connect(FRIEND, PORT).is_err().then_some(())
            });
            if how == "exits" {
                assert!(daemon.ended().success());
                no_guard_left();
                continue;
            }
            let [guard] = guards()[..] else {
                panic!("one guard");
            };
            wait_until("the guard to close its sockets", || {
                let open = std::fs::read_dir(format!("/proc/{guard}/fd")).ok()?;
                let targets = open
                    .flatten()
                    .filter_map(|entry| std::fs::read_link(entry.path()).ok());
                let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
                // One is the watcher's.
                (sockets.collect::<BTreeSet<_>>().len() <= 1).then_some(())
            });
            stop(daemon);
        }
    });
}

/// Workers are killed in their calls, held or waiting; those that are left get the clients.
#[test]
fn workers_that_are_killed_in_their_calls() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let names = dns::Held::serve(machine);
        names.hold();
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let listener = listener(64);
        let first = connect(STRANGER, PORT).expect("a handshake");
        let daemon = calls(&guarded, "workers", listener);
        for worker in workers(&daemon).iter().filter(|id| **id != daemon.id()) {
            support::run(Command::new("kill").args(["-KILL", &worker.to_string()]));
        }
        names.release();
        served(&first, &daemon);
        for _ in 0..10 {
            assert_eq!(hello(&connect(FRIEND, PORT).expect("a handshake")), "hello\n");
        }
        assert_eq!(errors(&daemon), [""; 0], "{}", daemon.output());
        stop(daemon);
    });
}

/// The listener blocks at one call, and not at the next.
#[test]
fn a_listener_that_blocks_now_and_then() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: aclexec sleep 0.01\n", "");
        let daemon = calls(&guarded, "toggles", listener(64));
        for _ in 0..50 {
            let clients = [FRIEND, STRANGER].map(|from| connect(from, PORT).expect("a handshake"));
            for client in clients {
                served(&client, &daemon);
            }
        }
        let errors = errors(&daemon);
        assert!(errors.iter().all(|error| error == "EAGAIN"), "{errors:?}");
        stop(daemon);
    });
}

/// Wake-ups reach listeners of both families, at one address or at all, with no backlog to speak of, and ones
/// that show no connection before data has come.
#[test]
fn every_kind_of_listener_is_woken() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: aclexec sleep 0.05\n", "");
        let program = guarded.c_program("server", &[]);
        let server = IpAddr::from([192, 0, 2, 1]);
        let itself = IpAddr::from(Ipv6Addr::LOCALHOST);
        let cases = [
            ("0.0.0.0", None, vec![server]),
            ("192.0.2.1", None, vec![server]),
            ("::", None, vec![server, itself]),
            ("::ffff:192.0.2.1", None, vec![server]),
            ("::1", None, vec![itself]),
            ("0.0.0.0", Some("deferred"), vec![server]),
            ("::", Some("deferred"), vec![server, itself]),
        ];
        for (address, option, servers) in cases {
            for how in ["edges", "levels", "poll"] {
                let mut command = guarded.run(&program);
                command.args([how, "0"]).args(option);
                let daemon = Daemon::start(command.stdin(OwnedFd::from(listener_at(address, 0))));
                drop(command);
                for server in servers.iter().cycle().take(4) {
                    let from = if server.is_ipv4() { STRANGER } else { "::1" };
                    let mut client = connect_to(from, SocketAddr::new(*server, PORT)).expect("a handshake");
                    client.write_all(b"x").expect("a connection");
                    assert_eq!(
                        hello(&client),
                        "hello\n",
                        "{address} {option:?} {how}: {}",
                        daemon.output()
                    );
                }
                stop(daemon);
            }
        }
    });
}
