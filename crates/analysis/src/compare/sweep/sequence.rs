//! A sequence of rules made ready, and what becomes of each address under it, all else about the client being given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::compare::family::Family;
use crate::compare::hosts::Hosts;
use crate::compare::outcome::Outcomes;
use crate::compare::ranges::{HOLE, Map, difference, intersection, normal};
use hosts_access::Match;
use hosts_access::decision::{TableKind, Verdict};

/// The tokens of one part of a client list, or of many lists that are taken as one.
#[derive(Default)]
pub(super) struct Union {
    pub(super) hosts: Hosts,
    /// Those with a user part, by the tag of the user pattern.
    pub(super) with_user: BTreeMap<u32, Hosts>,
}

/// One rule, or several that stand together and do the same.
pub(super) struct Block {
    pub(super) table: TableKind,
    /// Lists of clients, all of which must match; each by its parts between the `EXCEPT`s.
    pub(super) lists: Vec<Vec<Union>>,
    pub(super) step: u32,
    /// What follows where it is not known whether they match, if that can be and matters.
    pub(super) doubt: Option<u32>,
    pub(super) may_be_in_doubt: bool,
}

/// The addresses a set of tokens matches under a given context.
#[derive(Clone)]
pub(super) enum Set<'a> {
    All,
    Ranges(Cow<'a, [(u128, u128)]>),
}

impl Set<'_> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Set::Ranges(ranges) if ranges.is_empty())
    }
}

/// What is known of a client beside its address.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) family: Family,
    pub(super) names: &'a [bool],
    pub(super) users: &'a [bool],
    pub(super) groups: &'a [bool],
    /// What comes of what is asked besides.
    pub(super) asked: &'a [Match],
    pub(super) way: &'a [bool],
}

impl Context<'_> {
    /// The addresses that match, or those that may, where `unknown` is counted as a match.
    fn hosts<'h>(&self, hosts: &'h Hosts, unknown: bool) -> Set<'h> {
        let holds = |at: &u32| match self.asked[*at as usize] {
            Match::Yes => true,
            Match::Unknown => unknown,
            Match::No => false,
        };
        let is_named = hosts.name.is_some_and(|tag| self.names[tag as usize]);
        let is_known = hosts.known.is_some_and(|tag| self.names[tag as usize]);
        if is_named
            || (is_known && self.family != Family::Unknown)
            || hosts.groups.iter().any(|at| self.groups[*at as usize])
            || hosts.asks.iter().any(holds)
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

    fn union<'u>(&self, union: &'u Union, unknown: bool) -> Set<'u> {
        let mut set = self.hosts(&union.hosts, unknown);
        for (user, hosts) in &union.with_user {
            if self.users[*user as usize] {
                set = match (set, self.hosts(hosts, unknown)) {
                    (Set::Ranges(a), Set::Ranges(b)) => {
                        Set::Ranges(Cow::Owned(normal([&a[..], &b[..]].concat())))
                    }
                    _ => Set::All,
                };
            }
        }
        set
    }

    /// The addresses that a list matches, or may match. What may be excepted is not matched for certain, and so on.
    fn list<'u>(&self, parts: &'u [Union], may: bool) -> Set<'u> {
        let unknown = |at: usize| may == at.is_multiple_of(2);
        let mut parts = parts.iter().enumerate().rev();
        let mut set = parts
            .next()
            .map_or(Set::Ranges(Cow::Borrowed(&[])), |(at, part)| {
                self.union(part, unknown(at))
            });
        for (at, part) in parts {
            let all = self.family.all();
            let not = match &set {
                Set::All => &all[..],
                Set::Ranges(ranges) => ranges,
            };
            let of_part = self.union(part, unknown(at));
            set = Set::Ranges(match &of_part {
                Set::All => Cow::Owned(difference(&all, not)),
                Set::Ranges(ranges) => Cow::Owned(difference(ranges, not)),
            });
        }
        set
    }

    /// The addresses the block matches within the universe, or those that it may match.
    pub(super) fn block<'b>(&self, block: &'b Block, universe: &Set<'_>, may: bool) -> Set<'b> {
        let mut lists = block.lists.iter().map(|list| self.list(list, may));
        let first = lists.next().unwrap_or(Set::Ranges(Cow::Borrowed(&[])));
        let set = lists.fold(first, |set, list| match (set, list) {
            (Set::Ranges(a), Set::Ranges(b)) => Set::Ranges(Cow::Owned(intersection(&a, &b))),
            (Set::All, other) | (other, Set::All) => other,
        });
        match (set, universe) {
            (Set::Ranges(ranges), Set::Ranges(universe)) => {
                Set::Ranges(Cow::Owned(intersection(&ranges, universe)))
            }
            (Set::Ranges(ranges), Set::All) if ranges[..] == self.family.all()[..] => Set::All,
            (set, _) => set,
        }
    }

    /// The addresses of which it is not known whether the block matches them, `known` being those that it matches.
    fn in_doubt<'b>(&self, block: &'b Block, universe: &Set<'_>, known: &Set<'_>) -> Set<'b> {
        let known = match known {
            Set::All => return Set::Ranges(Cow::Borrowed(&[])),
            Set::Ranges(known) => known,
        };
        match self.block(block, universe, true) {
            Set::All if known.is_empty() => Set::All,
            Set::All => Set::Ranges(Cow::Owned(difference(&self.family.all(), known))),
            Set::Ranges(may) => Set::Ranges(Cow::Owned(difference(&may, known))),
        }
    }
}

/// A sequence of rules made ready.
pub(super) struct Sequence {
    pub(super) blocks: Vec<Block>,
    pub(super) is_broken: bool,
}

impl Sequence {
    /// What becomes of each address of the family, within the universe.
    pub(super) fn outcomes(&self, cx: &Context<'_>, universe: &Set<'_>, outcomes: &mut Outcomes) -> Map {
        let (mut allow, mut deny) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            let set = cx.block(block, universe, false);
            let in_doubt = block.doubt.map(|step| (step, cx.in_doubt(block, universe, &set)));
            let steps = std::iter::once((block.step, set)).chain(in_doubt);
            let mut is_last = false;
            for (step, set) in steps {
                if set.is_empty() {
                    continue;
                }
                is_last |= matches!(set, Set::All) && !outcomes.goes_on(step);
                match block.table {
                    TableKind::Allow => allow.push((step, set)),
                    TableKind::Deny => deny.push((step, set)),
                }
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
        if outcomes.goes_on(*step) {
            let otherwise = match after_failure {
                Some(after) if outcomes.may_fail(*step) => after,
                _ => &map,
            };
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
            .rposition(|(step, _)| outcomes.goes_on(*step))
            .map_or(0, |at| at + 1);
        let maps = rest[from..]
            .iter()
            .map(|(step, set)| as_map(set, outcomes.chain(*step, None)));
        map = Map::first_of(maps.collect()).over(&map);
        rest = &rest[..from];
    }
    map
}
