//! A table's bytes: reading them whole or not at all, telling whether the file has changed since, and
//! cutting them into logical lines (hosts_access(5), ACCESS CONTROL RULES).

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::room::for_exactly;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileId {
    /// The identity of the file that `metadata` describes.
    pub fn of(metadata: &Metadata) -> Self {
        FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How many bytes the file has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The identity as bytes, the same on every machine.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let [modified, changed] = [self.modified, self.changed].map(|(s, ns)| [s as u64, ns as u64]);
        let numbers = [
            self.device,
            self.inode,
            self.size,
            modified[0],
            modified[1],
            changed[0],
            changed[1],
        ];
        let mut bytes = [0; Self::BYTES];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// The identity that these bytes are of.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (numbers, _) = bytes.as_chunks::<8>();
        let number = |at: usize| u64::from_le_bytes(numbers[at]);
        FileId {
            device: number(0),
            inode: number(1),
            size: number(2),
            modified: (number(3).cast_signed(), number(4).cast_signed()),
            changed: (number(5).cast_signed(), number(6).cast_signed()),
        }
    }

    const BYTES: usize = 56;

    /// Would a change made from now on show in the identity? File times move in steps of the kernel's
    /// clock tick, 10 ms at most; the margin is wider. Only the change time counts: every write moves
    /// it, and unlike the modification time it cannot be set.
    fn is_settled(&self, now: SystemTime) -> bool {
        const GRANULARITY: Duration = Duration::from_millis(50);
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else {
            return false;
        };
        let age = now.duration_since(UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        age.is_ok_and(|age| age > GRANULARITY)
    }
}

/// How a path looked when it was read, to tell whether it must be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// There was no such file.
    Missing,
    /// There was this file, read to its end, and a later change will show.
    File(FileId),
    /// Anything else: what was found is good for one decision only.
    Unsettled,
}

impl Seen {
    /// Must the file be read again?
    pub fn is_stale(&self, path: &Path) -> bool {
        match (self, std::fs::metadata(path)) {
            (Seen::File(id), Ok(metadata)) => *id != FileId::of(&metadata),
            (Seen::Missing, Err(error)) => error.kind() != io::ErrorKind::NotFound,
            _ => true,
        }
    }
}

/// What was found where a table should be.
#[derive(Debug)]
pub enum Contents {
    /// No such file: an empty table.
    Missing,
    /// The file cannot be opened or read.
    Unreadable(io::Error),
    /// Its bytes.
    Text(Vec<u8>),
}

/// What a path is whose reading may never end: a FIFO waits until somebody writes to it, and devices are many
/// things. Nothing is read from these, see [`open`]; tools should say so.
pub fn endless(path: &Path) -> Option<&'static str> {
    std::fs::metadata(path).ok().as_ref().and_then(endless_kind)
}

fn endless_kind(metadata: &Metadata) -> Option<&'static str> {
    const NULL: &str = "/dev/null";
    let kind = metadata.file_type();
    let is_null = || std::fs::metadata(NULL).is_ok_and(|null| null.rdev() == metadata.rdev());
    if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_block_device() || kind.is_char_device() && !is_null() {
        Some("a device")
    } else {
        None
    }
}

/// Opens a file of this host's configuration for reading, and waits for nobody: not for the other end of a FIFO, not
/// for a device, not for whoever has a lease on the file. To open some devices does something, so it is
/// looked at before; and again after, since it may be another one by then.
///
/// # Errors
/// It is a FIFO or a device other than `/dev/null`, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    open_file(path).map(|(file, _)| file)
}

fn open_file(path: &Path) -> io::Result<(File, Metadata)> {
    let is_file = |metadata: &Metadata| match endless_kind(metadata) {
        Some(what) => Err(io::Error::other(format!("it is {what}, not a regular file"))),
        None => Ok(()),
    };
    is_file(&std::fs::metadata(path)?)?;
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    is_file(&metadata)?;
    Ok((file, metadata))
}

/// Reads such a file whole, as it is at the moment.
///
/// # Errors
/// As [`open`], or as reading says.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How many milliseconds a file is left alone, time after time, that cannot be read as it is.
const PAUSES: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 200];

