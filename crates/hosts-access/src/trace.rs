//! Listening to a decision: which rules and tokens are tried, and what becomes of them.

use std::path::Path;
use std::sync::Arc;

use crate::decision::TableKind;
use crate::matching::Match;
use crate::source::Line;

/// Follows a decision rule by rule and token by token.
pub trait Trace {
    /// May rules that cannot matter be passed over without being told of?
    const PASSES_OVER: bool = false;

    /// A rule is looked at next.
    fn rule(&mut self, _table: TableKind, _path: &Arc<Path>, _line: &Line<'_>) {}
    /// The same rule is looked at once more, now that something is known which it needed: what was told of it
    /// counts no more.
    fn again(&mut self) {}
    /// One of its tokens was tried.
    fn token(&mut self, _token: &[u8], _matched: Match) {}
    /// Both its lists matched, or one did not, or that is not known.
    fn matched(&mut self, _matched: Match) {}
}

/// Follows nothing, at no cost.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoTrace;

impl Trace for NoTrace {
    const PASSES_OVER: bool = true;
}
