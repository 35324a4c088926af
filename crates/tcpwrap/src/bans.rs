//! `tcpwrap bans`: who is banned, until when, by whom and why.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use state::bans::{self, Ban, Expiry, Writer};
use state::network::Network;
use state::stamp;

use crate::ban::{configured, network, origin, trouble};
use crate::output::{self, BAD, DIM, NOTE};

/// Show who is banned
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  shown\n  1  networks were named, and no ban concerns them\n  2  the list has lines that \
    cannot be read, or could not be read at all"
)]
pub struct Args {
    /// Only bans that concern one of these addresses or networks
    #[arg(value_name = "NET", value_parser = network)]
    networks: Vec<Network>,
    /// Bans that are over, too, as far as the list still has them
    #[arg(long)]
    expired: bool,
    /// Only this origin's
    #[arg(long, value_parser = origin)]
    origin: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "compact")]
    json: bool,
    /// Write the list anew, without what is over and taken back, and its index
    #[arg(long, conflicts_with_all = ["networks", "expired", "origin"])]
    compact: bool,
}

#[derive(Serialize)]
struct Shown<'b> {
    network: String,
    expiry: Option<String>,
    origin: &'b str,
    reason: &'b str,
    is_over: bool,
}

#[derive(Serialize)]
struct List<'b> {
    file: String,
    bans: Vec<Shown<'b>>,
    damaged_lines: Vec<usize>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match show(args) {
        Ok(status) => status,
        Err(problem) => output::fail(&problem),
    }
}

fn show(args: &Args) -> Result<ExitCode, String> {
    let path = configured()?.file;
    let now = stamp::now();
    if args.compact {
        let contents = bans::contents(&path).map_err(|error| trouble(&path, &error))?;
        say_unfinished(&path, &contents.unfinished);
        let writer = Writer::new(&path);
        writer.compact(now).map_err(|error| trouble(&path, &error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let contents = bans::contents(&path).map_err(|error| trouble(&path, &error))?;
    let is_wanted = |ban: &&Ban| {
        (args.expired || !ban.expiry.is_over(now))
            && args.origin.as_ref().is_none_or(|origin| ban.origin == *origin)
            && (args.networks.is_empty() || args.networks.iter().any(|network| network.overlaps(ban.network)))
    };
    let shown: Vec<&Ban> = contents.bans.iter().filter(is_wanted).collect();
    let printed = match args.json {
        true => output::json(
            "bans",
            &List {
                file: path.display().to_string(),
                bans: shown.iter().map(|ban| as_json(ban, now)).collect(),
                damaged_lines: contents.damaged.iter().map(|(line, _)| *line).collect(),
            },
        ),
        false => output::print(&table(&shown, now)),
    };
    if let Err(failed) = printed {
        return Ok(failed);
    }
    say_unfinished(&path, &contents.unfinished);
    for (number, line) in &contents.damaged {
        let line = output::escape(line);
        output::note(&format!(
            "{BAD}damaged:{BAD:#} {}, line {number}: {line}\n",
            path.display()
        ));
    }
    if !contents.damaged.is_empty() {
        return Err(
            "whoever is not banned by another line counts as unknown until these lines are mended or removed"
                .into(),
        );
    }
    Ok(match shown.is_empty() && !args.networks.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Says what a writer that was killed, or an editor, has left behind the last line.
fn say_unfinished(path: &Path, text: &[u8]) {
    if !text.is_empty() {
        let text = output::escape(text);
        output::note(&format!(
            "{NOTE}note:{NOTE:#} {}: its last line has no end, so it is no ban, and the next change removes it: {text}\n",
            path.display()
        ));
    }
}

fn as_json(ban: &Ban, now: u64) -> Shown<'_> {
    Shown {
        network: ban.network.to_string(),
        expiry: match ban.expiry {
            Expiry::At(_) => Some(ban.expiry.to_string()),
            Expiry::Never => None,
        },
        origin: &ban.origin,
        reason: &ban.reason,
        is_over: ban.expiry.is_over(now),
    }
}

fn table(bans: &[&Ban], now: u64) -> String {
    let rows: Vec<[String; 4]> = bans
        .iter()
        .map(|ban| {
            [
                ban.network.to_string(),
                end(ban, now),
                ban.origin.clone(),
                output::escape(ban.reason.as_bytes()),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for ([network, end, origin, reason], ban) in rows.iter().zip(bans) {
        let [a, b, c] = widths;
        let style = if ban.expiry.is_over(now) {
            DIM
        } else {
            anstyle::Style::new()
        };
        let line = format!("{network:a$}  {end:b$}  {origin:c$}  {reason}");
        out.push_str(&format!("{style}{}{style:#}\n", line.trim_end()));
    }
    out
}

/// When a ban ends, as people ask for it.
fn end(ban: &Ban, now: u64) -> String {
    let Expiry::At(end) = ban.expiry else {
        return "never ends".to_owned();
    };
    if end == 0 {
        return "over".to_owned();
    }
    match end.checked_sub(now).filter(|left| *left > 0) {
        Some(left) => format!("{} more", span(left)),
        None => format!("over since {}", stamp::show(end)),
    }
}

/// A time in its two largest units.
pub fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(3);
    let mut rest = seconds;
    units[first..]
        .iter()
        .take(2)
        .filter_map(|(unit, size)| {
            let many = rest / size;
            rest %= size;
            (many > 0 || seconds == 0).then(|| format!("{many}{unit}"))
        })
        .collect()
}
