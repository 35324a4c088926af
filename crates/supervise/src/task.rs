//! A thread of the guarded program as the guard reaches it: its descriptors, and its files in `/proc`.
//!
//! Both need the permission a debugger needs. A pidfd and a directory in `/proc` stay with the thread they were
//! opened for, so they may be kept: when the number is used again, the old ones fail. The thread may execute
//! another program meanwhile, see [`memory`](crate::memory).

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::{check, option, owned};
use crate::pool::close_elsewhere;

/// Opens one thread rather than a process, which matters where threads have descriptors of their own, or
/// where the first one is gone; Linux 6.9.
const PIDFD_THREAD: libc::c_uint = libc::O_EXCL as libc::c_uint;

/// How many threads are kept at hand.
const KEPT: usize = 256;

/// A thread.
#[derive(Debug)]
pub(crate) struct Task {
    pidfd: OwnedFd,
    pub thread: u32,
    /// The process it is a thread of.
    pub process: u32,
    /// Its `/proc/TID`.
    directory: OwnedFd,
    /// The pidfd is the thread's own, not its process's, which may outlive it.
    is_own: bool,
    /// A descriptor, and the socket it was while a call waited on it.
    called: Mutex<Option<(i32, u64)>>,
    /// Its process was looked at.
    is_seen: AtomicBool,
    /// A mapping found to be writable.
    pub writable: Mutex<(u64, u64)>,
}

impl Task {
    pub(crate) fn open(thread: u32) -> io::Result<Self> {
        let open = |id: u32, flags: libc::c_uint| {
            // SAFETY: takes numbers only, and makes a new descriptor.
            unsafe { owned(libc::syscall(libc::SYS_pidfd_open, id, flags)) }
        };
        let directory: OwnedFd = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(format!("/proc/{thread}"))?
            .into();
        let process = process_of(&directory).unwrap_or(thread);
        let (pidfd, is_own) = match open(thread, PIDFD_THREAD) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                (open(process, 0)?, process == thread)
            }
            result => (result?, true),
        };
        Ok(Task {
            pidfd,
            thread,
            process,
            directory,
            is_own,
            called: Mutex::default(),
            is_seen: AtomicBool::new(false),
            writable: Mutex::default(),
        })
    }

    /// Opens one of its files in `/proc`.
    pub(crate) fn open_file(&self, name: &CStr, flags: libc::c_int) -> io::Result<File> {
        open_in(&self.directory, name, flags)
    }

    /// Takes a duplicate of one of its sockets, and the socket's number, which is its own as long as the machine runs;
    /// `ENOTSOCK` where the descriptor is none.
    ///
    /// To close what is no socket may take as long as whoever serves the file likes, on FUSE for instance. So
    /// such a thing is not taken, once somebody has tried; and what comes all the same is closed elsewhere.
    ///
    /// While its process executes a program this waits for that, and so for whoever serves the files that are closed then.
    pub(crate) fn socket(&self, fd: i32) -> io::Result<(OwnedFd, u64)> {
        if IS_WARY.load(Relaxed) && !self.is_socket(fd)? {
            let errno = if self.is_path(fd) {
                libc::EBADF
            } else {
                libc::ENOTSOCK
            };
            return Err(io::Error::from_raw_os_error(errno));
        }
        let taken = self.take(fd)?;
        match option(taken.as_fd(), libc::SOL_SOCKET, libc::SO_COOKIE) {
            Ok(cookie) => Ok((taken, cookie)),
            Err(error) => {
                IS_WARY.store(true, Relaxed);
                // One that comes back stays open: it takes a program that changes a descriptor in the instant between
                // two looks at it, so many times.
                if let Err(fd) = close_elsewhere(taken) {
                    let _ = fd.into_raw_fd();
                }
                Err(error)
            }
        }
    }

    /// Is it a socket at the moment? Asked of the program's own table, and nobody else hears of it.
    fn is_socket(&self, fd: i32) -> io::Result<bool> {
        const SOCKET: &[u8] = b"socket:[";
        let path = CString::new(format!("fd/{fd}"))?;
        let mut start = [0u8; SOCKET.len()];
        let (directory, room) = (self.directory.as_raw_fd(), start.as_mut_ptr().cast());
        // SAFETY: a C string, and room for so many bytes.
        match unsafe { libc::readlinkat(directory, path.as_ptr(), room, start.len()) } {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::NotFound => {
                    Err(io::Error::from_raw_os_error(libc::EBADF))
                }
                error => Err(error),
            },
            _ => Ok(start == SOCKET),
        }
    }

    /// Is it a place in a file system, opened with `O_PATH`, which counts as no descriptor?
    fn is_path(&self, fd: i32) -> bool {
        let flags = || {
            let path = CString::new(format!("fdinfo/{fd}")).ok()?;
            let text = io::read_to_string(self.open_file(&path, libc::O_RDONLY).ok()?).ok()?;
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
            i32::from_str_radix(flags.trim(), 8).ok()
        };
        flags().is_some_and(|flags| flags & libc::O_PATH != 0)
    }

    /// A duplicate of one of its descriptors, whatever that is.
    pub(crate) fn take(&self, fd: i32) -> io::Result<OwnedFd> {
        // SAFETY: takes numbers only, and makes a new descriptor.
        unsafe {
            owned(libc::syscall(
                libc::SYS_pidfd_getfd,
                self.pidfd.as_raw_fd(),
                fd,
                0,
            ))
        }
    }

    /// Has a call of this thread waited on this descriptor when it was this socket? If not, does the one that has led here,
    /// so that neither the thread's number nor the descriptor was another's meanwhile? The last one is remembered: what a
    /// thread accepts from is mostly the same, and then nobody is hurt if the call is gone.
    pub(crate) fn has_called(&self, fd: i32, cookie: u64, is_waiting: impl FnOnce() -> bool) -> bool {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        if *called == Some((fd, cookie)) {
            return true;
        }
        *called = is_waiting().then_some((fd, cookie));
        called.is_some()
    }

    /// How many descriptors are open: the size of the directory they are in, since Linux 6.2; before, that is 0.
    fn open_descriptors(&self) -> io::Result<u64> {
        // SAFETY: plain data, of which zeroes are valid; a C string, and room for the answer.
        unsafe {
            let mut about: libc::stat = std::mem::zeroed();
            check(libc::fstatat(self.directory.as_raw_fd(), c"fd".as_ptr(), &mut about, 0).into())?;
            Ok(about.st_size as u64)
        }
    }

    /// Has the program no descriptor left? `accept` then fails before it looks for a connection.
    pub(crate) fn has_no_descriptor_left(&self) -> bool {
        let limit = descriptor_limit(self.thread);
        if self.open_descriptors().is_ok_and(|open| open < limit) {
            return false;
        }
        // Some of them may lie above a limit that was lowered meanwhile.
        let below = fs::read_dir(format!("/proc/{}/fd", self.thread)).map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok())
                .filter(|fd| *fd < limit)
                .count()
        });
        below.is_ok_and(|below| below as u64 >= limit)
    }
}

