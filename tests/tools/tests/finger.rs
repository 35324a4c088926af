//! safe_finger beside the reference's, with Debian's finger asking real finger servers under a real inetd,
//! well-behaved and hostile.

use std::path::Path;
use std::process::Output;

use tools_tests::{Host, Run};

/// A host where each address of the loopback network runs another finger server.
fn servers() -> Host {
    let mut host = Host::default();
    host.put(
        "/etc/inetd.conf",
        "127.0.0.1:finger stream tcp nowait root /usr/sbin/in.fingerd in.fingerd -w\n\
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
    host.setup("chmod 755 /srv; chmod 644 /srv/hostile");
    host.setup("/usr/sbin/inetd -i /etc/inetd.conf >/dev/null 2>&1 &");
    // 79 is 4F; until the last service listens.
    host.setup("tries=0; until grep -q '0300007F:004F' /proc/net/tcp || [ $((tries+=1)) = 100 ]; do sleep 0.05; done");
    host
}

/// Ours and the reference's output for the same arguments.
fn both(host: &Host, arguments: &[&str]) -> [Output; 2] {
    let runs = [
        Run::ours("safe_finger", arguments),
        Run::reference("safe_finger", arguments),
    ];
    host.run(Path::new("/"), &runs).try_into().expect("two outputs")
}

#[test]
fn a_real_server_is_asked_and_shown_as_by_the_reference() {
    let [ours, reference] = both(&servers(), &["root@127.0.0.1"]);
    let said = String::from_utf8_lossy(&ours.stdout);
    assert!(said.contains(" Login: root"), "{said}");
    assert_eq!(said, String::from_utf8_lossy(&reference.stdout));
    assert_eq!((ours.status.code(), reference.status.code()), (Some(0), Some(0)));
}

#[test]
fn options_are_finger_s() {
    let [ours, reference] = both(&servers(), &["-l", "root@127.0.0.1", "daemon@127.0.0.1"]);
    assert!(ours.stdout.len() > 100);
    assert_eq!(ours.stdout, reference.stdout);
}

#[test]
fn a_hostile_server_is_made_harmless_as_by_the_reference() {
    let [ours, reference] = both(&servers(), &["@127.0.0.2"]);
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
}

#[test]
fn an_endless_server_is_cut_off_as_by_the_reference() {
    let [ours, reference] = both(&servers(), &["@127.0.0.3"]);
    let said = String::from_utf8_lossy(&ours.stdout);
    assert!(said.ends_with("\n\n Input truncated to 100000 bytes...\n"));
    assert_eq!(said, String::from_utf8_lossy(&reference.stdout));
    assert_eq!(ours.status.code(), Some(1));
}

#[test]
fn no_server_no_success() {
    let [ours, reference] = both(&servers(), &["@127.0.0.9"]);
    assert_eq!((ours.status.code(), reference.status.code()), (Some(1), Some(1)));
    assert_eq!(ours.stdout, reference.stdout);
}

/// A host whose finger is this shell script.
fn with_finger(script: &str) -> Host {
    let mut host = Host::default();
    host.put("/srv/finger", format!("#!/bin/sh\n{script}\n"));
    host.setup("chmod 755 /srv /srv/finger; mount --bind /srv/finger /usr/bin/finger");
    host
}

#[test]
fn finger_is_nobody_and_finds_its_programs_in_known_places() {
    let host = with_finger("id -u; id -g; id -G; echo $PATH; readlink /proc/$$/fd/0; cat");
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
}

#[test]
fn the_limit_is_exact() {
    for size in [99_999, 100_000, 100_001] {
        let host = with_finger(&format!("head -c {size} /dev/zero | tr '\\0' a"));
        let [ours, reference] = both(&host, &[]);
        assert!(ours.stdout == reference.stdout, "{size}");
        let cut = String::from_utf8_lossy(&ours.stdout).contains("truncated");
        assert_eq!(cut, size > 100_000);
    }
}

#[test]
fn a_failing_finger_fails() {
    let [ours, reference] = both(&with_finger("echo so far; exit 3"), &[]);
    assert_eq!((ours.status.code(), reference.status.code()), (Some(1), Some(1)));
    assert_eq!(ours.stdout, b" so far\n");
}

#[test]
fn help_and_version() {
    let runs = [
        Run::ours("safe_finger", &["--help"]),
        Run::ours("safe_finger", &["--version"]),
    ];
    for output in Host::default().run(Path::new("/"), &runs) {
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty());
    }
}
