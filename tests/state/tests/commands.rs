//! `tcpwrap ban`, `unban` and `bans`.

use std::process::Command;

use state_tests::{LIST, configure, said, succeed, tcpwrap};
use support::{alone, program};

#[test]
fn a_ban_is_made_shown_and_taken_back() {
    alone(|machine| {
        configure(machine);
        let text = succeed(&[
            "ban",
            "198.51.100.7",
            "2001:db8::/48",
            "--for",
            "2h",
            "--reason",
            "guesses  passwords",
        ]);
        assert!(text.contains("198.51.100.7 banned until 20"), "{text}");
        assert!(text.contains("bans have no effect yet"), "{text}");
        let text = succeed(&["bans"]);
        assert!(
            text.contains("198.51.100.7 ") && text.contains(" more  admin  guesses passwords\n"),
            "{text}"
        );
        let json = succeed(&["bans", "--json"]);
        assert!(json.contains("\"network\": \"2001:db8::/48\""), "{json}");
        // What a shell offers after `tcpwrap unban 198`.
        let offered = support::run(
            Command::new(program("tcpwrap", "tcpwrap"))
                .args(["--", "tcpwrap", "unban", "198"])
                .env("COMPLETE", "bash")
                .env("_CLAP_COMPLETE_INDEX", "2"),
        );
        assert_eq!(offered.stdout, b"198.51.100.7");
        // Only those that concern somebody.
        assert_eq!(succeed(&["bans", "198.51.100.0/24"]).lines().count(), 1);
        assert_eq!(tcpwrap(&["bans", "198.51.100.8"]).status.code(), Some(1));
        machine.put("/etc/hosts.allow", "# ALL: {banned}: deny\n");
        assert!(succeed(&["ban", "198.51.100.7"]).contains("bans have no effect yet"));
        machine.put("/etc/hosts.allow", "ALL: {BANNED}: deny\n");
        let text = succeed(&["unban", "198.51.100.7"]);
        assert_eq!(text, "198.51.100.7 is not banned any more (origin admin)\n");
        assert_eq!(succeed(&["bans"]).lines().count(), 1);
        let text = succeed(&["bans", "--expired"]);
        assert!(
            text.contains("198.51.100.7 ") && text.contains("taken back 20"),
            "{text}"
        );
        let text = succeed(&["ban", "198.51.100.9"]);
        assert_eq!(
            text,
            "198.51.100.9 banned until it is taken back (origin admin)\n"
        );
        assert_eq!(succeed(&["unban", "--all"]).lines().count(), 2);
        assert_eq!(succeed(&["bans"]), "");
    });
}

#[test]
fn who_is_never_banned() {
    alone(|machine| {
        configure(machine);
        for (network, says) in [
            ("192.0.2.1", "192.0.2.0/28 is never banned"),
            ("192.0.0.0/16", "192.0.2.0/28 is never banned"),
            ("127.0.0.1", "loopback addresses are never banned"),
            ("0.0.0.0/0", "loopback addresses are never banned"),
        ] {
            for force in [&[][..], &["--force"]] {
                let (status, text) = said(&tcpwrap(&[&["ban", network, "198.51.100.7"], force].concat()));
                assert_eq!(status, Some(1), "{text}");
                assert!(text.contains(says), "{text}");
            }
        }
        assert!(
            !std::path::Path::new(LIST).exists(),
            "nothing else was banned either"
        );
        // One's own session, and that of somebody else that systemd keeps.
        machine.put(
            "/run/systemd/sessions/7",
            "UID=0\nREMOTE=1\nREMOTE_HOST=203.0.113.9\n",
        );
        let ban = |address: &str, force: &[&str]| {
            let mut command = Command::new(program("tcpwrap", "tcpwrap"));
            command.env("SSH_CONNECTION", "203.0.113.8 50000 198.51.100.1 22");
            said(&command.args(["ban", address]).args(force).output().unwrap())
        };
        for address in ["203.0.113.8", "203.0.113.9", "203.0.113.0/24"] {
            let (status, text) = ban(address, &[]);
            assert_eq!(status, Some(1), "{text}");
            assert!(
                text.contains("somebody is logged in from") && text.contains("--force"),
                "{text}"
            );
        }
        assert_eq!(ban("203.0.113.8", &["--force"]).0, Some(0));
        assert_eq!(succeed(&["bans"]).lines().count(), 1);
    });
}