/// Somebody has called `accept` on what is no socket.
static IS_WARY: AtomicBool = AtomicBool::new(false);

/// How many descriptors a process may have.
fn descriptor_limit(process: u32) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: room for the answer; nothing is set.
    unsafe {
        libc::prlimit(
            process as libc::pid_t,
            libc::RLIMIT_NOFILE,
            std::ptr::null(),
            &mut limit,
        )
    };
    limit.rlim_cur
}

/// The process a thread belongs to.
fn process_of(directory: &OwnedFd) -> Option<u32> {
    let mut status = String::new();
    let mut file = open_in(directory, c"status", libc::O_RDONLY).ok()?;
    file.read_to_string(&mut status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

/// Opens a file in a directory of `/proc`. Not even root may do that with a file of somebody else's where
/// `CAP_DAC_OVERRIDE` was taken from it; then it is done in the name of who owns the file. Whether the thread may
/// be traced is asked in any case.
fn open_in(directory: &OwnedFd, name: &CStr, flags: libc::c_int) -> io::Result<File> {
    let open = || {
        let flags = flags | libc::O_CLOEXEC;
        // SAFETY: a C string; the descriptor is new.
        let file = unsafe { owned(libc::openat(directory.as_raw_fd(), name.as_ptr(), flags).into()) };
        io::Result::Ok(File::from(file?))
    };
    let file = open();
    if !matches!(&file, Err(error) if error.raw_os_error() == Some(libc::EACCES)) {
        return file;
    }
    // SAFETY: plain data, a C string, and numbers; the second call changes this thread alone, and back.
    unsafe {
        let mut about: libc::stat = std::mem::zeroed();
        if libc::fstatat(directory.as_raw_fd(), name.as_ptr(), &mut about, 0) != 0 {
            return file;
        }
        let own = libc::syscall(libc::SYS_setfsuid, about.st_uid);
        let file = open();
        libc::syscall(libc::SYS_setfsuid, own);
        file
    }
}

/// The threads seen lately.
#[derive(Debug, Default)]
pub(crate) struct Tasks(BTreeMap<u32, Arc<Task>>);

impl Tasks {
    /// The thread's entry, opened where it is new.
    pub(crate) fn get(&mut self, thread: u32) -> io::Result<Arc<Task>> {
        if let Some(task) = self.0.get(&thread) {
            return Ok(Arc::clone(task));
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        let task = Arc::new(Task::open(thread)?);
        if task.is_own {
            self.0.insert(thread, Arc::clone(&task));
        }
        Ok(task)
    }

    /// Is the thread the first one of its process that is asked about? One forgotten meanwhile may be again.
    pub(crate) fn is_new_process(&self, task: &Task) -> bool {
        if task.is_seen.load(Relaxed) {
            return false;
        }
        let is_seen = |other: &Arc<Task>| other.process == task.process && other.is_seen.load(Relaxed);
        let is_new = !self.0.values().any(is_seen);
        task.is_seen.store(true, Relaxed);
        is_new
    }

    /// Forgets a thread, whose number may belong to another one now.
    pub(crate) fn forget(&mut self, thread: u32) {
        self.0.remove(&thread);
    }

    /// Forgets all of them, for their descriptors.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
