//! What tcpd does with descriptors that are no ordinary connection, beside the reference.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use services_tests::Guard;
use support::{Log, Machine, alone};

/// Runs tcpd in front of `/srv/service` with this on descriptor 0; returns what came out, and the log.
fn guard(guard: Guard, log: &Log, stdin: Stdio) -> (String, Vec<String>) {
    log.clear();
    let output = Command::new(guard.program())
        .arg0("/srv/service")
        .stdin(stdin)
        .output()
        .expect("tcpd runs");
    assert!(output.status.success());
    (String::from_utf8_lossy(&output.stdout).into_owned(), lines(log))
}

fn lines(log: &Log) -> Vec<String> {
    let entries = log.settled().into_iter();
    entries
        .map(|entry| format!("<{}>{}", entry.priority, entry.text))
        .collect()
}

/// The same with both; returns what ours did.
fn compare(log: &Log, mut stdin: impl FnMut() -> Stdio) -> (String, Vec<String>) {
    let reference = guard(Guard::Reference, log, stdin());
    let ours = guard(Guard::Ours, log, stdin());
    assert_eq!(ours, reference);
    ours
}

fn set_up(machine: &Machine) -> Log {
    machine.put_program("/srv/service", "#!/bin/sh\necho served\n");
    machine.log()
}

#[test]
fn what_is_no_socket_is_not_served() {
    alone(|machine| {
        let log = set_up(machine);
        let (text, lines) = compare(&log, Stdio::null);
        assert_eq!(text, "");
        assert_eq!(
            lines,
            [
                "<27>warning: can't get client address: Socket operation on non-socket",
                "<27>getpeername: Socket operation on non-socket"
            ]
        );
    });
}

#[test]
fn a_local_socket_is_localhost() {
    alone(|machine| {
        let log = set_up(machine);
        machine.put("/etc/hosts.allow", "ALL: localhost\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let mut others = Vec::new();
        let (text, lines) = compare(&log, || {
            let (one, other) = UnixStream::pair().expect("a pair");
            others.push(other);
            OwnedFd::from(one).into()
        });
        assert_eq!(text, "served\n");
        assert_eq!(lines, ["<30>connect from localhost (localhost)"]);
    });
}

/// As when the client resets the connection before it is looked at.
#[test]
fn a_client_that_is_gone_is_unknown() {
    alone(|machine| {
        let log = set_up(machine);
        machine.put("/etc/hosts.deny", "ALL: UNKNOWN\n");
        let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a port")).into();
        let (text, lines) = compare(&log, listener);
        assert_eq!(text, "");
        assert_eq!(
            lines,
            [
                "<27>warning: can't get client address: Transport endpoint is not connected",
                "<28>refused connect from unknown (unknown)"
            ]
        );
    });
}

fn connection() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (server, _) = listener.accept().expect("a connection");
    (client, server.into())
}

#[test]
fn a_service_that_is_not_there() {
    alone(|machine| {
        let log = set_up(machine);
        std::fs::remove_file("/srv/service").expect("removed");
        let mut clients = Vec::new();
        let (_, lines) = compare(&log, || {
            let (client, server) = connection();
            clients.push(client);
            server.into()
        });
        assert_eq!(
            lines,
            [
                "<30>connect from 127.0.0.1 (127.0.0.1)",
                "<27>error: cannot execute /srv/service: No such file or directory"
            ]
        );
    });
}

/// docs/deviations.md, 9: the reference stays for five seconds.
#[test]
fn a_refused_client_is_gone_at_once() {
    alone(|machine| {
        let log = set_up(machine);
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        // A slow machine may need as long, but not each time.
        let is_at_once = (0..10).any(|_| {
            let (mut client, server) = connection();
            let start = Instant::now();
            let (_, lines) = guard(Guard::Ours, &log, server.into());
            assert_eq!(client.read(&mut [0]).expect("the end"), 0);
            assert_eq!(lines, ["<28>refused connect from 127.0.0.1 (127.0.0.1)"]);
            start.elapsed() < Duration::from_secs(4)
        });
        assert!(is_at_once);
    });
}

/// The reference would become itself again and again.
#[test]
fn tcpd_does_not_guard_itself() {
    alone(|machine| {
        let log = machine.log();
        let (_client, server) = connection();
        let tcpd = Guard::Ours.program();
        let status = Command::new(&tcpd).stdin(server).status().expect("tcpd runs");
        assert!(status.success());
        let line = log.wait_for("cannot execute").text;
        assert_eq!(
            line,
            format!("error: cannot execute {}: that is tcpd itself", tcpd.display())
        );
    });
}

