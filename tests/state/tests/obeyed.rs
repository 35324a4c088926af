//! Rules that ask what is remembered, obeyed by tcpd, by sshd on our library, and by a guarded program.

#[path = "../../../crates/state/tests/build/mod.rs"]
mod build;

use std::net::TcpStream;
use std::process::Command;

use build::{Record, Shape, database};
use services_tests::{Guard, Setting};
use state_tests::{LIST, said, succeed, tcpwrap};
use supervise_tests::{FRIEND, Guarded, STRANGER, connect, hello, no_guard_left, talk};
use support::{Daemon, Machine, alone, alone_for, packaged, wait_until};

/// Puts the list and the database where they are the test's own.
fn configure(machine: &Machine) {
    let records = [
        ("192.0.2.2/32", Record::Nested("DE", "EU")),
        ("192.0.2.3/32", Record::Flat("AT", 680)),
    ];
    let shape = Shape {
        record_size: 24,
        is_v6: true,
    };
    machine.put("/srv/places.mmdb", database(shape, &records));
    machine.put(
        "/etc/tcpwrap.toml",
        format!("[bans]\nfile = '{LIST}'\n[geo]\ncountry = '/srv/places.mmdb'\nasn = '/srv/places.mmdb'\n"),
    );
}

/// Which of the first three clients tcpd serves, each once.
fn served(setting: &Setting<'_>, service: &str) -> Vec<&'static str> {
    let clients = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
    clients
        .into_iter()
        .filter(|from| is_served(setting, service, from))
        .collect()
}

fn is_served(setting: &Setting<'_>, service: &str, from: &str) -> bool {
    let program = setting
        .machine
        .put_program(format!("/srv/{service}"), "#!/bin/sh\necho served\n");
    let line = format!(
        "2001 stream tcp nowait.1000 root {} {}\n",
        Guard::Ours.program().display(),
        program.display()
    );
    let configuration = setting.machine.put("/etc/inetd.conf", line);
    let inetd = Daemon::start(Command::new(packaged("inetd")).arg("-i").arg(configuration));
    wait_until("inetd", || services_tests::is_listening(2001).then_some(()));
    let mut client = setting.connect(from, 2001);
    client.ended();
    drop(inetd);
    match client.output().as_str() {
        "served\n" => true,
        "" => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tcpd_refuses_whoever_is_banned_until_it_ends() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        setting.tables("ALL: {banned}: deny\nALL: ALL\n", "");
        assert_eq!(served(&setting, "echo").len(), 3, "nobody is banned");
        succeed(&["ban", "192.0.2.2", "192.0.2.4"]);
        assert_eq!(served(&setting, "echo"), ["192.0.2.3"]);
        setting.log().wait_for("refused connect from 192.0.2.2");
        succeed(&["unban", "192.0.2.2"]);
        succeed(&["ban", "192.0.2.4", "--for", "1s"]);
        wait_until("the end of the ban", || {
            succeed(&["bans"]).is_empty().then_some(())
        });
        assert_eq!(served(&setting, "echo").len(), 3);
        // A list that cannot be read keeps everybody out, and says why.
        machine.put(LIST, "nonsense\n");
        assert_eq!(served(&setting, "echo"), [""; 0]);
        setting
            .log()
            .wait_for("the ban list has a line that cannot be read");
    });
}

#[test]
fn tcpd_knows_countries_and_systems() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        setting.tables("echo: {country=DE|FR}\necho: {asn=AS680}\n", "ALL: ALL\n");
        assert_eq!(served(&setting, "echo"), ["192.0.2.2", "192.0.2.3"]);
        setting.tables("ALL: ALL EXCEPT {continent=EU}\n", "ALL: ALL\n");
        assert_eq!(served(&setting, "echo"), ["192.0.2.3", "192.0.2.4"]);
        setting.tables("", "ALL: {country=DE}\n");
        assert_eq!(served(&setting, "echo"), ["192.0.2.3", "192.0.2.4"]);
        // Without the database nobody is let in who might be from there.
        std::fs::remove_file("/srv/places.mmdb").unwrap();
        assert_eq!(served(&setting, "echo"), [""; 0]);
        setting.log().wait_for("/srv/places.mmdb: no such file");
        setting.tables("ALL: {country=DE}\n", "ALL: ALL\n");
        assert_eq!(served(&setting, "echo"), [""; 0]);
    });
}

