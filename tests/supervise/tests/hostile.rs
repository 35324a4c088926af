//! Hostile programs and hostile clients beside good ones: nobody gets what the rules refuse, nobody good is lost or kept
//! waiting, and the guard stays as it was. A few seconds each; `TCPWRAP_HOSTILE_SECONDS` makes it longer, and strict
//! about time.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use std::process::Command;
use std::time::{Duration, Instant};

use supervise_tests::{FRIEND, FileSystem, Guarded, STRANGER, descriptors, dns, guards, no_guard_left, talk};
use support::{Daemon, run, wait_until};

const PORT: u16 = 7000;

/// How long to go on, and whether it was asked for.
fn length() -> (Duration, bool) {
    let asked = std::env::var("TCPWRAP_HOSTILE_SECONDS").ok();
    let seconds = asked
        .as_ref()
        .map_or(5, |text| text.parse().expect("a number of seconds"));
    (Duration::from_secs(seconds), asked.is_some())
}

/// The kilobytes that the guard has in memory.
fn resident(guard: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{guard}/status")).expect("alive");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .expect("a number")
}

/// A good server that is served all the while.
struct Good {
    guard: u32,
    slowest: Duration,
    visits: usize,
}

impl Good {
    fn new() -> Self {
        let [guard] = guards()[..] else {
            panic!("one guard");
        };
        Good {
            guard,
            slowest: Duration::ZERO,
            visits: 0,
        }
    }

    /// A friend and a stranger come.
    fn visit(&mut self, daemon: &Daemon) {
        let start = Instant::now();
        let answer = talk(FRIEND, PORT, b"").unwrap_or_default();
        assert_eq!(
            answer,
            b"hello\n",
            "after {} visits: {}",
            self.visits,
            last(daemon)
        );
        self.slowest = self.slowest.max(start.elapsed());
        assert_eq!(talk(STRANGER, PORT, b""), None, "{}", last(daemon));
        self.visits += 1;
    }

    fn finish(self, is_strict: bool) {
        println!("{} visits, the slowest {:?}", self.visits, self.slowest);
        assert!(
            !is_strict || self.slowest < Duration::from_secs(1),
            "{:?}",
            self.slowest
        );
    }
}

/// The end of what it has said, which may be much.
fn last(daemon: &Daemon) -> String {
    let output = daemon.output();
    let lines: Vec<_> = output.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A program that does anything beside a good one, both under one guard.
fn beside_a_hostile_program(guarded: &Guarded<'_>, files: Option<FileSystem>) {
    let (length, is_strict) = length();
    let machine = guarded.machine;
    let (server, hostile) = (
        guarded.c_program("server", &[]),
        guarded.c_program("hostile", &[]),
    );
    let setuid = machine.directory().join("setuid");
    fs::copy(&hostile, &setuid).expect("a copy");
    fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).expect("ours");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.expect("after 1970").subsec_nanos() % 1_000_000;
    println!("seed {seed}");
    machine.address("2001:db8::1/64");
    machine.address("2001:db8::2/64");
    guarded.rules(&format!("ALL: {FRIEND}, [2001:db8::1]\n"), "ALL: ALL\n");
    let device =
        "mknod -m 666 /dev/userfaultfd c 10 \"$(awk '$2 == \"userfaultfd\" { print $1 }' /proc/misc)\"";
    run(Command::new("sh").args(["-c", device]));
    let mut command = guarded.run("sh");
    let script = "exec 3>&1; hostile=$1 server=$2 port=$3; shift 3;
                  setpriv --reuid=65534 --regid=65534 --clear-groups \"$hostile\" \"$@\" & exec \"$server\" edges \"$port\"";
    command.args(["-c", script, "-"]).arg(&hostile).arg(&server);
    command.arg(PORT.to_string());
    command
        .args([seed.to_string(), length.as_secs().to_string()])
        .arg(&setuid);
    command.args(files.as_ref().map(FileSystem::file));
    let mut daemon = Daemon::start(&mut command);
    machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
    let mut good = Good::new();
    good.visit(&daemon);
    let start = Instant::now();
    let before = (resident(good.guard), descriptors(good.guard));
    while start.elapsed() < length {
        good.visit(&daemon);
    }
    daemon.wait_for("calls ");
    let output = daemon.output();
    assert!(output.contains("userfaultfd\n"), "{output}");
    let said = output
        .lines()
        .find(|line| line.starts_with("calls "))
        .expect("waited for");
    println!("{said}");
    assert!(said.ends_with(" refused 0"), "{said}");
    // Waiting for its own files it does not get far.
    assert!(files.is_some() || !said.contains("allowed 0 "), "{said}");
    let guard = good.guard;
    wait_until("the guard's descriptors", || {
        (descriptors(guard) <= before.1 + KEPT).then_some(())
    });
    good.visit(&daemon);
    let after = resident(guard);
    assert!(
        after < before.0 + 8192,
        "{} kB before, {after} kB after",
        before.0
    );
    good.finish(is_strict);
    daemon.signal("TERM");
    // What waits for it is let go.
    drop(files);
    daemon.ended();
    no_guard_left();
}

