//! A long file that a `/path` pattern names, read through the index beside it: of its words only those that could
//! match.

use std::fs;

use super::path;
use crate::index::disk::{self, DiskCandidates, DiskIndex, Jump, NoIndex, What};
use crate::request::{Pending, Request};
use crate::room::{self, LONG_LINE};
use crate::source::Reader;
use crate::text::is_white_space;

/// So much is read for a word at first.
const PIECE: usize = 256;

/// Such a file while it is tried.
#[derive(Debug)]
pub(crate) struct IndexedFile {
    file: Reader,
    index: DiskIndex,
}

/// What comes next of it.
#[derive(Debug)]
pub(crate) enum NextWord {
    Word(Vec<u8>),
    /// No word is left that could match.
    End,
    /// The index is damaged, or the file is not what it was.
    Lost,
}

impl IndexedFile {
    /// Opens the file a `/path` token names, and its index.
    pub(crate) fn open(token: &[u8]) -> Result<Self, NoIndex> {
        let path = path(token);
        // Few have one.
        fs::symlink_metadata(disk::path_of(path)).map_err(|_| NoIndex::NotOurs)?;
        let file = Reader::open(path).map_err(|_| NoIndex::NotOurs)?;
        let (id, owner) = file.identity();
        let index = DiskIndex::open(path, What::List, &id, owner)?;
        Ok(IndexedFile { file, index })
    }

    /// The words that could match the client.
    pub(crate) fn candidates(&self) -> DiskCandidates<'_> {
        self.index.candidates(0)
    }

    /// The next of them.
    pub(crate) fn next(
        &self,
        candidates: &mut DiskCandidates<'_>,
        request: &mut Request,
    ) -> Result<NextWord, Pending> {
        Ok(match self.index.next(candidates, request)? {
            Jump::To(_, offset, _) => self.word(offset).map_or(NextWord::Lost, NextWord::Word),
            Jump::End => NextWord::End,
            Jump::Lost => NextWord::Lost,
        })
    }

    /// The word that begins there; nothing where none does.
    fn word(&self, offset: u64) -> Option<Vec<u8>> {
        let mut size = PIECE;
        loop {
            if size > LONG_LINE {
                room::expect(2 * size);
            }
            let mut bytes = vec![0; size];
            let read = self.file.read_at(&mut bytes, offset).ok()?;
            bytes.truncate(read);
            match bytes.iter().position(|byte| is_white_space(*byte)) {
                Some(end) => bytes.truncate(end),
                None if read == size => {
                    size *= 2;
                    continue;
                }
                None => {}
            }
            return (!bytes.is_empty()).then_some(bytes);
        }
    }

    /// Is the file still the one that the index is of?
    pub(crate) fn is_unchanged(&self, token: &[u8]) -> bool {
        self.file.is_unchanged(path(token), false).unwrap_or(false)
    }
}
