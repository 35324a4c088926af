//! Which requests get another verdict, or have other things run, under other tables.
//!
//! Computed, not sampled: exact over all addresses of both families, and over the classes of daemons,
//! names and users that the two policies can tell apart. What cannot be known from the tables, the
//! status of `aclexec` commands and who is in a netgroup, is told as an unknown and never guessed. Each
//! difference holds a request for which it shows, and has been confirmed by deciding that request.
//!
//! Claims are about requests as they come in real life: addresses are written as the C library writes
//! them or are `unknown`, names of hosts are no addresses. Log lines, and what is looked up on the way,
//! are no part of what is compared; values of options are compared as written, before % expansion.

mod bans;
mod confirm;
mod daemons;
mod facts;
mod family;
mod hosts;
mod idle;
mod outcome;
mod places;
pub mod ranges;
mod rules;
mod spelling;
mod strings;
mod sweep;
#[cfg(test)]
mod tests;
pub mod text;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use self::bans::{Banning, LetIn, banning};
pub use self::confirm::{Decided, Witness};
pub use self::facts::Answers;
pub(crate) use self::hosts::FileTexts;
pub(crate) use self::idle::idle;
pub use self::outcome::{Outcome, Run, Step};
pub use self::places::Places;
pub use self::words::{Like, Strings};

use self::confirm::{Confirming, Told};
use self::daemons::{Asked, Axes, MOST_GROUPS, MOST_WAYS, Port};
use self::family::Family;
use self::outcome::Outcomes;
use self::ranges::{Ranges, blocks, difference, normal};
use self::rules::{Box_, Lists, OneSide, Rule, joined, lines};
pub(crate) use self::spelling::Ways;
use self::spelling::{Spelling, Together};
use self::sweep::{Part, Swept, sweep};
use crate::document::Documents;
use hosts_access::syntax::option::Keyword;
use hosts_access::{Fact, Found};

/// Why two policies cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomparable {
    /// Patterns with wildcards combine in too many ways.
    TooManyWildcards,
    /// So many netgroups matter to a request that their members cannot be told apart.
    TooManyNetgroups(usize),
    /// Daemons, ports and server endpoints combine in too many ways.
    TooManyDaemons,
    /// Patterns on the text of addresses combine in too many ways.
    TooManySpellings,
    /// What rules ask besides (patterns in braces) is answered in too many ways.
    TooManyAnswers,
    /// A pattern names something whose reading may never end.
    Endless(Vec<u8>, &'static str),
    /// Deciding the request did not show the difference: the comparison is wrong, and so not given.
    Unconfirmed(String),
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Incomparable::TooManyNetgroups(count) => {
                return write!(f, "{count} netgroups matter at once, and no more than {MOST_GROUPS} can be told apart");
            }
            Incomparable::TooManyWildcards => "the patterns with * and ? combine in too many ways to tell apart",
            Incomparable::TooManyDaemons => {
                "daemons, ports and server endpoints combine in too many ways to tell apart"
            }
            Incomparable::TooManySpellings => {
                return write!(
                    f,
                    "the patterns on the text of addresses combine in more than the {MOST_WAYS} ways that can be \
                     told apart"
                );
            }
            Incomparable::TooManyAnswers => "the patterns in braces combine in too many ways to tell apart",
            Incomparable::Endless(path, what) => {
                let path = path.escape_ascii();
                return write!(
                    f,
                    "{path}, which a pattern names, is {what}: put a regular file in its place"
                );
            }
            Incomparable::Unconfirmed(what) => {
                return write!(
                    f,
                    "a difference was computed that deciding does not confirm, which is a bug: {what}"
                );
            }
        })
    }
}

impl std::error::Error for Incomparable {}

/// What two policies do differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The differences; no request is part of two of them.
    pub differences: Vec<Difference>,
    /// What the differences depend on and the tables do not tell.
    pub unknowns: Vec<Unknown>,
    /// Requests that could not be compared.
    pub left_out: Vec<LeftOut>,
}

/// Requests that could not be compared, and of which so nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What they ask for.
    pub services: Vec<Service>,
    /// Why.
    pub problem: Incomparable,
}

/// Something that is not known from the tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unknown {
    /// Whether this `aclexec` command succeeds.
    Command(Vec<u8>),
    /// Which hosts are in this netgroup.
    Netgroup(Vec<u8>),
    /// Patterns name network interfaces; addresses were taken without them.
    Scope,
}

/// Requests that end differently, all in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What they ask for.
    pub services: Vec<Service>,
    /// Who asks.
    pub clients: Clients,
    /// What became of them.
    pub old: Outcome,
    /// What becomes of them.
    pub new: Outcome,
    /// One of them.
    pub witness: Witness,
}

