//! Host patterns in a row, as in a file that a pattern names: which of them could match.

use super::builder::HostsBuilder;
use super::candidates::{Candidates, Shape};
use super::keys::ANY_SERVICE;
use super::lists::Entry;
use super::postings::Postings;
use crate::request::{Pending, Request, Side};
use crate::room::Room;
use crate::syntax::pattern::HostPattern;

/// Where each token begins, and which keys they are under; nothing where there is no memory for them.
pub(super) fn entries<'t>(
    tokens: impl Iterator<Item = (u32, HostPattern<'t>)>,
) -> Option<(Vec<u32>, Vec<Entry>, Shape)> {
    let mut offsets = Vec::new();
    let mut hosts = HostsBuilder::default();
    for (offset, token) in tokens {
        offsets.put(offset)?;
        // `as`: there are no more of them than offsets.
        hosts.add(token, &[ANY_SERVICE], None, offsets.len() as u32)?;
    }
    offsets.shrink_to_fit();
    let (entries, hosts) = hosts.finish()?;
    let shape = Shape {
        hosts,
        ..Shape::default()
    };
    Some((offsets, entries, shape))
}

/// Tokens by what they could match.
#[derive(Debug)]
pub(crate) struct TokenIndex {
    /// Where each token begins.
    offsets: Vec<u32>,
    shape: Shape,
    postings: Postings,
}

impl TokenIndex {
    /// Of tokens and where they begin; nothing where there is no memory for them.
    pub(crate) fn new<'t>(tokens: impl Iterator<Item = (u32, HostPattern<'t>)>) -> Option<Self> {
        let (offsets, entries, shape) = entries(tokens)?;
        Some(TokenIndex {
            offsets,
            shape,
            postings: Postings::new(&entries)?,
        })
    }

    /// The tokens that could match one end of the connection.
    pub(crate) fn candidates(&self, side: Side) -> TokenCandidates<'_> {
        TokenCandidates {
            offsets: &self.offsets,
            candidates: Candidates::new(&self.postings, &self.shape, side, 0),
        }
    }
}

/// See [`TokenIndex::candidates`].
#[derive(Debug)]
pub(crate) struct TokenCandidates<'i> {
    offsets: &'i [u32],
    candidates: Candidates<'i, Postings>,
}

impl TokenCandidates<'_> {
    /// Where the next one begins.
    pub(crate) fn next(&mut self, request: &mut Request) -> Result<Option<usize>, Pending> {
        let position = self.candidates.next(request)?;
        Ok(position.map(|position| self.offsets[position as usize - 1] as usize))
    }
}
