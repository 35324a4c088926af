//! `tcpwrap ban`: puts networks on the ban list, which rules ask with `{banned}`.

pub mod import;
pub mod preview;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hosts_access::{TableKind, Tables};
use state::bans::{self, Ban, Expiry, Refusal, Writer};
use state::config::{self, Config};
use state::network::Network;
use state::stamp;

use crate::output::{self, BAD, DIM, NOTE};
use crate::session;

/// Whose bans those are that name no origin.
pub const ORIGIN: &str = "admin";

/// Ban addresses and networks
///
/// A ban takes effect where a rule says {banned}, in every program that asks the rules, from the moment this command
/// returns.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  banned\n  1  refused: never to be banned, or somebody's who is logged in\n  2  could not be \
    done\n\nEXAMPLES:\n  tcpwrap ban 192.0.2.7 --for 2h --reason 'guesses passwords'\n  tcpwrap ban 2001:db8:1::/48"
)]
pub struct Args {
    /// Addresses, or networks such as 192.0.2.0/24
    #[arg(value_name = "NET", required_unless_present = "import", value_parser = network)]
    networks: Vec<Network>,
    /// For how long: 90s, 30m, 2h, 7d, or never to end by itself
    #[arg(long = "for", value_name = "DURATION", default_value = "never", value_parser = duration)]
    duration: Length,
    /// Why, for whoever reads the list
    #[arg(long, default_value = "")]
    reason: String,
    /// Who bans; each origin takes back only its own bans
    #[arg(long, default_value = ORIGIN, value_parser = origin)]
    origin: String,
    /// Ban addresses somebody is logged in from, too
    #[arg(long)]
    force: bool,
    /// Say what would happen and whom the tables would refuse then, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print that as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// Take the addresses of a hosts.deny, as DenyHosts and its like write it, or of a list, one a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "networks")]
    import: Option<PathBuf>,
}

/// How long a ban lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(Option<u64>);

impl Length {
    fn from(self, now: u64) -> Expiry {
        match self.0 {
            Some(seconds) => Expiry::At(now.saturating_add(seconds).min(stamp::LAST)),
            None => Expiry::Never,
        }
    }
}

/// Reads a network as the command line gives it.
pub fn network(text: &str) -> Result<Network, String> {
    text.parse()
        .map_err(|error: state::network::BadNetwork| error.to_string())
}

fn duration(text: &str) -> Result<Length, String> {
    if text == "never" {
        return Ok(Length(None));
    }
    match config::read_duration(text) {
        Some(duration) if duration.is_zero() => Err("that is no time at all".into()),
        Some(duration) => Ok(Length(Some(duration.as_secs()))),
        None => Err("write it as 90s, 30m, 2h, 7d, or never".into()),
    }
}

/// Reads an origin as the command line gives it.
pub fn origin(text: &str) -> Result<String, String> {
    match bans::is_origin(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "one word of up to {} letters, digits and ._:/@+-",
            bans::LONGEST_ORIGIN
        )),
    }
}

/// What the configuration says of bans.
pub fn configured() -> Result<config::Bans, String> {
    Config::read(Path::new(config::PATH))
        .bans
        .map_err(|unknown| unknown.to_string())
}

/// What is wrong with a list that cannot be used.
pub fn trouble(path: &Path, error: &std::io::Error) -> String {
    let problem = output::at(path, error);
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => problem + "; this needs root",
        _ => problem,
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match ban(args) {
        Ok(status) => status,
        Err(problem) => output::fail(&problem),
    }
}

fn ban(args: &Args) -> Result<ExitCode, String> {
    let configured = configured()?;
    let sessions = match args.force {
        true => Vec::new(),
        false => session::clients(),
    };
    let networks = match &args.import {
        Some(path) => import::networks(path)?,
        None => args.networks.clone(),
    };
    let now = stamp::now();
    let (mut wanted, mut refused) = (Vec::new(), Vec::new());
    for network in networks {
        match bans::refusal(network, &configured.never, &sessions) {
            Some(refusal) => refused.push((network, refusal)),
            None => wanted.push(Ban {
                network,
                expiry: args.duration.from(now),
                origin: args.origin.clone(),
                reason: args.reason.clone(),
            }),
        }
    }
    for (network, refusal) in &refused {
        anstream::eprint!("{}", refused_text(*network, refusal));
    }
    // Whoever names networks means all of them; a long list is worth having without a few.
    if args.import.is_none() && !refused.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    if args.dry_run {
        let networks: Vec<Network> = wanted.iter().map(|ban| ban.network).collect();
        let preview = preview::of(&configured.file, &networks, None, now)?;
        let printed = match args.json {
            true => output::json("ban", &preview.json()),
            false => output::print(&(report(&wanted, args) + &preview.text())),
        };
        return Ok(printed.err().unwrap_or(ExitCode::SUCCESS));
    }
    let writer = Writer::new(&configured.file);
    writer
        .add(&wanted)
        .map_err(|error| trouble(&configured.file, &error))?;
    tidy(&writer, now);
    if let Err(failed) = output::print(&report(&wanted, args)) {
        return Ok(failed);
    }
    if let Some(note) = asked_nowhere(&Tables::default()) {
        output::note(&note);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the list and its index anew, if it is time. What cannot be done costs time and nothing else.
pub fn tidy(writer: &Writer, now: u64) {
    if let Err(error) = writer.tidy(now) {
        let problem = output::at(writer.path(), &error);
        output::note(&format!("{NOTE}note:{NOTE:#} not indexed: {problem}\n"));
    }
}

fn refused_text(network: Network, refusal: &Refusal) -> String {
    let how = match refusal {
        Refusal::Session(_) => "; --force bans it all the same",
        Refusal::Never(_) | Refusal::Loopback => "",
    };
    format!("{BAD}not banned:{BAD:#} {network}: {refusal}{how}\n")
}

fn report(wanted: &[Ban], args: &Args) -> String {
    let verb = if args.dry_run { "would be banned" } else { "banned" };
    let until = |ban: &Ban| match ban.expiry {
        Expiry::At(_) => format!("until {}", ban.expiry),
        Expiry::Never => "until it is taken back".to_owned(),
    };
    match wanted {
        [] => "nothing to ban\n".to_owned(),
        [first, ..] if args.import.is_some() => {
            format!(
                "{} networks {verb} {}{DIM} (origin {}){DIM:#}\n",
                wanted.len(),
                until(first),
                first.origin
            )
        }
        all => all
            .iter()
            .map(|ban| {
                format!(
                    "{} {verb} {}{DIM} (origin {}){DIM:#}\n",
                    ban.network,
                    until(ban),
                    ban.origin
                )
            })
            .collect(),
    }
}

/// Says so if no rule asks for bans.
fn asked_nowhere(tables: &Tables) -> Option<String> {
    let asks = |kind| {
        let text = std::fs::read(tables.path(kind)).unwrap_or_default();
        // Not in a comment.
        let mut rules = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.starts_with(b"#"));
        rules.any(|line| {
            line.to_ascii_lowercase()
                .windows(8)
                .any(|word| word == b"{banned}")
        })
    };
    let is_asked = asks(TableKind::Allow) || asks(TableKind::Deny);
    (!is_asked).then(|| {
        format!(
            "{NOTE}note:{NOTE:#} neither {} nor {} says {{banned}}, so bans have no effect yet; as the first line of the \
             former:\n  ALL: {{banned}}: deny\n",
            tables.path(TableKind::Allow).display(),
            tables.path(TableKind::Deny).display()
        )
    })
}
