//! A guarded program beside the same program bare, beside a guard that asks no rules, and beside what else can
//! put the rules in front of a service: connection rate, and the time to an answer. Run it with `cargo xtask
//! bench run`, as root; it needs gcc, and for the other doors openbsd-inetd, tcpd, xinetd and socat, which it
//! leaves out where they are missing.

#![forbid(unsafe_code)]

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long each door is measured, in turns, so that a noisy moment hits all of them.
const TURN: Duration = Duration::from_millis(100);
const TURNS: usize = 64;
/// Clients that are refused come from here; the others from 127.0.0.1.
const REFUSED: [u8; 4] = [127, 0, 0, 2];
/// How many of them come at once.
const FLOOD: usize = 2;

/// One way into the service.
struct Door {
    name: &'static str,
    port: u16,
    child: Child,
    /// Connections a second, turn by turn.
    rates: Vec<f64>,
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
        "{:<16}{:>14}{:>16}{:>16}{:>10}{:>10}{:>14}",
        "", "connections/s", "of bare", "of no rules", "p50 µs", "p99 µs", "added p50 µs"
    );
    let norules = doors.iter().position(|door| door.name == "no rules");
    let bare_p50 = quantile(&mut doors[0].times, 0.5);
    for n in 0..doors.len() {
        let (p50, p99) = (
            quantile(&mut doors[n].times, 0.5),
            quantile(&mut doors[n].times, 0.99),
        );
        let of = |other: usize| ratio(&doors[n].rates, &doors[other].rates);
        println!(
            "{:<16}{:>14.0}{:>16}{:>16}{p50:>10.1}{p99:>10.1}{:>14.1}",
            doors[n].name,
            mean(&doors[n].rates),
            of(0),
            norules.map(of).unwrap_or_default(),
            p50 - bare_p50
        );
    }
    flooded(&mut doors)
}

/// Clients that are served while others are refused as fast as they can come, and while they are not, in turns.
fn flooded(doors: &mut [Door]) -> Result<(), String> {
    let Some(door) = doors.iter_mut().find(|door| door.name == "tcpwrap run") else {
        return Ok(());
    };
    let guard = guard_of(door.child.id())?;
    let (mut calm, mut flood, mut refused, mut spent) = (Vec::new(), Vec::new(), 0, 0.0);
    for _ in 0..TURNS {
        door.times.clear();
        measure(door)?;
        calm.append(&mut door.times);
        let (port, stop) = (door.port, AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..FLOOD {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        refuse(port);
                    }
                });
            }
            let result = measure(door);
            stop.store(true, Relaxed);
            result
        })?;
        flood.append(&mut door.times);
        // Refused ones alone, and what the guard spends on them.
        let (before, end) = (processor_time(guard)?, Instant::now() + TURN);
        while Instant::now() < end {
            refuse(door.port);
            refused += 1;
        }
        spent += processor_time(guard)? - before;
    }
    println!(
        "\nserved while nobody is refused: p50 {:.1} µs, p99 {:.1} µs; while {FLOOD} clients are refused again and again: \
         p50 {:.1} µs, p99 {:.1} µs ({:.2} times)",
        quantile(&mut calm, 0.5),
        quantile(&mut calm, 0.99),
        quantile(&mut flood, 0.5),
        quantile(&mut flood, 0.99),
        quantile(&mut flood, 0.99) / quantile(&mut calm, 0.99),
    );
    println!(
        "a refusal costs the guard {:.1} µs of processor time ({refused} refused)",
        spent * 1e6 / refused as f64
    );
    Ok(())
}

/// Connects from the address that is refused, and waits for the end.
fn refuse(port: u16) {
    let socket = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((REFUSED, 0)).into())?;
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
        // Lest the ports run out.
        socket.set_linger(Some(Duration::ZERO))?;
        TcpStream::from(socket).read(&mut [0])
    };
    let _ = socket();
}

/// The guard of a program: it has its program's number in a file in memory.
fn guard_of(program: u32) -> Result<u32, String> {
    let entries = std::fs::read_dir("/proc").map_err(|e| e.to_string())?.flatten();
    let mut processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let guards = |process: &u32| {
        let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else {
            return false;
        };
        open.flatten()
            .filter(|entry| {
                std::fs::read_link(entry.path())
                    .is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:tcpwrap-guard"))
            })
            .any(|entry| {
                let text = std::fs::read(entry.path()).unwrap_or_default();
                text.starts_with(format!("{program}\0").as_bytes())
            })
    };
    processes.find(guards).ok_or_else(|| "no guard is found".into())
}

/// Seconds, of all its threads: any of them may be the one that guards.
fn processor_time(process: u32) -> Result<f64, String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).map_err(|e| e.to_string())?;
    let times = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Ok(times.sum::<f64>() / 1e9)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn quantile(times: &mut [f64], part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * part) as usize]
}

/// The mean of the turns' ratios, and half of its 95 % interval.
fn ratio(own: &[f64], other: &[f64]) -> String {
    let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
    let mean = mean(&ratios);
    let count = ratios.len() as f64;
    let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // Student's t for 63 degrees of freedom.
    format!("{mean:.2} ± {:.2}", 2.0 * (variance / count).sqrt())
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
        rates: Vec::new(),
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
    let (end, mut count) = (Instant::now() + TURN, 0u32);
    while Instant::now() < end {
        let start = Instant::now();
        answer(door.port)?;
        door.times.push(start.elapsed().as_secs_f64() * 1e6);
        count += 1;
    }
    door.rates.push(f64::from(count) / TURN.as_secs_f64());
    Ok(())
}
