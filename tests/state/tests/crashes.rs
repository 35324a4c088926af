//! `tcpwrap ban` ended at each of its system calls, and on a full disk: the list stays readable, and every ban that
//! was acknowledged stays in it.

use std::fs;
use std::process::{Command, Output};

use state_tests::{LIST, configure, said, succeed, tcpwrap};
use support::{alone_for, program};

/// What may touch the list.
const CALLS: [&str; 16] = [
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fdatasync",
    "fsync",
    "rename",
    "renameat",
    "unlink",
    "mkdir",
    "flock",
    "fchmod",
    "statx",
    "pread64",
    "read",
    "close",
];

/// Which of these need room.
const WRITES: [&str; 10] = [
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fdatasync",
    "fsync",
    "rename",
    "renameat",
    "mkdir",
    "fchmod",
];

/// Ends the process at a call.
const KILL: &str = "signal=KILL";
/// A full disk.
const FULL: &str = "error=ENOSPC";

/// Runs the command as strace's expression says.
fn strace(expression: &str, arguments: &[&str]) -> Output {
    Command::new("strace")
        .args(["--quiet=all", "-f", "-o", "/srv/trace", "-e", expression])
        .arg(program("tcpwrap", "tcpwrap"))
        .args(arguments)
        .output()
        .expect("strace runs")
}

fn traced(inject: &str, arguments: &[&str]) -> Output {
    strace(&format!("inject={inject}"), arguments)
}

/// How often a command makes a call.
fn count(call: &str, arguments: &[&str]) -> usize {
    strace(&format!("trace={call}"), arguments);
    fs::read_to_string("/srv/trace")
        .unwrap()
        .lines()
        .filter(|line| line.contains(call))
        .count()
}

