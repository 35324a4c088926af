//! `cargo xtask test`: everything that is tested, with all that it needs.
//!
//! What cannot be run here is named; where `CI=true`, that is a failure. The last line of the output is
//! the test runner's own summary.

use std::fs;
use std::process::Command;

use crate::deb;
use crate::dist::{self, Profile};
use crate::packages::{self, Needs};
use crate::rpm;
use crate::shell::{Result, as_root, cargo, root, run, succeeds};

/// The tests that install what we package.
const PACKAGES: &str = "distros-tests";

/// Runs the tests; `arguments` go to the test runner, and may choose packages.
pub fn run_tests(arguments: &[String]) -> Result<()> {
    let needs = Needs::all()?;
    packages::provide(&needs)?;
    let left_out = left_out(&needs)?;

    // What tests start must be there, and need not be looked for again by each of them.
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    let tree = dist::build(Profile::Dev)?;
    let has_chosen = arguments.iter().any(|argument| chooses_packages(argument));
    let packages_tested = match has_chosen {
        true => arguments.iter().any(|argument| argument.ends_with(PACKAGES)),
        false => !left_out.iter().any(|package| package == PACKAGES),
    };
    if packages_tested {
        deb::package(&tree)?;
        rpm::package(&tree)?;
    }

    let mut chosen = arguments.to_vec();
    if !has_chosen {
        chosen.push("--workspace".to_owned());
        for package in left_out {
            chosen.extend(["--exclude".to_owned(), package]);
        }
    }
    if arguments.is_empty() {
        // First, for the last line is to be a count of tests.
        run(runner(&["test", "--doc", "--quiet"]).args(&chosen))?;
        chosen.extend(["--lib", "--bins", "--tests"].map(str::to_owned));
    }
    let with = if succeeds(cargo().args(["nextest", "--version"])) {
        &["nextest", "run", "--no-fail-fast"][..]
    } else {
        &["test", "--no-fail-fast"]
    };
    run(runner(with).args(chosen))
}

/// Does an argument for cargo say which packages to test?
fn chooses_packages(argument: &str) -> bool {
    argument.starts_with("-p") || argument == "--workspace" || argument.starts_with("--package")
}

/// Cargo, running tests as root.
fn runner(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments).env("TCPWRAP_TEST_BUILT", "1");
    if let Some(sudo @ [_, ..]) = as_root() {
        let words = [sudo, &["--preserve-env"]].concat().join(" ");
        command.env(format!("CARGO_TARGET_{}_RUNNER", machine()), words);
    }
    command
}

/// The target triple as cargo spells it in the names of variables.
fn machine() -> String {
    let version = crate::shell::read(Command::new("rustc").arg("-vV")).unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap_or_default().to_uppercase().replace('-', "_")
}

/// The packages of tests that cannot run here. Says which, and why.
fn left_out(needs: &[Needs]) -> Result<Vec<String>> {
    let mut left_out = Vec::new();
    for needs in needs {
        let missing = needs.missing();
        if missing.is_empty() {
            continue;
        }
        eprintln!(
            "xtask: tests/{} is SKIPPED, for want of: {}",
            needs.tests,
            missing.join(", ")
        );
        left_out.push(package_name(&needs.tests)?);
    }
    if !left_out.is_empty() && std::env::var("CI").is_ok_and(|ci| ci == "true") {
        return Err("tests would be skipped, which CI=true forbids".to_owned());
    }
    Ok(left_out)
}

/// The name of the package in a directory below `tests`.
fn package_name(directory: &str) -> Result<String> {
    let manifest = root().join("tests").join(directory).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = "));
    name.map(|name| name.trim_matches('"').to_owned())
        .ok_or_else(|| format!("{} names no package", manifest.display()))
}
