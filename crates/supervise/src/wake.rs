//! Telling a program that waits in `epoll`, `poll` or `select` that a connection is ready which the kernel
//! no longer has in the listener's queue, because the guard took it out and looked its client up.
//!
//! The only thing that makes a listener readable is a connection. So the guard makes one itself, to the very
//! address the client came to, and knows it again by both its ends. When the program then accepts, it gets
//! the connection that is ready; the guard's own is taken out of the queue last, and nobody sees it.
//!
//! A backlog that is full takes no such connection. But then the listener is readable already, and the program
//! only has to look.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use system::syslog;

use crate::accept::{self, local_address};
use crate::call::{check, is_exhausted, is_readable, option, owned};
use crate::guard::{Guard, WAKE};

/// Opens the network namespace of a socket; from `linux/sockios.h`.
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// Connections of the guard's own that nobody has accepted yet.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// By both ends, as the listener sees them.
    by_ends: HashMap<(SocketAddr, SocketAddr), u64>,
    by_listener: HashMap<u64, Vec<Wake>>,
}

/// How many may wait in one backlog.
const AT_ONCE: usize = 8;

#[derive(Debug)]
struct Wake {
    socket: OwnedFd,
    ends: (SocketAddr, SocketAddr),
}

impl Wakes {
    /// Is one under way to this listener?
    pub(crate) fn is_under_way(&self, listener: u64) -> bool {
        self.by_listener.contains_key(&listener)
    }

    /// Are so many under way that another one would be too many?
    pub(crate) fn are_enough(&self, listener: u64) -> bool {
        self.by_listener
            .get(&listener)
            .is_some_and(|wakes| wakes.len() >= AT_ONCE)
    }

    /// Connects to a listener at an address it is reached by, in the network that `beside` is a socket of, and
    /// says whether it got through at once.
    ///
    /// # Errors
    /// As `socket`, `setns`, `connect` and `send` say.
    pub(crate) fn send(
        &mut self,
        listener: u64,
        to: SocketAddr,
        beside: BorrowedFd<'_>,
    ) -> io::Result<(&OwnedFd, bool)> {
        let to = canonical(to);
        let socket = socket_beside(beside, &to)?;
        match connect(&socket, &to) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            result => result?,
        }
        let from = local_address(&socket)?.internet().map(canonical);
        let from = from.ok_or(io::ErrorKind::AddrNotAvailable)?;
        // A listener with TCP_DEFER_ACCEPT shows no connection before data has come; others do not mind.
        // SAFETY: one byte.
        let sent = unsafe { libc::send(socket.as_raw_fd(), [0u8].as_ptr().cast(), 1, libc::MSG_NOSIGNAL) };
        let arrived = match check(sent as libc::c_long) {
            Ok(_) => true,
            // What `connect` did not wait for, said once.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
            Err(_) => false,
        };
        self.by_ends.insert((from, to), listener);
        let wake = Wake {
            socket,
            ends: (from, to),
        };
        let wakes = self.by_listener.entry(listener).or_default();
        wakes.push(wake);
        Ok((&wakes[wakes.len() - 1].socket, arrived))
    }

    /// Is this accepted connection one of the guard's own? Then it is done with; the answer is the listener
    /// it was for, which may be another one of the same port.
    pub(crate) fn arrived(&mut self, (client, server): (SocketAddr, SocketAddr)) -> Option<u64> {
        if self.by_ends.is_empty() {
            return None;
        }
        let ends = (canonical(client), canonical(server));
        let listener = self.by_ends.remove(&ends)?;
        self.keep(listener, |wake| wake.ends != ends);
        Some(listener)
    }

    /// What those that are under way were to tell has become known. Ones that the listener has not answered yet,
    /// as its backlog is full, will not come any more; others are in its backlog.
    pub(crate) fn give_up(&mut self, listener: u64) {
        self.keep(listener, |wake| is_connected(&wake.socket));
    }

    /// Something happened to connections of the guard's own before they were accepted; they are given up. Does
    /// nobody listen at their address? One that is reset may have come to another listener, which is closed.
    pub(crate) fn failed(&mut self, listener: u64) -> bool {
        let mut failed = false;
        self.keep(listener, |wake| {
            if !is_readable(wake.socket.as_fd()) {
                return true;
            }
            let error = option::<libc::c_int>(wake.socket.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR);
            failed |= error.is_ok_and(|error| error == libc::ECONNREFUSED);
            false
        });
        failed
    }

    /// Keeps those that fulfil the condition.
    fn keep(&mut self, listener: u64, mut condition: impl FnMut(&Wake) -> bool) {
        let Some(wakes) = self.by_listener.get_mut(&listener) else {
            return;
        };
        wakes.retain(|wake| {
            let keep = condition(wake);
            if !keep {
                self.by_ends.remove(&wake.ends);
            }
            keep
        });
        if wakes.is_empty() {
            self.by_listener.remove(&listener);
        }
    }
}

