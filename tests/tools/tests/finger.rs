//! safe_finger beside the reference's, with Debian's finger asking real finger servers under a real inetd,
//! well-behaved and hostile.

use std::path::Path;
use std::process::{Command, Output};

use support::{Daemon, Machine, packaged};
use tools_tests::{Host, Whose};

/// A host where each address of the loopback network runs another finger server, until the daemon is dropped.
fn servers(machine: &Machine) -> (Host<'_>, Daemon) {
    let host = Host::on(machine);
    host.put(
        "/etc/inetd.conf",
        "127.0.0.1:finger stream tcp nowait root /usr/sbin/in.fingerd in.fingerd\n\
         127.0.0.2:finger stream tcp nowait root /bin/cat cat /srv/hostile\n\
         127.0.0.3:finger stream tcp nowait root /usr/bin/yes yes\n",
    );
    let mut hostile: Vec<u8> = (0..=255).collect();
    hostile.extend_from_slice(
        b"\nFrom: nobody\n.\n~!reboot\n\x1b]0;title\x07\x1b[2J\n\\033 is not ESC\n\xe9t\xe9\n",
    );
    for length in [126, 127, 128, 129, 300] {
        hostile.extend(std::iter::repeat_n(b'x', length));
        hostile.push(b'\n');
    }
    hostile.extend_from_slice("\u{7f}\u{1}".repeat(100).as_bytes());
    host.put("/srv/hostile", hostile);
    let inetd = Daemon::start(Command::new(packaged("inetd")).args(["-i", "/etc/inetd.conf"]));
    for address in ["127.0.0.1:79", "127.0.0.2:79", "127.0.0.3:79"] {
        machine.wait_for_port(address);
    }
    (host, inetd)
}

/// Ours and the reference's output for the same arguments.
fn both(host: &Host<'_>, arguments: &[&str]) -> [Output; 2] {
    [Whose::Ours, Whose::Reference].map(|whose| host.run(Path::new("/"), whose, "safe_finger", arguments))
}

#[test]
fn a_real_server_is_asked_and_shown_as_by_the_reference() {
    support::alone(|machine| {
        let (host, _inetd) = servers(machine);
        let [ours, reference] = both(&host, &["root@127.0.0.1"]);
        let said = String::from_utf8_lossy(&ours.stdout);
        assert!(said.contains(" Login: root"), "{said}");
        assert_eq!(said, String::from_utf8_lossy(&reference.stdout));
        assert_eq!((ours.status.code(), reference.status.code()), (Some(0), Some(0)));
    });
}

#[test]
fn options_are_finger_s() {
    support::alone(|machine| {
        let (host, _inetd) = servers(machine);
        let [ours, reference] = both(&host, &["-l", "root@127.0.0.1", "daemon@127.0.0.1"]);
        assert!(ours.stdout.len() > 100);
        assert_eq!(ours.stdout, reference.stdout);
    });
}

#[test]
fn a_hostile_server_is_made_harmless_as_by_the_reference() {
    support::alone(|machine| {
        let (host, _inetd) = servers(machine);
        let [ours, reference] = both(&host, &["@127.0.0.2"]);
        assert_eq!(
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&reference.stdout)
        );
        let harmless = |byte: &u8| byte.is_ascii_graphic() || b" \t\n\r\x0b\x0c".contains(byte);
        assert!(ours.stdout.iter().all(harmless));
        for line in ours
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            assert!(line.starts_with(b" ") && line.len() <= 132);
        }
    });
}

#[test]
fn an_endless_server_is_cut_off_as_by_the_reference() {
    support::alone(|machine| {
        let (host, _inetd) = servers(machine);
        let [ours, reference] = both(&host, &["@127.0.0.3"]);
        let said = String::from_utf8_lossy(&ours.stdout);
        assert!(said.ends_with("\n\n Input truncated to 100000 bytes...\n"));
        assert_eq!(said, String::from_utf8_lossy(&reference.stdout));
        assert_eq!(ours.status.code(), Some(1));
    });
}

#[test]
fn no_server_no_success() {
    support::alone(|machine| {
        let (host, _inetd) = servers(machine);
        let [ours, reference] = both(&host, &["@127.0.0.9"]);
        assert_eq!((ours.status.code(), reference.status.code()), (Some(1), Some(1)));
        assert_eq!(ours.stdout, reference.stdout);
    });
}

/// A host whose finger is this shell script.
fn with_finger<'m>(machine: &'m Machine, script: &str) -> Host<'m> {
    let finger = machine.put_program("/srv/finger", format!("#!/bin/sh\n{script}\n"));
    let host = Host::on(machine);
    host.shell(&format!("mount --bind {} /usr/bin/finger", finger.display()));
    host
}

#[test]
fn finger_is_nobody_and_finds_its_programs_in_known_places() {
    support::alone(|machine| {
        let host = with_finger(machine, "id -u; id -g; id -G; echo $PATH; cat");
        let [ours, reference] = both(&host, &[]);
        let said = String::from_utf8_lossy(&ours.stdout);
        assert!(
            said.starts_with(" 65534\n 65534\n 65534\n /bin:/usr/bin:/sbin:/usr/sbin\n"),
            "{said}"
        );
        let same = |output: &Output| {
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .take(4)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(same(&ours), same(&reference));
    });
}

#[test]
fn the_limit_is_exact() {
    support::alone(|machine| {
        for size in [99_999, 100_000, 100_001] {
            let host = with_finger(machine, &format!("head -c {size} /dev/zero | tr '\\0' a"));
            let [ours, reference] = both(&host, &[]);
            assert!(ours.stdout == reference.stdout, "{size}");
            let cut = String::from_utf8_lossy(&ours.stdout).contains("truncated");
            assert_eq!(cut, size > 100_000);
        }
    });
}

#[test]
fn a_failing_finger_fails() {
    support::alone(|machine| {
        let host = with_finger(machine, "echo so far; exit 3");
        let [ours, reference] = both(&host, &[]);
        assert_eq!((ours.status.code(), reference.status.code()), (Some(1), Some(1)));
        assert_eq!(ours.stdout, b" so far\n");
    });
}

#[test]
fn help_and_version() {
    support::alone(|machine| {
        let host = Host::on(machine);
        for flag in ["--help", "--version"] {
            let output = host.ours("safe_finger", &[flag]);
            assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty());
        }
    });
}
