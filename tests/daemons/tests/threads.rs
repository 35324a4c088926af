//! Threads that decide at once while their tables are edited, and the library under valgrind.

#![forbid(unsafe_code)]

use std::process::Command;

use daemons_tests::{Whose, build, said};

/// Valgrind, made to fail where its tool finds something wrong.
fn valgrind(arguments: &[&str]) -> Command {
    let mut command = Whose::Ours.command("valgrind");
    command.args(["-q", "--error-exitcode=99"]).args(arguments);
    command
}

#[test]
fn sixteen_threads_are_never_wrong_while_tables_change() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let program = build(directory.path(), "threads");
    let counted = said(
        Whose::Ours
            .command(program)
            .args([path("allow"), path("deny")])
            .args(["16", "20000"]),
    );
    assert_eq!(counted, "320000 decisions, 0 wrong\n");
}

/// Children decide with what they have of their parent, whose threads were deciding, and whose tables change.
#[test]
fn children_are_right_whatever_their_parents_threads_were_doing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let program = build(directory.path(), "forks");
    let counted = said(
        Whose::Ours
            .command(program)
            .args([path("allow"), path("deny")])
            .arg("200"),
    );
    assert_eq!(counted, "200 children, 0 wrong\n");
}

/// Not helgrind or drd: they do not know the locks of Rust's library, which are not the C library's.
#[test]
fn threads_under_memcheck() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let program = build(directory.path(), "threads");
    let counted = said(
        valgrind(&["--fair-sched=yes"])
            .arg(program)
            .args([path("allow"), path("deny")])
            .args(["8", "100"]),
    );
    assert_eq!(counted, "800 decisions, 0 wrong\n");
}

#[test]
fn memcheck_finds_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("allow"), "sshd: .example.org: severity mail.info\n").expect("a table");
    std::fs::write(path("deny"), "ALL: ALL: spawn echo %h\n").expect("a table");
    let program = build(directory.path(), "decide");
    let answer = said(
        valgrind(&["--leak-check=full", "--errors-for-leak-kinds=definite"])
            .arg(program)
            .args([path("allow"), path("deny")])
            .args(["sshd", "host.example.net", "192.0.2.1"]),
    );
    assert_eq!(answer, "0 0 host.example.net sshd host.example.net 6\n");
}
