//! What the additions to the language ask (hosts_access(5), ADDITIONS), answered by what this host remembers and knows.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hosts_access::syntax::option::{Limit, Source};
use hosts_access::syntax::time::Moment;
use hosts_access::{Cause, Fact, Found, Known};
pub use state::State;
use state::bans::{Ban, Expiry};
use state::limits::{Rate, Taken};
use state::names::Family;
use state::network::Network;
use state::{Unknown, stamp};

/// What a process that decides once is told.
pub static ONCE: State = State::new(false);
/// What a process that stays is told: it keeps what it has read.
pub static STAYS: State = State::new(true);

fn unknown(cause: Unknown) -> Cause {
    Cause::new(cause.to_string())
}

/// Answers a question about the client at `address`. `ends` are both ends of the connection, where it has any.
pub fn answer(
    state: &State,
    fact: &Fact,
    address: Option<IpAddr>,
    ends: Option<(SocketAddr, SocketAddr)>,
) -> Known {
    let client = || address.ok_or_else(|| Cause::new("the client has no numeric address"));
    match fact {
        Fact::Time(zone) => {
            let zone = zone.as_deref().map(String::from_utf8_lossy);
            let time = state.clock(zone.as_deref()).map_err(unknown)?;
            Ok(Found::Time(Moment {
                day: time.day,
                minute: time.minute,
            }))
        }
        Fact::Location => {
            let located = state.country(client()?).map_err(unknown)?;
            let code = |code: Option<state::geo::Code>| {
                code.and_then(|code| code.as_str().as_bytes().try_into().ok())
            };
            Ok(Found::Location {
                country: located.and_then(|located| code(located.country)),
                continent: located.and_then(|located| code(located.continent)),
            })
        }
        Fact::System => {
            let located = state.system(client()?).map_err(unknown)?;
            Ok(Found::System(located.and_then(|located| located.asn)))
        }
        Fact::Addresses(name) => {
            let name = String::from_utf8_lossy(name);
            let resolved = state.addresses(&name, Family::of(client()?)).map_err(unknown)?;
            Ok(Found::Addresses(resolved.addresses.to_vec()))
        }
        Fact::Listed(zone) => {
            let zone = String::from_utf8_lossy(zone);
            state.listed(&zone, client()?).map(Found::Listed).map_err(unknown)
        }
        Fact::Nearness => {
            let interfaces = state.interfaces();
            let client = client()?;
            Ok(Found::Nearness {
                same_host: interfaces.is_own(client).map_err(unknown)?,
                same_net: interfaces.is_near(client).map_err(unknown)?,
            })
        }
        Fact::Banned => {
            let found = state.banned(client()?).map_err(unknown)?;
            Ok(found.is_some().into())
        }
        Fact::Rate { rule, limit } => {
            let taken = state.take(rule, &rate(limit), client()?).map_err(unknown)?;
            Ok(matches!(taken, Taken::Within { .. }).into())
        }
        Fact::Connections(max) => {
            let (client, server) = ends.ok_or_else(|| Cause::new("there is no connection to count"))?;
            let source = max.per.map(|per| source(per, client.ip()));
            let count = state
                .connections(server.port(), client, source, max.count)
                .map_err(unknown)?;
            Ok((count <= max.count).into())
        }
    }
}

/// A limit as it is counted.
pub fn rate(limit: &Limit) -> Rate {
    Rate {
        count: limit.count,
        period: Duration::from_secs(limit.seconds),
        burst: limit.burst,
        v4: limit.per.v4,
        v6: limit.per.v6,
    }
}

/// The network whose connections are counted together.
pub fn source(per: Source, client: IpAddr) -> Network {
    let client = client.to_canonical();
    Network::around(client, if client.is_ipv4() { per.v4 } else { per.v6 })
}

/// Puts a client on the ban list: an IPv4 address, or the /64 of an IPv6 one.
///
/// # Errors
/// Why nobody is banned.
pub fn ban(state: &State, client: IpAddr, seconds: u64, reason: &str) -> Result<(), Cause> {
    let network = source(Source::default(), client);
    state
        .ban(Ban {
            network,
            expiry: Expiry::At(stamp::now().saturating_add(seconds).min(stamp::LAST)),
            origin: "rule".to_owned(),
            reason: reason.to_owned(),
        })
        .map_err(unknown)
}

