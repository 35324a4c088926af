//! `check --host`, `status` and `lookup` on machines whose rules ask for what is remembered: databases that are missing,
//! damaged or old, bans that nobody asks for, zones that are not known, daemons that cannot come at any of it.

#[path = "../../../crates/state/tests/build/mod.rs"]
mod build;

use std::process::Command;

use build::{Record, Shape, database};
use services_tests::{Guard, Setting};
use state_tests::{configure, said, succeed, tcpwrap};
use support::{Daemon, Machine, alone, packaged, wait_until};

/// The findings of `check --host` of these codes, as code and message.
fn found(codes: &[&str]) -> Vec<String> {
    let (_, text) = said(&tcpwrap(&["check", "--host"]));
    let lines = text
        .lines()
        .filter(|line| codes.iter().any(|code| line.contains(&format!("[{code}]"))));
    lines.map(str::to_owned).collect()
}

/// A database made so many days ago.
fn put_database(machine: &Machine, days: u64) {
    let shape = Shape {
        record_size: 24,
        is_v6: true,
    };
    let mut bytes = database(shape, &[("192.0.2.0/24", Record::Nested("DE", "EU"))]);
    let built = 1_700_000_000u64.to_be_bytes();
    let at = bytes.windows(8).position(|part| part == built).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    bytes[at..at + 8].copy_from_slice(&(now - days * 86_400).to_be_bytes());
    machine.put("/srv/places.mmdb", bytes);
}

#[test]
fn databases_that_are_missing_damaged_or_old() {
    alone(|machine| {
        machine.put("/etc/tcpwrap.toml", "[geo]\ncountry = '/srv/places.mmdb'\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/etc/hosts.allow", "sshd: ALL : if {country=DE}\n");
        let codes = ["W526", "W527"];
        let missing = found(&codes);
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert!(
            missing[0].contains("/srv/places.mmdb: no such file; the rule is passed over"),
            "{missing:?}"
        );
        put_database(machine, 3);
        assert_eq!(found(&codes), [""; 0]);
        assert!(
            succeed(&["status"]).contains("/srv/places.mmdb of 20"),
            "{}",
            succeed(&["status"])
        );
        put_database(machine, 61);
        let old = found(&codes);
        assert!(old.len() == 1 && old[0].starts_with("warning[W527]"), "{old:?}");
        assert!(
            old[0].contains("/srv/places.mmdb was made 61 days ago"),
            "{old:?}"
        );
        assert!(
            succeed(&["status"]).contains("61 days old: /srv/places.mmdb was made 61 days ago"),
            "{}",
            succeed(&["status"])
        );
        // Cut short, it is damaged.
        let whole = std::fs::read("/srv/places.mmdb").unwrap();
        machine.put("/srv/places.mmdb", &whole[..whole.len() / 2]);
        let damaged = found(&codes);
        assert!(
            damaged.len() == 1 && damaged[0].starts_with("error[W526]"),
            "{damaged:?}"
        );
        assert!(
            succeed(&["status"]).contains("/srv/places.mmdb: "),
            "{}",
            succeed(&["status"])
        );
        // A rule that refuses says what that means.
        machine.put("/etc/hosts.allow", "sshd: {country=DE} : deny\n");
        assert!(found(&codes)[0].contains("everyone who is held against this rule is denied"));
        // Nobody asks.
        machine.put("/etc/hosts.allow", "sshd: 10.\n");
        assert_eq!(found(&codes), [""; 0]);
        assert!(!succeed(&["status"]).contains("places.mmdb"));
    });
}

