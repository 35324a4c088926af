//! The C interface, called in many ways, on Debian's libwrap.so.0 and on ours: what the program sees of each call
//! is the same. `contract.c` calls every function; `residents.c` is a program that fills requests in by hand,
//! replaces functions of the library and lives on while tables and its rights change.
//!
//! Needs the library of `cargo xtask test`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// What a program prints on one library, in a directory of its own.
fn seen(program: &Path, library: Option<&Path>, arguments: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(program);
    command.arg(directory.path()).args(arguments).env("LC_ALL", "C");
    if let Some(library) = library {
        command.env("LD_LIBRARY_PATH", library);
    }
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{} {library:?}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// What it prints on the reference's library, and on ours.
fn both(name: &str, arguments: &[&str]) -> [Vec<String>; 2] {
    let directory: TempDir = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    compat_tests::cc::build(&source.with_extension("c"), &program);
    let library = support::library("usr/lib/libwrap.so.0");
    [None, library.parent()].map(|library| seen(&program, library, arguments))
}

#[track_caller]
fn same(name: &str) {
    let [expected, found] = both(name, &[]);
    assert!(expected.len() > 1000, "{} lines", expected.len());
    for (number, (expected, found)) in expected.iter().zip(&found).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "lines");
}

#[test]
fn every_function_does_what_it_does_in_the_reference() {
    same("contract");
}

#[test]
fn programs_that_are_their_own_way_are_served_as_by_the_reference() {
    same("residents");
}

/// The lines of the reference and of ours that have these words.
fn apart(words: &str) -> [String; 2] {
    both("residents", &["deviations"]).map(|lines| {
        let found = lines.into_iter().find(|line| line.contains(words));
        found.expect("a line").trim().to_owned()
    })
}

#[test]
fn deviation_23_no_rule_is_named_once_it_has_decided() {
    let [reference, ours] = apart("after a decision");
    assert_eq!(reference, "log 3 [warning: allow, line 1: after a decision]");
    assert_eq!(ours, "log 3 [warning: after a decision]");
}

#[test]
fn deviation_24_expansion_leaves_the_request_as_it_is() {
    assert_eq!(apart("user"), ["user j_e", "user j;e"]);
}

#[test]
fn deviation_25_a_local_socket_has_no_port() {
    assert_eq!(apart("port"), [format!("port {}", 0x2f72), "port 0".to_owned()]);
}

#[test]
fn deviation_26_a_client_that_chose_its_route_is_shut_out() {
    let [reference, ours] = apart("with IP ");
    assert_eq!(
        reference,
        "log 5 [connect from 127.0.0.1 with IP options (ignored): 83 07 04 7f 00 00 01 00]"
    );
    assert_eq!(
        ours,
        "log 4 [refused connect from 127.0.0.1 with IP source routing options]"
    );
    let [reference, ours] = apart("connection");
    assert!(
        reference.ends_with("open") && ours.ends_with("closed"),
        "{reference} {ours}"
    );
}

#[test]
fn deviation_27_a_lookup_that_finds_nothing_is_made_once() {
    assert_eq!(apart("asked"), ["asked 4 times, 1", "asked 1 times, 1"]);
}
