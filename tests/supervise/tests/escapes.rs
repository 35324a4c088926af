//! No way around: what a guarded program may try, it gets no connection that the rules refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use supervise_tests::{Guarded, STRANGER, connect, guards, no_guard_left};
use support::Machine;

/// Runs one attempt with a refused client waiting, and returns what came of it.
fn attempt(guarded: &Guarded<'_>, options: &[&str], how: &str, who: u32) -> String {
    let program = guarded.c_program("escape", &[]);
    let mut command: Command = guarded.run_with(options, &program);
    command.arg(how).uid(who).gid(who);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("the port");
    let port = line
        .trim()
        .strip_prefix("port ")
        .expect(&line)
        .parse()
        .expect("a number");
    let _waiting: Vec<_> = (0..8)
        .map(|_| connect(STRANGER, port).expect("a handshake"))
        .collect();
    let [guard] = guards()[..] else {
        panic!("one guard");
    };
    if how == "guard killed" {
        let killed = Command::new("kill").args(["-9", &guard.to_string()]).status();
        assert!(killed.expect("it runs").success());
    }
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "{guard}").expect("it reads");
    let mut text = String::new();
    lines.read_to_string(&mut text).expect("its answer");
    let status = child.wait().expect("ours");
    assert!(status.success(), "{how}: {status}: {text}");
    no_guard_left();
    text
}

/// A program that goes on without its guard.
const ALONE: &[&str] = &["--log", "json", "--if-guard-dies", "refuse"];

fn everybody(machine: &Machine, how: &str, expected: &[&str]) {
    let guarded = Guarded::new(machine);
    for who in [0, 65534] {
        let text = attempt(&guarded, ALONE, how, who);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "as user {who}");
    }
}

#[test]
fn io_uring_is_not_there() {
    support::alone(|machine| {
        everybody(
            machine,
            "io_uring",
            &["setup ENOSYS", "enter ENOSYS", "register ENOSYS"],
        )
    });
}

#[test]
fn io_uring_is_there_where_it_is_allowed() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let log = machine.log();
        let text = attempt(&guarded, &["--io-uring", "allow"], "io_uring", 0);
        // A kernel may have been told to refuse it, or been built without; enter and register then differ too.
        let bare = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
        if bare.is_ok_and(|value| value.trim() == "0") {
            assert!(
                text.contains("setup got through") && text.contains("enter EBADF"),
                "{text}"
            );
        }
        log.wait_for("io_uring is allowed");
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn foreign_system_calls_are_not_there() {
    support::alone(|machine| {
        everybody(
            machine,
            "foreign",
            &[
                "i386 accept4 ENOSYS",
                "i386 socketcall ENOSYS",
                "i386 getpid ENOSYS",
                "x32 accept ENOSYS",
                "x32 accept4 ENOSYS",
            ],
        )
    });
}

#[test]
fn filters_of_ones_own_are_no_more_lenient() {
    support::alone(|machine| {
        everybody(
            machine,
            "filters",
            &[
                "listener EBUSY",
                "filter set",
                "filter set",
                "filter set",
                "accept EAGAIN",
            ],
        )
    });
}

/// Without the system calls the guard needs the program does not start, and the reason is said.
#[test]
fn a_filter_of_a_container_is_named() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL\n", "");
        let wrapped = guarded.run("true");
        let done = Command::new(guarded.c_program("forbidden", &[]))
            .arg(wrapped.get_program())
            .args(wrapped.get_args())
            .output()
            .expect("it runs");
        assert_eq!(done.status.code(), Some(125), "{done:?}");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(
            said.contains("a filter of this container or unit forbids pidfd_getfd"),
            "{said}"
        );
    });
}

#[test]
fn a_killed_guard_leaves_a_program_that_accepts_nothing() {
    support::alone(|machine| {
        everybody(
            machine,
            "guard killed",
            &[
                "accept ENOSYS",
                "accept4 ENOSYS",
                "listener EBUSY",
                "child ENOSYS",
            ],
        )
    });
}

#[test]
fn a_program_that_kills_its_guard_accepts_nothing() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let text = attempt(&guarded, ALONE, "guard kill", 65534);
        let expected = [
            "trace EPERM",
            "kill sent",
            "accept ENOSYS",
            "accept4 ENOSYS",
            "listener EBUSY",
            "child ENOSYS",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    });
}

#[test]
fn a_guard_is_out_of_its_programs_reach() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let text = attempt(&guarded, &["--log", "json"], "guard reached", 65534);
        let expected = [
            "trace EPERM",
            "read EPERM",
            "write EPERM",
            "memory EACCES",
            "descriptor EPERM",
            "descriptors EACCES",
            "limit got through",
            "accept ECONNABORTED",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    });
}

#[test]
fn children_are_guarded() {
    support::alone(|machine| everybody(machine, "children", &["vfork EAGAIN", "grandchild EAGAIN"]));
}

#[test]
fn closing_every_descriptor_changes_nothing() {
    support::alone(|machine| everybody(machine, "descriptors", &["accept EAGAIN"]));
}

#[test]
fn another_socket_under_the_same_number_gains_nothing() {
    support::alone(|machine| everybody(machine, "race", &["raced 0"]));
}
