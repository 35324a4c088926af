//! What options do to real connections and processes, beside the reference where it does the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use services_tests::{Guard, Seen, Setting, Visit};
use support::alone;

fn visit<'t>((service, from, reads): (&'t str, &'t str, &'t str)) -> Visit<'t> {
    Visit { service, from, reads }
}

/// A service that shows what it was started with.
const CURIOUS: &str = "#!/bin/sh
echo served $(umask) $(nice) $(id -un) $(id -gn) $(id -Gn | tr ' ' ,) $COLOUR
";

#[test]
fn options_do_what_they_do_in_the_reference() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put(
            "/etc/hosts",
            "192.0.2.2 alpha.example.org\n192.0.2.1 server.example.org\n",
        );
        machine.put_program("/srv/service", CURIOUS);
        for service in ["banner", "banner-deny", "twist-banner"] {
            let text = "\0\0Welcome, %c!\nYou asked %d at %A: 100%%\nNo more";
            machine.put(format!("/etc/banners/{service}"), text);
        }
        setting.tables(
            "twist: ALL: twist /bin/echo no service for %h; echo and no more >&2
twist-banner: ALL: banners /etc/banners: twist /bin/echo no
twist-stdin: ALL: twist read line || echo nothing to read
banner: ALL: banners /etc/banners
banner-none: ALL: banners /etc/banners
banner-nowhere: ALL: banners /etc/none
umask: ALL: umask 077
nice: ALL: nice 7
nice-ten: ALL: nice
setenv: ALL: setenv COLOUR grey %a
setenv-bad: ALL: setenv A=B grey
keep: ALL: keepalive: linger 3
waits: ALL: spawn sleep 0.2; echo done >/srv/out-%d: twist cat /srv/out-%d
killed: ALL: spawn kill -9 $$
many: ALL: spawn echo 1 >/srv/out-%d: spawn echo 2 >>/srv/out-%d: twist cat /srv/out-%d
colons: ALL: twist echo a\\:b
quiet: ALL: spawn echo seen; echo seen >&2
allows: ALL: aclexec test %a = 192.0.2.2
unknown-letter: ALL: twist echo a%zb
late: ALL: twist echo no: umask 077
",
            "banner-deny: ALL: banners /etc/banners\n",
        );
        let seen = setting.compare(
            &[
                ("twist", "192.0.2.2", "no service for 192.0.2.2\nand no more\n"),
                (
                    "twist-banner",
                    "192.0.2.2",
                    "\0\0Welcome, 192.0.2.2!\r\nYou asked twist-banner at 192.0.2.1: 100%\r\nNo moreno\n",
                ),
                ("twist-stdin", "192.0.2.2", "nothing to read\n"),
                (
                    "banner",
                    "192.0.2.2",
                    "\0\0Welcome, 192.0.2.2!\r\nYou asked banner at 192.0.2.1: 100%\r\nNo more\
                     served 0022 0 root root root\n",
                ),
                (
                    "banner-deny",
                    "192.0.2.2",
                    "\0\0Welcome, 192.0.2.2!\r\nYou asked banner-deny at 192.0.2.1: 100%\r\nNo more",
                ),
                ("banner-none", "192.0.2.2", "served 0022 0 root root root\n"),
                ("banner-nowhere", "192.0.2.2", "served 0022 0 root root root\n"),
                ("umask", "192.0.2.2", "served 0077 0 root root root\n"),
                ("nice", "192.0.2.2", "served 0022 7 root root root\n"),
                ("nice-ten", "192.0.2.2", "served 0022 10 root root root\n"),
                (
                    "setenv",
                    "192.0.2.2",
                    "served 0022 0 root root root grey 192.0.2.2\n",
                ),
                ("setenv-bad", "192.0.2.2", ""),
                ("keep", "192.0.2.2", "served 0022 0 root root root\n"),
                ("waits", "192.0.2.2", "done\n"),
                ("killed", "192.0.2.2", "served 0022 0 root root root\n"),
                ("colons", "192.0.2.2", "a:b\n"),
                ("quiet", "192.0.2.2", "served 0022 0 root root root\n"),
                ("allows", "192.0.2.2", "served 0022 0 root root root\n"),
                ("many", "192.0.2.2", "1\n2\n"),
                ("unknown-letter", "192.0.2.2", "ab\n"),
                ("late", "192.0.2.2", ""),
            ]
            .map(visit),
        );
        assert_eq!(
            seen["twist"].log,
            ["<28>twist 192.0.2.2 to /bin/echo no service for 192.0.2.2; echo and no more >&2"]
        );
        assert_eq!(
            seen["late"].log,
            [
                "<27>error: /etc/hosts.allow, line 20: option \"twist\" must be at end",
                "<28>refused connect from 192.0.2.2 (192.0.2.2)"
            ]
        );
    });
}

