//! `cargo xtask audit`: how strong the tests are. A monthly command that takes hours; not for CI.
//!
//! cargo-mutants changes the engine in thousands of ways and runs its tests on each, then those beside the reference: a
//! change that no test notices is one missing. Each takes some seconds, as the generated tests are shortened and the
//! quick ones come first (profile `audit` in .config/nextest.toml); `-- --sharding round-robin --shard 0/20` tries one
//! in twenty. Changes that change nothing are listed in .cargo/mutants.toml. Miri runs the engine's unit tests and
//! looks for what Rust itself does not allow.

use std::fs;
use std::process::Command;

use crate::shell::{Result, cargo, root, run, succeeds, target};

/// What is changed: the decision, and what chooses the rules it looks at.
const FILES: [&str; 11] = [
    "brace.rs",
    "decide.rs",
    "index/**/*.rs",
    "matching.rs",
    "meaning.rs",
    "options.rs",
    "read.rs",
    "sieve.rs",
    "skip.rs",
    "source.rs",
    "syntax/*.rs",
];
/// So many of a hundred changes must be noticed.
const ENOUGH: usize = 95;
/// What makes a round short: one failing case is enough, and is not made smaller.
const SHORT: [(&str, &str); 6] = [
    ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ("COMPAT_CASES", "2000"),
    ("NEXTEST_PROFILE", "audit"),
    ("PROPTEST_CASES", "100"),
    ("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1"),
    ("PROPTEST_MAX_SHRINK_ITERS", "0"),
];
/// The unit tests that open no files, which Miri runs at a thousandth of the speed.
const FOR_MIRI: [&str; 6] = [
    "address",
    "index::lists",
    "index::postings",
    "meaning",
    "syntax",
    "text",
];

/// Runs both, on these files of the engine or on all that matter. Arguments go to cargo-mutants.
pub fn audit(files: &[String], arguments: &[String]) -> Result<()> {
    miri()?;
    mutants(files, arguments)
}

fn miri() -> Result<()> {
    if !succeeds(Command::new("cargo").args(["+nightly", "miri", "--version"])) {
        println!("Miri is left out: rustup toolchain install nightly --component miri");
        return Ok(());
    }
    let mut miri = Command::new("cargo");
    miri.current_dir(root())
        .args([
            "+nightly",
            "miri",
            "test",
            "--package",
            "hosts-access",
            "--lib",
            "--",
        ])
        .args(FOR_MIRI);
    run(&mut miri)
}

fn mutants(files: &[String], arguments: &[String]) -> Result<()> {
    if !succeeds(cargo().args(["mutants", "--version"])) {
        return Err("cargo-mutants is missing: cargo install --locked cargo-mutants".into());
    }
    let output = target().join("audit");
    fs::create_dir_all(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    let mut mutants = cargo();
    mutants
        .args([
            "mutants",
            "--package",
            "hosts-access",
            "--timeout",
            "180",
            "--output",
        ])
        .arg(&output)
        .args([
            "--test-tool",
            "nextest",
            "--test-package",
            "hosts-access,compat-tests",
        ]);
    for (variable, value) in SHORT {
        mutants.env(variable, value);
    }
    let named = files.iter().map(String::as_str);
    let all = FILES.iter().copied().filter(|_| files.is_empty());
    for file in named.chain(all) {
        mutants.args(["--file", &format!("crates/hosts-access/src/{file}")]);
    }
    mutants.args(arguments);
    // It fails where one is missed; how many there may be is said here.
    let status = mutants
        .status()
        .map_err(|error| format!("{mutants:?}: {error}"))?;
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(output.join("mutants.out").join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let [caught, missed, timeout] = ["caught.txt", "missed.txt", "timeout.txt"].map(lines);
    let (noticed, all) = (
        caught.len() + timeout.len(),
        caught.len() + timeout.len() + missed.len(),
    );
    if all == 0 {
        return Err(format!("no change was tried: {status}"));
    }
    println!(
        "{all} changes: {} noticed by a failing test, {} by a test that did not end, {} by none",
        caught.len(),
        timeout.len(),
        missed.len()
    );
    missed.iter().for_each(|missed| println!("    {missed}"));
    if noticed * 100 < ENOUGH * all {
        return Err(format!("fewer than {ENOUGH} of a hundred are noticed"));
    }
    Ok(())
}
