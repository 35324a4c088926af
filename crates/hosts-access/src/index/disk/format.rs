//! The bytes of an index file.

use crate::index::candidates::Shape;
use crate::index::keys::{HostShape, TextShape, mixed};
use crate::source::FileId;

/// What an index is of, which its first bytes say: a file may be a table to one program and a list to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The rules of a table.
    Table,
    /// The words of a file that a pattern names.
    List,
}

impl What {
    pub(super) fn magic(self) -> &'static [u8; 8] {
        match self {
            What::Table => b"tcpwrapi",
            What::List => b"tcpwrapw",
        }
    }
}

/// Raised when the same keys or bytes come to mean something else.
const VERSION: u32 = 2;
/// What stands before the part of the header that is checked.
pub(super) const BEFORE_HEADER: usize = 24;
/// Longer headers are no headers.
pub(super) const LONGEST_HEADER: usize = 1 << 20;

/// The size of a block, its checksum included.
pub(super) const BLOCK: usize = 4096;
/// Of it, what is not checksum.
pub(super) const PAYLOAD: usize = BLOCK - 8;

/// A rule: where it begins and how many lines are above it, 4 bytes each.
pub(super) const RULES: Kind = Kind { number: 1, entry: 8 };
/// A key, 8 bytes, and a position, 4 bytes; in this order.
pub(super) const POSTINGS: Kind = Kind { number: 2, entry: 12 };
/// The first posting of each block of them.
pub(super) const FENCE: Kind = Kind { number: 3, entry: 12 };

/// A kind of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) number: u32,
    /// The size of an entry.
    pub(super) entry: usize,
}

impl Kind {
    /// How many entries a block has.
    pub(super) const fn per_block(self) -> usize {
        PAYLOAD / self.entry
    }
}

/// Where a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: u32,
    pub(super) entries: u32,
    pub(super) offset: u64,
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) what: What,
    pub(super) table: FileId,
    pub(super) shape: Shape,
    pub(super) sections: Vec<Section>,
}

impl Header {
    /// The header's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut body = self.table.to_bytes().to_vec();
        put_shape(&mut body, &self.shape);
        body.extend((self.sections.len() as u32).to_le_bytes());
        for section in &self.sections {
            body.extend(section.kind.to_le_bytes());
            body.extend(section.entries.to_le_bytes());
            body.extend(section.offset.to_le_bytes());
        }
        let mut header = self.what.magic().to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend(((BEFORE_HEADER + body.len()) as u32).to_le_bytes());
        header.extend(sum([&body]).to_le_bytes());
        header.extend(body);
        header
    }

    /// The length that a header says it has; nothing where it is none of this version, or of something else.
    pub(super) fn length(start: &[u8; BEFORE_HEADER], what: What) -> Option<usize> {
        let mut from = Bytes(start);
        if from.array()? != what.magic() || from.u32()? != VERSION {
            return None;
        }
        let length = from.u32()? as usize;
        (BEFORE_HEADER..=LONGEST_HEADER)
            .contains(&length)
            .then_some(length)
    }

    /// Reads a whole header; nothing where it is damaged.
    pub(super) fn parse(header: &[u8], what: What) -> Option<Self> {
        let (start, body) = header.split_at_checked(BEFORE_HEADER)?;
        let wanted = start.last_chunk::<8>()?;
        if sum([body]) != u64::from_le_bytes(*wanted) {
            return None;
        }
        let mut from = Bytes(body);
        let table = FileId::from_bytes(from.array()?);
        let shape = from.shape()?;
        let count = from.u32()?;
        let mut sections = Vec::new();
        for _ in 0..count {
            sections.push(Section {
                kind: from.u32()?,
                entries: from.u32()?,
                offset: from.u64()?,
            });
        }
        Some(Header {
            what,
            table,
            shape,
            sections,
        })
    }
}

