//! For one way of being asked: the clients for which two sequences of rules end differently.
//!
//! What is known of a client beside its address (name, user, netgroups, how its address is spelled) is
//! taken in classes, and for each combination of classes every rule is a set of addresses. Rules that
//! stand together and do the same are one set from the start, so that a long list of addresses costs
//! little more than sorting it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Incomparable;
use super::daemons::{MOST_GROUPS, MOST_WAYS, all_ways};
use super::family::{Family, MAPPED};
use super::hosts::{FileTexts, Hosts, Shared, Within};
use super::outcome::Outcomes;
use super::ranges::{HOLE, Map, Ranges, difference, intersection, normal};
use super::rules::{Box_, Lists, Rule, joined};
use super::spelling::{Spelling, Together, Ways};
use super::strings::{self, Atom, Classes, Kind};
use crate::document::Token;
use hosts_access::decision::{TableKind, Verdict};
use hosts_access::syntax::pattern::{ClientPattern, StringPattern};

/// The tokens of one part of a client list, or of many lists that are taken as one.
#[derive(Default)]
struct Union {
    hosts: Hosts,
    /// Those with a user part, by the tag of the user pattern.
    with_user: BTreeMap<u32, Hosts>,
}

/// One rule, or several that stand together and do the same.
struct Block {
    table: TableKind,
    /// Between the `EXCEPT`s.
    parts: Vec<Union>,
    step: u32,
}

/// The addresses a set of tokens matches under a given context.
#[derive(Clone)]
enum Set<'a> {
    All,
    Ranges(Cow<'a, [(u128, u128)]>),
}

/// What is known of a client beside its address.
struct Context<'a> {
    family: Family,
    names: &'a [bool],
    users: &'a [bool],
    groups: &'a [bool],
    way: &'a [bool],
}

impl Context<'_> {
    fn hosts<'h>(&self, hosts: &'h Hosts) -> Set<'h> {
        let is_named = hosts.name.is_some_and(|tag| self.names[tag as usize]);
        let is_known = hosts.known.is_some_and(|tag| self.names[tag as usize]);
        if is_named
            || (is_known && self.family != Family::Unknown)
            || hosts.groups.iter().any(|at| self.groups[*at as usize])
            || (self.family != Family::Unknown && hosts.spellings.iter().any(|at| self.way[*at as usize]))
            || (self.family == Family::Unknown && hosts.unknown)
        {
            return Set::All;
        }
        Set::Ranges(Cow::Borrowed(match self.family {
            Family::V4 => &hosts.ranges[0],
            Family::V6 => &hosts.ranges[1],
            Family::Unknown => &[],
        }))
    }

    fn union<'u>(&self, union: &'u Union) -> Set<'u> {
        let mut set = self.hosts(&union.hosts);
        for (user, hosts) in &union.with_user {
            if self.users[*user as usize] {
                set = match (set, self.hosts(hosts)) {
                    (Set::Ranges(a), Set::Ranges(b)) => {
                        Set::Ranges(Cow::Owned(normal([&a[..], &b[..]].concat())))
                    }
                    _ => Set::All,
                };
            }
        }
        set
    }

    /// The addresses the block matches within the universe.
    fn block<'b>(&self, block: &'b Block, universe: &Set<'_>) -> Set<'b> {
        let mut parts = block.parts.iter().rev();
        let mut set = parts
            .next()
            .map_or(Set::Ranges(Cow::Borrowed(&[])), |part| self.union(part));
        for part in parts {
            let all = self.family.all();
            let not = match &set {
                Set::All => &all[..],
                Set::Ranges(ranges) => ranges,
            };
            let of_part = self.union(part);
            set = Set::Ranges(match &of_part {
                Set::All => Cow::Owned(difference(&all, not)),
                Set::Ranges(ranges) => Cow::Owned(difference(ranges, not)),
            });
        }
        match (set, universe) {
            (Set::Ranges(ranges), Set::Ranges(universe)) => {
                Set::Ranges(Cow::Owned(intersection(&ranges, universe)))
            }
            (Set::Ranges(ranges), Set::All) if ranges[..] == self.family.all()[..] => Set::All,
            (set, _) => set,
        }
    }
}

