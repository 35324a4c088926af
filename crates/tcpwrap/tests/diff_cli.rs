//! `tcpwrap diff` as it is called: output, JSON and exit status.

#[path = "../../state/tests/build/mod.rs"]
mod build;

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
    let difference = &value["result"]["differences"][0];
    assert_eq!(difference["addresses"]["parts"][0]["blocks"][0], "10.128.0.0/9");
    assert_eq!(difference["witness"]["old"]["verdict"], "granted");
    assert_eq!(difference["witness"]["new"]["verdict"], "denied");
    assert_eq!(value["result"]["differences"].as_array().unwrap().len(), 1);
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

/// The blocks of IPv4 addresses for which the verdict changed, with the new verdict.
fn blocks(arguments: &[&str], directory: &Path) -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["diff", "--json"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let found = value["result"]["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| {
            let block = &difference["addresses"]["parts"][0]["blocks"][0];
            let verdict = &difference["witness"]["new"]["verdict"];
            (
                block.as_str().unwrap().to_owned(),
                verdict.as_str().unwrap().to_owned(),
            )
        });
    let found: Vec<_> = found.collect();
    assert_eq!(output.status.code(), Some(i32::from(!found.is_empty())));
    found
}

#[test]
fn single_files_take_the_place_of_those_of_a_directory() {
    let scene = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("old/hosts.allow", "ALL: 10.0.0.0/30\n"),
        ("old/hosts.deny", "ALL: 10.\n"),
        ("new/hosts.allow", "ALL: 10.0.0.0/31\n"),
        ("new/hosts.deny", "ALL: 10.\n"),
        ("one", "ALL: 10.0.0.0/29\n"),
        ("more", "ALL: 10. 11.\n"),
    ] {
        let path = scene.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let found = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        blocks(&words, scene.path())
    };
    let expected = |block: &str, verdict: &str| vec![(block.to_owned(), verdict.to_owned())];
    // One file of the new pair; the other is that of the directory.
    assert_eq!(found("old new --new-allow old/hosts.allow"), []);
    assert_eq!(
        found("old new --new-allow one"),
        expected("10.0.0.4/30", "granted")
    );
    assert_eq!(found("old old --new-deny more"), expected("11.0.0.0/8", "denied"));
    // And of the old pair.
    assert_eq!(found("old new --old-allow new/hosts.allow"), []);
    assert_eq!(
        found("old old --old-allow one"),
        expected("10.0.0.4/30", "denied")
    );
    assert_eq!(
        found("old old --old-deny more"),
        expected("11.0.0.0/8", "granted")
    );
    // Without directories, a file that is not named for the new tables is that of the old.
    let old = "--old-allow old/hosts.allow --old-deny old/hosts.deny";
    assert_eq!(
        found(&format!("{old} --new-allow new/hosts.allow")),
        expected("10.0.0.2/31", "denied")
    );
    assert_eq!(
        found(&format!("{old} --new-deny more")),
        expected("11.0.0.0/8", "denied")
    );
    let both = format!("{old} --new-allow new/hosts.allow --new-deny new/hosts.deny");
    assert_eq!(found(&both), expected("10.0.0.2/31", "denied"));
}

