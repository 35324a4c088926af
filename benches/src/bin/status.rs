//! `tcpwrap status` on a machine with 2,000 processes that wait at 5,000 sockets, beside `ss -tulnp` of iproute2, which
//! shows the same sockets and knows no rules. Run it as root with `cargo xtask bench status`.
//!
//! Both run in turn, in namespaces with tables, processes and sockets of their own.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use benches::{apart, tables};

const PROCESSES: u16 = 2000;
const ROUNDS: usize = 9;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let this = env::current_exe()?;
    match env::args().nth(1).filter(|_| apart::is_inside()) {
        Some(number) if number.parse::<u16>().is_ok() => hold(number.parse()?),
        Some(ours) => measure(&this, Path::new(&ours)),
        None => match apart::enter(&["--pid", "--fork", "--mount-proc"], "", [build_ours()?])? {},
    }
}

fn build_ours() -> Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "tcpwrap"])
        .status()?;
    let beside = env::current_exe()?.with_file_name("tcpwrap");
    match built.success() && beside.exists() {
        true => Ok(beside),
        false => Err("tcpwrap does not build".into()),
    }
}

/// One of the processes: two TCP sockets, and every second one a UDP socket.
fn hold(number: u16) -> Result<()> {
    let first = 10_000 + number * 2;
    let _tcp = [first, first + 1].map(|port| TcpListener::bind(("0.0.0.0", port)));
    let _udp = number
        .is_multiple_of(2)
        .then(|| UdpSocket::bind(("0.0.0.0", first)));
    println!("ready");
    std::io::stdout().flush()?;
    // Until nobody waits for it any more.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn measure(this: &Path, ours: &Path) -> Result<()> {
    let mut processes: Vec<Child> = Vec::new();
    for number in 0..PROCESSES {
        let mut command = Command::new(this);
        command.arg(number.to_string());
        processes.push(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    }
    for process in &mut processes {
        let output = process.stdout.take().ok_or("no pipe")?;
        BufReader::new(output).read_line(&mut String::new())?;
    }
    println!("milliseconds, median of {ROUNDS}, and the fastest");
    println!(
        "{:<24}{:>20}{:>20}{:>8}",
        "", "ss -tulnp", "tcpwrap status", "ratio"
    );
    for rules in [0, 10, 1000] {
        fs::write("/etc/hosts.allow", "")?;
        fs::write("/etc/hosts.deny", tables::addresses(rules).0)?;
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..2 * ROUNDS {
            let mut command = match round % 2 {
                0 => Command::new("ss"),
                _ => Command::new(ours),
            };
            let arguments: &[&str] = match round % 2 {
                0 => &["-tulnp"],
                _ => &["status"],
            };
            let start = Instant::now();
            let output = command.args(arguments).stderr(Stdio::inherit()).output()?;
            times[round % 2].push(start.elapsed().as_secs_f64() * 1e3);
            let text = String::from_utf8_lossy(&output.stdout);
            // Every socket of it was shown: 4,000 of TCP, 1,000 of UDP.
            let shown = text.lines().filter(|line| line.contains("0.0.0.0:")).count();
            if !output.status.success() || shown < 5000 {
                return Err(format!("{command:?} showed {shown} sockets: {}", output.status).into());
            }
        }
        for one in &mut times {
            one.sort_by(f64::total_cmp);
        }
        let [ss, status] = &times;
        let shown = |one: &[f64]| format!("{:.0} ({:.0})", one[ROUNDS / 2], one[0]);
        println!(
            "{:<24}{:>20}{:>20}{:>8.2}",
            format!("{rules} rules"),
            shown(ss),
            shown(status),
            status[ROUNDS / 2] / ss[ROUNDS / 2]
        );
    }
    for process in &mut processes {
        drop(process.stdin.take());
        process.wait()?;
    }
    Ok(())
}