/// A sequence of rules made ready.
struct Sequence {
    blocks: Vec<Block>,
    is_broken: bool,
}

impl Sequence {
    /// What becomes of each address of the family, within the universe.
    fn outcomes(&self, cx: &Context<'_>, universe: &Set<'_>, outcomes: &mut Outcomes) -> Map {
        let (mut allow, mut deny) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            let set = cx.block(block, universe);
            if matches!(&set, Set::Ranges(ranges) if ranges.is_empty()) {
                continue;
            }
            let is_last = matches!(set, Set::All) && !outcomes.may_fail(block.step);
            match block.table {
                TableKind::Allow => allow.push((block.step, set)),
                TableKind::Deny => deny.push((block.step, set)),
            }
            // What stands below it in the same table is not read. The deny table still is, where a
            // command further up fails.
            let has_command = allow.iter().any(|(step, _)| outcomes.may_fail(*step));
            if is_last && (block.table == TableKind::Deny || !has_command) {
                break;
            }
        }
        let by_default = if self.is_broken {
            Verdict::Denied
        } else {
            Verdict::Granted
        };
        let by_default = Map::all(outcomes.plain(by_default));
        let has_command = allow.iter().any(|(step, _)| outcomes.may_fail(*step));
        let after_failure = has_command.then(|| {
            let denied = Map::all(outcomes.plain(Verdict::Denied));
            overlaid(&deny, denied, None, cx.family, outcomes)
        });
        let below = overlaid(&deny, by_default, None, cx.family, outcomes);
        overlaid(&allow, below, after_failure.as_ref(), cx.family, outcomes)
    }
}

