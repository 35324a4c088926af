//! What a list says last of each network and origin: what is left of it when it is written anew, and what its index has.

use super::index::origin_mark;
use super::text::{self, Expiry, Said};
use crate::network::Network;

/// A line that no later one stands in place of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub network: Network,
    /// A hash of its origin.
    pub origin: u32,
    pub expiry: Expiry,
    /// Where it begins.
    pub at: usize,
    /// Where it ends, behind its newline.
    pub end: usize,
}

/// All of a text.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// In the order of the text.
    pub last: Vec<Last>,
    /// Lines that cannot be read: their numbers, and where they begin and end.
    pub damaged: Vec<(u64, usize, usize)>,
    /// How many lines later ones stand in place of.
    pub superseded: usize,
}

pub(super) fn summary(text: &[u8]) -> Summary {
    let mut summary = Summary::default();
    for (number, (at, line)) in (1..).zip(text::lines(text)) {
        let end = at + line.len() + 1;
        match text::read(line) {
            Said::Nothing => {}
            Said::Damaged => summary.damaged.push((number, at, end)),
            Said::Ban(line) => summary.last.push(Last {
                network: line.network,
                origin: origin_mark(line.origin),
                expiry: line.expiry,
                at,
                end,
            }),
        }
    }
    let all = summary.last.len();
    // Of those that are about the same, the latest comes first.
    summary
        .last
        .sort_unstable_by_key(|line| (line.network, line.origin, std::cmp::Reverse(line.at)));
    summary
        .last
        .dedup_by(|later, first| (later.network, later.origin) == (first.network, first.origin));
    summary.last.sort_unstable_by_key(|line| line.at);
    summary.superseded = all - summary.last.len();
    summary
}
