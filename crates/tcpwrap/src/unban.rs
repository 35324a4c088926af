//! `tcpwrap unban`: takes bans back.

use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use state::bans::{self, Ban, Writer};
use state::network::Network;
use state::stamp;

use crate::ban::{ORIGIN, configured, network, origin, preview, tidy, trouble};
use crate::complete;
use crate::output::{self, BAD, DIM};

/// Take bans back
///
/// Only those of one origin are taken back, so that a program does not undo what another one or you have done.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  every network named was banned by the origin, and is not any more\n  1  one was not; the \
    others are taken back\n  2  could not be done"
)]
pub struct Args {
    /// Addresses and networks, as they were banned
    #[arg(value_name = "NET", value_parser = network, required_unless_present = "all", add = ArgValueCompleter::new(complete::bans))]
    networks: Vec<Network>,
    /// Whose bans
    #[arg(long, default_value = ORIGIN, value_parser = origin)]
    origin: String,
    /// Whoever banned them
    #[arg(long, conflicts_with = "origin")]
    any_origin: bool,
    /// All bans of the origin
    #[arg(long, conflicts_with = "networks")]
    all: bool,
    /// Say whom the tables would let in then, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print that as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match unban(args) {
        Ok(status) => status,
        Err(problem) => output::fail(&problem),
    }
}

fn unban(args: &Args) -> Result<ExitCode, String> {
    let path = configured()?.file;
    let writer = Writer::new(&path);
    let origin = (!args.any_origin).then_some(args.origin.as_str());
    let now = stamp::now();
    if args.dry_run {
        return dry(args, &path, origin, now);
    }
    let wanted: Vec<Option<Network>> = match args.all {
        true => vec![None],
        false => args.networks.iter().copied().map(Some).collect(),
    };
    let (mut done, mut missed) = (String::new(), String::new());
    for network in wanted {
        let lifted = writer
            .lift(
                &|found| network.is_none_or(|network| network == found),
                origin,
                now,
            )
            .map_err(|error| trouble(&path, &error))?;
        for ban in &lifted {
            done.push_str(&format!(
                "{} is not banned any more{DIM} (origin {}){DIM:#}\n",
                ban.network, ban.origin
            ));
        }
        if lifted.is_empty() {
            let why = match network {
                Some(network) => format!("{network}: {}", why(&path, network, args, now)?),
                None => format!("{} has banned nobody", args.origin),
            };
            missed.push_str(&format!("{BAD}nothing taken back:{BAD:#} {why}\n"));
        }
    }
    tidy(&writer, now);
    if let Err(failed) = output::print(&done) {
        return Ok(failed);
    }
    anstream::eprint!("{missed}");
    Ok(match missed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Says what would happen.
fn dry(args: &Args, path: &std::path::Path, origin: Option<&str>, now: u64) -> Result<ExitCode, String> {
    let contents = bans::contents(path).map_err(|error| trouble(path, &error))?;
    let is_meant = |ban: &Ban| {
        !ban.expiry.is_over(now)
            && origin.is_none_or(|origin| origin == ban.origin)
            && (args.all || args.networks.contains(&ban.network))
    };
    let lifted: Vec<Ban> = contents.bans.into_iter().filter(is_meant).collect();
    let mut networks: Vec<Network> = lifted.iter().map(|ban| ban.network).collect();
    networks.sort_unstable();
    networks.dedup();
    let preview = preview::of(path, &networks, Some(&lifted), now)?;
    let printed = match args.json {
        true => output::json("unban", &preview.json()),
        false => {
            let would = |ban: &Ban| {
                format!(
                    "{} would not be banned any more{DIM} (origin {}){DIM:#}\n",
                    ban.network, ban.origin
                )
            };
            let lines: String = lifted.iter().map(would).collect();
            let lines = if lifted.is_empty() {
                "nothing to take back\n".to_owned()
            } else {
                lines + &preview.text()
            };
            output::print(&lines)
        }
    };
    let missed = args.networks.iter().filter(|network| !networks.contains(network));
    for network in missed.clone() {
        let why = why(path, *network, args, now)?;
        anstream::eprint!("{BAD}nothing to take back:{BAD:#} {network}: {why}\n");
    }
    let is_missed = missed.count() > 0 || args.all && lifted.is_empty();
    let status = if is_missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    };
    Ok(printed.err().unwrap_or(status))
}

/// Why there is nothing to take back.
fn why(path: &std::path::Path, network: Network, args: &Args, now: u64) -> Result<String, String> {
    let contents = bans::contents(path).map_err(|error| trouble(path, &error))?;
    let holds = || contents.bans.iter().filter(|ban| !ban.expiry.is_over(now));
    let others: Vec<String> = holds()
        .filter(|ban| ban.network == network)
        .map(|ban| ban.origin.clone())
        .collect();
    if let Some(first) = others.first() {
        return Ok(format!(
            "{} has banned it, not {}; --origin {first} takes that back",
            others.join(", "),
            args.origin
        ));
    }
    let wider = holds().find(|ban| ban.network.overlaps(network) && ban.network.length() < network.length());
    Ok(match wider {
        Some(wider) => format!(
            "it is not banned by itself, but {} is; tcpwrap unban --origin {} {} takes that back",
            wider.network, wider.origin, wider.network
        ),
        None => "it is not banned".to_owned(),
    })
}
