//! How many instructions a decision takes by small tables, where clocks say little on a machine that does other
//! things too. Run it with `cargo xtask bench instructions`; needs valgrind.

#![forbid(unsafe_code)]

use std::env;
use std::hint::black_box;
use std::path::Path;

use benches::instructions;
use benches::tables::{STRANGER, addresses, mixed};
use hosts_access::dry::DryHost;
use hosts_access::{Policy, Request, Side, Tables, UNKNOWN};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What is counted: how it decides, the kind and number of rules of the deny table, and who asks.
const COUNTED: [[&str; 4]; 9] = [
    ["compiled", "addresses", "10", "stranger"],
    ["compiled", "addresses", "10", "denied"],
    ["compiled", "mixed", "10", "stranger"],
    ["compiled", "addresses", "100000", "denied"],
    ["policy", "addresses", "10", "stranger"],
    ["scan", "addresses", "10", "stranger"],
    ["scan", "addresses", "10", "denied"],
    ["scan", "mixed", "10", "stranger"],
    ["scan", "addresses", "1000", "stranger"],
];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [how, client, directory, times] if ["compiled", "policy", "scan"].contains(&how.as_str()) => {
            decide(how, client, Path::new(directory), times.parse()?);
            return Ok(());
        }
        _ => {}
    }
    println!("{:<44}{:>14}", "instructions a decision", "");
    for [how, kind, rules, who] in COUNTED {
        let directory = tempfile::tempdir()?;
        let (text, denied) = match kind {
            "addresses" => addresses(rules.parse()?),
            _ => mixed(rules.parse()?),
        };
        std::fs::write(directory.path().join("hosts.deny"), text)?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        let client = if who == "denied" {
            &denied[denied.len() / 2]
        } else {
            STRANGER
        };
        // What making ready costs is in both.
        let [few, many] = ["10", "1010"].map(|times| {
            let directory = directory.path().to_string_lossy();
            instructions(&[how, client, &directory, times])
        });
        println!(
            "{:<44}{:>14}",
            format!("{how}, {rules} {kind}, {who}"),
            (many? - few?) / 1000
        );
    }
    Ok(())
}

/// Decides so often.
fn decide(how: &str, client: &str, directory: &Path, times: u32) {
    let tables = Tables::in_directory(directory);
    let policy = Policy::new(tables.clone());
    let compiled = policy.current();
    let mut host = DryHost::new(UNKNOWN);
    for _ in 0..times {
        let mut request = Request::new("sshd")
            .known_address(Side::Client, black_box(client))
            .known_name(Side::Client, UNKNOWN);
        let _ = black_box(match how {
            "compiled" => compiled.decide(&mut request, &mut host),
            "policy" => policy.decide(&mut request, &mut host),
            _ => tables.decide(&mut request, &mut host),
        });
    }
}
