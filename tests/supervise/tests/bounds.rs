//! The guard waits for nobody: not for a client that does not answer, and not for names beyond a client's share.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use supervise_tests::{
    FRIEND, Guarded, STRANGER, connect, connect_to, descriptors, dns, guards, has_answer, hello, memory,
    no_guard_left,
};
use support::{Daemon, Machine, run, wait_until};

const PORT: u16 = 7000;

fn listener(address: &str) -> Socket {
    let address = SocketAddr::new(address.parse().expect("an address"), PORT);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket");
    socket.bind(&address.into()).expect("the port");
    socket.listen(1024).expect("a listener");
    socket
}

fn stop(mut daemon: Daemon) {
    daemon.signal("TERM");
    daemon.ended();
    no_guard_left();
}

/// Starts the server under a guard that has so many descriptors.
fn with_descriptors(count: u32, wrapped: &Command) -> Daemon {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {count}; exec \"$@\""), "-"]);
    command.arg(wrapped.get_program()).args(wrapped.get_args());
    command
        .args(["edges", "0"])
        .stdin(OwnedFd::from(listener("0.0.0.0")));
    Daemon::start(&mut command)
}

fn friend() -> TcpStream {
    connect(FRIEND, PORT).expect("a handshake")
}

/// Connections from a machine that is cut off before anybody accepts them.
fn silent_clients(machine: &Machine, name: &str, count: usize) -> Vec<Daemon> {
    let neighbour = machine.neighbour(name, &["10.9.0.1/24"], &["10.9.0.2/24"]);
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = neighbour.command("bash");
            client.args([
                "-c",
                "exec 3<>/dev/tcp/10.9.0.1/7000; echo connected; exec sleep 100",
            ]);
            let client = Daemon::start(&mut client);
            client.wait_for("connected");
            client
        })
        .collect();
    run(Command::new("ip").args(["link", "set", &format!("to-{name}"), "down"]));
    clients
}

/// A listener that has `close` wait for its clients, and rules that do: neither makes the guard wait.
#[test]
fn refused_clients_that_never_acknowledge() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let cases = [
            (None, "ALL: 10.9.0.2: linger 60: deny\n"),
            (Some(60), "ALL: 10.9.0.2: deny\n"),
            (Some(60), "ALL: 10.9.0.2: banners /srv/banners: deny\n"),
        ];
        machine.put("/srv/banners/server", "go away\n");
        let program = guarded.c_program("server", &[]);
        for (n, (linger, rule)) in cases.into_iter().enumerate() {
            let listener = listener("0.0.0.0");
            listener
                .set_linger(linger.map(Duration::from_secs))
                .expect("a socket");
            guarded.rules(&format!("{rule}ALL: {FRIEND}\n"), "ALL: ALL\n");
            let _silent = silent_clients(machine, &format!("far{n}"), 3);
            let friend = friend();
            let mut command = guarded.run(&program);
            let daemon = Daemon::start(command.args(["edges", "0"]).stdin(OwnedFd::from(listener)));
            drop(command);
            assert_eq!(hello(&friend), "hello\n", "{rule}: {}", daemon.output());
            daemon.wait_for("\"client_address\":\"10.9.0.2\"");
            stop(daemon);
            run(Command::new("ip").args(["link", "delete", &format!("to-far{n}")]));
        }
    });
}

