//! The guard outlives what it inherits, and when it dies all the same somebody is left who says so.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use supervise_tests::{FRIEND, Guarded, STRANGER, guards, no_guard_left, processes_named, talk};
use support::{Daemon, packaged, run, wait_until};

const PORT: u16 = 7000;
const JSON: &[&str] = &["--log", "json"];

fn greeted() -> bool {
    talk(FRIEND, PORT, b"").is_some_and(|answer| answer == b"hello\n")
}

fn server(guarded: &Guarded<'_>, options: &[&str], how: &str) -> Daemon {
    let program = guarded.c_program("server", &[]);
    let mut command = guarded.run_with(options, program);
    let daemon = Daemon::start(command.args([how, &PORT.to_string()]));
    guarded.machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
    daemon
}

fn watchers() -> Vec<u32> {
    processes_named("tcpwrap-watch")
}

fn signal(process: u32, signal: i32) {
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::kill(process as i32, signal) }, 0);
}

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    daemon.ended();
    no_guard_left();
    wait_until("the end of the watcher", || watchers().is_empty().then_some(()));
}

#[test]
fn every_signal_that_can_be_survived() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let daemon = server(&guarded, JSON, "edges");
        let (guard, watcher) = (guards()[0], watchers()[0]);
        for number in 1..=64 {
            if ![libc::SIGKILL, libc::SIGSTOP].contains(&number) {
                for process in [guard, watcher] {
                    signal(process, number);
                }
                assert!(greeted(), "signal {number}: {}", daemon.output());
            }
        }
        assert_eq!((guards(), watchers()), (vec![guard], vec![watcher]));
        stop(daemon);
    });
}

/// Limits that end a process, low priority, and the like are the program's, and not the guard's.
#[test]
fn nothing_that_could_end_it_is_inherited() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("server", &[]);
        let wrapped = guarded.run(&program);
        let log = machine.directory().join("log");
        let script = "echo 700 >/proc/self/oom_score_adj; umask 077; trap '' CHLD;
                      ulimit -f 0 -t 60 -v 4000000 -d 4000000; exec nice -n 15 chrt --batch 0 ionice -c 3 \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "-"]).arg(wrapped.get_program());
        command
            .args(wrapped.get_args())
            .args(["edges", &PORT.to_string()]);
        command.stderr(File::create(&log).expect("ours"));
        let mut child = command.spawn().expect("it runs");
        machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
        assert!(greeted());
        // A file it could not write under such a limit: the first byte would have ended it.
        wait_until("a log", || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.contains("connect from 192.0.2.1").then_some(())
        });
        for process in [guards()[0], watchers()[0]] {
            let of = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).expect("alive");
            let limits = of("limits");
            for limit in [
                "Max cpu time",
                "Max file size",
                "Max address space",
                "Max data size",
            ] {
                let line = limits.lines().find(|line| line.starts_with(limit)).expect(limit);
                assert_eq!(line.matches("unlimited").count(), 2, "{line}");
            }
            let stat = of("stat");
            let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
            assert_eq!((fields[16], fields[38]), ("0", "0"), "nice, scheduling: {stat}");
            assert_eq!(of("oom_score_adj").trim(), "0");
            assert!(of("status").contains("Umask:\t0022"));
            let priority = run(Command::new("ionice").args(["-p", &process.to_string()])).stdout;
            assert!(priority.starts_with(b"none"), "{priority:?}");
        }
        // The program's own are as they were.
        let own = fs::read_to_string(format!("/proc/{}/oom_score_adj", child.id())).expect("alive");
        assert_eq!(own.trim(), "700");
        child.kill().expect("ours");
        child.wait().expect("ours");
        no_guard_left();
    });
}

/// Who stops a program by its command line does not stop its guard.
#[test]
fn its_command_line_is_not_its_programs() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let mut daemon = server(&guarded, JSON, "edges");
        let found = run(Command::new("pgrep").args(["-f", "server|edges"])).stdout;
        let found: Vec<u32> = String::from_utf8_lossy(&found)
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        assert_eq!(found, [daemon.id()]);
        for (process, name) in [(guards()[0], "tcpwrap-guard"), (watchers()[0], "tcpwrap-watch")] {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).expect("alive");
            assert_eq!(line.trim_end_matches('\0'), name);
        }
        run(Command::new("pkill").args(["-f", "server|edges"]));
        daemon.ended();
        no_guard_left();
    });
}

