//! Rules that decide nothing: the same computation as of differences, of one policy, with each rule told apart.

use std::collections::{BTreeMap, BTreeSet};

use super::daemons;
use super::hosts::FileTexts;
use super::outcome::Outcomes;
use super::places::Places;
use super::rules::{Lists, Rule, lines};
use super::sweep::{Deciding, deciding};
use super::{Incomparable, Ways, of_service};
use crate::document::Documents;
use hosts_access::TableKind;

/// A rule's table, and the number of its entry there.
pub(crate) type At = (TableKind, usize);

/// More rules than this are not looked at, nor more daemon lists.
const MOST_RULES: usize = 4096;
const MOST_LISTS: usize = 128;
/// So much is looked at: rules, each as often as clients must be told apart.
const MOST_WORK: usize = 2_000_000;

/// The rules that decide no request that can be, each with those that decide what it matches. With no file read but
/// those given, a `/file` pattern may match anybody.
///
/// # Errors
/// Where there is too much to look at.
pub(crate) fn idle(
    tables: Documents<'_>,
    files: &FileTexts,
    kept: &mut Ways,
) -> Result<Vec<(At, Vec<At>)>, Incomparable> {
    let entries: usize = tables.iter().map(|(_, document)| document.entries.len()).sum();
    if entries > MOST_RULES {
        return Err(Incomparable::TooManyWildcards);
    }
    let lines = lines(tables);
    let mut outcomes = Outcomes::default();
    let places = Places::default();
    let mut lists = Lists::new(&places);
    let mut side = lists.read(&lines, &mut outcomes);
    if lists.daemons.len() > MOST_LISTS {
        return Err(Incomparable::TooManyDaemons);
    }
    let mut rule_of: BTreeMap<u32, At> = BTreeMap::new();
    // Which of these there are depends on the machine's interfaces.
    let mut has_scope = BTreeSet::new();
    for (rule, place) in side.rules.iter_mut().zip(std::mem::take(&mut side.places)) {
        rule.step = outcomes.own(rule.step);
        rule.doubt = rule.doubt.map(|step| outcomes.own(step));
        for step in std::iter::once(rule.step).chain(rule.doubt) {
            rule_of.insert(step, place);
        }
        let mut clients = lists.clients_of(*rule).flat_map(|list| list.tokens());
        let mut daemons = lists.daemons[rule.daemons as usize].tokens();
        if clients.any(|t| t.text.contains(&b'%')) || daemons.any(|t| t.text.contains(&b'%')) {
            has_scope.insert(rule.step);
        }
    }
    let (_, asked) = daemons::asked(&lists, files)?;
    let mut found = Deciding {
        work: MOST_WORK,
        ..Deciding::default()
    };
    // Once to find those that decide, and once, where some do not, for what decides instead of these.
    for round in 0..2 {
        for asked in &asked {
            let rules = of_service(&lists, &side.rules, asked);
            let has_wanted = rules.iter().any(|rule| found.instead_of.contains_key(&rule.step));
            if round == 0 || has_wanted {
                deciding(
                    &lists,
                    files,
                    (&rules, side.is_broken),
                    &mut outcomes,
                    kept,
                    &mut found,
                )?;
            }
        }
        if round == 0 {
            let is_idle = |rule: &&Rule| {
                let mut steps = std::iter::once(rule.step).chain(rule.doubt);
                !steps.any(|step| found.steps.contains(&step)) && !has_scope.contains(&rule.step)
            };
            let idle = side.rules.iter().filter(is_idle);
            found.instead_of = idle.map(|rule| (rule.step, Default::default())).collect();
        }
    }
    let told = found.instead_of.iter().map(|(step, instead)| {
        let mut rules: Vec<At> = instead
            .iter()
            .filter_map(|step| rule_of.get(step).copied())
            .collect();
        // A rule's two steps stand together.
        rules.dedup();
        (rule_of[step], rules)
    });
    Ok(told.collect())
}