/// Services by their names, ports and server endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The daemons' names; nothing where any will do.
    pub daemons: Option<Vec<Strings>>,
    /// The server's ports; nothing where any will do.
    pub ports: Option<Ports>,
    /// The server's addresses; nothing where any will do.
    pub addresses: Option<Addresses>,
    /// The server's names; nothing where any will do.
    pub names: Option<Vec<Strings>>,
    /// Netgroups the server is or is not in.
    pub netgroups: Vec<(Vec<u8>, bool)>,
}

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// These.
    These(Vec<u16>),
    /// Any but these, and any that is not known.
    AllBut(Vec<u16>),
}

impl Ports {
    /// Is this port among them?
    pub fn holds(&self, port: u16) -> bool {
        match self {
            Ports::These(ports) => ports.contains(&port),
            Ports::AllBut(ports) => !ports.contains(&port),
        }
    }
}

/// Clients by what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clients {
    /// Their addresses.
    pub addresses: Addresses,
    /// Their names; nothing where any will do.
    pub names: Option<Vec<Strings>>,
    /// Their users; nothing where any will do.
    pub users: Option<Vec<Strings>>,
    /// Netgroups they are or are not in.
    pub netgroups: Vec<(Vec<u8>, bool)>,
    /// What else is known of them: the answer to each question that matters.
    pub answers: Vec<Answers>,
}

/// A set of addresses: the fewest blocks that make it up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Addresses {
    /// Blocks, IPv4 first.
    pub parts: Vec<AddressPart>,
    /// An address that is not known is one of them.
    pub unknown: bool,
}

/// Blocks of addresses, perhaps only those whose text certain patterns match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressPart {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Patterns that match the addresses, or do not.
    pub spelled: Vec<(Vec<u8>, bool)>,
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// The first address.
    pub address: IpAddr,
    /// How many bits of it all of them share.
    pub length: u8,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = if self.address.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.length == full {
            Ok(())
        } else {
            write!(f, "/{}", self.length)
        }
    }
}

impl Block {
    fn ends(&self) -> (u128, u128) {
        let (first, bits) = match self.address {
            IpAddr::V4(v4) => (v4.to_bits().into(), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let free = u128::MAX
            .checked_shr(128 - (bits - u32::from(self.length)))
            .unwrap_or(0);
        (first, first | free)
    }
}

impl AddressPart {
    /// The fewest blocks that make up the rest of the family: what the blocks leave out.
    ///
    /// ```
    /// use analysis::compare::{AddressPart, Block};
    /// let block = |address: &str, length| Block { address: address.parse().unwrap(), length };
    /// let part = AddressPart { blocks: vec![block("128.0.0.0", 1), block("64.0.0.0", 2)], spelled: Vec::new() };
    /// assert_eq!(part.rest(), [block("0.0.0.0", 2)]);
    /// ```
    pub fn rest(&self) -> Vec<Block> {
        let Some(first) = self.blocks.first() else {
            return Vec::new();
        };
        let family = if first.address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        let all = Block {
            length: 0,
            address: match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 | Family::Unknown => Ipv6Addr::UNSPECIFIED.into(),
            },
        };
        let ranges = normal(self.blocks.iter().map(Block::ends).collect());
        blocks_of(family, &difference(&[all.ends()], &ranges))
    }
}

impl Addresses {
    /// Is every address one of them, known or not?
    pub fn is_all(&self) -> bool {
        self.unknown && self.holds_both_families()
    }

    /// Is every address one of them, but one that is not known?
    pub fn is_all_known(&self) -> bool {
        !self.unknown && self.holds_both_families()
    }

