//! What `tcpwrap check --host` says of rules that do not hold here, on a machine with such daemons.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

use obey_tests::tcpwrap;
use serde_json::Value;
use support::{Daemon, packaged, wait_until};

/// The findings of these codes: the code, the line, and what is said.
fn found(codes: &[&str]) -> Vec<(String, u64, String)> {
    let output = tcpwrap(&["check", "--host", "--json", "--level", "info"], false);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let findings = document["result"]["findings"].as_array().expect("findings");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|finding| {
            let line = finding["line"].as_u64().expect("a line");
            (text(finding, "code"), line, text(finding, "message"))
        })
        .filter(|(code, ..)| codes.contains(&&code[..]))
        .collect()
}

#[test]
fn rules_for_daemons_that_do_not_ask_as_they_are_meant_to() {
    support::alone(|machine| {
        let with_libwrap = packaged("vsftpd");
        for name in ["rpc.mountd", "upsd"] {
            let to = Path::new("/usr/local/sbin").join(name);
            std::fs::copy(&with_libwrap, to).expect("ours");
        }
        machine.put("/etc/vsftpd.conf", "listen=YES\n");
        machine.put(
            "/etc/hosts.allow",
            "vsftpd: 10.0.0.1\nrpc.mountd: 10.0.0.1\nupsd: 10.0.0.1\n",
        );
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let codes = ["W520", "W521", "W522"];
        let all = found(&codes);
        let says = |code: &str, line: u64, what: &str| {
            let is =
                |(c, l, message): &&(String, u64, String)| c == code && *l == line && message.contains(what);
            assert_eq!(all.iter().filter(is).count(), 1, "{code} {line} {what}: {all:#?}");
        };
        says("W520", 1, "tcp_wrappers");
        says("W521", 2, "mountd");
        says("W522", 3, "upsd");
        assert_eq!(all.len(), 3, "{all:#?}");
        // Set right, they are not found.
        machine.put("/etc/vsftpd.conf", "listen=YES\ntcp_wrappers=YES\n");
        machine.put("/etc/hosts.allow", "vsftpd: 10.0.0.1\nmountd: 10.0.0.1\n");
        let left = found(&codes);
        assert!(left.is_empty(), "{left:#?}");
    });
}

/// A rule for everything does not hold for what listens here and asks nobody; at loopback alone nobody comes to it.
#[test]
fn rules_for_all_where_something_asks_nobody() {
    support::alone(|machine| {
        machine.address("192.0.2.1/24");
        let listens = |address: &str| {
            let listener = OwnedFd::from(TcpListener::bind(address).expect("a listener"));
            let mut command = Command::new("sleep");
            let daemon = Daemon::start(command.arg("1000").stdin(listener));
            // Listened is from the beginning; it is another program from a moment later on.
            wait_until("sleep to run", || {
                let line = std::fs::read_to_string(format!("/proc/{}/cmdline", daemon.id()));
                line.ok()?.starts_with("sleep").then_some(())
            });
            daemon
        };
        machine.put("/etc/hosts.allow", "ALL: 10.0.0.1\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let _local = listens("127.0.0.1:7000");
        assert_eq!(found(&["W523"]), []);
        let _daemon = listens("192.0.2.1:7001");
        let message = "this does not hold for what asks nobody here: `sleep` at 192.0.2.1:7001/tcp";
        assert_eq!(found(&["W523"]), [("W523".to_owned(), 1, message.to_owned())]);
        machine.put("/etc/hosts.allow", "sshd: 10.0.0.1\n");
        machine.put("/etc/hosts.deny", "sshd: ALL\n");
        assert_eq!(found(&["W523"]), []);
    });
}
