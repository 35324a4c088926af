//! Three doors of one machine that ask the same tables: `tcpd`, sshd on our library, and a guarded program.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use services_tests::Guard;
use supervise_tests::{FRIEND, Guarded, connect, hello};
use support::{Daemon, Machine, packaged, run};

const SSHD: u16 = 22;
const INETD: u16 = 2001;
const GUARDED: u16 = 7000;

/// The doors, open to whoever is not banned.
pub struct Doors {
    _daemons: [Daemon; 3],
}

impl Doors {
    /// Opens them. All of 198.51.100.0/24 can be clients.
    pub fn open(machine: &Machine) -> Self {
        run(Command::new("ip").args(["route", "add", "local", "198.51.100.0/24", "dev", "lo"]));
        let guarded = Guarded::new(machine);
        let (allow, deny) = ("ALL: {banned}: deny\nALL: ALL\n", "ALL: ALL\n");
        guarded.rules(allow, deny);
        machine.put("/etc/hosts.allow", allow);
        machine.put("/etc/hosts.deny", deny);
        let program = guarded.c_program("server", &[]);
        let server = Daemon::start(guarded.run(&program).arg("threads").arg(GUARDED.to_string()));
        let daemons = [server, inetd(machine), sshd(machine)];
        for port in [GUARDED, INETD, SSHD] {
            machine.wait_for_port(&format!("{FRIEND}:{port}"));
        }
        Doors { _daemons: daemons }
    }

    /// Each of them greets this client.
    ///
    /// # Panics
    ///
    /// When one does not.
    pub fn let_in(&self, from: &str) {
        assert_eq!(self.greetings(from), ["hello\n", "served\n", "SSH-2.0"], "{from}");
    }

    /// None of them says a word to this client.
    ///
    /// # Panics
    ///
    /// When one does.
    pub fn refuse(&self, from: &str) {
        assert_eq!(self.greetings(from), ["", "", ""], "{from}");
    }

    /// What each of them says to this client: the guarded program, the service behind tcpd, sshd.
    pub fn greetings(&self, from: &str) -> [String; 3] {
        [GUARDED, INETD, SSHD].map(|port| {
            let greeting =
                connect(from, port).map_or_else(|_| String::new(), |stream: TcpStream| hello(&stream));
            match port {
                SSHD => greeting.get(..7).unwrap_or_default().to_owned(),
                _ => greeting,
            }
        })
    }
}

fn inetd(machine: &Machine) -> Daemon {
    let service = machine.put_program("/srv/service", "#!/bin/sh\necho served\n");
    let line = format!(
        "{INETD} stream tcp nowait.1000 root {} {}\n",
        Guard::Ours.program().display(),
        service.display()
    );
    let configuration = machine.put("/etc/inetd.conf", line);
    Daemon::start(Command::new(packaged("inetd")).arg("-i").arg(configuration))
}

/// Debian's sshd on our library.
pub fn sshd(machine: &Machine) -> Daemon {
    machine.put("/srv/sshd_config", "HostKey /srv/host\nUsePAM no\n");
    run(Command::new("sh").args([
        "-c",
        "mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /srv/host",
    ]));
    let library = support::library("usr/lib/libwrap.so.0");
    let directory = library.parent().unwrap_or(Path::new("/"));
    let address = format!("ListenAddress={FRIEND}");
    Daemon::start(
        Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", "/srv/sshd_config", "-o", &address])
            .env("LD_LIBRARY_PATH", directory),
    )
}
