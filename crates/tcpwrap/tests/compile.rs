//! `tcpwrap compile` as it is called: what it writes, whose it is, and who writes it anew.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

fn tcpwrap(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(arguments)
        .arg("--rules")
        .arg(directory)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A directory with a long deny table, not in `fmt`'s style, and a short allow table.
fn tables() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let rules: String = (0..5000)
        .map(|at| format!("sshd:10.1.{}.{}, .example.net\n", at >> 8, at & 255))
        .collect();
    fs::write(directory.path().join("hosts.deny"), rules).unwrap();
    fs::write(directory.path().join("hosts.allow"), "ALL: LOCAL\n").unwrap();
    directory
}

#[test]
fn long_tables_get_an_index_with_their_owner_and_mode() {
    let directory = tables();
    let [deny, index] = ["hosts.deny", "hosts.deny.index"].map(|name| directory.path().join(name));
    fs::set_permissions(&deny, fs::Permissions::from_mode(0o660)).unwrap();
    let is_root = fs::metadata(&deny).unwrap().uid() == 0;
    if is_root {
        std::os::unix::fs::chown(&deny, Some(1), Some(1)).unwrap();
    }
    let text = said(&tcpwrap(&["compile"], directory.path()));
    assert!(text.contains("hosts.allow: needs no index"), "{text}");
    assert!(text.contains("hosts.deny.index: 5000 rules, "), "{text}");
    assert!(!directory.path().join("hosts.allow.index").exists());
    let written = fs::metadata(&index).unwrap();
    assert_eq!(written.mode() & 0o7777, 0o640);
    assert_eq!(
        written.uid(),
        if is_root {
            1
        } else {
            fs::metadata(&deny).unwrap().uid()
        }
    );

    let json = said(&tcpwrap(&["compile", "--json"], directory.path()));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["result"][0]["what"], "not-needed");
    assert_eq!(value["result"][1]["rules"], 5000);

    let text = said(&tcpwrap(&["compile", "--remove"], directory.path()));
    assert!(text.contains("hosts.deny.index: removed"), "{text}");
    let text = said(&tcpwrap(&["compile", "--refresh"], directory.path()));
    assert!(text.contains("hosts.deny.index: there is none"), "{text}");
    assert!(!index.exists());
}

#[test]
fn who_replaces_a_table_writes_its_index_anew() {
    let directory = tables();
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(directory.path().join("hosts.deny"), &elsewhere).unwrap();
    symlink("elsewhere", directory.path().join("hosts.deny")).unwrap();
    let index = directory.path().join("hosts.deny.index");
    // None where there was none.
    said(&tcpwrap(&["fmt"], directory.path()));
    assert!(!index.exists());
    fs::write(
        &elsewhere,
        fs::read_to_string(&elsewhere).unwrap().replace(", ", " "),
    )
    .unwrap();
    said(&tcpwrap(&["compile"], directory.path()));
    let before = fs::read(&index).unwrap();
    said(&tcpwrap(&["fmt"], directory.path()));
    let after = fs::read(&index).unwrap();
    assert_ne!(before, after, "it names the table that is there now");
    said(&tcpwrap(&["compile"], directory.path()));
    assert_eq!(
        after,
        fs::read(&index).unwrap(),
        "and is what compile would write"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let directory = tables();
    fs::create_dir(directory.path().join("hosts.deny.index")).unwrap();
    let is_said = || {
        let output = tcpwrap(&["compile"], directory.path());
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("hosts.deny.index: "), "{text}");
    };
    is_said();
    // Nobody writes into it, and nobody waits for that.
    let index = directory.path().join("hosts.deny.index");
    fs::remove_dir(&index).unwrap();
    assert!(Command::new("mkfifo").arg(&index).status().unwrap().success());
    is_said();
    assert!(index.exists());
}

#[test]
fn long_lists_that_rules_name_get_one_too() {
    let directory = tables();
    let [list, short, deny] = ["list", "short", "hosts.deny"].map(|name| directory.path().join(name));
    let addresses: String = (0..5000)
        .map(|at| format!("10.1.{}.{}\n", at >> 8, at & 255))
        .collect();
    fs::write(&list, addresses).unwrap();
    fs::write(&short, format!("192.0.2.1\n{}\n", list.display())).unwrap();
    fs::write(&deny, format!("ALL: {}\n", short.display())).unwrap();
    let text = said(&tcpwrap(&["compile"], directory.path()));
    assert!(text.contains("list.index: 5000 patterns, "), "{text}");
    assert!(text.contains("short: needs no index: a list of "), "{text}");
    let json = said(&tcpwrap(&["compile", "--json"], directory.path()));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["result"][2]["list"], list.to_str().unwrap());
    assert_eq!(value["result"][2]["patterns"], 5000);
    let text = said(&tcpwrap(&["compile", "--remove"], directory.path()));
    assert!(text.contains("list.index: removed"), "{text}");

    // Ban lists have an index of another kind there.
    let index = directory.path().join("list.index");
    fs::write(&index, "tcpbans1 and more").unwrap();
    let output = tcpwrap(&["compile"], directory.path());
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("list.index: there is another file"), "{text}");
    said(&tcpwrap(&["compile", "--remove"], directory.path()));
    assert!(index.exists());
}
