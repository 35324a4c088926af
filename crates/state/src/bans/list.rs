//! Who is banned: the list as those who decide read it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use super::index::{Index, Lengths, Mark, Marks, mark, origin_mark};
use super::text::{self, Ban, Expiry, Said};
use crate::network::Network;
use crate::{Answer, Unknown, files};

/// How old what a resident knows of the list may be.
pub const FRESH: Duration = Duration::from_millis(10);

/// A ban that holds for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The network that is banned.
    pub network: Network,
    /// Until when: the latest, where several bans hold.
    pub expiry: Expiry,
    at: u64,
}

/// Where the index of a list is.
pub(crate) fn index_path(list: &Path) -> PathBuf {
    let mut path = list.as_os_str().to_owned();
    path.push(".index");
    path.into()
}

/// Lines of the list that no index covers.
#[derive(Debug, Default)]
struct Tail {
    marks: HashMap<Network, Marks>,
    lengths: Lengths,
    damaged: bool,
}

impl Tail {
    /// Takes in the whole lines of a file from `start` on, as [`read`](Self::read); returns where they end.
    fn scan(&mut self, file: &File, start: u64, end: u64, only: Option<IpAddr>) -> io::Result<u64> {
        /// More than any line has. Memory that a process has not had yet costs it more than another read.
        const PIECE: usize = 8192;
        if only.is_none() {
            let text = read_from(file, start, end)?;
            self.read(&text, start, only);
            return Ok(start + text.len() as u64);
        }
        let mut at = start;
        let mut piece = [0; PIECE];
        while at < end {
            let wanted = (end - at).min(PIECE as u64) as usize;
            let read = match file.read_at(&mut piece[..wanted], at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            match text::whole(&piece[..read]) {
                // A line that long is none of ours.
                0 if read == PIECE => {
                    let text = read_from(file, at, end)?;
                    self.read(&text, at, only);
                    return Ok(at + text.len() as u64);
                }
                0 => break,
                whole => {
                    self.read(&piece[..whole], at, only);
                    at += whole as u64;
                }
            }
        }
        Ok(at)
    }

    /// Takes in whole lines of which the first begins at `start`; of those that concern `only`, where it is given.
    fn read(&mut self, text: &[u8], start: u64, only: Option<IpAddr>) {
        let client = only.map(|address| address.to_canonical());
        for (at, line) in text::lines(text) {
            // Nearly all of the lines are like this.
            if client.is_some_and(|client| Network::begins_with_another(line, client)) {
                continue;
            }
            let wanted = |network: Network| only.is_none_or(|address| network.contains(address));
            match text::read_about(line, wanted) {
                Said::Nothing => {}
                Said::Damaged => self.damaged = true,
                Said::Ban(line) => {
                    self.lengths.add(line.network);
                    let new = Mark {
                        origin: origin_mark(line.origin),
                        expiry: line.expiry,
                        at: start + at as u64,
                    };
                    mark(self.marks.entry(line.network).or_default(), new);
                }
            }
        }
    }
}

/// The list at one time.
#[derive(Debug, Default)]
struct Data {
    base: Option<Index>,
    tail: Tail,
}

impl Data {
    fn open(path: &Path, only: Option<IpAddr>) -> io::Result<Option<(Data, Position)>> {
        let (file, metadata) = match files::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut base = files::open(&index_path(path))
            .ok()
            .and_then(|(index, _)| Index::open(index, &file));
        if only.is_none() {
            // One that is damaged is done without.
            base = base.and_then(|index| index.into_memory().ok());
        }
        let start = base.as_ref().map_or(0, Index::covers);
        let mut tail = Tail::default();
        let offset = tail.scan(&file, start, metadata.len(), only)?;
        let position = Position {
            device: metadata.dev(),
            inode: metadata.ino(),
            offset,
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        };
        Ok(Some((Data { base, tail }, position)))
    }

