//! What was swept, as the differences that a comparison says.

use std::collections::{BTreeSet, HashMap};

use super::comparison::blocks_of;
use super::confirm::{Confirming, Told};
use super::daemons::{Asked, Axes, Port};
use super::family::Family;
use super::outcome::Outcomes;
use super::ranges::Ranges;
use super::rules::{Box_, joined};
use super::spelling::{Spelling, Together};
use super::sweep::{Part, Swept};
use super::{
    AddressPart, Addresses, Answers, Clients, Comparison, Difference, Incomparable, LeftOut, Places, Ports,
    Service, Unknown, Witness,
};
use hosts_access::syntax::option::Keyword;
use hosts_access::{Fact, Found};

/// Differences by what they are for: where they were found, the ways of being asked apart.
type Key = (Clients, u32, u32);

/// Puts what was swept into words, and together where only the service is another.
pub(super) struct Telling<'a, 't> {
    axes: &'a Axes<'t>,
    asked: &'a [Asked],
    places: &'a Places,
    confirming: Option<Confirming<'t>>,
    found: Vec<(Difference, Vec<Box_>)>,
    numbers: HashMap<Key, usize>,
    unknowns: BTreeSet<Unknown>,
    left_out: Vec<(Incomparable, Vec<Box_>)>,
    /// Where the tables are the same: whether those whom it is about are banned afterwards.
    pub(super) are_banned: Option<bool>,
}

impl<'a, 't> Telling<'a, 't> {
    pub(super) fn new(
        axes: &'a Axes<'t>,
        asked: &'a [Asked],
        places: &'a Places,
        confirming: Option<Confirming<'t>>,
    ) -> Self {
        Telling {
            axes,
            asked,
            places,
            confirming,
            found: Vec::new(),
            numbers: HashMap::new(),
            unknowns: BTreeSet::new(),
            left_out: Vec::new(),
            are_banned: None,
        }
    }

