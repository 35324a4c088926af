//! Reading the index of a table, a block at a time.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    BEFORE_HEADER, BLOCK, FENCE, Header, Kind, PAYLOAD, POSTINGS, RULES, Section, What, checksum, posting,
    rule,
};
use super::{SMALLEST, path_of};
use crate::index::candidates::{Candidates, Shape};
use crate::index::lists::{Lists, Positions};
use crate::request::{Pending, Request, Side};
use crate::room::{filled, for_exactly};
use crate::source::FileId;

/// The contents of a block.
type Block = Arc<[u8; BLOCK]>;

/// An index that is read as far as need be.
#[derive(Debug)]
pub(crate) struct DiskIndex {
    path: PathBuf,
    /// Not held while a decision waits.
    file: Option<File>,
    id: FileId,
    table: FileId,
    shape: Shape,
    rules: Section,
    postings: Section,
    fence: Vec<(u64, u32)>,
    /// The block that was read last.
    last: RefCell<Option<(u64, Block)>>,
    /// A block could not be read, or not be believed.
    is_damaged: Cell<bool>,
}

/// See [`DiskIndex::candidates`].
pub(crate) type DiskCandidates<'i> = Candidates<'i, DiskIndex>;

/// Where a table is to be read next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    /// At a rule: its number, its offset and the number of lines above it.
    To(u32, u64, u32),
    /// Nowhere: no rule is left that could match.
    End,
    /// The index is damaged.
    Lost,
}

/// Why there is no index to use.
#[derive(Debug)]
pub(crate) enum NoIndex {
    /// There is none, or it is that of another state of the table, or not to be trusted.
    NotOurs,
    /// It is the table's, but damaged.
    Damaged,
}

impl DiskIndex {
    /// Opens the index of a table or list, of which `table` is the identity and `owner` the owner.
    pub(crate) fn open(path: &Path, what: What, table: &FileId, owner: u32) -> Result<Self, NoIndex> {
        if table.size() < SMALLEST {
            return Err(NoIndex::NotOurs);
        }
        let path = path_of(path);
        let (file, id) = open_trusted(&path, owner).ok_or(NoIndex::NotOurs)?;
        let start = read_array::<BEFORE_HEADER>(&file).map_err(|_| NoIndex::Damaged)?;
        // Of another version, perhaps.
        let length = Header::length(&start, what).ok_or(NoIndex::NotOurs)?;
        let mut header = filled(length, 0).ok_or(NoIndex::NotOurs)?;
        file.read_exact_at(&mut header, 0).map_err(|_| NoIndex::Damaged)?;
        let header = Header::parse(&header, what).ok_or(NoIndex::Damaged)?;
        if header.table != *table {
            return Err(NoIndex::NotOurs);
        }
        let section = |kind: Kind| {
            let mut sections = header.sections.iter();
            sections.find(|section| section.kind == kind.number).copied()
        };
        let (Some(rules), Some(postings), Some(fence)) = (section(RULES), section(POSTINGS), section(FENCE))
        else {
            return Err(NoIndex::Damaged);
        };
        let mut index = DiskIndex {
            path,
            file: Some(file),
            id,
            table: *table,
            shape: header.shape,
            rules,
            postings,
            fence: Vec::new(),
            last: RefCell::new(None),
            is_damaged: Cell::new(false),
        };
        index.fence = index.read_fence(fence).ok_or(NoIndex::Damaged)?;
        Ok(index)
    }

    fn read_fence(&self, section: Section) -> Option<Vec<(u64, u32)>> {
        let count = section.entries as usize;
        if count != (self.postings.entries as usize).div_ceil(POSTINGS.per_block()) {
            return None;
        }
        let mut fence = for_exactly(count)?;
        for block in 0..count.div_ceil(FENCE.per_block()) {
            let bytes = self.block(section, block)?;
            let left = (count - fence.len()).min(FENCE.per_block());
            for at in 0..left {
                fence.push(posting(&bytes[..PAYLOAD], at)?);
            }
        }
        fence.is_sorted().then_some(fence)
    }

    /// Lets go of the file.
    pub(crate) fn suspend(&mut self) {
        self.file = None;
    }

    /// Takes it up again; nothing where it is another one by now.
    pub(crate) fn resume(mut self, owner: u32) -> Option<Self> {
        if self.file.is_none() {
            let (file, id) = open_trusted(&self.path, owner)?;
            self.file = Some(file).filter(|_| id == self.id);
        }
        self.file.is_some().then_some(self)
    }

