//! For one way of being asked: the clients for which two sequences of rules end differently.
//!
//! What is known of a client beside its address (name, user, netgroups, how its address is spelled) is
//! taken in classes, and for each combination of classes every rule is a set of addresses. Rules that
//! stand together and do the same are one set from the start, so that a long list of addresses costs
//! little more than sorting it.

mod banned;
mod clients;
mod partners;
mod sequence;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(super) use self::banned::{Banned, let_in, sweep_bans};
use self::clients::{ClientClasses, Compiler};
use self::partners::without_partner;
use self::sequence::{Block, Context, Sequence, Set};
use super::Incomparable;
#[cfg(test)]
use super::facts::Asks;
use super::facts::{Facts, Question};
use super::family::{Family, MAPPED};
use super::hosts::FileTexts;
use super::outcome::Outcomes;
use super::ranges::{HOLE, Map, Ranges, difference, intersection, normal};
use super::rules::{Box_, Lists, Rule, joined};
use super::spelling::{Spelling, Together, Ways};
#[cfg(test)]
use super::strings::Atom;
use super::strings::Classes;

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
    /// Names, users, then each netgroup as 0 and 1, then the answers to each question.
    pub(super) boxes: Vec<Box_>,
    pub(super) old: u32,
    pub(super) new: u32,
}

/// What the differences for one way of being asked are told in.
pub(super) struct Swept<'t> {
    pub(super) names: Classes,
    pub(super) users: Classes,
    pub(super) groups: Vec<&'t [u8]>,
    pub(super) facts: Facts,
    pub(super) spellings: Vec<Spelling>,
    /// The ways in which the spellings can hold.
    pub(super) ways: Vec<(Family, Vec<Vec<bool>>)>,
    pub(super) has_scope: bool,
    pub(super) changed: Vec<Changed>,
    #[cfg(test)]
    pub(super) name_atoms: Vec<(Atom<'t>, u32)>,
    #[cfg(test)]
    pub(super) user_atoms: Vec<(Atom<'t>, u32)>,
    #[cfg(test)]
    pub(super) asks: Vec<Asks<'t>>,
}

impl Swept<'_> {
    /// The questions, each with the classes of answers that a box spans.
    pub(super) fn questions<'s>(
        &'s self,
        one: &'s Box_,
    ) -> impl Iterator<Item = (&'s Question, &'s Vec<u32>)> {
        self.facts.questions.iter().zip(&one[2 + self.groups.len()..])
    }
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
    let classes = compiler.classes(kept)?;
    classes.is_feasible(sequences.iter().map(|sequence| sequence.blocks.len()).sum())?;
    let together = Together::new(classes.shared.spellings.iter().collect());
    let is_told_apart = classes.facts.are_about_address();
    let mut found = Changes::default();
    classes.each(|one| {
        let mut parts: BTreeMap<(bool, u32, u32), Vec<Part>> = BTreeMap::new();
        for cx in classes.contexts(one) {
            let universe = universe(&cx, &alone, is_end_changed);
            if universe.is_empty() {
                continue;
            }
            let old = sequences[0].outcomes(&cx, &universe, outcomes);
            let new = sequences[1].outcomes(&cx, &universe, outcomes);
            let is_without = is_told_apart && cx.family == Family::Unknown;
            for ((old, new), mut ranges) in changed(&old, &new, &universe, cx.family) {
                if is_told_apart && cx.family == Family::V4 {
                    over(&mut ranges, BROADCAST);
                }
                if let Some(part) = part(&together, &cx, ranges) {
                    parts.entry((is_without, old, new)).or_default().push(part);
                }
            }
        }
        for ((is_without, old, new), parts) in parts {
            let answers = match is_without {
                true => classes.facts.without_address(one.answers),
                false => one.answers.iter().map(|answer| vec![*answer]).collect(),
            };
            found
                .entry((parts, old, new))
                .or_default()
                .push(one.boxed(answers));
        }
        Ok::<(), Incomparable>(())
    })?;
    drop(together);
    Ok(Some(classes.swept(found)))
}

/// Where outcomes differ, by the addresses and the two outcomes.
type Changes = HashMap<(Vec<Part>, u32, u32), Vec<Box_>>;

/// The addresses in these ranges, if there is one that can be.
fn part(together: &Together<'_>, cx: &Context<'_>, ranges: Ranges) -> Option<Part> {
    is_any(together, cx, &ranges).then(|| Part {
        family: cx.family,
        way: cx.way.to_vec(),
        ranges,
    })
}