#[test]
fn an_origin_takes_back_its_own() {
    alone(|machine| {
        configure(machine);
        succeed(&["ban", "198.51.100.7", "--origin", "fail2ban:sshd"]);
        succeed(&["ban", "198.51.100.0/24", "--origin", "crowdsec"]);
        let (status, text) = said(&tcpwrap(&["unban", "198.51.100.7"]));
        assert_eq!(status, Some(1));
        assert!(
            text.contains("fail2ban:sshd has banned it, not admin; --origin fail2ban:sshd takes that back"),
            "{text}"
        );
        let (status, text) = said(&tcpwrap(&["unban", "198.51.100.9"]));
        assert_eq!(status, Some(1));
        assert!(
            text.contains("tcpwrap unban --origin crowdsec 198.51.100.0/24 takes that back"),
            "{text}"
        );
        let (status, text) = said(&tcpwrap(&["unban", "203.0.113.1"]));
        assert_eq!(
            (status, text.contains("it is not banned\n")),
            (Some(1), true),
            "{text}"
        );
        succeed(&["unban", "198.51.100.7", "--origin", "fail2ban:sshd"]);
        succeed(&["unban", "198.51.100.0/24", "--any-origin"]);
        assert_eq!(succeed(&["bans"]), "");
    });
}

#[test]
fn nothing_is_changed_by_a_dry_run_or_a_mistake() {
    alone(|machine| {
        configure(machine);
        let text = succeed(&["ban", "198.51.100.7", "--dry-run"]);
        assert!(
            text.contains("198.51.100.7 would be banned until it is taken back"),
            "{text}"
        );
        for (arguments, says) in [
            (
                &["ban", "198.51.100.7/24"][..],
                "198.51.100.0/24 is the whole of it",
            ),
            (&["ban", "example.org"], "not an address or network"),
            (
                &["ban", "198.51.100.7", "--for", "2 hours"],
                "write it as 90s, 30m, 2h, 7d, or never",
            ),
            (&["ban", "198.51.100.7", "--for", "0s"], "no time at all"),
            (&["ban", "198.51.100.7", "--origin", "a b"], "one word"),
            (&["ban"], "required"),
            (&["unban"], "required"),
        ] {
            let (status, text) = said(&tcpwrap(arguments));
            assert_eq!(status, Some(2), "{arguments:?}: {text}");
            assert!(text.contains(says), "{arguments:?}: {text}");
        }
        machine.put("/etc/tcpwrap.toml", "[ban]\nfile = '/x'\n");
        let (status, text) = said(&tcpwrap(&["ban", "198.51.100.7"]));
        assert_eq!(status, Some(2));
        assert!(
            text.contains("/etc/tcpwrap.toml, line 1, column 2: unknown section ban"),
            "{text}"
        );
        assert!(!std::path::Path::new(LIST).exists());
    });
}