/// Of a client that was granted the program's descriptor may be closed before the guard's, which then is the one that would
/// wait: the guard is held back for that.
#[test]
fn granted_clients_that_never_acknowledge() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL\n", "");
        let listener = listener("0.0.0.0");
        // Longer than anybody has patience.
        let linger = Some(Duration::from_secs(600));
        listener.set_linger(linger).expect("a socket");
        // Another process closes it last, without waiting as it ends: where the guard was faster, none of these waits.
        let script = "$SIG{CHLD} = 'IGNORE';
            while (accept(my $c, STDIN)) {
                syswrite($c, qq(hello\\n));
                pipe(my $closed, my $open);
                unless (fork) { close($open); sysread($closed, my $end, 1); kill(KILL => $$); }
                close($c);
            }";
        let mut command = guarded.run("perl");
        let daemon = Daemon::start(command.args(["-e", script]).stdin(OwnedFd::from(listener)));
        drop(command);
        assert_eq!(hello(&friend()), "hello\n", "{}", daemon.output());
        let [guard] = guards()[..] else {
            panic!("one guard");
        };
        let mut strace = Command::new("strace");
        let trace = machine.directory().join("trace");
        strace.args(["-p", &guard.to_string(), "-e", "trace=ioctl,close", "-o"]);
        strace.arg(&trace);
        let strace = Daemon::start(strace.args(["-e", "inject=ioctl:delay_exit=50ms"]));
        strace.wait_for("attached");
        daemon.signal("STOP");
        let _silent = silent_clients(machine, "far", 3);
        let friend = friend();
        daemon.signal("CONT");
        assert_eq!(hello(&friend), "hello\n", "{}", daemon.output());
        // Another thread may have gone on with the guard where the machine is slow; this one is in no `close` either.
        wait_until("the end of each close", || {
            let trace = std::fs::read_to_string(&trace).ok()?;
            let closes = trace.lines().filter(|line| line.starts_with("close("));
            let mut closes = closes.peekable();
            closes.peek()?;
            closes.all(|line| line.contains(" = ")).then_some(())
        });
        drop(strace);
        stop(daemon);
    });
}

/// One client whose name never comes leaves room for others, also at its own listener.
#[test]
fn a_client_has_its_share_of_a_listener() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.address("192.0.2.3/24");
        machine.put("/etc/hosts", "192.0.2.3 host3.example\n");
        dns::serve(machine, None);
        guarded.rules(&format!("ALL: {FRIEND}\nALL: .example\n"), "ALL: ALL\n");
        let program = guarded.c_program("server", &[]);
        // Room for 128 connections, 96 of them of one listener.
        let daemon = with_descriptors(512, &guarded.run(&program));
        let late: Vec<_> = (0..200)
            .map(|_| connect(STRANGER, PORT).expect("a handshake"))
            .collect();
        assert_eq!(hello(&friend()), "hello\n", "{}", daemon.output());
        let other = connect("192.0.2.3", PORT).expect("a handshake");
        assert_eq!(hello(&other), "hello\n", "{}", daemon.output());
        daemon.wait_for("refused connect from 192.0.2.2: too many from there wait");
        // Those within the share still wait.
        wait_until("the end of those beyond it", || {
            (late.iter().filter(|client| !has_answer(client)).count() == 48).then_some(())
        });
        stop(daemon);
    });
}

/// A command that has a connection lasts as long as its client likes, and takes a descriptor of the guard's: it counts. But
/// nobody else waits for its end.
#[test]
fn a_client_has_its_share_of_commands() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let allow = format!("ALL: {FRIEND}\nALL: ALL: twist echo twisted; exec cat\n");
        guarded.rules(&allow, "");
        let program = guarded.c_program("server", &[]);
        // There may be 128 commands, 48 of one client.
        let daemon = with_descriptors(1024, &guarded.run(&program));
        let from = |address: &str| connect(address, PORT).expect("a handshake");
        let all_twisted = |address: &str, count| -> Vec<_> {
            let clients = (0..count).map(|_| from(address));
            let checked = clients.inspect(|client| {
                assert_eq!(hello(client), "twisted\n", "{}", daemon.output());
            });
            checked.collect()
        };
        // A command counts from the moment when the guard hears that it has begun.
        let is_refused = |address: &str| {
            wait_until("a refusal", || hello(&from(address)).is_empty().then_some(()));
        };
        let clients = all_twisted(STRANGER, 48);
        is_refused(STRANGER);
        daemon.wait_for("refused connect from 192.0.2.2: too many commands have a connection");
        let others = [("127.0.1.1", 48), ("127.0.2.1", 32)].map(|(from, count)| all_twisted(from, count));
        is_refused("127.0.3.1");
        daemon.wait_for("refused connect from 127.0.3.1: too many commands have a connection");
        for _ in 0..10 {
            assert_eq!(hello(&friend()), "hello\n", "{}", daemon.output());
        }
        // Those that have ended leave their places.
        drop(clients);
        wait_until("a place", || {
            (hello(&from(STRANGER)) == "twisted\n").then_some(())
        });
        drop(others);
        stop(daemon);
    });
}

