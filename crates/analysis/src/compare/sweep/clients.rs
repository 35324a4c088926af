//! Rules made ready, and the classes of clients, their addresses aside, that the rules tell apart.

use std::collections::HashMap;

use super::sequence::{Block, Context, Union};
use crate::compare::Incomparable;
use crate::compare::daemons::{MOST_GROUPS, MOST_WAYS, all_ways};
use crate::compare::facts::Facts;
use crate::compare::family::Family;
use crate::compare::hosts::{FileTexts, Hosts, Shared, Within};
use crate::compare::outcome::Outcomes;
use crate::compare::rules::{Box_, Lists, Rule, may_be_in_doubt};
use crate::compare::spelling::{Together, Ways};
use crate::compare::strings::{self, Atom, Classes, Kind};
use crate::document::Token;
use hosts_access::syntax::pattern::{ClientPattern, StringPattern};
use hosts_access::{Match, Side};

/// Makes rules ready.
pub(super) struct Compiler<'a, 't> {
    lists: &'a Lists<'t>,
    files: &'t FileTexts,
    shared: Shared<'t>,
    users: Vec<(Atom<'t>, u32)>,
    user_numbers: HashMap<Vec<u8>, u32>,
}

impl<'a, 't> Compiler<'a, 't> {
    /// With nothing of the rules read yet.
    pub(super) fn new(lists: &'a Lists<'t>, files: &'t FileTexts) -> Self {
        Compiler {
            lists,
            files,
            shared: Shared::new(Side::Client, lists.places),
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

    pub(super) fn blocks(
        &mut self,
        rules: impl Iterator<Item = Rule>,
        outcomes: Option<&Outcomes>,
    ) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for rule in rules {
            let lists = self.lists;
            let is_alone = rule.conditions == 0;
            let list = &lists.clients[rule.clients as usize];
            let may_be_in_doubt = lists.clients_of(rule).any(may_be_in_doubt);
            if let [tokens] = &list.parts[..]
                && is_alone
                && let Some(last) = blocks.last_mut()
                && let [parts] = &mut last.lists[..]
                && let [union] = &mut parts[..]
                // Without outcomes, it does not matter what a rule does.
                && outcomes.is_none_or(|outcomes| {
                    (last.table, last.step) == (rule.table, rule.step)
                        && !outcomes.may_fail(rule.step)
                        && !last.may_be_in_doubt
                        && !may_be_in_doubt
                })
            {
                for token in tokens {
                    self.token(union, token);
                }
                continue;
            }
            let lists = lists.clients_of(rule).map(|list| {
                let parts = list.parts.iter().map(|tokens| {
                    let mut union = Union::default();
                    for token in tokens {
                        self.token(&mut union, token);
                    }
                    union
                });
                parts.collect()
            });
            blocks.push(Block {
                table: rule.table,
                lists: lists.collect(),
                step: rule.step,
                doubt: rule.doubt,
                may_be_in_doubt,
            });
        }
        let parts = blocks.iter_mut().flat_map(|block| &mut block.lists);
        for union in parts.flatten() {
            union.hosts.finish();
            union.with_user.values_mut().for_each(Hosts::finish);
        }
        blocks
    }
}

/// What clients are told apart by, beside their addresses.
pub(super) struct ClientClasses<'t> {
    pub(super) names: Classes,
    pub(super) users: Classes,
    pub(super) shared: Shared<'t>,
    pub(super) user_count: usize,
    pub(super) groups: Vec<Vec<bool>>,
    pub(super) facts: Facts,
    /// In which ways it is answered what is asked besides, with what comes of that.
    pub(super) answers: Vec<(Vec<u32>, [Vec<Match>; 2])>,
    /// The ways in which the spellings can hold.
    pub(super) ways: Vec<(Family, Vec<Vec<bool>>)>,
    #[cfg(test)]
    pub(super) user_atoms: Vec<(Atom<'t>, u32)>,
}

impl<'t> Compiler<'_, 't> {
    pub(super) fn classes(self, kept: &mut Ways) -> Result<ClientClasses<'t>, Incomparable> {
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
                Family::V4 | Family::V6 => together
                    .ways(family, MOST_WAYS, kept)
                    .ok_or(Incomparable::TooManySpellings)?,
            };
            ways.push((family, of_family));
        }
        drop(together);
        let facts = Facts::new(&shared.asks)?;
        let answers = facts.ways().into_iter().map(|way| {
            let holds = facts.holds(&way);
            (way, holds)
        });
        Ok(ClientClasses {
            groups: all_ways(shared.groups.len()),
            answers: answers.collect(),
            facts,
            names: strings::classes(&shared.names, Kind::Hosts)?,
            users: strings::classes(&user_atoms, Kind::Users)?,
            user_count: user_numbers.len(),
            shared,
            ways,
            #[cfg(test)]
            user_atoms,
        })
    }
}

