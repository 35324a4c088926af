//! What the program is to inherit as it was, and the Rust runtime changes before `main`: it ignores
//! `SIGPIPE`, and opens `/dev/null` where one of the standard descriptors is closed. A function that the C
//! library calls before either records how things were.

use std::mem::zeroed;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);
/// A bit for each standard descriptor that is closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

#[used]
// SAFETY: the section is a list of functions that run before `main`; this one makes two kinds of system
// calls and sets two atomics, for which nothing needs to be set up.
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

extern "C" fn record() {
    // SAFETY: plain data, and a call that only asks.
    let ignored = unsafe {
        let mut action: libc::sigaction = zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    };
    PIPE_IGNORED.store(ignored, Ordering::Relaxed);
    for fd in 0..3 {
        // SAFETY: takes numbers only.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

/// Puts things back, right before the program starts.
pub(crate) fn restore() {
    let action = if PIPE_IGNORED.load(Ordering::Relaxed) {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: neither disposition runs any code.
    unsafe { libc::signal(libc::SIGPIPE, action) };
    for fd in 0..3 {
        if CLOSED.load(Ordering::Relaxed) & (1 << fd) != 0 {
            // SAFETY: the runtime's own /dev/null, which this process has no more use for.
            unsafe { libc::close(fd) };
        }
    }
}