/// The rules of one table over what is below it. `after_failure` is what follows where a command fails,
/// if not what is below the rule.
fn overlaid(
    rules: &[(u32, Set<'_>)],
    below: Map,
    after_failure: Option<&Map>,
    family: Family,
    outcomes: &mut Outcomes,
) -> Map {
    let mut map = below;
    let highest = family.highest();
    let as_map = |set: &Set<'_>, value: u32| match set {
        Set::All => Map::all(value),
        Set::Ranges(ranges) => Map::from_ranges(ranges, value, highest),
    };
    let mut rest = rules;
    while let Some((step, set)) = rest.last() {
        if outcomes.may_fail(*step) {
            let otherwise = after_failure.unwrap_or(&map);
            let chained = as_map(set, 0).with(otherwise, |holds, otherwise| {
                if holds == HOLE {
                    HOLE
                } else {
                    outcomes.chain(*step, Some(otherwise))
                }
            });
            map = chained.over(&map);
            rest = &rest[..rest.len() - 1];
            continue;
        }
        let from = rest
            .iter()
            .rposition(|(step, _)| outcomes.may_fail(*step))
            .map_or(0, |at| at + 1);
        let maps = rest[from..]
            .iter()
            .map(|(step, set)| as_map(set, outcomes.chain(*step, None)));
        map = Map::first_of(maps.collect()).over(&map);
        rest = &rest[..from];
    }
    map
}

/// Makes rules ready.
struct Compiler<'a, 't> {
    lists: &'a Lists<'t>,
    files: &'t FileTexts,
    shared: Shared<'t>,
    users: Vec<(Atom<'t>, u32)>,
    user_numbers: HashMap<Vec<u8>, u32>,
}

impl<'a, 't> Compiler<'a, 't> {
    /// With nothing of the rules read yet.
    fn new(lists: &'a Lists<'t>, files: &'t FileTexts) -> Self {
        Compiler {
            lists,
            files,
            shared: Shared::default(),
            users: Vec::new(),
            user_numbers: HashMap::new(),
        }
    }

    fn token(&mut self, union: &mut Union, token: &Token<'t, ClientPattern<'t>>) {
        let ClientPattern { user, host } = token.pattern;
        let hosts = match user {
            None => &mut union.hosts,
            Some(user) => {
                let next = self.user_numbers.len() as u32;
                let tag = *self
                    .user_numbers
                    .entry(user.to_ascii_lowercase())
                    .or_insert_with(|| {
                        self.users.push((Atom::Matches(StringPattern::parse(user)), next));
                        next
                    });
                union.with_user.entry(tag).or_default()
            }
        };
        hosts.add(host, &mut self.shared, self.files, &mut Within::default());
    }

    fn blocks(&mut self, rules: impl Iterator<Item = Rule>, outcomes: Option<&Outcomes>) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for rule in rules {
            let lists = self.lists;
            let list = &lists.clients[rule.clients as usize];
            if let [tokens] = &list.parts[..]
                && let Some(last) = blocks.last_mut()
                && let [union] = &mut last.parts[..]
                // Without outcomes, it does not matter what a rule does.
                && outcomes.is_none_or(|outcomes| {
                    (last.table, last.step) == (rule.table, rule.step) && !outcomes.may_fail(rule.step)
                })
            {
                for token in tokens {
                    self.token(union, token);
                }
                continue;
            }
            let mut parts = Vec::with_capacity(list.parts.len());
            for tokens in &list.parts {
                let mut union = Union::default();
                for token in tokens {
                    self.token(&mut union, token);
                }
                parts.push(union);
            }
            blocks.push(Block {
                table: rule.table,
                parts,
                step: rule.step,
            });
        }
        for union in blocks.iter_mut().flat_map(|block| &mut block.parts) {
            union.hosts.finish();
            union.with_user.values_mut().for_each(Hosts::finish);
        }
        blocks
    }
}

/// What clients are told apart by, beside their addresses.
struct ClientClasses<'t> {
    names: Classes,
    users: Classes,
    shared: Shared<'t>,
    user_count: usize,
    /// The ways in which the spellings can hold.
    ways: Vec<(Family, Vec<Vec<bool>>)>,
    user_atoms: Vec<(Atom<'t>, u32)>,
}

impl<'t> Compiler<'_, 't> {
    fn classes(self, kept: &mut Ways) -> Result<ClientClasses<'t>, Incomparable> {
        let Compiler {
            shared,
            users: user_atoms,
            user_numbers,
            ..
        } = self;
        if shared.groups.len() > MOST_GROUPS {
            return Err(Incomparable::TooManyNetgroups(shared.groups.len()));
        }
        let together = Together::new(shared.spellings.iter().collect());
        let mut ways = Vec::new();
        for family in Family::EACH {
            let of_family = match family {
                Family::Unknown => vec![vec![false; shared.spellings.len()]],
                _ => together
                    .ways(family, MOST_WAYS, kept)
                    .ok_or(Incomparable::TooManySpellings)?,
            };
            ways.push((family, of_family));
        }
        drop(together);
        Ok(ClientClasses {
            names: strings::classes(&shared.names, Kind::Hosts)?,
            users: strings::classes(&user_atoms, Kind::Users)?,
            user_count: user_numbers.len(),
            shared,
            ways,
            user_atoms,
        })
    }
}

/// Addresses of one family that are spelled in one way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) family: Family,
    pub(super) way: Vec<bool>,
    pub(super) ranges: Ranges,
}

/// Clients for whom the outcome is another, and along which axes they lie.
pub(super) struct Changed {
    pub(super) parts: Vec<Part>,
    /// Names, users, then each netgroup as 0 and 1.
    pub(super) boxes: Vec<Box_>,
    pub(super) old: u32,
    pub(super) new: u32,
}

