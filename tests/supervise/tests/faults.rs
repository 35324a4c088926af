//! What goes wrong around the guard: names that come late or never, tables that vanish, clients that
//! leave, descriptors that run out. And options, which need no fault.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use supervise_tests::{
    FRIEND, Guarded, STRANGER, connect, descriptors, dns, guards, has_answer, hello, memory, no_guard_left,
    talk, with_little_room,
};
use support::{Daemon, wait_until};

const PORT: u16 = 7000;

/// Starts `programs/server.c`, and waits until it listens.
fn server(guarded: &Guarded<'_>, options: &[&str], how: &str) -> Daemon {
    let program = guarded.c_program("server", &[]);
    let port = PORT.to_string();
    let daemon = Daemon::start(guarded.run_with(options, program).args([how, &port]));
    guarded.machine.wait_for_port(&format!("192.0.2.1:{port}"));
    daemon
}

const JSON: &[&str] = &["--log", "json"];

fn greeted(from: &str) -> bool {
    talk(from, PORT, b"").is_some_and(|answer| answer == b"hello\n")
}

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    daemon.ended();
    no_guard_left();
}

/// A name that comes late delays its own client, and nobody else.
fn late_names(guarded: &Guarded<'_>, names: &dns::Held, how: &str) {
    names.hold();
    guarded.rules(&format!("ALL: {FRIEND}\nALL: host2.example\n"), "ALL: ALL\n");
    let daemon = server(guarded, JSON, how);
    // Nothing has been asked yet; this one is decided by its address.
    assert!(greeted(FRIEND), "{how}");
    let late = connect(STRANGER, PORT).expect("a handshake");
    names.wait_until_asked();
    let start = Instant::now();
    for _ in 0..5 {
        assert!(greeted(FRIEND), "{how}");
        assert!(!has_answer(&late), "{how}: nobody waited for its name");
    }
    let took = start.elapsed().as_secs_f64() * 1000.0;
    names.release();
    assert_eq!(hello(&late), "hello\n", "{how}");
    drop(late);
    // Known for a while now.
    assert!(greeted(STRANGER), "{how}");
    // A third, refused by its name: 192.0.2.3 is not in the rules.
    assert_eq!(talk("192.0.2.3", PORT, b""), None, "{how}");
    assert!(greeted(FRIEND), "{how}");
    daemon.wait_for("\"name_lookup_ms\":");
    let output = daemon.output();
    assert!(output.contains("\"client_name\":\"host2.example\""), "{output}");
    let told = output
        .split("\"name_lookup_ms\":")
        .nth(1)
        .expect("how long it took");
    let told = told
        .split([',', '}'])
        .next()
        .and_then(|told| told.parse::<f64>().ok());
    assert!(
        told.is_some_and(|told| told >= took),
        "{took} ms at least: {output}"
    );
    let of_stranger = |line: &&str| line.contains("host2.example") && line.contains("name_lookup_ms");
    assert_eq!(output.lines().filter(of_stranger).count(), 1, "{output}");
    stop(daemon);
}

#[test]
fn trials_and_what_is_not_known_are_in_the_log() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: trial: deny\nALL: {nation=1}\nALL: ALL\n", "ALL: ALL\n");
        let daemon = server(&guarded, JSON, "threads");
        assert!(greeted(FRIEND));
        daemon.wait_for("\"event\":\"connection\"");
        let output = daemon.output();
        for said in [
            "\"notes\":[{\"kind\":\"trial\",\"file\":",
            "\"line\":1,\"rule\":\"ALL: ALL: trial: deny\",\"verdict\":\"denied\"},{\"kind\":\"not known\",",
            "\"line\":2,\"rule\":\"ALL: {nation=1}\",\"causes\":[\"",
        ] {
            assert!(output.contains(said), "{said}: {output}");
        }
        stop(daemon);
    });
}

