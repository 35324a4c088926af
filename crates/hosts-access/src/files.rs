//! The files that `/path` patterns name (hosts_access(5), PATTERNS): white space apart, each word is a
//! host pattern.

mod indexed;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::diagnostic::Kind;
use crate::index::disk::{self, NoIndex};
use crate::index::{TokenCandidates, TokenIndex};
use crate::request::{Pending, Request, Side};
use crate::sieve::Sieve;
use crate::source::{self, Contents, Seen};
use crate::syntax::pattern::HostPattern;
use crate::text::{is_white_space, strerror};

pub(crate) use indexed::{IndexedFile, NextWord};

/// The path a `/path` token names.
pub fn path(token: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(token))
}

/// The text of the file a `/path` token names; empty where it is missing or cannot be read.
pub fn text(token: &[u8]) -> Vec<u8> {
    match source::read(path(token)).0 {
        Contents::Text(text) => text,
        Contents::Missing | Contents::Unreadable(_) => Vec::new(),
    }
}

/// One such file, read.
#[derive(Debug)]
pub(crate) struct HostFile {
    contents: Contents,
    seen: Seen,
    index: FileIndex,
}

/// How its words are found.
#[derive(Debug)]
enum FileIndex {
    /// One after the other.
    None,
    /// The same, since the index beside the file is damaged.
    Damaged,
    /// By an index in memory.
    Memory(Box<TokenIndex>),
    /// By the one beside the file, which is not read: [`IndexedFile`].
    Beside,
}

impl HostFile {
    /// A file that is not read, since it has an index beside it.
    pub(crate) fn beside_index() -> Self {
        HostFile {
            contents: Contents::Missing,
            seen: Seen::Unsettled,
            index: FileIndex::Beside,
        }
    }

    /// Reads the file a `/path` token names, of which other tries found it changing. Without what certainly does not
    /// match, where it is read for the client of a request.
    ///
    /// # Errors
    /// So long it should be left alone.
    pub(crate) fn read(token: &[u8], client: Option<&Request>, tries: usize) -> Result<Self, Duration> {
        let mut sieve = None;
        if let Some(request) = client {
            Sieve::renew(&mut sieve, request);
        }
        let read = match &sieve {
            Some(sieve) => source::read_parts(path(token), |piece, text| sift(sieve, piece, text)),
            None => source::read_once(path(token)),
        };
        let failed = match read {
            Ok(Some(read)) => return Ok(HostFile::new(source::contents(Ok(read)))),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        match source::pause(tries, failed) {
            Ok(time) => Err(time),
            Err(error) => Ok(HostFile::new(source::contents(Err(error)))),
        }
    }

    /// A file that was read.
    pub(crate) fn new((contents, seen): (Contents, Seen)) -> Self {
        let contents = match contents {
            // Such a token is a typing error that matches nothing, as it always was.
            Contents::Unreadable(error) if error.kind() == io::ErrorKind::IsADirectory => Contents::Missing,
            contents => contents,
        };
        HostFile {
            contents,
            seen,
            index: FileIndex::None,
        }
    }

    /// Remembers whether the index beside it is damaged.
    pub(crate) fn without_index(mut self, no_index: NoIndex) -> Self {
        if let NoIndex::Damaged = no_index {
            self.index = FileIndex::Damaged;
        }
        self
    }

    /// Is it to be read through the index beside it?
    pub(crate) fn has_index(&self) -> bool {
        matches!(self.index, FileIndex::Beside)
    }

    /// Makes the file ready for many decisions.
    pub(crate) fn indexed(mut self) -> Self {
        let index = u32::try_from(self.text().len()).ok().and_then(|_| {
            // `as`: offsets fit, since the length does.
            TokenIndex::new(
                words(self.text()).map(|(offset, word)| (offset as u32, HostPattern::parse(word))),
            )
        });
        self.index = index.map_or(FileIndex::None, |index| FileIndex::Memory(Box::new(index)));
        self
    }

    /// Is there too little memory for it, or no descriptor? Then nobody knows what it matches.
    pub(crate) fn is_short(&self) -> bool {
        match &self.contents {
            Contents::Unreadable(error) => {
                matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
                    || error.kind() == io::ErrorKind::OutOfMemory
            }
            Contents::Missing | Contents::Text(_) => false,
        }
    }

    /// Must it be read again?
    pub(crate) fn is_stale(&self, token: &[u8]) -> bool {
        self.seen.is_stale(path(token))
    }

    /// Logs that the file, or its index, cannot be read, if so.
    pub(crate) fn warn(&self, token: &[u8], request: &mut Request) {
        if let FileIndex::Damaged = self.index {
            request.log(Kind::Warning, disk::damaged(path(token), "list"));
        }
        if let Contents::Unreadable(error) = &self.contents {
            request.log(
                Kind::Warning,
                [b"open ", token, b": ", strerror(error).as_bytes()].concat(),
            );
        }
    }

    fn text(&self) -> &[u8] {
        match &self.contents {
            Contents::Text(text) => text,
            Contents::Missing | Contents::Unreadable(_) => &[],
        }
    }

    /// The files that its words name in turn.
    pub(crate) fn named_files(&self) -> impl Iterator<Item = &[u8]> {
        words(self.text())
            .map(|(_, word)| word)
            .filter(|word| word.first() == Some(&b'/'))
    }

    /// The words that could match one end of the connection, in order.
    pub(crate) fn words(&self, side: Side) -> Words<'_> {
        let text = self.text();
        match &self.index {
            FileIndex::Memory(index) => Words::Indexed {
                text,
                candidates: Box::new(index.candidates(side)),
            },
            FileIndex::None | FileIndex::Damaged | FileIndex::Beside => Words::All {
                text,
                at: 0,
                side,
                sieve: None,
            },
        }
    }
}

