//! What stands beside the tables is looked at without --host: lists that patterns name, and files meant to be tables.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Code, line, and the name of the file where it is neither table, of what is found.
fn found(directory: &Path, arguments: &[&str]) -> Vec<(String, u64, Option<String>)> {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["check", "--json", "--rules"])
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = json["result"]["findings"].as_array().unwrap().iter();
    found
        .map(|finding| {
            let file = Path::new(finding["file"].as_str().unwrap());
            let name = file.file_name().unwrap().to_str().unwrap();
            let name = (!matches!(name, "hosts.allow" | "hosts.deny")).then(|| name.to_owned());
            let code = finding["code"].as_str().unwrap().to_owned();
            (code, finding["line"].as_u64().unwrap(), name)
        })
        .collect()
}

#[test]
fn lists_and_stray_tables_are_seen() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("list"), "300.1.1.1\n").unwrap();
    let list = |name: &str| at(name).to_str().unwrap().to_owned();
    let allow = format!(
        "sshd: {}\nsshd: 10.1.1.1\nvsftpd: {}\nnrpe: {}\nnrpe: {}\n",
        list("good"),
        list("missing"),
        list("bad"),
        elsewhere.path().join("list").display()
    );
    std::fs::write(at("hosts.allow"), allow).unwrap();
    std::fs::write(at("hosts.deny"), "ALL: ALL\n").unwrap();
    std::fs::write(at("good"), format!("{}\n", list("nested"))).unwrap();
    std::fs::write(at("nested"), "10.0.0.0/8\n").unwrap();
    std::fs::write(at("bad"), "10.0.0.1\n# a remark\n").unwrap();
    for name in ["hosts.accept", "HOSTS.DENY", "hosts.allow.bak", "hosts.equiv"] {
        std::fs::write(at(name), "ALL: ALL\n").unwrap();
    }
    let expected = [
        ("W404", 2, None),
        ("W506", 3, None),
        ("W524", 1, Some("HOSTS.DENY")),
        ("W508", 2, Some("bad")),
        ("W524", 1, Some("hosts.accept")),
    ];
    let expected = expected.map(|(code, line, name)| (code.to_owned(), line, name.map(str::to_owned)));
    assert_eq!(found(directory.path(), &[]), expected);
    // The machine is asked for what is elsewhere; nothing is said twice.
    let mut with_host = found(directory.path(), &["--host"]);
    assert!(
        with_host.contains(&("W508".to_owned(), 1, Some("list".to_owned()))),
        "{with_host:?}"
    );
    let count = with_host.len();
    with_host.sort();
    with_host.dedup();
    assert_eq!(count, with_host.len(), "{with_host:?}");
}
