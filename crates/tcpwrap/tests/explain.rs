//! `tcpwrap explain`, run as a person would.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn explain(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["explain", "--rules"])
        .arg(directory)
        .args(args)
        .env_remove("SSH_CONNECTION")
        .env_remove("SSH_CLIENT")
        .output()
        .expect("tcpwrap runs")
}

fn rules(allow: &str, deny: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("hosts.allow"), allow).expect("hosts.allow");
    std::fs::write(directory.path().join("hosts.deny"), deny).expect("hosts.deny");
    directory
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_deciding_rule_is_shown_with_a_pointer_at_the_token() {
    let rules = rules("sshd: 10.0.0.0/8 192.0.2.\n", "ALL: ALL\n");
    let output = explain(rules.path(), &["sshd", "192.0.2.7"]);
    let expected = format!(
        "sshd from 192.0.2.7: granted\n  a rule in the allow table matches\n\n   --> {}:1\n  \
         1 | sshd: 10.0.0.0/8 192.0.2.\n    |                  ^^^^^^^^ \
         every client address that begins with 192.0.2.\n",
        rules.path().join("hosts.allow").display()
    );
    assert_eq!(text(&output), expected);
}

#[test]
fn exit_status_says_the_verdict_only_when_asked() {
    let rules = rules("in.fingerd: ALL: twist /bin/false\n", "ALL: 192.0.2.7\n");
    let status = |args: &[&str]| explain(rules.path(), args).status.code();
    assert_eq!(status(&["sshd", "192.0.2.7"]), Some(0));
    assert_eq!(status(&["--exit-code", "sshd", "192.0.2.7"]), Some(1));
    assert_eq!(status(&["--exit-code", "sshd", "192.0.2.8"]), Some(0));
    assert_eq!(status(&["--exit-code", "in.fingerd", "192.0.2.8"]), Some(3));
    assert_eq!(status(&["--exit-code", "sshd", "no-such-host.invalid"]), Some(2));
}

