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
#[cfg(test)]
use super::facts::Asks;
use super::facts::{Facts, Question};
use super::family::{Family, MAPPED};
use super::hosts::{FileTexts, Hosts, Shared, Within};
use super::outcome::Outcomes;
use super::ranges::{HOLE, Map, Ranges, difference, intersection, normal};
use super::rules::{Box_, Lists, Rule, joined, may_be_in_doubt};
use super::spelling::{Spelling, Together, Ways};
use super::strings::{self, Atom, Classes, Kind};
use crate::document::Token;
use hosts_access::decision::{TableKind, Verdict};
use hosts_access::syntax::pattern::{ClientPattern, StringPattern};
use hosts_access::{Found, Match, Side};

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
    /// Lists of clients, all of which must match; each by its parts between the `EXCEPT`s.
    lists: Vec<Vec<Union>>,
    step: u32,
    /// What follows where it is not known whether they match, if that can be and matters.
    doubt: Option<u32>,
    may_be_in_doubt: bool,
}

/// The addresses a set of tokens matches under a given context.
#[derive(Clone)]
enum Set<'a> {
    All,
    Ranges(Cow<'a, [(u128, u128)]>),
}

impl Set<'_> {
    fn is_empty(&self) -> bool {
        matches!(self, Set::Ranges(ranges) if ranges.is_empty())
    }
}

/// What is known of a client beside its address.
#[derive(Clone, Copy)]
struct Context<'a> {
    family: Family,
    names: &'a [bool],
    users: &'a [bool],
    groups: &'a [bool],
    /// What comes of what is asked besides.
    asked: &'a [Match],
    way: &'a [bool],
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
    fn block<'b>(&self, block: &'b Block, universe: &Set<'_>, may: bool) -> Set<'b> {
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
struct Sequence {
    blocks: Vec<Block>,
    is_broken: bool,
}

impl Sequence {
    /// What becomes of each address of the family, within the universe.
    fn outcomes(&self, cx: &Context<'_>, universe: &Set<'_>, outcomes: &mut Outcomes) -> Map {
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

    fn blocks(&mut self, rules: impl Iterator<Item = Rule>, outcomes: Option<&Outcomes>) -> Vec<Block> {
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
struct ClientClasses<'t> {
    names: Classes,
    users: Classes,
    shared: Shared<'t>,
    user_count: usize,
    groups: Vec<Vec<bool>>,
    facts: Facts,
    /// In which ways it is answered what is asked besides, with what comes of that.
    answers: Vec<(Vec<u32>, [Vec<Match>; 2])>,
    /// The ways in which the spellings can hold.
    ways: Vec<(Family, Vec<Vec<bool>>)>,
    #[cfg(test)]
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
struct Combination<'a> {
    name: u32,
    user: u32,
    names: &'a [bool],
    users: &'a [bool],
    groups: &'a [bool],
    answers: &'a [u32],
    /// What comes of what is asked, with an address and without.
    asked: &'a [Vec<Match>; 2],
}

impl Combination<'_> {
    /// Itself as a box, with all the answers that count.
    fn boxed(&self, answers: Vec<Vec<u32>>) -> Box_ {
        let mut one = vec![vec![self.name], vec![self.user]];
        one.extend(self.groups.iter().map(|holds| vec![u32::from(*holds)]));
        one.extend(answers);
        one
    }
}

impl ClientClasses<'_> {
    /// Visits every combination of classes, until an error.
    fn each<E>(&self, mut visit: impl FnMut(&Combination<'_>) -> Result<(), E>) -> Result<(), E> {
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
    fn contexts<'c>(&'c self, one: &'c Combination<'_>) -> impl Iterator<Item = Context<'c>> {
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
    fn is_feasible(&self, blocks: usize) -> Result<(), Incomparable> {
        match self.answers.len() > 1 && self.count().saturating_mul(blocks) > MOST_WORK {
            true => Err(Incomparable::TooManyAnswers),
            false => Ok(()),
        }
    }

    /// How many contexts there are.
    fn count(&self) -> usize {
        let ways: usize = self.ways.iter().map(|(_, ways)| ways.len()).sum();
        [self.users.len(), self.groups.len(), self.answers.len(), ways]
            .into_iter()
            .fold(self.names.len(), usize::saturating_mul)
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

/// What comes to be banned, or is not any more.
#[derive(Clone, Copy)]
pub(super) struct Banned<'a> {
    /// Addresses of IPv4 and of IPv6.
    pub(super) within: &'a [Ranges; 2],
    /// They are banned afterwards.
    pub(super) are_banned: bool,
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
pub(super) fn sweep_bans<'t>(
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
pub(super) fn let_in<'t>(
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

/// So much work may it be at most where answers are told apart: blocks of rules, each as often as clients are.
const MOST_WORK: usize = 20_000_000;

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
