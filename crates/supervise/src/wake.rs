//! Telling a program that waits in `epoll`, `poll` or `select` that a connection is ready which the kernel
//! no longer has in the listener's queue, because the guard took it out and looked its client up.
//!
//! The only thing that makes a listener readable is a connection. So the guard makes one itself, to the very
//! address the client came to, in the listener's own network namespace, and knows it again by both its ends there.
//! When the program then accepts, it gets the connection that is ready; the guard's own is taken out of the queue
//! last, and nobody sees it.
//!
//! A port may be shared, and the kernel gives the connection to any of those who share it. What is ready belongs to
//! the listener it came to all the same: a wake-up that went astray is made again, from another port, and a port
//! that has reached a listener once is the first to be tried.
//!
//! A backlog that is full takes no such connection. But then the listener is readable already, and the program
//! only has to look.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use system::sockaddr::Raw;
use system::syslog;

use crate::accept::{self, Accepted, local_address};
use crate::bell::Bell;
use crate::call::{check, is_exhausted, is_readable, option};
use crate::guard::{Guard, WAKE};
use crate::machine::Event;
use crate::network::{self, Network};
use crate::relay::{Purpose, Wanted};

/// How many may wait in one backlog.
const AT_ONCE: usize = 8;

/// Both ends of a connection as its listener sees them, and the network they are in: two connections that have all
/// three in common cannot be there at the same time.
type Ends = (u64, SocketAddr, SocketAddr);

/// A connection to be made.
#[derive(Debug)]
struct Request {
    listener: u64,
    to: SocketAddr,
    network: Network,
    /// The port it is to come from, if that can be had; 0 for any.
    port: u16,
    wanted: Arc<AtomicBool>,
}

/// A connection of the guard's own, and whether it got through at once.
#[derive(Debug)]
struct Wake {
    socket: OwnedFd,
    ends: Ends,
    arrived: bool,
}

/// The wake-ups of one listener.
#[derive(Debug, Default)]
struct UnderWay {
    asked: Vec<Arc<AtomicBool>>,
    wakes: Vec<Wake>,
}

/// Whom each wake-up is for, from before it can arrive until it has.
#[derive(Debug, Clone, Default)]
struct Known(Arc<Mutex<HashMap<Ends, u64>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ends, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections of the guard's own that nobody has accepted yet.
#[derive(Debug)]
pub(crate) struct Wakes {
    known: Known,
    by_listener: BTreeMap<u64, UnderWay>,
    /// The guard's own network.
    own: u64,
    /// For connections in other networks, into which only a thread of its own can go.
    requests: Sender<Request>,
    done: Sender<Sent>,
    results: Receiver<Sent>,
}

type Sent = (Request, io::Result<Option<Wake>>);

impl Wakes {
    /// # Errors
    /// There is no thread or descriptor to be had.
    pub(crate) fn new(bell: Bell) -> io::Result<Self> {
        let (requests, source) = channel::<Request>();
        let (done, results) = channel();
        let known = Known::default();
        let (sent, all) = (done.clone(), known.clone());
        let work = move || {
            for request in source {
                let outcome = send(&request, &all);
                if sent.send((request, outcome)).is_err() {
                    return;
                }
                bell.ring();
            }
        };
        std::thread::Builder::new()
            .name("waker".into())
            .stack_size(128 << 10)
            .spawn(work)?;
        Ok(Wakes {
            known,
            by_listener: BTreeMap::new(),
            own: Network::own()?,
            requests,
            done,
            results,
        })
    }

    /// How many are under way to this listener?
    pub(crate) fn under_way(&self, listener: u64) -> usize {
        self.by_listener
            .get(&listener)
            .map_or(0, |of| of.asked.len() + of.wakes.len())
    }

    /// Are so many under way that another one would be too many?
    pub(crate) fn are_enough(&self, listener: u64) -> bool {
        self.under_way(listener) >= AT_ONCE
    }

    /// Has a connection made to a listener, at an address it is reached by.
    fn ask(&mut self, listener: u64, to: SocketAddr, network: Network, port: u16) {
        let wanted = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&wanted);
        self.by_listener.entry(listener).or_default().asked.push(asked);
        let request = Request {
            listener,
            to: canonical(to),
            network,
            port,
            wanted,
        };
        // The receivers live as long as this does.
        if request.network.id == self.own {
            let outcome = send(&request, &self.known);
            let _ = self.done.send((request, outcome));
        } else {
            let _ = self.requests.send(request);
        }
    }

    /// Is this accepted connection one of the guard's own? Then it is done with; the answer is the listener it was
    /// for, which may be another one of the same port, and the port it came from.
    pub(crate) fn arrived(&mut self, connection: &Accepted) -> Option<(u64, u16)> {
        if self.known.lock().is_empty() {
            return None;
        }
        let (client, server) = (connection.client?, connection.server()?);
        let network = network::id(connection.fd.as_fd()).ok()?;
        let ends = (network, canonical(client), canonical(server));
        let listener = self.known.lock().remove(&ends)?;
        self.keep(listener, |wake| wake.ends != ends);
        Some((listener, client.port()))
    }

    /// What those that are under way were to tell has become known. Ones that the listener has not answered yet,
    /// as its backlog is full, will not come any more; others are in its backlog.
    pub(crate) fn give_up(&mut self, listener: u64) {
        if let Some(under_way) = self.by_listener.get(&listener) {
            under_way
                .asked
                .iter()
                .for_each(|wanted| wanted.store(false, SeqCst));
        }
        self.keep(listener, |wake| is_connected(&wake.socket));
    }

    /// Something happened to connections of the guard's own before they were accepted; they are given up. Does
    /// nobody listen at their address? One that is reset may have come to another listener, which is closed.
    fn failed(&mut self, listener: u64) -> bool {
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
        let Some(under_way) = self.by_listener.get_mut(&listener) else {
            return;
        };
        under_way.wakes.retain(|wake| {
            let keep = condition(wake);
            if !keep {
                self.known.lock().remove(&wake.ends);
            }
            keep
        });
        if under_way.wakes.is_empty() && under_way.asked.is_empty() {
            self.by_listener.remove(&listener);
        }
    }

    /// The next connection that was asked for: the listener, the address, and what came of it. Nothing came of one
    /// that is not wanted any more, or has been accepted already.
    fn next_sent(&mut self) -> Option<(u64, SocketAddr, io::Result<Option<&Wake>>)> {
        let (request, outcome) = self.results.try_recv().ok()?;
        let Request { listener, to, .. } = request;
        let under_way = self.by_listener.entry(listener).or_default();
        under_way
            .asked
            .retain(|wanted| !Arc::ptr_eq(wanted, &request.wanted));
        let new = match outcome {
            Ok(Some(wake)) if self.known.lock().contains_key(&wake.ends) => {
                under_way.wakes.push(wake);
                Ok(true)
            }
            outcome => outcome.map(|_| false),
        };
        self.keep(listener, |_| true);
        let newest = self.by_listener.get(&listener).and_then(|of| of.wakes.last());
        Some((listener, to, new.map(|new| newest.filter(|_| new))))
    }
}

