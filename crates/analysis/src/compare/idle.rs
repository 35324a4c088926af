//! Rules that decide nothing: the same computation as of differences, of one policy, with each rule told apart.

use std::collections::{BTreeMap, BTreeSet};

use super::daemons;
use super::hosts::FileTexts;
use super::outcome::Outcomes;
use super::rules::{Lists, Rule, lines};
use super::sweep::{Deciding, deciding};
use super::{Incomparable, Ways};
use crate::document::{Content, Documents, content};
use hosts_access::TableKind;
use hosts_access::source::Ending;
use hosts_access::syntax::pattern::{Service, StringPattern};

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
    let mut lists = Lists::new();
    let mut side = lists.read(&lines, &mut outcomes);
    lists.ask_nothing()?;
    // A program that gives no name is called `unknown`, which the comparison takes for no daemon's name. Only this
    // pattern tells it from the others.
    let mut daemons = lists.daemons.iter().flat_map(|list| list.tokens());
    if daemons.any(|token| token.pattern.service == Service::Name(StringPattern::Known)) {
        return Ok(Vec::new());
    }
    if lists.daemons.len() > MOST_LISTS {
        return Err(Incomparable::TooManyDaemons);
    }
    let mut places = Vec::with_capacity(side.rules.len());
    for (table, document, lines) in &lines {
        let read = document
            .entries
            .iter()
            .take_while(|e| e.ending == Ending::Newline)
            .count();
        let rules = lines[..read].iter().enumerate();
        let rules = rules.filter(|(_, line)| matches!(content(line), Content::Rule(_)));
        places.extend(rules.map(|(at, _)| (*table, at)));
    }
    let mut rule_of: BTreeMap<u32, At> = BTreeMap::new();
    // Which of these there are depends on the machine's interfaces.
    let mut has_scope = BTreeSet::new();
    for (rule, place) in side.rules.iter_mut().zip(places) {
        rule.step = outcomes.own(rule.step);
        rule_of.insert(rule.step, place);
        let mut clients = lists.clients[rule.clients as usize].tokens();
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
            let mut holds = vec![false; lists.daemons.len()];
            asked.lists.iter().for_each(|list| holds[*list as usize] = true);
            let rules = side.rules.iter().filter(|rule| holds[rule.daemons as usize]);
            let rules: Vec<Rule> = rules.copied().collect();
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
            let is_idle = |step: &&u32| !found.steps.contains(step) && !has_scope.contains(step);
            let idle = rule_of.keys().filter(is_idle);
            found.instead_of = idle.map(|step| (*step, Default::default())).collect();
        }
    }
    let told = found.instead_of.iter().map(|(step, instead)| {
        let rules = instead.iter().filter_map(|step| rule_of.get(step).copied());
        (rule_of[step], rules.collect())
    });
    Ok(told.collect())
}
