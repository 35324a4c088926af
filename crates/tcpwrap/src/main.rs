//! `tcpwrap`: explain, check, test, compare and enforce hosts.allow and hosts.deny.
//!
//! One file per subcommand, each thin: the work is in the crates below.

#![forbid(unsafe_code)]

mod explain;
mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Explains, checks, tests, compares and enforces hosts.allow and hosts.deny.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Explain(explain::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Explain(args) => explain::run(&args),
    }
}