/// The guard keeps 256 threads at hand, and 64 that were killed while they waited, with two descriptors each; and the
/// memory of these.
const KEPT: usize = 2 * 256 + 3 * 64;

#[test]
fn a_hostile_program_beside_a_good_one() {
    support::alone_for(100_000, |machine| {
        beside_a_hostile_program(&Guarded::new(machine), None)
    });
}

/// The same, with a file system that is slow to answer who closes its file, or reads memory that is to come from it.
#[test]
fn a_hostile_program_with_a_file_system_of_its_own() {
    support::alone_for(100_000, |machine| {
        let guarded = Guarded::new(machine);
        let files = FileSystem::mount(&guarded, Some(400));
        beside_a_hostile_program(&guarded, Some(files));
    });
}

/// Clients in every state, refused, twisted, sent banners and looked up, beside good ones.
#[test]
fn hostile_clients_beside_good_ones() {
    support::alone_for(100_000, |machine| {
        let (length, is_strict) = length();
        let guarded = Guarded::new(machine);
        for last in 3..10 {
            machine.address(&format!("192.0.2.{last}/24"));
        }
        // What they may try.
        for (setting, value) in [
            ("ipv4/conf/all/accept_source_route", "1"),
            ("ipv4/conf/lo/accept_source_route", "1"),
            ("ipv4/tcp_fastopen", "3"),
        ] {
            fs::write(format!("/proc/sys/net/{setting}"), value).expect("ours");
        }
        dns::serve(machine, Some(Duration::from_millis(300)));
        machine.put("/srv/banners/server", "no\n".repeat(10_000));
        let allow = format!(
            "ALL: {FRIEND}\nALL: 192.0.2.3: banners /srv/banners: deny\n\
             ALL: 192.0.2.4: twist head -c 1000000 /dev/zero\nALL: 192.0.2.5: linger 20: deny\n\
             ALL: 192.0.2.6: keepalive: allow\nALL: host7.example\nALL: 192.0.2.8: spawn true: deny\n"
        );
        guarded.rules(&allow, "ALL: ALL\n");
        // Others are gone without a word, with their whole network.
        let mute = machine.neighbour("mute", &["198.51.100.1/24"], &["198.51.100.2/24"]);
        let program = guarded.c_program("server", &[]);
        let clients = guarded.c_program("clients", &[]);
        // Some of them stay for as long as this takes.
        let wrapped = guarded.run(program);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n \"$(ulimit -H -n)\"; exec \"$@\"", "-"]);
        command.arg(wrapped.get_program()).args(wrapped.get_args());
        let mut daemon = Daemon::start(command.args(["edges", &PORT.to_string(), "patient"]));
        machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
        let mut good = Good::new();
        good.visit(&daemon);
        let before = (resident(good.guard), descriptors(good.guard));

        let silent = "import socket, sys, time\nall = [socket.create_connection(('198.51.100.1', 7000)) for _ in range(50)]\n\
                      print('there', flush=True); time.sleep(1000)";
        let mut silent = Daemon::start(mute.command("python3").args(["-c", silent]));
        silent.wait_for("there");
        run(mute.command("ip").args(["link", "set", "eth0", "down"]));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.expect("after 1970").subsec_nanos() % 1_000_000;
        println!("seed {seed}");
        let mut all: Vec<_> = (0..3u32)
            .map(|n| {
                let mut command = Command::new(&clients);
                command
                    .arg((seed + n).to_string())
                    .arg(length.as_secs().to_string());
                Daemon::start(command.args([&PORT.to_string(), "2", "9"]))
            })
            .collect();
        let start = Instant::now();
        while start.elapsed() < length {
            good.visit(&daemon);
        }
        for client in &mut all {
            assert!(client.ended().success());
            println!("{}", client.output().trim());
        }
        assert!(silent.is_running());
        drop(silent);
        let guard = good.guard;
        wait_until("the guard's descriptors", || {
            (descriptors(guard) <= before.1 + SPARE).then_some(())
        });
        good.visit(&daemon);
        let after = resident(guard);
        assert!(
            after < before.0 + 16384,
            "{} kB before, {after} kB after",
            before.0
        );
        good.finish(is_strict);
        daemon.signal("TERM");
        daemon.ended();
        drop(daemon);
        no_guard_left();
    });
}

/// Descriptors of threads at hand, of the name service and the like.
const SPARE: usize = 16;
