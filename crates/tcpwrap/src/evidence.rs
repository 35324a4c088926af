//! What rules are told when they ask about a client, with where it comes from. Nothing is counted and nobody banned.

use std::net::{IpAddr, SocketAddr};

use hosts_access::{Cause, Fact, Found, Known};
use state::geo::{Code, Database, Located};
use state::names::Family;
use state::network::Network;
use state::{Answer, State, Unknown, bans, stamp};
use system::facts;

use crate::bans::span;

/// What a rule is told, and the same for people.
pub struct Evidence {
    /// What is asked.
    pub what: &'static str,
    /// What the rule is told.
    pub known: Known,
    /// What is known, with its source; or why nothing is.
    pub text: String,
}

/// Answers a question about the client at an address, who comes to a port.
pub fn of(state: &State, fact: &Fact, client: Option<IpAddr>, port: Option<u16>) -> Evidence {
    let what = match fact {
        Fact::Location => "client place",
        Fact::System => "client system",
        Fact::Addresses(_) => "addresses",
        Fact::Listed(_) => "list",
        Fact::Nearness => "interfaces",
        Fact::Time(_) => "time",
        Fact::Banned => "ban",
        Fact::Rate { .. } => "limit",
        Fact::Connections(_) => "connections",
    };
    let (known, text) = match answer(state, fact, client, port) {
        Ok((known, text)) => (known, text),
        Err(unknown) => {
            let cause = unknown.to_string();
            (Err(Cause::new(cause.clone())), format!("unknown: {cause}"))
        }
    };
    Evidence { what, known, text }
}

fn answer(state: &State, fact: &Fact, client: Option<IpAddr>, port: Option<u16>) -> Answer<(Known, String)> {
    let known = || facts::answer(state, fact, client, None);
    let client = || client.ok_or_else(|| Unknown::new("the client has no numeric address"));
    Ok(match fact {
        Fact::Location => (known(), location(state, client()?)?),
        Fact::System => (known(), system_of(state, client()?)?),
        Fact::Addresses(name) => {
            let name = String::from_utf8_lossy(name);
            let resolved = state.addresses(&name, Family::of(client()?))?;
            let shown: Vec<String> = resolved.addresses.iter().map(ToString::to_string).collect();
            let shown = match shown.is_empty() {
                true => "no address of this family".to_owned(),
                false => shown.join(", "),
            };
            (
                Ok(Found::Addresses(resolved.addresses.to_vec())),
                format!("{name}: {shown}"),
            )
        }
        Fact::Listed(zone) => {
            let zone = String::from_utf8_lossy(zone);
            let codes = state.listed(&zone, client()?)?;
            let shown: Vec<String> = codes.iter().map(ToString::to_string).collect();
            let shown = if shown.is_empty() {
                "not listed".to_owned()
            } else {
                shown.join(", ")
            };
            (Ok(Found::Listed(codes)), format!("{zone}: {shown}"))
        }
        Fact::Nearness => (known(), nearness(state, client()?)?.to_owned()),
        Fact::Time(zone) => (known(), time(state, zone.as_deref())?),
        Fact::Banned => {
            let found = state.banned(client()?)?;
            (Ok(found.is_some().into()), banned(state, found))
        }
        Fact::Rate { rule, limit } => {
            let rate = facts::rate(limit);
            let left = state.memory()?.left(rule, &rate, client()?);
            let shown = format!("{} has {} of {} left", left.source, left.left, rate.burst);
            (Ok((left.left > 0).into()), shown)
        }
        Fact::Connections(max) => {
            let client = client()?;
            let Some(port) = port else {
                return Ok((
                    Ok(Found::Yes),
                    "not counted, since the port is not known".to_owned(),
                ));
            };
            let source = max.per.map(|per| facts::source(per, client));
            // One more comes from a port that nobody has.
            let count = state.connections(port, SocketAddr::new(client, 0), source, u32::MAX)?;
            let whose = source.map_or("in all".to_owned(), |source: Network| format!("from {source}"));
            let shown = format!("{} {whose}, and this one", count.saturating_sub(1));
            (Ok((count <= max.count).into()), shown)
        }
    })
}

fn location(state: &State, client: IpAddr) -> Answer<String> {
    let located = state.country(client);
    let source = source(state.countries(), &located);
    let code = |code: Option<Code>| code.map(|code| code.to_string());
    let shown = located?.map(|located| (code(located.country), code(located.continent)));
    let shown = match shown {
        Some((Some(country), Some(continent))) => format!("{country}, {continent}"),
        Some((Some(one), None) | (None, Some(one))) => one,
        Some((None, None)) | None => "nowhere".to_owned(),
    };
    Ok(shown + &source)
}

fn system_of(state: &State, client: IpAddr) -> Answer<String> {
    let located = state.system(client);
    let source = source(state.systems(), &located);
    let number = located?.and_then(|located| located.asn);
    Ok(number.map_or("none".to_owned(), |number| format!("AS{number}")) + &source)
}

fn nearness(state: &State, client: IpAddr) -> Answer<&'static str> {
    let interfaces = state.interfaces();
    Ok(match (interfaces.is_own(client)?, interfaces.is_near(client)?) {
        (true, _) => "this host",
        (false, true) => "a network that this host is on",
        (false, false) => "neither this host nor a network that it is on",
    })
}

fn time(state: &State, zone: Option<&[u8]>) -> Answer<String> {
    let zone = zone.map(String::from_utf8_lossy);
    let time = state.clock(zone.as_deref())?;
    let (year, month, day) = time.date;
    let weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][usize::from(time.weekday % 7)];
    let (hour, minute) = (time.minute / 60, time.minute % 60);
    let place = zone.map_or("the host's zone".to_owned(), |zone| zone.into_owned());
    Ok(format!(
        "{weekday} {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}, {place}"
    ))
}

/// Which database said so, of which network, and when it was made.
fn source(database: Answer<&Database>, located: &Answer<Option<Located>>) -> String {
    const DAY: u64 = 86_400;
    let edition = database.and_then(|database| database.edition());
    let (Ok(edition), Ok(located)) = (edition, located) else {
        return String::new();
    };
    let network = located.map(|located| format!("{}, ", located.network));
    let age = stamp::now().saturating_sub(edition.built) / DAY;
    let instead = edition.instead.map(|why| format!("; asked because {why}"));
    format!(
        " ({}{} of {}, {age} days old{})",
        network.unwrap_or_default(),
        edition.path.display(),
        &stamp::show(edition.built)[..10],
        instead.unwrap_or_default()
    )
}

/// The ban that holds longest, in full.
fn banned(state: &State, found: Option<bans::Found>) -> String {
    let Some(found) = found else {
        return "not banned".to_owned();
    };
    let until = match found.expiry {
        bans::Expiry::At(end) => format!("for {} more", span(end.saturating_sub(stamp::now()))),
        bans::Expiry::Never => "until it is taken back".to_owned(),
    };
    let by = state.ban_of(&found).map(|ban| {
        let reason = match ban.reason.is_empty() {
            true => String::new(),
            false => format!(": {}", ban.reason),
        };
        format!(", by {}{reason}", ban.origin)
    });
    format!("{} banned {until}{}", found.network, by.unwrap_or_default())
}
