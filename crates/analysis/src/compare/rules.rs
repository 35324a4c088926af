//! The rules of both sides, with equal lists and equal options numbered alike.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Incomparable;
use super::hosts::{FileTexts, read_files};
use super::outcome::{Outcomes, Step};
use super::places::Places;
use crate::document::Documents;
use crate::document::{Content, Document, List, Token, client_list, content};
use hosts_access::source::Ending;
use hosts_access::syntax::fields;
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern};
use hosts_access::{TableKind, options};

/// A rule, its lists and what it does by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) table: TableKind,
    pub(super) daemons: u32,
    pub(super) clients: u32,
    /// The lists of its `if` options.
    pub(super) conditions: u32,
    pub(super) step: u32,
    /// What it does where it is not known whether it matches; nothing where it is passed over.
    pub(super) doubt: Option<u32>,
}

/// The rules of one side that can be reached, in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct OneSide {
    pub(super) rules: Vec<Rule>,
    /// The deny table cannot be read to its end: what no rule decides is denied.
    pub(super) is_broken: bool,
    /// Of each rule, its table and the number of its entry there.
    pub(super) places: Vec<(TableKind, usize)>,
}

/// Lists by number.
pub(super) struct Lists<'t> {
    pub(super) daemons: Vec<List<'t, DaemonPattern<'t>>>,
    daemon_numbers: HashMap<&'t [u8], u32>,
    pub(super) clients: Vec<List<'t, ClientPattern<'t>>>,
    client_numbers: HashMap<&'t [u8], u32>,
    /// Client lists that must all match, by number; the first is of none.
    pub(super) conditions: Vec<Vec<u32>>,
    condition_numbers: HashMap<Vec<u32>, u32>,
    /// Where addresses are, as far as that is given.
    pub(super) places: &'t Places,
}

/// A logical line, and the client lists of its `if` options.
pub(super) struct Line<'d> {
    text: Cow<'d, [u8]>,
    conditions: Vec<Vec<u8>>,
}

/// The logical lines of the tables of one side.
pub(super) type Lines<'d> = Vec<(TableKind, &'d Document, Vec<Line<'d>>)>;

