//! tcpd behind each of the programs that start it, over TCP and UDP.

use std::path::Path;
use std::process::Command;

use services_tests::{Guard, SERVER, Setting, Visit, is_listening, server_for};
use support::{Daemon, PATIENCE, alone, packaged, wait_until};

const ALLOW: &str = "service: 192.0.2.2 [2001:db8::2]\ncounted: 192.0.2.2 192.0.2.3\n";

/// Visits one service from an address that may and one that may not.
fn visit_both(setting: &Setting<'_>, port: u16, reads: &str) {
    wait_until("the superserver", || is_listening(port).then_some(()));
    for (from, expected, logged) in [
        ("192.0.2.2", reads, "<30>connect from 192.0.2.2 (192.0.2.2)"),
        ("192.0.2.3", "", "<28>refused connect from 192.0.2.3 (192.0.2.3)"),
    ] {
        let mut client = setting.connect(from, port);
        client.ended();
        assert_eq!(client.output(), expected, "{:#?}", setting.log().entries());
        assert!(setting.lines("service").contains(&logged.to_owned()), "{logged}");
    }
}

/// A service that shows its arguments.
const ECHO: &str = "#!/bin/sh\necho \"$@\"\n";

#[test]
fn inetutils_inetd() {
    alone(|machine| {
        let setting = Setting::new(machine);
        setting.tables(ALLOW, "ALL: ALL\n");
        machine.put_program("/srv/service", ECHO);
        machine.put("/etc/services", "guarded 2001/tcp\n");
        let guard = Guard::Ours.program();
        let line = format!(
            "guarded stream tcp nowait root {} /srv/service one two\n",
            guard.display()
        );
        let configuration = machine.put("/etc/inetd.conf", line);
        let inetd = Daemon::start(
            Command::new(packaged("inetutils-inetd"))
                .arg("--debug")
                .arg(configuration),
        );
        visit_both(&setting, 2001, "one two\n");
        drop(inetd);
    });
}

#[test]
fn xinetd() {
    alone(|machine| {
        let setting = Setting::new(machine);
        setting.tables(ALLOW, "ALL: ALL\n");
        machine.put_program("/srv/service", ECHO);
        let configuration = machine.put(
            "/etc/xinetd.conf",
            format!(
                "service guarded
{{
    type = UNLISTED
    port = 2001
    socket_type = stream
    protocol = tcp
    wait = no
    user = root
    bind = 192.0.2.1
    flags = NAMEINARGS NOLIBWRAP
    server = {}
    server_args = /srv/service one two
}}
",
                Guard::Ours.program().display()
            ),
        );
        let mut command = Command::new(packaged("xinetd"));
        command.args(["-dontfork", "-f"]).arg(configuration);
        let xinetd = Daemon::start(command.args(["-pidfile", "/run/xinetd.pid"]));
        visit_both(&setting, 2001, "one two\n");
        drop(xinetd);
    });
}

#[test]
fn systemd_socket_activate() {
    alone(|machine| {
        let setting = Setting::new(machine);
        setting.tables(ALLOW, "ALL: ALL\n");
        machine.put_program("/srv/service", ECHO);
        // In a unit, `ExecStart=@tcpd /srv/service …` names the service so.
        let named = format!("exec -a /srv/service {} one two", Guard::Ours.program().display());
        let mut command = Command::new(packaged("systemd-socket-activate"));
        command.args(["--accept", "--inetd", "--listen", &format!("{}:2001", SERVER[0])]);
        let activate = Daemon::start(command.args(["bash", "-c", &named]));
        visit_both(&setting, 2001, "one two\n");
        drop(activate);
    });
}

/// A socket for both families, as programs have it that know IPv6 alone. Rules mean the IPv4 address.
#[test]
fn clients_of_a_socket_for_both_families() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put_program("/srv/service", ECHO);
        setting.tables(
            "service: 192.0.2.2\nservice: 192.0.2.4/30: twist /bin/echo %a %A %h %n\n",
            "ALL: ALL\n",
        );
        machine.put("/etc/hosts", "192.0.2.5 five.example.org\n");
        let mut seen = Vec::new();
        for guard in [Guard::Reference, Guard::Ours] {
            setting.log().clear();
            let named = format!("exec -a /srv/service {} one", guard.program().display());
            let mut command = Command::new(packaged("systemd-socket-activate"));
            command.args(["--accept", "--inetd", "--listen=2001"]);
            let activate = Daemon::start(command.args(["bash", "-c", &named]));
            wait_until("the socket", || is_listening(2001).then_some(()));
            let texts = ["192.0.2.2", "192.0.2.3", "192.0.2.5"].map(|from| {
                let mut client = setting.connect(from, 2001);
                client.ended();
                client.output()
            });
            drop(activate);
            seen.push((texts, setting.lines("service")));
        }
        assert_eq!(seen[1], seen[0]);
        let mapped = "::ffff:192.0.2.5 ::ffff:192.0.2.1 ::ffff:192.0.2.5 five.example.org\n";
        assert_eq!(seen[1].0, ["one\n", "", mapped]);
        assert_eq!(
            seen[1].1[0],
            "<30>connect from ::ffff:192.0.2.2 (::ffff:192.0.2.2)"
        );
    });
}

