//! Every function of the C interface, called in many ways, on Debian's libwrap.so.0 and on ours: what
//! `contract.c` sees of each call is the same.
//!
//! Needs the library of `cargo xtask test`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

/// What the program prints on one library, in a directory of its own.
fn seen(program: &Path, library: Option<&Path>) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(program);
    command.arg(directory.path()).env("LC_ALL", "C");
    if let Some(library) = library {
        command.env("LD_LIBRARY_PATH", library);
    }
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{} {library:?}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_function_does_what_it_does_in_the_reference() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("contract");
    let built = Command::new("cc")
        .args(["-DINET6", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("contract.c"))
        .arg("-lwrap")
        .status();
    assert!(built.is_ok_and(|status| status.success()), "cc cannot build it");
    let library = support::library("usr/lib/libwrap.so.0");
    let expected = seen(&program, None);
    let found = seen(&program, library.parent());
    assert!(expected.len() > 1000, "{} lines", expected.len());
    for (number, (expected, found)) in expected.iter().zip(&found).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "lines");
}
