//! What the benchmarks share: tables of known kinds and sizes, the reference to compare with, and
//! namespaces to do it in.

#![forbid(unsafe_code)]

pub mod apart;
pub mod reference;
pub mod tables;

use std::process::Command;
use std::time::Instant;

/// Runs `work` until it has taken a while, and returns the nanoseconds one call took: the best of
/// several rounds, which a noisy machine disturbs least.
pub fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let mut seconds = |calls: u32| {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        start.elapsed().as_secs_f64()
    };
    // The first calls may read what later ones have in memory.
    let mut calls = 1;
    while calls < 10_000_000 && seconds(calls) < 0.1 {
        calls *= 2;
    }
    let rounds = (0..5).map(|_| seconds(calls));
    rounds.fold(f64::INFINITY, f64::min) / f64::from(calls) * 1e9
}

/// The instructions that this program takes with these arguments, as valgrind counts them.
///
/// # Errors
/// What is wrong with valgrind.
pub fn instructions(arguments: &[&str]) -> Result<i64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.ok_or_else(|| format!("valgrind: {text}"))?;
    number.trim().parse().map_err(|_| format!("valgrind: {text}"))
}
