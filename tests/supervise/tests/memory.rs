//! What the guard writes into a program's memory reaches the image that asked for it, and no other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use supervise_tests::{FRIEND, FileSystem, Guarded, connect, guards, no_guard_left};
use support::{Daemon, Machine, wait_until};

/// A second thread executes a setuid program between the guard's look at the call and its write, for which the
/// guard is held there. By the number of the thread, the write would reach the setuid program.
#[test]
fn nothing_is_written_into_a_program_executed_meanwhile() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("image", &[]);
        let setuid = machine.directory().join("setuid");
        fs::copy(&program, &setuid).expect("a copy");
        fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).expect("ours");

        let mut command = guarded.run("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(&program).arg(&setuid);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut input = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = move || {
            let mut line = String::new();
            lines.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let port: u16 = line()
            .strip_prefix("port ")
            .and_then(|n| n.parse().ok())
            .expect("a port");

        let [guard] = guards()[..] else {
            panic!("one guard");
        };
        let trace = machine.directory().join("trace");
        let traced = || fs::read_to_string(&trace).unwrap_or_default();
        let mut strace = Command::new("strace");
        strace.args(["-p", &guard.to_string(), "-e", "trace=pwrite64,process_vm_writev"]);
        strace.args(["-e", "inject=pwrite64,process_vm_writev:delay_enter=15s", "-o"]);
        let strace = Daemon::start(strace.arg(&trace));
        strace.wait_for("attached");

        let client = connect(FRIEND, port).expect("a handshake");
        // A call is in the trace as soon as it begins, which is when it is held.
        wait_until("the guard being held", || {
            traced().contains("write").then_some(())
        });
        writeln!(input, "execute").expect("it reads");
        assert_eq!(line(), "as 0");
        assert!(!traced().contains(" = "), "the guard was not held: {}", traced());
        wait_until("the write", || traced().contains(" = ").then_some(()));
        strace.signal("INT");
        writeln!(input, "look").expect("it reads");
        assert_eq!(line(), "written 0", "{}", traced());
        drop(client);
        child.wait().expect("ours");
        no_guard_left();
    });
}

/// One of an interrupted call's two places comes late. The other is another function's by then, and stays as it is.
fn interrupted(machine: &Machine, late: &str) {
    let guarded = Guarded::new(machine);
    let files = FileSystem::held(&guarded);
    let mut command = guarded.run(guarded.c_program("interrupted", &[]));
    let mut daemon = Daemon::start(command.arg(late).arg(files.file()));
    let port = wait_until("a port", || {
        let output = daemon.output();
        output
            .lines()
            .find_map(|line| line.strip_prefix("port ")?.parse().ok())
    });
    let client = connect(FRIEND, port).expect("a handshake");
    files.wait_for_reader();
    daemon.signal("USR1");
    daemon.wait_for("interrupted\n");
    files.go_on();
    daemon.wait_for("written ");
    let output = daemon.output();
    assert!(output.contains("written 0\n"), "{output}");
    drop(client);
    daemon.ended();
    no_guard_left();
}

#[test]
fn no_address_is_written_where_an_interrupted_call_had_its_place() {
    support::alone(|machine| interrupted(machine, "length"));
}

#[test]
fn no_length_is_written_where_an_interrupted_call_had_its_place() {
    support::alone(|machine| interrupted(machine, "address"));
}

/// Memory is reached by `/proc`. One of other processes would show the memory of others.
#[test]
fn without_a_proc_of_its_own_no_program_starts() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        for lacking in [&["--mount"][..], &["--pid", "--fork"]] {
            let wrapped = guarded.run("true");
            let mut command = Command::new("unshare");
            command.args(lacking).args(["sh", "-c"]);
            command.arg("[ $$ = 1 ] || umount -l /proc; exec \"$@\"").arg("-");
            let done = command
                .arg(wrapped.get_program())
                .args(wrapped.get_args())
                .output();
            let done = done.expect("it runs");
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(125), "{said}");
            assert!(said.contains("mount -t proc proc /proc"), "{said}");
        }
    });
}
