//! `tcpwrap status`: what waits for clients on this machine, what makes it obey the tables, and to whom it is open.
//!
//! What obeys is found out by crate `obey`, who is let in by [`open`]; here the two are put together and shown.

mod about;
mod facts;
mod open;
mod policies;
mod survey;
mod text;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crate::output;
use crate::rules::Rules;
use facts::{Level, Status};
pub use text::clean;

/// Show what listens on this machine, what makes it obey the rules, and to whom it is open
///
/// What nothing protects although a rule is about it comes first. Root sees everything; other users are told what they
/// cannot see.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  shown\n  1  with --exit-code: a rule is about a program that nothing makes obey\n  \
    2  it could not be found out\nWith --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Look at every network namespace, not at this one alone
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["nagios", "watch"])]
    json: bool,
    /// Exit with 1 where a rule is about a program that nothing makes obey
    #[arg(long)]
    exit_code: bool,
    /// Print one line for a monitoring system, and exit as its plugins do
    #[arg(long, conflicts_with = "watch")]
    nagios: bool,
    /// Show it again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match show(args) {
        Ok(status) => status,
        Err(problem) if args.nagios => {
            let line = format!("TCPWRAP UNKNOWN - {}\n", text::clean(problem.as_bytes()));
            output::write(&line).map_or_else(|problem| output::fail(&problem), |()| ExitCode::from(UNKNOWN))
        }
        Err(problem) => output::fail(&problem),
    }
}

/// What a monitoring plugin exits with when it does not know.
const UNKNOWN: u8 = 3;

fn show(args: &Args) -> Result<ExitCode, String> {
    if let Some(seconds) = args.watch {
        return watch(args, Duration::from_secs(seconds));
    }
    let status = Status::now(&args.rules, args.all)?;
    let level = status.level();
    if args.nagios {
        output::write(&text::nagios(&status))?;
        return Ok(ExitCode::from(match level {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
            Level::Unknown => UNKNOWN,
        }));
    }
    let printed = match args.json {
        true => output::json("status", &status),
        false => output::print(&text::whole(&status)),
    };
    Ok(match printed {
        Err(failed) => failed,
        Ok(()) => ExitCode::from(u8::from(args.exit_code && level == Level::Critical)),
    })
}

/// Shows it until nobody looks any more.
fn watch(args: &Args, pause: Duration) -> Result<ExitCode, String> {
    const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";
    let is_terminal = std::io::stdout().is_terminal();
    loop {
        let shown = text::whole(&Status::now(&args.rules, args.all)?);
        let before = if is_terminal { HOME_AND_CLEAR } else { "" };
        if !output::follow(&format!("{before}{shown}"))? {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(pause);
    }
}
