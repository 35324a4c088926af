//! A rule with a long client list, of which only the tokens that could match are tried.

use std::ops::Range;
use std::sync::Arc;

use super::tokens::TokenIndex;
use crate::matching::{Match, Matching, client_matches};
use crate::request::{Pending, Request, Side};
use crate::room::{self, Room};
use crate::source::{Ending, Line};
use crate::syntax::Fields;
use crate::syntax::list::{Parts, is_except, tokens};
use crate::syntax::pattern::ClientPattern;

/// So many bytes of clients are read as soon as they are looked up.
const SHORTEST: usize = 1024;

/// Such a rule, with its line as it is once joined.
#[derive(Debug)]
pub(crate) struct LongRule {
    text: Arc<[u8]>,
    first: u32,
    last: u32,
    offset: usize,
    daemons: Range<usize>,
    clients: Range<usize>,
    options: Option<Range<usize>>,
    /// What stands before, between and behind the `EXCEPT`s.
    parts: Vec<TokenIndex>,
}

impl LongRule {
    /// Does a client list need this?
    pub(super) fn is_long(clients: &[u8]) -> bool {
        clients.len() >= SHORTEST
    }

    /// Reads a rule. Nothing where there is no memory for it.
    pub(super) fn new(line: &Line<'_>, fields: &Fields<'_>) -> Option<Self> {
        let range = |field: &[u8]| {
            let start = field.as_ptr() as usize - line.text.as_ptr() as usize;
            start..start + field.len()
        };
        let mut parts = Vec::new();
        let mut rest = tokens(fields.clients);
        let mut has_more = true;
        while has_more {
            has_more = false;
            let part = rest.by_ref().take_while(|token| {
                has_more = is_except(token);
                !has_more
            });
            // `as`: tables with an index are not longer.
            let offset = |token: &[u8]| (token.as_ptr() as usize - fields.clients.as_ptr() as usize) as u32;
            parts.put(TokenIndex::new(
                part.map(|token| (offset(token), ClientPattern::parse(token).host)),
            )?)?;
        }
        Some(LongRule {
            text: room::has(line.text.len()).then(|| Arc::from(line.text))?,
            first: line.first,
            last: line.last,
            offset: line.offset,
            daemons: range(fields.daemons),
            clients: range(fields.clients),
            options: fields.options.map(range),
            parts,
        })
    }

    /// Its text.
    pub(crate) fn text(&self) -> &Arc<[u8]> {
        &self.text
    }

    /// Its line.
    pub(crate) fn line(&self) -> Line<'_> {
        Line {
            text: &self.text,
            first: self.first,
            last: self.last,
            offset: self.offset,
            ending: Ending::Newline,
        }
    }

    /// The fields of its line.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields {
            daemons: &self.text[self.daemons.clone()],
            clients: &self.text[self.clients.clone()],
            options: self.options.clone().map(|options| &self.text[options]),
        }
    }

    /// Does its client list match?
    pub(crate) fn clients_match(
        &self,
        request: &mut Request,
        with: &mut impl Matching,
    ) -> Result<Match, Pending> {
        let clients = &self.text[self.clients.clone()];
        let mut parts = Parts::new();
        for part in &self.parts {
            let mut candidates = part.candidates(Side::Client);
            let mut matched = Match::No;
            while matched != Match::Yes
                && let Some(at) = candidates.next(request)?
                && let Some(token) = tokens(&clients[at..]).next()
            {
                matched = matched.or(client_matches(token, request, with)?);
            }
            if let Some(answer) = parts.take(matched) {
                return Ok(answer);
            }
        }
        Ok(parts.end())
    }
}
