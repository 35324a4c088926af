//! The ways of being asked that two policies can tell apart: the daemon's name, the server's port, and
//! the server endpoint's address and name (hosts_access(5), SERVER ENDPOINT PATTERNS).

use std::collections::{BTreeMap, HashMap};

use super::Incomparable;
use super::family::Family;
use super::hosts::{FileTexts, Hosts, Shared, Within};
use super::ranges::{Map, Ranges};
use super::rules::{Box_, Lists, joined, list_holds};
use super::spelling::{Together, Ways};
use super::strings::{self, Atom, Class, Classes, Kind};
use hosts_access::Side;
use hosts_access::syntax::pattern::{DaemonPattern, Service, StringPattern};

/// Which ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Port {
    /// This one.
    Exactly(u16),
    /// One that no rule names, or none that is known.
    Other,
}

/// Server addresses that no pattern tells apart.
pub(super) struct Cell {
    /// The numbers of the host patterns that match by the address alone.
    held: Vec<u32>,
    pub(super) family: Family,
    pub(super) ranges: Ranges,
    pub(super) way: Vec<bool>,
    pub(super) witness: u128,
}

/// The axes along which requests are asked in other ways.
pub(super) struct Axes<'t> {
    pub(super) daemons: Classes,
    pub(super) ports: Vec<Port>,
    pub(super) cells: Vec<Cell>,
    pub(super) names: Classes,
    pub(super) groups: Vec<Vec<bool>>,
    pub(super) shared: Shared<'t>,
    #[cfg(test)]
    pub(super) daemon_atoms: Vec<(Atom<'t>, u32)>,
}

/// Ways of being asked that no daemon list tells apart.
pub(super) struct Asked {
    /// The daemon lists that match.
    pub(super) lists: Vec<u32>,
    /// Along each axis of [`Axes`], in their order.
    pub(super) boxes: Vec<Box_>,
}

/// So many ways of being asked are looked at.
const MOST: usize = 1 << 22;
/// So many netgroups are told apart, each of which may hold or not.
pub(super) const MOST_GROUPS: usize = 8;
/// So many ways may spellings hold together.
pub(super) const MOST_WAYS: usize = 256;

/// Every way in which so many unknowns can hold.
pub(super) fn all_ways(count: usize) -> Vec<Vec<bool>> {
    (0..1usize << count)
        .map(|number| (0..count).map(|at| number >> at & 1 == 1).collect())
        .collect()
}

/// What a token asks of the service, as a number of [`Tokens`].
enum Wanted {
    Name(u32),
    Port(u16),
}

/// The tokens of all daemon lists as numbers: what each asks of the daemon, and of the server.
struct Tokens<'t> {
    by_text: HashMap<&'t [u8], (Wanted, Option<u32>)>,
    atoms: Vec<(Atom<'t>, u32)>,
    ports: Vec<Port>,
    hosts: Vec<Hosts>,
    shared: Shared<'t>,
}

impl<'t> Tokens<'t> {
    fn of(lists: &Lists<'t>, files: &'t FileTexts) -> Self {
        let mut shared = Shared::new(Side::Server, lists.places);
        let mut atoms: Vec<(Atom<'t>, u32)> = Vec::new();
        let mut atom_numbers: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut ports: Vec<Port> = Vec::new();
        let mut hosts: Vec<Hosts> = Vec::new();
        let mut host_numbers: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut by_text = HashMap::new();
        for token in lists.daemons.iter().flat_map(|list| list.tokens()) {
            if by_text.contains_key(token.text) {
                continue;
            }
            let DaemonPattern { service, host } = token.pattern;
            let wanted = match service {
                Service::Port(port) => {
                    ports.push(Port::Exactly(port));
                    Wanted::Port(port)
                }
                Service::Name(pattern) => {
                    let key = format!("{pattern:?}").to_ascii_lowercase().into_bytes();
                    let next = atom_numbers.len() as u32;
                    let number = *atom_numbers.entry(key).or_insert_with(|| {
                        atoms.push((Atom::Matches(pattern), next));
                        next
                    });
                    Wanted::Name(number)
                }
            };
            let host = host.map(|pattern| {
                let key = format!("{pattern:?}").into_bytes();
                *host_numbers.entry(key).or_insert_with(|| {
                    let mut one = Hosts::default();
                    one.add(pattern, &mut shared, files, &mut Within::default());
                    one.finish();
                    hosts.push(one);
                    hosts.len() as u32 - 1
                })
            });
            by_text.insert(token.text, (wanted, host));
        }
        ports.sort_unstable();
        ports.dedup();
        ports.push(Port::Other);
        // Lists that name no daemon at all leave the axis with nothing but `other`.
        if atoms.is_empty() {
            atoms.push((Atom::Matches(StringPattern::All), 0));
        }
        Tokens {
            by_text,
            atoms,
            ports,
            hosts,
            shared,
        }
    }
}

/// All ways of being asked that the daemon lists tell apart.
pub(super) fn asked<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
) -> Result<(Axes<'t>, Vec<Asked>), Incomparable> {
    let Tokens {
        by_text: tokens,
        atoms,
        ports,
        hosts,
        shared,
    } = Tokens::of(lists, files);
    if shared.groups.len() > MOST_GROUPS {
        return Err(Incomparable::TooManyNetgroups(shared.groups.len()));
    }
    let axes = Axes {
        daemons: strings::classes(&atoms, Kind::Daemons)?,
        ports,
        cells: cells(&hosts, &shared)?,
        names: strings::classes(&shared.names, Kind::Hosts)?,
        groups: all_ways(shared.groups.len()),
        shared,
        #[cfg(test)]
        daemon_atoms: atoms,
    };
    let servers = axes.ports.len() * axes.cells.len() * axes.names.len() * axes.groups.len();
    if axes.daemons.len().saturating_mul(servers) > MOST {
        return Err(Incomparable::TooManyDaemons);
    }
    // What each list asks, once for all.
    let mut found: BTreeMap<Vec<u32>, Vec<Box_>> = BTreeMap::new();
    for (port_at, port) in axes.ports.iter().enumerate() {
        for (cell_at, cell) in axes.cells.iter().enumerate() {
            for (name_at, name) in axes.names.iter().enumerate() {
                for (group_at, groups) in axes.groups.iter().enumerate() {
                    let server_holds: Vec<bool> = (0u32..)
                        .zip(&hosts)
                        .map(|(at, host)| {
                            cell.held.binary_search(&at).is_ok()
                                || host.holds_by_name(name, groups, cell.family)
                        })
                        .collect();
                    for (daemon_at, daemon) in axes.daemons.iter().enumerate() {
                        let holds = |token: &[u8]| {
                            let (wanted, host) = &tokens[token];
                            let service = match wanted {
                                Wanted::Name(atom) => daemon.tags.binary_search(atom).is_ok(),
                                Wanted::Port(number) => *port == Port::Exactly(*number),
                            };
                            service && host.is_none_or(|at| server_holds[at as usize])
                        };
                        let held = lists
                            .daemons
                            .iter()
                            .enumerate()
                            .filter(|(_, list)| list_holds(list, |token| holds(token.text)));
                        let held: Vec<u32> = held.map(|(at, _)| at as u32).collect();
                        let at = [daemon_at, port_at, cell_at, name_at, group_at];
                        let one: Box_ = at.iter().map(|at| vec![*at as u32]).collect();
                        found.entry(held).or_default().push(one);
                    }
                }
            }
        }
    }
    let asked = found.into_iter().map(|(lists, boxes)| Asked {
        lists,
        boxes: joined(boxes),
    });
    let asked = asked.collect();
    Ok((axes, asked))
}