#[test]
fn a_copy_is_asked_while_the_database_is_gone() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        support::run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/var/lib"]));
        setting.tables("echo: {country=DE}\n", "ALL: ALL\n");
        let text = succeed(&["compile"]);
        let copy = "/var/lib/tcpwrap/databases/srv/places.mmdb";
        assert!(
            text.contains(&format!("{copy}: copied from /srv/places.mmdb")),
            "{text}"
        );
        let text = succeed(&["compile", "--refresh", "--json"]);
        assert!(text.contains("\"what\": \"current\""), "{text}");
        assert_eq!(served(&setting, "echo"), ["192.0.2.2"]);
        std::fs::rename("/srv/places.mmdb", "/srv/away").unwrap();
        // Asked, and it says so: in the log, and to whoever asks why.
        assert_eq!(served(&setting, "echo"), ["192.0.2.2"]);
        let why = "/srv/places.mmdb: no such file; the last good one, of 2023-11-14, stays in use";
        setting.log().wait_for(why);
        let text = succeed(&["lookup", "192.0.2.2"]);
        assert!(
            text.contains("asked because /srv/places.mmdb: no such file"),
            "{text}"
        );
        // Damage does not come into the copy.
        machine.put("/srv/places.mmdb", "nothing of the kind");
        let (status, text) = said(&tcpwrap(&["compile"]));
        assert_eq!(status, Some(2));
        assert!(text.contains("damaged database"), "{text}");
        assert_eq!(served(&setting, "echo"), ["192.0.2.2"]);
        let text = succeed(&["compile", "--remove"]);
        assert!(text.contains(&format!("{copy}: removed")), "{text}");
        assert_eq!(served(&setting, "echo"), [""; 0]);
    });
}

#[test]
fn tcpd_counts_what_comes() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        setting.tables("echo: ALL: limit 2/day\n", "ALL: ALL\n");
        let three = || [(); 3].map(|()| is_served(&setting, "echo", "192.0.2.2"));
        assert_eq!(three(), [true, true, false]);
        assert!(is_served(&setting, "echo", "192.0.2.3"), "another source");
        // An edit elsewhere resets nothing.
        setting.tables("# new\necho: ALL: limit 2/day\nother: ALL\n", "ALL: ALL\n");
        assert!(!is_served(&setting, "echo", "192.0.2.2"));
        // The rule that bans whoever touches a port.
        setting.tables("trap: ALL: ban 1h: deny\nALL: {banned}: deny\nALL: ALL\n", "");
        assert!(is_served(&setting, "echo", "192.0.2.4"));
        assert!(!is_served(&setting, "trap", "192.0.2.4"));
        assert!(!is_served(&setting, "echo", "192.0.2.4"));
        assert!(is_served(&setting, "echo", "192.0.2.3"));
        assert!(
            succeed(&["bans", "192.0.2.4"]).contains("  rule  "),
            "{}",
            succeed(&["bans"])
        );
    });
}

#[test]
fn a_guarded_program_refuses_whoever_is_banned_or_too_many() {
    const PORT: u16 = 7000;
    alone_for(240, |machine| {
        let guarded = Guarded::new(machine);
        configure(machine);
        guarded.rules("ALL: {banned}: deny\nALL: ALL: max 3\n", "ALL: ALL\n");
        let program = guarded.c_program("server", &[]);
        let daemon = Daemon::start(guarded.run(&program).arg("threads").arg(PORT.to_string()));
        machine.wait_for_port(&format!("{FRIEND}:{PORT}"));
        let serves = |from: &str| talk(from, PORT, b"").is_some();
        assert!(serves(FRIEND) && serves(STRANGER));
        succeed(&["ban", STRANGER]);
        assert!(
            serves(FRIEND) && !serves(STRANGER),
            "from the moment ban returns: {}",
            daemon.output()
        );
        succeed(&["unban", STRANGER]);
        assert!(serves(STRANGER), "{}", daemon.output());
        // Three that stay are as many as there may be from one source; when one goes, another may come.
        let mut held: Vec<TcpStream> = (0..3)
            .map(|_| {
                // Those that have just ended may still be counted.
                wait_until("room for one of three", || {
                    let stream = connect(FRIEND, PORT).ok()?;
                    (hello(&stream) == "hello\n").then_some(stream)
                })
            })
            .collect();
        assert!(!serves(FRIEND), "{}", daemon.output());
        wait_until("room for one of another source", || {
            serves(STRANGER).then_some(())
        });
        drop(held.pop());
        wait_until("room for another", || serves(FRIEND).then_some(()));
    });
}

