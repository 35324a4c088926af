//! `tcpwrap diff` as it is called: output, JSON and exit status.

use std::path::Path;
use std::process::{Command, Output};

fn diff(arguments: &[&Path], json: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
    command.arg("diff").args(arguments);
    if json {
        command.arg("--json");
    }
    command.output().unwrap()
}

fn tables(allow: &str, deny: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("hosts.allow"), allow).unwrap();
    std::fs::write(directory.path().join("hosts.deny"), deny).unwrap();
    directory
}

#[test]
fn the_same_meaning_in_other_words_is_no_difference() {
    let old = tables(
        "sshd: 10.0.0.0/255.0.0.0, .example.com\nftpd: LOCAL\n",
        "ALL: ALL\n",
    );
    let new = tables(
        "ftpd: LOCAL : allow\nsshd: .EXAMPLE.com\nsshd: 10. : ALLOW\n",
        "ALL EXCEPT x: ALL\nx: ALL\n",
    );
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn an_edit_is_told_by_blocks_and_names() {
    let old = tables("sshd: 10.0.0.0/8 .example.com\n", "ALL: ALL\n");
    let new = tables("sshd: 10.0.0.0/9 .example.com\n", "ALL: ALL\n");
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("granted → denied"), "{text}");
    assert!(text.contains("clients: 10.128.0.0/9\n"), "{text}");
    assert!(text.contains("hosts.deny line 1: ALL: ALL"), "{text}");

    let output = diff(&[old.path(), new.path()], true);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let difference = &value["differences"][0];
    assert_eq!(difference["addresses"]["parts"][0]["blocks"][0], "10.128.0.0/9");
    assert_eq!(difference["witness"]["old"]["verdict"], "granted");
    assert_eq!(difference["witness"]["new"]["verdict"], "denied");
    assert_eq!(value["differences"].as_array().unwrap().len(), 1);
}

#[test]
fn commands_and_netgroups_are_named_as_unknown() {
    let old = tables("sshd: @staff\n", "ALL: ALL\n");
    let new = tables("sshd: @staff : aclexec /usr/bin/check %a\n", "ALL: ALL\n");
    let output = diff(&[old.path(), new.path()], false);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("in @staff"), "{text}");
    assert!(
        text.contains("whether aclexec `/usr/bin/check %a` succeeds"),
        "{text}"
    );
    assert!(text.contains("which hosts are in netgroup @staff"), "{text}");
}

#[test]
fn what_is_not_there_cannot_be_compared() {
    let old = tables("", "");
    let output = diff(&[old.path(), Path::new("/nonexistent")], false);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(diff(&[], false).status.code(), Some(2));
}