#[test]
fn files_that_are_not_there_are_no_empty_tables() {
    let old = tables("", "");
    for option in ["--old-allow", "--old-deny", "--new-allow", "--new-deny"] {
        let arguments = [
            old.path(),
            old.path(),
            Path::new(option),
            Path::new("/nonexistent"),
        ];
        let output = diff(&arguments, false);
        assert_eq!(output.status.code(), Some(2), "{option}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told, "tcpwrap: /nonexistent: no such file\n");
    }
}

#[test]
fn two_versions_of_one_table() {
    let old = tables("sshd: 10.0.0.0/30\n", "ALL: ALL\n");
    std::fs::write(old.path().join("hosts.allow.new"), "sshd: 10.0.0.0/31\n").unwrap();
    std::fs::write(old.path().join("new.deny"), "ALL EXCEPT sshd: ALL\n").unwrap();
    let found = |arguments: &str| blocks(&arguments.split(' ').collect::<Vec<_>>(), old.path());
    let expected = |block: &str, verdict: &str| vec![(block.to_owned(), verdict.to_owned())];
    assert_eq!(
        found("hosts.allow hosts.allow.new"),
        expected("10.0.0.2/31", "denied")
    );
    assert_eq!(
        found("hosts.allow.new hosts.allow"),
        expected("10.0.0.2/31", "granted")
    );
    let [(block, verdict)] = &found("hosts.deny new.deny")[..] else {
        panic!();
    };
    assert_eq!((&block[..], &verdict[..]), ("0.0.0.0/5", "granted"));
    // Alone, an allow table means something only where others are refused.
    std::fs::remove_file(old.path().join("hosts.deny")).unwrap();
    assert_eq!(
        found("hosts.allow hosts.allow.new"),
        expected("10.0.0.2/31", "denied")
    );
    let arguments = ["hosts.allow", "hosts.allow.new", "--old-allow", "new.deny"].map(Path::new);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
    let output = command
        .arg("diff")
        .args(arguments)
        .current_dir(old.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = diff(&[old.path(), &old.path().join("new.deny")], false);
    assert!(String::from_utf8_lossy(&output.stderr).contains("one is a directory, and one is not"));
}

#[test]
fn hosts_in_files_are_compared_by_what_the_files_hold() {
    let old = tables("", "ALL: ALL\n");
    let list = old.path().join("list");
    std::fs::write(&list, "10.0.0.1\n10.0.0.2\n").unwrap();
    let allow = format!("sshd: {}\n", list.display());
    std::fs::write(old.path().join("hosts.allow"), &allow).unwrap();
    let new = tables("sshd: 10.0.0.1, 10.0.0.2\n", "ALL: ALL\n");
    assert_eq!(diff(&[old.path(), new.path()], false).status.code(), Some(0));
    std::fs::write(&list, "10.0.0.1").unwrap();
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("clients: 10.0.0.2\n"), "{text}");
}

#[test]
fn nearly_everybody_is_told_by_who_is_left_out() {
    let clients = |allow: &str, new_allow: &str| {
        let (old, new) = (tables(allow, "ALL: ALL\n"), tables(new_allow, "ALL: ALL\n"));
        let output = diff(&[old.path(), new.path()], false);
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("  clients: "));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert_eq!(
        clients("ALL: 10.0.0.0/24 [2001:db8::]/32\n", "ALL: ALL\n"),
        "any but 10.0.0.0/24, 2001:db8::/32"
    );
    assert_eq!(clients("ALL: 10.\n", "ALL: ALL\n"), "any but 10.0.0.0/8");
    assert_eq!(
        clients("", "ALL: 0.0.0.0/1 128.0.0.0/2 192.0.0.0/3\n"),
        "any IPv4 address but 224.0.0.0/3"
    );
    // Where it is no shorter, as it is.
    assert_eq!(clients("", "ALL: 0.0.0.0/1\n"), "0.0.0.0/1");
}

#[test]
fn what_is_too_much_for_one_service_does_not_silence_the_others() {
    let groups: Vec<String> = (0..9).map(|n| format!("@g{n}")).collect();
    let rule = format!("sshd: {}\n", groups.join(" "));
    let old = tables(&format!("{rule}ftpd: 10.0.0.0/24\n"), "ALL: ALL\n");
    let new = tables(
        &format!("sshd: 192.0.2.1\n{rule}ftpd: 10.0.0.0/25\n"),
        "ALL: ALL\n",
    );
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("clients: 10.0.0.128/25\n"), "{text}");
    let left_out = "not compared: sshd: 9 netgroups matter at once, and no more than 8 can be told apart\n";
    assert!(text.contains(left_out), "{text}");
    let output = diff(&[old.path(), new.path()], true);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        value["result"]["left_out"][0]["services"][0]["daemons"][0]["exactly"],
        "sshd"
    );
    assert_eq!(value["result"]["differences"].as_array().unwrap().len(), 1);
    // Where nothing else has changed either, that is no proof of it.
    let new = tables(
        &format!("sshd: 192.0.2.1\n{rule}ftpd: 10.0.0.0/24\n"),
        "ALL: ALL\n",
    );
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("No other request ends differently.\n"), "{text}");
}

