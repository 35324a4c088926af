//! The memory itself: a file of fixed size that every process of one user maps.
//!
//! A source is one 64-bit word: 22 bits that tell it from others, and its TAT in 42, enough for a machine that runs 13
//! years. A hash picks the set of eight
//! words, one line of the processor's cache, in which it may stand. Words change by compare-and-swap alone, and
//! their time only ever grows. A newcomer takes the earliest word of its set, and only one whose time is past, which
//! means what an absent one means; so two processes that bring the same newcomer at once want the same word, one of
//! them fails and finds what the other wrote, and nothing that still counts is forgotten.
//!
//! This is the one file that is mapped into processes: only its own user, who owns them too, can shrink it. It is
//! allocated when it is made, so that a full file system is an error then and no signal later.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;

use crate::network::Network;
use crate::{Answer, Unknown, files};

/// Where the memories of all users are: root's where nobody else can put anything in its way, the others' in a
/// directory below, to which all of them may write.
pub const DIRECTORY: &str = "/run/tcpwrap";
const ROOTS: &str = "limits.root";
const OTHERS: &str = "limits";

/// The directory in which the memories of all other users are.
pub fn others() -> PathBuf {
    Path::new(DIRECTORY).join(OTHERS)
}

/// How many sources a memory holds.
pub const SLOTS: u32 = 1 << 17;
/// The smallest memory.
pub const LEAST_SLOTS: u32 = 64;
/// The largest.
pub const MOST_SLOTS: u32 = 1 << 26;

const MAGIC: u64 = u64::from_le_bytes(*b"tcplim02");
const HEADER: usize = 4096;
/// Words of the header: magic, slots, key (two), the boot, the overflow counter.
const WORD_SLOTS: usize = 1;
const WORD_KEY: usize = 2;
const WORD_BOOT: usize = 4;
const WORD_OVERFLOW: usize = 5;
/// Where counters of decisions begin, and how many there are.
const WORD_DECISIONS: usize = 128;
const DECISIONS: u64 = 256;

const WAYS: usize = 8;
const TIME_BITS: u32 = 42;
const TIME: u64 = (1 << TIME_BITS) - 1;
const TAG: u64 = u64::MAX >> TIME_BITS;

/// The shared memory of limits.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<AtomicU64>,
    size: usize,
    sets: u64,
    key: (u64, u64),
}

// SAFETY: the mapping belongs to no thread, and is only ever reached through atomic operations.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this start and size, and what borrowed from it borrowed `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// Where a source stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    set: u64,
    tag: u64,
}

/// What came of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// The TAT is this now.
    Moved(u64),
    /// The TAT is this and stays.
    Refused(u64),
    /// All words of the set are other sources' and still count.
    Full,
}

