//! Who gets in: openbsd-inetd, tcpd and a service, visited from several addresses. The client and the log must
//! see what they see with the reference's tcpd.

use services_tests::{Guard, Setting, Visit};
use support::{Daemon, alone, packaged, wait_until};

fn visit<'t>((service, from, reads): (&'t str, &'t str, &'t str)) -> Visit<'t> {
    Visit { service, from, reads }
}

const HOSTS: &str = "127.0.0.1 localhost
192.0.2.1 server.example.org server
192.0.2.2 alpha.example.org alpha
192.0.2.3 beta.example.net
192.0.2.5 short
2001:db8::2 alpha.example.org
";

#[test]
fn clients_are_told_apart_by_address_and_name() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put("/etc/hosts", HOSTS);
        machine.put("/etc/more-clients", "203.0.113.1\n192.0.2.4 beta.example.net\n");
        setting.tables(
            "address: 192.0.2.2
address6: [2001:db8::2]
network6: [2001:db8::]/64
prefix: 192.0.2.
network: 192.0.2.0/255.255.255.0
number: 192.0.2.0/30
name: alpha.example.org
name6: alpha.example.org
suffix: .example.org
suffix-other: .example.org
local: LOCAL
unknown: UNKNOWN
file: /etc/more-clients
except: ALL EXCEPT 192.0.2.2
wild: 192.0.2.?
at-server@192.0.2.1: ALL
at-other@192.0.2.9: ALL
2019: ALL
not a rule
told: ALL: severity local3.notice
broken: ALL: sevrity local3.notice
severe: ALL: severity auth.crit: deny
",
            "in-deny: 192.0.2.2: allow\nempty: ALL\nALL: ALL\nlast: ALL",
        );
        let seen = setting.compare(
            &[
                ("address", "192.0.2.2", "served\n"),
                ("address6", "2001:db8::2", "served\n"),
                ("network6", "2001:db8::3", "served\n"),
                ("prefix", "192.0.2.7", "served\n"),
                ("network", "192.0.2.7", "served\n"),
                ("number", "192.0.2.7", ""),
                ("name", "192.0.2.2", "served\n"),
                ("name6", "2001:db8::2", "served\n"),
                ("suffix", "192.0.2.2", "served\n"),
                ("suffix-other", "192.0.2.3", ""),
                ("local", "192.0.2.5", "served\n"),
                ("unknown", "192.0.2.7", "served\n"),
                ("file", "192.0.2.3", "served\n"),
                ("except", "192.0.2.2", ""),
                ("wild", "192.0.2.6", "served\n"),
                ("at-server", "192.0.2.6", "served\n"),
                ("at-other", "192.0.2.6", ""),
                ("nowhere", "192.0.2.6", ""),
                ("port", "192.0.2.6", "served\n"),
                ("told", "192.0.2.2", "served\n"),
                ("broken", "192.0.2.2", ""),
                ("severe", "192.0.2.2", ""),
                ("in-deny", "192.0.2.2", "served\n"),
                ("empty", "2001:db8::3", ""),
            ]
            .map(visit),
        );
        // Both say so; this is what it is that they say.
        assert_eq!(seen["address"].log, ["<30>connect from 192.0.2.2 (192.0.2.2)"]);
        assert_eq!(
            seen["name"].log,
            ["<30>connect from alpha.example.org (192.0.2.2)"]
        );
        assert_eq!(
            seen["except"].log,
            [
                "<27>warning: /etc/hosts.allow, line 19: missing \":\" separator",
                "<28>refused connect from 192.0.2.2 (192.0.2.2)"
            ]
        );
        assert!(
            seen["told"]
                .log
                .contains(&"<157>connect from 192.0.2.2 (192.0.2.2)".to_owned())
        );
        assert!(
            seen["severe"]
                .log
                .contains(&"<34>refused connect from 192.0.2.2 (192.0.2.2)".to_owned())
        );
    });
}

#[test]
fn users_are_asked_for() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let identd = Daemon::start(setting.client.command(packaged("oidentd")).args([
            "--foreground",
            "--nosyslog",
            "--quiet",
        ]));
        wait_until("oidentd", || {
            let sockets = setting
                .client
                .command("ss")
                .args(["-Hltn", "sport = :113"])
                .output();
            (!sockets.expect("ss runs").stdout.is_empty()).then_some(())
        });
        setting.tables(
            "user: nobody@192.0.2.2
other-user: root@192.0.2.2
elsewhere: nobody@192.0.2.9
any: KNOWN@ALL
user6: nobody@[2001:db8::]/64
asked: ALL: rfc931: twist /bin/echo hello %u, %c
",
            "ALL: ALL\n",
        );
        let seen = setting.compare(
            &[
                ("user", "192.0.2.2", "served\n"),
                ("other-user", "192.0.2.2", ""),
                ("elsewhere", "192.0.2.2", ""),
                ("any", "192.0.2.3", "served\n"),
                ("user6", "2001:db8::2", "served\n"),
                ("asked", "192.0.2.2", "hello nobody, nobody@192.0.2.2\n"),
            ]
            .map(visit),
        );
        assert_eq!(
            seen["user"].log,
            ["<30>connect from nobody@192.0.2.2 (192.0.2.2)"]
        );
        assert_eq!(
            seen["elsewhere"].log,
            ["<28>refused connect from 192.0.2.2 (192.0.2.2)"]
        );
        drop(identd);
    });
}

#[test]
fn edits_take_effect_at_once() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let served = [visit(("edited", "192.0.2.2", "served\n"))];
        let refused = [visit(("edited", "192.0.2.2", ""))];
        setting.tables("", "ALL: ALL\n");
        setting.run(Guard::Ours, &refused);
        setting.tables("edited: 192.0.2.2\n", "ALL: ALL\n");
        setting.run(Guard::Ours, &served);
        machine.put("/etc/hosts.allow.new", "edited: 192.0.2.3\n");
        std::fs::rename("/etc/hosts.allow.new", "/etc/hosts.allow").expect("renamed");
        setting.run(Guard::Ours, &refused);
        std::fs::remove_file("/etc/hosts.deny").expect("removed");
        setting.run(Guard::Ours, &served);
        machine.put("/etc/hosts.deny", "ALL: ALL");
        let seen = setting.run(Guard::Ours, &refused);
        assert_eq!(
            seen["edited"].log,
            [
                "<27>warning: /etc/hosts.deny, line 1: missing newline or line too long",
                "<27>warning: /etc/hosts.deny, line 1: all the subsequent rules will be ignored",
                "<28>refused connect from 192.0.2.2 (192.0.2.2)"
            ]
        );
    });
}
