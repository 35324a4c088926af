//! A thread of the guarded program as the guard reaches it: its descriptors, and its memory.
//!
//! Both need the permission a debugger needs. A pidfd stays with the thread it was opened for, so it may be
//! kept: when the number is used again, the old one fails. Memory goes by number, and may be written only
//! while the thread waits for us.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

use libc::{c_long, c_void, iovec};

use crate::call::{check, owned};

/// Opens one thread rather than a process, which matters where threads have descriptors of their own, or
/// where the first one is gone; Linux 6.9.
const PIDFD_THREAD: libc::c_uint = libc::O_EXCL as libc::c_uint;

/// How many threads are kept at hand.
const KEPT: usize = 256;

/// A thread.
#[derive(Debug)]
pub(crate) struct Task {
    pidfd: OwnedFd,
    thread: u32,
    /// The process it is a thread of.
    pub process: u32,
    /// Its `/proc/PID/fd`, once it was needed.
    directory: OnceCell<File>,
}

impl Task {
    pub(crate) fn open(thread: u32) -> io::Result<Self> {
        let open = |id: u32, flags: libc::c_uint| {
            // SAFETY: takes numbers only, and makes a new descriptor.
            unsafe { owned(libc::syscall(libc::SYS_pidfd_open, id, flags)) }
        };
        let process = process_of(thread).unwrap_or(thread);
        let pidfd = match open(thread, PIDFD_THREAD) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open(process, 0)?,
            result => result?,
        };
        Ok(Task {
            pidfd,
            thread,
            process,
            directory: OnceCell::new(),
        })
    }

    /// A duplicate of one of its descriptors.
    pub(crate) fn descriptor(&self, fd: i32) -> io::Result<OwnedFd> {
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

    /// Reads memory of the thread.
    pub(crate) fn read(&self, from: u64, into: &mut [u8]) -> io::Result<()> {
        let pieces = [(from, into.as_mut_ptr(), into.len())];
        self.transfer(libc::SYS_process_vm_readv, pieces)
    }

    /// Writes two pieces of the thread's memory, the first one first.
    pub(crate) fn write(&self, pieces: [(u64, &[u8]); 2]) -> io::Result<()> {
        let pieces = pieces.map(|(to, bytes)| (to, bytes.as_ptr().cast_mut(), bytes.len()));
        self.transfer(libc::SYS_process_vm_writev, pieces)
    }

    /// Moves bytes between memory of ours and of the thread; ours is written only by the call that reads.
    fn transfer<const N: usize>(&self, call: c_long, pieces: [(u64, *mut u8, usize); N]) -> io::Result<()> {
        let piece = |start: *mut c_void, length| iovec {
            iov_base: start,
            iov_len: length,
        };
        let ours = pieces.map(|(_, local, length)| piece(local.cast(), length));
        let theirs = pieces.map(|(remote, _, length)| piece(remote as *mut c_void, length));
        // SAFETY: `ours` is memory the callers above borrow, and the kernel checks the other.
        let moved =
            check(unsafe { libc::syscall(call, self.thread, ours.as_ptr(), N, theirs.as_ptr(), N, 0usize) })?;
        if moved as usize != pieces.iter().map(|(_, _, length)| length).sum::<usize>() {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        Ok(())
    }

    /// Has the program no descriptor left? `accept` then fails before it looks for a connection.
    pub(crate) fn has_no_descriptor_left(&self) -> bool {
        // As many are open as the directory's size says, since Linux 6.2; before, it says 0.
        let open = self
            .descriptors()
            .and_then(|directory| Ok(directory.metadata()?.len()));
        let limit = descriptor_limit(self.thread);
        if open.is_ok_and(|open| open < limit) {
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

    /// The directory of its descriptors.
    fn descriptors(&self) -> io::Result<&File> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let path = format!("/proc/{}/fd", self.thread);
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(path)?;
        Ok(self.directory.get_or_init(|| directory))
    }
}

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
fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

/// The threads seen lately.
#[derive(Debug, Default)]
pub(crate) struct Tasks(HashMap<u32, Rc<Task>>);

impl Tasks {
    /// Is the thread at hand?
    pub(crate) fn has(&self, thread: u32) -> bool {
        self.0.contains_key(&thread)
    }

    /// The thread's entry, opened where it is new.
    pub(crate) fn get(&mut self, thread: u32) -> io::Result<Rc<Task>> {
        if let Some(task) = self.0.get(&thread) {
            return Ok(Rc::clone(task));
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        let task = Rc::new(Task::open(thread)?);
        self.0.insert(thread, Rc::clone(&task));
        Ok(task)
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