#[test]
fn every_expansion_is_the_references() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put(
            "/etc/hosts",
            "192.0.2.2 al-pha.example.org\n192.0.2.1 server.example.org\n",
        );
        // Before and after the lookups that %n and %N start.
        let letters = "%a|%A|%c|%d|%h|%H|%s|%R|%%|%u|%n|%N|%c|%h|%H|%s";
        let rule = |service: &str| {
            format!(
                "{service}: ALL: spawn echo '{letters}' >/srv/out-{service}; echo %p %r >>/srv/out-{service}\n"
            )
        };
        setting.tables(&["expand", "expand6"].map(rule).concat(), "ALL: ALL\n");
        let visits = [
            ("expand", "192.0.2.2", "served\n"),
            ("expand6", "2001:db8::2", "served\n"),
        ]
        .map(visit);
        let mut files = Vec::new();
        for guard in [Guard::Reference, Guard::Ours] {
            setting.run(guard, &visits);
            files.push(["expand", "expand6"].map(|service| {
                let text = fs::read_to_string(format!("/srv/out-{service}")).expect("what spawn wrote");
                let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
                let numbers = lines.pop().expect("a second line");
                assert!(
                    numbers.split(' ').all(|n| n.parse::<u32>().is_ok_and(|n| n > 0)),
                    "{numbers}"
                );
                lines
            }));
        }
        assert_eq!(files[1], files[0]);
        assert_eq!(
            files[1],
            [
                [
                    "192.0.2.2|192.0.2.1|192.0.2.2|expand|192.0.2.2|192.0.2.1|expand@192.0.2.1|2001|%|unknown|\
                  al-pha.example.org|server.example.org|al-pha.example.org|al-pha.example.org|\
                  server.example.org|expand@server.example.org"
                ],
                [
                    "2001:db8::2|2001:db8::1|2001:db8::2|expand6|2001:db8::2|2001:db8::1|expand6@2001:db8::1|\
                  2002|%|unknown|unknown|unknown|2001:db8::2|2001:db8::2|2001:db8::1|expand6@2001:db8::1"
                ],
            ]
        );
    });
}

