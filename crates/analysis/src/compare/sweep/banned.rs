//! For one way of being asked: what changes with the answer to `{banned}`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::clients::Compiler;
use super::sequence::{Context, Sequence, Set};
use super::{Changes, Part, Swept, changed, is_any, part};
use crate::compare::Incomparable;
use crate::compare::family::Family;
use crate::compare::hosts::FileTexts;
use crate::compare::outcome::Outcomes;
use crate::compare::ranges::{Ranges, intersection};
use crate::compare::rules::{Lists, Rule};
use crate::compare::spelling::{Together, Ways};
use hosts_access::Found;

/// What comes to be banned, or is not any more.
#[derive(Clone, Copy)]
pub(in crate::compare) struct Banned<'a> {
    /// Addresses of IPv4 and of IPv6.
    pub(in crate::compare) within: &'a [Ranges; 2],
    /// They are banned afterwards.
    pub(in crate::compare) are_banned: bool,
}

impl Banned<'_> {
    /// The addresses it is about, of this family.
    fn universe(&self, family: Family) -> Set<'_> {
        Set::Ranges(Cow::Borrowed(match family {
            Family::V4 => &self.within[0],
            Family::V6 => &self.within[1],
            Family::Unknown => &[],
        }))
    }
}

/// Finds the clients for whom a sequence of rules ends differently, being banned and not. Nothing, where no rule asks.
pub(in crate::compare) fn sweep_bans<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
    (rules, is_broken): (&[Rule], bool),
    banned: Banned<'_>,
    outcomes: &mut Outcomes,
    kept: &mut Ways,
) -> Result<Option<Swept<'t>>, Incomparable> {
    let mut compiler = Compiler::new(lists, files);
    let sequence = Sequence {
        blocks: compiler.blocks(rules.iter().copied(), Some(outcomes)),
        is_broken,
    };
    let classes = compiler.classes(kept)?;
    let Some(bans) = classes.facts.bans() else {
        return Ok(None);
    };
    classes.is_feasible(sequence.blocks.len())?;
    let class = |are: bool| classes.facts.questions[bans].class_of(&Found::from(are));
    let together = Together::new(classes.shared.spellings.iter().collect());
    let mut found = Changes::default();
    classes.each(|one| {
        if Some(one.answers[bans]) != class(banned.are_banned) {
            return Ok(());
        }
        let mut before = one.answers.to_vec();
        before[bans] = class(!banned.are_banned).unwrap_or_default();
        let [before, _] = classes.facts.holds(&before);
        let mut parts: BTreeMap<(u32, u32), Vec<Part>> = BTreeMap::new();
        for cx in classes.contexts(one) {
            let universe = banned.universe(cx.family);
            if universe.is_empty() {
                continue;
            }
            let new = sequence.outcomes(&cx, &universe, outcomes);
            let old = Context { asked: &before, ..cx };
            let old = sequence.outcomes(&old, &universe, outcomes);
            for (pair, ranges) in changed(&old, &new, &universe, cx.family) {
                if let Some(part) = part(&together, &cx, ranges) {
                    parts.entry(pair).or_default().push(part);
                }
            }
        }
        for ((old, new), parts) in parts {
            let mut answers: Vec<Vec<u32>> = one.answers.iter().map(|answer| vec![*answer]).collect();
            // That they are banned is what is asked.
            answers[bans] = (0..classes.facts.questions[bans].classes.len() as u32).collect();
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

/// Finds the steps by which some of these are let in, being banned or not any more.
pub(in crate::compare) fn let_in<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
    (rules, is_broken): (&[Rule], bool),
    banned: Banned<'_>,
    outcomes: &mut Outcomes,
    kept: &mut Ways,
) -> Result<HashSet<u32>, Incomparable> {
    let mut compiler = Compiler::new(lists, files);
    let sequence = Sequence {
        blocks: compiler.blocks(rules.iter().copied(), Some(outcomes)),
        is_broken,
    };
    let classes = compiler.classes(kept)?;
    classes.is_feasible(sequence.blocks.len())?;
    let bans = classes.facts.bans().map(|bans| {
        let question = &classes.facts.questions[bans];
        (bans, question.class_of(&Found::from(banned.are_banned)))
    });
    let together = Together::new(classes.shared.spellings.iter().collect());
    let mut steps = HashSet::new();
    classes.each(|one| {
        if bans.is_some_and(|(bans, class)| Some(one.answers[bans]) != class) {
            return Ok(());
        }
        for cx in classes.contexts(one) {
            let universe = banned.universe(cx.family);
            if universe.is_empty() {
                continue;
            }
            let map = sequence.outcomes(&cx, &universe, outcomes);
            for (low, high, outcome) in map.runs(cx.family.highest()) {
                let within = match &universe {
                    Set::All => vec![(low, high)],
                    Set::Ranges(ranges) => intersection(ranges, &[(low, high)]),
                };
                let granting = outcomes.granting(outcome);
                if granting.is_some_and(|step| !steps.contains(&step)) && is_any(&together, &cx, &within) {
                    steps.extend(granting);
                }
            }
        }
        Ok::<(), Incomparable>(())
    })?;
    Ok(steps)
}
