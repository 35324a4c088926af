//! Threads that decide at once while their tables are edited, and the library under valgrind.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use daemons_tests::{BOTH, Whose, said, source};

fn build(directory: &Path, name: &str) -> PathBuf {
    let program = directory.join(name);
    said(
        Command::new("cc")
            .args(["-DINET6", "-O1", "-g", "-Wall", "-Werror", "-pthread", "-I"])
            .arg(Whose::Ours.include())
            .arg(source(&format!("{name}.c")))
            .arg("-o")
            .arg(&program)
            .arg("-L")
            .arg(Whose::Ours.directory())
            .arg("-lwrap"),
    );
    program
}

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

/// A million rules in an address space of 40 MiB, which has no room to keep them, and a stack of 32 KiB.
#[test]
fn little_memory_is_enough_for_large_tables() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let mut rules: String = (0..1_000_000u32)
        .map(|n| format!("sshd: {}\n", std::net::Ipv4Addr::from((10 << 24) + n)))
        .collect();
    rules += "sshd: 192.0.2.1\n";
    std::fs::write(path("allow"), rules).expect("ours");
    std::fs::write(path("deny"), "ALL: ALL\n").expect("ours");
    let program = build(directory.path(), "little");
    for whose in BOTH {
        let mut command = whose.command(&program);
        let verdicts = said(command.args([path("allow"), path("deny")]).args(["40", "32"]));
        assert_eq!(verdicts, "10101010\n", "{whose:?}");
    }
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
