//! `tcpwrap test`: policy tests kept beside the rules.
//!
//! Each test decides requests with the engine, on a host that answers what the test says and carries
//! nothing out.

mod coverage;
mod file;
mod report;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hosts_access::dry::DryHost;
use hosts_access::{Decision, Effect, Policy, Request, Tables};

use self::coverage::Coverage;
use self::file::{Commands, Place, Test, TestFile};
use self::report::Outcome;
use crate::output;
use crate::rules::{Rules, both_end, readable};

/// The test file that is run where none is named.
const USUAL: &str = "hosts.test.toml";

/// Test what the rules decide
///
/// FILE is a test file; without one, hosts.test.toml in the current directory. The tables are those that
/// the file names, or hosts.allow and hosts.deny beside it. Nothing is looked up and no command is run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  all tests passed\n  1  some failed\n  2  the tests could not be run"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Test files
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// List the rules that decided none of the requests
    #[arg(long)]
    coverage: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the results to FILE as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    let (outcomes, coverage) = match outcomes(args) {
        Ok(found) => found,
        Err(problem) => return output::fail(&problem),
    };
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, report::junit(&outcomes))
    {
        return output::fail(&output::at(path, &error));
    }
    let printed = if args.json {
        output::json("test", &report::json(&outcomes, &coverage))
    } else {
        output::print(&report::text(&outcomes, &coverage, args.coverage))
    };
    match printed {
        Err(failed) => failed,
        Ok(()) if outcomes.iter().all(|outcome| outcome.failures.is_empty()) => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

fn outcomes(args: &Args) -> Result<(Vec<Outcome>, Coverage), String> {
    let usual = [PathBuf::from(USUAL)];
    let paths = if args.files.is_empty() {
        if !usual[0].exists() {
            return Err(format!("no {USUAL} in this directory: name a test file"));
        }
        &usual[..]
    } else {
        &args.files
    };
    let named = args
        .rules
        .are_named()
        .then(|| args.rules.existing_tables())
        .transpose()?;
    let mut outcomes = Vec::new();
    let mut coverage = Coverage::default();
    for path in paths {
        let file = file::read(path)?;
        let tables = named.as_ref().unwrap_or(&file.tables);
        both_end(tables)?;
        readable(tables)?;
        let found = run_file(&file, tables);
        coverage.add(tables, &found);
        outcomes.extend(found);
    }
    if outcomes.is_empty() {
        return Err(format!("{}: no tests", paths[0].display()));
    }
    Ok((outcomes, coverage))
}

/// Runs the tests that are kept beside a table, if there are any, against other tables: copies of it, say.
pub fn beside(table: &Path, tables: &Tables) -> Result<Vec<Outcome>, String> {
    let path = table.with_file_name(USUAL);
    if !path.exists() {
        return Ok(Vec::new());
    }
    Ok(run_file(&file::read(&path)?, tables))
}

/// Runs the tests of a file against tables.
fn run_file(file: &TestFile, tables: &Tables) -> Vec<Outcome> {
    let policy = Policy::new(tables.clone());
    let mut outcomes = Vec::new();
    for (line, test) in &file.tests {
        for daemon in test.daemon.all() {
            for client in test.client.all() {
                outcomes.push(run_test(&file.path, *line, test, (daemon, client), &policy));
            }
        }
    }
    outcomes
}

fn run_test(
    path: &Path,
    line: usize,
    test: &Test,
    (daemon, client): (&str, &str),
    policy: &Policy,
) -> Outcome {
    let unknown = || "unknown".to_owned();
    let name = test.name.clone().unwrap_or_else(unknown);
    let mut host = DryHost::new(client)
        .named(name.clone())
        .with_user(test.user.clone().unwrap_or_else(unknown))
        .with_server(
            test.server.clone().unwrap_or_else(unknown),
            test.server_name.clone().unwrap_or_else(unknown),
            test.port,
        );
    for group in &test.netgroups {
        host = host.in_netgroup(group.clone(), name.clone());
    }
    host = test.world().tell(host);
    if let Some(commands) = test.commands {
        host = host.commands_succeed(matches!(commands, Commands::Succeed));
    }
    let decision = policy.decide(&mut Request::new(daemon), &mut host);
    Outcome {
        file: path.to_owned(),
        line,
        about: test.about.clone(),
        request: format!("{daemon} from {client}"),
        failures: failures(test, &decision),
        rule: decision.rule.map(|rule| (rule.table, rule.place.line)),
    }
}

/// In what the decision is not the expected one.
fn failures(test: &Test, decision: &Decision) -> Vec<String> {
    let mut failures = Vec::new();
    let place = Place(decision.rule.as_ref().map(|rule| (rule.table, rule.place.line)));
    let by = decision.rule.as_ref().map_or_else(
        || "no rule".to_owned(),
        |rule| format!("{}, line {}", rule.place.file.display(), rule.place.line),
    );
    if decision.verdict != test.expect.verdict() {
        failures.push(format!(
            "expected {}, {} by {by}",
            output::verdict(test.expect.verdict()),
            output::verdict(decision.verdict)
        ));
    }
    if let Some(expected) = test.rule
        && expected != place
    {
        failures.push(format!(
            "expected {} to decide, {by} did",
            report::place(expected)
        ));
    }
    let runs: Vec<String> = decision.effects.iter().map(effect).collect();
    if let Some(expected) = &test.runs
        && *expected != runs
    {
        failures.push(format!("expected to run {expected:?}, ran {runs:?}"));
    }
    failures
}

/// An effect as its option is written.
fn effect(effect: &Effect) -> String {
    let text = [effect.option().as_str().as_bytes(), b" ", &effect.value()].concat();
    output::utf8(text.trim_ascii_end())
}