#[test]
fn late_names_delay_their_own_clients_only() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.address("192.0.2.3/24");
        let names = dns::Held::serve(machine);
        for how in ["threads", "processes", "levels", "edges", "poll", "fork"] {
            // Names are remembered by each guard for itself.
            late_names(&guarded, &names, how);
        }
    });
}

/// The first client is there before the first `accept`, and its name comes late: the call waits as it would
/// without a guard.
#[test]
fn a_late_name_before_the_first_call() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_millis(300)));
        guarded.rules("ALL: host1.example\n", "ALL: ALL\n");
        let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a listener");
        let program = guarded.c_program("server", &[]);
        for how in ["fork", "threads", "poll"] {
            let first = connect(FRIEND, PORT).expect("a handshake");
            let shared = OwnedFd::from(listener.try_clone().expect("a descriptor"));
            let mut command = guarded.run(&program);
            let daemon = Daemon::start(command.args([how, "0"]).stdin(shared));
            assert_eq!(hello(&first), "hello\n", "{how}: {}", daemon.output());
            assert!(!daemon.output().contains("told of one"), "{how}: the call waits");
            drop(first);
            assert!(
                greeted(FRIEND) && !greeted(STRANGER),
                "{how}: {}",
                daemon.output()
            );
            stop(daemon);
        }
    });
}

#[test]
fn a_name_server_that_never_answers_holds_up_nobody_else() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, None);
        guarded.rules(&format!("ALL: {FRIEND}\nALL: .example\n"), "ALL: ALL\n");
        for how in ["edges", "threads"] {
            let daemon = server(&guarded, JSON, how);
            let stuck: Vec<_> = (0..50)
                .map(|_| connect(STRANGER, PORT).expect("a handshake"))
                .collect();
            for _ in 0..1000 {
                assert!(greeted(FRIEND), "{how}");
            }
            for stream in &stuck {
                stream.set_nonblocking(true).expect("a socket");
                let error = (&*stream).read(&mut [0]).expect_err("nothing yet");
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{how}");
            }
            stop(daemon);
        }
    });
}

/// Comes 40 times, from two addresses in turn.
fn many() -> Vec<TcpStream> {
    let from = [FRIEND, STRANGER].into_iter().cycle();
    from.take(40)
        .map(|from| connect(from, PORT).expect("a handshake"))
        .collect()
}

#[test]
fn more_undecided_connections_than_there_is_room_for() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_millis(700)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let program = guarded.c_program("server", &[]);
        for how in ["edges", "levels", "fork"] {
            let mut command = with_little_room(&guarded, &program);
            let daemon = Daemon::start(command.args([how, &PORT.to_string()]));
            machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
            for client in many() {
                assert_eq!(hello(&client), "hello\n", "{how}: {}", daemon.output());
            }
            stop(daemon);
        }
    });
}

/// They are there before the program, which has never found its listener without clients. It waits until it
/// is known what becomes of them, as it would wait for a client.
#[test]
fn more_undecided_connections_before_the_first_call_than_there_is_room_for() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        dns::serve(machine, Some(Duration::from_millis(300)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let program = guarded.c_program("server", &[]);
        for how in ["edges", "levels", "fork"] {
            let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a listener");
            let clients = many();
            let mut command = with_little_room(&guarded, &program);
            let daemon = Daemon::start(command.args([how, "0"]).stdin(OwnedFd::from(listener)));
            for client in clients {
                assert_eq!(hello(&client), "hello\n", "{how}: {}", daemon.output());
            }
            assert!(!daemon.output().contains("told of one"), "{how}: calls wait");
            stop(daemon);
        }
    });
}

