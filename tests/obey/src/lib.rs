//! Tests of `tcpwrap status`, `scan` and `explain` on a machine of their own, with real daemons on it.
//!
//! Needs root and the packages in `packages.txt`; our libwrap is built by `cargo xtask test`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Machine, program, run, wait_until};

/// `tcpwrap` with these arguments, as root or as the user `nobody`.
pub fn tcpwrap(arguments: &[&str], as_nobody: bool) -> Output {
    let own = program("tcpwrap", "tcpwrap");
    let mut command = match as_nobody {
        false => Command::new(own),
        true => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(readable_by_all(&own));
            command
        }
    };
    command
        .args(arguments)
        .env_remove("SSH_CONNECTION")
        .env_remove("SSH_CLIENT");
    command.output().expect("tcpwrap runs")
}

/// The program where everybody may run it: the target directory may be root's alone.
fn readable_by_all(own: &std::path::Path) -> PathBuf {
    let copy = PathBuf::from("/usr/local/bin/tcpwrap");
    if !copy.exists() {
        std::fs::create_dir_all("/usr/local/bin").expect("ours");
        std::fs::copy(own, &copy).expect("ours");
    }
    copy
}

/// What `tcpwrap status --json` says, once `ready` holds for it.
///
/// # Panics
/// Where it never does.
pub fn status_when(what: &str, as_nobody: bool, ready: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    wait_until(what, || {
        let output = tcpwrap(&["status", "--json"], as_nobody);
        assert!(output.status.success(), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        last = document["result"].clone();
        ready(&last).then_some(())
    });
    last
}

/// The listener at a port.
///
/// # Panics
/// Where there is none, or more than one.
#[track_caller]
pub fn at(status: &Value, port: u16) -> Value {
    let end = format!(":{port}");
    let found: Vec<&Value> = listeners(status)
        .filter(|listener| {
            let addresses = listener["addresses"].as_array().expect("an array");
            addresses
                .iter()
                .any(|address| address.as_str().expect("text").ends_with(&end))
        })
        .collect();
    assert_eq!(found.len(), 1, "port {port}: {found:#?}");
    found[0].clone()
}

/// Is there one at this port?
pub fn is_at(status: &Value, port: u16) -> bool {
    let end = format!(":{port}\"");
    listeners(status).any(|listener| listener["addresses"].to_string().contains(&end))
}

fn listeners(status: &Value) -> impl Iterator<Item = &Value> {
    status["listeners"].as_array().expect("an array").iter()
}

const STATIC: &str = "
#include <arpa/inet.h>
#include <syslog.h>
#include <tcpd.h>
#include <unistd.h>
int allow_severity = LOG_INFO, deny_severity = LOG_WARNING;
int main(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(7001) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 5)) return 1;
    for (;;) {
        int client = accept(listener, 0, 0);
        if (!hosts_ctl(\"built-in\", unknown, \"192.0.2.9\", unknown)) { close(client); continue; }
        close(client);
    }
}
";

/// A statically linked daemon with libwrap in it.
///
/// # Panics
/// Where it cannot be built.
pub fn static_daemon(machine: &Machine) -> PathBuf {
    let source = machine.put(machine.directory().join("built-in.c"), STATIC);
    let library = support::library("usr/lib/libwrap.a");
    let built = machine.directory().join("built-in");
    let include = support::library("usr/include/tcpd.h");
    run(Command::new("gcc")
        .args(["-static", "-w", "-o"])
        .arg(&built)
        .arg(source)
        .arg(format!("-I{}", include.parent().expect("a directory").display()))
        .arg(library)
        .args(["-lpthread", "-ldl", "-lm"]));
    built
}
