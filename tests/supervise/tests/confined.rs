//! What the guard's main thread does, traced while it works, beside the table in docs/run.md.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

use supervise_tests::{FRIEND, Guarded, STRANGER, connect, guards, hello, no_guard_left};
use support::{Daemon, wait_until};

const PORT: u16 = 7000;

/// The system calls of the table.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/run.md");
    let text = fs::read_to_string(path).expect("the documentation");
    let (_, table) = text.split_once("| system call |").expect("the table");
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .flat_map(|line| {
            line.split('|')
                .nth(1)
                .expect("a column")
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .map(str::to_owned)
        .collect()
}

/// Under `strace`: clients that are granted, refused, looked up, asked for by local commands; programs that wait, poll, and
/// do not; edited tables.
#[test]
fn it_does_what_the_documentation_says_and_no_more() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.put("/srv/banners/server", "welcome\n");
        let program = guarded.c_program("server", &[]);
        let mut seen = BTreeSet::new();
        for how in ["edges", "threads", "fork", "poll"] {
            guarded.allow(FRIEND);
            let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a listener");
            let mut command = guarded.run(&program);
            let daemon = Daemon::start(command.args([how, "0"]).stdin(OwnedFd::from(listener)));
            drop(command);
            let greeted = |from| hello(&connect(from, PORT).expect("a handshake"));
            assert_eq!(greeted(FRIEND), "hello\n");
            let [guard] = guards()[..] else {
                panic!("one guard");
            };
            let trace = machine.directory().join(format!("trace-{how}"));
            let mut strace = Command::new("strace");
            strace
                .args(["-qq", "-o"])
                .arg(&trace)
                .arg("-p")
                .arg(guard.to_string());
            let mut strace = Daemon::start(&mut strace);
            wait_until("strace", || {
                let status = fs::read_to_string(format!("/proc/{guard}/status")).ok()?;
                (!status.contains("TracerPid:\t0")).then_some(())
            });
            for _ in 0..3 {
                assert_eq!(
                    (greeted(FRIEND), greeted(STRANGER)),
                    ("hello\n".into(), String::new())
                );
            }
            for (rule, answer) in [
                ("ALL: ALL: aclexec sleep 0.05\n", "hello\n"),
                ("ALL: ALL: banners /srv/banners: linger 5\n", "welcome\r\n"),
                ("ALL: ALL: twist echo twisted\n", "twisted\n"),
                ("ALL: ALL: keepalive: deny\n", ""),
            ] {
                guarded.rules(rule, "ALL: ALL\n");
                assert_eq!(greeted(STRANGER), answer, "{how} {rule}: {}", daemon.output());
            }
            let mut daemon = daemon;
            daemon.signal("TERM");
            daemon.ended();
            no_guard_left();
            strace.ended();
            let text = fs::read_to_string(&trace).expect("a trace");
            let names = text
                .lines()
                .filter_map(|line| line.split_once('('))
                .map(|(name, _)| name);
            seen.extend(names.filter(|name| !name.starts_with("---")).map(str::to_owned));
        }
        let documented = documented();
        let unknown: Vec<_> = seen.difference(&documented).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(seen.len() > 15, "{seen:?}");
    });
}

/// The main thread has the filter; the threads that look up names and run commands have none.
#[test]
fn the_main_thread_alone_is_confined() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("server", &[]);
        let mut daemon = Daemon::start(guarded.run(&program).args(["edges", "7000"]));
        machine.wait_for_port("192.0.2.1:7000");
        // Before it answers a call.
        let client = connect(FRIEND, PORT).expect("a handshake");
        assert_eq!(hello(&client), "hello\n", "{}", daemon.output());
        let [guard] = guards()[..] else {
            panic!("one guard");
        };
        let mut confined = 0;
        for thread in fs::read_dir(format!("/proc/{guard}/task"))
            .expect("threads")
            .flatten()
        {
            let status = fs::read_to_string(thread.path().join("status")).expect("it lives");
            let is_main = thread.file_name().to_string_lossy() == guard.to_string();
            confined += u32::from(is_main);
            // It goes on in the guard's place where the machine is slow, and is confined then.
            if status.starts_with("Name:\twatchdog\n") {
                continue;
            }
            assert_eq!(status.contains("Seccomp:\t2"), is_main, "{status}");
        }
        assert_eq!(confined, 1);
        daemon.signal("TERM");
        daemon.ended();
        no_guard_left();
    });
}
