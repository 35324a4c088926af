//! The network namespace of a listener, in which alone the guard may look for it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::call::{check, option, owned};

/// Opens the network namespace of a socket; from `linux/sockios.h`.
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// A network namespace.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// Its number, its own as long as the machine runs.
    pub id: u64,
    /// Where it is not the guard's own. It lasts as long as this is open, so this is kept no longer than a connection
    /// that came in there.
    elsewhere: Option<Arc<OwnedFd>>,
}

impl Network {
    /// The network that the guard's own sockets are in.
    ///
    /// # Errors
    /// As [`id`] says.
    pub(crate) fn own() -> io::Result<u64> {
        id(socket(libc::AF_UNIX)?.as_fd())
    }

    /// The network of a socket, where `own` is the guard's.
    ///
    /// # Errors
    /// As [`id`] says, or the guard has no rights there.
    pub(crate) fn of(socket: BorrowedFd<'_>, own: u64) -> io::Result<Self> {
        let id = id(socket)?;
        let elsewhere = match id == own {
            true => None,
            // SAFETY: takes numbers only; the descriptor is new.
            false => Some(Arc::new(unsafe {
                owned(libc::ioctl(socket.as_raw_fd(), SIOCGSKNS).into())
            }?)),
        };
        Ok(Network { id, elsewhere })
    }

    /// A stream socket there, of an address's family. That takes a while where it is not the guard's own network.
    ///
    /// # Errors
    /// As `socket` and `setns` say.
    pub(crate) fn stream(&self, address: &SocketAddr) -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let Some(namespace) = &self.elsewhere else {
            return socket(family);
        };
        // A thread of its own, since the namespace of a thread is where its sockets are made.
        std::thread::scope(|scope| {
            let there = std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, || {
                    // SAFETY: takes numbers only.
                    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }.into())?;
                    socket(family)
                })?;
            there.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    }
}

/// The number of the network that a socket is in.
///
/// # Errors
/// The kernel cannot tell: it is older than Linux 5.14.
pub(crate) fn id(socket: BorrowedFd<'_>) -> io::Result<u64> {
    option(socket, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE)
}

fn socket(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers only; the descriptor is new.
    unsafe { owned(libc::socket(family, kind, 0).into()) }
}