/// Whoever is banned; that the list can be read is proved with it.
fn banned() -> Vec<String> {
    let text = succeed(&["bans"]);
    text.lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

/// Runs a command once for each time it makes each call, with that call failing in some way, from the same list each
/// time. `check` is given what the command said.
fn each_failure(how: &str, arguments: &[&str], before: &[u8], check: impl Fn(Option<i32>, &str)) {
    let put = || {
        let _ = fs::remove_dir_all("/srv/bans");
        fs::create_dir("/srv/bans").unwrap();
        if !before.is_empty() {
            fs::write(LIST, before).unwrap();
        }
    };
    let mut tried = 0;
    // Calls that find no room; one that closes does so all the same.
    let fails = |call: &&str| how == KILL || WRITES.contains(call);
    for call in CALLS.into_iter().filter(fails) {
        put();
        for when in 1..=count(call, arguments) {
            put();
            let (status, said) = said(&traced(&format!("{call}:{how}:when={when}"), arguments));
            check(status, &format!("{call} {when}: {said}"));
            tried += 1;
            // And the next one finds it usable.
            succeed(&["ban", "203.0.113.99"]);
            assert!(banned().contains(&"203.0.113.99".to_owned()));
        }
    }
    assert!(tried > 30, "{tried}");
}

const OLD: &[u8] = b"# Bans\n198.51.100.1 never admin old\n198.51.100.2 never admin old\n";

#[test]
fn a_ban_that_is_killed_is_whole_or_not_there() {
    alone_for(600, |machine| {
        configure(machine);
        for before in [OLD, b""] {
            each_failure(KILL, &["ban", "203.0.113.1", "203.0.113.2"], before, |_, said| {
                let mut found = banned();
                if !before.is_empty() {
                    assert_eq!(
                        found.drain(..2).collect::<Vec<_>>(),
                        ["198.51.100.1", "198.51.100.2"],
                        "{said}"
                    );
                }
                // Its acknowledgement may be cut off as it may itself.
                let acknowledged = said.contains("203.0.113.1 banned");
                assert!(
                    found.is_empty() && !acknowledged || found == ["203.0.113.1", "203.0.113.2"],
                    "{said}: {found:?}"
                );
            });
        }
    });
}

#[test]
fn a_list_that_is_written_anew_loses_nothing_when_killed() {
    alone_for(600, |machine| {
        configure(machine);
        each_failure(KILL, &["bans", "--compact"], OLD, |_, said| {
            assert_eq!(banned(), ["198.51.100.1", "198.51.100.2"], "{said}");
        });
    });
}

#[test]
fn a_full_disk_while_a_list_is_written_anew_loses_nothing() {
    alone_for(600, |machine| {
        configure(machine);
        each_failure(FULL, &["bans", "--compact"], OLD, |_, said| {
            assert_eq!(banned(), ["198.51.100.1", "198.51.100.2"], "{said}");
        });
    });
}

/// A list of which so much is in no index that a ban writes one, and so much says nothing that the list is new, too.
fn untidy() -> Vec<u8> {
    let mut list = OLD.to_vec();
    for line in 0..1100 {
        let line = format!(
            "198.51.100.3 2020-01-01T00:00:00Z admin {line} {}\n",
            "x".repeat(40)
        );
        list.extend(line.bytes());
    }
    list
}

/// Bans where the list is written anew with it, with each call failing so.
fn ban_and_tidy(how: &str) {
    each_failure(how, &["ban", "203.0.113.1"], &untidy(), |status, said| {
        let found = banned();
        let acknowledged = status == Some(0) || said.contains("203.0.113.1 banned");
        let kept = found == ["198.51.100.1", "198.51.100.2"] && !acknowledged;
        assert!(
            kept || found == ["198.51.100.1", "198.51.100.2", "203.0.113.1"],
            "{how} {said}: {found:?}"
        );
    });
}

#[test]
fn a_ban_that_tidies_the_list_is_killed() {
    alone_for(900, |machine| {
        configure(machine);
        ban_and_tidy(KILL);
    });
}

#[test]
fn a_ban_that_tidies_the_list_finds_no_room() {
    alone_for(900, |machine| {
        configure(machine);
        ban_and_tidy(FULL);
        // Undisturbed, both are new.
        fs::write(LIST, untidy()).unwrap();
        succeed(&["ban", "203.0.113.1"]);
        assert!(fs::metadata(LIST).unwrap().len() < 1000);
        assert!(fs::metadata(format!("{LIST}.index")).unwrap().len() > 128);
        assert_eq!(banned(), ["198.51.100.1", "198.51.100.2", "203.0.113.1"]);
    });
}

#[test]
fn a_ban_taken_back_is_killed() {
    alone_for(600, |machine| {
        configure(machine);
        each_failure(KILL, &["unban", "198.51.100.1"], OLD, |_, said| {
            let found = banned();
            let acknowledged = said.contains("is not banned any more");
            let kept = found == ["198.51.100.1", "198.51.100.2"] && !acknowledged;
            assert!(kept || found == ["198.51.100.2"], "{said}: {found:?}");
        });
    });
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    alone_for(600, |machine| {
        configure(machine);
        for call in WRITES {
            let arguments = ["ban", "203.0.113.1"];
            for before in [OLD, b""] {
                let put = || {
                    let _ = fs::remove_dir_all("/srv/bans");
                    fs::create_dir("/srv/bans").unwrap();
                    if !before.is_empty() {
                        fs::write(LIST, before).unwrap();
                    }
                };
                put();
                for when in 1..=count(call, &arguments) {
                    put();
                    let inject = format!("{call}:{FULL}:when={when}");
                    let traced = traced(&inject, &arguments);
                    let found = banned();
                    assert!(
                        before.is_empty()
                            || found.starts_with(&["198.51.100.1".into(), "198.51.100.2".into()])
                    );
                    let acknowledged = traced.status.success();
                    assert!(
                        !acknowledged || found.last().is_some_and(|last| last == "203.0.113.1"),
                        "{inject}"
                    );
                }
            }
        }
        // A disk that is really full.
        support::run(Command::new("sh").args([
            "-c",
            "rm -rf /srv/bans; mkdir /srv/bans; mount -t tmpfs -o size=16k tmpfs /srv/bans",
        ]));
        succeed(&["ban", "203.0.113.1"]);
        let mut last = 0;
        let refused = (2..=255).find_map(|n| {
            let address = format!("203.0.113.{n}");
            let (status, text) = said(&tcpwrap(&["ban", &address, "--reason", &"x".repeat(300)]));
            last = n;
            (status != Some(0)).then_some((status, text))
        });
        let (status, text) = refused.expect("16 kB hold less");
        assert_eq!(status, Some(2));
        assert!(text.contains("No space left on device"), "{text}");
        let expected: Vec<String> = (1..last).map(|n| format!("203.0.113.{n}")).collect();
        assert_eq!(banned(), expected);
    });
}

#[test]
fn a_ban_is_on_the_disk_before_it_is_acknowledged() {
    alone_for(120, |machine| {
        configure(machine);
        machine.put(LIST, OLD);
        let mut command = Command::new("strace");
        command.args([
            "--quiet=all",
            "-f",
            "-o",
            "/srv/trace",
            "-e",
            "trace=write,fdatasync",
        ]);
        command
            .arg(program("tcpwrap", "tcpwrap"))
            .args(["ban", "203.0.113.1"])
            .output()
            .expect("strace runs");
        let trace = fs::read_to_string("/srv/trace").unwrap();
        let at = |what: &str| trace.find(what).unwrap_or_else(|| panic!("{what}: {trace}"));
        assert!(at("\"203.0.113.1 never") < at("fdatasync("), "{trace}");
        assert!(at("fdatasync(") < at("203.0.113.1 banned"), "{trace}");
    });
}
