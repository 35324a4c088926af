//! The index of a table in a file beside it, for processes that decide once and could read the table in the time
//! that it takes to index it.
//!
//! The file belongs to one state of one table: it says which, and is ignored beside any other. It is read in blocks
//! as they are needed and never mapped, since a mapped file that is cut short ends the process that reads it. Every
//! block carries a checksum. What is damaged costs a line in the log, and the table is scanned from there on.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `tcpwrapi`, or `tcpwrapw` |
//! | 4 | the version |
//! | 4 | the length of the header, all told |
//! | 8 | the checksum of the header from here on |
//! | | the table's identity, what kinds of keys there are, and where the sections are |
//!
//! Numbers are little-endian. A section is an array in blocks of 4,096 bytes, each of which ends in the checksum of
//! the table's identity, the block's place and its contents. Sections of kinds that are not known are passed over, so
//! others can be added without a new version.
//!
//! A file that a `/path` pattern names has an index of its own, with words in the place of rules.

mod format;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) use format::What;
pub(crate) use read::{DiskCandidates, DiskIndex, Jump, NoIndex};
pub use write::{Image, compile, compile_list, of_list, of_text};

/// What the file is called, behind the table's name.
const EXTENSION: &str = ".index";

/// A smaller table is read as soon as its index would be, which is not looked for then.
pub const SMALLEST: u64 = 32 << 10;

/// What is logged where the index of a table or list is damaged.
pub(crate) fn damaged(path: &Path, what: &str) -> Vec<u8> {
    let index = path_of(path);
    let index = index.as_os_str().as_encoded_bytes();
    [index, b": damaged, the ", what.as_bytes(), b" is read without it"].concat()
}

/// Does a file that begins so hold an index?
pub fn is_index(start: &[u8]) -> bool {
    [What::Table, What::List]
        .iter()
        .any(|what| start.starts_with(what.magic()))
}

/// Where the index of a table is.
pub fn path_of(table: &Path) -> PathBuf {
    let mut path = OsString::from(table);
    path.push(EXTENSION);
    PathBuf::from(path)
}