#[test]
fn copies_of_databases_and_their_age() {
    const COPY: &str = "/var/lib/tcpwrap/databases/srv/places.mmdb";
    alone(|machine| {
        support::run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/var/lib"]));
        machine.put("/etc/tcpwrap.toml", "[geo]\ncountry = '/srv/places.mmdb'\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/etc/hosts.allow", "sshd: {country=DE}\n");
        put_database(machine, 70);
        succeed(&["compile"]);
        put_database(machine, 3);
        let told = || found(&["W526", "W527"]);
        let status = || succeed(&["status"]);
        // As old as that is what it says.
        let older = told();
        assert!(
            older.len() == 1 && older[0].contains("its copy, of 20"),
            "{older:?}"
        );
        assert!(older[0].contains("is 67 days older"), "{older:?}");
        assert!(
            status().contains(", 3 days old, and its copy of 20") && status().contains(", 70 days old: "),
            "{}",
            status()
        );
        succeed(&["compile"]);
        assert_eq!(told(), [""; 0]);
        assert!(
            status().contains(", 3 days old, and its copy of 20"),
            "{}",
            status()
        );
        assert!(succeed(&["status", "--json"]).contains(&format!("\"file\": \"{COPY}\"")));
        machine.put(COPY, "nothing of the kind");
        let damaged = told();
        assert!(
            damaged.len() == 1 && damaged[0].contains(&format!("its copy cannot be used: {COPY}: ")),
            "{damaged:?}"
        );
        // The copy itself, where it is what is asked.
        succeed(&["compile"]);
        std::fs::remove_file("/srv/places.mmdb").unwrap();
        let asked = told();
        assert!(
            asked.len() == 1 && asked[0].contains("/srv/places.mmdb: no such file; a copy of 20"),
            "{asked:?}"
        );
        assert!(
            status().contains(&format!("{COPY} of 20")) && !status().contains("and its copy"),
            "{}",
            status()
        );
    });
}

#[test]
fn bans_that_nobody_asks_for_or_too_late() {
    alone(|machine| {
        configure(machine);
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/etc/hosts.allow", "sshd: 198.51.100.0/24\n");
        let codes = ["W526", "W529", "W530"];
        assert_eq!(found(&codes), [""; 0], "nobody is banned");
        succeed(&["ban", "198.51.100.7", "203.0.113.9"]);
        let unasked = found(&codes);
        assert!(
            unasked.len() == 1 && unasked[0].contains("is banned and 1 more, and no rule asks"),
            "{unasked:?}"
        );
        // The first rule lets one of them in before any rule asks.
        machine.put(
            "/etc/hosts.allow",
            "sshd: 198.51.100.0/24\nsshd: {banned} : deny\nsshd: 203.0.113.0/24\n",
        );
        let late = found(&codes);
        assert!(
            late.len() == 1 && late[0].contains("198.51.100.7 is banned (") && late[0].contains("`sshd`"),
            "{late:?}"
        );
        machine.put(
            "/etc/hosts.allow",
            "ALL: {banned} : deny\nsshd: 198.51.100.0/24\n",
        );
        assert_eq!(found(&codes), [""; 0]);
        succeed(&["unban", "198.51.100.7", "203.0.113.9"]);
        // Another daemon is no concern of a rule for this one.
        succeed(&["ban", "198.51.100.7"]);
        machine.put(
            "/etc/hosts.allow",
            "vsftpd: ALL\nsshd: {banned} : deny\nsshd: 198.51.100.0/24\n",
        );
        assert_eq!(found(&codes), [""; 0]);
        // A list that cannot be read is an answer to nobody.
        machine.put(state_tests::LIST, "nonsense\n");
        let damaged = found(&codes);
        assert!(
            damaged.len() == 1 && damaged[0].contains("line 1 of the ban list cannot be read"),
            "{damaged:?}"
        );
    });
}

#[test]
fn zones_that_are_not_known() {
    alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put(
            "/etc/hosts.allow",
            "sshd: {time=0800-1800/Europe/Berlim}\nsshd: {time=0800-1800/UTC}\nsshd: {time=Sat}\n",
        );
        let zones = found(&["W528"]);
        assert!(
            zones.len() == 1 && zones[0].contains("Europe/Berlim"),
            "{zones:?}"
        );
    });
}

