//! Each question by itself: by a process that stays (warm), and by one that asks once and opens everything for it (once).

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use benches::nanoseconds;
use state::bans::{self, List, Writer};
use state::counts::Counts;
use state::geo::Database;
use state::limits::{Memory, Rate};

pub const NOW: u64 = 1_800_000_000;

/// Prints the table; the list that it makes in the directory is left there, 1,000 bans of 1,001,000 after its index.
pub fn run(directory: &Path, database: Option<&Path>) -> Result<(), String> {
    println!("{:<44}{:>10}{:>12}", "microseconds a question", "warm", "once");
    bans(directory)?;
    limits(directory)?;
    counts(directory)?;
    match database {
        Some(database) => countries(database),
        None => println!("{:<44}{:>10}", "{country}", "no DATABASE"),
    }
    Ok(())
}

fn row(what: &str, warm: f64, once: Option<f64>) {
    let once = once.map_or_else(String::new, |once| format!("{:.2}", once / 1e3));
    println!("{what:<44}{:>10.3}{once:>12}", warm / 1e3);
}

/// Addresses in an order that no cache likes.
pub fn client(n: &mut u32) -> IpAddr {
    *n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    Ipv4Addr::from_bits(*n).into()
}

fn bans(directory: &Path) -> Result<(), String> {
    let path = directory.join("bans");
    let mut text = String::new();
    let mut n = 1;
    for _ in 0..1_000_000 {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} 2030-01-01T00:00:00Z crowdsec some/scenario",
            client(&mut n)
        );
    }
    std::fs::write(&path, text).map_err(|e| e.to_string())?;
    let asked = |ask: &dyn Fn(IpAddr)| {
        let mut n = 7;
        nanoseconds(|| ask(client(&mut n)))
    };
    let once = || asked(&|address| drop(black_box(bans::look_up(&path, address, NOW))));
    let resident = List::new(&path);
    let warm = asked(&|address| drop(black_box(resident.look_up(address, NOW))));
    row("{banned}, 1,000,000 bans, no index", warm, Some(once()));
    let (built, locked) = written_anew(&path)?;
    let start = Instant::now();
    let resident = List::new(&path);
    let _ = black_box(resident.look_up(Ipv4Addr::LOCALHOST.into(), NOW));
    let opened = start.elapsed();
    let warm = asked(&|address| drop(black_box(resident.look_up(address, NOW))));
    row("{banned}, 1,000,000 bans, indexed", warm, Some(once()));
    let mut later = String::new();
    for _ in 0..1_000 {
        let _ = writeln!(
            later,
            "{} 2030-01-01T00:00:00Z fail2ban:sshd 5 failures",
            client(&mut n)
        );
    }
    let mut all = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(|e| e.to_string())?;
    std::io::Write::write_all(&mut all, later.as_bytes()).map_err(|e| e.to_string())?;
    std::thread::sleep(bans::FRESH);
    let warm = asked(&|address| drop(black_box(resident.look_up(address, NOW))));
    row("{banned}, 1,000 of them after the index", warm, Some(once()));
    println!(
        "  written anew and indexed in {:.0} ms, for {:.1} ms of which the list was locked; opened by a resident in {:.0} ms",
        built.as_secs_f64() * 1e3,
        locked.as_secs_f64() * 1e3,
        opened.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Writes a list anew: how long that takes, and how long at once others could not write to it.
fn written_anew(path: &Path) -> Result<(Duration, Duration), String> {
    let writer = Writer::new(path);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            let mut free = Instant::now();
            while !is_done.load(Relaxed) {
                // Nothing is added, but for the lock that is taken.
                match writer.try_add(&[]) {
                    Ok(bans::Written::Yes) => free = Instant::now(),
                    Ok(bans::Written::Busy) => longest = longest.max(free.elapsed()),
                    Err(error) => return Err(error.to_string()),
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(longest)
        });
        let start = Instant::now();
        let written = Writer::new(path).compact(NOW);
        let built = start.elapsed();
        is_done.store(true, Relaxed);
        let locked = others.join().map_err(|_| "the other writer has ended")??;
        written.map_err(|error| error.to_string())?;
        Ok((built, locked))
    })
}

fn limits(directory: &Path) -> Result<(), String> {
    let open = || Memory::open(directory, state::limits::SLOTS).map_err(|e| e.to_string());
    let memory = open()?;
    let rate = Rate::new(5, Duration::from_secs(60));
    let mut n = 7;
    let warm = nanoseconds(|| {
        drop(black_box(memory.take(
            b"sshd: ALL: limit 5/minute",
            &rate,
            client(&mut n),
        )))
    });
    let one: IpAddr = Ipv4Addr::LOCALHOST.into();
    let same = nanoseconds(|| drop(black_box(memory.take(b"sshd: ALL: limit 5/minute", &rate, one))));
    let once = nanoseconds(|| {
        let memory = Memory::open(directory, state::limits::SLOTS);
        drop(black_box(memory.map(|memory| {
            memory.take(b"sshd: ALL: limit 5/minute", &rate, one)
        })));
    });
    row("limit, a client that is over", same, Some(once));
    row("limit, ever new clients", warm, None);
    Ok(())
}

fn counts(directory: &Path) -> Result<(), String> {
    let problem = |e: std::io::Error| e.to_string();
    let memory = Memory::open(directory, state::limits::SLOTS).map_err(|e| e.to_string())?;
    // Two descriptors a connection, as far as they go.
    let limit = rustix::process::Resource::Nofile;
    let mut wanted = rustix::process::getrlimit(limit);
    wanted.current = wanted.maximum;
    rustix::process::setrlimit(limit, wanted).map_err(|e| e.to_string())?;
    let room = wanted.current.unwrap_or(u64::MAX).saturating_sub(100) / 2;
    let many = room.min(10_000) as usize;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(problem)?;
    let address = listener.local_addr().map_err(problem)?;
    let mut held = Vec::new();
    for _ in 0..many {
        let client = TcpStream::connect(address).map_err(problem)?;
        held.push((client, listener.accept().map_err(problem)?));
    }
    let client = held[many / 2].1.1;
    let source = Some(client.ip().into());
    let resident = Counts::new();
    let ask = |counts: &Counts| counts.connections(Some(&memory), address.port(), client, source, 20_000);
    // One answer of the kernel serves all that is asked in its time.
    let mut warm = f64::INFINITY;
    for _ in 0..20 {
        let _ = black_box(ask(&resident));
        let start = Instant::now();
        for _ in 0..10_000 {
            let _ = black_box(ask(&resident));
        }
        warm = warm.min(start.elapsed().as_secs_f64() * 1e9 / 10_000.0);
        std::thread::sleep(state::counts::FRESH);
    }
    let once = nanoseconds(|| drop(black_box(ask(&Counts::new()))));
    row(&format!("max, {many} connections to the port"), warm, Some(once));
    Ok(())
}

fn countries(path: &Path) {
    let database = Database::of_countries(Some(path));
    let mut n = 7;
    let warm = nanoseconds(|| drop(black_box(database.locate(client(&mut n), true))));
    let once = nanoseconds(|| {
        let database = Database::of_countries(Some(path));
        drop(black_box(database.locate(client(&mut n), false)));
    });
    row("{country}", warm, Some(once));
}
