//! Taking a connection from the program's listening socket, without ever waiting for one.
//!
//! From a listener that blocks the guard accepts only when there is something to accept; should somebody
//! outside take that away in between, [`stuck`](crate::stuck) gets it out of the call.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use libc::{c_int, sockaddr, sockaddr_storage, socklen_t};

use crate::call::{check, is_readable, option, owned};
use crate::pool::close_elsewhere;
use crate::stuck::Watchdog;

/// A socket that a program accepts from, while the guard has a descriptor of it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub fd: OwnedFd,
    /// It is listening; a few families accept without.
    pub listens: bool,
    /// There is something to accept, as was heard a moment ago.
    pub readable: bool,
}

/// Does it listen? Asked only where it is not known to.
pub(crate) fn listens(fd: BorrowedFd<'_>, known: bool) -> bool {
    known || option::<c_int>(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN).is_ok_and(|listens| listens != 0)
}

/// May there be other listeners of its port? A connection has that from its listener.
pub(crate) fn is_shared(fd: BorrowedFd<'_>) -> bool {
    option::<c_int>(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT).is_ok_and(|shared| shared != 0)
}

/// Does `accept` on this socket wait for a connection?
pub(crate) fn blocks(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: takes numbers only.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags & libc::O_NONBLOCK == 0
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

/// A connection. To close it never waits until the client has taken in what is left to be sent, whatever the
/// listener or the rules say: the kernel sends that all the same.
#[derive(Debug)]
pub(crate) struct Connection {
    fd: OwnedFd,
    /// The program has it too, and decides how it is closed.
    pub is_the_programs: bool,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_the_programs && lingers(self.as_fd()) {
            let _ = system::connection::linger(self.as_fd(), 0);
        }
    }
}

/// A descriptor that a program has too was the last one, and its `close` waited for the client.
static HAS_LINGERED: AtomicBool = AtomicBool::new(false);

/// Does `close` wait for the client?
fn lingers(fd: BorrowedFd<'_>) -> bool {
    option::<[c_int; 2]>(fd, libc::SOL_SOCKET, libc::SO_LINGER)
        .is_ok_and(|[on, seconds]| on != 0 && seconds != 0)
}

/// A connection that has been accepted and belongs to nobody yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub fd: Connection,
    /// The client, as the program is told it.
    pub peer: Address,
    /// The client, where it is an internet connection.
    pub client: Option<SocketAddr>,
    /// Whether it was accepted with `SOCK_NONBLOCK`.
    pub nonblocking: bool,
}

impl Accepted {
    /// Closes the guard's descriptor of a connection that the program has too. Where the program was faster with its
    /// own, this is the one that lingers: it is got out of that, and from then on such are closed elsewhere.
    pub(crate) fn part_from(mut self: Box<Self>, watchdog: &Watchdog) {
        self.fd.is_the_programs = true;
        let fd = self.fd.as_fd();
        if HAS_LINGERED.load(Relaxed)
            && lingers(fd)
            && let Ok(copy) = fd.try_clone_to_owned()
        {
            // Where it comes back, the close below is the last one.
            let _ = close_elsewhere(copy);
        }
        // What it is to do may change at any time.
        if watchdog.during(|| drop(self)).1 {
            HAS_LINGERED.store(true, Relaxed);
        }
    }

    /// This host's end, which few connections are asked for.
    pub(crate) fn server(&self) -> Option<SocketAddr> {
        local_address(self.fd.as_fd()).ok()?.internet()
    }
}

/// Accepts without waiting. Nothing where there is no connection to accept.
///
/// `wants_address` says whether the program asked for the client's address, which some families cannot give.
pub(crate) fn accept(
    listener: &mut Listener,
    nonblocking: bool,
    wants_address: bool,
    watchdog: &Watchdog,
) -> io::Result<Option<Box<Accepted>>> {
    let fd = listener.fd.as_fd();
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
    if listener.listens && !std::mem::take(&mut listener.readable) && !is_readable(fd) {
        return Ok(None);
    }
    let connection = match watchdog.during(accept).0 {
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
    Ok(Some(Box::new(Accepted {
        fd: Connection {
            fd: connection,
            is_the_programs: false,
        },
        client: peer.internet().filter(|_| with_address),
        peer,
        nonblocking,
    })))
}

/// The address of this end.
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> io::Result<Address> {
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