/// A service that answers one datagram.
const DATAGRAM_SERVICE: &str = r#"#!/usr/bin/perl
open(my $socket, "+<&=", 0) or die;
my $client = recv($socket, my $question, 2000, 0);
send($socket, "you said $question", 0, $client);
"#;

/// Sends a datagram, to which this answer must come. Where none is to come, waits until it is refused, and a second for one.
fn ask(setting: &Setting<'_>, from: &str, port: u16, question: &str, answer: &str) {
    let server = server_for(from);
    let patience = if answer.is_empty() { 1 } else { PATIENCE.as_secs() };
    let mut command = setting.client.command("sh");
    let script = format!("echo {question} | nc -u -W 1 -w {patience} -s {from} {server} {port}");
    let mut client = Daemon::start(command.args(["-c", &script]));
    client.ended();
    assert_eq!(client.output(), answer, "{question}");
    if answer.is_empty() {
        setting.log().wait_for(&format!("refused connect from {from} "));
    }
}

#[test]
fn datagram_services() {
    alone(|machine| {
        let setting = Setting::new(machine);
        setting.tables(
            "service: 192.0.2.2 [2001:db8::2]: spawn echo %c %a %r %u >>/srv/out
twisted: ALL: twist exec /srv/other
service: ALL: banners /srv/banners: deny
",
            "ALL: ALL\n",
        );
        machine.put_program("/srv/service", DATAGRAM_SERVICE);
        machine.put_program("/srv/other", DATAGRAM_SERVICE.replace("you", "somebody"));
        machine.put("/srv/banners/service", "no\n");
        let mut logs = Vec::new();
        for guard in [Guard::Reference, Guard::Ours] {
            let program = guard.program();
            let program = program.display();
            let configuration = machine.put(
                "/etc/inetd.conf",
                format!(
                    "2001 dgram udp wait root {program} /srv/service
2002 dgram udp6 wait root {program} /srv/service
2003 dgram udp wait root {program} /srv/twisted\n"
                ),
            );
            setting.log().clear();
            let inetd = Daemon::start(Command::new(packaged("inetd")).arg("-i").arg(configuration));
            wait_until("inetd", || is_bound("udp", 2001).then_some(()));
            wait_until("inetd", || is_bound("udp6", 2002).then_some(()));
            wait_until("inetd", || is_bound("udp", 2003).then_some(()));
            ask(&setting, "192.0.2.2", 2001, "one", "you said one\n");
            ask(&setting, "2001:db8::2", 2002, "two", "you said two\n");
            ask(&setting, "192.0.2.2", 2003, "three", "somebody said three\n");
            ask(&setting, "2001:db8::3", 2002, "four", "");
            // Refused: the datagram must not stay, or inetd would start the guard for it again and again.
            ask(&setting, "192.0.2.3", 2001, "five", "");
            if guard == Guard::Ours {
                ask(&setting, "192.0.2.2", 2001, "six", "you said six\n");
            }
            drop(inetd);
            let mut lines = setting.lines("service");
            lines.truncate(4);
            lines.extend(setting.lines("twisted"));
            logs.push(lines);
        }
        assert_eq!(logs[1], logs[0]);
        assert_eq!(
            logs[1],
            [
                "<30>connect from 192.0.2.2 (192.0.2.2)",
                "<30>connect from 2001:db8::2 (2001:db8::2)",
                "<28>refused connect from 2001:db8::3 (2001:db8::3)",
                "<28>refused connect from 192.0.2.3 (192.0.2.3)",
                "<28>twist 192.0.2.2 to exec /srv/other",
            ]
        );
        // Client, address, port and user of each granted datagram.
        let told = std::fs::read_to_string("/srv/out").expect("what spawn wrote");
        for line in told.lines() {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(
                (words.len(), words[0], words[3]),
                (4, words[1], "unknown"),
                "{line}"
            );
            assert!(words[2].parse::<u16>().is_ok_and(|port| port > 0), "{line}");
        }
        assert_eq!(told.lines().count(), 5);
    });
}

/// Is a datagram socket bound to the port?
fn is_bound(table: &str, port: u16) -> bool {
    let table = std::fs::read_to_string(Path::new("/proc/net").join(table)).expect("the kernel's table");
    table.contains(&format!(":{port:04X} "))
}

#[test]
fn many_clients_at_once() {
    alone(|machine| {
        let setting = Setting::new(machine);
        setting.tables(ALLOW, "ALL: ALL\n");
        let names: Vec<String> = (0..60).map(|n| format!("counted{n}")).collect();
        let allow: String = names
            .iter()
            .map(|name| format!("{name}: 192.0.2.2 192.0.2.3\n"))
            .collect();
        setting.tables(&allow, "ALL: ALL\n");
        let visits: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, service)| Visit {
                service,
                from: ["192.0.2.2", "192.0.2.3", "192.0.2.4"][n % 3],
                reads: ["served\n", "served\n", ""][n % 3],
            })
            .collect();
        setting.run(Guard::Ours, &visits);
    });
}