#[test]
fn tables_that_vanish_or_break() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let daemon = server(&guarded, JSON, "edges");
        assert!(greeted(FRIEND) && !greeted(STRANGER));
        // No tables, no rules: that is what the language says.
        for table in ["hosts.allow", "hosts.deny"] {
            fs::rename(format!("/srv/rules/{table}"), format!("/srv/{table}")).expect("ours");
        }
        assert!(greeted(FRIEND) && greeted(STRANGER));
        for table in ["hosts.allow", "hosts.deny"] {
            fs::rename(format!("/srv/{table}"), format!("/srv/rules/{table}")).expect("ours");
        }
        assert!(greeted(FRIEND) && !greeted(STRANGER));
        // Without the directory that was named nobody is let in, which is said once, as is its return.
        fs::rename("/srv/rules", "/srv/away").expect("ours");
        for _ in 0..3 {
            assert!(!greeted(FRIEND) && !greeted(STRANGER));
        }
        fs::rename("/srv/away", "/srv/rules").expect("ours");
        for _ in 0..3 {
            assert!(greeted(FRIEND) && !greeted(STRANGER));
        }
        daemon.wait_for("/srv/rules is back");
        for said in ["/srv/rules is gone: nobody is let in", "/srv/rules is back"] {
            let output = daemon.output();
            assert_eq!(output.matches(said).count(), 1, "{output}");
        }
        // A deny table without its last newline is in error from there on.
        guarded.rules("ALL: 192.0.2.1\n", "nobody: 10.0.0.1");
        for _ in 0..5 {
            assert!(greeted(FRIEND) && !greeted(STRANGER));
        }
        let said = || {
            daemon
                .output()
                .matches("missing newline or line too long")
                .count()
        };
        daemon.wait_for("missing newline");
        assert_eq!(said(), 1, "{}", daemon.output());
        // A directory cannot be read as a table: nobody but those it does not concern.
        fs::remove_file("/srv/rules/hosts.deny").expect("ours");
        fs::create_dir("/srv/rules/hosts.deny").expect("ours");
        for _ in 0..5 {
            assert!(greeted(FRIEND) && !greeted(STRANGER));
        }
        daemon.wait_for("hosts.deny: ");
        let cannot = daemon.output().matches("cannot open").count()
            + daemon.output().matches("Is a directory").count();
        assert!((1..=2).contains(&cannot), "{}", daemon.output());
        stop(daemon);
    });
}

#[test]
fn options_about_the_process_are_reported_and_deny() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("server, ftpd: ALL: umask 022\n", "");
        let program = guarded.c_program("server", &[]);
        let done = guarded
            .run(&program)
            .args(["edges", "7000"])
            .output()
            .expect("it runs");
        assert_eq!(done.status.code(), Some(125));
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            text.contains("/srv/rules/hosts.allow, line 1: option \"umask\""),
            "{text}"
        );
        no_guard_left();

        guarded.allow(FRIEND);
        let daemon = server(&guarded, JSON, "edges");
        guarded.rules(
            "ftpd: ALL: nice\n\nserver: 192.0.2.2: setenv A b\nALL: 192.0.2.1\n",
            "",
        );
        assert!(greeted(FRIEND));
        daemon.wait_for("hosts.allow, line 3: option \\\"setenv\\\"");
        assert!(!greeted(STRANGER));
        assert!(!daemon.output().contains("line 1"), "{}", daemon.output());
        stop(daemon);
    });
}

