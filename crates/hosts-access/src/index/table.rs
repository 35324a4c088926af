//! A table made ready for many decisions: where its rules are, and which of them a request could match.

use super::builder::RulesBuilder;
use super::candidates::{Candidates, Shape};
use super::lists::Entry;
use super::long::LongRule;
use super::postings::Postings;
use crate::request::{Pending, Request, Side};
use crate::room::{Room, for_exactly};
use crate::source::{Ending, Line, Lines};
use crate::syntax::{Fields, LineKind, fields, line_kind};

/// Where a rule stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleAt {
    /// Byte offset in the text.
    pub(super) offset: u32,
    /// How many physical lines are above it.
    pub(super) lines_above: u32,
}

/// The index of one table. Its rules are numbered from 1.
#[derive(Debug)]
pub(crate) struct TableIndex {
    rules: Vec<RuleAt>,
    /// Those with long client lists, by their numbers.
    long: Vec<(u32, LongRule)>,
    shape: Shape,
    postings: Postings,
}

/// Where the rules of a table are, and which keys they are under; nothing where it is too large for 32-bit offsets,
/// or for the memory there is. `long` is told of rules with long client lists.
pub(super) fn entries(
    text: &[u8],
    mut long: impl FnMut(u32, &Line<'_>, &Fields<'_>) -> Option<()>,
) -> Option<(Vec<RuleAt>, Vec<Entry>, Shape)> {
    u32::try_from(text.len()).ok().filter(|n| *n < u32::MAX)?;
    let count = memchr::memchr_iter(b'\n', text).count();
    let mut rules = for_exactly(count)?;
    let mut build = RulesBuilder::default();
    build.reserve(count)?;
    let mut lines = Lines::new(text);
    loop {
        let (offset, lines_above) = lines.position();
        let Some(line) = lines.next() else { break };
        if line.ending == Ending::Newline && line_kind(line.text) != LineKind::Rule {
            continue;
        }
        // `as`: checked above.
        rules.put(RuleAt {
            offset: offset as u32,
            lines_above,
        })?;
        let fields = fields(line.text).filter(|_| line.ending == Ending::Newline);
        if let Some(fields) = fields.as_ref().filter(|f| LongRule::is_long(f.clients)) {
            long(rules.len() as u32, &line, fields)?;
        }
        build.add(fields.map(|f| (f.daemons, f.clients)))?;
        if line.ending != Ending::Newline {
            break;
        }
    }
    let (entries, shape) = build.finish()?;
    Some((rules, entries, shape))
}

impl TableIndex {
    /// Indexes a table; nothing where it is too large for 32-bit offsets, or for the memory there is.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let mut long = Vec::new();
        let (rules, entries, shape) = entries(text, |position, line, fields| {
            long.put((position, LongRule::new(line, fields)?))
        })?;
        Some(TableIndex {
            rules,
            long,
            shape,
            postings: Postings::new(&entries)?,
        })
    }

    /// Is there nothing to look at, as in a table of comments?
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that could match, from one of them on.
    pub(crate) fn candidates(&self, from: u32) -> RuleCandidates<'_> {
        RuleCandidates {
            index: self,
            candidates: Candidates::new(&self.postings, &self.shape, Side::Client, from),
        }
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.rules) + self.postings.bytes()
    }
}

/// See [`TableIndex::candidates`].
#[derive(Debug)]
pub(crate) struct RuleCandidates<'i> {
    index: &'i TableIndex,
    candidates: Candidates<'i, Postings>,
}

/// A rule that could match.
pub(crate) enum Candidate<'i, 't> {
    /// The lines of the table's text from there on.
    Lines(Lines<'t>),
    /// One with a long client list.
    Long(&'i LongRule),
}

impl<'i> RuleCandidates<'i> {
    /// The number of the next one, and what it is.
    #[inline]
    pub(crate) fn next<'t>(
        &mut self,
        text: &'t [u8],
        request: &mut Request,
    ) -> Result<Option<(u32, Candidate<'i, 't>)>, Pending> {
        let position = self.candidates.next(request)?;
        Ok(position.map(|position| (position, self.rule(position, text))))
    }

    #[inline]
    fn rule<'t>(&self, position: u32, text: &'t [u8]) -> Candidate<'i, 't> {
        if !self.index.long.is_empty()
            && let Ok(at) = self.index.long.binary_search_by_key(&position, |long| long.0)
        {
            return Candidate::Long(&self.index.long[at].1);
        }
        let rule = self.index.rules[position as usize - 1];
        Candidate::Lines(Lines::from(text, rule.offset as usize, rule.lines_above))
    }
}
