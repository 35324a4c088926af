//! A table made ready for many decisions: where its rules are, and which of them a request could match.

use super::builder::RulesBuilder;
use super::candidates::{Candidates, Shape};
use super::lists::Entry;
use super::postings::Postings;
use crate::request::{Pending, Request, Side};
use crate::room::{Room, for_exactly};
use crate::source::{Ending, Lines};
use crate::syntax::{LineKind, fields, line_kind};

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
    shape: Shape,
    postings: Postings,
}

/// Where the rules of a table are, and which keys they are under; nothing where it is too large for 32-bit offsets,
/// or for the memory there is.
pub(super) fn entries(text: &[u8]) -> Option<(Vec<RuleAt>, Vec<Entry>, Shape)> {
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
        let (rules, entries, shape) = entries(text)?;
        Some(TableIndex {
            rules,
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
            rules: &self.rules,
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
    rules: &'i [RuleAt],
    candidates: Candidates<'i, Postings>,
}

impl RuleCandidates<'_> {
    /// The number of the next one, and the lines of the table's text from there on.
    #[inline]
    pub(crate) fn next<'t>(
        &mut self,
        text: &'t [u8],
        request: &mut Request,
    ) -> Result<Option<(u32, Lines<'t>)>, Pending> {
        let position = self.candidates.next(request)?;
        Ok(position.map(|position| {
            let rule = self.rules[position as usize - 1];
            let lines = Lines::from(text, rule.offset as usize, rule.lines_above);
            (position, lines)
        }))
    }
}
