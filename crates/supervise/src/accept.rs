//! Taking a connection from the program's listening socket, without ever waiting for one.
//!
//! Whether a listener blocks is a property it shares with the program, which must not see it change. From a
//! listener that blocks the guard accepts only when there is something to accept; should somebody outside
//! take that away in between, a timer's signal gets the guard out of the call.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use libc::{c_int, sockaddr, sockaddr_storage, socklen_t};

use crate::call::{check, is_readable, option, owned};

/// How long the guard may be held in an `accept` that somebody else was faster at.
const STUCK: Duration = Duration::from_millis(20);

/// What the guard needs to know of a socket that a program accepts from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener {
    /// The socket's number, its own as long as the machine runs.
    pub cookie: u64,
    /// It is listening; a few families accept without.
    pub listens: bool,
    /// `accept` waits for a connection.
    pub blocks: bool,
}

impl Listener {
    /// # Errors
    /// What `accept` would say of a descriptor that is no socket.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let listens = option::<c_int>(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != 0;
        // SAFETY: takes numbers only.
        let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }.into())?;
        Ok(Listener {
            cookie: cookie(fd)?,
            listens,
            blocks: flags as c_int & libc::O_NONBLOCK == 0,
        })
    }
}

/// The number of a socket.
pub(crate) fn cookie(fd: BorrowedFd<'_>) -> io::Result<u64> {
    option(fd, libc::SOL_SOCKET, libc::SO_COOKIE)
}

/// How long `accept` waits on this socket, where that is limited.
pub(crate) fn receive_timeout(fd: BorrowedFd<'_>) -> Option<Duration> {
    let [seconds, micros] = option::<[i64; 2]>(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO).ok()?;
    let time = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(micros).ok()? * 1000);
    (!time.is_zero()).then_some(time)
}

/// A socket address as the kernel wrote it.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    storage: sockaddr_storage,
    length: socklen_t,
}

impl Address {
    fn room() -> Self {
        Address {
            // SAFETY: plain data.
            storage: unsafe { std::mem::zeroed() },
            length: size_of::<sockaddr_storage>() as socklen_t,
        }
    }

    /// The bytes, as many as there are.
    pub(crate) fn bytes(&self) -> &[u8] {
        let length = (self.length as usize).min(size_of::<sockaddr_storage>());
        // SAFETY: the storage is zeroed and longer than that.
        unsafe { std::slice::from_raw_parts((&raw const self.storage).cast(), length) }
    }

    /// The address, of the internet families.
    pub(crate) fn internet(&self) -> Option<SocketAddr> {
        let length = self.bytes().len() as socklen_t;
        // SAFETY: the storage is readable as a whole.
        unsafe { system::sockaddr::read((&raw const self.storage).cast::<sockaddr>(), length) }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.internet().fmt(f)
    }
}

/// A connection that has been accepted and belongs to nobody yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub fd: OwnedFd,
    /// The client, as the program is told it.
    pub peer: Address,
    /// Both ends, where it is an internet connection: the client, and this host.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Whether it was accepted with `SOCK_NONBLOCK`.
    pub nonblocking: bool,
}

/// Accepts without waiting. Nothing where there is no connection to accept.
///
/// `wants_address` says whether the program asked for the client's address, which some families cannot give.
pub(crate) fn accept(
    fd: BorrowedFd<'_>,
    listener: &Listener,
    nonblocking: bool,
    wants_address: bool,
    timer: &Timer,
) -> io::Result<Option<Accepted>> {
    let mut peer = Address::room();
    let flags = libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    // A listener's clients have addresses; what accepts without listening is asked as the program asks.
    let with_address = wants_address || listener.listens;
    let (address, length): (*mut sockaddr, *mut socklen_t) = if with_address {
        ((&raw mut peer.storage).cast(), &mut peer.length)
    } else {
        (ptr::null_mut(), ptr::null_mut())
    };
    // SAFETY: room for an address, or none asked for; the descriptor is new.
    let accept = || unsafe { owned(libc::accept4(fd.as_raw_fd(), address, length, flags).into()) };
    let accepted = if listener.blocks {
        if listener.listens && !is_readable(fd) {
            return Ok(None);
        }
        timer.arm(STUCK);
        let accepted = accept();
        timer.disarm();
        accepted
    } else {
        accept()
    };
    let connection = match accepted {
        Ok(connection) => connection,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let ends = peer.internet().filter(|_| with_address);
    let ends = match ends {
        Some(client) => {
            let server = local_address(&connection)?.internet();
            // Both ends are of one family; an end that is not known must not pass as no internet connection.
            Some((client, server.unwrap_or(client_family_unspecified(&client))))
        }
        None => None,
    };
    Ok(Some(Accepted {
        fd: connection,
        peer,
        ends,
        nonblocking,
    }))
}

/// The unspecified address of the client's family.
fn client_family_unspecified(client: &SocketAddr) -> SocketAddr {
    match client {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    }
}

/// The address of this end.
pub(crate) fn local_address(fd: &OwnedFd) -> io::Result<Address> {
    let mut address = Address::room();
    let to = (&raw mut address.storage).cast();
    // SAFETY: room for an address.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), to, &mut address.length) }.into())?;
    Ok(address)
}

/// Sets or clears `O_NONBLOCK` on a connection.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) {
    let flags = if nonblocking {
        libc::O_RDWR | libc::O_NONBLOCK
    } else {
        libc::O_RDWR
    };
    // SAFETY: takes numbers only. A new connection has no other status flags.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) };
}

/// Interrupts the thread that made it with a signal, again and again, until disarmed.
#[derive(Debug)]
pub(crate) struct Timer(libc::timer_t);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        extern "C" fn nothing(_: c_int) {}
        let signal = libc::SIGRTMAX();
        // SAFETY: plain data, of which zeroes are valid.
        let (mut action, mut event): (libc::sigaction, libc::sigevent) = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        // SAFETY: takes nothing.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = ptr::null_mut();
        // SAFETY: a handler that does nothing, without SA_RESTART, as the signal is to interrupt.
        check(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) }.into())?;
        // SAFETY: a filled event, and room for the timer.
        check(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) }.into())?;
        Ok(Timer(timer))
    }

    fn set(&self, every: Duration) {
        let time = libc::timespec {
            tv_sec: every.as_secs() as libc::time_t,
            tv_nsec: every.subsec_nanos().into(),
        };
        let setting = libc::itimerspec {
            it_interval: time,
            it_value: time,
        };
        // SAFETY: a timer of ours.
        unsafe { libc::timer_settime(self.0, 0, &setting, ptr::null_mut()) };
    }

    fn arm(&self, every: Duration) {
        self.set(every);
    }

    fn disarm(&self) {
        self.set(Duration::ZERO);
    }
}