    /// The rules, or words, that could match, from one of them on.
    pub(crate) fn candidates(&self, from: u32) -> DiskCandidates<'_> {
        Candidates::new(self, &self.shape, Side::Client, from)
    }

    /// Where the next of them is.
    pub(crate) fn next(
        &self,
        candidates: &mut DiskCandidates<'_>,
        request: &mut Request,
    ) -> Result<Jump, Pending> {
        let position = candidates.next(request)?;
        if self.is_damaged.get() {
            return Ok(Jump::Lost);
        }
        Ok(match position.map(|position| (position, self.rule(position))) {
            None => Jump::End,
            Some((position, Some((offset, lines_above)))) => Jump::To(position, offset.into(), lines_above),
            Some((_, None)) => Jump::Lost,
        })
    }

    fn rule(&self, position: u32) -> Option<(u32, u32)> {
        let at = position.checked_sub(1).filter(|at| *at < self.rules.entries)? as usize;
        let block = self.block(self.rules, at / RULES.per_block())?;
        rule(&block[..PAYLOAD], at % RULES.per_block())
    }

    fn block(&self, section: Section, number: usize) -> Option<Block> {
        let block = self.read_block(section.offset.checked_add((number * BLOCK) as u64)?);
        if block.is_none() {
            self.is_damaged.set(true);
        }
        block
    }

    fn read_block(&self, offset: u64) -> Option<Block> {
        if let Some((at, block)) = &*self.last.borrow()
            && *at == offset
        {
            return Some(Arc::clone(block));
        }
        let mut bytes = [0; BLOCK];
        self.file.as_ref()?.read_exact_at(&mut bytes, offset).ok()?;
        let (payload, sum) = bytes.split_last_chunk::<8>()?;
        if checksum(&self.table, offset, payload) != u64::from_le_bytes(*sum) {
            return None;
        }
        let block = Arc::new(bytes);
        *self.last.borrow_mut() = Some((offset, Arc::clone(&block)));
        Some(block)
    }
}

impl Lists for DiskIndex {
    type Positions<'i> = DiskPositions<'i>;

    fn find(&self, key: u64, from: u32) -> Option<DiskPositions<'_>> {
        let wanted = (key, from);
        // The last block that does not begin behind it holds it, or the next one begins with it.
        let block = self
            .fence
            .partition_point(|first| *first <= wanted)
            .saturating_sub(1);
        let mut positions = DiskPositions {
            index: self,
            key,
            position: 0,
            block,
            at: 0,
            bytes: None,
        };
        let bytes = self.block(self.postings, block)?;
        let (mut low, mut high) = (0, positions.count());
        while low < high {
            let middle = usize::midpoint(low, high);
            if posting(&bytes[..PAYLOAD], middle)? < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        positions.at = low;
        positions.bytes = Some(bytes);
        positions.settle().then_some(positions)
    }
}

/// A list in the file.
#[derive(Debug)]
pub(crate) struct DiskPositions<'i> {
    index: &'i DiskIndex,
    key: u64,
    position: u32,
    block: usize,
    at: usize,
    bytes: Option<Block>,
}

impl DiskPositions<'_> {
    /// How many postings the block has.
    fn count(&self) -> usize {
        let all = self.index.postings.entries as usize;
        all.saturating_sub(self.block * POSTINGS.per_block())
            .min(POSTINGS.per_block())
    }

    /// Goes to the next block where this one ends. Is what stands there under the key?
    fn settle(&mut self) -> bool {
        if self.at == self.count() {
            self.block += 1;
            self.at = 0;
            self.bytes = None;
            // Most lists end with their block, and the fence tells.
            match self.index.fence.get(self.block) {
                Some((key, _)) if *key == self.key => {
                    self.bytes = self.index.block(self.index.postings, self.block);
                }
                _ => return false,
            }
        }
        match self
            .bytes
            .as_ref()
            .and_then(|bytes| posting(&bytes[..PAYLOAD], self.at))
        {
            Some((key, position)) if key == self.key => {
                self.position = position;
                true
            }
            _ => false,
        }
    }
}

impl Positions for DiskPositions<'_> {
    fn first(&self) -> u32 {
        self.position
    }

    fn advance(&mut self) -> bool {
        self.at += 1;
        self.settle()
    }
}

/// Opens a regular file that belongs to `owner` and that nobody else may write to.
fn open_trusted(path: &Path, owner: u32) -> Option<(File, FileId)> {
    let is_trusted = |metadata: &fs::Metadata| {
        metadata.is_file() && metadata.uid() == owner && metadata.mode() & 0o022 == 0
    };
    // Asked first, since opening what is no file may wait, or do more.
    let before = fs::symlink_metadata(path).ok().filter(is_trusted)?;
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(is_trusted)?;
    let id = FileId::of(&metadata);
    (id == FileId::of(&before)).then_some((file, id))
}

fn read_array<const N: usize>(file: &File) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
