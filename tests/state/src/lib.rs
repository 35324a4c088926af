//! What tests of bans share: the command, on a machine whose list is in `/srv`.

#![forbid(unsafe_code)]

pub mod doors;

use std::process::{Command, Output};

use support::{Machine, program};

/// Where the list of the tests' machines is.
pub const LIST: &str = "/srv/bans/bans";

/// Puts the list where it is the test's own.
pub fn configure(machine: &Machine) {
    machine.put(
        "/etc/tcpwrap.toml",
        format!("[bans]\nfile = '{LIST}'\nnever = ['192.0.2.0/28']\n"),
    );
}

/// `tcpwrap` with these arguments.
pub fn tcpwrap(arguments: &[&str]) -> Output {
    let mut command = Command::new(program("tcpwrap", "tcpwrap"));
    command
        .args(arguments)
        .env_remove("SSH_CONNECTION")
        .env_remove("SSH_CLIENT");
    command.output().expect("tcpwrap runs")
}

/// What a command printed, both outputs in one, and its status.
pub fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs `tcpwrap`, which must exit with 0.
///
/// # Panics
///
/// When it does not.
pub fn succeed(arguments: &[&str]) -> String {
    let (status, text) = said(&tcpwrap(arguments));
    assert_eq!(status, Some(0), "{arguments:?}: {text}");
    text
}
