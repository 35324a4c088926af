//! What a ban changes, or that it is taken back: the same tables under another answer to `{banned}`.

use std::collections::{BTreeMap, BTreeSet};

use super::confirm::Confirming;
use super::hosts::FileTexts;
use super::outcome::Outcomes;
use super::places::Places;
use super::ranges::{Ranges, difference, normal};
use super::rules::{Box_, Lists, Rule, lines};
use super::sweep::{Banned, let_in, sweep_bans};
use super::telling::{Telling, services};
use super::{Block, Comparison, Incomparable, Service, Ways, daemons, of_service};
use crate::document::Documents;
use hosts_access::TableKind;

/// What changes with the ban list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banning {
    /// What ends differently.
    pub comparison: Comparison,
    /// Some rule asks for bans.
    pub is_asked: bool,
    /// By what somebody from the networks is let in afterwards.
    pub let_in: Vec<LetIn>,
}

/// By what clients are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetIn {
    /// The rule's table, and the number of its entry there. Nothing where no rule matches.
    pub rule: Option<(TableKind, usize)>,
    /// For what.
    pub services: Vec<Service>,
}

/// What changes if all of `networks` but what is in `besides` comes to be banned, or is not banned any more.
///
/// # Errors
/// As [`compare`](super::compare).
///
/// ```
/// use analysis::compare::{Block, banning};
/// use analysis::document::{Document, Documents};
/// let allow = Document::new("hosts.allow", &b"ALL: {banned}: deny\nsshd: 192.0.2.0/24\n"[..]);
/// let deny = Document::new("hosts.deny", &b"ALL: ALL\n"[..]);
/// let tables = Documents { allow: Some(&allow), deny: Some(&deny) };
/// let network = Block { address: "192.0.2.0".parse()?, length: 30 };
/// let found = banning(tables, &[network], &[], true)?;
/// assert_eq!(found.comparison.differences[0].clients.addresses.parts[0].blocks, [network]);
/// assert!(found.let_in.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn banning(
    tables: Documents<'_>,
    networks: &[Block],
    besides: &[Block],
    are_banned: bool,
) -> Result<Banning, Incomparable> {
    let lines = lines(tables);
    let places = Places::default();
    let mut outcomes = Outcomes::default();
    let mut lists = Lists::new(&places);
    let side = lists.read(&lines, &mut outcomes);
    let files: FileTexts = lists.files()?;
    let (axes, asked) = daemons::asked(&lists, &files)?;
    let mut telling = Telling::new(&axes, &asked, &places, Some(Confirming::new([tables, tables])));
    telling.are_banned = Some(are_banned);
    let within = [false, true].map(|is_ipv6| {
        let of = |blocks: &[Block]| -> Ranges {
            let blocks = blocks.iter().filter(|block| block.address.is_ipv6() == is_ipv6);
            normal(blocks.map(Block::ends).collect())
        };
        difference(&of(networks), &of(besides))
    });
    let banned = Banned {
        within: &within,
        are_banned,
    };
    // The same rules, told apart from each other.
    let mut own = Outcomes::default();
    let mut rule_of = BTreeMap::new();
    let mut apart: Vec<Rule> = Vec::with_capacity(side.rules.len());
    for (rule, place) in side.rules.iter().zip(&side.places) {
        let mut rule = *rule;
        rule.step = own.own_of(&outcomes, rule.step);
        rule.doubt = rule.doubt.map(|step| own.own_of(&outcomes, step));
        rule_of.insert(rule.step, *place);
        apart.push(rule);
    }
    let mut is_asked = false;
    let mut by: BTreeMap<Option<u32>, Vec<Box_>> = BTreeMap::new();
    let mut kept = Ways::new();
    for (number, asked) in asked.iter().enumerate() {
        let rules = of_service(&lists, &side.rules, asked);
        match sweep_bans(
            &lists,
            &files,
            (&rules, side.is_broken),
            banned,
            &mut outcomes,
            &mut kept,
        ) {
            Ok(Some(swept)) => {
                is_asked = true;
                telling.add(number, &swept, &outcomes)?;
            }
            Ok(None) => {}
            Err(problem) => {
                telling.leave_out(number, problem);
                continue;
            }
        }
        let rules = of_service(&lists, &apart, asked);
        let steps: BTreeSet<Option<u32>> = let_in(
            &lists,
            &files,
            (&rules, side.is_broken),
            banned,
            &mut own,
            &mut kept,
        )?
        .into_iter()
        .map(|step| Some(step).filter(|step| rule_of.contains_key(step)))
        .collect();
        for step in steps {
            by.entry(step).or_default().extend_from_slice(&asked.boxes);
        }
    }
    let let_in = by.into_iter().map(|(step, boxes)| LetIn {
        rule: step.map(|step| rule_of[&step]),
        services: services(&axes, boxes),
    });
    Ok(Banning {
        let_in: let_in.collect(),
        is_asked,
        comparison: telling.finish(),
    })
}