/// One way to be a client, the address aside.
pub(super) struct Combination<'a> {
    pub(super) name: u32,
    pub(super) user: u32,
    pub(super) names: &'a [bool],
    pub(super) users: &'a [bool],
    pub(super) groups: &'a [bool],
    pub(super) answers: &'a [u32],
    /// What comes of what is asked, with an address and without.
    pub(super) asked: &'a [Vec<Match>; 2],
}

impl Combination<'_> {
    /// Itself as a box, with all the answers that count.
    pub(super) fn boxed(&self, answers: Vec<Vec<u32>>) -> Box_ {
        let mut one = vec![vec![self.name], vec![self.user]];
        one.extend(self.groups.iter().map(|holds| vec![u32::from(*holds)]));
        one.extend(answers);
        one
    }
}

impl ClientClasses<'_> {
    /// Visits every combination of classes, until an error.
    pub(super) fn each<E>(&self, mut visit: impl FnMut(&Combination<'_>) -> Result<(), E>) -> Result<(), E> {
        for (name, class) in (0..).zip(self.names.iter()) {
            let names = bits(&class.tags, self.shared.tag_count());
            for (user, class) in (0..).zip(self.users.iter()) {
                let users = bits(&class.tags, self.user_count);
                for groups in &self.groups {
                    for (answers, asked) in &self.answers {
                        visit(&Combination {
                            name,
                            user,
                            names: &names,
                            users: &users,
                            groups,
                            answers,
                            asked,
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What a client can be, in each family, given one of the combinations. Without an address, combinations that are
    /// alike are met once.
    pub(super) fn contexts<'c>(&'c self, one: &'c Combination<'_>) -> impl Iterator<Item = Context<'c>> {
        let is_first = self.facts.is_first(one.answers);
        let families = self.ways.iter();
        let families = families.filter(move |(family, _)| *family != Family::Unknown || is_first);
        families.flat_map(move |(family, ways)| {
            ways.iter().map(move |way| Context {
                family: *family,
                names: one.names,
                users: one.users,
                groups: one.groups,
                asked: &one.asked[usize::from(*family == Family::Unknown)],
                way,
            })
        })
    }

    /// Refuses what would take too long, so many blocks of rules having to be looked at for each context.
    pub(super) fn is_feasible(&self, blocks: usize) -> Result<(), Incomparable> {
        match self.answers.len() > 1 && self.count().saturating_mul(blocks) > MOST_WORK {
            true => Err(Incomparable::TooManyAnswers),
            false => Ok(()),
        }
    }

    /// How many contexts there are.
    pub(super) fn count(&self) -> usize {
        let ways: usize = self.ways.iter().map(|(_, ways)| ways.len()).sum();
        [self.users.len(), self.groups.len(), self.answers.len(), ways]
            .into_iter()
            .fold(self.names.len(), usize::saturating_mul)
    }
}

/// So much work may it be at most where answers are told apart: blocks of rules, each as often as clients are.
const MOST_WORK: usize = 20_000_000;

fn bits(tags: &[u32], count: usize) -> Vec<bool> {
    let mut bits = vec![false; count];
    tags.iter().for_each(|tag| bits[*tag as usize] = true);
    bits
}