/// How long to wait before a file is read again that could not be after `tries` other tries: it changed under the
/// reader's hands, or somebody has a lease on it, who is asked to give that up by the attempt.
///
/// # Errors
/// Where it will not hold still, or there is another reason.
pub(crate) fn pause(tries: usize, failed: Option<io::Error>) -> io::Result<Duration> {
    let problem = match failed {
        None => "file keeps changing while it is read",
        Some(error) if error.kind() == io::ErrorKind::WouldBlock => "somebody has a lease on the file",
        Some(error) => return Err(error),
    };
    match PAUSES.get(tries) {
        Some(pause) => Ok(Duration::from_millis(*pause)),
        None => Err(io::Error::new(io::ErrorKind::ResourceBusy, problem)),
    }
}

/// Runs `attempt` again while it finds that the file changed, which it says by returning nothing.
pub(crate) fn until_steady<R>(mut attempt: impl FnMut() -> io::Result<Option<R>>) -> io::Result<R> {
    let mut tries = 0;
    loop {
        let failed = match attempt() {
            Ok(Some(result)) => return Ok(result),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        std::thread::sleep(pause(tries, failed)?);
        tries += 1;
    }
}

/// Reads a file whole. A file that is being rewritten meanwhile is read again, so that no mixture of
/// two states is ever used; one that will not hold still counts as unreadable.
pub fn read(path: &Path) -> (Contents, Seen) {
    contents(until_steady(|| read_once(path)))
}

/// The same without waiting: nothing, where that would have to be done.
pub(crate) fn read_now(path: &Path) -> Option<(Contents, Seen)> {
    match read_once(path) {
        Ok(read) => read.map(|read| contents(Ok(read))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => Some(contents(Err(error))),
    }
}

/// Reads a file whole; nothing where it is changed meanwhile.
pub(crate) fn read_once(path: &Path) -> io::Result<Option<(Vec<u8>, Seen)>> {
    let mut reader = Reader::open(path)?;
    let size = usize::try_from(reader.id.size).unwrap_or(usize::MAX);
    let mut text = for_exactly(size.saturating_add(1)).ok_or(io::ErrorKind::OutOfMemory)?;
    if let Some(file) = &mut reader.file {
        file.read_to_end(&mut text)?;
    }
    reader.position = text.len() as u64;
    Ok(reader.is_unchanged(path, true)?.then_some((text, reader.seen)))
}

/// The same for what `keep` keeps of it, adding it to the text: it sees the file in pieces, which are whole lines.
/// Memory that is used again and again is much faster than memory for the whole of a large file.
pub(crate) fn read_parts(
    path: &Path,
    mut keep: impl FnMut(&[u8], &mut Vec<u8>),
) -> io::Result<Option<(Vec<u8>, Seen)>> {
    let mut reader = Reader::open(path)?;
    let mut text = Vec::new();
    while reader.read_piece()? {
        keep(reader.piece(), &mut text);
    }
    Ok(reader.is_unchanged(path, true)?.then_some((text, reader.seen)))
}

/// What reading a file came to.
pub(crate) fn contents(read: io::Result<(Vec<u8>, Seen)>) -> (Contents, Seen) {
    match read {
        Ok((text, seen)) => (Contents::Text(text), seen),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Contents::Missing, Seen::Missing),
        Err(error) => (Contents::Unreadable(error), Seen::Unsettled),
    }
}

/// A table read piece by piece, for a process that needs it once and may stop early.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Nothing, while reading is suspended.
    file: Option<File>,
    id: FileId,
    seen: Seen,
    is_file: bool,
    /// How many bytes have been read.
    position: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that is filled, and how much of it the last piece took.
    filled: usize,
    taken: usize,
    /// How much is read at once.
    size: usize,
    owner: u32,
}

/// How much is read at once of a file from its beginning, at most, and of one that is read here and there, at least.
const PIECE: usize = 128 << 10;
const SMALL_PIECE: usize = 4 << 10;

