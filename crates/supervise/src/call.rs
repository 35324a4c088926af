//! The few system calls the guard needs that the standard library does not have, each in its thinnest form.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use libc::{c_int, c_long};

/// A system call's answer as a result.
pub(crate) fn check(answer: c_long) -> io::Result<c_long> {
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

/// A new descriptor, as a system call answered.
///
/// # Safety
/// The call made the descriptor for the caller alone.
pub(crate) unsafe fn owned(answer: c_long) -> io::Result<OwnedFd> {
    let fd = check(answer)? as RawFd;
    // SAFETY: as the caller promises.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The errno of an error; `EIO` where it has none.
pub(crate) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Does the error say that too many descriptors are open?
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// A socket option that is a plain value.
pub(crate) fn option<T: Copy + Default>(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    let to = (&raw mut value).cast();
    // SAFETY: room for `length` bytes; used with integers and arrays of them alone, of which any bytes are
    // valid.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, to, &mut length) }.into())?;
    Ok(value)
}

/// A set of descriptors to wait for.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes a number; the descriptor is new.
        Ok(Epoll(unsafe {
            owned(libc::epoll_create1(libc::EPOLL_CLOEXEC).into())
        }?))
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, events: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token,
        };
        // SAFETY: one event, which the call reads.
        let status = unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_raw_fd(),
                &raw mut event,
            )
        };
        check(status.into())?;
        Ok(())
    }

    /// Waits, for ever where `milliseconds` is -1, and returns the tokens of what is ready.
    pub(crate) fn wait<'e>(
        &self,
        events: &'e mut [libc::epoll_event],
        milliseconds: c_int,
    ) -> io::Result<&'e [libc::epoll_event]> {
        let room = events.len() as c_int;
        // SAFETY: room for so many events.
        let answer = check(
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, milliseconds) }.into(),
        );
        match answer {
            Ok(count) => Ok(&events[..count as usize]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(&[]),
            Err(error) => Err(error),
        }
    }

    /// Is nothing ready? Where nothing is, no call says so in less time.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, 0) == 0 }
    }
}

impl std::os::fd::AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Is there something to read, or to accept, at once? An error counts as such.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    wait_for(&[(fd, libc::POLLIN)], Some(Duration::ZERO)) != [0]
}

/// Can be written to this, now or in that time? An error counts as such.
pub(crate) fn is_writable(fd: BorrowedFd<'_>, within: Option<Duration>) -> bool {
    wait_for(&[(fd, libc::POLLOUT)], within) != [0]
}

/// Waits until one of the descriptors is ready, and says for what, as `poll` does. An error or end counts too.
pub(crate) fn wait_for<const N: usize>(
    descriptors: &[(BorrowedFd<'_>, libc::c_short); N],
    within: Option<Duration>,
) -> [libc::c_short; N] {
    let mut entries = descriptors.map(|(fd, events)| libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    });
    let milliseconds = within.map_or(-1, |time| {
        i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    // SAFETY: as many entries as is said.
    unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    entries.map(|entry| entry.revents)
}