/// The service's signals are those of whoever started tcpd: Rust programs ignore `SIGPIPE`, this one must not.
#[test]
fn signals_are_passed_on_as_they_are() {
    alone(|machine| {
        let log = machine.log();
        // The shell itself reads, since it blocks signals for a moment when it starts another program.
        let service = "#!/bin/sh
while read name value; do
    case $name in SigBlk:|SigIgn:) echo $name $value;; esac
done </proc/self/status
";
        machine.put_program("/srv/service", service);
        let mut clients = Vec::new();
        for start in ["", "trap '' PIPE HUP; "] {
            let mut shown = Vec::new();
            for guard in [Guard::Reference, Guard::Ours] {
                let (client, server) = connection();
                clients.push(client);
                let script = format!("{start}exec -a /srv/service {}", guard.program().display());
                let output = Command::new("bash").args(["-c", &script]).stdin(server).output();
                shown.push(String::from_utf8_lossy(&output.expect("bash runs").stdout).into_owned());
            }
            assert_eq!(shown[1], shown[0]);
            assert!(shown[1].contains("SigIgn"));
        }
        drop(log);
    });
}

/// Runs tcpd as [`guard`] does, on a connection with these IP options.
fn with_ip_options(which: Guard, log: &Log, options: &[u8]) -> (String, Vec<String>) {
    let (_client, server) = connection();
    with_options_on(server, which, log, options)
}

fn with_options_on(
    server: impl Into<Stdio>,
    which: Guard,
    log: &Log,
    options: &[u8],
) -> (String, Vec<String>) {
    // IP_OPTIONS, at the level of IP; then tcpd, on the same descriptor.
    let script = "open(my $socket, '+<&=', 0) or die;
        my $program = shift;
        setsockopt($socket, 0, 4, pack('C*', @ARGV)) or die $!;
        exec {$program} '/srv/service'";
    log.clear();
    let output = Command::new("perl")
        .args(["-e", script])
        .arg(which.program())
        .args(options.iter().map(u8::to_string))
        .stdin(server)
        .output()
        .expect("perl runs");
    assert!(output.status.success(), "{output:?}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), lines(log))
}

#[test]
fn ip_options_are_logged_and_cleared() {
    alone(|machine| {
        let log = set_up(machine);
        // The service shows what is left of them.
        let service = "#!/usr/bin/perl
open(my $socket, '+<&=', 0) or die;
print 'options: ', unpack('H*', getsockopt($socket, 0, 4)), qq(\\n);
";
        machine.put_program("/srv/service", service);
        // A request to record the route.
        let options = [7, 7, 4, 0, 0, 0, 0, 1];
        let [reference, ours] =
            [Guard::Reference, Guard::Ours].map(|which| with_ip_options(which, &log, &options));
        assert_eq!(ours, reference);
        assert_eq!(ours.0, "options: \n");
        assert_eq!(
            ours.1,
            [
                "<29>connect from 127.0.0.1 with IP options (ignored): 07 07 04 00 00 00 00 01",
                "<30>connect from 127.0.0.1 (127.0.0.1)"
            ]
        );
    });
}

/// The reference looks for these where Linux does not put them, and serves the client.
#[test]
fn source_routed_connections_are_refused() {
    alone(|machine| {
        let log = set_up(machine);
        for options in [[131, 7, 4, 127, 0, 0, 1, 1], [1, 137, 7, 4, 127, 0, 0, 1]] {
            let (text, lines) = with_ip_options(Guard::Ours, &log, &options);
            assert_eq!(text, "");
            assert_eq!(
                lines,
                ["<28>refused connect from 127.0.0.1 with IP source routing options"]
            );
        }
        // IPv4 on a socket of IPv6.
        let listener = TcpListener::bind("[::]:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let _client = TcpStream::connect(("127.0.0.1", port)).expect("a handshake");
        let (server, _) = listener.accept().expect("a connection");
        let server = std::os::fd::OwnedFd::from(server);
        let (text, lines) = with_options_on(server, Guard::Ours, &log, &[131, 7, 4, 127, 0, 0, 1, 1]);
        assert_eq!(text, "");
        assert_eq!(
            lines,
            ["<28>refused connect from ::ffff:127.0.0.1 with IP source routing options"]
        );
    });
}
