//! The guard's end of the filter: system calls come in, answers and descriptors go out, see
//! seccomp_unotify(2).
//!
//! The caller waits where a signal can interrupt it (the kernel then says `EINTR`, or runs the call anew, as
//! it does for `accept` itself), so a call may be gone at any time: whoever answers one must be ready to
//! hear that, and must reach into the program's memory only as [`memory`](crate::memory) says.
//! The kernel has a flag that makes callers wait deaf to signals; a server at rest would then not stop for
//! `SIGTERM`, nor for a debugger, nor let the machine go to sleep.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{Ioctl, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp};

use crate::call::check;

/// Wakes the guard on the processor of the caller, who is about to sleep; Linux 6.6.
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// An `accept` that a program waits in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// By which it is answered.
    pub id: u64,
    /// The thread.
    pub thread: u32,
    /// The listening socket, as the program's descriptor.
    pub fd: i32,
    /// Where the program wants the client's address, or 0.
    pub address: u64,
    /// Where it keeps the length of that.
    pub length: u64,
    /// The flags of `accept4`.
    pub flags: i32,
}

/// The descriptor that calls come in on.
#[derive(Debug)]
pub(crate) struct Notifications(OwnedFd);

impl Notifications {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let new = Notifications(fd);
        // An older kernel wakes the guard wherever it likes, which only costs time.
        let _ = new.ioctl(libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP as *mut u8);
        new
    }

    fn ioctl<T>(&self, request: Ioctl, argument: *mut T) -> io::Result<i64> {
        // SAFETY: every request is called with the structure it takes, which lives until the call returns;
        // the one above takes a number.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) }.into())
    }

    /// The next call. Nothing where it was interrupted before we came to it.
    pub(crate) fn receive(&self) -> io::Result<Option<Call>> {
        // SAFETY: plain data, which the kernel wants zeroed.
        let mut call: seccomp_notif = unsafe { zeroed() };
        match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) {
            Ok(_) => {}
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
        }
        let [fd, address, length, flags, ..] = call.data.args;
        let with_flags = i64::from(call.data.nr) == libc::SYS_accept4;
        Ok(Some(Call {
            id: call.id,
            thread: call.pid,
            // The kernel takes the low half, as every caller knows.
            fd: fd as i32,
            address,
            length,
            flags: if with_flags { flags as i32 } else { 0 },
        }))
    }

    /// Does the caller still wait for this call's answer?
    pub(crate) fn is_waiting(&self, id: u64) -> bool {
        let mut id = id;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw mut id)
            .is_ok()
    }

    /// Lets the call fail. One that is gone needs no answer.
    pub(crate) fn fail(&self, id: u64, errno: i32) {
        let mut answer = seccomp_notif_resp {
            id,
            val: 0,
            error: -errno,
            flags: 0,
        };
        let _ = self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer);
    }

    /// Puts a descriptor into the program and ends the call with its number, both or neither.
    pub(crate) fn hand_over(&self, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool) -> io::Result<()> {
        let mut addition = seccomp_notif_addfd {
            id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: fd.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        loop {
            match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut addition) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Notifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Does the error say that the caller no longer waits?
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ESRCH | libc::EINPROGRESS)
    )
}
