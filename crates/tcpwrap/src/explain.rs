//! `tcpwrap explain`: what would be decided, and why.

use std::process::ExitCode;

use hosts_access::Request;
use hosts_access::dry::DryHost;

use crate::rules::Rules;

/// Explain what would be decided for a request, and why
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// The daemon's name
    daemon: String,
    /// The client's address
    client: String,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    let mut host = DryHost::new(args.client.as_str());
    let decision = args
        .rules
        .tables()
        .decide(&mut Request::new(&mut host, args.daemon.as_str()));
    println!("{:?}", decision.verdict);
    ExitCode::SUCCESS
}