/// The checksum of a block: of its contents, its place, and the table it is about.
pub(super) fn checksum(table: &FileId, offset: u64, payload: &[u8]) -> u64 {
    sum([&table.to_bytes(), &offset.to_le_bytes(), payload])
}

/// A checksum against damage, not against malice: whoever may write an index may write the table as well.
fn sum<const N: usize>(parts: [&[u8]; N]) -> u64 {
    parts.iter().fold(0, |sum, part| {
        let (words, rest) = part.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
        // The length tells parts apart that differ in zeros at their ends.
        words.fold(mixed(sum, part.len() as u64), mixed)
    })
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    let Shape {
        hosts,
        services,
        servers,
        has_servers,
        has_users,
        has_always,
    } = shape;
    put_hosts(out, hosts);
    put_texts(out, services);
    put_hosts(out, servers);
    out.extend([has_servers, has_users, has_always].map(|is| u8::from(*is)));
}

fn put_hosts(out: &mut Vec<u8>, shape: &HostShape) {
    let HostShape {
        has_any,
        wants_name,
        names,
        lengths4,
        lengths6,
        every6,
        masks,
        texts,
    } = shape;
    out.extend([has_any, wants_name, names].map(|is| u8::from(*is)));
    out.extend(lengths4.to_le_bytes());
    out.extend(lengths6.to_le_bytes());
    out.push(u8::from(*every6));
    out.extend((masks.len() as u32).to_le_bytes());
    out.extend(masks.iter().flat_map(|mask| mask.to_le_bytes()));
    put_texts(out, texts);
}

fn put_texts(out: &mut Vec<u8>, shape: &TextShape) {
    let TextShape {
        letters,
        numbers,
        beginnings,
        ends,
        within,
    } = shape;
    out.extend([letters, numbers, beginnings, &within[0], &within[1]].map(|is| u8::from(*is)));
    out.extend((ends.len() as u32).to_le_bytes());
    out.extend(ends.iter().flat_map(|(first, last)| [*first, *last]));
}

/// Bytes that are read from their beginning.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'b [u8; N]> {
        self.take(N)?.first_chunk()
    }

    fn bool(&mut self) -> Option<bool> {
        self.array::<1>().map(|[byte]| *byte != 0)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn shape(&mut self) -> Option<Shape> {
        Some(Shape {
            hosts: self.hosts()?,
            services: self.texts()?,
            servers: self.hosts()?,
            has_servers: self.bool()?,
            has_users: self.bool()?,
            has_always: self.bool()?,
        })
    }

    fn hosts(&mut self) -> Option<HostShape> {
        Some(HostShape {
            has_any: self.bool()?,
            wants_name: self.bool()?,
            names: self.bool()?,
            lengths4: self.u64()?,
            lengths6: self.array().map(|bytes| u128::from_le_bytes(*bytes))?,
            every6: self.bool()?,
            masks: {
                let count = self.u32()?;
                (0..count).map(|_| self.u32()).collect::<Option<_>>()?
            },
            texts: self.texts()?,
        })
    }

    fn texts(&mut self) -> Option<TextShape> {
        let [letters, numbers, beginnings, four, eight] = self.array()?.map(|byte| byte != 0);
        let count = self.u32()?;
        let ends = (0..count).map(|_| self.array().map(|[first, last]| (*first, *last)));
        Some(TextShape {
            letters,
            numbers,
            beginnings,
            ends: ends.collect::<Option<_>>()?,
            within: [four, eight],
        })
    }
}

/// The posting at a place in a block.
pub(super) fn posting(payload: &[u8], at: usize) -> Option<(u64, u32)> {
    let mut from = Bytes(payload.get(at * POSTINGS.entry..)?);
    Some((from.u64()?, from.u32()?))
}

/// The rule at a place in a block.
pub(super) fn rule(payload: &[u8], at: usize) -> Option<(u32, u32)> {
    let mut from = Bytes(payload.get(at * RULES.entry..)?);
    Some((from.u32()?, from.u32()?))
}
