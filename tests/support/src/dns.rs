//! A real name server on a machine of the test's own.

use std::process::Command;

use crate::{Daemon, Machine, packaged, wait_until};

/// [`name_server_at`] 127.0.0.1.
///
/// # Panics
///
/// As there.
pub fn name_server(machine: &Machine, records: &[&str]) -> Daemon {
    name_server_at(machine, "127.0.0.1", records)
}

/// Starts dnsmasq at an address of this machine, and has the machine's names looked up there: these records, in its own notation
/// (`--host-record=gate.example.org,192.0.2.2`), and nothing else of example.org or of addresses.
///
/// Needs the package `dnsmasq-base`.
///
/// # Panics
///
/// When it cannot be started, or does not answer.
pub fn name_server_at(machine: &Machine, address: &str, records: &[&str]) -> Daemon {
    machine.put(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    );
    machine.put(
        "/etc/resolv.conf",
        format!("nameserver {address}\noptions timeout:30 attempts:2\n"),
    );
    let daemon = Daemon::start(
        Command::new(packaged("dnsmasq"))
            .args(["--no-daemon", "--user=root", "--pid-file="])
            .args(["--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .arg(format!("--listen-address={address}"))
            .arg("--bind-interfaces")
            .args(["example.org", "in-addr.arpa", "ip6.arpa"].map(|zone| format!("--local=/{zone}/")))
            .arg("--host-record=ready.example.org,203.0.113.99")
            .args(records),
    );
    wait_until("dnsmasq", || {
        let found = Command::new("getent")
            .args(["ahosts", "ready.example.org"])
            .output();
        found.is_ok_and(|found| found.status.success()).then_some(())
    });
    daemon
}
