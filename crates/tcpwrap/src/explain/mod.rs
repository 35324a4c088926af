//! `tcpwrap explain`: what would be decided for a request, by which rule, and why.
//!
//! Nothing is carried out: commands are shown, not run. Names are looked up as a daemon would, unless
//! told otherwise.

mod enforced;
mod host;
mod meaning;
mod report;
mod requests;
mod text;

use std::collections::HashMap;
use std::process::ExitCode;

use hosts_access::Verdict;
use obey::Machine;

use self::enforced::Enforced;
use self::report::Report;
use crate::output;
use crate::rules::{Rules, readable};

/// Explain what would be decided for a request, and why
///
/// CLIENT is an address or a host name, which is looked up; DAEMON is the name that rules know the
/// service by. No command is run and no connection is made.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  the question was answered; with --exit-code: access is granted\n  \
    1  with --exit-code: access is denied to at least one request\n  2  the question could not be answered\n  \
    3  with --exit-code: a command decides (twist, aclexec)"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    requests: requests::Requests,
    /// Show every rule and token that was tried, and what became of it
    #[arg(long)]
    trace: bool,
    /// Show every rule that would match, and which one wins
    #[arg(long)]
    all_rules: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say the verdict by the exit status too
    #[arg(long)]
    exit_code: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    let requests = match args.requests.read() {
        Ok(requests) => requests,
        Err(problem) => return output::fail(&problem),
    };
    let tables = match args
        .rules
        .existing_tables()
        .and_then(|tables| readable(&tables).map(|()| tables))
    {
        Ok(tables) => tables,
        Err(problem) => return output::fail(&problem),
    };
    let busy = output::busy("looking up");
    // Other tables than this machine's are somebody else's to enforce.
    let machine = (!args.rules.are_named())
        .then(|| Machine::of_this_host(None).ok())
        .flatten();
    let mut enforced: HashMap<&[u8], Enforced> = HashMap::new();
    let mut enforced = |daemon| {
        let machine = machine.as_ref()?;
        let found = enforced
            .entry(daemon)
            .or_insert_with(|| Enforced::of(machine, daemon));
        Some(found.clone())
    };
    let reports: Vec<Report> = requests
        .iter()
        .map(|request| {
            let mut report = report::report(&tables, request, args.trace, args.all_rules);
            report.enforced = enforced(&request.daemon);
            report
        })
        .collect();
    drop(busy);
    let printed = if args.json {
        output::json("explain", &serde_json::json!({ "requests": reports }))
    } else if args.requests.is_matrix() {
        output::print(&text::matrix(&reports))
    } else {
        output::print(&text::reports(&reports))
    };
    if let Err(failed) = printed {
        return failed;
    }
    if !args.exit_code {
        return ExitCode::SUCCESS;
    }
    let has = |verdict| {
        reports
            .iter()
            .any(|report| report.verdict == output::verdict(verdict))
    };
    ExitCode::from(match (has(Verdict::Denied), has(Verdict::Delegated)) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    })
}