impl Reader {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (file, metadata) = open_file(path)?;
        let id = FileId::of(&metadata);
        let seen = if id.is_settled(SystemTime::now()) {
            Seen::File(id)
        } else {
            Seen::Unsettled
        };
        let is_file = metadata.is_file();
        Ok(Reader {
            file: Some(file),
            id,
            seen,
            is_file,
            position: 0,
            buffer: Vec::new(),
            filled: 0,
            taken: 0,
            // A small table fits whole, with room to see that it ends.
            size: usize::try_from(id.size)
                .map_or(usize::MAX, |n| n.saturating_add(1))
                .clamp(512, PIECE),
            owner: metadata.uid(),
        })
    }

    /// Closes the file, to go on later.
    pub(crate) fn suspend(&mut self) {
        self.file = None;
    }

    /// Opens the file again, where there is more of it to read, or where it is `jumped` about in. False where it is
    /// another one by now.
    pub(crate) fn resume(&mut self, path: &Path, jumped: bool) -> io::Result<bool> {
        if self.file.is_some() || self.is_read() && !jumped {
            return Ok(true);
        }
        let mut again = Reader::open(path)?;
        let Some(mut file) = again.file.take().filter(|_| again.id == self.id) else {
            return Ok(false);
        };
        file.seek(io::SeekFrom::Start(self.position))?;
        self.file = Some(file);
        Ok(true)
    }

    /// Has all of the file been read? A file read to the size it had needs no further read to see that it ends;
    /// had it grown, its identity would be another.
    fn is_read(&self) -> bool {
        self.is_file && self.position == self.id.size
    }

    /// Is the file still as it was when it was opened, and at its end as long as it then was? A change
    /// in the same clock tick as the one before does not show in the times, but nearly always in the
    /// size; [`Seen::Unsettled`] takes care of the rest.
    pub(crate) fn is_unchanged(&self, path: &Path, at_end: bool) -> io::Result<bool> {
        let whole = !at_end || !self.is_file || self.position == self.id.size;
        let metadata = match &self.file {
            Some(file) => file.metadata(),
            None => std::fs::metadata(path),
        };
        Ok(whole && FileId::of(&metadata?) == self.id)
    }

    /// Reads bytes from a place on, as many as there are and fit.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// What tells this state of the file from others, and who owns it.
    pub(crate) fn identity(&self) -> (FileId, u32) {
        (self.id, self.owner)
    }

    /// Goes to where a line begins: its place in the piece, which is another one where need be. Nothing where the
    /// file ends before.
    pub(crate) fn jump(&mut self, offset: u64) -> io::Result<Option<usize>> {
        let start = self.position - self.filled as u64;
        let end = start + self.taken as u64;
        if (start..end).contains(&offset) {
            return Ok(usize::try_from(offset - start).ok());
        }
        // Who goes on to what is near will do so again.
        let is_near = offset.checked_sub(end).is_some_and(|gap| gap < self.size as u64);
        self.size = if is_near {
            (2 * self.size).min(PIECE)
        } else {
            SMALL_PIECE
        };
        (self.filled, self.taken) = (0, 0);
        self.make_room(self.size)?;
        let Some(file) = &mut self.file else {
            return Ok(None);
        };
        self.position = file.seek(io::SeekFrom::Start(offset))?;
        Ok(self.read_piece()?.then_some(0))
    }

    /// The piece that was read last.
    pub(crate) fn piece(&self) -> &[u8] {
        &self.buffer[..self.taken]
    }

    /// Makes the buffer so long.
    fn make_room(&mut self, length: usize) -> io::Result<()> {
        let more = length.saturating_sub(self.buffer.len());
        self.buffer
            .try_reserve_exact(more)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.buffer.resize(length, 0);
        Ok(())
    }

    /// Reads the next piece: whole logical lines, except that the last piece ends where the file does.
    /// False at the end.
    pub(crate) fn read_piece(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        loop {
            if self.buffer.len() == self.filled {
                // At the start, and for a line that is longer than the buffer.
                self.make_room((self.buffer.len() * 2).max(self.size))?;
            }
            let is_read = self.is_read();
            let count = loop {
                let Some(file) = self.file.as_mut().filter(|_| !is_read) else {
                    break 0;
                };
                match file.read(&mut self.buffer[self.filled..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            self.position += count as u64;
            let searched = self.filled;
            self.filled += count;
            if count == 0 {
                self.taken = self.filled;
                return Ok(self.filled > 0);
            }
            let new = &self.buffer[searched..self.filled];
            let end = memchr::memrchr_iter(b'\n', new)
                .map(|at| searched + at)
                .find(|at| {
                    // A continued line goes on after its newline.
                    *at == 0 || self.buffer[at - 1] != b'\\'
                });
            if let Some(end) = end {
                self.taken = end + 1;
                return Ok(true);
            }
        }
    }
}

/// A logical line: backslash-newline pairs taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'t> {
    /// The text. It ends in a newline, unless the line is [`Ending::Unterminated`].
    pub text: &'t [u8],
    /// The first physical line, counted from 1.
    pub first: u32,
    /// The last physical line.
    pub last: u32,
    /// Where the line begins in the file.
    pub offset: usize,
    /// How it ends.
    pub ending: Ending,
}

/// How a logical line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a newline, as it should.
    Newline,
    /// With the end of the file. The table is in error from here on.
    Unterminated,
    /// It holds a NUL byte. The table is in error from here on.
    Nul,
}

