//! `tcpwrap lookup`: what rules would be told of an address, each with where it comes from.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use analysis::document::{Content, Document, OptionField, Rule, content};
use anstyle::Style;
use hosts_access::options::limit_key;
use hosts_access::source::Ending;
use hosts_access::syntax::option::{Keyword, Order, limit, max};
use hosts_access::syntax::pattern::{Service, StringPattern};
use hosts_access::{Fact, TableKind, Tables, string_matches};
use serde::Serialize;
use state::State;

use crate::evidence;
use crate::output::{self, BAD, NOTE};

/// Show what rules would be told of an address
///
/// Its name, its country and network, whether it is banned, listed or this host's own, and what the limits of rules have
/// left for it. Asks name servers, and takes nothing from any limit.
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
    /// Show what limits of rules for patterns, such as ALL, have left for this daemon, too
    #[arg(long, value_name = "DAEMON")]
    daemon: Vec<String>,
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
    limits: Vec<Bound>,
}

/// A bound of a rule, for one daemon.
#[derive(Debug, Serialize)]
struct Bound {
    /// The rule's place.
    file: String,
    line: u32,
    daemon: String,
    /// The option, as it is written.
    option: String,
    is_known: bool,
    /// What is left, and who counts it.
    answer: String,
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
        Ok(()) if !report.is_known() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
    }
}

impl Report {
    fn is_known(&self) -> bool {
        self.facts.iter().all(|fact| fact.is_known) && self.limits.iter().all(|limit| limit.is_known)
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
        limits: limits(&state, address, &args.daemon),
    }
}

/// What the bounds of all rules have left for the client, with nothing taken.
fn limits(state: &State, address: IpAddr, named: &[String]) -> Vec<Bound> {
    let tables = Tables::default();
    let mut found = Vec::new();
    let mut ports = Ports::default();
    for kind in [TableKind::Allow, TableKind::Deny] {
        let path = tables.path(kind);
        let document = Document::new(path.to_path_buf(), std::fs::read(path).unwrap_or_default());
        for entry in document.entries.iter().filter(|e| e.ending == Ending::Newline) {
            let line = document.line(entry);
            let Content::Rule(rule) = content(&line) else {
                continue;
            };
            let is_sound = rule.options.iter().all(|option| option.problem.is_none());
            let options = rule.options.iter().filter(|_| is_sound);
            for option in options.filter(|option| option.keyword.is_some_and(|k| k.order() == Order::Bound)) {
                for (daemon, port) in daemons(&rule, named) {
                    let port = port.or_else(|| ports.of(&daemon));
                    let text = line.strip_suffix(b"\n").unwrap_or(&line);
                    let Some((fact, by)) = bound(option, &daemon, text) else {
                        continue;
                    };
                    let evidence = evidence::of(state, &fact, Some(address), port);
                    let by = if evidence.known.is_ok() { by } else { String::new() };
                    found.push(Bound {
                        file: path.display().to_string(),
                        line: entry.first_line,
                        daemon: output::utf8(&daemon),
                        option: output::utf8(option.text.trim_ascii()),
                        is_known: evidence.known.is_ok(),
                        answer: evidence.text + &by,
                    });
                }
            }
        }
    }
    found
}

/// The question an option asks, and who answers it.
fn bound(option: &OptionField<'_>, daemon: &[u8], rule: &[u8]) -> Option<(Fact, String)> {
    let value = option.value()?;
    Some(match option.keyword? {
        Keyword::Limit => {
            let rule = limit_key(daemon, rule, value);
            let limit = limit(value)?;
            let user = rustix::process::geteuid().as_raw();
            let by = format!(" now ({}/{user})", state::limits::DIRECTORY);
            (Fact::Rate { rule, limit }, by)
        }
        Keyword::Max => (Fact::Connections(max(value)?), " now (the kernel)".to_owned()),
        _ => return None,
    })
}

/// The daemons a rule is for by name, with their ports where these are named instead; and of those that are asked for,
/// whom it is for otherwise.
fn daemons(rule: &Rule<'_>, named: &[String]) -> Vec<(Vec<u8>, Option<u16>)> {
    let mut found = Vec::new();
    for token in &rule.daemons.parts[0] {
        match token.pattern.service {
            Service::Name(StringPattern::Exact(name)) => found.push((name.to_vec(), None)),
            Service::Name(pattern) => {
                let is_it = |name: &&String| string_matches(pattern, name.as_bytes());
                found.extend(
                    named
                        .iter()
                        .filter(is_it)
                        .map(|name| (name.clone().into_bytes(), None)),
                );
            }
            Service::Port(port) => {
                found.extend(named.iter().map(|name| (name.clone().into_bytes(), Some(port))));
            }
        }
    }
    found
}

/// At which ports daemons wait here; looked at when it is first asked.
#[derive(Default)]
struct Ports(Option<Vec<(Vec<u8>, u16)>>);

impl Ports {
    fn of(&mut self, daemon: &[u8]) -> Option<u16> {
        let all = self.0.get_or_insert_with(|| {
            let machine = obey::Machine::of_this_host(None);
            let found = machine.and_then(|machine| obey::listeners(&machine, false));
            let all = found.map(|found| found.all).unwrap_or_default();
            all.into_iter()
                .map(|listener| (listener.daemon, listener.socket.address.port()))
                .collect()
        });
        let is_it = |(name, _): &&(Vec<u8>, u16)| name.eq_ignore_ascii_case(daemon);
        all.iter().find(is_it).map(|(_, port)| *port)
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
    for limit in &report.limits {
        let style = if limit.is_known { Style::new() } else { BAD };
        out.push_str(&format!(
            "  {}: {}, {} line {}: {style}{}{style:#}\n",
            output::escape(limit.daemon.as_bytes()),
            output::escape(limit.option.as_bytes()),
            limit.file,
            limit.line,
            output::escape(limit.answer.as_bytes())
        ));
    }
    out
}
