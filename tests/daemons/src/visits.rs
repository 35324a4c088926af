//! A daemon on one library, visited by two clients, of which one is denied and then, after an edit, the other.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Daemon, Machine, Neighbour, wait_until};

use crate::{BOTH, Whose};

/// A daemon, how it is visited and how it answers.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// What rules call it.
    pub name: &'static str,
    /// Shell commands that make what it needs, in `/srv` and `/run`. In these, and in `daemon`, `$UNPACKED` is
    /// where packages are unpacked that cannot be installed.
    pub prepare: &'static str,
    /// Shell command that becomes the daemon, in the foreground.
    pub daemon: &'static str,
    /// The port it listens on.
    pub port: u16,
    /// Shell command of a client; `$SERVER` is the daemon's address.
    pub client: &'static str,
    /// What a client that is served says.
    pub served: &'static str,
    /// What a client that is refused says.
    pub refused: &'static str,
    /// What the log says of a client that is refused, in a line with its address. Empty where this daemon says nothing.
    pub logged: &'static str,
}

/// Client's and daemon's ends of two cables.
const FRIEND: [&str; 2] = ["192.0.2.2", "192.0.2.1"];
const STRANGER: [&str; 2] = ["198.51.100.2", "198.51.100.1"];

/// What happened on one library, without what no two runs have in common.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    heard: Vec<String>,
    logged: Vec<String>,
}

/// Runs the daemon on both libraries and holds what happens equal. Call it inside `support::alone`.
pub fn visit(machine: &Machine, service: &Service) {
    let cable = |[theirs, ours]: [&str; 2], name| {
        machine.neighbour(name, &[&format!("{ours}/24")], &[&format!("{theirs}/24")])
    };
    let friend = cable(FRIEND, "friend");
    let stranger = cable(STRANGER, "stranger");
    shell(service.prepare);
    let [expected, found] = BOTH.map(|whose| story(machine, service, whose, &friend, &stranger));
    assert_eq!(found, expected, "left on ours, right on the reference");
}