pub(super) fn lines(tables: Documents<'_>) -> Lines<'_> {
    let lines = tables.iter().map(|(table, document)| {
        let lines = document.entries.iter().map(|entry| {
            let text = document.line(entry);
            let options = fields(&text)
                .and_then(|fields| fields.options)
                .unwrap_or_default();
            let conditions = options::conditions(options).map(Cow::into_owned).collect();
            Line { text, conditions }
        });
        (table, document, lines.collect())
    });
    lines.collect()
}

impl<'t> Lists<'t> {
    pub(super) fn new(places: &'t Places) -> Self {
        Lists {
            daemons: Vec::new(),
            daemon_numbers: HashMap::new(),
            clients: Vec::new(),
            client_numbers: HashMap::new(),
            conditions: vec![Vec::new()],
            condition_numbers: HashMap::from([(Vec::new(), 0)]),
            places,
        }
    }

    /// Reads the rules of one side. Those on trial decide nothing, and are none.
    pub(super) fn read(&mut self, lines: &'t Lines<'_>, outcomes: &mut Outcomes) -> OneSide {
        let mut side = OneSide::default();
        for (table, document, lines) in lines {
            for (at, (entry, line)) in document.entries.iter().zip(lines).enumerate() {
                if entry.ending != Ending::Newline {
                    side.is_broken |= *table == TableKind::Deny;
                    break;
                }
                let text = &line.text;
                let Content::Rule(rule) = content(text) else {
                    continue;
                };
                let options = fields(text).and_then(|fields| fields.options);
                let Some(step) = Step::of(&rule, options, *table) else {
                    continue;
                };
                let next = self.daemons.len() as u32;
                let daemons = *self
                    .daemon_numbers
                    .entry(text[rule.daemons.span.clone()].trim_ascii())
                    .or_insert_with(|| {
                        self.daemons.push(rule.daemons);
                        next
                    });
                let may_be_in_doubt = !line.conditions.is_empty() || may_be_in_doubt(&rule.clients);
                let clients = self.client_list(text[rule.clients.span.clone()].trim_ascii(), || rule.clients);
                let conditions = self.condition(&line.conditions);
                let doubt = may_be_in_doubt.then(|| step.in_doubt(options, *table)).flatten();
                side.places.push((*table, at));
                side.rules.push(Rule {
                    table: *table,
                    daemons,
                    clients,
                    conditions,
                    doubt: doubt.map(|doubt| outcomes.step(doubt)),
                    step: outcomes.step(step),
                });
            }
        }
        side
    }

    fn client_list(&mut self, text: &'t [u8], list: impl FnOnce() -> ClientList<'t>) -> u32 {
        let next = self.clients.len() as u32;
        *self.client_numbers.entry(text).or_insert_with(|| {
            self.clients.push(list());
            next
        })
    }

    /// The number of lists that must all match.
    fn condition(&mut self, texts: &'t [Vec<u8>]) -> u32 {
        if texts.is_empty() {
            return 0;
        }
        let mut lists: Vec<u32> = texts
            .iter()
            .map(|text| self.client_list(text.trim_ascii(), || client_list(text)))
            .collect();
        lists.sort_unstable();
        lists.dedup();
        let next = self.conditions.len() as u32;
        *self.condition_numbers.entry(lists).or_insert_with_key(|lists| {
            self.conditions.push(lists.clone());
            next
        })
    }

    /// The client lists of a rule, all of which must match.
    pub(super) fn clients_of(&self, rule: Rule) -> impl Iterator<Item = &ClientList<'t>> {
        let conditions = &self.conditions[rule.conditions as usize];
        let lists = std::iter::once(rule.clients).chain(conditions.iter().copied());
        lists.map(|list| &self.clients[list as usize])
    }

    /// Every host that the lists name, of clients and servers.
    fn hosts(&self) -> impl Iterator<Item = HostPattern<'t>> {
        let clients = self.clients.iter();
        let clients = clients.flat_map(|list| list.tokens().map(|t| t.pattern.host));
        let servers = self.daemons.iter();
        clients.chain(servers.flat_map(|list| list.tokens().filter_map(|t| t.pattern.host)))
    }

    /// The files that patterns name, with those that these name.
    pub(super) fn files(&self) -> Result<FileTexts, Incomparable> {
        let mut files = FileTexts::new();
        for host in self.hosts() {
            if let HostPattern::File(path) = host {
                read_files(path, &mut files)?;
            }
        }
        Ok(files)
    }
}

type ClientList<'t> = List<'t, ClientPattern<'t>>;

/// May it not be known whether the list matches? A file may hold anything.
pub(super) fn may_be_in_doubt(list: &ClientList<'_>) -> bool {
    let mut hosts = list.tokens().map(|token| token.pattern.host);
    hosts.any(|host| matches!(host, HostPattern::Brace(_) | HostPattern::File(_)))
}

/// Does a list match, given which of its tokens do? As [`list_matches`](hosts_access::syntax::list::list_matches).
pub(super) fn list_holds<P>(list: &List<'_, P>, mut matches: impl FnMut(&Token<'_, P>) -> bool) -> bool {
    let parts = list.parts.iter().map(|part| part.iter().any(&mut matches));
    let held = parts.take_while(|holds| *holds).count();
    held % 2 == 1
}

/// Boxes of numbers: for each axis the numbers it spans.
pub(super) type Box_ = Vec<Vec<u32>>;

/// Joins boxes that differ along one axis only, until none do.
pub(super) fn joined(mut boxes: Vec<Box_>) -> Vec<Box_> {
    let Some(axes) = boxes.first().map(Vec::len) else {
        return boxes;
    };
    loop {
        let before = boxes.len();
        for axis in 0..axes {
            let mut by_others: HashMap<Box_, usize> = HashMap::new();
            let mut kept: Vec<Box_> = Vec::new();
            for mut one in boxes {
                let along = std::mem::take(&mut one[axis]);
                match by_others.get(&one) {
                    Some(at) => kept[*at][axis].extend(along),
                    None => {
                        by_others.insert(one.clone(), kept.len());
                        one[axis] = along;
                        kept.push(one);
                    }
                }
            }
            for one in &mut kept {
                one[axis].sort_unstable();
                one[axis].dedup();
            }
            boxes = kept;
        }
        if boxes.len() == before {
            return boxes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_joined() {
        let boxes = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)];
        let boxes = boxes.iter().map(|(a, b)| vec![vec![*a], vec![*b]]).collect();
        assert_eq!(joined(boxes).len(), 2);
    }
}
