//! The guard waits for nobody: not for whoever serves a file that a guarded program makes it touch.

use supervise_tests::{FRIEND, FileSystem, Guarded, talk};
use support::Daemon;

const PORT: u16 = 7000;

/// A server, and beside it under the same guard a program that makes the guard touch a file of a file system whose
/// server does not answer.
fn beside(guarded: &Guarded<'_>, how: &str, says: &str) -> Daemon {
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
    daemon.wait_for(says);
    for _ in 0..100 {
        let answer = talk(FRIEND, PORT, b"").unwrap_or_default();
        assert_eq!(answer, b"hello\n", "{}", daemon.output());
    }
    daemon
}

#[test]
fn for_the_end_of_a_file_that_is_no_socket() {
    support::alone(|machine| drop(beside(&Guarded::new(machine), "file", "no socket")));
}

/// To take a socket from a process that executes a program, one waits until that is done.
#[test]
fn for_a_file_that_is_closed_when_a_program_is_executed() {
    support::alone(|machine| {
        let daemon = beside(&Guarded::new(machine), "exec", "executes");
        daemon.wait_for("keeps the guard waiting");
    });
}

#[test]
fn for_memory_that_does_not_come() {
    support::alone(|machine| {
        let daemon = beside(&Guarded::new(machine), "memory", "calls");
        daemon.wait_for("keeps the guard waiting");
    });
}
