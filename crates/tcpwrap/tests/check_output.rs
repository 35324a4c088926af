//! What `tcpwrap check` writes, in each of its forms, and its exit status.
//! After a change of the output: `SNAPSHOTS=overwrite cargo test -p tcpwrap --test check_output`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check"))
        .arg("check")
        .args(arguments)
        .output()
        .unwrap()
}

/// Compares with what was written down, byte by byte.
fn snapshot(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/check")
        .join(name);
    if std::env::var_os("SNAPSHOTS").is_some_and(|v| v == "overwrite") {
        std::fs::write(&path, now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (was, is)) in written.lines().zip(now.lines()).enumerate() {
        assert_eq!(was, is, "{name}, line {}", line + 1);
    }
    assert_eq!(written.len(), now.len(), "{name}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_text() {
    let output = check(&["--rules", "mistakes"]);
    snapshot("mistakes.txt", &text(&output.stdout));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_json() {
    let output = check(&["--rules", "mistakes", "--json"]);
    snapshot("mistakes.json", &text(&output.stdout));
    assert_eq!(output.status.code(), Some(1));
    let same = check(&["--rules", "mistakes", "--format", "json"]);
    assert_eq!(same.stdout, output.stdout);
}

#[test]
fn json_spans_and_edits_are_bytes_of_the_file() {
    let output = check(&["--rules", "mistakes", "--json", "--level", "info"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["result"]["findings"].as_array().unwrap();
    assert!(findings.len() > 50);
    for finding in findings {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/check")
            .join(finding["file"].as_str().unwrap());
        let file = std::fs::read(file).unwrap();
        let number = |name: &str| usize::try_from(finding[name].as_u64().unwrap()).unwrap();
        let (offset, length) = (number("offset"), number("length"));
        assert_eq!(
            file[offset..offset + length],
            *finding["text"].as_str().unwrap().as_bytes()
        );
        let before = &file[..offset];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = offset - before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1) + 1;
        assert_eq!((line, column), (number("line"), number("column")), "{finding}");
    }
}

#[test]
fn the_sarif() {
    let output = check(&["--rules", "mistakes", "--format", "sarif"]);
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    let json: Value = serde_json::from_slice(&check(&["--rules", "mistakes", "--json"]).stdout).unwrap();
    assert_eq!(
        results.len(),
        json["result"]["findings"].as_array().unwrap().len()
    );
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
        let location = &result["locations"][0]["physicalLocation"];
        let uri = location["artifactLocation"]["uri"].as_str().unwrap();
        assert!(
            matches!(uri, "mistakes/hosts.allow" | "mistakes/hosts.deny"),
            "{uri}"
        );
        let region = &location["region"];
        let place =
            |line: &str, column: &str| (region[line].as_u64().unwrap(), region[column].as_u64().unwrap());
        assert!(
            place("startLine", "startColumn") <= place("endLine", "endColumn"),
            "{region}"
        );
        assert!(matches!(
            result["level"].as_str(),
            Some("error" | "warning" | "note")
        ));
        for fix in result["fixes"].as_array().into_iter().flatten() {
            assert!(
                !fix["artifactChanges"][0]["replacements"]
                    .as_array()
                    .unwrap()
                    .is_empty()
            );
        }
    }
    let mut first = results[0].clone();
    // The place in the list of codes moves when one is added.
    first["ruleIndex"].take();
    snapshot("first.sarif.json", &serde_json::to_string_pretty(&first).unwrap());
}

#[test]
fn the_classic_policies_are_silent() {
    for example in ["mostly-closed", "mostly-open", "booby-trap", "loopback"] {
        let directory = format!("../../../../examples/{example}");
        let output = check(&["--rules", &directory]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{example}");
        assert!(
            said.starts_with("ok: ") && said.contains(" rules, no findings"),
            "{said}"
        );
    }
}

#[test]
fn levels_choose_what_is_reported_and_what_counts() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().to_str().unwrap();
    std::fs::write(directory.path().join("hosts.allow"), "sshd: 10.0.0.1, 10.0.0.1\n").unwrap();
    std::fs::write(directory.path().join("hosts.deny"), "ALL: ALL\n").unwrap();
    assert_eq!(check(&["--rules", rules]).status.code(), Some(0));
    assert_eq!(
        check(&["--rules", rules, "--level", "info"]).status.code(),
        Some(1)
    );
    std::fs::write(directory.path().join("hosts.allow"), "ssh: 10.0.0.1\n").unwrap();
    assert_eq!(check(&["--rules", rules]).status.code(), Some(1));
    assert_eq!(
        check(&["--rules", rules, "--level", "error"]).status.code(),
        Some(0)
    );
}

#[test]
fn what_cannot_be_read_is_status_2() {
    for arguments in [
        &["/no/such/file"][..],
        &["--rules", "/no/such/directory"],
        &["--explain", "W999"],
        &["--rules", "mistakes", "--level", "loud"],
        &["mistakes/hosts.allow", "/no/such/file"],
    ] {
        let output = check(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_ne!(text(&output.stderr), "");
    }
}

#[test]
fn files_may_be_named_one_by_one_and_belong_together() {
    let both = check(&["mistakes/hosts.allow", "mistakes/hosts.deny", "--json"]);
    assert_eq!(both.stdout, check(&["--rules", "mistakes", "--json"]).stdout);
    assert_eq!(both.stdout, check(&["mistakes", "--json"]).stdout);
    // Alone, nothing is said about what the other table may hold.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.allow");
    std::fs::write(&path, "sshd: 10.0.0.1\n").unwrap();
    assert_eq!(check(&[path.to_str().unwrap()]).status.code(), Some(0));
    let together = check(&["--rules", directory.path().to_str().unwrap(), "--json"]);
    assert!(text(&together.stdout).contains("W411"));
}

#[test]
fn standard_input_is_read_as_the_table_named() {
    for (table, code) in [("allow", "this rule is never read"), ("deny", "is denied")] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
            .args(["check", "--table", table, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"sshd: 10.0.0.1").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(text(&output.stdout).contains(code), "{}", text(&output.stdout));
        assert!(
            text(&output.stdout).contains("<stdin>:1:14"),
            "{}",
            text(&output.stdout)
        );
    }
}

#[test]
fn codes_are_explained() {
    let output = check(&["--explain", "w201"]);
    snapshot("explain-w201.txt", &text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(check(&["--explain", "bare-ipv6"]).stdout, output.stdout);
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_unescaped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.allow");
    std::fs::write(
        &path,
        b"sshd: \x1bc300.1.1.1\x07, \xff\xfe, a\xe2\x80\xaeb;c 10.0.0.300\n",
    )
    .unwrap();
    let output = check(&[path.to_str().unwrap(), "--level", "info"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("W213"));
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains('\u{202e}'));
}

#[test]
fn many_alike_are_summed_up_for_people_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.allow");
    let rules: String = (0..500)
        .map(|n| format!("sshd: 10.{}.{}.300\n", n / 256, n % 256))
        .collect();
    std::fs::write(&path, rules).unwrap();
    let shown = text(&check(&[path.to_str().unwrap()]).stdout);
    assert!(shown.contains("… and 480 more findings W213"), "{shown}");
    assert!(shown.ends_with("500 errors; --explain CODE says more\n"));
    let json: Value = serde_json::from_slice(&check(&[path.to_str().unwrap(), "--json"]).stdout).unwrap();
    assert_eq!(json["result"]["summary"]["errors"], 500);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.allow");
    let rules: String = (0..20_000).map(|n| format!("sshd: 10.0.{n}\n")).collect();
    std::fs::write(&path, rules).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["check", "--json", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), String::new())
    );
}
