//! tcpd(8): stands in front of a service that inetd, xinetd or a socket unit starts with the connection as
//! its stdio. Granted, it becomes the service; refused, it ends.
//!
//! It starts anew for every connection, so it does nothing that the decision does not need.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Stdin};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hosts_access::decide::reason;
use hosts_access::host::ask;
use hosts_access::{Severity, Tables, Then};
use system::host::SocketHost;
use system::{commands, connection, endpoints, privileges, syslog};

/// Where the services live that are named without a path.
const SERVICES: &[u8] = b"/usr/sbin/";

/// The service to stand in front of, as tcpd's own name says.
struct Service {
    /// Its file.
    program: Vec<u8>,
    /// The last component of that, which rules call it by.
    name: Vec<u8>,
}

impl Service {
    fn new(argument: &[u8]) -> Self {
        match (argument.first(), argument.iter().rposition(|b| *b == b'/')) {
            (Some(b'/'), Some(slash)) => Service {
                program: argument.to_vec(),
                name: argument[slash + 1..].to_vec(),
            },
            _ => Service {
                program: [SERVICES, argument].concat(),
                name: argument.to_vec(),
            },
        }
    }
}

/// Runs tcpd with these arguments, its own name being that of the service.
pub fn main(mut arguments: Vec<Vec<u8>>) -> i32 {
    let service = Service::new(arguments.first().map_or(b"", |name| name));
    privileges::umask(0o022);
    syslog::open(&service.name);

    let stdin: Stdin = io::stdin();
    let client = stdin.as_fd();
    // Asked before the log is opened, which would take the place of a closed descriptor.
    let is_socket = connection::check_socket(client);
    let mut host = SocketHost::new(client, &syslog::write);
    if let Err(error) = is_socket {
        let line = format!("getpeername: {}", reason(&error));
        syslog::write(syslog::ERR, line.as_bytes());
        return 0;
    }
    if !connection::ip_options_allow(client, &host.endpoints().client, &syslog::write) {
        connection::shut_down(client);
        return 0;
    }
    let mut request = host.request(&service.name);
    let decision = Tables::default().decide(&mut request, &mut host);
    let usual = [Severity::INFO, Severity::WARNING];
    let line = ask(&mut request, &mut host, |request| {
        decision.log_line(request, usual)
    });
    syslog::write(line.severity, &line.text);

    match decision.then() {
        Then::Serve => {
            if let Some(own_name) = arguments.first_mut() {
                own_name.clone_from(&service.name);
            }
            let error = if is_this_program(&service.program) {
                // With no service named, this would go on for ever.
                io::Error::other("that is tcpd itself")
            } else {
                commands::exec(&service.program, &arguments)
            };
            let problem = reason(&error);
            let line = [
                b"error: cannot execute ",
                &service.program[..],
                b": ",
                problem.as_bytes(),
            ];
            syslog::write(syslog::ERR, &line.concat());
        }
        Then::Twist(command) => {
            // A waiting datagram is the command's to read.
            let error = commands::twist(command, client);
            let line = format!("warning: twist_option: /bin/sh: {}", reason(&error));
            syslog::write(syslog::ERR, line.as_bytes());
        }
        Then::Refuse => {}
    }
    if host.endpoints().datagram {
        endpoints::drain(client);
    }
    0
}

/// Is this file the one that runs now?
fn is_this_program(program: &[u8]) -> bool {
    let file = |path: &Path| {
        let facts = fs::metadata(path).ok()?;
        Some((facts.dev(), facts.ino()))
    };
    let this = file(Path::new("/proc/self/exe"));
    this.is_some() && this == file(Path::new(OsStr::from_bytes(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_named_by_tcpds_own_name() {
        for (argument, program, name) in [
            (
                "/usr/local/libexec/in.fingerd",
                "/usr/local/libexec/in.fingerd",
                "in.fingerd",
            ),
            ("in.telnetd", "/usr/sbin/in.telnetd", "in.telnetd"),
            ("sub/daemon", "/usr/sbin/sub/daemon", "sub/daemon"),
            ("", "/usr/sbin/", ""),
        ] {
            let service = Service::new(argument.as_bytes());
            assert_eq!((service.program, service.name), (program.into(), name.into()));
        }
    }
}