impl Guard {
    /// Remembers where clients find a listener, for the time that one of them is to be waited for.
    pub(crate) fn remember_place(&mut self, cookie: u64, connection: &Accepted) {
        let Some(server) = connection.client.and(connection.server()) else {
            return;
        };
        let own = self.wakes.own;
        let queue = self.queue(cookie);
        queue.is_shared = accept::is_shared(connection.fd.as_fd());
        let known = queue.place.take().map(|(_, network)| network);
        let network = known.map_or_else(|| Network::of(connection.fd.as_fd(), own), Ok);
        match network {
            Ok(network) => queue.place = Some((server, network)),
            Err(error) => self.cannot_wake(cookie, server, &error),
        }
    }

    /// Makes a connection to the listener.
    pub(crate) fn connect(&mut self, cookie: u64) {
        let Some(queue) = self.listeners.get(&cookie) else {
            return;
        };
        if let Some((address, network)) = queue.place.clone() {
            let port = queue.reached_from;
            self.wakes.ask(cookie, address, network, port);
            self.sent();
        }
    }

    /// Connections have been made that were asked for.
    pub(crate) fn sent(&mut self) {
        while let Some((cookie, address, outcome)) = self.wakes.next_sent() {
            let watched = match outcome {
                Ok(None) => continue,
                Ok(Some(wake)) => {
                    let events = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLONESHOT;
                    self.epoll
                        .add(wake.socket.as_fd(), events, WAKE | cookie)
                        .map(|()| wake.arrived)
                }
                Err(error) => Err(error),
            };
            match watched {
                Ok(true) => {}
                Ok(false) if !self.queue(cookie).machine.is_unheard() => self.wakes.give_up(cookie),
                Ok(false) => self.find_last(cookie, Wanted::Nudge { or_connect: false }),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.find_last(cookie, Wanted::Presence);
                }
                Err(error) if is_exhausted(&error) => {
                    // Again when there is room, with the rest that waits for it.
                    self.drive(cookie, Event::Full, None);
                }
                Err(error) => self.cannot_wake(cookie, address, &error),
            }
        }
    }

    /// Says once for each listener that it cannot be reached. What is ready there waits for the next call.
    fn cannot_wake(&mut self, cookie: u64, address: SocketAddr, error: &io::Error) {
        self.drive(cookie, Event::Unreachable, None);
        if std::mem::replace(&mut self.queue(cookie).is_unreachable, true) {
            return;
        }
        let reason = hosts_access::decide::reason(error);
        let line = format!("warning: cannot connect to {address} to wake the program: {reason}");
        self.rules.log.line(syslog::ERR, line.as_bytes());
    }

    /// Has the listener found, by the last one who called there.
    pub(crate) fn find_last(&mut self, cookie: u64, wanted: Wanted) {
        let last = self.listeners.get(&cookie).and_then(|queue| queue.last.as_ref());
        match last.and_then(|(task, fd)| Some((task.upgrade()?, *fd))) {
            Some((task, fd)) => {
                let purpose = Purpose::Last {
                    listener: cookie,
                    wanted,
                };
                self.fetch(task, fd, purpose);
            }
            None => self.found_last(cookie, None, wanted),
        }
    }

    /// It has been found, or not.
    pub(crate) fn found_last(&mut self, cookie: u64, listener: Option<&OwnedFd>, wanted: Wanted) {
        match (wanted, listener) {
            (Wanted::Nudge { or_connect }, listener) => {
                let is_nudged = listener.is_some_and(nudge);
                if !is_nudged && or_connect && !self.wakes.are_enough(cookie) {
                    self.connect(cookie);
                }
            }
            // What is ready waits for the next call, or goes with the listener.
            (Wanted::Presence, Some(_)) => self.drive(cookie, Event::Unreachable, None),
            (Wanted::Presence, None) => self.drive(cookie, Event::Closed, None),
        }
    }

    /// Something became of our own connection to a listener before it was accepted.
    pub(crate) fn woken(&mut self, cookie: u64) {
        if self.wakes.failed(cookie) {
            // Nobody listens at the listener's address, or a packet filter says so.
            self.find_last(cookie, Wanted::Presence);
        } else {
            // Another program accepted it, or closed the listener it came to.
            self.drive(cookie, Event::Astray, None);
        }
    }
}