#[test]
fn a_dry_run_says_whom_the_rules_would_refuse() {
    alone(|machine| {
        configure(machine);
        let dry = |arguments: &[&str]| succeed(&[arguments, &["--dry-run"]].concat());
        machine.put("/etc/hosts.allow", "sshd: ALL\n");
        let text = dry(&["ban", "198.51.100.7"]);
        assert!(
            text.contains("nothing changes: no rule asks for {banned}"),
            "{text}"
        );
        assert!(
            text.contains("let in all the same: ") && text.contains("hosts.allow line 1: sshd: ALL"),
            "{text}"
        );

        machine.put(
            "/etc/hosts.allow",
            "sshd: 198.51.100.0/28\nALL: {banned} : deny\nsshd, vsftpd: 198.51.100.\n",
        );
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let text = dry(&["ban", "198.51.100.7"]);
        assert!(
            text.contains("granted → denied") && text.contains("daemons: vsftpd\n"),
            "{text}"
        );
        assert!(text.contains("clients: 198.51.100.7\n"), "{text}");
        assert!(text.contains("let in all the same: sshd: "), "{text}");
        assert!(
            text.contains("hosts.allow line 1: sshd: 198.51.100.0/28"),
            "{text}"
        );
        let text = dry(&["ban", "203.0.113.1"]);
        assert!(
            text.contains("nothing changes: nobody from there is let in"),
            "{text}"
        );
        let json = dry(&["ban", "198.51.100.77", "--json"]);
        assert!(
            json.contains("\"is_asked\": true") && json.contains("\"198.51.100.77\""),
            "{json}"
        );
        assert!(json.contains("\"command\": \"ban\""), "{json}");

        // What is banned already is refused already, and what another ban covers stays so.
        succeed(&["ban", "198.51.100.64/26"]);
        succeed(&["ban", "198.51.100.77", "--origin", "other"]);
        assert!(dry(&["ban", "198.51.100.70"]).contains("nothing changes: "));
        assert!(dry(&["unban", "198.51.100.77", "--origin", "other"]).contains("nothing changes: "));
        let text = dry(&["unban", "198.51.100.64/26"]);
        assert!(text.contains("denied → granted"), "{text}");
        assert!(
            !text.contains("198.51.100.64/26\n") && text.contains("198.51.100.76"),
            "{text}"
        );
        let (status, text) = said(&tcpwrap(&["unban", "198.51.100.8", "--dry-run"]));
        assert_eq!(
            (status, text.contains("it is not banned")),
            (Some(1), true),
            "{text}"
        );
        assert_eq!(succeed(&["bans"]).lines().count(), 2, "nothing was changed");
    });
}

#[test]
fn what_others_keep_is_taken_over() {
    alone(|machine| {
        configure(machine);
        let file = machine.put(
            "/etc/hosts.deny",
            "# DenyHosts: Tue Jan  1 00:00:00 2019 | sshd: 198.51.100.7\nsshd: 198.51.100.7\nALL: [2001:db8::7]\n\
             ALL: 192.0.2.1\nALL: .example.com\nALL: 198.51.100.7\n",
        );
        let file = file.to_str().unwrap();
        let text = succeed(&["ban", "--import", file, "--origin", "denyhosts", "--for", "7d"]);
        assert!(text.contains("2 networks banned until 20"), "{text}");
        assert!(text.contains("192.0.2.0/28 is never banned"), "{text}");
        assert!(
            text.contains("1 lines of /etc/hosts.deny say more than whom to deny"),
            "{text}"
        );
        let text = succeed(&["bans"]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.contains("2001:db8::7 ") && text.contains(" more  denyhosts\n"),
            "{text}"
        );
    });
}

#[test]
fn damage_is_named() {
    alone(|machine| {
        configure(machine);
        machine.put(
            LIST,
            "198.51.100.7 never admin x\nx\x1b[2J never\n198.51.100.8 soon admin y\n",
        );
        let (status, text) = said(&tcpwrap(&["bans"]));
        assert_eq!(status, Some(2));
        assert!(
            text.contains("198.51.100.8  never ends  admin  y"),
            "damage lifts no ban: {text}"
        );
        assert!(text.contains("/srv/bans/bans, line 2: x\\x1b[2J never"), "{text}");
        machine.put(LIST, "198.51.100.7 never admin x\nx\x1b[2J never\n");
        let (_, text) = said(&tcpwrap(&["bans", "--json"]));
        assert!(text.contains("\"damaged_lines\": [\n      2\n    ]"), "{text}");
        // As somebody leaves it who writes it by hand.
        machine.put(LIST, "198.51.100.7 never admin x\n198.51.100.9 never me");
        for arguments in [&["bans"][..], &["bans", "--compact"]] {
            let (status, text) = said(&tcpwrap(arguments));
            assert_eq!(status, Some(0));
            assert!(
                text.contains(
                    "has no end, so it is no ban, and the next change removes it: 198.51.100.9 never me"
                ),
                "{text}"
            );
        }
        assert_eq!(succeed(&["bans"]).lines().count(), 1);
        // The wrong file: nothing of it is lost.
        let deny = "# Nobody\nALL: ALL\n";
        machine.put(LIST, deny);
        for arguments in [&["bans", "--compact"][..], &["ban", "198.51.100.7"]] {
            let (status, text) = said(&tcpwrap(arguments));
            assert_eq!(status, Some(2));
            assert!(
                text.contains("/srv/bans/bans: not a ban list: none of its lines names a network"),
                "{text}"
            );
        }
        assert_eq!(std::fs::read_to_string(LIST).unwrap(), deny);
    });
}

