//! What the tests of real services share: a server with inetd, a client machine at the other end of a cable,
//! and what the client and the system log saw of each visit.
//!
//! Every visit goes to a service of its own, named after what its rule is about. So all of them can run at
//! once, and each log line tells by its name which visit it belongs to.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Daemon, Log, Machine, Neighbour, packaged, program, wait_until};

/// The server's addresses: IPv4, IPv6, and on the cable alone.
pub const SERVER: [&str; 3] = ["192.0.2.1", "2001:db8::1", "fe80::1"];

/// The addresses that clients come from. The last one is good for the cable alone, and so needs the name of its
/// end there: `fe80::2%eth0`.
pub const CLIENTS: [&str; 9] = [
    "192.0.2.2/24",
    "192.0.2.3/24",
    "192.0.2.4/24",
    "192.0.2.5/24",
    "192.0.2.6/24",
    "192.0.2.7/24",
    "2001:db8::2/64",
    "2001:db8::3/64",
    "fe80::2/64",
];

/// The first port that services listen on; they stand in their order.
const FIRST_PORT: u16 = 2001;

/// Which tcpd stands in front of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Debian's.
    Reference,
    /// The one of this project.
    Ours,
}

impl Guard {
    /// Its program.
    pub fn program(self) -> PathBuf {
        match self {
            Guard::Reference => packaged("tcpd"),
            Guard::Ours => program("tcpd", "tcpd"),
        }
    }
}

/// One client that connects to a service of its own.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'t> {
    /// The service, by the name rules call it.
    pub service: &'t str,
    /// The client's address.
    pub from: &'t str,
    /// What it reads before the connection ends.
    pub reads: &'t str,
}

/// What came of one visit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the client read.
    pub text: String,
    /// What the service's name stands before in the log, each line as `<PRIORITY>TEXT`.
    pub log: Vec<String>,
}

/// A server, and a client machine at the other end of its cable.
pub struct Setting<'m> {
    /// The server.
    pub machine: &'m Machine,
    /// The client.
    pub client: Neighbour,
    log: Log,
}

impl<'m> Setting<'m> {
    /// Connects the two.
    pub fn new(machine: &'m Machine) -> Self {
        let [v4, v6, link] = SERVER;
        let ours = [format!("{v4}/24"), format!("{v6}/64"), format!("{link}/64")];
        let client = machine.neighbour("client", &ours.each_ref().map(|a| &**a), &CLIENTS);
        // The service says that it was reached, and nothing of what the client sends.
        machine.put_program("/srv/service", "#!/bin/sh\necho served\n");
        Setting {
            machine,
            client,
            log: machine.log(),
        }
    }

    /// The system log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Writes both tables.
    pub fn tables(&self, allow: &str, deny: &str) {
        self.machine.put("/etc/hosts.allow", allow);
        self.machine.put("/etc/hosts.deny", deny);
    }

    /// Runs all visits at once, with `guard` in front of the services, and openbsd-inetd before it.
    /// Returns what was seen, by service.
    ///
    /// # Panics
    ///
    /// When a client reads something else than it should.
    pub fn run(&self, guard: Guard, visits: &[Visit<'_>]) -> BTreeMap<String, Seen> {
        self.log.clear();
        let mut configuration = String::new();
        for (port, visit) in (FIRST_PORT..).zip(visits) {
            let protocol = if visit.from.contains(':') { "tcp6" } else { "tcp" };
            let service = self.machine.put_program(
                format!("/srv/{}", visit.service),
                std::fs::read("/srv/service").expect("the service"),
            );
            configuration.push_str(&format!(
                "{port} stream {protocol} nowait.1000 root {} {}\n",
                guard.program().display(),
                service.display()
            ));
        }
        let configuration = self.machine.put("/etc/inetd.conf", configuration);
        let inetd = Daemon::start(Command::new(packaged("inetd")).arg("-i").arg(configuration));
        wait_until("inetd's ports", || {
            let mut ports = FIRST_PORT..FIRST_PORT + visits.len() as u16;
            ports.all(is_listening).then_some(())
        });

        let clients: Vec<_> = (FIRST_PORT..)
            .zip(visits)
            .map(|(port, visit)| self.connect(visit.from, port))
            .collect();
        let mut all = BTreeMap::new();
        for (mut client, visit) in clients.into_iter().zip(visits) {
            client.ended();
            let seen = Seen {
                text: client.output(),
                log: Vec::new(),
            };
            assert_eq!(
                seen.text,
                visit.reads,
                "{guard:?}: {visit:?}: {:#?}",
                self.log.entries()
            );
            all.insert(visit.service.to_owned(), seen);
        }
        drop(inetd);
        for (service, seen) in &mut all {
            seen.log = self.lines(service);
        }
        all
    }

    /// Runs the visits with the reference's tcpd and with ours, which must see the same. Returns it.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub fn compare(&self, visits: &[Visit<'_>]) -> BTreeMap<String, Seen> {
        let reference = self.run(Guard::Reference, visits);
        let ours = self.run(Guard::Ours, visits);
        for (service, seen) in &reference {
            assert_eq!(
                &ours[service], seen,
                "{service}: left is ours, right the reference's"
            );
        }
        ours
    }

    /// Connects to a port of the server.
    pub fn connect(&self, from: &str, port: u16) -> Daemon {
        let server = server_for(from);
        // Not root, for the ident server to name.
        let mut command = self.client.command("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .arg(packaged("nc"))
            .args(["-N", "-s", from, &server, &port.to_string()])
            .stdin(Stdio::null());
        Daemon::start(&mut command)
    }

    /// The log lines of one service so far, each as `<PRIORITY>TEXT`.
    pub fn lines(&self, service: &str) -> Vec<String> {
        let entries = self.log.settled().into_iter();
        entries
            .filter(|entry| entry.ident == service)
            .map(|entry| format!("<{}>{}", entry.priority, entry.text))
            .collect()
    }
}

/// The server's address, as a client with this one reaches it.
pub fn server_for(from: &str) -> String {
    let [v4, v6, link] = SERVER;
    match from.split_once('%') {
        Some((_, interface)) => format!("{link}%{interface}"),
        None if from.contains(':') => v6.to_owned(),
        None => v4.to_owned(),
    }
}

/// Does something listen on a TCP port? Looks, and does not connect, which would be logged.
pub fn is_listening(port: u16) -> bool {
    let listening = format!(":{port:04X} ");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).expect("the kernel's table of sockets");
        let mut lines = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.any(|words| {
            words
                .get(1)
                .is_some_and(|local| format!("{local} ").ends_with(&listening))
                && words.get(3) == Some(&"0A")
        })
    })
}
