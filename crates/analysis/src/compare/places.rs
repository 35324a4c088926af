//! Where addresses are, as a database says: countries, continents and autonomous systems as sets of addresses.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use super::Block;
use super::family::MAPPED;
use super::ranges::{Ranges, difference, normal};
use hosts_access::syntax::brace::{Brace, code, system};
use hosts_access::{Fact, Found, Known};

/// Where addresses are. What is not given may be anywhere.
///
/// ```
/// use analysis::compare::{Block, Places, compare_in};
/// use analysis::document::{Document, Documents};
/// let mut places = Places::default();
/// let network = Block { address: "192.0.2.0".parse()?, length: 24 };
/// places.locations([(network, Some(*b"DE"), Some(*b"EU"))]);
/// let new = Document::new("hosts.deny", &b"ALL: {country=DE}\n"[..]);
/// let none = Documents { allow: None, deny: None };
/// let found = compare_in(none, Documents { deny: Some(&new), ..none }, &places)?;
/// assert_eq!(found.differences[0].clients.addresses.parts[0].blocks, [network]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Places {
    countries: Option<HashMap<[u8; 2], Sets>>,
    continents: Option<HashMap<[u8; 2], Sets>>,
    systems: Option<HashMap<u32, Sets>>,
}

/// Addresses of IPv4 and of IPv6.
type Sets = [Ranges; 2];

impl Places {
    /// In which country and on which continent each network is. All others are nowhere.
    pub fn locations(
        &mut self,
        networks: impl IntoIterator<Item = (Block, Option<[u8; 2]>, Option<[u8; 2]>)>,
    ) {
        let (countries, continents) = (
            self.countries.get_or_insert_default(),
            self.continents.get_or_insert_default(),
        );
        for (network, country, continent) in networks {
            add(countries, country, network);
            add(continents, continent, network);
        }
        finish(countries);
        finish(continents);
    }

    /// In which autonomous system each network is. All others are in none.
    pub fn systems(&mut self, networks: impl IntoIterator<Item = (Block, Option<u32>)>) {
        let systems = self.systems.get_or_insert_default();
        for (network, system) in networks {
            add(systems, system, network);
        }
        finish(systems);
    }

    /// The addresses that a pattern matches, if that is given.
    pub(super) fn of(&self, brace: Brace<'_>) -> Option<Sets> {
        match brace {
            Brace::Country(values) => union(self.countries.as_ref()?, values.iter().filter_map(code)),
            Brace::Continent(values) => union(self.continents.as_ref()?, values.iter().filter_map(code)),
            Brace::System(values) => union(self.systems.as_ref()?, values.iter().filter_map(system)),
            Brace::Name(_)
            | Brace::Listed { .. }
            | Brace::SameHost
            | Brace::SameNet
            | Brace::Time(_)
            | Brace::Banned
            | Brace::Wrong(_) => None,
        }
    }

    /// What is said of this address, as it is told to the engine.
    pub(super) fn told(&self, client: IpAddr) -> Vec<(Fact, Known)> {
        let (family, address) = match client {
            IpAddr::V4(v4) => (0, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (1, v6.to_bits()),
        };
        let holds = |sets: &Sets| {
            let ranges = &sets[family];
            let at = ranges.partition_point(|range| range.1 < address);
            ranges.get(at).is_some_and(|range| range.0 <= address)
        };
        let mut told = Vec::new();
        if let (Some(countries), Some(continents)) = (&self.countries, &self.continents) {
            let of = |sets: &HashMap<[u8; 2], Sets>| {
                let mut found = sets.iter().filter(|(_, sets)| holds(sets));
                found.next().map(|(code, _)| *code)
            };
            let (country, continent) = (of(countries), of(continents));
            told.push((Fact::Location, Ok(Found::Location { country, continent })));
        }
        if let Some(systems) = &self.systems {
            let mut found = systems.iter().filter(|(_, sets)| holds(sets));
            told.push((
                Fact::System,
                Ok(Found::System(found.next().map(|(number, _)| *number))),
            ));
        }
        told
    }
}

fn add<K: Eq + Hash>(sets: &mut HashMap<K, Sets>, place: Option<K>, network: Block) {
    if let Some(place) = place {
        let family = usize::from(network.address.is_ipv6());
        sets.entry(place).or_default()[family].push(network.ends());
    }
}

fn finish<K>(sets: &mut HashMap<K, Sets>) {
    for ranges in sets.values_mut().flatten() {
        *ranges = normal(std::mem::take(ranges));
    }
    // Nobody comes from an IPv6 address that stands for an IPv4 one.
    for [_, v6] in sets.values_mut() {
        *v6 = difference(v6, &[MAPPED]);
    }
}

fn union<K: Eq + Hash>(sets: &HashMap<K, Sets>, places: impl Iterator<Item = K>) -> Option<Sets> {
    let mut all = Sets::default();
    for of_place in places.filter_map(|place| sets.get(&place)) {
        for (all, ranges) in all.iter_mut().zip(of_place) {
            all.extend_from_slice(ranges);
        }
    }
    Some(all.map(normal))
}