/// What the differences for one way of being asked are told in.
pub(super) struct Swept<'t> {
    pub(super) names: Classes,
    pub(super) users: Classes,
    pub(super) groups: Vec<&'t [u8]>,
    pub(super) spellings: Vec<Spelling>,
    /// The ways in which the spellings can hold.
    pub(super) ways: Vec<(Family, Vec<Vec<bool>>)>,
    pub(super) has_scope: bool,
    pub(super) changed: Vec<Changed>,
    #[cfg(test)]
    pub(super) name_atoms: Vec<(Atom<'t>, u32)>,
    #[cfg(test)]
    pub(super) user_atoms: Vec<(Atom<'t>, u32)>,
}

/// Which of the two sequences' rules have no partner in the other, in an order that holds for both.
fn without_partner(old: &[Rule], new: &[Rule]) -> [Vec<Rule>; 2] {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    // Rules that stand once on either side, in the longest sequence that rises on both.
    let mut places: HashMap<Rule, (u32, u32, usize, usize)> = HashMap::new();
    for (at, rule) in old.iter().enumerate() {
        let place = places.entry(*rule).or_default();
        (place.0, place.2) = (place.0 + 1, at);
    }
    for (at, rule) in new.iter().enumerate() {
        let place = places.entry(*rule).or_default();
        (place.1, place.3) = (place.1 + 1, at);
    }
    let mut pairs: Vec<(usize, usize)> = places
        .values()
        .filter(|(olds, news, ..)| (*olds, *news) == (1, 1))
        .map(|(_, _, old, new)| (*old, *new))
        .collect();
    pairs.sort_unstable();
    // For each length, the pair that ends a rising sequence of it lowest; and what stands before each.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (_, place)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut partnered = [vec![false; old.len()], vec![false; new.len()]];
    let mut at = ends.last().copied();
    while let Some(pair) = at {
        partnered[0][pairs[pair].0] = true;
        partnered[1][pairs[pair].1] = true;
        at = before[pair];
    }
    let alone = |rules: &[Rule], partnered: &[bool]| {
        let pairs = rules.iter().zip(partnered);
        pairs.filter(|(_, has)| !**has).map(|(rule, _)| *rule).collect()
    };
    [alone(old, &partnered[0]), alone(new, &partnered[1])]
}

/// Finds the clients for whom the two sequences of rules end differently.
pub(super) fn sweep<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
    rules: [&[Rule]; 2],
    is_broken: [bool; 2],
    outcomes: &mut Outcomes,
    kept: &mut Ways,
) -> Result<Option<Swept<'t>>, Incomparable> {
    let is_end_changed = is_broken[0] != is_broken[1];
    let [old_alone, new_alone] = without_partner(rules[0], rules[1]);
    if old_alone.is_empty() && new_alone.is_empty() && !is_end_changed {
        return Ok(None);
    }
    let mut compiler = Compiler::new(lists, files);
    let mut sequence = |at: usize| Sequence {
        blocks: compiler.blocks(rules[at].iter().copied(), Some(outcomes)),
        is_broken: is_broken[at],
    };
    let sequences = [sequence(0), sequence(1)];
    // A request can only end differently where a rule without partner matches it.
    let alone = compiler.blocks(old_alone.into_iter().chain(new_alone), None);
    let ClientClasses {
        names,
        users,
        shared,
        user_count,
        ways,
        user_atoms: _user_atoms,
    } = compiler.classes(kept)?;
    let together = Together::new(shared.spellings.iter().collect());
    let mut found: HashMap<(Vec<Part>, u32, u32), Vec<Box_>> = HashMap::new();
    let tags = shared.tag_count();
    for (name_at, name) in names.iter().enumerate() {
        let name_tags = bits(&name.tags, tags);
        for (user_at, user) in users.iter().enumerate() {
            let user_tags = bits(&user.tags, user_count);
            for groups in all_ways(shared.groups.len()) {
                let mut parts: BTreeMap<(u32, u32), Vec<Part>> = BTreeMap::new();
                for (family, ways) in &ways {
                    for way in ways {
                        let cx = Context {
                            family: *family,
                            names: &name_tags,
                            users: &user_tags,
                            groups: &groups,
                            way,
                        };
                        let universe = universe(&cx, &alone, is_end_changed);
                        if matches!(&universe, Set::Ranges(ranges) if ranges.is_empty()) {
                            continue;
                        }
                        let old = sequences[0].outcomes(&cx, &universe, outcomes);
                        let new = sequences[1].outcomes(&cx, &universe, outcomes);
                        for (pair, ranges) in changed(&old, &new, &universe, *family) {
                            let is_any =
                                ranges
                                    .iter()
                                    .flat_map(|range| family.without_mapped(*range))
                                    .any(|range| {
                                        *family == Family::Unknown
                                            || together.find(*family, range, way).is_some()
                                    });
                            if is_any {
                                parts.entry(pair).or_default().push(Part {
                                    family: *family,
                                    way: way.clone(),
                                    ranges,
                                });
                            }
                        }
                    }
                }
                for ((old, new), parts) in parts {
                    let mut one = vec![vec![name_at as u32], vec![user_at as u32]];
                    one.extend(groups.iter().map(|holds| vec![u32::from(*holds)]));
                    found.entry((parts, old, new)).or_default().push(one);
                }
            }
        }
    }
    drop(together);
    let mut changed: Vec<Changed> = found
        .into_iter()
        .map(|((parts, old, new), boxes)| Changed {
            parts,
            boxes: joined(boxes),
            old,
            new,
        })
        .collect();
    changed.sort_by(|a, b| a.boxes.cmp(&b.boxes).then((a.old, a.new).cmp(&(b.old, b.new))));
    Ok(Some(Swept {
        names,
        users,
        groups: shared.groups,
        spellings: shared.spellings,
        ways,
        has_scope: shared.has_scope,
        changed,
        #[cfg(test)]
        name_atoms: shared.names,
        #[cfg(test)]
        user_atoms: _user_atoms,
    }))
}