/// What a table becomes while the guard runs must not hold it up. Nor a list that a pattern names, nor a banner.
#[test]
fn tables_that_would_be_waited_for_deny() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let daemon = server(&guarded, JSON, "edges");
        let allow = std::path::Path::new("/srv/rules/hosts.allow");
        let good = fs::read(allow).expect("ours");
        let restore = || {
            let new = machine.put("/srv/rules/new", &good);
            fs::rename(new, allow).expect("ours");
            assert!(greeted(), "{}", daemon.output());
        };
        let refused = |why: &str| {
            assert_eq!(talk(FRIEND, PORT, b""), None, "{why}");
            daemon.wait_for(why);
        };
        fs::remove_file(allow).expect("ours");
        run(Command::new("mkfifo").arg(allow));
        refused("it is a FIFO, not a regular file");
        restore();
        fs::remove_file(allow).expect("ours");
        std::os::unix::fs::symlink("/dev/zero", allow).expect("ours");
        refused("it is a device, not a regular file");
        restore();
        // Whoever opens the file otherwise waits until it is given up, 45 seconds at most.
        let lease = "import fcntl, signal, sys, time; signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
                     f = open(sys.argv[1], 'r+'); fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
                     print('held', flush=True); time.sleep(100)";
        machine.put(allow, [&good[..], b"# an edit\n"].concat());
        let holder = Daemon::start(Command::new("python3").args(["-c", lease]).arg(allow));
        holder.wait_for("held");
        refused("somebody has a lease on the file");
        drop(holder);
        restore();
        run(Command::new("mkfifo").arg("/srv/rules/fifo"));
        guarded.rules(
            &format!("ALL: /srv/rules/fifo\nALL: {FRIEND}: banners /srv/banners\n"),
            "ALL: ALL\n",
        );
        machine.put("/srv/banners/other", "");
        run(Command::new("mkfifo").arg("/srv/banners/server"));
        assert!(greeted(), "{}", daemon.output());
        stop(daemon);
    });
}

/// nginx would try again at once, for ever, with a line each in its log.
#[test]
fn nginx_is_ended_when_its_guard_is_killed() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let directory = machine.directory().display();
        let file = machine.directory().join("nginx.conf");
        let configuration = format!(
            "daemon off; master_process on; worker_processes 3; user nobody nogroup; pid {directory}/pid;\n\
             error_log stderr; events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;\n\
             fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;\n\
             server {{ listen {PORT}; return 200 ok; }} }}\n"
        );
        fs::write(&file, configuration).expect("ours");
        let mut command = guarded.run(packaged("nginx"));
        let mut daemon = Daemon::start(command.arg("-c").arg(&file));
        let ask = || talk(FRIEND, PORT, b"GET / HTTP/1.0\r\n\r\n");
        wait_until("nginx", ask);
        signal(guards()[0], libc::SIGKILL);
        daemon.ended();
        wait_until("the end of its workers", || {
            processes_named("nginx").is_empty().then_some(())
        });
        wait_until("the end of the watcher", || watchers().is_empty().then_some(()));
        let output = daemon.output();
        assert!(
            output.contains("the guard was killed by signal 9: the program is ended"),
            "{output}"
        );
        assert!(output.lines().count() < 100, "{output}");
    });
}

/// A daemon that has gone to the background, whose first process nobody knows any more, and which heeds no signal.
#[test]
fn whoever_will_not_end_is_killed() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("server", &[]);
        let log = machine.log();
        let mut command = guarded.run_with(&[], "sh");
        let script = "trap '' TERM; \"$@\" & exit 0";
        command.args(["-c", script, "-"]).arg(program);
        command.args(["edges", &PORT.to_string()]);
        run(command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::null()));
        machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
        assert!(greeted());
        signal(guards()[0], libc::SIGKILL);
        log.wait_for("error: the guard was killed by signal 9: the program is ended");
        wait_until("the end of the server", || {
            processes_named("server").is_empty().then_some(())
        });
        wait_until("the end of the watcher", || watchers().is_empty().then_some(()));
    });
}

#[test]
fn a_program_may_be_left_without_a_guard() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let mut daemon = server(&guarded, &["--log", "text", "--if-guard-dies", "refuse"], "edges");
        assert!(greeted());
        signal(guards()[0], libc::SIGKILL);
        daemon.wait_for("the guard was killed by signal 9: the program accepts nothing any more");
        wait_until("the end of the watcher", || watchers().is_empty().then_some(()));
        assert!(daemon.is_running() || daemon.ended().code() == Some(9));
    });
}