#[test]
fn every_other_option_works() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let log = machine.log();
        machine.put("/srv/banners/server", "welcome %a\n");
        machine.put("/etc/hosts", "127.0.0.1 localhost\n192.0.2.2 stranger.example\n");
        for how in ["edges", "threads", "poll"] {
            log.clear();
            guarded.rules(
                "server@192.0.2.1: 192.0.2.2: twist echo twisted by %d for %n; cat\n\
                 7000: 192.0.2.1: banners /srv/banners: spawn echo %a %p > /srv/spawned: keepalive: linger 5: severity mail.notice\n",
                "ALL: ALL\n",
            );
            let mut daemon = server(&guarded, &[], how);
            // The one that waited for the port.
            log.wait_for("connect from 192.0.2.1");
            let friend = connect(FRIEND, PORT).expect("a handshake");
            let mut lines = BufReader::new(&friend).lines();
            assert_eq!(lines.next().expect("a line").expect("text"), "welcome 192.0.2.1");
            assert_eq!(lines.next().expect("a line").expect("text"), "hello");
            let entry = log.wait_for("connect from 192.0.2.1 (192.0.2.1)");
            assert_eq!((entry.facility(), entry.level()), (2 << 3, 5));
            let spawned = wait_until("the spawned command", || {
                fs::read_to_string("/srv/spawned").ok().filter(|s| !s.is_empty())
            });
            if how != "processes" {
                assert_eq!(spawned, format!("192.0.2.1 {}\n", daemon.id()));
            }
            drop(friend);
            let mut stranger = connect(STRANGER, PORT).expect("a handshake");
            assert_eq!(hello(&stranger), "twisted by server for stranger.example\n");
            log.wait_for("twist stranger.example to echo twisted by server for stranger.example; cat");
            stranger.write_all(b"and back\n").expect("it reads");
            assert_eq!(hello(&stranger), "and back\n");
            let [guard] = guards()[..] else {
                panic!("one guard");
            };
            let children =
                || fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).unwrap_or_default();
            drop(stranger);
            wait_until("the end of the twisted command", || {
                children().is_empty().then_some(())
            });
            guarded.rules("server: ALL: aclexec test %a = 192.0.2.1\n", "ALL: ALL\n");
            assert!(greeted(FRIEND) && !greeted(STRANGER), "{how}");
            log.wait_for("refused connect from");
            assert!(daemon.is_running());
            stop(daemon);
        }
    });
}

/// Clients that reset before they are accepted, close one side, or behave. As many end as come.
fn storm(seconds: u64, daemon: &Daemon) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut n = thread;
                // Some hundreds, however slow the machine is.
                while Instant::now() < end || n < thread + 200 {
                    n += 1;
                    let Ok(stream) = connect(FRIEND, PORT) else {
                        continue;
                    };
                    match n % 5 {
                        0 => {
                            let socket = socket2::Socket::from(stream);
                            socket.set_linger(Some(Duration::ZERO)).expect("a socket");
                        }
                        1 => drop(stream.shutdown(std::net::Shutdown::Write)),
                        2 => drop(connect(STRANGER, PORT)),
                        _ if hello(&stream) == "hello\n" => (),
                        _ => return None,
                    }
                }
                Some(n - thread)
            })
        })
        .collect();
    let counts: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect();
    let Some(count) = counts.into_iter().sum::<Option<u64>>() else {
        let said = daemon.output();
        let last: Vec<_> = said.lines().rev().take(5).collect();
        panic!("a client had no answer; the server's last words, backwards: {last:#?}");
    };
    println!("{count} connections in {seconds} s");
}

/// The guard has no descriptors left: nobody is lost, nobody gets past it, and it goes on as soon as it can.
#[test]
fn a_guard_without_descriptors() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        for how in ["threads", "levels", "edges", "poll"] {
            let program = guarded.c_program("server", &[]);
            let mut command = guarded.run(program);
            let daemon = Daemon::start(command.args([how, &PORT.to_string(), "patient"]));
            machine.wait_for_port(&format!("192.0.2.1:{PORT}"));
            assert!(greeted(FRIEND) && !greeted(STRANGER), "{how}");
            let [guard] = guards()[..] else {
                panic!("one guard");
            };
            let limit = |most: usize| {
                let guard = guard.to_string();
                let most = format!("--nofile={most}:");
                support::run(Command::new("prlimit").args(["--pid", &guard, &most]));
            };
            let open = descriptors(guard);
            for most in [open, open / 2, 0] {
                limit(most);
                // Fewer than the server has threads, which each stay with a client.
                let clients: Vec<_> = (0..12)
                    .map(|n| connect(if n % 2 == 0 { FRIEND } else { STRANGER }, PORT).expect("a handshake"))
                    .collect();
                if most == 0 {
                    daemon.wait_for("Too many open files");
                }
                std::thread::sleep(Duration::from_millis(100));
                limit(1000);
                for (n, client) in clients.into_iter().enumerate() {
                    let answer = if n % 2 == 0 { "hello\n" } else { "" };
                    assert_eq!(hello(&client), answer, "{how} {most} {n}: {}", daemon.output());
                }
            }
            assert!(greeted(FRIEND) && !greeted(STRANGER), "{how}");
            stop(daemon);
        }
    });
}

