//! `scan` is right about programs on disk, and `explain` says what enforces a verdict.

use std::fs;
use std::process::Command;

use obey_tests::{static_daemon, tcpwrap};
use serde_json::Value;
use support::run;

#[test]
fn what_is_on_disk() {
    support::alone(|machine| {
        let built = static_daemon(machine);
        let stripped = machine.directory().join("stripped");
        run(Command::new("strip").arg("-o").arg(&stripped).arg(&built));
        // A library beside the program, by its run path.
        let nested = machine.directory().join("nested");
        fs::create_dir_all(nested.join("lib")).expect("ours");
        let source = machine.put(
            nested.join("l.c"),
            "int hosts_ctl(); int asks(void) { return hosts_ctl(); }\n",
        );
        run(Command::new("gcc")
            .args(["-w", "-shared", "-fPIC", "-o"])
            .arg(nested.join("lib/libasks.so"))
            .arg(source)
            .arg("-l:libwrap.so.0"));
        let source = machine.put(
            nested.join("p.c"),
            "int asks(void); int main(void) { return asks(); }\n",
        );
        run(Command::new("gcc")
            .args(["-w", "-Wl,-rpath,$ORIGIN/lib", "-o"])
            .arg(nested.join("program"))
            .arg(source)
            .arg("-L")
            .arg(nested.join("lib"))
            .arg("-lasks"));
        // Linked, and calls nothing.
        let source = machine.put(nested.join("i.c"), "int main(void) { return 0; }\n");
        run(Command::new("gcc")
            .args(["-Wl,--no-as-needed", "-o"])
            .arg(nested.join("idle"))
            .arg(source)
            .arg("-l:libwrap.so.0"));
        let directory = machine.directory().to_str().unwrap();
        let output = tcpwrap(
            &[
                "scan",
                "--json",
                "--all",
                directory,
                "/usr/sbin/snmpd",
                "/usr/sbin/vsftpd",
                "/usr/sbin/slapd",
            ],
            false,
        );
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let programs = document["result"]["programs"].as_array().unwrap();
        let of = |name: &str| {
            let found = programs
                .iter()
                .find(|program| program["file"].as_str().unwrap().ends_with(name));
            found.unwrap_or_else(|| panic!("{name}: {programs:#?}")).clone()
        };
        let says = |name: &str, asks: &str, evidence: &str| {
            let program = of(name);
            assert_eq!(
                [&program["asks"], &program["evidence"]],
                [asks, evidence],
                "{program:#}"
            );
            program
        };
        let ours = says("/built-in", "yes", "contained");
        assert!(ours["version"].is_string());
        says("/stripped", "perhaps", "names-tables");
        let through = says("/nested/program", "perhaps", "needed");
        assert!(
            through["through"][0]
                .as_str()
                .unwrap()
                .ends_with("/lib/libasks.so"),
            "{through:#}"
        );
        says("/nested/idle", "never", "needed");
        says("/snmpd", "yes", "needed");
        assert_eq!(of("/vsftpd")["asks"], "switched-off");
        assert_eq!(of("/slapd")["daemons"][0], "slapd");
        // Nothing there, and nothing to be read.
        assert_eq!(tcpwrap(&["scan", "/etc/passwd"], false).status.code(), Some(1));
        assert_eq!(tcpwrap(&["scan", "/no/such/file"], false).status.code(), Some(2));
    });
}

#[test]
fn explain_says_what_enforces_it_and_finds_names_as_a_daemon_does() {
    support::alone(|machine| {
        machine.put("/etc/hosts.allow", "sshd: dyn.example.com\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        // The address leads to another name than the one it is found by.
        machine.put(
            "/etc/hosts",
            "192.0.2.7 other.example.com\n192.0.2.7 dyn.example.com\n192.0.2.8 dyn.example.com\n",
        );
        let explained = |daemon: &str, client: &str| -> Value {
            let output = tcpwrap(&["explain", "--json", daemon, client], false);
            let document: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
            document["result"]["requests"].clone()
        };
        let answers = explained("sshd", "dyn.example.com");
        let verdict = |address: &str| {
            let answers = answers.as_array().unwrap();
            let found = answers.iter().find(|answer| answer["address"] == address);
            found.unwrap_or_else(|| panic!("{address}: {answers:#?}"))["verdict"].clone()
        };
        assert_eq!(verdict("192.0.2.7"), "denied");
        assert_eq!(verdict("192.0.2.8"), "granted");
        let enforced = |daemon: &str| explained(daemon, "192.0.2.8")[0]["enforced"].clone();
        assert_eq!(enforced("sshd")["is"], "yes");
        let says = |daemon: &str, is: &str, part: &str| {
            let found = enforced(daemon);
            assert_eq!(found["is"], is, "{found}");
            assert!(found["by"].as_str().unwrap().contains(part), "{found}");
        };
        says("ssh", "no", "is called `sshd`");
        says("nginx", "no", "does not use libwrap");
        says("vsftpd", "no", "tcp_wrappers");
        says("no-such-daemon", "no", "no program or service here");
        machine.put(
            "/etc/stunnel/a.conf",
            "libwrap = yes\n[inside]\naccept = 7001\nconnect = 7002\n[off]\nlibwrap = no\naccept = 7003\n",
        );
        says("inside", "yes", "stunnel");
        says("off", "no", "switches libwrap off");
        says("stunnel4", "no", "`inside`");
    });
}