fn story(
    machine: &Machine,
    service: &Service,
    whose: Whose,
    friend: &Neighbour,
    stranger: &Neighbour,
) -> Story {
    let _ = std::fs::remove_file("/dev/log");
    let log = machine.log();
    machine.put("/etc/hosts.allow", "");
    machine.put("/etc/hosts.deny", format!("{}: {}\n", service.name, STRANGER[0]));
    let daemon = Daemon::start(
        whose
            .command("/bin/sh")
            .args(["-c", &format!("exec {}", service.daemon)])
            .env("UNPACKED", unpacked())
            .stdin(Stdio::null()),
    );
    wait_until(&format!("port {}: {service:#?}", service.port), || {
        is_listening(service.port).then_some(())
    });
    let ask = |client: &Neighbour, [_, server]: [&str; 2]| {
        let script = format!("exec 2>&1; {}", service.client);
        let mut command = client.command("timeout");
        command.args(["60", "sh", "-c", &script]).env("SERVER", server);
        let output = command.stdin(Stdio::null()).output().expect("nsenter runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let denied = |text: &str| text.contains(service.refused) && !text.contains(service.served);
    let mut heard = Vec::new();
    let mut visits = |who: [(&Neighbour, [&str; 2]); 2]| {
        let [(welcome, at), (unwelcome, from)] = who;
        let text = ask(welcome, at);
        assert!(
            text.contains(service.served),
            "{whose:?}: {text:?}\n{}\n{:#?}",
            daemon.output(),
            log.entries()
        );
        let refused = ask(unwelcome, from);
        assert!(denied(&refused), "{whose:?}: {refused:?}\n{}", daemon.output());
        heard.extend([text, refused].map(|text| without_numbers(&text)));
    };
    visits([(friend, FRIEND), (stranger, STRANGER)]);
    knows(service);
    // Looked at once: a process of a connection may be about to end.
    let now = mapped();
    if now.is_empty() {
        // It is mapped by the process of a connection alone; this one is past its decision when it is greeted.
        let mut idle = friend.command("curl");
        let server = format!("telnet://{}:{}", FRIEND[1], service.port);
        let idle = Daemon::start(idle.args(["-sN", "-m20"]).arg(server).stdin(Stdio::piped()));
        wait_until("a greeting", || (!idle.output().is_empty()).then_some(()));
        check_maps(whose, &mapped());
    } else {
        check_maps(whose, &now);
    }
    // Obeyed at once, by a process that goes on.
    machine.put("/etc/hosts.deny", format!("{}: {}\n", service.name, FRIEND[0]));
    visits([(stranger, STRANGER), (friend, FRIEND)]);
    // Some daemons leave the log line to a child that goes on by itself.
    for cable in [STRANGER, FRIEND] {
        let is_it = |text: &str| {
            // tftpd names the wrong end.
            text.contains(service.logged) && cable.iter().any(|address| text.contains(address))
        };
        wait_until(&format!("a line about {cable:?}: {:#?}", log.entries()), || {
            let entries = log.entries();
            (service.logged.is_empty() || entries.iter().any(|entry| is_it(&entry.text))).then_some(())
        });
    }
    drop(daemon);
    // Those too that only listen: the next one needs the port.
    wait_until("the end of the daemon's processes", || {
        (mapped().is_empty() && !is_listening(service.port)).then_some(())
    });
    let lines = log.settled().into_iter().map(|entry| entry.text);
    let mut logged: Vec<_> = lines
        .filter(|text| !service.logged.is_empty() && text.contains(service.logged))
        .map(|text| without_numbers(&text))
        .collect();
    // Processes of one daemon race to the log.
    logged.sort();
    Story { heard, logged }
}

/// `tcpwrap status` and `check` know the daemon by the name by which it has just been refused clients.
fn knows(service: &Service) {
    let machine = obey::Machine::of_this_host(None).expect("no file is named");
    let found = obey::listeners(&machine, false).expect("/proc");
    let found = found
        .all
        .iter()
        .find(|listener| listener.socket.address.port() == service.port);
    let found = found.unwrap_or_else(|| panic!("nothing at {}", service.port));
    // What Perl runs chooses its name, and what an inetd starts is in its configuration, which is not in its place here.
    if matches!(&found.daemon[..], b"perl" | b"inetd" | b"xinetd") {
        return;
    }
    assert_eq!(String::from_utf8_lossy(&found.daemon), service.name, "{found:#?}");
    assert!(matches!(found.obeys, obey::Obeys::Libwrap(_)), "{found:#?}");
}

/// Processes have mapped the library they were meant to, and no process the other one.
fn check_maps(whose: Whose, mapped: &[PathBuf]) {
    let wanted = whose.shared().canonicalize().expect("the library");
    assert!(!mapped.is_empty(), "no process has mapped {}", wanted.display());
    assert!(mapped.iter().all(|path| *path == wanted), "{mapped:?}");
}

/// Every libwrap that a process of this machine has mapped.
fn mapped() -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let maps = processes.filter_map(|process| std::fs::read_to_string(process.path().join("maps")).ok());
    let mut found = Vec::new();
    for maps in maps {
        let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        found.extend(
            paths
                .filter(|path| path.contains("/libwrap.so"))
                .map(PathBuf::from),
        );
    }
    found
}

/// Ports, process ids and times.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        plain += if digits.len() > 3 { "N" } else { &digits };
        digits.clear();
        plain.push(c);
    }
    plain.pop();
    plain
}

fn is_listening(port: u16) -> bool {
    let sockets = Command::new("ss").args(["-lntuH"]).output().expect("ss runs");
    let port = format!(":{port}");
    String::from_utf8_lossy(&sockets.stdout).lines().any(|line| {
        line.split_whitespace()
            .nth(4)
            .is_some_and(|local| local.ends_with(&port))
    })
}

/// Where packages are that cannot be installed beside others.
fn unpacked() -> PathBuf {
    support::target().with_file_name("debian")
}

fn shell(script: &str) {
    let done = Command::new("sh")
        .args(["-ec", script])
        .env("UNPACKED", unpacked())
        .output()
        .expect("sh runs");
    assert!(
        done.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
