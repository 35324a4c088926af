//! `tcpwrap lookup`: what rules would be told of an address, each with where it comes from.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anstyle::Style;
use hosts_access::{Fact, TableKind, Tables};
use serde::Serialize;
use state::State;

use crate::evidence;
use crate::output::{self, BAD, NOTE};

/// Show what rules would be told of an address
///
/// Its name, its country and network, whether it is banned, listed or this host's own. Asks name servers, and takes
/// nothing from any limit.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  all of it is known\n  1  something is not: a rule that asks it comes to \"unknown\"\n  2  could \
    not be done"
)]
pub struct Args {
    /// The address
    #[arg(value_name = "ADDRESS")]
    address: IpAddr,
    /// Ask this list in the DNS, too; those that rules name are asked anyway
    #[arg(long, value_name = "ZONE")]
    rbl: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something rules can ask.
#[derive(Debug, Serialize)]
struct Shown {
    /// By which patterns.
    pattern: String,
    /// Is there an answer?
    is_known: bool,
    /// The answer with its source, or why there is none.
    answer: String,
}

#[derive(Debug, Serialize)]
struct Report {
    address: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
    facts: Vec<Shown>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    let report = report(args);
    let printed = match args.json {
        true => output::json("lookup", &report),
        false => output::print(&text(&report)),
    };
    match printed {
        Err(failed) => failed,
        Ok(()) if !report.facts.iter().all(|fact| fact.is_known) => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn report(args: &Args) -> Report {
    let address = args.address.to_canonical();
    let state = State::new(false);
    let mut doubt = None;
    let name = system::names::verified_name(&SocketAddr::new(address, 0), &mut |why| {
        doubt = Some(output::utf8(&why));
    });
    let (lists, names) = asked(&Tables::default());
    let lists: BTreeSet<&String> = lists.iter().chain(&args.rbl).collect();
    let mut asked = vec![
        ("{country}, {continent}".to_owned(), Fact::Location),
        ("{asn}".to_owned(), Fact::System),
    ];
    asked.extend(
        names
            .iter()
            .map(|name| (format!("{{dns={name}}}"), Fact::Addresses(name.clone().into()))),
    );
    asked.extend(
        lists
            .iter()
            .map(|zone| (format!("{{rbl={zone}}}"), Fact::Listed(zone.as_bytes().to_vec()))),
    );
    asked.push(("{samehost}, {samenet}".to_owned(), Fact::Nearness));
    asked.push(("{banned}".to_owned(), Fact::Banned));
    let facts = asked
        .into_iter()
        .map(|(pattern, fact)| {
            let evidence = evidence::of(&state, &fact, Some(address), None);
            Shown {
                pattern,
                is_known: evidence.known.is_ok(),
                answer: evidence.text,
            }
        })
        .collect();
    Report {
        address: address.to_string(),
        name: output::utf8(&name),
        doubt,
        facts,
    }
}

/// The lists in the DNS, and the names, that the tables ask for.
fn asked(tables: &Tables) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut lists, mut names) = (BTreeSet::new(), BTreeSet::new());
    for kind in [TableKind::Allow, TableKind::Deny] {
        let text = std::fs::read(tables.path(kind)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for pattern in lines.flat_map(|line| line.split('{').skip(1)) {
            let Some((pattern, _)) = pattern.split_once('}') else {
                continue;
            };
            match pattern.split_once('=') {
                Some(("rbl", value)) => lists.extend(value.split('|').next().map(str::to_owned)),
                Some(("dns", value)) => names.extend(value.split('|').map(str::to_owned)),
                _ => {}
            }
        }
    }
    (lists, names)
}

fn text(report: &Report) -> String {
    let mut out = format!("{}  {}\n", report.address, output::escape(report.name.as_bytes()));
    if let Some(doubt) = &report.doubt {
        out.push_str(&format!("{NOTE}  {}{NOTE:#}\n", output::escape(doubt.as_bytes())));
    }
    let width = report
        .facts
        .iter()
        .map(|fact| fact.pattern.chars().count())
        .max()
        .unwrap_or(0);
    for fact in &report.facts {
        let style = if fact.is_known { Style::new() } else { BAD };
        let answer = output::escape(fact.answer.as_bytes());
        out.push_str(&format!("  {:width$}  {style}{answer}{style:#}\n", fact.pattern));
    }
    out
}
