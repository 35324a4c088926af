//! `accept` as the kernel has it: one program run bare and guarded says the same.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use supervise_tests::{Guarded, guards, no_guard_left};
use support::run;

/// Who may run programs.
const NOBODY: u32 = 65534;

fn same(guarded: &Guarded<'_>, options: &[&str], who: Option<u32>) {
    same_of(guarded, &guarded.c_program("conformance", &[]), options, who);
}

fn same_of(guarded: &Guarded<'_>, program: &Path, options: &[&str], who: Option<u32>) {
    guarded.rules("ALL: ALL\n", "");
    let mut bare = Command::new(program);
    let mut watched = guarded.run_with(options, program);
    for command in [&mut bare, &mut watched] {
        command.current_dir(guarded.machine.directory());
        if let Some(id) = who {
            command.uid(id).gid(id);
        }
    }
    let bare = run(&mut bare).stdout;
    let watched = run(&mut watched).stdout;
    let (bare, watched) = (String::from_utf8_lossy(&bare), String::from_utf8_lossy(&watched));
    assert!(bare.lines().count() > 90, "{bare}");
    let bare: Vec<&str> = bare.lines().collect();
    let watched: Vec<&str> = watched.lines().collect();
    let differ: Vec<_> = bare
        .iter()
        .zip(&watched)
        .filter(|(bare, watched)| bare != watched)
        .collect();
    assert!(differ.is_empty(), "bare and guarded: {differ:#?}");
    assert_eq!(bare.len(), watched.len());
    no_guard_left();
}

#[test]
fn the_same_as_without_a_guard() {
    support::alone(|machine| same(&Guarded::new(machine), &["--log", "text"], None));
}

/// Go opens such listeners by default.
#[test]
fn the_same_with_multipath_tcp() {
    if !Path::new("/proc/sys/net/mptcp/enabled").exists() {
        return;
    }
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("conformance", &["-DPROTOCOL=IPPROTO_MPTCP"]);
        same_of(&guarded, &program, &["--log", "text"], None);
    });
}

#[test]
fn the_same_for_an_ordinary_user() {
    support::alone(|machine| same(&Guarded::new(machine), &["--log", "text"], Some(NOBODY)));
}

#[test]
fn the_same_in_a_user_namespace() {
    support::alone(|machine| {
        let options = ["--log", "text", "--user-namespace"];
        same(&Guarded::new(machine), &options, Some(NOBODY));
    });
}

#[test]
fn the_same_logging_to_the_system_log() {
    support::alone(|machine| {
        let log = machine.log();
        same(&Guarded::new(machine), &[], None);
        let entry = log.wait_for("connect from 127.0.0.1 (127.0.0.1)");
        assert_eq!(
            (entry.ident.as_str(), entry.level(), entry.facility()),
            ("conformance", 6, 3 << 3)
        );
    });
}

#[test]
fn exit_status_and_standard_streams_are_the_programs_own() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        for (script, code) in [("exit 7", Some(7)), ("kill -9 $$", None)] {
            let done = guarded.run("sh").args(["-c", script]).output().expect("it runs");
            assert_eq!(done.status.code(), code);
        }
        // Arguments and environment as they are, and a closed descriptor stays closed.
        let script = "printf '%s|' \"$0\" \"$@\"; test -e /proc/$$/fd/0 || printf closed; echo \" $$ $A\"";
        let mut wrapped = Command::new("sh");
        wrapped
            .args(["-c", "echo $$; exec \"$@\" <&-", "-"])
            .arg(guarded.run("sh").get_program())
            .args(guarded.run("sh").get_args())
            .args(["-c", script, "a b", "", "--", "-x"])
            .env("A", "1");
        let done = wrapped.output().expect("it runs");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (own, rest) = text.split_once('\n').expect("a line");
        assert_eq!(rest, format!("a b||--|-x|closed {own} 1\n"), "{done:?}");
        assert_eq!(
            guarded.run("/no/such").status().expect("it runs").code(),
            Some(127)
        );
        assert_eq!(
            guarded.run("/etc/passwd").status().expect("it runs").code(),
            Some(126)
        );
        no_guard_left();
    });
}

#[test]
fn the_guard_holds_nothing_of_the_programs() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let child = guarded
            .run_with(&[], "sleep")
            .arg("600")
            .spawn()
            .expect("it runs");
        support::wait_until("the program", || {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", child.id())).ok()?;
            (name == "sleep\n").then_some(())
        });
        let [guard] = guards()[..] else {
            panic!("one guard");
        };
        let stat = |id: u32| std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it lives");
        let field = |id: u32, n: usize| {
            stat(id)
                .rsplit(')')
                .next()
                .map(|s| s.split(' ').nth(n).map(str::to_owned))
        };
        // Not the program's child, and in a session without a terminal that is not the program's.
        assert_ne!(field(guard, 2), Some(Some(child.id().to_string())));
        assert_ne!(field(guard, 4), field(child.id(), 4));
        assert_eq!(field(guard, 5), Some(Some("0".to_owned())));
        // What it opens for a moment, as it looks at `/proc`, is none of the program's: that would stay.
        support::wait_until("nothing else to be open", || {
            let open: Vec<_> = std::fs::read_dir(format!("/proc/{guard}/fd"))
                .expect("root may")
                .flatten()
                .filter_map(|entry| std::fs::read_link(entry.path()).ok())
                .map(|path| path.display().to_string())
                .collect();
            // And the socket to its watcher.
            let sockets: BTreeSet<_> = open.iter().filter(|path| path.starts_with("socket:")).collect();
            let is_own = |path: &String| {
                path == "/dev/null"
                    || path.starts_with("anon_inode:")
                    || path.starts_with("/memfd:tcpwrap-guard")
                    || sockets.contains(path)
            };
            (sockets.len() == 1 && open.iter().all(is_own)).then_some(())
        });
        let mut child = child;
        child.kill().expect("ours");
        child.wait().expect("ours");
        no_guard_left();
    });
}