/// docs/deviations.md, 1.
#[test]
fn user_and_group_take_effect() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put_program("/srv/service", CURIOUS);
        fs::create_dir("/srv/of-all").expect("ours");
        fs::set_permissions("/srv/of-all", fs::Permissions::from_mode(0o777)).expect("ours");
        let group = fs::read_to_string("/etc/group").expect("the groups");
        machine.put("/etc/group", group + "extra:x:4711:nobody\n");
        setting.tables(
            "user: ALL: user nobody
user-group: ALL: user nobody.daemon
group: ALL: group daemon
spawned: ALL: user nobody: spawn id -un >/srv/of-all/out-%d: twist cat /srv/of-all/out-%d; rm /srv/of-all/out-%d
no-user: ALL: user nosuch
no-group: ALL: group nosuch
dropped: ALL: user nobody: user root
",
            "ALL: ALL\n",
        );
        let seen = setting.run(
            Guard::Ours,
            &[
                (
                    "user",
                    "192.0.2.2",
                    "served 0022 0 nobody nogroup nogroup,extra\n",
                ),
                (
                    "user-group",
                    "192.0.2.2",
                    "served 0022 0 nobody daemon daemon,extra\n",
                ),
                ("group", "192.0.2.2", "served 0022 0 root daemon daemon\n"),
                ("spawned", "192.0.2.2", "nobody\n"),
                ("no-user", "192.0.2.2", ""),
                ("no-group", "192.0.2.2", ""),
                ("dropped", "192.0.2.2", ""),
            ]
            .map(visit),
        );
        assert_eq!(
            seen["no-user"].log,
            [
                "<27>error: /etc/hosts.allow, line 5: unknown user: \"nosuch\"",
                "<28>refused connect from 192.0.2.2 (192.0.2.2)"
            ]
        );
        assert!(seen["no-group"].log[0].ends_with("line 6: unknown group: \"nosuch\""));
        assert!(seen["dropped"].log[0].contains("Operation not permitted"));
    });
}

/// docs/deviations.md, 4 to 6, 15 and 16.
#[test]
fn a_failed_command_never_grants() {
    alone(|machine| {
        let setting = Setting::new(machine);
        setting.tables(
            "fails: ALL: aclexec false
fails: ALL
fails-allow: ALL: aclexec false: allow
killed: ALL: aclexec kill -9 $$
reads: ALL: aclexec read line; test \"$line\" = \"\": twist echo the connection is mine
no-shell: ALL: aclexec no-such-command-anywhere
in-deny: 192.0.2.9
",
            "in-deny: ALL: aclexec false
in-deny-too: ALL: aclexec false: deny
in-deny-passes: ALL: aclexec false
in-deny: ALL
",
        );
        let refused = |log: &Seen| {
            log.log
                .last()
                .is_some_and(|line| line.contains("<28>refused connect"))
        };
        let seen = setting.run(
            Guard::Ours,
            &[
                ("fails", "192.0.2.2", ""),
                ("fails-allow", "192.0.2.2", ""),
                ("killed", "192.0.2.2", ""),
                ("reads", "192.0.2.2", "the connection is mine\n"),
                ("no-shell", "192.0.2.2", ""),
                ("in-deny", "192.0.2.2", ""),
                ("in-deny-too", "192.0.2.2", ""),
                ("in-deny-passes", "192.0.2.2", "served\n"),
            ]
            .map(visit),
        );
        for service in [
            "fails",
            "fails-allow",
            "killed",
            "no-shell",
            "in-deny",
            "in-deny-too",
        ] {
            assert!(refused(&seen[service]), "{service}: {:?}", seen[service].log);
            // As in the reference, a `deny` ends the rule before that is told.
            let told = seen[service].log.contains(&"<30>aclexec returned 1".to_owned());
            assert_eq!(told, service != "in-deny-too", "{service}");
        }
        assert!(
            seen["killed"].log[0].ends_with("exited with signal 9"),
            "{:?}",
            seen["killed"].log
        );
    });
}

/// docs/deviations.md, 14, and what the reference does not bound at all.
#[test]
fn banners_are_bounded() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let large = "x".repeat(65536);
        machine.put("/etc/banners/large", &large);
        machine.put("/etc/banners/larger", large.clone() + "x");
        setting.tables("ALL: ALL: banners /etc/banners\n", "");
        let expected = large + "served\n";
        let seen = setting.run(
            Guard::Ours,
            &[
                ("large", "192.0.2.2", &*expected),
                ("larger", "192.0.2.2", "served\n"),
            ]
            .map(visit),
        );
        assert_eq!(
            seen["larger"].log[0],
            "<27>warning: /etc/hosts.allow, line 1: /etc/banners/larger: larger than 65536 bytes, not sent"
        );
        assert_eq!(seen["large"].log.len(), 1);
    });
}