/// A process outside accepts from the same socket, which blocks, and is often faster than the guard.
#[test]
fn a_listener_shared_with_somebody_outside() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a listener");
        let shared = |listener: &TcpListener| OwnedFd::from(listener.try_clone().expect("a descriptor"));
        let program = guarded.c_program("server", &[]);
        let mut command = guarded.run_with(&["--log", "text"], program);
        let mut daemon = Daemon::start(command.args(["threads", "0"]).stdin(shared(&listener)));
        let outside = TcpListener::from(shared(&listener));
        std::thread::spawn(move || {
            for stream in outside.incoming() {
                stream
                    .and_then(|mut stream| stream.write_all(b"hello\n"))
                    .expect("a client");
            }
        });
        let end = Instant::now() + Duration::from_secs(3);
        let mut count = 0;
        let guarded = || daemon.output().matches("connect from").count();
        // Until both sides have had some of them.
        while Instant::now() < end || guarded() == 0 || guarded() == count {
            // Some at once, so that each side has its chance.
            let streams: Vec<_> = (0..8)
                .map(|_| connect(FRIEND, PORT).expect("a handshake"))
                .collect();
            for stream in &streams {
                assert_eq!(hello(stream), "hello\n");
            }
            count += streams.len();
        }
        daemon.signal("TERM");
        daemon.ended();
        no_guard_left();
    });
}

/// For eight seconds, or `TCPWRAP_SOAK` of them; `cargo test … -- --nocapture` shows what was counted.
#[test]
fn a_storm_leaves_nothing_behind() {
    let seconds = std::env::var("TCPWRAP_SOAK")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(8);
    support::alone_for(3 * seconds + 270, |machine| {
        let guarded = Guarded::new(machine);
        guarded.allow("192.0.2.1: keepalive");
        let daemon = server(&guarded, &["--log", "text"], "edges");
        let [guard] = guards()[..] else {
            panic!("one guard");
        };
        storm(2, &daemon);
        let open = descriptors(guard);
        // What is kept of every connection grows each time.
        let grows = (0..3).all(|_| {
            let before = memory();
            storm(seconds, &daemon);
            assert!(greeted(FRIEND) && !greeted(STRANGER));
            println!("kB before {before} after {}", memory());
            memory() >= before + 2048
        });
        assert!(!grows, "{} kB", memory());
        wait_until("descriptors to be closed", || {
            (descriptors(guard) <= open + 1).then_some(())
        });
        wait_until("the server to close its own", || {
            (descriptors(daemon.id()) < 10).then_some(())
        });
        stop(daemon);
    });
}

#[test]
fn many_connections_that_go_before_they_are_accepted() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL\n", "");
        let program = guarded.c_program("aborts", &[]);
        let bare = support::run(&mut Command::new(&program)).stdout;
        let watched = support::run(
            guarded
                .run_with(&["--log", "text"], &program)
                .stderr(std::process::Stdio::null()),
        )
        .stdout;
        assert_eq!(String::from_utf8_lossy(&watched), String::from_utf8_lossy(&bare));
        assert!(bare.starts_with(b"accepted 50000 "));
    });
}

#[test]
fn too_few_descriptors_are_an_error_that_says_so() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let wrapped = guarded.run("true");
        for (limit, status) in [("10", 125), ("32", 0)] {
            let mut command = Command::new("sh");
            command.args(["-c", "ulimit -n $0; exec \"$@\"", limit]);
            command.arg(wrapped.get_program()).args(wrapped.get_args());
            let done = command.output().expect("sh");
            let text = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(status), "{text}");
            assert_eq!(text.contains("(ulimit -n) is too low"), status == 125, "{text}");
            no_guard_left();
        }
    });
}
