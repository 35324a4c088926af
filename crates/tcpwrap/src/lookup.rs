//! `tcpwrap lookup`: what rules would be told of an address, each with where it comes from.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use hosts_access::{TableKind, Tables};
use serde::Serialize;
use state::geo::{Database, Located};
use state::names::Family;
use state::{Answer, State, bans, stamp};

use crate::bans::span;
use crate::output::{self, BAD, DIM, NOTE};

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
struct Fact {
    /// What is asked, by the pattern that asks it.
    pattern: String,
    /// What is known; nothing where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    address: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
    facts: Vec<Fact>,
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
        Ok(()) if report.facts.iter().any(|fact| fact.unknown.is_some()) => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn report(args: &Args) -> Report {
    let address = args.address.to_canonical();
    let state = State::new(false);
    let mut doubt = None;
    let name = system::names::verified_name(&SocketAddr::new(address, 0), &mut |why| {
        doubt = Some(output::utf8(&why))
    });
    let mut facts = Vec::new();
    let mut add = |pattern: &str, answer: Answer<String>, source: Option<String>| {
        let (answer, unknown) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(unknown) => (None, Some(unknown.to_string())),
        };
        facts.push(Fact {
            pattern: pattern.to_owned(),
            answer,
            unknown,
            source,
        });
    };

    let located = state.country(address);
    let source = source_of(state.countries(), &located);
    let code = |code: Option<state::geo::Code>| code.map_or("none".to_owned(), |code| code.to_string());
    let in_countries = located
        .clone()
        .map(|located| code(located.and_then(|located| located.country)));
    add("{country}", in_countries, source.clone());
    add(
        "{continent}",
        located.map(|located| code(located.and_then(|located| located.continent))),
        source,
    );
    let located = state.system(address);
    let source = source_of(state.systems(), &located);
    let system = located.map(|located| match located.and_then(|located| located.asn) {
        Some(number) => format!("AS{number}"),
        None => "none".to_owned(),
    });
    add("{asn}", system, source);

    let (lists, names) = asked(&Tables::default());
    for name in names {
        let resolved = state.addresses(&name, Family::of(address));
        let answer = resolved.map(|resolved| {
            let shown: Vec<String> = resolved.addresses.iter().map(ToString::to_string).collect();
            match (resolved.addresses.contains(&address), shown.is_empty()) {
                (true, _) => "yes".to_owned(),
                (false, true) => "no: the name has no address of this family".to_owned(),
                (false, false) => format!("no: it is {}", shown.join(", ")),
            }
        });
        add(&format!("{{dns={name}}}"), answer, None);
    }
    for zone in lists.iter().chain(&args.rbl).collect::<BTreeSet<_>>() {
        let answer = state.listed(zone, address).map(|codes| {
            let shown: Vec<String> = codes.iter().map(ToString::to_string).collect();
            if shown.is_empty() {
                "no".to_owned()
            } else {
                format!("yes: {}", shown.join(", "))
            }
        });
        add(&format!("{{rbl={zone}}}"), answer, None);
    }

    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    add("{samehost}", state.interfaces().is_own(address).map(yes), None);
    add("{samenet}", state.interfaces().is_near(address).map(yes), None);
    let list = state
        .config()
        .bans
        .as_ref()
        .ok()
        .map(|bans| bans.file.display().to_string());
    add("{banned}", banned(&state, address), list);
    Report {
        address: address.to_string(),
        name: output::utf8(&name),
        doubt,
        facts,
    }
}

/// Which database said so, of which network, and when it was made.
fn source_of(database: Answer<&Database>, located: &Answer<Option<Located>>) -> Option<String> {
    const DAY: u64 = 86_400;
    let edition = database.ok()?.edition().ok()?;
    let network = located
        .as_ref()
        .ok()?
        .map(|located| format!("{}, ", located.network));
    let age = stamp::now().saturating_sub(edition.built) / DAY;
    let made = stamp::show(edition.built);
    Some(format!(
        "{}{} of {}, {age} days old",
        network.unwrap_or_default(),
        edition.path.display(),
        &made[..10]
    ))
}

/// All bans that hold.
fn banned(state: &State, address: IpAddr) -> Answer<String> {
    let Some(found) = state.banned(address)? else {
        return Ok("no".to_owned());
    };
    let now = stamp::now();
    let until = match found.expiry {
        bans::Expiry::At(end) => format!("for {} more", span(end.saturating_sub(now))),
        bans::Expiry::Never => "until it is taken back".to_owned(),
    };
    let by = state.ban_of(&found).map(|ban| {
        let reason = if ban.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", ban.reason)
        };
        format!(", by {}{reason}", ban.origin)
    });
    Ok(format!(
        "yes: {} {until}{}",
        found.network,
        by.unwrap_or_default()
    ))
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
        let said = match (&fact.answer, &fact.unknown) {
            (Some(answer), _) => output::escape(answer.as_bytes()),
            (None, Some(unknown)) => format!("{BAD}unknown:{BAD:#} {}", output::escape(unknown.as_bytes())),
            (None, None) => String::new(),
        };
        let source = fact
            .source
            .as_ref()
            .map(|source| format!("{DIM}  ({source}){DIM:#}"));
        out.push_str(&format!(
            "  {:width$}  {said}{}\n",
            fact.pattern,
            source.unwrap_or_default()
        ));
    }
    out
}