#[test]
fn a_guarded_program_obeys_what_is_remembered_by_its_guard() {
    const PORT: u16 = 7000;
    alone_for(240, |machine| {
        let guarded = Guarded::new(machine);
        configure(machine);
        let program = guarded.c_program("server", &[]);
        let served = |allow: &str, from: &str, times: usize| {
            guarded.rules(allow, "ALL: ALL\n");
            let daemon = Daemon::start(guarded.run(&program).arg("threads").arg(PORT.to_string()));
            machine.wait_for_port(&format!("{FRIEND}:{PORT}"));
            let served = (0..times).filter(|_| talk(from, PORT, b"").is_some()).count();
            let output = daemon.output();
            drop(daemon);
            // It has the listener for a moment longer than its program, and the next one needs the port.
            no_guard_left();
            (served, output)
        };
        for (allow, expected) in [
            ("ALL: ALL: limit 2/hour\n", 2),
            ("ALL: {samehost}\n", 3),
            ("ALL: {samenet}\n", 3),
            ("ALL: {time=Mon-Sun}\n", 3),
        ] {
            // Whether it listens is asked as another client.
            let (found, output) = served(allow, STRANGER, 3);
            assert_eq!(found, expected, "{allow}: {output}");
            assert!(!output.contains("not known"), "{allow}: {output}");
        }
        // What one guard counts, another knows.
        assert_eq!(served("ALL: ALL: limit 2/hour\n", STRANGER, 1).0, 0);
        let (found, output) = served("ALL: ALL: ban 2h: deny\n", STRANGER, 1);
        assert_eq!(found, 0);
        assert!(!output.contains("not banned"), "{output}");
        assert!(
            succeed(&["bans", "--origin", "rule"]).contains(STRANGER),
            "{output}"
        );
    });
}

#[test]
fn sshd_on_our_library_refuses_whoever_is_banned() {
    alone(|machine| {
        configure(machine);
        machine.address("192.0.2.1/24");
        machine.address("192.0.2.2/24");
        machine.put("/etc/hosts.allow", "sshd: {banned}: deny\nsshd: ALL\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let _sshd = state_tests::doors::sshd(machine);
        machine.wait_for_port("192.0.2.1:22");
        let greets = |from: &str| {
            let stream: TcpStream = connect(from, 22).unwrap();
            hello(&stream).starts_with("SSH-2.0")
        };
        assert!(greets("192.0.2.1") && greets("192.0.2.2"));
        succeed(&["ban", "192.0.2.2"]);
        assert!(greets("192.0.2.1") && !greets("192.0.2.2"));
        succeed(&["unban", "192.0.2.2"]);
        assert!(greets("192.0.2.2"));
    });
}

#[test]
fn tcpd_follows_a_name_that_moves() {
    alone(|machine| {
        let setting = Setting::new(machine);
        configure(machine);
        setting.tables("echo: {dns=home.example.org}\n", "ALL: ALL\n");
        machine.put("/etc/hosts", "127.0.0.1 localhost\n192.0.2.2 home.example.org\n");
        assert_eq!(served(&setting, "echo"), ["192.0.2.2"]);
        machine.put("/etc/hosts", "127.0.0.1 localhost\n192.0.2.4 home.example.org\n");
        assert_eq!(served(&setting, "echo"), ["192.0.2.4"]);
        machine.put("/etc/hosts", "127.0.0.1 localhost\n");
        assert_eq!(served(&setting, "echo"), [""; 0]);
        // This host's own networks, as the client at the other end of the cable sees them.
        setting.tables("echo: {samenet} EXCEPT {samehost}\n", "ALL: ALL\n");
        assert_eq!(served(&setting, "echo").len(), 3);
        setting.tables("echo: {samehost}\n", "ALL: ALL\n");
        assert_eq!(served(&setting, "echo"), [""; 0]);
    });
}