#[test]
fn only_root_writes() {
    alone(|machine| {
        configure(machine);
        succeed(&["ban", "198.51.100.7"]);
        let nobody = |arguments: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            let copy = machine.put_program(
                "/srv/tcpwrap",
                std::fs::read(program("tcpwrap", "tcpwrap")).unwrap(),
            );
            said(&command.arg(copy).args(arguments).output().unwrap())
        };
        let (status, text) = nobody(&["ban", "198.51.100.8"]);
        assert_eq!(status, Some(2));
        assert!(text.contains("this needs root"), "{text}");
        assert_eq!(nobody(&["unban", "198.51.100.7"]).0, Some(2));
        let (status, text) = nobody(&["bans"]);
        assert_eq!(
            (status, text.lines().count()),
            (Some(0), 1),
            "everybody may look: {text}"
        );
    });
}

#[test]
fn check_and_lookup_say_what_is_wrong_with_the_configuration() {
    alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/etc/hosts.allow", "sshd: 198.51.100.0/24\n");
        let (status, text) = said(&tcpwrap(&["check"]));
        assert_eq!(status, Some(0), "{text}");
        machine.put("/etc/tcpwrap.toml", "[geo]\ncuontry = '/srv/x.mmdb'\n");
        let (status, text) = said(&tcpwrap(&["check"]));
        assert_eq!(status, Some(1), "{text}");
        let says = "/etc/tcpwrap.toml:2:1: unknown key; there are country, asn, when_missing";
        assert!(text.contains(says), "{text}");
        // Other tables are another matter.
        assert_eq!(tcpwrap(&["check", "/etc/hosts.deny"]).status.code(), Some(0));
        let (status, text) = said(&tcpwrap(&["lookup", "198.51.100.7"]));
        assert_eq!(status, Some(1), "{text}");
        assert!(
            text.contains("{country}, {continent}") && text.contains("line 2, column 1: unknown key"),
            "{text}"
        );
        assert!(
            text.contains("{banned}                not banned"),
            "the rest is as it was: {text}"
        );
    });
}

#[test]
fn lookup_shows_what_rules_would_be_told() {
    alone(|machine| {
        configure(machine);
        machine.put(
            "/etc/hosts",
            "127.0.0.1 localhost\n198.51.100.7 home.example.org\n",
        );
        machine.put(
            "/etc/hosts.allow",
            "sshd: {dns=home.example.org}\n# {dns=no.example.org}\n",
        );
        succeed(&[
            "ban",
            "198.51.100.0/24",
            "--for",
            "2h",
            "--origin",
            "crowdsec",
            "--reason",
            "a scan",
        ]);
        let (status, text) = said(&tcpwrap(&["lookup", "198.51.100.7"]));
        // There is no database of countries here.
        assert_eq!(status, Some(1), "{text}");
        assert!(text.starts_with("198.51.100.7  home.example.org\n"), "{text}");
        for says in [
            "{country}, {continent}  unknown: no database of countries; name one in [geo] of tcpwrap.toml\n",
            "{dns=home.example.org}  home.example.org: 198.51.100.7\n",
            "{samehost}, {samenet}   neither this host nor a network that it is on\n",
            " more, by crowdsec: a scan\n",
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!text.contains("no.example.org"), "{text}");
        let (_, json) = said(&tcpwrap(&["lookup", "::ffff:198.51.100.8", "--json"]));
        assert!(json.contains("\"address\": \"198.51.100.8\""), "{json}");
        assert!(
            json.contains("\"answer\": \"home.example.org: 198.51.100.7\""),
            "{json}"
        );
    });
}