/// The server addresses that the patterns tell apart.
fn cells(hosts: &[Hosts], shared: &Shared<'_>) -> Result<Vec<Cell>, Incomparable> {
    let together = Together::new(shared.spellings.iter().collect());
    let mut cells: Vec<Cell> = Vec::new();
    for family in Family::EACH {
        let ways = match family {
            Family::Unknown => vec![vec![false; shared.spellings.len()]],
            Family::V4 | Family::V6 => together
                .ways(family, MOST_WAYS, &mut Ways::new())
                .ok_or(Incomparable::TooManySpellings)?,
        };
        for way in ways {
            let mut sets: Vec<Vec<u32>> = vec![Vec::new()];
            let mut numbers: HashMap<Vec<u32>, u32> = HashMap::from([(Vec::new(), 0)]);
            let mut map = Map::all(0);
            for (at, host) in (0u32..).zip(hosts) {
                let ranges = host.ranges_by_address(family, &way);
                let of_this = Map::from_ranges(&ranges, 1, family.highest());
                map = map.with(&of_this, |set, holds| {
                    if holds != 1 {
                        return set;
                    }
                    let mut more = sets[set as usize].clone();
                    more.push(at);
                    let next = sets.len() as u32;
                    *numbers.entry(more).or_insert_with_key(|more| {
                        sets.push(more.clone());
                        next
                    })
                });
            }
            let mut by_set: BTreeMap<u32, Ranges> = BTreeMap::new();
            for (low, high, set) in map.runs(family.highest()) {
                by_set.entry(set).or_default().push((low, high));
            }
            for (set, ranges) in by_set {
                let witness = ranges
                    .iter()
                    .flat_map(|range| family.without_mapped(*range))
                    .find_map(|range| match family {
                        Family::Unknown => Some(0),
                        Family::V4 | Family::V6 => together.find(family, range, &way),
                    });
                if let Some(witness) = witness {
                    cells.push(Cell {
                        held: sets[set as usize].clone(),
                        family,
                        ranges,
                        way: way.clone(),
                        witness,
                    });
                }
            }
        }
    }
    // Where no list asks for the server's address, every address is as good as none.
    if hosts.is_empty() {
        cells.retain(|cell| cell.family == Family::Unknown);
    }
    Ok(cells)
}

impl Hosts {
    /// The addresses that match, given which spellings hold.
    pub(super) fn ranges_by_address(&self, family: Family, way: &[bool]) -> Ranges {
        if self.spellings.iter().any(|at| way[*at as usize]) {
            return family.all();
        }
        match family {
            Family::V4 => self.ranges[0].clone(),
            Family::V6 => self.ranges[1].clone(),
            Family::Unknown if self.unknown => family.all(),
            Family::Unknown => Ranges::new(),
        }
    }

    fn holds_by_name(&self, name: &Class, groups: &[bool], family: Family) -> bool {
        let has = |tag: Option<u32>| tag.is_some_and(|tag| name.tags.binary_search(&tag).is_ok());
        has(self.name)
            || (has(self.known) && family != Family::Unknown)
            || self.groups.iter().any(|at| groups[*at as usize])
    }
}
