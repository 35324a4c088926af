//! Does a pattern in braces match the client? (hosts_access(5), ADDITIONS.)
//!
//! What cannot be told is *unknown*, with its cause for the log.

use std::net::{IpAddr, Ipv4Addr};

use crate::fact::{Cause, Fact, Found};
use crate::matching::{Match, Matching};
use crate::request::{Pending, Request};
use crate::syntax::brace::{Brace, Mistake, Values, code, list_code, read_times, system};

/// Holds a pattern against the client.
pub(crate) fn brace_matches(
    brace: Brace<'_>,
    request: &mut Request,
    with: &mut impl Matching,
) -> Result<Match, Pending> {
    let fact = match brace.fact() {
        Ok(fact) => fact,
        Err(mistake) => {
            let cause = Cause::new(mistake.to_string());
            return Ok(request.not_known(cause));
        }
    };
    let client = request.client_ip()?;
    if client.is_none() && brace.is_about_address() {
        // Whoever has no address is nowhere, and in no list.
        return Ok(Match::No);
    }
    with.ask(&fact, request);
    let result = match request.fact(&fact)? {
        Ok(found) => brace
            .holds(found, client)
            .ok_or_else(|| Cause::new("the answer is to another question")),
        Err(cause) => Err(cause.clone()),
    };
    Ok(match result {
        Ok(holds) => holds.into(),
        // Best effort: whoever runs such a list must not be able to lock others out.
        Err(_) if brace.is_best_effort() => Match::No,
        Err(cause) => request.not_known(cause),
    })
}

/// How a pattern is held against a client, for whoever studies tables too.
impl<'t> Brace<'t> {
    /// What it asks.
    ///
    /// # Errors
    /// Nothing, since something is wrong with it: it is *unknown*.
    pub fn fact(self) -> Result<Fact, Mistake<'t>> {
        Ok(match self {
            Brace::Wrong(mistake) => return Err(mistake),
            Brace::Time(value) => {
                Fact::Time(read_times(value).and_then(|times| times.zone).map(<[u8]>::to_vec))
            }
            Brace::Country(_) | Brace::Continent(_) => Fact::Location,
            Brace::System(_) => Fact::System,
            Brace::Name(name) => Fact::Addresses(name.to_ascii_lowercase()),
            Brace::Listed { zone, .. } => Fact::Listed(zone.to_ascii_lowercase()),
            Brace::SameHost | Brace::SameNet => Fact::Nearness,
            Brace::Banned => Fact::Banned,
        })
    }

    /// Is the client's address what it asks about? Whoever has none is not matched then.
    pub fn is_about_address(self) -> bool {
        !matches!(self, Brace::Time(_) | Brace::Wrong(_))
    }

    /// Is no answer as good as *no*?
    pub fn is_best_effort(self) -> bool {
        matches!(self, Brace::Listed { .. })
    }

    /// Does the answer say that it matches the client at this address? Nothing, where it is no answer to the question.
    pub fn holds(self, found: &Found, client: Option<IpAddr>) -> Option<bool> {
        let has_code = |values: Values<'_>, wanted: &Option<[u8; 2]>| {
            wanted.is_some() && values.iter().any(|value| code(value) == *wanted)
        };
        Some(match self {
            Brace::Country(values) => {
                let Found::Location { country, .. } = found else {
                    return None;
                };
                has_code(values, country)
            }
            Brace::Continent(values) => {
                let Found::Location { continent, .. } = found else {
                    return None;
                };
                has_code(values, continent)
            }
            Brace::System(values) => {
                let Found::System(number) = found else { return None };
                number.is_some() && values.iter().any(|value| system(value) == *number)
            }
            Brace::Name(_) => {
                let Found::Addresses(addresses) = found else {
                    return None;
                };
                let mut addresses = addresses.iter().map(IpAddr::to_canonical);
                addresses.any(|address| Some(address) == client)
            }
            Brace::Listed { codes, .. } => {
                let Found::Listed(said) = found else { return None };
                is_listed(codes, said)
            }
            Brace::SameHost => {
                let Found::Nearness { same_host, .. } = found else {
                    return None;
                };
                *same_host
            }
            Brace::SameNet => {
                let Found::Nearness { same_net, .. } = found else {
                    return None;
                };
                *same_net
            }
            Brace::Time(value) => {
                let Found::Time(moment) = found else { return None };
                read_times(value)?.contain(*moment)
            }
            Brace::Banned => found.yes_or_no()?,
            Brace::Wrong(_) => return None,
        })
    }
}

/// Is what a list says one of the codes, or anything where none is named?
fn is_listed(codes: Values<'_>, said: &[Ipv4Addr]) -> bool {
    // Where lists put errors, such as too many questions.
    let is_error = |code: &Ipv4Addr| code.octets()[..3] == [127, 255, 255];
    let mut said = said.iter().filter(|code| code.is_loopback() && !is_error(code));
    let wanted: Vec<_> = codes.iter().filter_map(list_code).collect();
    said.any(|code| wanted.is_empty() || wanted.contains(code))
}
