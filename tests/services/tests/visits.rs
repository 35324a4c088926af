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
link: [fe80::]/64
link-scope: [fe80::2%to-client]
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
                ("link", "fe80::2%eth0", "served\n"),
                ("link-scope", "fe80::2%eth0", "served\n"),
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
                "<27>warning: /etc/hosts.allow, line 21: missing \":\" separator",
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
        // For each family it has a listener, and one comes before the other.
        for family in ["-4", "-6"] {
            wait_until("oidentd", || {
                let sockets = setting
                    .client
                    .command("ss")
                    .args(["-Hltn", family, "sport = :113"])
                    .output();
                (!sockets.expect("ss runs").stdout.is_empty()).then_some(())
            });
        }
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

/// docs/deviations.md, 11: the client chooses what its ident server says, and its letters end up in the log.
#[test]
fn control_characters_in_user_names_are_escaped() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let identd = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => 113, Listen => 5, ReuseAddr => 1) or die;
$| = 1;
print "ready\n";
while (my $client = $listener->accept) {
    my $ports = <$client>;
    $ports =~ s/\s+$//;
    print $client "$ports : USERID : UNIX : eve\e[2J\x07\xc3\xb6\xc2\x9b\r\n";
}
"#;
        let identd = Daemon::start(setting.client.command("perl").args(["-e", identd]));
        identd.wait_for("ready");
        setting.tables("asked: KNOWN@ALL\nodd: ALL: umask 2\t2\n", "ALL: ALL\n");
        let visits = [("asked", "192.0.2.2", "served\n"), ("odd", "192.0.2.2", "")];
        let seen = setting.run(Guard::Ours, &visits.map(visit));
        let odd = &seen["odd"].log;
        let shown = "bad umask value: \"2\\0112\"";
        assert!(odd.iter().any(|line| line.ends_with(shown)), "{odd:?}");
        assert_eq!(
            seen["asked"].log,
            ["<30>connect from eve\\033[2J\\007ö\\302\\233@192.0.2.2 (192.0.2.2)"]
        );
    });
}

#[test]
fn netgroups_are_looked_up_in_the_hosts_own_domain() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put("/etc/nsswitch.conf", "hosts: files\nnetgroup: files\n");
        machine.put(
            "/etc/hosts",
            "192.0.2.2 alpha.example.org\n192.0.2.3 beta.example.org\n",
        );
        machine.put(
            "/etc/netgroup",
            "trusted (alpha.example.org,,)\nothers (alpha.example.org,,some-other-domain)\n",
        );
        setting.tables(
            "in: @trusted\nout: @trusted\nnone: @nosuch\ndomain: @others\n",
            "ALL: ALL\n",
        );
        let domain = std::fs::read_to_string("/proc/sys/kernel/domainname").expect("the NIS domain");
        // A host in no domain is in any.
        let any = if domain.trim() == "(none)" { "served\n" } else { "" };
        let visits = [
            ("in", "192.0.2.2", "served\n"),
            ("out", "192.0.2.3", ""),
            ("none", "192.0.2.2", ""),
            ("domain", "192.0.2.2", any),
        ]
        .map(visit);
        if support::reference_knows_netgroups() {
            setting.compare(&visits);
        } else {
            setting.run(Guard::Ours, &visits);
        }
    });
}