/// The logical lines of a table. Lends each line, which may stand in a buffer of its own.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    joined: Vec<u8>,
}

impl<'t> Lines<'t> {
    /// The lines of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        Lines::from(text, 0, 0)
    }

    /// The lines of `text` from the byte `at` on, `line` physical lines being above it.
    pub fn from(text: &'t [u8], at: usize, line: u32) -> Self {
        Lines {
            text,
            at,
            line,
            joined: Vec::new(),
        }
    }

    /// Goes on at the byte `at`, `lines` physical lines further down.
    pub(crate) fn pass(&mut self, (at, lines): (usize, u32)) {
        self.at = at;
        self.line += lines;
    }

    /// The text these lines are of.
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Where the next line begins, and how many physical lines are above it.
    pub fn position(&self) -> (usize, u32) {
        (self.at, self.line)
    }

    /// The next logical line.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "it lends; an iterator cannot")]
    pub fn next(&mut self) -> Option<Line<'_>> {
        let offset = self.at;
        let first = self.line + 1;
        let rest = &self.text[offset..];
        if rest.is_empty() {
            return None;
        }
        // Nearly every line is of this kind: one physical line, borrowed as it stands.
        if let Some(end) = memchr::memchr(b'\n', rest)
            && (end == 0 || rest[end - 1] != b'\\')
        {
            self.at += end + 1;
            self.line = first;
            return Some(Line::new(&rest[..=end], first, first, offset, Ending::Newline));
        }
        self.next_joined(offset, first)
    }

    fn next_joined(&mut self, offset: usize, first: u32) -> Option<Line<'_>> {
        self.joined.clear();
        loop {
            let rest = &self.text[self.at..];
            let end = memchr::memchr(b'\n', rest);
            let length = end.map_or(rest.len(), |end| end + 1);
            if self.joined.try_reserve(length).is_err() {
                // As a line that does not end.
                self.at = self.text.len();
                return Some(Line::new(
                    &self.joined,
                    first,
                    first,
                    offset,
                    Ending::Unterminated,
                ));
            }
            let Some(end) = end else {
                self.joined.extend_from_slice(rest);
                self.at = self.text.len();
                if self.joined.is_empty() {
                    return None;
                }
                self.line += u32::from(!rest.is_empty());
                let last = self.line;
                return Some(Line::new(&self.joined, first, last, offset, Ending::Unterminated));
            };
            self.at += end + 1;
            self.line += 1;
            match rest[..end].split_last() {
                Some((b'\\', head)) => self.joined.extend_from_slice(head),
                _ => {
                    self.joined.extend_from_slice(&rest[..=end]);
                    return Some(Line::new(&self.joined, first, self.line, offset, Ending::Newline));
                }
            }
        }
    }
}

