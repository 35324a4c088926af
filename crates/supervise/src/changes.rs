//! Hears of changes to files, so that nobody has to look at them before each decision.
//!
//! The kernel queues what inotify(7) tells of before the call returns that made the change. So whoever finds the queue
//! empty after a connection has been accepted knows that nothing was changed before that. This holds for what is
//! written, truncated, replaced, renamed, created and removed, also by way of a symbolic link in the path or another
//! name of the file, and for every directory above it. It does not hold where changes are made elsewhere (network file
//! systems, FUSE, what lies below an overlay), which is told apart; for what is written through a mapping until that is
//! undone; and for mounts. So a look from time to time stays necessary.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::call::{Epoll, check, owned};

/// How far a file system is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// It tells of all changes.
    Tells,
    /// It must be looked at, which takes no time.
    Local,
    /// To look at it may take as long as somebody else likes.
    Remote,
}

/// File systems of this host alone, by the magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, F2FS, ZFS,
/// and read-only ones: EROFS, SquashFS, ISO 9660.
const TELLS: &[i64] = &[
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x8584_58f6,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xe0f5_e1e2,
    0x7371_7368,
    0x9660,
];
/// overlayfs, bcachefs, JFS, ReiserFS, eCryptfs, FAT, exFAT, proc, sysfs.
const LOCAL: &[i64] = &[
    0x794c_7630,
    0xca45_1a4e,
    0x3153_464a,
    0x5265_4973,
    0xf15f,
    0x4d44,
    0x2011_bab0,
    0x9fa0,
    0x6265_6572,
];

/// What happens to anything itself.
const OF_ALL: u32 = libc::IN_DELETE_SELF | libc::IN_MOVE_SELF;
/// A name appears in a directory.
const OF_NAME: u32 = OF_ALL | libc::IN_CREATE | libc::IN_MOVED_TO;
/// A file is changed; or a link to it is taken away, as by putting another file in its place.
const OF_FILE: u32 = OF_ALL | libc::IN_ATTRIB | libc::IN_MODIFY | libc::IN_CLOSE_WRITE;

/// How many links a path may lead through.
const LINKS: usize = 40;

/// Files that are watched.
#[derive(Debug)]
pub(crate) struct Changes {
    inotify: File,
    /// Of that alone. To ask it is a third of what it takes to read nothing.
    events: Epoll,
    /// The names that matter in directories where they are missing.
    names: HashMap<i32, HashSet<OsString>>,
    paths: HashSet<PathBuf>,
    trust: Trust,
}