impl Memory {
    /// Opens the memory of this process's effective user in a directory, and makes it where there is none. One that
    /// exists keeps the size it has until the machine starts again.
    pub fn open(directory: &Path, slots: u32) -> Answer<Memory> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        let user = unsafe { libc::geteuid() };
        let path = match user {
            0 => directory.join(ROOTS),
            user => directory.join(OTHERS).join(user.to_string()),
        };
        let result = match Self::open_existing(&path, user) {
            Ok(Some(memory)) => Ok(memory),
            Ok(None) => Self::make(directory, &path, slots).and_then(|()| {
                Self::open_existing(&path, user)?
                    .ok_or_else(|| io::Error::other("what was just made there is gone"))
            }),
            Err(error) => Err(error),
        };
        result.map_err(|error| Unknown::file(&path, &error))
    }

    /// The memory, if there is one and it is of this boot.
    fn open_existing(path: &Path, user: u32) -> io::Result<Option<Memory>> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file()
            || metadata.uid() != user
            || metadata.nlink() > 1
            || metadata.mode() & 0o077 != 0
        {
            if user == 0 {
                // Nobody but root can have put it there.
                fs::remove_file(path)?;
                return Ok(None);
            }
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "somebody else's, or not this user's alone",
            ));
        }
        let size = usize::try_from(metadata.len()).unwrap_or(0);
        if size < HEADER {
            fs::remove_file(path)?;
            return Ok(None);
        }
        let memory = Self::map(&file, size)?;
        let boot = memory.word(WORD_BOOT).load(Ordering::Relaxed);
        let slots = memory.word(WORD_SLOTS).load(Ordering::Relaxed);
        let is_sound = memory.word(0).load(Ordering::Relaxed) == MAGIC
            && slots >= u64::from(LEAST_SLOTS)
            && HEADER as u64 + slots * 8 == size as u64
            && (ends_with_boot(&file) || this_boot().is_none_or(|this| this == boot));
        if !is_sound {
            fs::remove_file(path)?;
            return Ok(None);
        }
        Ok(Some(memory))
    }

    fn map(file: &File, size: usize) -> io::Result<Memory> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that exists.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        let mut memory = Memory {
            start,
            size,
            sets: ((size - HEADER) / 8 / WAYS) as u64,
            key: (0, 0),
        };
        let key = |at| memory.word(WORD_KEY + at).load(Ordering::Relaxed);
        memory.key = (key(0), key(1));
        Ok(memory)
    }

    /// Makes the file whole, then gives it its name, unless somebody else has given it to his.
    fn make(directory: &Path, path: &Path, slots: u32) -> io::Result<()> {
        let others = directory.join(OTHERS);
        if !others.is_dir() {
            files::make_directory(directory)?;
            match DirBuilder::new().mode(0o700).create(&others) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                // Every user keeps a file here, and nobody can remove another's.
                _ => fs::set_permissions(&others, fs::Permissions::from_mode(0o1777))?,
            }
        }
        // A name that nobody can have taken before.
        let mut name = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut name)?;
        let new = path.with_file_name(format!("new.{:016x}", u64::from_ne_bytes(name)));
        let made = Self::fill(&new, slots).and_then(|()| match rename_if_free(&new, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
        let _ = fs::remove_file(&new);
        made
    }

    fn fill(path: &Path, slots: u32) -> io::Result<()> {
        let slots = slots.clamp(LEAST_SLOTS, MOST_SLOTS).next_multiple_of(WAYS as u32);
        let size = HEADER as u64 + u64::from(slots) * 8;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let length = i64::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the descriptor is open, and no memory is passed.
        let failed = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        let mut key = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let mut head = Vec::with_capacity(48);
        head.extend_from_slice(&MAGIC.to_le_bytes());
        head.extend_from_slice(&u64::from(slots).to_le_bytes());
        head.extend_from_slice(&key);
        head.extend_from_slice(&this_boot().unwrap_or(0).to_le_bytes());
        file.write_all(&head)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        let at = at.min(self.size / 8 - 1);
        // SAFETY: the mapping is aligned to a page, holds `size` bytes, and `at` is a word within; every access to it
        // is atomic, in this process and in others. It lives as long as `self`.
        unsafe { self.start.add(at).as_ref() }
    }

    fn set(&self, at: At) -> [&AtomicU64; WAYS] {
        let first = HEADER / 8 + at.set as usize * WAYS;
        std::array::from_fn(|way| self.word(first + way))
    }

    pub(super) fn place(&self, rule: &[u8], source: Network) -> At {
        let (bits, length) = source.raw();
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u128(bits);
        hasher.write_u8(length);
        hasher.write(rule);
        let hash = hasher.finish();
        At {
            set: ((u128::from(hash) * u128::from(self.sets)) >> 64) as u64,
            // Never 0, so that no source is taken for an empty word.
            tag: (hash & TAG).max(1),
        }
    }

    /// Moves the TAT of a source on; `step` is given the present one, 0 for none, and says whether and where to.
    pub(super) fn update(&self, at: At, now: u64, step: impl Fn(u64) -> Option<u64>) -> Update {
        let set = self.set(at);
        loop {
            // Each word is loaded once: what is looked for and the choice of the earliest must be of one piece.
            let words = set.map(|word| word.load(Ordering::Acquire));
            let own = words.iter().position(|word| word >> TIME_BITS == at.tag);
            let way = match own {
                Some(way) => way,
                None => {
                    let earliest = (0..WAYS).min_by_key(|way| words[*way] & TIME).unwrap_or(0);
                    if words[earliest] & TIME > now {
                        return Update::Full;
                    }
                    earliest
                }
            };
            let tat = own.map_or(0, |way| words[way] & TIME);
            let Some(new) = step(tat) else {
                return Update::Refused(tat);
            };
            // A time beyond all times would be another source's.
            let new = new.min(TIME);
            let word = at.tag << TIME_BITS | new;
            if word == words[way] {
                return Update::Refused(tat);
            }
            let swapped = set[way].compare_exchange(words[way], word, Ordering::AcqRel, Ordering::Relaxed);
            if swapped.is_ok() {
                return Update::Moved(new);
            }
        }
    }

    /// The TAT of a source.
    pub(super) fn find(&self, at: At) -> Option<u64> {
        let words = self.set(at).map(|word| word.load(Ordering::Acquire));
        let own = words.iter().find(|word| **word >> TIME_BITS == at.tag)?;
        Some(own & TIME)
    }

    pub(super) fn count_overflow(&self) {
        self.word(WORD_OVERFLOW).fetch_add(1, Ordering::Relaxed);
    }

    /// How often there was no room for a source, and a wider one was counted.
    pub fn overflow(&self) -> u64 {
        self.word(WORD_OVERFLOW).load(Ordering::Relaxed)
    }

    /// How many sources it can hold.
    pub fn slots(&self) -> u64 {
        self.sets * WAYS as u64
    }

    /// How many sources count at present.
    pub fn used(&self) -> u64 {
        let now = super::now();
        let words = HEADER / 8..self.size / 8;
        words
            .filter(|at| self.word(*at).load(Ordering::Relaxed) & TIME > now)
            .count() as u64
    }

    /// Counts a decision about connections to a port, and says how many there were before.
    pub fn count_decision(&self, port: u16) -> u64 {
        let at = WORD_DECISIONS + (u64::from(port) % DECISIONS) as usize;
        self.word(at).fetch_add(1, Ordering::AcqRel)
    }
}

