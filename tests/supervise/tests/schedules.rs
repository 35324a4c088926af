//! Calls, clients and names in unusual order. No outcome depends on how long anything takes.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use supervise_tests::{
    FRIEND, Guarded, STRANGER, connect, connect_to, dns, has_answer, hello, no_guard_left, with_little_room,
};
use support::Daemon;

const PORT: u16 = 7000;

/// A listener of ours with a backlog of its own.
fn listener(backlog: i32) -> OwnedFd {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket");
    let address = SocketAddr::from(([0, 0, 0, 0], PORT));
    socket.bind(&address.into()).expect("the port");
    socket.listen(backlog).expect("a listener");
    socket.into()
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
        let clients: Vec<TcpStream> = (0..21)
            .map(|_| connect(STRANGER, PORT).expect("a handshake"))
            .collect();
        for client in clients {
            assert_eq!(hello(&client), "hello\n", "{}", daemon.output());
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

/// One worker finds a client that will be refused, the others find none: none of them asks `poll`.
#[test]
fn a_call_that_others_show_to_be_waiting() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_secs(1)));
        guarded.rules("ALL: host1.example\n", "ALL: ALL\n");
        let listener = listener(64);
        let refused = connect(STRANGER, PORT).expect("a handshake");
        let daemon = calls(&guarded, "workers", listener);
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
        let granted: Vec<_> = (0..16).map(|_| connect(FRIEND, PORT)).collect();
        let refused: Vec<_> = (0..17).map(|_| connect(STRANGER, PORT)).collect();
        let program = guarded.c_program("calls", &[]);
        let mut command = with_little_room(&guarded, &program);
        let daemon = Daemon::start(command.arg("two").stdin(listener));
        for client in granted {
            assert_eq!(
                hello(&client.expect("a handshake")),
                "hello\n",
                "{}",
                daemon.output()
            );
        }
        for client in refused {
            assert_eq!(hello(&client.expect("a handshake")), "", "{}", daemon.output());
        }
        assert_eq!(hello(&second(FRIEND)), "hello\n", "{}", daemon.output());
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
        assert_eq!(hello(&first), "hello\n", "{}", daemon.output());
        let _more = connect(STRANGER, PORT).expect("a handshake");
        for _ in 0..5 {
            assert_eq!(hello(&second(FRIEND)), "hello\n", "{}", daemon.output());
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
            assert_eq!(
                hello(&client.expect("a handshake")),
                "hello\n",
                "{}",
                daemon.output()
            );
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
        let daemon = calls(&guarded, "group", listener(1));
        for round in 1..=12 {
            daemon.wait_for(&format!("round {round}\n"));
            let client = connect_to(FRIEND, ([192, 0, 2, 1], PORT + 1).into()).expect("a handshake");
            assert_eq!(hello(&client), "hello\n", "{}", daemon.output());
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
        clients.extend((4..25).map(|_| connect(STRANGER, PORT)));
        let last = clients.pop().expect("a client").expect("a handshake");
        for client in clients {
            assert_eq!(
                hello(&client.expect("a handshake")),
                "hello\n",
                "{}",
                daemon.output()
            );
        }
        assert_eq!(hello(&last), "hello\n", "{}", daemon.output());
        // When it would come.
        std::thread::sleep(Duration::from_millis(2500));
        drop(last);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(hello(&connect(STRANGER, PORT).expect("a handshake")), "hello\n");
        assert_eq!(errors(&daemon), [""; 0], "{}", daemon.output());
        stop(daemon);
    });
}