impl Changes {
    /// # Errors
    /// The user has no watches left.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes a number; the descriptor is new.
        let inotify = unsafe { owned(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC).into()) }?;
        let events = Epoll::new()?;
        events.add(inotify.as_fd(), libc::EPOLLIN, 0)?;
        Ok(Changes {
            inotify: inotify.into(),
            events,
            names: HashMap::new(),
            paths: HashSet::new(),
            trust: Trust::Tells,
        })
    }

    /// What is to be done to know of changes.
    pub(crate) fn trust(&self) -> Trust {
        self.trust
    }

    /// Is the path watched?
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    /// Watches an absolute path, whatever is there now.
    pub(crate) fn add(&mut self, path: &Path) {
        self.paths.insert(path.to_path_buf());
        let mut at = PathBuf::from("/");
        self.trust = self.trust.max(trust(&at));
        let mut rest: VecDeque<OsString> = parts(path).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                // There are no links in `at`.
                at.pop();
                continue;
            }
            let next = at.join(&name);
            // What others do in the same directory is not heard of.
            let directory = self.watch(&next, OF_ALL | libc::IN_ONLYDIR);
            if directory.or_else(|| self.watch(&next, OF_FILE)).is_none() {
                return self.expect(&at, &name);
            }
            if !next.is_symlink() {
                self.trust = self.trust.max(trust(&next));
                at = next;
                continue;
            }
            links += 1;
            let Some(target) = next.read_link().ok().filter(|_| links <= LINKS) else {
                return;
            };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(part);
            }
        }
    }

    /// Watches for a name in a directory, which may have come meanwhile.
    fn expect(&mut self, directory: &Path, name: &OsStr) {
        match self.watch(directory, OF_NAME) {
            Some(watch) => self.names.entry(watch).or_default().insert(name.to_owned()),
            None => return self.trust = self.trust.max(Trust::Local),
        };
        if directory.join(name).symlink_metadata().is_ok() {
            self.trust = self.trust.max(Trust::Local);
        }
    }

    /// Watches what a path names itself.
    fn watch(&mut self, path: &Path, mask: u32) -> Option<i32> {
        let text = CString::new(path.as_os_str().as_bytes()).ok()?;
        let mask = mask | libc::IN_MASK_ADD | libc::IN_DONT_FOLLOW;
        // SAFETY: a C string, and numbers.
        let watch = unsafe { libc::inotify_add_watch(self.inotify.as_raw_fd(), text.as_ptr(), mask) };
        Some(check(watch.into()).ok()? as i32)
    }

    /// Has nothing been changed since it is watched? Once the answer was no, it says nothing any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.events.is_quiet() || self.is_about_others()
    }

    fn is_about_others(&self) -> bool {
        let mut events = [0u8; 4096];
        match (&self.inotify).read(&mut events) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            // Should there be more, then that is somebody who keeps us busy; let others look.
            Ok(length) => self.are_others(&events[..length]) && self.has_no_more(),
        }
    }

    fn has_no_more(&self) -> bool {
        let more = (&self.inotify).read(&mut [0u8; 4096]);
        more.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Are all these events about names that do not matter?
    fn are_others(&self, mut events: &[u8]) -> bool {
        const HEAD: usize = size_of::<libc::inotify_event>();
        let word = |events: &[u8], at: usize| {
            let bytes = events[at..at + 4].try_into().unwrap_or_default();
            u32::from_ne_bytes(bytes)
        };
        while events.len() >= HEAD {
            let (watch, length) = (word(events, 0) as i32, word(events, 12) as usize);
            let Some(name) = events.get(HEAD..HEAD + length) else {
                return false;
            };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let of_others = !name.is_empty()
                && self
                    .names
                    .get(&watch)
                    .is_none_or(|names| !names.contains(OsStr::from_bytes(name)));
            if !of_others {
                return false;
            }
            events = &events[HEAD + length..];
        }
        true
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// How far the file system is to be trusted that a path is in.
fn trust(path: &Path) -> Trust {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return Trust::Local;
    };
    // SAFETY: plain data, of which zeroes are valid; a C string, and room for the answer.
    let (status, kind) = unsafe {
        let mut answer: libc::statfs = std::mem::zeroed();
        let status = libc::statfs(path.as_ptr(), &mut answer);
        (status, answer.f_type as i64)
    };
    if status != 0 {
        Trust::Local
    } else if TELLS.contains(&kind) {
        Trust::Tells
    } else if LOCAL.contains(&kind) {
        Trust::Local
    } else {
        Trust::Remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A directory on a file system that tells of its changes.
    fn directory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    fn watched(path: &Path) -> Changes {
        let mut changes = Changes::new().unwrap();
        changes.add(path);
        assert_eq!(changes.trust(), Trust::Tells);
        assert!(changes.is_quiet());
        changes
    }

    #[test]
    fn every_way_to_change_a_file() {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("a")).unwrap();
        let file = at("a/table");
        fs::write(&file, "x").unwrap();
        symlink("a", at("link")).unwrap();
        symlink("link/table", at("alias")).unwrap();
        let ways: &[(&str, &dyn Fn())] = &[
            ("written", &|| fs::write(&file, "y").unwrap()),
            ("replaced", &|| {
                fs::write(at("new"), "z").unwrap();
                fs::rename(at("new"), &file).unwrap();
            }),
            ("by another name", &|| {
                fs::hard_link(&file, at("other")).unwrap();
                fs::write(at("other"), "w").unwrap();
            }),
            ("made unreadable", &|| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(&file, mode).unwrap();
            }),
            ("a directory above", &|| {
                fs::rename(at("a"), at("b")).unwrap();
                fs::rename(at("b"), at("a")).unwrap();
            }),
            ("a link in the path", &|| {
                fs::remove_file(at("link")).unwrap();
                symlink("a", at("link")).unwrap();
            }),
            ("removed", &|| fs::remove_file(&file).unwrap()),
            ("created", &|| fs::write(&file, "new").unwrap()),
            ("its directory is removed", &|| {
                fs::remove_dir_all(at("a")).unwrap()
            }),
            ("its directory is made", &|| fs::create_dir(at("a")).unwrap()),
        ];
        for (what, way) in ways {
            let changes = watched(&at("alias"));
            way();
            assert!(!changes.is_quiet(), "{what}");
        }
    }

    #[test]
    fn what_others_do_beside_it() {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("table"), "x").unwrap();
        let changes = watched(&at("table"));
        for _ in 0..10 {
            fs::write(at("other"), "x").unwrap();
            fs::remove_file(at("other")).unwrap();
            fs::read(at("table")).unwrap();
            assert!(changes.is_quiet());
        }
        for n in 0..1000 {
            fs::write(at(&format!("other{n}")), "x").unwrap();
        }
        assert!(changes.is_quiet());
        // Of a name that is missing one hears, and of others in its place; but more than one is to look at in one go.
        let changes = watched(&at("missing"));
        fs::write(at("another"), "x").unwrap();
        assert!(changes.is_quiet());
        for n in 0..1000 {
            fs::remove_file(at(&format!("other{n}"))).unwrap();
            fs::write(at(&format!("other{n}")), "x").unwrap();
        }
        assert!(!changes.is_quiet());
    }

    #[test]
    fn links_that_lead_nowhere() {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        symlink("loop", at("loop")).unwrap();
        let changes = watched(&at("loop/table"));
        fs::remove_file(at("loop")).unwrap();
        assert!(!changes.is_quiet());
    }

    #[test]
    fn file_systems_that_must_be_looked_at() {
        let mut changes = Changes::new().unwrap();
        changes.add(Path::new("/proc/self/status"));
        assert_eq!(changes.trust(), Trust::Local);
    }
}