    /// The ban that holds longest.
    fn look_up(&self, address: IpAddr, now: u64) -> io::Result<Answer<Option<Found>>> {
        let mut found: Option<Found> = None;
        let mut seen = |network, marks: &Marks| {
            for mark in marks.iter().filter(|mark| !mark.expiry.is_over(now)) {
                if found.is_none_or(|found| found.expiry < mark.expiry) {
                    found = Some(Found {
                        network,
                        expiry: mark.expiry,
                        at: mark.at,
                    });
                }
            }
        };
        let in_base = self.base.iter().flat_map(|base| base.lengths().around(address));
        for network in in_base {
            let mut marks = Marks::new();
            if let Some(base) = &self.base {
                base.marks(network, &mut marks)?;
            }
            // What was written later stands in place of it.
            for later in self.tail.marks.get(&network).into_iter().flatten() {
                mark(&mut marks, *later);
            }
            seen(network, &marks);
        }
        for network in self.tail.lengths.around(address) {
            let in_base = self.base.as_ref().is_some_and(|base| base.lengths().has(network));
            if let Some(marks) = self.tail.marks.get(&network).filter(|_| !in_base) {
                seen(network, marks);
            }
        }
        let damaged = self.tail.damaged || self.base.as_ref().is_some_and(|base| base.damaged().is_some());
        Ok(match found {
            None if damaged => Err(Unknown::new(
                "the ban list has a line that cannot be read; \"tcpwrap bans\" shows it",
            )),
            found => Ok(found),
        })
    }
}

/// The whole lines of a file from `start` on.
pub(crate) fn read_from(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut file = file;
    file.seek(SeekFrom::Start(start))?;
    let mut text = files::read(file, end.saturating_sub(start))?;
    text.truncate(text::whole(&text));
    Ok(text)
}

/// Asks the list once.
pub fn look_up(path: &Path, address: IpAddr, now: u64) -> Answer<Option<Found>> {
    let ask = |indexed: bool| -> io::Result<Answer<Option<Found>>> {
        let data = match Data::open(path, Some(address))? {
            None => return Ok(Ok(None)),
            Some((data, _)) => data,
        };
        match (indexed, data.base.is_some()) {
            (false, true) => {
                let (file, metadata) = files::open(path)?;
                let mut data = Data::default();
                data.tail.scan(&file, 0, metadata.len(), Some(address))?;
                data.look_up(address, now)
            }
            _ => data.look_up(address, now),
        }
    };
    // An index that turns out to be damaged is done without.
    ask(true)
        .or_else(|_| ask(false))
        .unwrap_or_else(|error| Err(Unknown::file(path, &error)))
}

/// How far the list was read, and what it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    device: u64,
    inode: u64,
    offset: u64,
    changed: (i64, i64),
}

/// The list, for a process that asks often. It keeps all bans in memory, and notices within [`FRESH`] what is written.
///
/// Nobody ever waits for another thread here: whoever finds the memory busy reads the files.
#[derive(Debug)]
pub struct List {
    path: PathBuf,
    data: RwLock<Option<Data>>,
    position: Mutex<Option<Position>>,
    made: Instant,
    /// Milliseconds after `made` of the last look at the file, and one.
    looked: AtomicU64,
}

