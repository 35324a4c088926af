//! Writing the index of a table.

use std::io;
use std::path::Path;

use super::SMALLEST;
use super::format::{BLOCK, FENCE, Header, Kind, PAYLOAD, POSTINGS, RULES, Section, What, checksum};
use crate::files::words;
use crate::index::candidates::Shape;
use crate::index::lists::Entry;
use crate::index::table::{RuleAt, entries};
use crate::index::tokens;
use crate::source::{self, Contents, FileId, Seen};
use crate::syntax::pattern::HostPattern;

/// A table's index, as it is to be written.
#[derive(Debug)]
pub struct Image {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// How many rules, or words, there are.
    pub rules: usize,
    /// The state of the table that it is of.
    pub of: FileId,
}

/// The index of the table at this path; nothing where it needs none: it is too small, or too large for one, or there
/// is none. A table that was changed just now is left to settle first, which takes a moment.
///
/// # Errors
/// The table cannot be read, or does not hold still.
pub fn compile(table: &Path) -> io::Result<Option<Image>> {
    compile_by(table, of_text)
}

/// The same of a file that `/path` patterns name.
///
/// # Errors
/// As [`compile`].
pub fn compile_list(list: &Path) -> io::Result<Option<Image>> {
    compile_by(list, of_list)
}

fn compile_by(path: &Path, of: fn(&[u8], &FileId) -> Option<Image>) -> io::Result<Option<Image>> {
    source::until_steady(|| match source::read(path) {
        (Contents::Missing, _) => Ok(Some(None)),
        (Contents::Text(text), _) if (text.len() as u64) < SMALLEST => Ok(Some(None)),
        (Contents::Unreadable(error), _) => Err(error),
        // A change that came now would not show.
        (Contents::Text(_), Seen::Missing | Seen::Unsettled) => Ok(None),
        (Contents::Text(text), Seen::File(id)) => Ok(Some(of(&text, &id))),
    })
}

/// The index of a table that has this text in this state; nothing where it is too large. For those who know that the
/// file holds still.
pub fn of_text(text: &[u8], id: &FileId) -> Option<Image> {
    let (rules, postings, shape) = entries(text, |_, _, _| Some(()))?;
    image(What::Table, id, &rules, postings, shape)
}

/// The same of a file that `/path` patterns name.
pub fn of_list(text: &[u8], id: &FileId) -> Option<Image> {
    u32::try_from(text.len()).ok()?;
    // `as`: checked above.
    let words = words(text).map(|(offset, word)| (offset as u32, HostPattern::parse(word)));
    let (offsets, postings, shape) = tokens::entries(words)?;
    let lines_above = 0;
    let rules: Vec<_> = offsets
        .into_iter()
        .map(|offset| RuleAt { offset, lines_above })
        .collect();
    image(What::List, id, &rules, postings, shape)
}

fn image(what: What, id: &FileId, rules: &[RuleAt], mut postings: Vec<Entry>, shape: Shape) -> Option<Image> {
    postings.sort_unstable_by_key(|entry| (entry.key, entry.position));
    let mut header = Header {
        what,
        table: *id,
        shape,
        sections: Vec::new(),
    };
    let fence: Vec<Entry> = postings.iter().step_by(POSTINGS.per_block()).copied().collect();
    for (kind, entries) in [
        (RULES, rules.len()),
        (POSTINGS, postings.len()),
        (FENCE, fence.len()),
    ] {
        header.sections.push(Section {
            kind: kind.number,
            entries: u32::try_from(entries).ok()?,
            offset: 0,
        });
    }
    // Its length does not depend on the offsets.
    let mut offset = header.to_bytes().len().next_multiple_of(BLOCK) as u64;
    for (section, kind) in header.sections.iter_mut().zip([RULES, POSTINGS, FENCE]) {
        section.offset = offset;
        offset += ((section.entries as usize).div_ceil(kind.per_block()) * BLOCK) as u64;
    }
    let mut bytes = header.to_bytes();
    bytes.reserve_exact(offset as usize - bytes.len());
    put_section(
        &mut bytes,
        id,
        RULES,
        rules,
        |RuleAt { offset, lines_above }, out| {
            out.extend(offset.to_le_bytes());
            out.extend(lines_above.to_le_bytes());
        },
    );
    let put_posting = |entry: &Entry, out: &mut Vec<u8>| {
        out.extend(entry.key.to_le_bytes());
        out.extend(entry.position.to_le_bytes());
    };
    put_section(&mut bytes, id, POSTINGS, &postings, put_posting);
    put_section(&mut bytes, id, FENCE, &fence, put_posting);
    Some(Image {
        bytes,
        rules: rules.len(),
        of: *id,
    })
}

fn put_section<E>(
    bytes: &mut Vec<u8>,
    id: &FileId,
    kind: Kind,
    entries: &[E],
    put: impl Fn(&E, &mut Vec<u8>),
) {
    for block in entries.chunks(kind.per_block()) {
        let start = bytes.len().next_multiple_of(BLOCK);
        bytes.resize(start, 0);
        for entry in block {
            put(entry, bytes);
        }
        bytes.resize(start + PAYLOAD, 0);
        let sum = checksum(id, start as u64, &bytes[start..]);
        bytes.extend(sum.to_le_bytes());
    }
}
