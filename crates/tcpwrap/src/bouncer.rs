//! `tcpwrap bouncer`: keeps the ban list as somebody else decides.

mod crowdsec;

use std::process::ExitCode;

use clap::ValueEnum;

/// Ban whom somebody else decides to ban
///
/// Runs until it is ended. Bans that were made stay until they expire.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  with --once: the list is as it was decided\n  2  it could not be begun, or with \
    --once: not done\n\nMake a key with: cscli bouncers add tcpwrap"
)]
pub struct Args {
    /// Who decides
    #[arg(value_enum)]
    who: Who,
    #[command(flatten)]
    crowdsec: crowdsec::Api,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Who {
    Crowdsec,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match args.who {
        Who::Crowdsec => crowdsec::run(&args.crowdsec),
    }
}