impl<'t> Line<'t> {
    fn new(text: &'t [u8], first: u32, last: u32, offset: usize, ending: Ending) -> Self {
        let ending = if memchr::memchr(0, text).is_some() {
            Ending::Nul
        } else {
            ending
        };
        Line {
            text,
            first,
            last,
            offset,
            ending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(String, u32, u32, Ending)> {
        let mut lines = Lines::new(text);
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            found.push((
                String::from_utf8_lossy(line.text).into(),
                line.first,
                line.last,
                line.ending,
            ));
        }
        found
    }

    #[test]
    fn nothing_is_read_from_what_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        for (path, what) in [(fifo.as_path(), "a FIFO"), (Path::new("/dev/zero"), "a device")] {
            assert_eq!(endless(path), Some(what));
            let Contents::Unreadable(error) = read(path).0 else {
                panic!("{} was read", path.display());
            };
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(matches!(read(Path::new("/dev/null")).0, Contents::Text(text) if text.is_empty()));
    }

    /// A change within the clock tick of the one before would not show.
    #[test]
    fn what_has_just_changed_is_not_settled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table");
        std::fs::write(&path, "ALL: ALL\n").unwrap();
        let metadata = path.metadata().unwrap();
        let id = FileId::of(&metadata);
        let changed = metadata.ctime_nsec().unsigned_abs() + metadata.ctime().unsigned_abs() * 1_000_000_000;
        let after = |milliseconds: i64| {
            let margin = Duration::from_nanos(changed);
            let age = Duration::from_millis(milliseconds.unsigned_abs());
            UNIX_EPOCH
                + if milliseconds < 0 {
                    margin - age
                } else {
                    margin + age
                }
        };
        for (milliseconds, is_settled) in [(-1000, false), (0, false), (50, false), (51, true), (9000, true)]
        {
            assert_eq!(
                id.is_settled(after(milliseconds)),
                is_settled,
                "{milliseconds} ms"
            );
        }
        let before_1970 = FileId {
            changed: (-1, 0),
            ..id
        };
        assert!(!before_1970.is_settled(after(9000)));
    }