/// Is there an address in these ranges that can be?
fn is_any(together: &Together<'_>, cx: &Context<'_>, ranges: &[(u128, u128)]) -> bool {
    let mut real = ranges.iter().flat_map(|range| cx.family.without_mapped(*range));
    real.any(|range| cx.family == Family::Unknown || together.find(cx.family, range, cx.way).is_some())
}

impl<'t> ClientClasses<'t> {
    /// What was found, with what it is told in.
    fn swept(self, found: Changes) -> Swept<'t> {
        let mut changed: Vec<Changed> = found
            .into_iter()
            .map(|((parts, old, new), boxes)| Changed {
                parts,
                boxes: joined(boxes),
                old,
                new,
            })
            .collect();
        changed.sort_by(|a, b| {
            let families = |of: &Changed| of.parts.iter().map(|part| part.family).collect::<Vec<_>>();
            a.boxes
                .cmp(&b.boxes)
                .then((a.old, a.new).cmp(&(b.old, b.new)))
                .then_with(|| families(a).cmp(&families(b)))
        });
        // Who has no address was looked at apart, and is told together with the others where it is the same.
        changed.dedup_by(|next, one| {
            let is_same = (&next.boxes, next.old, next.new) == (&one.boxes, one.old, one.new)
                && self.facts.are_about_address()
                && next.parts.iter().all(|part| part.family == Family::Unknown)
                && one.parts.iter().all(|part| part.family != Family::Unknown);
            if is_same {
                one.parts.append(&mut next.parts);
            }
            is_same
        });
        Swept {
            names: self.names,
            users: self.users,
            groups: self.shared.groups,
            facts: self.facts,
            spellings: self.shared.spellings,
            ways: self.ways,
            has_scope: self.shared.has_scope,
            changed,
            #[cfg(test)]
            name_atoms: self.shared.names,
            #[cfg(test)]
            user_atoms: self.user_atoms,
            #[cfg(test)]
            asks: self.shared.asks,
        }
    }
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
    found.work = classes
        .count()
        .checked_mul(rules.len() + 1)
        .and_then(|work| found.work.checked_sub(work))
        .ok_or(Incomparable::TooManyWildcards)?;
    classes.each(|one| {
        for cx in classes.contexts(one) {
            let map = sequence.outcomes(&cx, &Set::All, outcomes);
            let wanted: Vec<_> = wanted
                .iter()
                .map(|b| (b.step, cx.block(b, &Set::All, true)))
                .collect();
            for (low, high, outcome) in map.runs(cx.family.highest()) {
                let steps = outcomes.steps_of(outcome);
                let is_new = !steps.iter().all(|step| found.steps.contains(step));
                if is_new && is_any(&together, &cx, &[(low, high)]) {
                    found.steps.extend(steps);
                }
                for (step, set) in &wanted {
                    let within = match set {
                        Set::All => vec![(low, high)],
                        Set::Ranges(ranges) => intersection(ranges, &[(low, high)]),
                    };
                    let instead = found.instead_of.entry(*step).or_default();
                    if !steps.iter().all(|step| instead.contains(step)) && is_any(&together, &cx, &within) {
                        instead.extend(steps);
                    }
                }
            }
        }
        Ok(())
    })
}

/// The addresses for which the outcome can be another.
fn universe<'a>(cx: &Context<'_>, alone: &'a [Block], is_end_changed: bool) -> Set<'a> {
    let mut ranges = Ranges::new();
    if is_end_changed {
        return Set::All;
    }
    for block in alone {
        match cx.block(block, &Set::All, true) {
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
        // Nobody has one of the IPv6 addresses that stand for IPv4 ones.
        found.values_mut().for_each(|ranges| over(ranges, MAPPED));
        found.retain(|_, ranges| !ranges.is_empty());
    }
    found
}

/// The broadcast address. Where something is asked about addresses it reads as none, and nobody has it.
const BROADCAST: (u128, u128) = (u32::MAX as u128, u32::MAX as u128);

/// No client has one of these addresses, so they count as part of what is on both sides of them, and else as no part.
fn over(ranges: &mut Ranges, gap: (u128, u128)) {
    let without = difference(ranges, &[gap]);
    let is_below = without.iter().any(|r| r.1 == gap.0 - 1);
    let is_above = without.iter().any(|r| r.0 == gap.1 + 1) || gap == BROADCAST;
    *ranges = without;
    if is_below && is_above {
        ranges.push(gap);
        *ranges = normal(std::mem::take(ranges));
    }
}