/// Has everybody who polls a listener look at it again, where it has connections in its backlog. One that has heard of
/// these, and found no room for them, would hear of no more once the backlog is full.
fn nudge(listener: &OwnedFd) -> bool {
    // A listener has no sending side to shut; all that happens is that those are woken who wait for it.
    is_readable(listener.as_fd())
        // SAFETY: takes numbers only.
        && check(unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_WR) }.into()).is_ok()
}

/// Connects to a listener. Nothing where that is not wanted any more.
fn send(request: &Request, known: &Known) -> io::Result<Option<Wake>> {
    let Request { to, network, .. } = request;
    let socket = network.stream(to)?;
    // From the very address it goes to, which only an address of this host can be: whatever a program says it
    // listens at, nothing leaves the machine.
    let from = |port| {
        let mut from = *to;
        from.set_port(port);
        bind(&socket, &from)
    };
    if request.port == 0 || from(request.port).is_err() {
        from(0)?;
    }
    let from = local_address(socket.as_fd())?.internet().map(canonical);
    let from = from.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let ends = (network.id, from, *to);
    if !request.wanted.load(SeqCst) {
        return Ok(None);
    }
    known.lock().insert(ends, request.listener);
    match connect(&socket, to) {
        Ok(arrived) => Ok(Some(Wake {
            socket,
            ends,
            arrived,
        })),
        Err(error) => {
            known.lock().remove(&ends);
            Err(error)
        }
    }
}

/// Says whether the connection got through at once.
fn connect(socket: &OwnedFd, to: &SocketAddr) -> io::Result<bool> {
    let to = Raw::from(to);
    // SAFETY: an address, with its length.
    let connected = unsafe { libc::connect(socket.as_raw_fd(), to.as_ptr(), to.length()) };
    match check(connected.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        result => drop(result?),
    }
    // A listener with TCP_DEFER_ACCEPT shows no connection before data has come; others do not mind.
    // SAFETY: one byte.
    let sent = unsafe { libc::send(socket.as_raw_fd(), [0u8].as_ptr().cast(), 1, libc::MSG_NOSIGNAL) };
    match check(sent as libc::c_long) {
        Ok(_) => Ok(true),
        // What `connect` did not wait for, said once.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
        Err(_) => Ok(false),
    }
}

fn bind(socket: &OwnedFd, to: &SocketAddr) -> io::Result<()> {
    let to = Raw::from(to);
    // SAFETY: an address, with its length.
    check(unsafe { libc::bind(socket.as_raw_fd(), to.as_ptr(), to.length()) }.into())?;
    Ok(())
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        (IpAddr::V6(_), SocketAddr::V6(v6)) => {
            // Flow labels differ between the ends.
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, address.port()),
    }
}

fn is_connected(socket: &OwnedFd) -> bool {
    let mut room = 0;
    // SAFETY: no room for the address, which nobody wants.
    unsafe { libc::getpeername(socket.as_raw_fd(), (&raw mut room).cast(), &mut room) == 0 }
}