    pub(super) fn add(
        &mut self,
        asked: usize,
        swept: &Swept<'_>,
        outcomes: &Outcomes,
    ) -> Result<(), Incomparable> {
        for changed in &swept.changed {
            for client in &changed.boxes {
                let netgroups = holding(&swept.groups, &client[2..]);
                let clients = Clients {
                    addresses: addresses(&changed.parts, &swept.spellings, &swept.ways),
                    names: swept.names.told(&client[0]),
                    users: swept.users.told(&client[1]),
                    netgroups,
                    answers: answers_told(swept, client),
                };
                let boxes = &self.asked[asked].boxes;
                let key = (clients, changed.old, changed.new);
                if let Some(at) = self.numbers.get(&key) {
                    self.found[*at].1.extend_from_slice(boxes);
                    continue;
                }
                let (old, new) = (outcomes.get(changed.old), outcomes.get(changed.new));
                let (witness, told) = self.witness(&boxes[0], swept, &changed.parts, client);
                let witness = match &mut self.confirming {
                    Some(confirming) => confirming.confirm(witness, &told, [&old, &new])?,
                    None => witness,
                };
                let steps = old.steps.iter().chain(&new.steps);
                for run in steps
                    .flat_map(|step| &step.runs)
                    .filter(|run| run.keyword == Keyword::Aclexec)
                {
                    self.unknowns.insert(Unknown::Command(run.value.clone()));
                }
                let groups = key.0.netgroups.iter();
                self.unknowns
                    .extend(groups.map(|(group, _)| Unknown::Netgroup(group.clone())));
                if swept.has_scope {
                    self.unknowns.insert(Unknown::Scope);
                }
                self.numbers.insert(key.clone(), self.found.len());
                let difference = Difference {
                    services: Vec::new(),
                    clients: key.0,
                    old,
                    new,
                    witness,
                };
                self.found.push((difference, boxes.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn leave_out(&mut self, asked: usize, problem: Incomparable) {
        let boxes = &self.asked[asked].boxes;
        match self.left_out.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, known)) => known.extend_from_slice(boxes),
            None => self.left_out.push((problem, boxes.clone())),
        }
    }

    /// A request for which it shows, and what is told of it to the engine.
    fn witness(
        &self,
        service: &Box_,
        swept: &Swept<'_>,
        parts: &[Part],
        client: &Box_,
    ) -> (Witness, [Told; 2]) {
        let axes = self.axes;
        let cell = &axes.cells[service[2][0] as usize];
        let server_name = &axes.names[service[3][0] as usize].witness;
        let server_groups = holding_all(&axes.shared.groups, &axes.groups[service[4][0] as usize]);
        let together = Together::new(swept.spellings.iter().collect());
        let address = parts.iter().find_map(|part| {
            let address = match part.family {
                Family::Unknown => 0,
                Family::V4 | Family::V6 => representative(part, &together)?,
            };
            Some(part.family.text(address))
        });
        let groups = swept.groups.iter().zip(&client[2..]);
        let address = address.unwrap_or_default();
        let ip = std::str::from_utf8(&address)
            .ok()
            .and_then(|text| text.parse().ok());
        let mut told: Told = ip.map(|ip| self.places.told(ip)).unwrap_or_default();
        let mut answers = Vec::new();
        for (question, classes) in swept.questions(client) {
            // An answer that is one of the usual, where it does not matter.
            if let Some((fact, known, answer)) = question.given(classes[0], ip) {
                told.push((fact, known));
                answers.extend((classes.len() < question.classes.len()).then_some(answer));
            }
        }
        let witness = Witness {
            daemon: axes.daemons[service[0][0] as usize].witness.clone(),
            port: match axes.ports[service[1][0] as usize] {
                Port::Exactly(port) => Some(port),
                Port::Other => None,
            },
            server_address: cell.family.text(cell.witness),
            server_name: server_name.clone(),
            server_groups,
            address,
            name: swept.names[client[0][0] as usize].witness.clone(),
            user: swept.users[client[1][0] as usize].witness.clone(),
            groups: groups
                .filter(|(_, holds)| holds[0] == 1)
                .map(|(group, _)| group.to_vec())
                .collect(),
            answers,
            decided: Vec::new(),
        };
        let mut told = [told.clone(), told];
        if let Some(are_banned) = self.are_banned {
            for (told, are_banned) in told.iter_mut().zip([!are_banned, are_banned]) {
                told.retain(|(fact, _)| *fact != Fact::Banned);
                told.push((Fact::Banned, Ok(Found::from(are_banned))));
            }
        }
        (witness, told)
    }

    pub(super) fn finish(self) -> Comparison {
        let axes = self.axes;
        let differences = self.found.into_iter().map(|(mut difference, boxes)| {
            difference.services = services(axes, boxes);
            difference
        });
        let left_out = self.left_out.into_iter().map(|(problem, boxes)| LeftOut {
            services: services(axes, boxes),
            problem,
        });
        Comparison {
            differences: differences.collect(),
            unknowns: self.unknowns.into_iter().collect(),
            left_out: left_out.collect(),
        }
    }
}

/// An address for a reader's eye, where there is a choice.
fn representative(part: &Part, together: &Together<'_>) -> Option<u128> {
    let fine: &[u128] = match part.family {
        Family::V4 => &[0xc000_0201, 0xc633_6401, 0xcb00_7101],
        Family::V6 => &[0x2001_0db8_0000_0000_0000_0000_0000_0001],
        Family::Unknown => &[],
    };
    let within = part
        .ranges
        .iter()
        .flat_map(|range| part.family.without_mapped(*range));
    let ranges: Ranges = within.collect();
    let fine = fine
        .iter()
        .filter(|address| ranges.iter().any(|r| (r.0..=r.1).contains(address)));
    // Nobody has the broadcast address.
    let first = ranges.iter().filter(|r| r.1 > r.0).map(|r| r.0 + 1);
    let first = first.filter(|address| part.family != Family::V4 || *address != u128::from(u32::MAX));
    let mut candidates = fine.copied().chain(first.take(4));
    candidates
        .find_map(|address| together.find(part.family, (address, address), &part.way))
        .or_else(|| {
            ranges
                .iter()
                .find_map(|range| together.find(part.family, *range, &part.way))
        })
}

/// The answers that matter.
fn answers_told(swept: &Swept<'_>, client: &Box_) -> Vec<Answers> {
    let questions = swept.questions(client);
    questions
        .filter_map(|(question, classes)| question.told(classes))
        .collect()
}

fn holding_all(groups: &[&[u8]], holds: &[bool]) -> Vec<Vec<u8>> {
    let pairs = groups.iter().zip(holds);
    pairs
        .filter(|(_, holds)| **holds)
        .map(|(group, _)| group.to_vec())
        .collect()
}

/// Which of the groups hold or do not; those that may do either are left out.
fn holding(groups: &[&[u8]], axes: &[Vec<u32>]) -> Vec<(Vec<u8>, bool)> {
    let pairs = groups.iter().zip(axes);
    pairs
        .filter(|(_, holds)| holds.len() == 1)
        .map(|(group, holds)| (group.to_vec(), holds[0] == 1))
        .collect()
}

pub(super) fn services(axes: &Axes<'_>, boxes: Vec<Box_>) -> Vec<Service> {
    joined(boxes).iter().map(|one| service(axes, one)).collect()
}

fn service(axes: &Axes<'_>, one: &Box_) -> Service {
    let is_part = |axis: usize, count: usize| one[axis].len() < count;
    let ports = |told: bool| -> Vec<u16> {
        let ports = (0..)
            .zip(&axes.ports)
            .filter(|(at, _)| one[1].contains(at) == told);
        let numbers = ports.filter_map(|(_, port)| match port {
            Port::Exactly(number) => Some(*number),
            Port::Other => None,
        });
        numbers.collect()
    };
    let has_other = one[1].iter().any(|at| axes.ports[*at as usize] == Port::Other);
    let cells = is_part(2, axes.cells.len()).then(|| {
        let parts: Vec<Part> = one[2]
            .iter()
            .map(|at| {
                let cell = &axes.cells[*at as usize];
                Part {
                    family: cell.family,
                    way: cell.way.clone(),
                    ranges: cell.ranges.clone(),
                }
            })
            .collect();
        let all = |family| {
            let ways: BTreeSet<Vec<bool>> = axes
                .cells
                .iter()
                .filter(|cell| cell.family == family)
                .map(|cell| cell.way.clone())
                .collect();
            (family, ways.into_iter().collect())
        };
        addresses(&parts, &axes.shared.spellings, &Family::EACH.map(all))
    });
    let group_axes: Vec<Vec<u32>> = (0..axes.shared.groups.len())
        .map(|group| {
            let mut holds: Vec<u32> = one[4]
                .iter()
                .map(|at| u32::from(axes.groups[*at as usize][group]))
                .collect();
            holds.sort_unstable();
            holds.dedup();
            holds
        })
        .collect();
    Service {
        daemons: axes.daemons.told(&one[0]),
        ports: is_part(1, axes.ports.len()).then(|| match has_other {
            true => Ports::AllBut(ports(false)),
            false => Ports::These(ports(true)),
        }),
        addresses: cells,
        names: axes.names.told(&one[3]),
        netgroups: holding(&axes.shared.groups, &group_axes),
    }
}

/// The parts as blocks. Where the same ranges hold whatever the spelling, nothing is said of it.
fn addresses(parts: &[Part], spellings: &[Spelling], ways: &[(Family, Vec<Vec<bool>>)]) -> Addresses {
    let mut of_ranges: Vec<(Family, &Ranges, Vec<&Vec<bool>>)> = Vec::new();
    for part in parts {
        let same = of_ranges
            .iter_mut()
            .find(|(family, ranges, _)| (*family, *ranges) == (part.family, &part.ranges));
        match same {
            Some((.., held)) => held.push(&part.way),
            None => of_ranges.push((part.family, &part.ranges, vec![&part.way])),
        }
    }
    let mut told = Addresses::default();
    for (family, ranges, held) in of_ranges {
        if family == Family::Unknown {
            told.unknown = true;
            continue;
        }
        let blocks = blocks_of(family, ranges);
        let count = ways
            .iter()
            .find(|(f, _)| *f == family)
            .map_or(0, |(_, ways)| ways.len());
        if held.len() == count {
            told.parts.push(AddressPart {
                blocks,
                spelled: Vec::new(),
            });
            continue;
        }
        let boxes = held
            .iter()
            .map(|way| way.iter().map(|holds| vec![u32::from(*holds)]).collect());
        let texts: Vec<&[u8]> = spellings.iter().map(|s| &s.text[..]).collect();
        for way in joined(boxes.collect()) {
            told.parts.push(AddressPart {
                blocks: blocks.clone(),
                spelled: holding(&texts, &way),
            });
        }
    }
    told
}