/// Renames a file, unless something has the new name already. At no time has it both.
fn rename_if_free(from: &Path, to: &Path) -> io::Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let (from, to) = (text(from)?, text(to)?);
    // SAFETY: both are C strings that outlive the call, which keeps nothing.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    match failed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Is the file in memory, and so of this run of the machine, as `/run` usually is?
fn ends_with_boot(file: &File) -> bool {
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the descriptor is open, `found` a place for the result, of numbers for which zeros are good.
    let found = unsafe {
        libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr());
        found.assume_init()
    };
    found.f_type == libc::TMPFS_MAGIC
}

/// What tells this run of the machine from others, if it can be told.
fn this_boot() -> Option<u64> {
    let id = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let mut hasher = SipHasher13::new();
    hasher.write(&id);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::os::fd::FromRawFd;

    use super::*;

    /// A memory that another run of the machine has left behind counts nothing. What is in memory cannot be one.
    #[test]
    fn a_memory_of_another_boot_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Memory::open(directory.path(), LEAST_SLOTS).unwrap();
        let memory = open();
        let at = memory.place(b"rule", Network::from(IpAddr::from([192, 0, 2, 7])));
        assert_eq!(memory.update(at, 1, |_| Some(7)), Update::Moved(7));
        assert_eq!(open().find(at), Some(7));
        memory.word(WORD_BOOT).fetch_add(1, Ordering::Relaxed);
        let is_kept = ends_with_boot(&File::open(directory.path()).unwrap());
        let again = open();
        assert_eq!(again.key == memory.key, is_kept);
    }

    #[test]
    fn what_ends_with_the_machines_run() {
        // SAFETY: a C string and a number; the descriptor is new.
        let file = unsafe { File::from_raw_fd(libc::memfd_create(c"memory".as_ptr(), 0)) };
        assert!(ends_with_boot(&file));
        assert!(!ends_with_boot(&File::open("/proc/self/stat").unwrap()));
    }
}
