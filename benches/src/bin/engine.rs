//! The engine beside the reference: one decision by scanning tables on disk, one by a compiled policy,
//! and what compiling costs. Run it with `cargo xtask bench engine`.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use benches::nanoseconds;
use benches::reference::Reference;
use benches::tables::{STRANGER, addresses, mixed, shaped};
use hosts_access::dry::DryHost;
use hosts_access::{Policy, Request, Side, Tables, UNKNOWN};

const NAME: &str = "client.example.com";

fn main() -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    let directory = directory.path();
    let reference = Reference::build(directory)?;
    println!(
        "microseconds a decision (one process, names known beforehand); build in ms, memory in bytes a rule"
    );
    println!(
        "{:<22}{:>12}{:>10}{:>8}{:>10}{:>10}{:>8}{:>9}{:>7}",
        "deny table", "reference", "scan", "ratio", "policy", "+check", "ratio", "build", "bytes"
    );
    for rules in [10, 1_000, 100_000, 1_000_000] {
        row(&reference, directory, "addresses", rules, addresses(rules))?;
    }
    for rules in [1_000, 100_000] {
        row(&reference, directory, "mixed", rules, mixed(rules))?;
    }
    let shapes = [
        "distinct lists",
        "daemon@address",
        "wildcards",
        "users",
        "each EXCEPT",
        "one rule",
        "EXCEPT",
    ];
    for shape in shapes {
        row(&reference, directory, shape, 100_000, shaped(shape, 100_000))?;
    }
    Ok(())
}

fn row(
    reference: &Reference,
    directory: &Path,
    kind: &str,
    rules: usize,
    (text, denied): (String, Vec<String>),
) -> Result<(), String> {
    // Only what is asked for, as `cargo xtask bench engine -- users`.
    if std::env::args().nth(1).is_some_and(|wanted| wanted != kind) {
        return Ok(());
    }
    std::fs::write(directory.join("hosts.deny"), text).map_err(|e| e.to_string())?;
    // Files just written are read again at every decision; let this one settle.
    std::thread::sleep(std::time::Duration::from_millis(100));
    // Strangers pass every rule; they are what a long table costs most.
    let stranger = [STRANGER.to_owned()];
    let rounds = (2_000_000 / rules).clamp(5, 20_000);
    let theirs = reference.nanoseconds(directory, NAME, rounds, &stranger)? / 1e3;

    let tables = Tables::in_directory(directory);
    let mut host = DryHost::new(UNKNOWN);
    let scan = nanoseconds(|| {
        let _ = black_box(tables.decide(&mut request(STRANGER), &mut host));
    }) / 1e3;

    let start = Instant::now();
    let policy = Policy::new(tables);
    let compiled = policy.current();
    let build = start.elapsed().as_secs_f64() * 1e3;
    // Half strangers, half denied, spread over the table.
    let clients: Vec<&str> = denied
        .iter()
        .step_by(1 + denied.len() / 997)
        .map(String::as_str)
        .collect();
    let mut next = 0;
    let mut client = || {
        next += 1;
        if next % 2 == 0 {
            STRANGER
        } else {
            clients[next / 2 % clients.len()]
        }
    };
    let ours = nanoseconds(|| {
        let client = client();
        let _ = black_box(compiled.decide(&mut request(client), &mut host));
    }) / 1e3;
    let checked = nanoseconds(|| {
        let _ = black_box(policy.decide(&mut request(STRANGER), &mut host));
    }) / 1e3;
    println!(
        "{:<22}{theirs:>12.1}{scan:>10.1}{:>8.1}{ours:>10.3}{checked:>10.3}{:>8.0}{build:>9.1}{:>7.1}",
        format!("{rules} {kind}"),
        theirs / scan,
        theirs / checked,
        compiled.bytes() as f64 / rules as f64,
    );
    Ok(())
}

fn request(client: &str) -> Request {
    Request::new("sshd")
        .known_address(Side::Client, client)
        .known_name(Side::Client, NAME)
}