/// See [`HostFile::words`]. What could match may depend on what the words before it looked up.
pub(crate) enum Words<'f> {
    All {
        text: &'f [u8],
        at: usize,
        side: Side,
        sieve: Option<Sieve>,
    },
    Indexed {
        text: &'f [u8],
        candidates: Box<TokenCandidates<'f>>,
    },
}

impl<'f> Words<'f> {
    /// The next word.
    pub(crate) fn next(&mut self, request: &mut Request) -> Result<Option<&'f [u8]>, Pending> {
        Ok(match self {
            Words::All {
                text,
                at,
                side,
                sieve,
            } => {
                if *side == Side::Client {
                    Sieve::renew(sieve, request);
                    // One word was just read: its line ends here.
                    if let Some(sieve) = sieve
                        && text.get(*at) == Some(&b'\n')
                    {
                        *at = pass(sieve, text, *at + 1);
                    }
                }
                words(&text[*at..]).next().map(|(offset, word)| {
                    *at += offset + word.len();
                    word
                })
            }
            Words::Indexed { text, candidates } => {
                let offset = candidates.next(request)?;
                offset.and_then(|offset| words(&text[offset..]).next().map(|(_, word)| word))
            }
        })
    }
}

/// Passes over words that stand on lines of their own and certainly do not match; returns where it stopped.
/// A line begins at `at`.
#[inline(never)]
fn pass(sieve: &Sieve, text: &[u8], mut at: usize) -> usize {
    while let Some(line) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let ends_line = |end: &usize| line.get(*end) == Some(&b'\n');
        let number = sieve.after_address(line, 0).filter(ends_line);
        let number = number.or_else(|| sieve.after_network(line, 0).filter(ends_line));
        let name = || memchr::memchr(b'\n', line).filter(|end| sieve.excludes_name(line, 0, *end));
        let Some(end) = number.or_else(name) else { break };
        at += end + 1;
    }
    at
}

/// Adds to `text` the lines of a piece that are not passed over.
fn sift(sieve: &Sieve, piece: &[u8], text: &mut Vec<u8>) {
    let mut at = 0;
    loop {
        at = pass(sieve, piece, at);
        let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) else {
            break;
        };
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        // What is left out would match nothing, and a deny table grant; the edge of the process makes this a denial.
        text.try_reserve(length).expect("memory for a list of patterns");
        text.extend_from_slice(&rest[..length]);
        at += length;
    }
}

/// The words of such a file, and where they begin.
pub fn words(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = rest.iter().position(|b| !is_white_space(*b))?;
        let word = &rest[start..];
        let word = &word[..word.iter().position(|b| is_white_space(*b)).unwrap_or(word.len())];
        let offset = at + start;
        at = offset + word.len();
        Some((offset, word))
    })
}
