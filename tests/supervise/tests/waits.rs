//! The guard waits for nobody: not for whoever serves a file that a guarded program makes it touch.

use std::net::TcpStream;

use supervise_tests::{FRIEND, FileSystem, Guarded, talk};
use support::Daemon;

const PORT: u16 = 7000;

/// A server, and beside it under the same guard a program that makes the guard touch a file of a file system whose
/// server does not answer; `touch` sees to it.
fn beside<T>(guarded: &Guarded<'_>, how: &str, touch: impl FnOnce(&Daemon, &FileSystem) -> T) -> (Daemon, T) {
    // That one's client is its own.
    guarded.rules(&format!("ALL: {FRIEND}, 127.0.0.1\n"), "ALL: ALL\n");
    let files = FileSystem::mount(guarded, None);
    let (server, waits) = (guarded.c_program("server", &[]), guarded.c_program("waits", &[]));
    let mut command = guarded.run("sh");
    let script = "exec 3>&1; \"$1\" \"$2\" \"$3\" & exec \"$4\" edges \"$5\"";
    command.args(["-c", script, "-"]).arg(waits).arg(how);
    command.arg(files.file()).arg(server).arg(PORT.to_string());
    let daemon = Daemon::start(&mut command);
    guarded.machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
    let touched = touch(&daemon, &files);
    for _ in 0..100 {
        let answer = talk(FRIEND, PORT, b"").unwrap_or_default();
        assert_eq!(answer, b"hello\n", "{}", daemon.output());
    }
    (daemon, touched)
}

#[test]
fn for_the_end_of_a_file_that_is_no_socket() {
    support::alone(|machine| {
        let says = |daemon: &Daemon, _: &_| daemon.wait_for("no socket");
        drop(beside(&Guarded::new(machine), "file", says));
    });
}

/// To take a socket from a process that executes a program, one waits until that is done.
#[test]
fn for_a_file_that_is_closed_when_a_program_is_executed() {
    support::alone(|machine| {
        let client = |daemon: &Daemon, files: &FileSystem| {
            files.wait_for_closer();
            daemon.wait_for(" open\n");
            let output = daemon.output();
            let (_, port) = output.split_once("executes with port ").expect("said before");
            let port = port.split(' ').next().and_then(|port| port.parse().ok());
            TcpStream::connect(("127.0.0.1", port.expect("a number"))).expect("a handshake")
        };
        let (daemon, _client) = beside(&Guarded::new(machine), "exec", client);
        daemon.wait_for("keeps the guard waiting");
    });
}

#[test]
fn for_memory_that_does_not_come() {
    support::alone(|machine| {
        let says = |daemon: &Daemon, _: &_| daemon.wait_for("calls");
        let (daemon, ()) = beside(&Guarded::new(machine), "memory", says);
        daemon.wait_for("keeps the guard waiting");
    });
}
