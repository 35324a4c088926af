//! `tcpwrap test` as it is called: the examples, failures, and mistakes in test files.

use std::path::Path;
use std::process::{Command, Output};

fn test(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
    command.arg("test").args(arguments).output().unwrap()
}

fn file(tests: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("hosts.deny"),
        "sshd: 192.0.2. : spawn log %a\n",
    )
    .unwrap();
    let path = directory.path().join("hosts.test.toml");
    std::fs::write(&path, tests).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// Every example that has tests passes them, has no mistakes, and is in the one style.
#[test]
fn the_examples_pass() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let directories = std::fs::read_dir(examples)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tested: Vec<_> = directories
        .filter(|directory| directory.join("hosts.test.toml").exists())
        .collect();
    assert!(tested.len() >= 13);
    for directory in tested {
        let path = directory.join("hosts.test.toml");
        let output = test(&[path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        for command in [&["check"][..], &["fmt", "--check"]] {
            let mut tcpwrap = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
            let output = tcpwrap.args(command).arg(&directory).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{command:?} {output:?}");
        }
    }
}

#[test]
fn a_failure_says_what_decided() {
    let (_directory, path) = file(
        "[[test]]\nabout = \"a <b>\"\ndaemon = \"sshd\"\nclient = \"192.0.2.1\"\nexpect = \"granted\"\nruns = []\n",
    );
    let junit = format!("{path}.xml");
    let output = test(&["--junit", &junit, &path]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("expected granted, denied by") && text.contains("hosts.deny, line 1"),
        "{text}"
    );
    assert!(text.contains("ran [\"spawn log 192.0.2.1\"]"), "{text}");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("failures=\"1\"") && xml.contains("a &lt;b&gt;"),
        "{xml}"
    );
    let output = test(&["--json", &path]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&value["result"]["failed"], &value["result"]["tests"][0]["line"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn other_tables_can_be_tested() {
    let (_directory, path) =
        file("[[test]]\ndaemon = \"sshd\"\nclient = \"192.0.2.1\"\nexpect = \"denied\"\n");
    assert_eq!(test(&[&path]).status.code(), Some(0));
    let other = tempfile::tempdir().unwrap();
    let rules = other.path().to_str().unwrap();
    // Tables that are not there are no tables that grant.
    assert_eq!(test(&["--rules", rules, &path]).status.code(), Some(2));
    std::fs::write(other.path().join("hosts.allow"), "").unwrap();
    assert_eq!(test(&["--rules", rules, &path]).status.code(), Some(1));
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, line) in [
        (
            "[[test]]\ndaemon = \"sshd\"\nclient = \"192.0.2.1\"\nexpect = \"grant\"\n",
            "line 4",
        ),
        (
            "\n[[test]]\ndaemon = \"sshd\"\nclient = \"example.com\"\nexpect = \"denied\"\n",
            "line 2",
        ),
        ("[[test]]\ndeamon = \"sshd\"\n", "line 2"),
        ("[[test\n", "line 1"),
        (
            "[[test]]\ndaemon = \"sshd\"\nclient = \"192.0.2.1\"\ncountry = \"de\"\nexpect = \"denied\"\n",
            "line 4",
        ),
        (
            "[[test]]\ndaemon = \"sshd\"\nclient = \"192.0.2.1\"\ntime = \"2026-02-30 10:00\"\nexpect = \"denied\"\n",
            "line 4",
        ),
    ] {
        let (_directory, path) = file(text);
        let output = test(&[&path]);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(line), "{error}");
    }
}

#[test]
fn rules_that_no_test_reaches_are_told() {
    let (directory, path) =
        file("[[test]]\ndaemon = \"sshd\"\nclient = \"192.0.2.1\"\nexpect = \"denied\"\n");
    let allow = "# remark\nftpd: 10.\nsshd: 10. \\\n 11.\n";
    std::fs::write(directory.path().join("hosts.allow"), allow).unwrap();
    let text = |arguments: &[&str]| String::from_utf8(test(arguments).stdout).unwrap();
    let told = text(&["--coverage", &path]);
    assert!(
        told.contains("1 passed, 0 failed; 1 of 3 rules decided one of them\n"),
        "{told}"
    );
    assert!(
        told.contains("hosts.allow, line 2: ftpd: 10.\n") && told.contains("hosts.allow, line 4: sshd:"),
        "{told}"
    );
    assert!(!told.contains("hosts.deny"), "{told}");
    assert!(!text(&[&path]).contains("not reached"));
    let value: serde_json::Value = serde_json::from_str(&text(&["--json", &path])).unwrap();
    assert_eq!(value["result"]["rules"]["count"], 3);
    assert_eq!(value["result"]["rules"]["missed"][0]["line"], 2);
}

/// A table that another user may not read is no empty one, and no broken one either.
#[test]
fn what_cannot_be_read_is_no_verdict() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (directory, path) =
        file("[[test]]\ndaemon = \"sshd\"\nclient = \"10.0.0.1\"\nexpect = \"granted\"\n");
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(directory.path(), 0o755);
    // Where the program is, not everybody may look.
    let program = directory.path().join("tcpwrap");
    std::fs::copy(env!("CARGO_BIN_EXE_tcpwrap"), &program).unwrap();
    mode(&program, 0o755);
    let deny = directory.path().join("hosts.deny");
    let rules = directory.path().to_str().unwrap();
    for (arguments, status) in [
        (&["test", &path][..], 0),
        (&["explain", "--no-dns", "--rules", rules, "sshd", "10.0.0.1"], 0),
    ] {
        let run = || {
            Command::new(&program)
                .args(arguments)
                .uid(65534)
                .gid(65534)
                .output()
                .unwrap()
        };
        mode(&deny, 0o644);
        assert_eq!(run().status.code(), Some(status), "{:?}", run());
        mode(&deny, 0o600);
        let output = run();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(said, format!("tcpwrap: {}: Permission denied\n", deny.display()));
        assert!(output.stdout.is_empty());
    }
}
