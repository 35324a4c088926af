//! Where tcpdmatch and tcpdchk differ from the reference on purpose, each with what the reference does.
//! The numbers are those of `docs/deviations.md`.

use std::path::Path;

use tools_tests::{Host, Whose, said};

fn shown(host: &Host<'_>, directory: &Path, whose: Whose, program: &str, arguments: &[&str]) -> String {
    let output = host.run(directory, whose, program, arguments);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn deviation_1_nobody_is_become() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let rules = b"sshd: ALL: user nobody: group daemon: user daemon.nogroup: allow\n";
        let directory = host.tables("users", Some(rules), Some(b"ALL: ALL\n"));
        let ask = |whose| shown(&host, &directory, whose, "tcpdmatch", &["-d", "sshd", "eight"]);
        assert!(ask(Whose::Ours).ends_with("access:   granted\n"));
        assert!(ask(Whose::Reference).ends_with("access:   denied\n"));
        let list = |whose| shown(&host, &directory, whose, "tcpdchk", &["-dv"]);
        assert_eq!(list(Whose::Ours).matches("access:   granted\n").count(), 1);
        assert_eq!(list(Whose::Reference).matches("access:   granted\n").count(), 0);
    });
}

#[test]
fn deviation_2_long_lines_are_read_whole() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let names: String = (0..500).map(|n| format!(" h{n}.example.com")).collect();
        let rules = format!("sshd:{names} eight\nin.ftpd: eight\n");
        let directory = host.tables("long", Some(rules.as_bytes()), Some(b"ALL: ALL\n"));
        for daemon in ["sshd", "in.ftpd"] {
            let ask = |whose| shown(&host, &directory, whose, "tcpdmatch", &["-d", daemon, "eight"]);
            assert!(ask(Whose::Ours).ends_with("access:   granted\n"));
            assert!(ask(Whose::Reference).ends_with("access:   denied\n"));
        }
        let list = shown(&host, &directory, Whose::Ours, "tcpdchk", &["-dv"]);
        assert!(list.contains(&format!("clients: {names} eight\n")));
        assert_eq!(list.matches(">>> Rule").count(), 3);
    });
}

#[test]
fn deviation_18_a_command_that_decides_is_said_to() {
    let cases = [
        // In the allow table, and in the deny table, the command's status is what counts.
        ("sshd: ALL: aclexec /bin/check %a\n", "", "delegated", "granted"),
        (
            "sshd: ALL: aclexec /bin/check %a: allow\n",
            "",
            "delegated",
            "granted",
        ),
        ("", "sshd: ALL: aclexec /bin/check %a\n", "delegated", "denied"),
        // An error behind it denies whatever the command says.
        (
            "sshd: ALL: aclexec /bin/check %a: nonsense\n",
            "",
            "denied",
            "denied",
        ),
        ("sshd: ALL: twist /bin/check %a\n", "", "delegated", "delegated"),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        for (allow, deny, ours, reference) in cases {
            let directory = host.tables("commands", Some(allow.as_bytes()), Some(deny.as_bytes()));
            let ask = |whose| {
                shown(
                    &host,
                    &directory,
                    whose,
                    "tcpdmatch",
                    &["-d", "sshd", "192.0.2.1"],
                )
            };
            let answer = ask(Whose::Ours);
            assert!(
                answer.ends_with(&format!("access:   {ours}\n")),
                "{allow}{deny}{answer}"
            );
            assert!(answer.contains(" /bin/check 192.0.2.1\n"), "{answer}");
            let answer = ask(Whose::Reference);
            assert!(
                answer.ends_with(&format!("access:   {reference}\n")),
                "{allow}{deny}{answer}"
            );
        }
    });
}

#[test]
fn deviation_19_an_unterminated_line_has_its_own_number() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let directory = host.tables("unterminated", Some(b"sshd: ALL\nsshd: ALL"), None);
        let ours = said(&host.run(&directory, Whose::Ours, "tcpdchk", &["-d"]));
        assert_eq!(
            ours,
            "warning: hosts.allow, line 2: missing newline or line too long\n"
        );
        let reference = shown(&host, &directory, Whose::Unmuted, "tcpdchk", &["-d"]);
        assert_eq!(
            reference,
            "warning: hosts.allow, line 1: missing newline or line too long\n"
        );
    });
}

#[test]
fn deviation_20_warnings_reach_the_terminal_and_count() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let directory = host.tables("warnings", Some(b"sshd: one\nsshd ALL\n"), None);
        let ours = host.run(&directory, Whose::Ours, "tcpdchk", &["-d"]);
        assert_eq!((said(&ours).lines().count(), ours.status.code()), (2, Some(1)));
        let reference = host.run(&directory, Whose::Reference, "tcpdchk", &["-d"]);
        assert_eq!(
            (said(&reference).as_str(), reference.status.code()),
            ("", Some(0))
        );
        assert!(reference.stdout.is_empty());
        let ours = host.run(&directory, Whose::Ours, "tcpdmatch", &["-d", "sshd", "one"]);
        assert!(said(&ours).starts_with("warning: one: an alias"));
        let reference = host.run(&directory, Whose::Reference, "tcpdmatch", &["-d", "sshd", "one"]);
        assert_eq!(said(&reference), "");
    });
}

#[test]
fn deviation_29_a_dry_run_shows_a_banner_and_changes_nothing() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let directory = host.tables("banners", None, None);
        std::fs::create_dir(directory.join("texts")).unwrap();
        std::fs::write(directory.join("texts/sshd"), "hello %d at %c\nand goodbye").unwrap();
        let rules = format!(
            "sshd: ALL: setenv A b: umask 077: banners {}\n",
            directory.join("texts").display()
        );
        std::fs::write(directory.join("hosts.allow"), rules).unwrap();
        let ask = |whose| {
            let shown = shown(
                &host,
                &directory,
                whose,
                "tcpdmatch",
                &["-d", "sshd", "192.0.2.1"],
            );
            shown.contains("hello sshd at 192.0.2.1\r\nand goodbye")
        };
        assert!(ask(Whose::Reference));
        assert!(ask(Whose::Ours));
    });
}
