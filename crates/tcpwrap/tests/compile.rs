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

#[test]
fn what_fails_does_not_keep_the_rest_from_being_done() {
    let directory = tables();
    let path = |name: &str| directory.path().join(name);
    let addresses: String = (0..5000)
        .map(|at| format!("10.1.{}.{}\n", at >> 8, at & 255))
        .collect();
    for list in ["first", "second"] {
        fs::write(path(list), &addresses).unwrap();
    }
    let rules = ["first", "second"].map(|list| format!("ALL: {}\n", path(list).display()));
    fs::write(path("hosts.allow"), rules.concat()).unwrap();
    for in_the_way in ["hosts.deny.index", "first.index"] {
        fs::create_dir(path(in_the_way)).unwrap();
    }
    let output = tcpwrap(&["compile"], directory.path());
    assert_eq!(output.status.code(), Some(2));
    let [done, failed] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(done.contains("second.index: 5000 patterns"), "{done}");
    assert!(!done.contains("first.index"), "{done}");
    assert_eq!(failed.lines().count(), 2, "{failed}");
    for file in ["hosts.deny.index: ", "first.index: "] {
        assert!(failed.contains(file), "{failed}");
    }
    assert!(path("second.index").is_file());

    let output = tcpwrap(&["compile", "--json"], directory.path());
    assert_eq!(output.status.code(), Some(2));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let whats = value["result"].as_array().unwrap().iter();
    let whats: Vec<_> = whats.map(|done| done["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["not-needed", "failed", "failed", "current"]);
    let why = value["result"][2]["why"].as_str().unwrap();
    assert!(why.contains("first.index: "), "{why}");
}

#[test]
fn what_is_as_it_should_be_is_not_written_again() {
    let directory = tables();
    let index = directory.path().join("hosts.deny.index");
    said(&tcpwrap(&["compile"], directory.path()));
    let state = || {
        let is = fs::metadata(&index).unwrap();
        (is.ino(), is.ctime(), is.ctime_nsec())
    };
    let before = state();
    let text = said(&tcpwrap(&["compile"], directory.path()));
    assert!(text.contains("hosts.deny.index: as before"), "{text}");
    assert_eq!(state(), before);

    // What would not be believed is.
    let whole = fs::read(&index).unwrap();
    fs::set_permissions(&index, fs::Permissions::from_mode(0o666)).unwrap();
    said(&tcpwrap(&["compile"], directory.path()));
    assert_eq!(fs::metadata(&index).unwrap().mode() & 0o022, 0);
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&index, damaged).unwrap();
    said(&tcpwrap(&["compile"], directory.path()));
    assert_eq!(fs::read(&index).unwrap(), whole);
    let copy = directory.path().join("copy");
    fs::rename(&index, &copy).unwrap();
    symlink("copy", &index).unwrap();
    said(&tcpwrap(&["compile"], directory.path()));
    assert!(!index.is_symlink());
}
