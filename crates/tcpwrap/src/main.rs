//! `tcpwrap`: explain, check, test, compare and enforce hosts.allow and hosts.deny.
//!
//! One file per subcommand, each thin: the work is in the crates below.

#![forbid(unsafe_code)]

mod answering;
mod attach;
mod ban;
mod bans;
mod bouncer;
mod check;
mod compile;
mod complete;
mod databases;
mod detach;
mod diff;
mod edit;
mod evidence;
mod explain;
mod fmt;
mod install;
mod lookup;
mod output;
mod pair;
mod rules;
mod run;
mod scan;
mod session;
mod status;
mod test;
mod text_diff;
mod unban;
mod unit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Work with hosts.allow and hosts.deny
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    manner: output::Manner,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attach(attach::Args),
    Ban(ban::Args),
    Bans(bans::Args),
    Bouncer(bouncer::Args),
    Check(check::Args),
    Compile(compile::Args),
    Detach(detach::Args),
    Diff(diff::Args),
    Edit(edit::Args),
    Explain(explain::Args),
    Fmt(fmt::Args),
    Lookup(lookup::Args),
    Run(run::Args),
    Scan(scan::Args),
    Status(status::Args),
    Test(test::Args),
    Unban(unban::Args),
}

fn main() -> ExitCode {
    complete::answer();
    let Cli { manner, command } = Cli::parse();
    manner.set();
    match command {
        Command::Attach(args) => attach::run(&args),
        Command::Ban(args) => ban::run(&args),
        Command::Bans(args) => bans::run(&args),
        Command::Bouncer(args) => bouncer::run(&args),
        Command::Unban(args) => unban::run(&args),
        Command::Detach(args) => detach::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Edit(args) => edit::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Lookup(args) => lookup::run(&args),
        Command::Run(args) => run::run(args),
        Command::Scan(args) => scan::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Test(args) => test::run(&args),
    }
}
