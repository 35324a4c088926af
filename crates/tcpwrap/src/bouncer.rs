//! `tcpwrap bouncer`: keeps the ban list as somebody else decides.

mod crowdsec;

use std::process::ExitCode;

use clap::Subcommand;

/// Ban whom somebody else decides to ban
///
/// Runs until it is ended. Bans that were made stay until they expire.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    who: Who,
}

#[derive(Debug, Subcommand)]
enum Who {
    Crowdsec(crowdsec::Args),
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match &args.who {
        Who::Crowdsec(args) => crowdsec::run(args),
    }
}