#[test]
fn a_watcher_that_is_killed_is_missed() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let daemon = server(&guarded, JSON, "edges");
        signal(watchers()[0], libc::SIGKILL);
        daemon.wait_for("the guard's watcher is gone");
        assert!(greeted());
        stop(daemon);
    });
}

/// The program makes standard error non-blocking, and nobody reads it for a while.
#[test]
fn no_line_is_lost_for_a_pipe_that_does_not_wait() {
    support::alone(|machine| {
        const CLIENTS: usize = 1000;
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("server", &[]);
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        // SAFETY: takes numbers only.
        unsafe {
            libc::fcntl(
                writer.as_raw_fd(),
                libc::F_SETFL,
                libc::O_WRONLY | libc::O_NONBLOCK,
            )
        };
        let mut command = guarded.run(program);
        command.args(["edges", &PORT.to_string()]).stderr(writer);
        let mut child = command.spawn().expect("it runs");
        drop(command);
        machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
        for _ in 0..CLIENTS {
            assert_eq!(talk(STRANGER, PORT, b""), None);
        }
        child.kill().expect("ours");
        child.wait().expect("ours");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        let refused = text
            .matches("\"message\":\"refused connect from 192.0.2.2")
            .count();
        assert_eq!(refused, CLIENTS);
        no_guard_left();
    });
}

/// What cannot be written is counted, and the count is said when something can be written again.
#[test]
fn lines_for_a_full_disk_are_counted() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs", "/srv"]));
        guarded.allow(FRIEND);
        let log = File::options()
            .append(true)
            .create(true)
            .open("/srv/log")
            .expect("ours");
        let program = guarded.c_program("server", &[]);
        let mut command = guarded.run(program);
        let mut child = command
            .args(["edges", &PORT.to_string()])
            .stderr(log)
            .spawn()
            .expect("it runs");
        machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
        let mut come = 0;
        let mut refuse = || {
            assert_eq!(talk(STRANGER, PORT, b""), None);
            come += 1;
        };
        // Whoever writes the lines does so in his own time: not each time while there is no room.
        wait_until("the count", || {
            let rest = fs::write("/srv/rest", vec![0; 8 << 20]);
            assert_eq!(rest.expect_err("no room").kind(), ErrorKind::StorageFull);
            for _ in 0..60 {
                refuse();
            }
            fs::remove_file("/srv/rest").expect("ours");
            refuse();
            let now = fs::read_to_string("/srv/log").expect("text");
            now.contains("lines lost").then_some(())
        });
        child.kill().expect("ours");
        child.wait().expect("ours");
        no_guard_left();
        let text = fs::read_to_string("/srv/log").expect("text");
        // The first one that did not fit stands there in part.
        let whole = text.split("{\"time\":").filter(|line| line.ends_with("}\n"));
        let lost: usize = whole
            .clone()
            .filter_map(|line| {
                let (_, count) = line.split_once("could not be written: ")?;
                count.split(' ').next()?.parse::<usize>().ok()
            })
            .sum();
        let written = whole.filter(|line| line.contains("refused connect")).count();
        assert_eq!((written + lost, lost > 0), (come, true), "{text}");
    });
}

/// Text that would end a line, move the cursor or turn what follows around is shown, not obeyed.
#[test]
fn log_lines_hold_nothing_hidden() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let hidden = "\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}\u{200f}";
        guarded.rules("", &format!("ALL: x{hidden}y ALL\n"));
        for format in ["json", "text"] {
            let program = guarded.c_program("server", &[]);
            let mut command = guarded.run_with(&["--log", format, &format!("--name=s{hidden}")], program);
            let mut daemon = Daemon::start(command.args(["edges", &PORT.to_string()]));
            machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
            assert_eq!(talk(STRANGER, PORT, b""), None);
            daemon.wait_for("refused connect from 192.0.2.2");
            daemon.signal("TERM");
            daemon.ended();
            let output = daemon.output();
            assert!(!output.contains(|c| hidden.contains(c)), "{output:?}");
            if format == "json" {
                let line = output
                    .lines()
                    .find(|line| line.contains("192.0.2.2"))
                    .expect("a line");
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert!(
                    line["rule"].as_str().is_some_and(|rule| rule.contains(hidden)),
                    "{line}"
                );
            }
            no_guard_left();
        }
    });
}
