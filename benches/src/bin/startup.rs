//! tcpd beside the reference's: the time from starting it to the start of the service behind it, with small
//! tables. Run it as root with `cargo xtask bench startup`; needs Debian's `tcpd` at /usr/sbin.
//!
//! Both run in turn, in mount and network namespaces with tables and a `/dev/log` of their own.

#![forbid(unsafe_code)]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use benches::apart;

const ROUNDS: usize = 400;
const REFERENCE: &str = "/usr/sbin/tcpd";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// No log daemon but this program.
const PREPARE: &str = "mkdir /mnt/dev
mount -t tmpfs tmpfs /mnt/dev
for device in null urandom; do touch /mnt/dev/$device; mount --bind /dev/$device /mnt/dev/$device; done
mount --move /mnt/dev /dev
";

/// Tables, and what is the matter with them.
const CASES: [(&str, &str, &str); 3] = [
    ("no tables", "", ""),
    (
        "10 rules",
        "sshd: 192.0.2.1\nin.ftpd: 192.0.2.2\nALL: 198.51.100.\nservice: 127.\n",
        "ALL: 203.0.113.0/24\nALL: 203.0.113.1\nALL: 203.0.113.2\nALL: .example.org\nALL: ALL\n\n",
    ),
    ("names wanted", "service: LOCAL\n", "ALL: ALL\n"),
];

fn main() -> Result<()> {
    if !apart::is_inside() {
        match apart::enter(&[], PREPARE, [build_ours()?])? {}
    }
    let ours = PathBuf::from(env::args_os().nth(1).ok_or("started without tcpd's path")?);
    let directory = tempfile::tempdir()?;
    let service = directory.path().join("service");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("daemon.c");
    let built = Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .arg(&service)
        .arg(source)
        .status()?;
    if !built.success() {
        return Err("cc cannot build daemon.c".into());
    }
    // Each start logs one line, read before the next.
    let log = UnixDatagram::bind("/dev/log")?;
    log.set_read_timeout(Some(Duration::from_secs(5)))?;
    println!("microseconds from exec to exec: median of {ROUNDS}, and the fastest");
    println!("{:<16}{:>18}{:>18}{:>8}", "", "reference", "tcpd", "ratio");
    for (name, allow, deny) in CASES {
        fs::write("/etc/hosts.allow", allow)?;
        fs::write("/etc/hosts.deny", deny)?;
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..2 * ROUNDS {
            let program = [Path::new(REFERENCE), &ours][round % 2];
            times[round % 2].push(start(program, &service)?);
            let mut line = [0; 512];
            log.recv(&mut line)?;
        }
        let [reference, ours] = times.map(|mut times| {
            times.sort_unstable();
            (times[ROUNDS / 2] as f64 / 1e3, times[0] as f64 / 1e3)
        });
        let shown = |(median, best): (f64, f64)| format!("{median:.0} ({best:.0})");
        let ratio = ours.0 / reference.0;
        println!(
            "{name:<16}{:>18}{:>18}{ratio:>8.2}",
            shown(reference),
            shown(ours)
        );
    }
    Ok(())
}

/// Builds our tcpd beside this program, and in the same form.
fn build_ours() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "tcpd",
            "--bin",
            "tcpd",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !built.success() {
        return Err("tcpd cannot be built".into());
    }
    let ours = env::current_exe()?.with_file_name("tcpd");
    Ok(ours)
}

/// Starts a tcpd with a connection, and returns after how many nanoseconds the service behind it ran.
fn start(program: &Path, service: &Path) -> Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let connection = OwnedFd::from(listener.accept()?.0);
    let mut command = Command::new(program);
    command
        .arg0(service)
        .stdin(Stdio::from(connection.try_clone()?))
        .stdout(Stdio::from(connection.try_clone()?))
        .stderr(Stdio::from(connection));
    let before = now()?;
    let mut child = command.spawn()?;
    drop(command);
    let mut text = String::new();
    client.read_to_string(&mut text)?;
    child.wait()?;
    let started: u64 = text
        .trim()
        .parse()
        .map_err(|_| format!("the service said {text:?}"))?;
    Ok(started - before)
}

/// The monotonic clock, as the service reads it.
fn now() -> Result<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}
