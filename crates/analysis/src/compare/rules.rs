//! The rules of both sides, with equal lists and equal options numbered alike.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Incomparable;
use super::hosts::{FileTexts, read_files};
use super::outcome::{Outcomes, Step};
use crate::document::Documents;
use crate::document::{Content, Document, List, Token, content};
use hosts_access::TableKind;
use hosts_access::source::Ending;
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern};

/// A rule, its lists and what it does by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) table: TableKind,
    pub(super) daemons: u32,
    pub(super) clients: u32,
    pub(super) step: u32,
}

/// The rules of one side that can be reached, in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct OneSide {
    pub(super) rules: Vec<Rule>,
    /// The deny table cannot be read to its end: what no rule decides is denied.
    pub(super) is_broken: bool,
}

/// Lists by number.
pub(super) struct Lists<'t> {
    pub(super) daemons: Vec<List<'t, DaemonPattern<'t>>>,
    daemon_numbers: HashMap<&'t [u8], u32>,
    pub(super) clients: Vec<List<'t, ClientPattern<'t>>>,
    client_numbers: HashMap<&'t [u8], u32>,
    /// Some option asks what the tables do not say.
    asks: bool,
}

/// The logical lines of the tables of one side.
pub(super) type Lines<'d> = Vec<(TableKind, &'d Document, Vec<Cow<'d, [u8]>>)>;

pub(super) fn lines(tables: Documents<'_>) -> Lines<'_> {
    let lines = tables.iter().map(|(table, document)| {
        let entries = document.entries.iter();
        (
            table,
            document,
            entries.map(|entry| document.line(entry)).collect(),
        )
    });
    lines.collect()
}

impl<'t> Lists<'t> {
    pub(super) fn new() -> Self {
        Lists {
            daemons: Vec::new(),
            daemon_numbers: HashMap::new(),
            clients: Vec::new(),
            client_numbers: HashMap::new(),
            asks: false,
        }
    }

    /// Reads the rules of one side.
    pub(super) fn read(&mut self, lines: &'t Lines<'_>, outcomes: &mut Outcomes) -> OneSide {
        let mut side = OneSide::default();
        for (table, document, lines) in lines {
            for (entry, line) in document.entries.iter().zip(lines) {
                if entry.ending != Ending::Newline {
                    side.is_broken |= *table == TableKind::Deny;
                    break;
                }
                let Content::Rule(rule) = content(line) else {
                    continue;
                };
                let mut keywords = rule.options.iter().filter_map(|option| option.keyword);
                self.asks |= keywords.any(Keyword::is_addition);
                let step = outcomes.step(Step::of(&rule, *table));
                let next = self.daemons.len() as u32;
                let daemons = *self
                    .daemon_numbers
                    .entry(line[rule.daemons.span.clone()].trim_ascii())
                    .or_insert_with(|| {
                        self.daemons.push(rule.daemons);
                        next
                    });
                let next = self.clients.len() as u32;
                let clients = *self
                    .client_numbers
                    .entry(line[rule.clients.span.clone()].trim_ascii())
                    .or_insert_with(|| {
                        self.clients.push(rule.clients);
                        next
                    });
                side.rules.push(Rule {
                    table: *table,
                    daemons,
                    clients,
                    step,
                });
            }
        }
        side
    }

    /// Every host that the lists name, of clients and servers.
    fn hosts(&self) -> impl Iterator<Item = HostPattern<'t>> {
        let clients = self.clients.iter();
        let clients = clients.flat_map(|list| list.tokens().map(|t| t.pattern.host));
        let servers = self.daemons.iter();
        clients.chain(servers.flat_map(|list| list.tokens().filter_map(|t| t.pattern.host)))
    }

    /// Refuses lists and options that ask what the tables do not say: no set of requests can be told for these.
    pub(super) fn ask_nothing(&self) -> Result<(), Incomparable> {
        let in_braces = |host: HostPattern<'_>| matches!(host, HostPattern::Brace(_));
        if self.asks || self.hosts().any(in_braces) {
            return Err(Incomparable::Asks);
        }
        Ok(())
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