    #[test]
    fn every_part_of_an_identity_counts_and_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let id = FileId::of(&directory.path().metadata().unwrap());
        let others = [
            FileId { device: !0, ..id },
            FileId { inode: !0, ..id },
            FileId { size: !0, ..id },
            FileId {
                modified: (-2, 5),
                ..id
            },
            FileId {
                changed: (-3, 7),
                ..id
            },
        ];
        for (at, other) in others.into_iter().enumerate() {
            assert_ne!(other, id, "{at}");
            assert_eq!(FileId::from_bytes(&other.to_bytes()), other, "{at}");
        }
    }

    #[test]
    fn bytes_are_all_that_is_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let text = "a line\n".repeat(100_000);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(bytes(&path).unwrap(), text.as_bytes());
        assert_eq!(
            bytes(directory.path()).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
    }

    #[test]
    fn what_cannot_be_read_as_it_is_is_left_alone_ever_longer() {
        let lease = || Some(io::Error::from(io::ErrorKind::WouldBlock));
        for failed in [lease, || None] {
            let pauses: Vec<_> = (0..).map_while(|tries| pause(tries, failed()).ok()).collect();
            assert!(pauses.is_sorted() && pauses[0] > Duration::ZERO, "{pauses:?}");
            let error = pause(pauses.len(), failed()).unwrap_err();
            let says = if failed().is_some() { "lease" } else { "changing" };
            assert!(error.to_string().contains(says), "{error}");
        }
        let mut attempts = 0;
        let never = until_steady::<()>(|| {
            attempts += 1;
            Ok(None)
        });
        assert_eq!(never.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(attempts, PAUSES.len() + 1);
        let mut attempts = 0..;
        let at_last = until_steady(|| Ok(attempts.next().filter(|attempt| *attempt == 3)));
        assert_eq!(at_last.unwrap(), 3);
        let other = pause(0, Some(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    /// A file of many lines, and where each begins.
    fn long_file(directory: &Path) -> (std::path::PathBuf, String, Vec<usize>) {
        let mut text = String::new();
        let mut starts = Vec::new();
        for number in 0..6000 {
            starts.push(text.len());
            text += &format!("{number}{}\n", "x".repeat(number * 7 % 90));
        }
        let path = directory.join("long");
        std::fs::write(&path, &text).unwrap();
        (path, text, starts)
    }

    #[test]
    fn a_reader_goes_to_where_any_line_begins() {
        let directory = tempfile::tempdir().unwrap();
        let (path, text, starts) = long_file(directory.path());
        let mut reader = Reader::open(&path).unwrap();
        // Near and far, forwards and backwards, and to where it is.
        let far = (0..500).map(|step| step * 2657 % starts.len());
        let near = (0..700).map(|step| step * 3);
        let back = (0..starts.len()).rev().step_by(400);
        for (step, line) in far.chain(near).chain(back).chain([40, 40, 41]).enumerate() {
            if step % 5 == 0 {
                reader.suspend();
                assert!(reader.resume(&path, true).unwrap());
            }
            let start = starts[line];
            let place = reader.jump(start as u64).unwrap().expect("such a line");
            let found = &reader.piece()[place..];
            assert!(
                !found.is_empty() && text.as_bytes()[start..].starts_with(found),
                "{line}"
            );
            // Pieces are whole lines.
            assert!(found.ends_with(b"\n"), "{line}");
        }
        // And on from there.
        let last = starts[starts.len() - 2000];
        let place = reader.jump(last as u64).unwrap().unwrap();
        let mut rest = reader.piece()[place..].to_vec();
        while reader.read_piece().unwrap() {
            rest.extend_from_slice(reader.piece());
        }
        assert_eq!(rest, &text.as_bytes()[last..]);
        assert!(reader.is_unchanged(&path, true).unwrap());
        for beyond in [text.len() as u64, text.len() as u64 + 5] {
            assert_eq!(reader.jump(beyond).unwrap(), None);
        }
    }

    #[test]
    fn who_goes_on_to_what_is_near_reads_more_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (path, text, starts) = long_file(directory.path());
        let mut reader = Reader::open(&path).unwrap();
        // The first jump is to what is near the beginning, of which nothing was read.
        reader.jump(starts[4000] as u64).unwrap();
        reader.jump(starts[100] as u64).unwrap();
        let mut sizes = vec![reader.piece().len()];
        let mut end = starts[100] + sizes[0];
        while end + PIECE < text.len() {
            let next = starts[starts.partition_point(|start| *start < end) + 3];
            assert_eq!(reader.jump(next as u64).unwrap(), Some(0));
            sizes.push(reader.piece().len());
            end = next + reader.piece().len();
        }
        // As much as whole lines leave of 4 kB, 8 kB, and so on.
        for (at, size) in sizes.iter().enumerate() {
            let most = (SMALL_PIECE << at).min(PIECE);
            assert!((most - 100..=most).contains(size), "{at}: {sizes:?}");
        }
        assert!(sizes.len() > 3, "{sizes:?}");
        reader.jump(starts[0] as u64).unwrap();
        assert!(reader.piece().len() <= SMALL_PIECE);
    }

    /// A small file is read at once, with no further read to see that it ends.
    #[test]
    fn small_files_fit_into_one_piece() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("small");
        for lines in [1, 100, 511, 512, 513, 5000] {
            let text = "\n".repeat(lines);
            std::fs::write(&path, &text).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            assert!(reader.read_piece().unwrap());
            assert_eq!(reader.piece(), text.as_bytes());
            assert!(reader.is_read() && !reader.read_piece().unwrap());
            assert!(reader.buffer.len() > lines && reader.buffer.len() <= (lines + 1).max(512));
        }
    }

    #[test]
    fn a_reader_goes_on_only_in_the_same_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, text, _) = long_file(directory.path());
        let mut reader = Reader::open(&path).unwrap();
        assert!(reader.read_piece().unwrap());
        let mut read = reader.piece().to_vec();
        reader.suspend();
        assert!(reader.resume(&path, false).unwrap());
        while reader.read_piece().unwrap() {
            read.extend_from_slice(reader.piece());
        }
        assert_eq!(read, text.as_bytes());
        // Another one in its place: what was read whole needs it no more, unless it is jumped about in.
        reader.suspend();
        let mut begun = Reader::open(&path).unwrap();
        assert!(begun.read_piece().unwrap() && begun.is_unchanged(&path, false).unwrap());
        assert!(!begun.is_unchanged(&path, true).unwrap(), "there is more to read");
        begun.suspend();
        std::fs::rename(&path, directory.path().join("old")).unwrap();
        std::fs::write(&path, &text).unwrap();
        assert!(reader.resume(&path, false).unwrap());
        assert!(!reader.resume(&path, true).unwrap());
        assert!(!reader.is_unchanged(&path, true).unwrap());
        assert!(!begun.resume(&path, false).unwrap());
    }

    /// A piece ends where a logical line does; one that is longer than what is read at once is read whole.
    #[test]
    fn pieces_are_whole_logical_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("joined");
        let long = format!("{}\\\nend\n", "y".repeat(3 * PIECE));
        let joined = "z\\\n".repeat(PIECE / 2) + "end\n";
        let text = ["a\n", &long, "\n", &joined, "b\n", "no end"].concat();
        std::fs::write(&path, &text).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let mut lines = 0;
        let mut read = Vec::new();
        while reader.read_piece().unwrap() {
            let mut in_piece = Lines::new(reader.piece());
            while let Some(line) = in_piece.next() {
                let is_last = read.len() + line.offset + line.text.len() == text.len();
                let ending = if is_last {
                    Ending::Unterminated
                } else {
                    Ending::Newline
                };
                assert_eq!(line.ending, ending);
                lines += 1;
            }
            read.extend_from_slice(reader.piece());
        }
        assert_eq!((read, lines), (text.into_bytes(), 6));
        // It was doubled for the long line.
        assert_eq!(reader.buffer.len(), 4 * PIECE);
    }

    #[test]
    fn a_table_is_stale_once_it_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table");
        let (Contents::Missing, missing) = read(&path) else {
            panic!("there is none");
        };
        assert!(matches!(missing, Seen::Missing) && !missing.is_stale(&path));
        std::fs::write(&path, "x\n").unwrap();
        let there = Seen::File(FileId::of(&path.metadata().unwrap()));
        assert!(missing.is_stale(&path) && !there.is_stale(&path) && Seen::Unsettled.is_stale(&path));
        std::fs::write(&path, "xy\n").unwrap();
        assert!(there.is_stale(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(there.is_stale(&path) && !missing.is_stale(&path));
        // A directory that may not be asked is another matter than a file that is not there.
        let below_a_file = directory.path().join("file");
        std::fs::write(&below_a_file, "").unwrap();
        assert!(missing.is_stale(&below_a_file.join("table")));
    }

    #[test]
    fn a_backslash_joins_the_next_line() {
        assert_eq!(
            lines(b"a\\\nb\\\nc\nd\n"),
            [
                ("abc\n".into(), 1, 3, Ending::Newline),
                ("d\n".into(), 4, 4, Ending::Newline)
            ]
        );
    }

    #[test]
    fn a_backslash_before_cr_lf_does_not() {
        assert_eq!(lines(b"a\\\r\nb\n").len(), 2);
    }

    #[test]
    fn the_last_line_needs_its_newline() {
        assert_eq!(
            lines(b"a\nb"),
            [
                ("a\n".into(), 1, 1, Ending::Newline),
                ("b".into(), 2, 2, Ending::Unterminated)
            ]
        );
        assert_eq!(lines(b"a\\\n"), [("a".into(), 1, 1, Ending::Unterminated)]);
        assert_eq!(lines(b"\\\n"), []);
        assert_eq!(lines(b"a\n\\\n").len(), 1);
        assert_eq!(lines(b"\\\nb"), [("b".into(), 1, 2, Ending::Unterminated)]);
        assert_eq!(
            lines(b"a\\\n\\\nb\\\nc"),
            [("abc".into(), 1, 4, Ending::Unterminated)]
        );
    }

    #[test]
    fn a_nul_byte_is_told_wherever_it_is() {
        for text in [&b"\0\n"[..], b"a\0b\n", b"a\\\nb\0\n", b"\0"] {
            assert_eq!(lines(text).last().unwrap().3, Ending::Nul);
        }
    }
}