    fn holds_both_families(&self) -> bool {
        let is_all = |is_v4: bool| {
            self.parts.iter().any(|part| {
                part.spelled.is_empty()
                    && matches!(part.blocks[..], [b] if b.length == 0 && b.address.is_ipv4() == is_v4)
            })
        };
        is_all(true) && is_all(false)
    }
}

/// Compares what two pairs of tables mean. A table that is absent is an empty one. Files that patterns
/// name are read.
///
/// # Errors
/// Where daemons combine in more ways than can be followed, or, which would be a bug, a difference is not
/// confirmed by deciding a request. Services for whose clients there are too many ways are left out alone.
///
/// ```
/// use analysis::compare::compare;
/// use analysis::document::{Document, Documents};
/// let old = Document::new("hosts.deny", &b"ALL: 192.0.2.0/255.255.255.0\n"[..]);
/// let new = Document::new("hosts.deny", &b"ALL: 192.0.2.0/255.255.255.128\n"[..]);
/// let found = compare(
///     Documents { allow: None, deny: Some(&old) },
///     Documents { allow: None, deny: Some(&new) },
/// )?;
/// let [difference] = &found.differences[..] else { panic!() };
/// let block = difference.clients.addresses.parts[0].blocks[0];
/// assert_eq!(block.to_string(), "192.0.2.128/25");
/// # Ok::<(), analysis::compare::Incomparable>(())
/// ```
pub fn compare(old: Documents<'_>, new: Documents<'_>) -> Result<Comparison, Incomparable> {
    compare_in(old, new, &Places::default())
}

/// The same where it is given which addresses are where.
///
/// # Errors
/// The same.
pub fn compare_in(
    old: Documents<'_>,
    new: Documents<'_>,
    places: &Places,
) -> Result<Comparison, Incomparable> {
    let confirming = Some(Confirming::new([old, new]));
    compare_by(old, new, None, places, confirming, &mut Ways::new())
}

/// The same of the tables alone: what the files hold that patterns name is not known, and nothing is confirmed by
/// deciding a request. `kept` saves work where tables much alike are compared again and again.
pub(crate) fn compare_alone(
    old: Documents<'_>,
    new: Documents<'_>,
    kept: &mut Ways,
) -> Result<Comparison, Incomparable> {
    let places = Places::default();
    compare_by(old, new, Some(FileTexts::new()), &places, None, kept)
}

fn compare_by(
    old: Documents<'_>,
    new: Documents<'_>,
    files: Option<FileTexts>,
    places: &Places,
    confirming: Option<Confirming<'_>>,
    kept: &mut Ways,
) -> Result<Comparison, Incomparable> {
    let lines = [lines(old), lines(new)];
    let mut outcomes = Outcomes::default();
    let mut lists = Lists::new(places);
    let sides = [
        lists.read(&lines[0], &mut outcomes),
        lists.read(&lines[1], &mut outcomes),
    ];
    let none = Comparison {
        differences: Vec::new(),
        unknowns: Vec::new(),
        left_out: Vec::new(),
    };
    if sides[0].rules == sides[1].rules && sides[0].is_broken == sides[1].is_broken {
        return Ok(none);
    }
    let files = match files {
        Some(files) => files,
        None => lists.files()?,
    };
    let (axes, asked) = daemons::asked(&lists, &files)?;
    let mut telling = Telling::new(&axes, &asked, places, confirming);
    for (number, asked) in asked.iter().enumerate() {
        match swept(&lists, &files, &sides, asked, &mut outcomes, kept) {
            Ok(Some(swept)) => telling.add(number, &swept, &outcomes)?,
            Ok(None) => {}
            Err(problem) => telling.leave_out(number, problem),
        }
    }
    Ok(telling.finish())
}

/// The clients for whom requests that are asked in this way end differently.
fn swept<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
    sides: &[OneSide; 2],
    asked: &Asked,
    outcomes: &mut Outcomes,
    kept: &mut Ways,
) -> Result<Option<Swept<'t>>, Incomparable> {
    let [old, new] = [0, 1].map(|side: usize| of_service(lists, &sides[side].rules, asked));
    let is_broken = [sides[0].is_broken, sides[1].is_broken];
    sweep(lists, files, [&old, &new], is_broken, outcomes, kept)
}

/// The rules for who asks in this way, the daemon lists being all alike.
fn of_service(lists: &Lists<'_>, rules: &[Rule], asked: &Asked) -> Vec<Rule> {
    let mut holds = vec![false; lists.daemons.len()];
    asked.lists.iter().for_each(|list| holds[*list as usize] = true);
    let rules = rules.iter().filter(|rule| holds[rule.daemons as usize]);
    rules.map(|rule| Rule { daemons: 0, ..*rule }).collect()
}

/// Differences by what they are for: where they were found, the ways of being asked apart.
type Key = (Clients, u32, u32);

/// Puts what was swept into words, and together where only the service is another.
struct Telling<'a, 't> {
    axes: &'a Axes<'t>,
    asked: &'a [Asked],
    places: &'a Places,
    confirming: Option<Confirming<'t>>,
    found: Vec<(Difference, Vec<Box_>)>,
    numbers: HashMap<Key, usize>,
    unknowns: BTreeSet<Unknown>,
    left_out: Vec<(Incomparable, Vec<Box_>)>,
    /// Where the tables are the same: whether those whom it is about are banned afterwards.
    are_banned: Option<bool>,
}

impl<'a, 't> Telling<'a, 't> {
    fn new(
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

    fn add(&mut self, asked: usize, swept: &Swept<'_>, outcomes: &Outcomes) -> Result<(), Incomparable> {
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

    fn leave_out(&mut self, asked: usize, problem: Incomparable) {
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

    fn finish(self) -> Comparison {
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

fn services(axes: &Axes<'_>, boxes: Vec<Box_>) -> Vec<Service> {
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

/// Ranges of a family as blocks.
fn blocks_of(family: Family, ranges: &[(u128, u128)]) -> Vec<Block> {
    let bits = if family == Family::V4 { 32 } else { 128 };
    let blocks = blocks(ranges, bits).into_iter();
    blocks
        .map(|(first, length)| Block {
            // `as`: an address of 32 bits, and a length of 128 at most.
            address: match family {
                Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(first as u32)),
                Family::V6 | Family::Unknown => IpAddr::V6(Ipv6Addr::from_bits(first)),
            },
            length: length as u8,
        })
        .collect()
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
