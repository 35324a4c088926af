//! A guarded program beside the same program bare, beside a guard that asks no rules, and beside what else can
//! put the rules in front of a service: connection rate, and the time to an answer. Run it with `cargo xtask
//! bench run`, as root; it needs gcc, and for the other doors openbsd-inetd, tcpd, xinetd and socat, which it
//! leaves out where they are missing.

#![forbid(unsafe_code)]

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long each door is measured, in turns, so that a noisy moment hits all of them.
const TURN: Duration = Duration::from_millis(700);
const TURNS: usize = 5;

/// One way into the service.
struct Door {
    name: &'static str,
    port: u16,
    child: Child,
    /// Connections and seconds.
    count: usize,
    /// The time from connect to the answer's end, microseconds.
    times: Vec<f64>,
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    let directory = directory.path();
    let server = built(directory, "greeter")?;
    let norules = built(directory, "norules")?;
    let rules = directory.join("rules");
    std::fs::create_dir(&rules).map_err(|e| e.to_string())?;
    std::fs::write(rules.join("hosts.allow"), "ALL: 127.0.0.1\n").map_err(|e| e.to_string())?;
    std::fs::write(rules.join("hosts.deny"), "ALL: ALL\n").map_err(|e| e.to_string())?;
    let tcpwrap = tcpwrap()?;

    let mut doors = Vec::new();
    let mut open = |name, port: u16, command: &mut Command| match start(name, port, command) {
        Ok(door) => doors.push(door),
        Err(problem) => println!("{name}: left out: {problem}"),
    };
    open("bare", 7101, Command::new(&server).arg("7101"));
    let run = ["run", "--log", "text", "--rules"];
    open(
        "tcpwrap run",
        7102,
        Command::new(&tcpwrap)
            .args(run)
            .arg(&rules)
            .arg("--")
            .arg(&server)
            .arg("7102"),
    );
    // What of that is the kernel's part.
    open("no rules", 7106, Command::new(&norules).arg(&server).arg("7106"));
    // One process for every connection, with the rules asked by the reference's tcpd.
    let greet = format!("{} once", server.display());
    let system = format!(
        "TCP-LISTEN:7103,bind=127.0.0.1,reuseaddr,fork,backlog=128,tcpwrap=greeter,allow-table={0}/hosts.allow,deny-table={0}/hosts.deny",
        rules.display()
    );
    open(
        "socat tcpwrap",
        7103,
        Command::new("socat").arg(system).arg(format!("EXEC:{greet}")),
    );
    let inetd = directory.join("inetd.conf");
    let line = format!(
        "127.0.0.1:7104 stream tcp nowait.1000000 root /usr/sbin/tcpd {}\n",
        greet
    );
    std::fs::write(&inetd, line).map_err(|e| e.to_string())?;
    open(
        "inetd + tcpd",
        7104,
        Command::new("inetd").args(["-i", "-R", "1000000"]).arg(&inetd),
    );
    let xinetd = directory.join("xinetd.conf");
    let service = format!(
        "defaults\n{{\ninstances = UNLIMITED\ncps = 1000000 1\nper_source = UNLIMITED\n}}\n\
         service greeter\n{{\ntype = UNLISTED\nsocket_type = stream\nprotocol = tcp\nwait = no\nuser = root\n\
         bind = 127.0.0.1\nport = 7105\nserver = {}\nserver_args = once\n}}\n",
        server.display()
    );
    std::fs::write(&xinetd, service).map_err(|e| e.to_string())?;
    let program = ["/usr/sbin/xinetd", "target/debian/usr/sbin/xinetd"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("xinetd");
    open(
        "xinetd",
        7105,
        Command::new(program).args(["-dontfork", "-f"]).arg(&xinetd),
    );

    for _ in 0..TURNS {
        for door in &mut doors {
            measure(door)?;
        }
    }
    println!(
        "{:<16}{:>14}{:>8}{:>12}{:>12}{:>14}",
        "", "connections/s", "ratio", "p50 µs", "p99 µs", "added p50 µs"
    );
    let seconds = TURN.as_secs_f64() * TURNS as f64;
    let mut bare = None;
    for door in &mut doors {
        door.times.sort_by(f64::total_cmp);
        let rate = door.count as f64 / seconds;
        let quantile = |part: f64| door.times[((door.times.len() - 1) as f64 * part) as usize];
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        let (bare_rate, bare_p50) = *bare.get_or_insert((rate, p50));
        println!(
            "{:<16}{rate:>14.0}{:>8.2}{p50:>12.1}{p99:>12.1}{:>14.1}",
            door.name,
            rate / bare_rate,
            p50 - bare_p50
        );
    }
    Ok(())
}

/// A C program of this directory, built.
fn built(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(name)
        .with_extension("c");
    let program = directory.join(name);
    let built = Command::new("gcc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    match built {
        Ok(status) if status.success() => Ok(program),
        _ => Err(format!("gcc cannot build {name}.c")),
    }
}

/// Our program beside this one, or built where it is not there yet.
fn tcpwrap() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let path = own.with_file_name("tcpwrap");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "tcpwrap"]);
    if own
        .parent()
        .is_some_and(|directory| directory.ends_with("release"))
    {
        build.arg("--release");
    }
    match build.status() {
        Ok(status) if status.success() && path.exists() => Ok(path),
        _ => Err("cargo cannot build tcpwrap".into()),
    }
}

fn start(name: &'static str, port: u16, command: &mut Command) -> Result<Door, String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut door = Door {
        name,
        port,
        child,
        count: 0,
        times: Vec::new(),
    };
    for _ in 0..300 {
        if answer(port).is_ok() {
            return Ok(door);
        }
        if let Ok(Some(status)) = door.child.try_wait() {
            return Err(format!("it ended with {status}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("it does not answer".into())
}

/// Connects and reads the whole answer.
fn answer(port: u16) -> Result<(), String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).map_err(|e| e.to_string())?;
    if text != b"hello\n" {
        return Err(format!(
            "port {port} answered {:?}",
            String::from_utf8_lossy(&text)
        ));
    }
    Ok(())
}

fn measure(door: &mut Door) -> Result<(), String> {
    let end = Instant::now() + TURN;
    while Instant::now() < end {
        let start = Instant::now();
        answer(door.port)?;
        door.times.push(start.elapsed().as_secs_f64() * 1e6);
        door.count += 1;
    }
    Ok(())
}