impl Guard {
    /// Lets the program know of connections that are ready while it does not wait in `accept`.
    pub(crate) fn wake(&mut self, cookie: u64) {
        let Some(queue) = self.listeners.get(&cookie) else {
            return;
        };
        if queue.waiting.is_empty()
            && !self.wakes.is_under_way(cookie)
            && let Some(ready) = queue.ready.front()
            && let Ok(beside) = ready.connection.fd.try_clone()
        {
            self.connect(cookie, Some(beside));
        }
    }

    /// Makes a connection to the listener.
    pub(crate) fn connect(&mut self, cookie: u64, beside: Option<OwnedFd>) {
        let Some(address) = self.listeners.get(&cookie).and_then(|queue| queue.address) else {
            return;
        };
        let beside = beside.as_ref().map_or(self.notifications.as_fd(), OwnedFd::as_fd);
        let sent = self
            .wakes
            .send(cookie, address, beside)
            .and_then(|(socket, arrived)| {
                let events = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLONESHOT;
                self.epoll.add(socket.as_fd(), events, WAKE | cookie)?;
                Ok(arrived)
            });
        if let Ok(false) = sent {
            self.nudge(cookie);
        }
        if let Err(error) = sent {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                return self.nobody_listens(cookie);
            }
            if is_exhausted(&error) {
                // Again when there is room, with the rest that waits for it.
                self.queue(cookie).full = true;
                self.is_full = true;
                return;
            }
            let reason = hosts_access::decide::reason(&error);
            let line = format!("warning: cannot connect to {address} to wake the program: {reason}");
            self.rules.log.line(syslog::ERR, line.as_bytes());
        }
    }

    /// Has everybody who polls the listener look at it again, where it has connections in its backlog. One that
    /// has heard of these, and found no room for them, would hear of no more once the backlog is full.
    pub(crate) fn nudge(&mut self, cookie: u64) -> bool {
        let Some(call) = self.listeners.get(&cookie).and_then(|queue| queue.last) else {
            return false;
        };
        let task = self.tasks.get(call.thread);
        let Ok(fd) = task.and_then(|task| task.descriptor(call.fd)) else {
            return false;
        };
        if !accept::cookie(fd.as_fd()).is_ok_and(|found| found == cookie) || !is_readable(fd.as_fd()) {
            return false;
        }
        // A listener has no sending side to shut; all that happens is that those are woken who wait for it.
        // SAFETY: takes numbers only.
        check(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) }.into()).is_ok()
    }

    /// Something became of our own connection to a listener before it was accepted.
    pub(crate) fn woken(&mut self, cookie: u64) {
        if self.wakes.failed(cookie) {
            self.nobody_listens(cookie);
        } else {
            // Another program accepted it, or closed the listener it came to.
            self.wake(cookie);
        }
    }

    /// The listener is closed, and with it goes what waited to be accepted.
    fn nobody_listens(&mut self, cookie: u64) {
        let gone = std::mem::take(&mut self.queue(cookie).ready);
        self.held -= gone.len();
    }
}

/// A stream socket in the same network namespace as another one.
fn socket_beside(beside: BorrowedFd<'_>, to: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if to.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers only; the descriptor is new.
    let socket = || unsafe { owned(libc::socket(family, kind, 0).into()) };
    let network = |fd: BorrowedFd<'_>| option::<u64>(fd, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE);
    let here = socket()?;
    // A kernel that cannot tell (before Linux 5.14) is taken to have one network.
    match (network(here.as_fd()), network(beside)) {
        (Ok(ours), Ok(theirs)) if ours != theirs => {}
        _ => return Ok(here),
    }
    // SAFETY: takes numbers only; the descriptor is new.
    let namespace = unsafe { owned(libc::ioctl(beside.as_raw_fd(), SIOCGSKNS).into()) }?;
    // A thread of its own, since the namespace of a thread is where its sockets are made.
    std::thread::scope(|scope| {
        let there = std::thread::Builder::new().spawn_scoped(scope, || {
            // SAFETY: takes numbers only.
            check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }.into())?;
            socket()
        })?;
        there.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    })
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        (std::net::IpAddr::V6(_), SocketAddr::V6(v6)) => {
            // Flow labels differ between the ends.
            std::net::SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, address.port()),
    }
}

fn is_connected(socket: &OwnedFd) -> bool {
    let mut room = 0;
    // SAFETY: no room for the address, which nobody wants.
    unsafe { libc::getpeername(socket.as_raw_fd(), (&raw mut room).cast(), &mut room) == 0 }
}

fn connect(socket: &OwnedFd, to: &SocketAddr) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let answer = match to {
        SocketAddr::V4(v4) => {
            let address = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: v4.ip().to_bits().to_be(),
                },
                sin_zero: [0; 8],
            };
            let length = size_of_val(&address) as libc::socklen_t;
            // SAFETY: an address, with its length.
            unsafe { libc::connect(fd, (&raw const address).cast(), length) }
        }
        SocketAddr::V6(v6) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            let length = size_of_val(&address) as libc::socklen_t;
            // SAFETY: as above.
            unsafe { libc::connect(fd, (&raw const address).cast(), length) }
        }
    };
    check(answer.into())?;
    Ok(())
}