/// While large tables are read, connections wait that the rules are asked about, and nothing else does. They are
/// decided by the new tables.
#[test]
fn tables_that_take_long_to_read() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("calls", &[]);
        let mut command = guarded.run(&program);
        let listener = OwnedFd::from(listener("0.0.0.0"));
        let daemon = Daemon::start(command.arg("local").stdin(listener));
        drop(command);
        daemon.wait_for("listening\n");
        assert_eq!(hello(&friend()), "hello\n");
        let mut table = String::new();
        for n in 0..400_000u32 {
            let [_, a, b, c] = n.to_be_bytes();
            table.push_str(&format!("ALL: 10.{a}.{b}.{c}\n"));
        }
        // That those who wait for the tables still do when the local client is served, a slow machine may miss; not each time.
        let mut waited = false;
        for (client, others) in [(STRANGER, FRIEND), (FRIEND, STRANGER)]
            .into_iter()
            .cycle()
            .take(20)
        {
            guarded.rules(&format!("{table}ALL: {client}\n"), "ALL: ALL\n");
            let waits = connect(client, PORT).expect("a handshake");
            let refused = connect(others, PORT).expect("a handshake");
            let mut local = UnixStream::connect("/srv/local").expect("a socket");
            let mut answer = String::new();
            local.read_to_string(&mut answer).expect("a socket");
            assert_eq!(answer, "hello\n");
            let is_before = !has_answer(&waits) && !has_answer(&refused);
            assert_eq!(hello(&waits), "hello\n", "{}", daemon.output());
            assert_eq!(hello(&refused), "", "{}", daemon.output());
            if is_before && waited {
                break;
            }
            waited |= is_before;
        }
        assert!(waited, "the local client waited for them");
        stop(daemon);
    });
}

/// A client that chose the route of its packets is refused, also where it comes to a socket of IPv6.
#[test]
fn source_routes_to_listeners_of_both_families() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL\n", "");
        let _router = machine.router();
        let program = guarded.c_program("server", &[]);
        for address in ["0.0.0.0", "::"] {
            let mut command = guarded.run(&program);
            let listener = OwnedFd::from(listener(address));
            let daemon = Daemon::start(command.args(["edges", "0"]).stdin(listener));
            drop(command);
            assert_eq!(hello(&friend()), "hello\n", "{}", daemon.output());
            let said = machine.said_by_way_of_the_router(PORT);
            assert_eq!(said, "", "{address}: {}", daemon.output());
            daemon.wait_for("with IP source routing options");
            stop(daemon);
        }
    });
}

/// Several listeners share a port; each is woken for the clients that came to it, which no other one gets.
#[test]
fn listeners_that_share_a_port_are_woken_each_for_its_own() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL: aclexec sleep 0.02\n", "");
        let program = guarded.c_program("calls", &[]);
        let daemon = Daemon::start(guarded.run(&program).arg("shared"));
        daemon.wait_for("listening\n");
        for _ in 0..10 {
            let clients: Vec<_> = (0..8)
                .map(|_| connect(STRANGER, PORT + 1).expect("a handshake"))
                .collect();
            for client in clients {
                assert_eq!(hello(&client), "hello\n", "{}", daemon.output());
            }
        }
        stop(daemon);
    });
}

/// What the guard keeps for a call's time limit goes with the call.
#[test]
fn nothing_is_kept_of_calls_that_have_ended() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        guarded.rules("ALL: ALL\n", "");
        let program = guarded.c_program("calls", &[]);
        let mut command = guarded.run_with(&["--log", "text"], &program);
        let daemon = Daemon::start(command.arg("hours").stdin(OwnedFd::from(listener("0.0.0.0"))));
        drop(command);
        let serve = |count| {
            for _ in 0..count {
                assert_eq!(hello(&friend()), "hello\n");
            }
        };
        serve(2000);
        // What is kept of every call grows each time.
        let grows = (0..3).all(|_| {
            let before = memory();
            serve(8000);
            memory() >= before + 256
        });
        assert!(!grows, "{} kB", memory());
        stop(daemon);
    });
}

