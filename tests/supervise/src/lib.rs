//! What the tests of `tcpwrap run` share: guarded programs, and clients that come from an address of their
//! choice.

pub mod dns;
pub mod units;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use socket2::{Domain, Socket, Type};
use support::{Daemon, Machine, run, wait_until};

/// The client that rules allow at first.
pub const FRIEND: &str = "192.0.2.1";
/// The client that they refuse.
pub const STRANGER: &str = "192.0.2.2";

/// A machine with rules and two client addresses.
pub struct Guarded<'m> {
    /// The machine.
    pub machine: &'m Machine,
    tcpwrap: PathBuf,
}

impl<'m> Guarded<'m> {
    /// Rules that allow [`FRIEND`] everything and nobody else anything.
    pub fn new(machine: &'m Machine) -> Self {
        machine.address(&format!("{FRIEND}/24"));
        machine.address(&format!("{STRANGER}/24"));
        // Where every user finds it.
        let tcpwrap = machine.directory().join("tcpwrap");
        fs::copy(support::program("tcpwrap", "tcpwrap"), &tcpwrap).expect("a copy of tcpwrap");
        let guarded = Guarded { machine, tcpwrap };
        guarded.allow(FRIEND);
        guarded
    }

    /// Allows one client and denies all others.
    pub fn allow(&self, client: &str) {
        self.rules(&format!("ALL: {client}\n"), "ALL: ALL\n");
    }

    /// Replaces both tables, each at once.
    pub fn rules(&self, allow: &str, deny: &str) {
        for (name, text) in [("hosts.allow", allow), ("hosts.deny", deny)] {
            let new = self.machine.put(format!("/srv/rules/{name}.new"), text);
            fs::rename(new, format!("/srv/rules/{name}")).expect("a new table");
        }
    }

    /// `tcpwrap run` for a program, decisions as JSON on its standard error.
    pub fn run(&self, program: impl AsRef<Path>) -> Command {
        self.run_with(&["--log", "json"], program)
    }

    /// `tcpwrap run` with options.
    pub fn run_with(&self, options: &[&str], program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(&self.tcpwrap);
        command.args(["run", "--rules", "/srv/rules"]).args(options);
        command.arg("--").arg(program.as_ref());
        command
    }

    /// A C program of this package, built.
    pub fn c_program(&self, name: &str, options: &[&str]) -> PathBuf {
        let source = source(&format!("{name}.c"));
        let to = self.machine.directory().join(name);
        let compiler = if options.contains(&"-m32") {
            "gcc"
        } else {
            options
                .first()
                .filter(|o| o.ends_with("-gcc"))
                .copied()
                .unwrap_or("gcc")
        };
        let options = options.iter().filter(|option| !option.ends_with("-gcc"));
        run(Command::new(compiler)
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
            .arg(&to)
            .arg(source)
            .args(options));
        to
    }
}

/// A file system of one file, whose server answers nobody soon who closes that, or reads what is in it.
pub struct FileSystem {
    directory: PathBuf,
    server: Option<Daemon>,
}

impl FileSystem {
    /// Mounts it where every user finds it. It answers after so many milliseconds, if at all.
    pub fn mount(guarded: &Guarded<'_>, milliseconds: Option<u32>) -> Self {
        Self::served(guarded, milliseconds.map(|time| time.to_string()).as_deref())
    }

    /// The same, but it answers who reads when [`go_on`](Self::go_on) is called; each number in the file is 128 then.
    pub fn held(guarded: &Guarded<'_>) -> Self {
        let gate = guarded.machine.directory().join("gate");
        run(Command::new("mkfifo").arg(&gate));
        Self::served(guarded, gate.to_str())
    }

    fn served(guarded: &Guarded<'_>, how: Option<&str>) -> Self {
        let directory = guarded.machine.directory().join("mount");
        fs::create_dir(&directory).expect("ours");
        run(Command::new("mknod").args(["/dev/fuse", "c", "10", "229"]));
        let mut server = Command::new(guarded.c_program("fuse", &[]));
        let server = Daemon::start(server.arg(&directory).args(how));
        server.wait_for("mounted");
        FileSystem {
            directory,
            server: Some(server),
        }
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.directory.join("file")
    }

    /// Waits until somebody waits for what is in the file.
    pub fn wait_for_reader(&self) {
        self.server.as_ref().expect("served").wait_for("read");
    }

    /// Waits until somebody who closes the file waits for an answer to that.
    pub fn wait_for_closer(&self) {
        self.server.as_ref().expect("served").wait_for("closed");
    }

    /// Answers him.
    pub fn go_on(&self) {
        fs::write(self.directory.with_file_name("gate"), "").expect("a FIFO of ours");
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // What waits for it is let go.
        self.server = None;
        let _ = Command::new("umount").arg("-l").arg(&self.directory).status();
    }
}

/// A source file of this package's programs.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

/// Connects from an address to a port of this machine.
pub fn connect(from: &str, port: u16) -> io::Result<TcpStream> {
    connect_to(from, SocketAddr::from(([192, 0, 2, 1], port)))
}

/// Connects from an address.
pub fn connect_to(from: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let from: IpAddr = from.parse().expect("an address");
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(support::PATIENCE))?;
    Ok(stream)
}

/// Says something to a server and reads what it answers, up to the first line or `enough` bytes. Nothing
/// where the connection is refused.
pub fn talk(from: &str, port: u16, say: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(from, port).ok()?;
    // A refused connection may be gone already.
    let _ = stream.write_all(say);
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < 512 && answer.last() != Some(&b'\n') {
        match stream.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("no answer and no end"),
            _ => break,
        }
    }
    (!answer.is_empty()).then_some(answer)
}

/// The first line the server sends, whenever it comes.
pub fn hello(stream: &TcpStream) -> String {
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    line
}

/// Has the server said something, or ended the connection?
pub fn has_answer(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let answer = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    answer.is_ok()
}

/// The guard, and with it the program, has 64 descriptors: room for 16 connections, 12 of them of one listener.
pub fn with_little_room(guarded: &Guarded<'_>, program: &Path) -> Command {
    let wrapped = guarded.run(program);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\"", "-"]);
    command.arg(wrapped.get_program()).args(wrapped.get_args());
    command
}

/// The processes that guard programs on this machine.
pub fn guards() -> Vec<u32> {
    processes_named("tcpwrap-guard")
}

/// The processes of this name on this machine.
pub fn processes_named(name: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.starts_with(&format!("Name:\t{name}\n")) && !status.contains("State:\tZ")
        })
        .collect()
}

/// Waits until no guard is left.
pub fn no_guard_left() {
    wait_until("the end of the guard", || guards().is_empty().then_some(()));
}

/// How many descriptors a process has.
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// How much memory the one guard has, in kB.
pub fn memory() -> u64 {
    let [guard] = guards()[..] else {
        panic!("one guard");
    };
    let status = fs::read_to_string(format!("/proc/{guard}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("a number")
}
