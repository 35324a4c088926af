//! What a test says of the world: where its client is, what time it is, who is banned (hosts_access(5), ADDITIONS).
//!
//! What is left out is not known, as where a database is missing; but for bans and limits, which nobody has reached.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use hosts_access::dry::DryHost;
use hosts_access::syntax::option::{Limit, Max, Source};
use hosts_access::syntax::time::Moment;
use hosts_access::{Fact, Found, Known};
use serde::Deserialize;

/// Two letters, in capitals, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Code(Option<[u8; 2]>);

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            b"none" => Ok(Code(None)),
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Code(Some([*a, *b]))),
            _ => Err(format!("`{text}` is neither two capitals nor none")),
        }
    }
}

/// The time that every zone's clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Clock(Moment);

impl TryFrom<String> for Clock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time such as 2026-12-24 18:00");
        let seconds = text.replacen(' ', "T", 1) + ":00Z";
        let seconds = state::stamp::read(seconds.as_bytes()).ok_or_else(wrong)?;
        Ok(Clock(Moment {
            // `as`: far below what either holds.
            day: (seconds / 86_400) as i64,
            minute: (seconds / 60 % 1440) as u16,
        }))
    }
}

/// What is known of the world.
#[derive(Debug)]
pub struct World<'t> {
    /// The country the address is located in.
    pub country: Option<Code>,
    /// The continent.
    pub continent: Option<Code>,
    /// Its autonomous system, 0 where it is in none.
    pub asn: Option<u32>,
    /// The addresses that names have now.
    pub dns: Option<&'t BTreeMap<String, Vec<IpAddr>>>,
    /// What lists in the DNS say of the client.
    pub listed: Option<&'t BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Its address is one of this host's.
    pub same_host: Option<bool>,
    /// It is in a network that this host is directly on.
    pub same_net: Option<bool>,
    /// What the clocks show.
    pub time: Option<Clock>,
    /// It is on the ban list.
    pub banned: bool,
    /// It is over the limit of each rule that has one.
    pub over_limit: bool,
    /// It has more connections than each rule permits.
    pub over_max: bool,
}

impl World<'_> {
    /// The host, told all this.
    pub fn tell(&self, mut host: DryHost) -> DryHost {
        let mut tell = |fact: Fact, found: Found| host = host.clone().told(fact, Known::Ok(found));
        if self.country.is_some() || self.continent.is_some() {
            let code = |code: Option<Code>| code.and_then(|code| code.0);
            let (country, continent) = (code(self.country), code(self.continent));
            tell(Fact::Location, Found::Location { country, continent });
        }
        if let Some(asn) = self.asn {
            tell(Fact::System, Found::System((asn != 0).then_some(asn)));
        }
        for (name, addresses) in self.dns.into_iter().flatten() {
            let fact = Fact::Addresses(name.clone().into_bytes());
            tell(fact, Found::Addresses(addresses.clone()));
        }
        for (zone, codes) in self.listed.into_iter().flatten() {
            tell(
                Fact::Listed(zone.clone().into_bytes()),
                Found::Listed(codes.clone()),
            );
        }
        if self.same_host.is_some() || self.same_net.is_some() {
            let same_host = self.same_host == Some(true);
            // This host is in its own networks.
            let same_net = self.same_net.unwrap_or(same_host);
            tell(Fact::Nearness, Found::Nearness { same_host, same_net });
        }
        if let Some(Clock(moment)) = self.time {
            tell(Fact::Time(None), Found::Time(moment));
        }
        tell(Fact::Banned, self.banned.into());
        // The answer holds for every limit, so it does not matter which one is named.
        let limit = Limit {
            count: 1,
            seconds: 1,
            burst: 1,
            per: Source::default(),
        };
        let rate = Fact::Rate {
            rule: Vec::new(),
            limit,
        };
        tell(rate, (!self.over_limit).into());
        let max = Max { count: 1, per: None };
        tell(Fact::Connections(max), (!self.over_max).into());
        host
    }
}