/// A client whose every connection has a command run that takes long has its share of the threads that wait, and others
/// have theirs.
#[test]
fn a_client_has_its_share_of_the_threads() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        machine.address("192.0.2.3/24");
        machine.put("/etc/hosts", "192.0.2.3 host3.example\n");
        run(Command::new("mkfifo").arg("/srv/gate"));
        let allow = format!("ALL: {STRANGER}: spawn cat /srv/gate: allow\nALL: host3.example\n");
        guarded.rules(&allow, "ALL: ALL\n");
        let program = guarded.c_program("server", &[]);
        let mut command = guarded.run(program);
        let daemon = Daemon::start(command.args(["edges", &PORT.to_string()]));
        machine.wait_for_port(&format!("{FRIEND}:{PORT}"));
        let slow: Vec<_> = (0..40)
            .map(|_| connect(STRANGER, PORT).expect("a handshake"))
            .collect();
        for _ in 0..3 {
            let other = connect("192.0.2.3", PORT).expect("a handshake");
            assert_eq!(hello(&other), "hello\n", "{}", daemon.output());
        }
        assert!(!slow.iter().any(has_answer));
        // Each command reads to the end of the gate, which comes when it was open and is closed.
        let gate = "while sleep 0.01; do : >/srv/gate; done";
        let gate = Daemon::start(Command::new("sh").args(["-c", gate]));
        for client in &slow {
            assert_eq!(hello(client), "hello\n", "{}", daemon.output());
        }
        drop(gate);
        stop(daemon);
    });
}

/// Callers that are killed at listeners of their own, where nothing will ever happen again.
#[test]
fn nothing_is_kept_of_callers_that_were_killed() {
    support::alone(|machine| {
        const CALLERS: usize = 600;
        let guarded = Guarded::new(machine);
        let script = format!(
            "import os, signal, socket, sys, time\n\
             def call():\n\
             \x20   s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.accept()\n\
             for n in range({CALLERS}):\n\
             \x20   pid = os.fork()\n\
             \x20   if not pid: call()\n\
             \x20   while not open(f'/proc/{{pid}}/syscall').read().startswith(('43 ', '288 ', '202 ', '242 ')): pass\n\
             \x20   time.sleep(.002); os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)\n\
             \x20   if n % 50 == 49: print('killed', n + 1, flush=True)\n\
             time.sleep(1000)\n"
        );
        let mut daemon = Daemon::start(guarded.run("python3").args(["-c", &script]));
        let guard = wait_until("the guard", || guards().first().copied());
        let before = descriptors(guard);
        for count in (50..=CALLERS).step_by(50) {
            wait_until("the callers", || {
                assert!(daemon.is_running(), "{}", daemon.output());
                daemon
                    .output()
                    .contains(&format!("killed {count}\n"))
                    .then_some(())
            });
        }
        // The guard keeps 256 threads at hand, and 64 of the killed, with two descriptors each; and the memory of these.
        let after = descriptors(guard);
        assert!(after < before + 800, "{before} before, {after} after");
        stop(daemon);
    });
}

/// Clients that are let in come in between those that are refused, in the order in which they came, however many these
/// are, and whichever of two listeners they come to.
#[test]
fn a_flood_of_refused_clients_starves_nobody() {
    support::alone(|machine| {
        const AHEAD: usize = 100;
        const FRIENDS: usize = 8;
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("calls", &[]);
        let listener = listener("0.0.0.0");
        listener.set_nonblocking(true).expect("a socket");
        // All are there before anybody accepts them.
        let clients: Vec<_> = (0..FRIENDS)
            .map(|_| {
                let strangers = (0..AHEAD).map(|_| connect(STRANGER, PORT).expect("a handshake"));
                (strangers.collect::<Vec<_>>(), friend())
            })
            .collect();
        let mut command = guarded.run(&program);
        let daemon = Daemon::start(command.arg("two").stdin(OwnedFd::from(listener)));
        drop(command);
        for (_, friend) in &clients {
            assert_eq!(hello(friend), "hello\n", "{}", daemon.output());
        }
        let said_of = |address: &str| format!("\"client_address\":\"{address}\"");
        let granted = said_of(FRIEND);
        wait_until("all that is logged", || {
            (daemon.output().matches(&granted).count() == FRIENDS).then_some(())
        });
        let output = daemon.output();
        let before: Vec<_> = output.split(&granted).take(FRIENDS).collect();
        for logged in before {
            assert_eq!(logged.matches(&said_of(STRANGER)).count(), AHEAD, "{output}");
        }
        // More come as fast as they are refused, until the friends at both listeners have been served.
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let mut stranger = connect(STRANGER, PORT).expect("a handshake");
                        assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
                    }
                });
            }
            for port in [PORT, 7001].repeat(50) {
                let to = SocketAddr::from(([192, 0, 2, 1], port));
                let friend = connect_to(FRIEND, to).expect("a handshake");
                assert_eq!(hello(&friend), "hello\n", "{port}");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        stop(daemon);
    });
}