#[test]
fn names_that_have_no_address_now() {
    alone(|machine| {
        let _dns = support::name_server(machine, &["--host-record=home.example.org,198.51.100.7"]);
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put(
            "/etc/hosts.allow",
            "sshd: {dns=home.example.org} {dns=gone.example.org} {dns=other.example.net}\n",
        );
        let gone = found(&["W512", "W525"]);
        assert!(
            gone[0].contains("`gone.example.org` has no address now, so it matches nobody"),
            "{gone:#?}"
        );
        // Of that one nothing is known.
        assert!(
            gone.len() == 2 && gone[1].contains("no answer for `other.example.net`"),
            "{gone:#?}"
        );
    });
}

#[test]
fn daemons_that_cannot_come_at_it() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        setting.tables(
            "echo: ALL : limit 5/minute\nsshd: ALL : limit 5/minute\n",
            "ALL: ALL\n",
        );
        let program = setting
            .machine
            .put_program("/srv/echo", "#!/bin/sh\necho served\n");
        let line = format!(
            "2001 stream tcp nowait.1000 root {} {}\n",
            Guard::Ours.program().display(),
            program.display()
        );
        let configuration = machine.put("/etc/inetd.conf", line);
        let inetd = packaged("inetd");
        let told = || found(&["W531"]);
        let started = |before: &str| {
            let script = format!(
                "{before}; exec {} -i {}",
                inetd.display(),
                configuration.display()
            );
            let daemon = Daemon::start(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
            wait_until("inetd", || services_tests::is_listening(2001).then_some(()));
            daemon
        };
        let usual = started(":");
        assert_eq!(told(), [""; 0]);
        drop(usual);
        wait_until("its end", || (!services_tests::is_listening(2001)).then_some(()));
        let _daemon = started("mount -o bind,ro /run /run");
        let told = told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("`echo`") && told[0].contains("/run is read-only for it"),
            "{told:?}"
        );
        assert!(told[0].contains("whoever the rule matches is denied"), "{told:?}");
    });
}

#[test]
fn lookup_shows_what_limits_have_left() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        setting.tables(
            "echo: ALL : limit 2/day : limit 5/2days : max 7\nALL: ALL : limit 9/day\n",
            "ALL: ALL\n",
        );
        let program = machine.put_program("/srv/echo", "#!/bin/sh\necho served\n");
        let line = format!(
            "2001 stream tcp nowait.1000 root {} {}\n",
            Guard::Ours.program().display(),
            program.display()
        );
        let configuration = machine.put("/etc/inetd.conf", line);
        let _inetd = Daemon::start(Command::new(packaged("inetd")).arg("-i").arg(configuration));
        wait_until("inetd", || services_tests::is_listening(2001).then_some(()));
        let left = |option: &str, says: &str| {
            let (_, text) = said(&tcpwrap(&["lookup", "192.0.2.2", "--daemon", "other"]));
            let line = text
                .lines()
                .find(|line| line.contains(option))
                .unwrap_or(&text)
                .to_owned();
            assert!(line.contains(says), "{option}: {says}: {text}");
        };
        left(
            "echo: limit 2/day",
            "192.0.2.2 has 2 of 2 left now (/run/tcpwrap/0)",
        );
        left("echo: limit 5/2days", "has 5 of 5 left");
        left("other: limit 9/day", "has 9 of 9 left");
        left("echo: max 7", "0 from 192.0.2.2, and this one now (the kernel)");
        let mut client = setting.connect("192.0.2.2", 2001);
        client.ended();
        assert_eq!(client.output(), "served\n");
        // Each of them was taken from once, and looking takes nothing.
        for _ in 0..2 {
            left("echo: limit 2/day", "has 1 of 2 left");
            left("echo: limit 5/2days", "has 4 of 5 left");
            left("other: limit 9/day", "has 9 of 9 left");
        }
        let (_, json) = said(&tcpwrap(&["lookup", "192.0.2.2", "--json"]));
        assert!(json.contains("\"option\": \"limit 2/day\""), "{json}");
    });
}
