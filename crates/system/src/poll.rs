//! Waiting for a descriptor, no longer than until a deadline.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use libc::c_short;

/// Waits until the descriptor is ready for `events`, or has an error to tell of.
///
/// # Errors
/// [`TimedOut`](io::ErrorKind::TimedOut) at the deadline, and what `poll` says.
pub(crate) fn wait(fd: BorrowedFd<'_>, events: c_short, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that the last fraction of a millisecond is not spent spinning.
        let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        let mut entry = libc::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        };
        // SAFETY: one entry, and its count.
        match unsafe { libc::poll(&mut entry, 1, milliseconds) } {
            0 if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            0 => {}
            1.. => return Ok(()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
