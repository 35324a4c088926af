//! The fuzz targets' bodies, over the committed seeds and mutations of them.
//!
//! `FUZZ_ROUNDS` sets how many mutations of each seed, `FUZZ_SEED` where they start.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz_bodies::{Body, TARGETS};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("a seed")))
        .collect()
}

/// A small generator of numbers (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

const PIECES: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\n",
    b"\\\n",
    b"\\",
    b":",
    b" ",
    b"[",
    b"]",
    b"%",
    b"@",
    b"/",
    b"*",
    b"?",
    b".",
    b"#",
    b"=",
    b",",
    b"EXCEPT",
    b"ALL",
    b"LIST",
    b"0",
    b"99999999999999999999",
    b"-1",
    b"255.255.255.255",
    b"::",
    b"{",
    b"}",
    b"\xc3",
];

fn mutate(text: &mut Vec<u8>, other: &[u8], n: &mut Numbers) {
    for _ in 0..1 + n.below(6) {
        let at = n.below(text.len() + 1);
        match n.below(5) {
            0 => drop(text.splice(at..at, PIECES[n.below(PIECES.len())].iter().copied())),
            1 => {
                let end = (at + n.below(12)).min(text.len());
                text.drain(at..end);
            }
            2 if at < text.len() => text[at] = n.below(256) as u8,
            3 => {
                let from = n.below(other.len() + 1);
                let end = (from + n.below(40)).min(other.len());
                text.splice(at..at, other[from..end].iter().copied());
            }
            _ if text.len() < 4096 => text.extend_from_within(at..),
            _ => {}
        }
    }
}

fn run(target: &str, body: Body, default_rounds: u64) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has seeds");
    let first = number("FUZZ_SEED", 1);
    for (at, (path, seed)) in seeds.iter().enumerate() {
        println!("{}", path.display());
        body(seed);
        let other = &seeds[(at + 1) % seeds.len()].1;
        for round in first..first + number("FUZZ_ROUNDS", default_rounds) {
            let mut text = seed.clone();
            mutate(
                &mut text,
                other,
                &mut Numbers((round << 16 | at as u64) | 1 << 63),
            );
            // On failure the test's output ends with the input.
            let result = std::panic::catch_unwind(|| body(&text));
            if let Err(panic) = result {
                println!("round {round}: {}", text.escape_ascii());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn target(name: &str, rounds: u64) {
    let body = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target")
        .1;
    run(name, body, rounds);
}

#[test]
fn tables_of_any_bytes_are_read_checked_and_formatted() {
    target("tables", 300);
}

#[test]
fn the_scan_and_the_policy_agree_on_tables_of_any_bytes() {
    target("decisions", 300);
}

#[test]
fn damaged_indexes_change_no_decision() {
    target("indexes", 150);
}

#[test]
fn expansions_of_any_bytes_are_harmless() {
    target("expansions", 2000);
}

#[test]
fn ident_replies_of_any_bytes_are_read() {
    target("ident", 5000);
}

#[test]
fn configurations_of_any_bytes_are_read() {
    target("services", 1000);
}

#[test]
fn databases_of_any_bytes_are_asked() {
    target("databases", 3000);
}

#[test]
fn ban_lists_of_any_bytes_are_read_and_written_anew() {
    target("bans", 200);
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for (name, _) in TARGETS {
        assert!(fuzz.join(name).with_extension("rs").exists(), "{name}");
    }
}