#[test]
fn a_name_may_be_supposed() {
    let rules = rules("", "ALL: PARANOID .bad.example\n");
    let verdict = |args: &[&str]| {
        let output = explain(rules.path(), &[&["--json", "sshd", "192.0.2.7"], args].concat());
        let reports: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        reports["result"]["requests"][0]["verdict"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(verdict(&["--no-dns"]).as_deref(), Some("granted"));
    assert_eq!(verdict(&["--paranoid"]).as_deref(), Some("denied"));
    assert_eq!(verdict(&["--name", "x.bad.example"]).as_deref(), Some("denied"));
}

#[test]
fn names_are_looked_up_as_the_host_does() {
    let rules = rules("sshd: localhost\n", "ALL: ALL\n");
    let output = explain(rules.path(), &["sshd", "127.0.0.1"]);
    assert!(
        text(&output).starts_with("sshd from 127.0.0.1: granted\n"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("client name: localhost"),
        "{}",
        text(&output)
    );
}

#[test]
fn continued_rules_point_at_the_physical_line() {
    let rules = rules("sshd: 10.0.0.1 \\\n  192.0.2.7\n", "");
    let output = explain(rules.path(), &["--json", "sshd", "192.0.2.7"]);
    let reports: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let token = reports["result"]["requests"][0]["rule"]["tokens"]
        .as_array()
        .and_then(|t| t.last())
        .expect("a token");
    assert_eq!(
        (token["line"].as_u64(), token["column"].as_u64()),
        (Some(2), Some(3))
    );
}

#[test]
fn the_trace_shows_every_token_and_all_rules_every_match() {
    let rules = rules("sshd: ALL EXCEPT 192.0.2.7\n", "sshd: 192.0.2.7\nALL: ALL\n");
    let output = text(&explain(
        rules.path(),
        &["--trace", "--all-rules", "sshd", "192.0.2.7"],
    ));
    assert!(
        output.contains("yes  192.0.2.7  the client address 192.0.2.7\n           the rule does not match"),
        "{output}"
    );
    assert!(output.contains("hosts.deny:2: ALL: ALL"), "{output}");
}

#[test]
fn a_matrix_shows_daemons_by_clients() {
    let rules = rules("sshd: 192.0.2.7\n", "sshd: ALL\n");
    let file = rules.path().join("matrix");
    std::fs::write(&file, "# who\nsshd 192.0.2.7\nvsftpd 192.0.2.7\nsshd 192.0.2.8\n").expect("matrix");
    let output = explain(rules.path(), &["--matrix", &file.to_string_lossy()]);
    assert_eq!(
        text(&output),
        "client          sshd     vsftpd\n192.0.2.7    granted    granted\n192.0.2.8     denied          -\n"
    );
}

#[test]
fn the_present_session_may_be_asked_about() {
    let rules = rules("", "sshd: 192.0.2.7\n");
    let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["explain", "--exit-code", "--ssh-client", "--rules"])
        .arg(rules.path())
        .env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
        .output()
        .expect("tcpwrap runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(explain(rules.path(), &["--ssh-client"]).status.code(), Some(2));
}

#[test]
fn hostile_bytes_do_not_reach_the_terminal() {
    let rules = rules("sshd: ALL: spawn echo \x1b]0;x\x07\n", "");
    let output = explain(rules.path(), &["sshd", "192.0.2.7"]);
    assert!(!output.stdout.contains(&0x1b), "{}", text(&output));
}

#[test]
fn a_directory_that_is_not_there_is_no_empty_table() {
    let output = explain(Path::new("/nonexistent/rules"), &["sshd", "192.0.2.7"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output), "");
}

/// With arguments that need be no text; the exit status says the verdict.
fn with_bytes(directory: &Path, args: &[&[u8]]) -> Output {
    let args = args.iter().map(|arg| OsStr::from_bytes(arg));
    Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["explain", "--exit-code", "--rules"])
        .arg(directory)
        .args(args)
        .output()
        .expect("tcpwrap runs")
}

#[test]
fn names_need_not_be_utf_8() {
    let directory = rules("", "ALL: ALL\n");
    let table: &[u8] = b"d\xe9mon: 192.0.2. EXCEPT j\xfcrgen@192.0.2.9\n";
    std::fs::write(directory.path().join("hosts.allow"), table).expect("hosts.allow");
    let output = with_bytes(directory.path(), &[b"d\xe9mon", b"192.0.2.7"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = text(&output);
    assert!(
        shown.starts_with("d\\xe9mon from 192.0.2.7: granted\n"),
        "{shown}"
    );
    // The pointer stands below the token, however the bytes before it are shown.
    assert!(
        shown.contains("1 | d\\xe9mon: 192.0.2. EXCEPT j\\xfcrgen@192.0.2.9\n    |           ^^^^^^^^ every"),
        "{shown}"
    );
    let output = with_bytes(directory.path(), &[b"d\xe9mon", b"j\xfcrgen@192.0.2.9"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = with_bytes(
        directory.path(),
        &[b"--json", b"--user", b"j\xfcrgen", b"d\xe9mon", b"192.0.2.9"],
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let reports: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reports["result"]["requests"][0]["daemon"], "d\\xe9mon");
    let matrix = directory.path().join("matrix");
    std::fs::write(&matrix, b"d\xe9mon 192.0.2.7\r\nd\xe8mon 192.0.2.7").expect("matrix");
    let output = with_bytes(directory.path(), &[b"--matrix", matrix.as_os_str().as_bytes()]);
    assert_eq!(
        text(&output),
        "client      d\\xe9mon   d\\xe8mon\n192.0.2.7    granted     denied\n"
    );
}

#[test]
fn a_matrix_may_come_from_standard_input() {
    let rules = rules("", "ALL: 192.0.2.7\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["explain", "--matrix", "-", "--rules"])
        .arg(rules.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tcpwrap runs");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"sshd 192.0.2.7\n")
        .expect("written");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(text(&output), "client          sshd\n192.0.2.7     denied\n");
}

#[test]
fn what_is_wrong_with_a_matrix_is_told_by_line() {
    let rules = rules("", "");
    let file = rules.path().join("matrix");
    for (content, problem) in [
        (
            "# who\nsshd\n",
            ", line 2: expected `DAEMON CLIENT`, found `sshd`",
        ),
        ("# none\n", ": no requests in it"),
    ] {
        std::fs::write(&file, content).expect("matrix");
        let output = explain(rules.path(), &["--matrix", &file.to_string_lossy()]);
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("tcpwrap: {}{problem}\n", file.display());
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
}