/// Which of the steps decide some request, and which decide what some of the others match.
#[derive(Default)]
pub(super) struct Deciding {
    /// The steps that decide.
    pub(super) steps: HashSet<u32>,
    /// Steps of which it is to be found who decides what they match.
    pub(super) instead_of: BTreeMap<u32, BTreeSet<u32>>,
    /// How many more rules may be looked at.
    pub(super) work: usize,
}

/// Finds what decides the requests that are asked in one way; each rule has a step of its own.
///
/// # Errors
/// Where there is too much to tell apart, or to look at.
pub(super) fn deciding<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
    (rules, is_broken): (&[Rule], bool),
    outcomes: &mut Outcomes,
    kept: &mut Ways,
    found: &mut Deciding,
) -> Result<(), Incomparable> {
    let mut compiler = Compiler::new(lists, files);
    let sequence = Sequence {
        blocks: compiler.blocks(rules.iter().copied(), Some(outcomes)),
        is_broken,
    };
    let wanted: Vec<&Block> = sequence
        .blocks
        .iter()
        .filter(|block| found.instead_of.contains_key(&block.step))
        .collect();
    let classes = compiler.classes(kept)?;
    let together = Together::new(classes.shared.spellings.iter().collect());
    let groups = all_ways(classes.shared.groups.len());
    let ways: usize = classes.ways.iter().map(|(_, ways)| ways.len()).sum();
    let contexts = classes.names.len() * classes.users.len() * groups.len() * ways;
    found.work = contexts
        .checked_mul(rules.len() + 1)
        .and_then(|work| found.work.checked_sub(work))
        .ok_or(Incomparable::TooManyWildcards)?;
    for name in classes.names.iter() {
        let names = bits(&name.tags, classes.shared.tag_count());
        for user in classes.users.iter() {
            let users = bits(&user.tags, classes.user_count);
            for groups in &groups {
                for (family, ways) in &classes.ways {
                    for way in ways {
                        let cx = Context {
                            family: *family,
                            names: &names,
                            users: &users,
                            groups,
                            way,
                        };
                        // Does a range hold an address that can be?
                        let is_any = |range: (u128, u128)| {
                            let mut real = family.without_mapped(range).into_iter();
                            real.any(|range| {
                                *family == Family::Unknown || together.find(*family, range, way).is_some()
                            })
                        };
                        let map = sequence.outcomes(&cx, &Set::All, outcomes);
                        let wanted: Vec<_> =
                            wanted.iter().map(|b| (b.step, cx.block(b, &Set::All))).collect();
                        for (low, high, outcome) in map.runs(family.highest()) {
                            let steps = outcomes.steps_of(outcome);
                            if !steps.iter().all(|step| found.steps.contains(step)) && is_any((low, high)) {
                                found.steps.extend(steps);
                            }
                            for (step, set) in &wanted {
                                let within = match set {
                                    Set::All => vec![(low, high)],
                                    Set::Ranges(ranges) => intersection(ranges, &[(low, high)]),
                                };
                                let instead = found.instead_of.entry(*step).or_default();
                                if !steps.iter().all(|step| instead.contains(step))
                                    && within.into_iter().any(is_any)
                                {
                                    instead.extend(steps);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn bits(tags: &[u32], count: usize) -> Vec<bool> {
    let mut bits = vec![false; count];
    tags.iter().for_each(|tag| bits[*tag as usize] = true);
    bits
}

/// The addresses for which the outcome can be another.
fn universe<'a>(cx: &Context<'_>, alone: &'a [Block], is_end_changed: bool) -> Set<'a> {
    let mut ranges = Ranges::new();
    if is_end_changed {
        return Set::All;
    }
    for block in alone {
        match cx.block(block, &Set::All) {
            Set::All => return Set::All,
            Set::Ranges(of_block) if alone.len() == 1 => return Set::Ranges(of_block),
            Set::Ranges(of_block) => ranges.extend_from_slice(&of_block),
        }
    }
    Set::Ranges(Cow::Owned(normal(ranges)))
}

/// Where two maps differ, by the two numbers.
fn changed(old: &Map, new: &Map, universe: &Set<'_>, family: Family) -> BTreeMap<(u32, u32), Ranges> {
    const SAME: u32 = u32::MAX;
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
    let map = old.with(new, |old, new| {
        if old == new {
            return SAME;
        }
        *numbers.entry((old, new)).or_insert_with(|| {
            pairs.push((old, new));
            pairs.len() as u32 - 1
        })
    });
    let map = match universe {
        Set::All => map,
        // Outside the universe the maps say nothing.
        Set::Ranges(ranges) => {
            let within = Map::from_ranges(ranges, 0, family.highest());
            within.with(
                &map,
                |is_within, pair| if is_within == HOLE { SAME } else { pair },
            )
        }
    };
    let mut found: BTreeMap<(u32, u32), Ranges> = BTreeMap::new();
    for (low, high, pair) in map.runs(family.highest()) {
        if pair != SAME {
            found.entry(pairs[pair as usize]).or_default().push((low, high));
        }
    }
    if family == Family::V6 {
        found.values_mut().for_each(over_mapped);
        found.retain(|_, ranges| !ranges.is_empty());
    }
    found
}

/// No client has one of the IPv6 addresses that stand for IPv4 ones, so these count as part of what is
/// on both sides of them, and else as no part.
fn over_mapped(ranges: &mut Ranges) {
    let without = difference(ranges, &[MAPPED]);
    let is_below = without.iter().any(|r| r.1 == MAPPED.0 - 1);
    let is_above = without.iter().any(|r| r.0 == MAPPED.1 + 1);
    *ranges = without;
    if is_below && is_above {
        ranges.push(MAPPED);
        *ranges = normal(std::mem::take(ranges));
    }
}