/// What is to be logged besides an answer: that something else is asked than what should be, or that a list in the DNS
/// does not answer.
pub fn remarks(state: &State, fact: &Fact, known: &Known) -> Vec<String> {
    let mut remarks = state.news();
    if let (Fact::Listed(zone), Err(cause)) = (fact, known)
        && may_say_lists_fail()
    {
        let zone = String::from_utf8_lossy(zone);
        remarks.push(format!(
            "the list {zone} does not answer, and lists nobody: {cause}"
        ));
    }
    remarks
}

/// Is it time again to say that lists in the DNS do not answer? Once a minute.
fn may_say_lists_fail() -> bool {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    const PAUSE: Duration = Duration::from_secs(60);
    let Ok(mut said) = SAID.try_lock() else {
        return false;
    };
    let may = said.is_none_or(|at| at.elapsed() >= PAUSE);
    if may {
        *said = Some(Instant::now());
    }
    may
}

#[cfg(test)]
mod tests {
    use hosts_access::syntax::time::times;
    use state::clock::Clock;

    use super::*;

    /// Does a time pattern hold at a moment?
    fn holds(pattern: &str, utc: &str) -> bool {
        let times = times(pattern.as_bytes()).unwrap();
        let zone = times.zone.map(String::from_utf8_lossy);
        let moment = stamp::read(utc.as_bytes()).unwrap();
        let time = Clock::new().at(moment, zone.as_deref()).unwrap();
        times.contain(Moment {
            day: time.day,
            minute: time.minute,
        })
    }

    /// Each span with its last minute before, first in, last in, and first after.
    #[test]
    fn spans_begin_and_end_where_their_zone_has_them() {
        for (pattern, before, first, last, after) in [
            // Winter and summer.
            (
                "Mon-Fri/0800-1800/Europe/Berlin",
                "2026-01-05T06:59:59Z",
                "2026-01-05T07:00:00Z",
                "2026-01-05T16:59:59Z",
                "2026-01-05T17:00:00Z",
            ),
            (
                "Mon-Fri/0800-1800/Europe/Berlin",
                "2026-07-06T05:59:59Z",
                "2026-07-06T06:00:00Z",
                "2026-07-06T15:59:59Z",
                "2026-07-06T16:00:00Z",
            ),
            // A night an hour short, and one an hour long.
            (
                "Sat/2200-0400/Europe/Berlin",
                "2026-03-28T20:59:59Z",
                "2026-03-28T21:00:00Z",
                "2026-03-29T01:59:59Z",
                "2026-03-29T02:00:00Z",
            ),
            (
                "Sat/2200-0400/Europe/Berlin",
                "2026-10-24T19:59:59Z",
                "2026-10-24T20:00:00Z",
                "2026-10-25T02:59:59Z",
                "2026-10-25T03:00:00Z",
            ),
            // An hour that comes twice is in both times.
            (
                "Sun/0200-0300/Europe/Berlin",
                "2026-10-24T23:59:59Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:59:59Z",
                "2026-10-25T02:00:00Z",
            ),
            // Days begin at the zone's own midnight, west, east, by half hours, and south, where summer is.
            (
                "Fri/America/New_York",
                "2026-11-27T04:59:59Z",
                "2026-11-27T05:00:00Z",
                "2026-11-28T04:59:59Z",
                "2026-11-28T05:00:00Z",
            ),
            (
                "2026-12-24..2026-12-26/Asia/Kolkata",
                "2026-12-23T18:29:59Z",
                "2026-12-23T18:30:00Z",
                "2026-12-26T18:29:59Z",
                "2026-12-26T18:30:00Z",
            ),
            (
                "Thu/2330-0030/Australia/Adelaide",
                "2026-11-26T12:59:59Z",
                "2026-11-26T13:00:00Z",
                "2026-11-26T13:59:59Z",
                "2026-11-26T14:00:00Z",
            ),
            (
                "Sun/0000-0100/Pacific/Auckland",
                "2026-04-04T10:59:59Z",
                "2026-04-04T11:00:00Z",
                "2026-04-04T11:59:59Z",
                "2026-04-04T12:00:00Z",
            ),
        ] {
            for (moment, expected) in [(before, false), (first, true), (last, true), (after, false)] {
                assert_eq!(holds(pattern, moment), expected, "{pattern} {moment}");
            }
        }
        // An hour that there is not.
        for moment in [
            "2026-03-29T00:59:59Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z",
        ] {
            assert!(!holds("Sun/0200-0300/Europe/Berlin", moment), "{moment}");
        }
    }
}