impl List {
    /// The list at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        List {
            path: path.into(),
            data: RwLock::new(None),
            position: Mutex::new(None),
            made: Instant::now(),
            looked: AtomicU64::new(0),
        }
    }

    /// Is the address banned now?
    pub fn look_up(&self, address: IpAddr, now: u64) -> Answer<Option<Found>> {
        if self.is_fresh()?
            && let Ok(data) = self.data.try_read()
            && let Some(data) = &*data
            && let Ok(answer) = data.look_up(address, now)
        {
            return answer;
        }
        look_up(&self.path, address, now)
    }

    /// Lets go of what was read. It is read again when it is asked for.
    pub(crate) fn forget(&self) {
        self.looked.store(0, Ordering::Release);
        if let (Ok(mut position), Ok(mut data)) = (self.position.try_lock(), self.data.try_write()) {
            (*position, *data) = (None, None);
        }
    }

    /// What the line of a ban that was found says, unless the list has been written anew since.
    pub fn ban(&self, found: &Found) -> Option<Ban> {
        ban_at(&self.path, found)
    }

    /// Takes in what is new, if it is time to look. A list that cannot be read any more is kept as it was.
    fn is_fresh(&self) -> Answer<bool> {
        let now = self.made.elapsed().as_millis() as u64 + 1;
        let looked = self.looked.load(Ordering::Acquire);
        if looked != 0 && now < looked + FRESH.as_millis() as u64 {
            return Ok(true);
        }
        let Ok(mut position) = self.position.try_lock() else {
            return Ok(false);
        };
        match self.read_on(&mut position) {
            Err(error) if position.is_none() => return Err(Unknown::file(&self.path, &error)),
            Ok(false) => return Ok(false),
            Ok(true) | Err(_) => {}
        }
        self.looked.store(now, Ordering::Release);
        Ok(true)
    }

    /// Takes in what is new; not if somebody is just asking.
    fn read_on(&self, position: &mut Option<Position>) -> io::Result<bool> {
        let metadata = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *position = None;
                return Ok(self.replace(Data::default()));
            }
            metadata => metadata?,
        };
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        if let Some(position) = position
            && (position.device, position.inode) == (metadata.dev(), metadata.ino())
        {
            if metadata.len() == position.offset && position.changed == changed {
                return Ok(true);
            }
            if metadata.len() > position.offset {
                let (file, opened) = files::open(&self.path)?;
                if opened.ino() == position.inode {
                    let text = read_from(&file, position.offset, metadata.len())?;
                    let Ok(mut data) = self.data.try_write() else {
                        return Ok(false);
                    };
                    if let Some(data) = &mut *data {
                        data.tail.read(&text, position.offset, None);
                    }
                    position.offset += text.len() as u64;
                    position.changed = changed;
                    return Ok(true);
                }
            }
        }
        let (data, read) = Data::open(&self.path, None)?.unzip();
        let replaced = self.replace(data.unwrap_or_default());
        if replaced {
            *position = read;
        }
        Ok(replaced)
    }

    fn replace(&self, new: Data) -> bool {
        match self.data.try_write() {
            Ok(mut data) => {
                *data = Some(new);
                true
            }
            Err(_) => false,
        }
    }
}

/// What the line of a ban that was found says, unless the list has been written anew since.
pub fn ban_at(path: &Path, found: &Found) -> Option<Ban> {
    const LONGEST: usize = 1024;
    let (file, _) = files::open(path).ok()?;
    let mut text = vec![0; LONGEST];
    let read = file.read_at(&mut text, found.at).ok()?;
    let end = memchr::memchr(b'\n', &text[..read])?;
    match text::read(&text[..end]) {
        Said::Ban(line) if line.network == found.network && line.expiry == found.expiry => {
            Some(Ban::from_line(&line))
        }
        _ => None,
    }
}

/// All of a list, for people.
#[derive(Debug, Default)]
pub struct Contents {
    /// For each network and origin what was said last, in the order of the list.
    pub bans: Vec<Ban>,
    /// The numbers of lines that cannot be read, and the lines.
    pub damaged: Vec<(usize, Vec<u8>)>,
    /// How many lines later ones stand in place of.
    pub superseded: usize,
    /// What stands behind the last line's end: no ban, and the next change removes it.
    pub unfinished: Vec<u8>,
}

/// Reads all of a list. One that does not exist is empty.
///
/// # Errors
/// When it cannot be read.
pub fn contents(path: &Path) -> io::Result<Contents> {
    contents_about(path, &|_| true)
}

/// Reads what a list says of some networks.
pub(crate) fn contents_about(path: &Path, wanted: &dyn Fn(Network) -> bool) -> io::Result<Contents> {
    let (file, metadata) = match files::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
        opened => opened?,
    };
    Ok(contents_of(&files::read(file, metadata.len())?, wanted))
}

pub(crate) fn contents_of(text: &[u8], wanted: &dyn Fn(Network) -> bool) -> Contents {
    let mut contents = Contents {
        unfinished: text[text::whole(text)..].to_vec(),
        ..Contents::default()
    };
    let mut last: HashMap<(Network, &[u8]), usize> = HashMap::new();
    let mut bans: Vec<Option<Ban>> = Vec::new();
    for (number, (_, line)) in (1..).zip(text::lines(text)) {
        match text::read(line) {
            Said::Nothing => {}
            Said::Damaged => contents.damaged.push((number, line.to_vec())),
            Said::Ban(line) if !wanted(line.network) => {}
            Said::Ban(line) => {
                if let Some(old) = last.insert((line.network, line.origin), bans.len()) {
                    bans[old] = None;
                    contents.superseded += 1;
                }
                bans.push(Some(Ban::from_line(&line)));
            }
        }
    }
    contents.bans = bans.into_iter().flatten().collect();
    contents
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
