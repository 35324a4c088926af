//! Programs that may use little memory, and tables that are long in every way: the library decides rightly, or where
//! there is no room for that denies; it never ends the program.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Output;

use daemons_tests::{BOTH, Whose, build};

/// The address space and the stack that the program has, in MiB and KiB.
const LITTLE: [&str; 2] = ["40", "32"];

/// What the program says of a client whom the last rule is about and another one, and how it ended.
fn verdicts(whose: Whose, program: &Path, allow: &str) -> Output {
    let directory = program.parent().expect("a directory");
    let [allow_table, deny_table] = ["allow", "deny"].map(|name| directory.join(name));
    std::fs::write(&allow_table, allow).expect("ours");
    std::fs::write(&deny_table, "ALL: ALL\n").expect("ours");
    let mut command = whose.command(program);
    let output = command.args([allow_table, deny_table]).args(LITTLE).output();
    output.expect("it runs")
}

fn addresses(count: u32, between: &str) -> String {
    let addresses: Vec<_> = (0..count)
        .map(|n| Ipv4Addr::from((10 << 24) + n).to_string())
        .collect();
    addresses.join(between)
}

/// A million rules in an address space which has no room to keep them, and a stack of 32 KiB.
#[test]
fn little_memory_is_enough_for_large_tables() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = build(directory.path(), "little");
    let allow = format!("sshd: {}\nsshd: 192.0.2.1\n", addresses(1_000_000, "\nsshd: "));
    for whose in BOTH {
        let output = verdicts(whose, &program, &allow);
        assert_eq!(
            (output.status.code(), &output.stdout[..]),
            (Some(0), &b"10101010\n"[..]),
            "{whose:?} {output:?}"
        );
    }
}

/// The same where a rule, or a file that it names, is long.
#[test]
fn little_memory_is_enough_for_long_rules_and_files() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = build(directory.path(), "little");
    let list = directory.path().join("list");
    std::fs::write(&list, addresses(1_000_000, "\n") + "\n192.0.2.1\n").expect("ours");
    let long = "a".repeat(2_000_000);
    for allow in [
        format!("sshd: {} 192.0.2.1\n", addresses(300_000, " ")),
        format!("sshd: {} 192.0.2.1\n", addresses(300_000, " \\\n")),
        format!("sshd: {}\n", list.display()),
        format!("sshd: {long} *{long}* {long}@192.0.2.1 192.0.2.1\n"),
        format!("{long} sshd: 192.0.2.1\n"),
        format!("sshd: @{long} 192.0.2.1\n"),
        format!("{long}\nsshd: 192.0.2.1\n"),
    ] {
        let output = verdicts(Whose::Ours, &program, &allow);
        assert_eq!(
            (output.status.code(), &output.stdout[..]),
            (Some(0), &b"10101010\n"[..]),
            "{} {output:?}",
            &allow[..40]
        );
    }
}

/// Where there is no room, nobody is let in by a rule that is not about him, and the program goes on.
#[test]
fn too_little_memory_denies() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = build(directory.path(), "little");
    let names = |between: &str| {
        let name = |n| format!("/nonexistent/directory/of/lists/that/is/not/there/{n}");
        (0..100_000).map(name).collect::<Vec<_>>().join(between)
    };
    let list = directory.path().join("list");
    std::fs::write(&list, names("\n") + "\n192.0.2.1\n").expect("ours");
    let long = "a".repeat(12_000_000);
    for allow in [
        format!("sshd: {} 192.0.2.1\n", addresses(1_500_000, " ")),
        format!("sshd: {}\nsshd: 192.0.2.1\n", names("\nsshd: ")),
        format!("sshd: {} 192.0.2.1\n", names(" ")),
        format!("sshd: {}\n", list.display()),
        format!("sshd: /{long} 192.0.2.1\n"),
        format!("sshd: @{long} 192.0.2.1\n"),
        format!("sshd: 192.0.2.1: severity {long}\n"),
        format!("sshd: 192.0.2.1: {long}\n"),
        format!("sshd: 192.0.2.1: setenv A {long}\n"),
        format!("sshd: 192.0.2.1: banners /{long}\n"),
        format!("sshd: 192.0.2.1: spawn : {}\n", "%h".repeat(6_000_000)),
    ] {
        let output = verdicts(Whose::Ours, &program, &allow);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{} {output:?}", &allow[..40]);
        assert_eq!(said.trim().len(), 8, "{said}");
        assert!(
            said.bytes().skip(1).step_by(2).all(|verdict| verdict != b'1'),
            "{said}"
        );
    }
}
