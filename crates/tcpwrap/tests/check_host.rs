//! `tcpwrap check --host`: each mistake that depends on the machine, made for real in a directory of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Machine { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn check(&self, allow: &str, arguments: &[&str]) -> Output {
        self.put("hosts.allow", allow, 0o644);
        self.put("hosts.deny", "ALL: ALL\n", 0o644);
        self.run(arguments)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
            .args(["check", "--json", "--rules"])
            .arg(self.directory.path())
            .args(arguments)
            .env_remove("SSH_CLIENT")
            .env("SSH_CONNECTION", "192.0.2.77 50000 192.0.2.1 22")
            .output()
            .unwrap()
    }

    /// The codes found and what is said, for codes about the host.
    fn found(&self, allow: &str) -> Vec<(String, String)> {
        let output = self.check(allow, &["--host"]);
        codes(&output)
    }
}

fn codes(output: &Output) -> Vec<(String, String)> {
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    json["result"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["code"].as_str().unwrap().to_owned(),
                f["message"].as_str().unwrap().to_owned(),
            )
        })
        .filter(|(code, _)| code.starts_with("W5"))
        .collect()
}

fn has(found: &[(String, String)], code: &str, says: &str) {
    assert!(
        found
            .iter()
            .any(|(c, message)| c == code && message.contains(says)),
        "no {code} saying {says:?} in {found:?}"
    );
}

fn has_not(found: &[(String, String)], code: &str) {
    assert!(found.iter().all(|(c, _)| c != code), "{found:?}");
}

/// Root owns what only root may change; elsewhere every file would be found.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

#[test]
fn nothing_of_it_without_being_asked() {
    let machine = Machine::new();
    let output = machine.check("no-such-daemon: /no/such/file : spawn /no/such/program\n", &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn daemons_that_are_not_here_or_not_guarded() {
    let machine = Machine::new();
    // No other test has this one guarded meanwhile.
    let found = machine.found("no-such-daemon, sha512sum: 10.\n");
    has(&found, "W501", "`no-such-daemon`");
    has(&found, "W502", "sha512sum does not use libwrap");
    // The library's name in the program is what tells.
    let sshd = Path::new("/usr/sbin/sshd");
    if sshd.exists()
        && std::fs::read(sshd)
            .unwrap()
            .windows(10)
            .any(|w| w == b"libwrap.so")
    {
        let found = machine.found("sshd, sshdfwd-X11: 10.\n");
        has_not(&found, "W501");
        has_not(&found, "W502");
    }
}

#[test]
fn a_program_under_tcpwrap_run_is_guarded() {
    let machine = Machine::new();
    has(&machine.found("tail: 10.\n"), "W502", "tail");
    machine.put("nothing", "", 0o644);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["run", "--", "tail", "-f"])
        .arg(machine.path("nothing"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // It is the program once the guard is there.
    let name = format!("/proc/{}/comm", child.id());
    while std::fs::read_to_string(&name).unwrap() != "tail\n" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let found = machine.found("tail: 10.\n");
    child.kill().unwrap();
    child.wait().unwrap();
    has_not(&found, "W502");
}

#[test]
fn commands_and_who_may_change_them() {
    let machine = Machine::new();
    let open = machine.put("open", "#!/bin/sh\n", 0o757);
    let plain = machine.put("plain", "text\n", 0o644);
    let rules = format!(
        "sshd: 10. : spawn (/no/such/program %a | no-such-command) &\nsshd: 11. : aclexec {open} %a\n\
         sshd: 12. : twist {plain}\nsshd: 13. : spawn /bin/echo %a | logger -t x\n"
    );
    let found = machine.found(&rules);
    has(&found, "W503", "`/no/such/program` does not exist");
    has(&found, "W503", "`no-such-command`");
    has(&found, "W503", "is no program that can be run");
    has(&found, "W504", "can be changed by everyone");
    assert!(!found.iter().any(|(_, m)| m.contains("/bin/echo")), "{found:?}");
}

#[test]
fn tables_that_others_may_change() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    let found = machine.found("sshd: 10.\n");
    has_not(&found, "W505");
    machine.put("hosts.allow", "sshd: 10.\n", 0o666);
    has(
        &codes(&machine.run(&["--host"])),
        "W505",
        "can be changed by everyone",
    );
    machine.put("hosts.allow", "sshd: 10.\n", 0o644);
    std::os::unix::fs::chown(machine.path("hosts.deny"), Some(1), None).unwrap();
    has(
        &codes(&machine.run(&["--host"])),
        "W505",
        "its owner, who is not root",
    );
    std::os::unix::fs::chown(machine.path("hosts.deny"), Some(0), None).unwrap();
    std::fs::set_permissions(machine.directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    has(
        &codes(&machine.run(&["--host"])),
        "W505",
        "one of its directories",
    );
}

#[test]
fn files_of_patterns() {
    let machine = Machine::new();
    let good = machine.put("good", "10.0.0.1\n.example.com\n", 0o644);
    let bad = machine.put("bad", "# remark\n10.0.0.1,10.0.0.2\n2001:db8::/32\n", 0o644);
    let round = machine.path("round").to_str().unwrap().to_owned();
    let other = machine.put("other", &format!("{round}\n"), 0o644);
    machine.put("round", &format!("{other}\n"), 0o644);
    for (rule, code, says) in [
        ("/no/such/file", "W506", "does not exist"),
        (bad.as_str(), "W508", "there are no comments in such a file"),
        (bad.as_str(), "W508", "only white space separates"),
        (bad.as_str(), "W508", "the address needs brackets"),
        (round.as_str(), "W507", "names itself"),
    ] {
        has(&machine.found(&format!("sshd: {rule}\n")), code, says);
    }
    let found = machine.found(&format!("sshd: {good}\n"));
    for code in ["W506", "W507", "W508"] {
        has_not(&found, code);
    }
    for depth in 0..20 {
        let next = machine.path(&format!("deep{}", depth + 1));
        machine.put(&format!("deep{depth}"), next.to_str().unwrap(), 0o644);
    }
    let deep = machine.path("deep0");
    has(
        &machine.found(&format!("sshd: {}\n", deep.display())),
        "W507",
        "nested more than 16",
    );
}

#[test]
fn banners_users_groups_netgroups_names_and_interfaces() {
    let machine = Machine::new();
    let found = machine.found(
        "in.x: 10. : banners /no/such/directory : user no-such-user.no-such-group\nin.x: 11. : group nosuchg\n\
         in.x: @no-such-netgroup no-such-host.invalid [fe80::1%nosuchif] [fe80::%nosuchif]/10 [fe80::1%lo]\n",
    );
    has(&found, "W509", "/no/such/directory");
    has(&found, "W510", "no user `no-such-user`");
    has(&found, "W510", "no group `no-such-group`");
    has(&found, "W510", "no group `nosuchg`");
    has(&found, "W511", "`no-such-netgroup`");
    has(&found, "W512", "`no-such-host.invalid`");
    assert_eq!(found.iter().filter(|(c, _)| c == "W517").count(), 2, "{found:?}");
    let found = machine.found("in.x: 10. : user nobody : banners /tmp\nin.x: 11. : group daemon\n");
    has_not(&found, "W509");
    has_not(&found, "W510");
}

#[test]
fn the_session_would_be_locked_out() {
    let machine = Machine::new();
    let found = machine.found("sshd: 10.\n");
    has(&found, "W515", "you are connected from 192.0.2.77");
    has_not(&machine.found("sshd: 10., 192.0.2.77\n"), "W515");
}