#[test]
fn what_rules_ask_besides_is_told_in_patterns() {
    let old = tables(
        "sshd: {country=DE|AT} EXCEPT {banned}\nsshd: 10.: limit 60/hour\n",
        "ALL: ALL\n",
    );
    let new = tables(
        "sshd: {country=DE}\nsshd: 10.\nvsftpd: ALL: if {time=Mon-Fri/0800-1800}\n",
        "ALL: ALL\n",
    );
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for wanted in [
        "  where:   {country=AT}\n  where:   not {banned}\n",
        "  where:   {country=DE}\n  where:   {banned}, or that is not known\n",
        "  was:     granted within limit `60/hour`\n  becomes: granted\n",
        "  where:   {time=Mon-Fri/0800-1800}\n",
        "user unknown, {country=AT}, not {banned}\n",
    ] {
        assert!(text.contains(wanted), "{wanted}{text}");
    }
    let output = diff(&[old.path(), new.path()], true);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let differences = value["result"]["differences"].as_array().unwrap();
    let of_time = differences
        .iter()
        .find(|d| d["services"][0]["daemons"][0]["exactly"] == "vsftpd");
    let answers = &of_time.unwrap()["answers"][0];
    assert_eq!(answers["any_of"][0][0]["pattern"], "{time=Mon-Fri/0800-1800}");
    assert_eq!(
        (&answers["any_of"][0][0]["matches"], &answers["unknown"]),
        (&true.into(), &false.into())
    );

    // In other words, it is the same.
    let new = tables(
        "sshd: {country=at} EXCEPT {BANNED}\nsshd: {country=DE} EXCEPT {banned}\nsshd: 10.: limit 60/60minutes burst 60\nALL: ALL: trial\n",
        "ALL: ALL\n",
    );
    let output = diff(&[old.path(), new.path()], false);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_database_makes_countries_sets_of_addresses() {
    use build::{Record, Shape, database};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("places.mmdb");
    let shape = Shape {
        record_size: 24,
        is_v6: true,
    };
    let places = [
        ("192.0.2.0/24", Record::Nested("DE", "EU")),
        ("198.51.100.0/25", Record::Registered("AT")),
        ("2001:db8::/32", Record::Nested("DE", "EU")),
    ];
    std::fs::write(&path, database(shape, &places)).unwrap();
    let old = tables("sshd: {country=AT}\n", "ALL: ALL\n");
    let new = tables("sshd: {country=DE}, 198.51.100.0/26\n", "ALL: ALL\n");
    let geo = |paths: &[&Path], json: bool| {
        let mut arguments = vec![old.path(), new.path()];
        for path in paths {
            arguments.extend([Path::new("--geo"), path]);
        }
        diff(&arguments, json)
    };
    let text = String::from_utf8(geo(&[&path], false).stdout).unwrap();
    // An address of IPv6 that ends in one of IPv4 is found where that is.
    assert!(text.contains("  clients: 198.51.100.64/26; "), "{text}");
    assert!(text.contains("  clients: 192.0.2.0/24; "), "{text}");
    assert!(
        !text.contains("where:") && text.contains("countries as in ") && text.contains(", made 20"),
        "{text}"
    );
    let value: serde_json::Value = serde_json::from_slice(&geo(&[&path], true).stdout).unwrap();
    assert_eq!(value["result"]["databases"][0]["says"][0], "countries");
    // Two that know the same are one too many, and what is none is said.
    assert_eq!(geo(&[&path, &path], false).status.code(), Some(2));
    assert_eq!(
        geo(&[&old.path().join("hosts.allow")], false).status.code(),
        Some(2)
    );
}
