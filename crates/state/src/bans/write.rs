//! Writing the ban list so that nothing acknowledged is lost, whenever the writer or the machine ends.
//!
//! Whoever writes holds a lock in a directory that only the list's owner can enter, so nobody else can make him wait.
//! A ban is appended whole, and is on the disk before it is acknowledged. What a writer that was killed left unfinished
//! at the end, the next one cuts off.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::list::{FRESH, contents_about, read_from};
use super::text::{self, Ban, Expiry, HEADING, Said};
use crate::network::Network;
use crate::{files, stamp};

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: flock takes a descriptor, which `file` keeps open, and no memory.
    match unsafe { libc::flock(file.as_raw_fd(), operation) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A list that can be written to.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    lock: PathBuf,
}

/// A lock, held until this is dropped.
pub(super) struct Locked(#[allow(dead_code, reason = "held for its lock")] File);

/// What is done under a lock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Changing the list.
    Writing,
    /// Preparing a new one, which may take long.
    Rewriting,
}

/// What writing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is in the list.
    Yes,
    /// Somebody else is writing.
    Busy,
}

impl Writer {
    /// The list at this path. It and its directory are made when there is something to write.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        Writer {
            path,
            lock: lock.into(),
        }
    }

    /// The list's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a lock.
    pub(super) fn lock(&self, task: Task) -> io::Result<Locked> {
        let file = self.lock_file(task)?;
        while let Err(error) = flock(&file, libc::LOCK_EX) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(Locked(file))
    }

    /// Takes a lock if it is nobody's.
    pub(super) fn try_lock(&self, task: Task) -> io::Result<Option<Locked>> {
        let file = self.lock_file(task)?;
        match flock(&file, libc::LOCK_EX | libc::LOCK_NB) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            taken => taken.map(|()| Some(Locked(file))),
        }
    }

    fn lock_file(&self, task: Task) -> io::Result<File> {
        let name = match task {
            Task::Writing => "lock",
            Task::Rewriting => "rewriting",
        };
        let open = || {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(self.lock.join(name))
        };
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = self.path.parent() {
                    files::make_directory(parent)?;
                }
                match DirBuilder::new().mode(0o700).create(&self.lock) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => open(),
                }
            }
            file => file,
        }
    }

    /// Opens the list to append to it, makes it where there is none, and cuts off what has no end.
    pub(super) fn open(&self, _locked: &Locked) -> io::Result<(File, u64)> {
        let options = || {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .append(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
            options
        };
        let file = match options().open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Whole from the first moment: a reader never finds half a heading.
                let new = self.beside("new");
                files::write_new(&new, HEADING.as_bytes())?;
                fs::rename(&new, &self.path)?;
                self.sync_directory()?;
                options().open(&self.path)?
            }
            file => file?,
        };
        let size = file.metadata()?.len();
        let end = list_size(&file)?;
        if end < size {
            file.set_len(end)?;
        }
        Ok((file, end))
    }

    fn append(&self, locked: &Locked, bans: &[Ban]) -> io::Result<File> {
        let mut text = String::new();
        bans.iter().for_each(|ban| ban.write(&mut text));
        let (mut file, end) = self.open(locked)?;
        if let Err(error) = file.write_all(text.as_bytes()) {
            // All or nothing; should this fail too, the next writer does it.
            let _ = file.set_len(end);
            return Err(error);
        }
        Ok(file)
    }

    /// Adds bans, or changes what their origins said of these networks before. When this returns they are on the disk,
    /// and every process that reads the list knows them.
    ///
    /// # Errors
    /// Then none of them is in the list.
    pub fn add(&self, bans: &[Ban]) -> io::Result<()> {
        if bans.is_empty() {
            return Ok(());
        }
        let file = self.append(&self.lock(Task::Writing)?, bans)?;
        file.sync_data()?;
        std::thread::sleep(FRESH);
        Ok(())
    }

    /// Adds bans without waiting for anything: not for the lock, nor for the disk.
    ///
    /// # Errors
    /// Then none of them is in the list.
    pub fn try_add(&self, bans: &[Ban]) -> io::Result<Written> {
        match self.try_lock(Task::Writing)? {
            Some(locked) => self.append(&locked, bans).map(|_| Written::Yes),
            None => Ok(Written::Busy),
        }
    }

    /// Takes back the bans that are not over of the networks that are wanted, and of this origin, where one is given.
    /// Returns them. Like [`add`](Self::add), it returns when that is on the disk and known.
    ///
    /// # Errors
    /// Then none is taken back.
    pub fn lift(
        &self,
        wanted: &dyn Fn(Network) -> bool,
        origin: Option<&str>,
        now: u64,
    ) -> io::Result<Vec<Ban>> {
        let locked = self.lock(Task::Writing)?;
        let mut bans = contents_about(&self.path, wanted)?.bans;
        bans.retain(|ban| !ban.expiry.is_over(now) && origin.is_none_or(|origin| ban.origin == origin));
        if bans.is_empty() {
            return Ok(bans);
        }
        let ends: Vec<Ban> = bans
            .iter()
            .map(|ban| Ban {
                // Not now: a clock that is put back must not bring it back.
                expiry: Expiry::At(0),
                reason: format!("taken back {}", stamp::show(now)),
                ..ban.clone()
            })
            .collect();
        let file = self.append(&locked, &ends)?;
        drop(locked);
        file.sync_data()?;
        std::thread::sleep(FRESH);
        Ok(bans)
    }

    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(ending);
        path.into()
    }

    pub(super) fn sync_directory(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// The size of a list up to the end of its last whole line.
///
/// # Errors
/// It is no list: the configuration may name any file by mistake, and nothing of that may be lost.
fn list_size(file: &File) -> io::Result<u64> {
    /// More than any line has.
    const LONGEST: u64 = 4096;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(files::not_a_file());
    }
    let no_list = |why: &str| {
        let problem = format!("not a ban list: {why}; see [bans] file in tcpwrap.toml");
        io::Error::new(io::ErrorKind::InvalidData, problem)
    };
    let piece = |start: u64, end: u64| -> io::Result<Vec<u8>> {
        let mut piece = vec![0; end.saturating_sub(start) as usize];
        file.read_exact_at(&mut piece, start)?;
        Ok(piece)
    };
    let size = metadata.len();
    let start = size.saturating_sub(LONGEST);
    let end = match text::whole(&piece(start, size)?) {
        0 if start > 0 => return Err(no_list("its last line is too long for one")),
        whole => start + whole as u64,
    };
    let names_one = |text: &[u8]| text::lines(text).any(|(_, line)| matches!(text::read(line), Said::Ban(_)));
    let start = piece(0, size.min(LONGEST))?;
    // The list is locked meanwhile, and nearly always its beginning tells.
    if !start.starts_with(text::MARK) && !names_one(&start) {
        let all = read_from(file, 0, size)?;
        let says_something = text::lines(&all).any(|(_, line)| text::read(line) != Said::Nothing);
        if says_something && !names_one(&all) {
            return Err(no_list("none of its lines names a network"));
        }
    }
    Ok(end)
}
