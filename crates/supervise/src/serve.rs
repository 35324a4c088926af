//! From the backlog to the program: accepting, asking the rules, and handing over.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use system::syslog;

use crate::accept::{self, Accepted, Listener};
use crate::call::{errno, is_exhausted, is_readable, option, owned};
use crate::decide::{self, Answer};
use crate::guard::{CHILD, Guard};
use crate::lookups::Job;
use crate::memory::Memory;
use crate::notify::{Call, is_gone};
use crate::queue::{Ready, Waiter};

/// How many refused connections are taken out of a backlog before others get their turn.
const AT_A_TIME: usize = 64;

/// How many connections may be closing at one time without the main thread.
const CLOSING: usize = 256;

/// Shared memory communications, which begin as TCP connections.
const AF_SMC: libc::c_int = 43;

/// What came of an attempt to accept.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Taken {
    Connection(Accepted),
    Nothing,
    /// There is no room for a connection that is there.
    Full,
    /// Many were refused: others first.
    Later,
    Failed(i32),
}

/// What came of an attempt to hand a connection over.
enum Given {
    Done,
    /// The caller is gone.
    Gone,
    /// The call fails, and the connection stays for the next one.
    Kept(i32),
    /// The call fails, and the connection is lost, as it is without a guard.
    Lost(i32),
}

impl Guard {
    /// There may be something to accept for calls that wait; `readable` where there certainly is.
    pub(crate) fn go_on(&mut self, cookie: u64, readable: bool) {
        let Some(queue) = self.listeners.get(&cookie) else {
            return;
        };
        let mut exhausted = None;
        let listener = queue.waiting.iter().find_map(|waiter| {
            let fd = match waiter.task.descriptor(waiter.call.fd) {
                Ok(fd) => fd,
                Err(error) => {
                    if is_exhausted(&error) {
                        exhausted = Some((waiter.call, error));
                    }
                    return None;
                }
            };
            let same = accept::cookie(fd.as_fd()).is_ok_and(|found| found == cookie);
            same.then_some(Listener {
                fd,
                cookie,
                listens: queue.listens,
                readable,
            })
        });
        if let (None, Some((call, error))) = (&listener, exhausted) {
            return self.without_descriptors(cookie, &call, &error);
        }
        self.serve(cookie, listener);
    }

    /// Gives the calls that wait what there is for them.
    pub(crate) fn serve(&mut self, cookie: u64, mut listener: Option<Listener>) {
        let mut passed_over = false;
        loop {
            let Some(queue) = self.listeners.get_mut(&cookie) else {
                return;
            };
            if queue.waiting.is_empty() {
                break;
            }
            if let Some(ready) = queue.ready.pop_front() {
                if queue.ready.is_empty() {
                    self.wakes.give_up(cookie);
                    if let Some(listener) = &mut listener {
                        self.take_wake(listener);
                    }
                }
                self.part_with(cookie, &mut listener);
                self.deliver(cookie, ready.connection);
                continue;
            }
            let Some(source) = &mut listener else {
                break;
            };
            match self.take(source, &mut passed_over) {
                Taken::Connection(connection) => {
                    self.part_with(cookie, &mut listener);
                    self.deliver(cookie, connection);
                }
                Taken::Nothing => break,
                Taken::Full => {
                    passed_over = true;
                    self.is_out_of_room(cookie);
                    break;
                }
                Taken::Later => {
                    self.again.push(cookie);
                    return;
                }
                Taken::Failed(errno) => {
                    if let Some(waiter) = self.queue(cookie).next() {
                        self.notifications.fail(waiter.call.id, errno);
                    }
                }
            }
        }
        self.settle(cookie, listener, passed_over);
        self.wake(cookie);
    }

    /// Closes the guard's descriptor of the listener before the last call is answered: the program may close its
    /// own at once, and then nothing must come there any more.
    fn part_with(&mut self, cookie: u64, listener: &mut Option<Listener>) {
        if self.queue(cookie).waiting.len() == 1 {
            *listener = None;
        }
    }

    /// The guard's own connection to this listener, if there is one, has done its work when the last one is
    /// handed over that it spoke of. Left in the backlog, it would make the next call look as if it came from a
    /// program that had asked `poll`.
    fn take_wake(&mut self, listener: &mut Listener) {
        let cookie = listener.cookie;
        if !self.wakes.is_under_way(cookie) {
            return;
        }
        match self.take(listener, &mut false) {
            Taken::Connection(connection) => self.keep(cookie, connection, false),
            Taken::Full => self.is_out_of_room(cookie),
            Taken::Later => self.again.push(cookie),
            Taken::Nothing | Taken::Failed(_) => {}
        }
    }

    /// Accepts a connection the program may have, for the first call that waits.
    fn take(&mut self, listener: &mut Listener, passed_over: &mut bool) -> Taken {
        let cookie = listener.cookie;
        let Some(waiter) = self.queue(cookie).waiting.front() else {
            return Taken::Nothing;
        };
        let (call, process) = (waiter.call, waiter.task.process);
        let nonblocking = call.flags & libc::SOCK_NONBLOCK != 0;
        for _ in 0..AT_A_TIME {
            if !self.room.is_open_to(cookie) {
                let nothing = listener.listens && !is_readable(listener.fd.as_fd());
                return if nothing { Taken::Nothing } else { Taken::Full };
            }
            let connection = match accept::accept(listener, nonblocking, call.address != 0, &self.watchdog) {
                Ok(Some(connection)) => connection,
                Ok(None) => return Taken::Nothing,
                Err(error) if is_exhausted(&error) => {
                    self.without_descriptors(cookie, &call, &error);
                    return Taken::Full;
                }
                Err(error) => return Taken::Failed(errno(&error)),
            };
            let Some(ends) = connection.ends else {
                if is_internet(connection.fd.as_fd()) {
                    // It must not pass for a connection the rules do not know.
                    *passed_over = true;
                    continue;
                }
                return Taken::Connection(connection);
            };
            if let Some((target, port)) = self.wakes.arrived(&connection) {
                *passed_over = true;
                let queue = self.queue(cookie);
                (queue.reached_from, queue.is_unreachable) = (port, false);
                if target != cookie {
                    self.went_astray(target);
                }
                continue;
            }
            match decide::begin(&self.rules, decide::question(&connection.fd, ends, process)) {
                Ok(Answer::Granted) => return Taken::Connection(connection),
                Ok(answer) => self.turned_away(answer),
                Err(_) if !self.room.is_open_to_client(ends.0.ip()) => self.too_many_of(ends.0.ip()),
                Err(undecided) => {
                    self.remember_place(cookie, &connection);
                    self.queue(cookie).undecided += 1;
                    let permit = self.room.take(cookie, Some(ends.0.ip()));
                    self.lookups.add(Job {
                        listener: cookie,
                        connection,
                        permit,
                        process,
                        wants: undecided.wants,
                        undecided: Some(undecided),
                    });
                }
            }
            *passed_over = true;
        }
        Taken::Later
    }

    /// Says, not more often than once a second, that a client has more connections undecided than it may.
    fn too_many_of(&mut self, client: IpAddr) {
        let now = Instant::now();
        self.too_many += 1;
        if now < self.say_too_many {
            return;
        }
        self.say_too_many = now + Duration::from_secs(1);
        let client = client.to_canonical();
        let more = match std::mem::take(&mut self.too_many) {
            1 => String::new(),
            count => format!(" ({count} refused for that)"),
        };
        let line = format!("refused connect from {client}: too many from there wait for lookups{more}");
        self.rules.log.line(syslog::WARNING, line.as_bytes());
    }

    /// The guard, not the program, has no descriptor left: it goes on with the listener in a while.
    fn without_descriptors(&mut self, cookie: u64, call: &Call, error: &io::Error) {
        self.tasks.clear();
        self.complain(call, error);
        self.is_out_of_room(cookie);
    }

    /// Goes on with the listener when there is room again.
    fn is_out_of_room(&mut self, cookie: u64) {
        self.queue(cookie).full = true;
        self.is_full = true;
    }

    /// What the program does not get; it is closed by whoever holds it.
    pub(crate) fn turned_away(&mut self, answer: Answer) {
        let Answer::Twisted(process) = answer else {
            return;
        };
        // SAFETY: takes numbers only; the descriptor is new.
        let pidfd = unsafe { owned(libc::syscall(libc::SYS_pidfd_open, process, 0)) };
        if let Ok(pidfd) = pidfd {
            let token = CHILD | process as u64;
            if self.epoll.add(pidfd.as_fd(), libc::EPOLLIN, token).is_ok() {
                self.children.insert(process, pidfd);
            }
        }
    }

    /// A command that had a connection has ended.
    pub(crate) fn reap(&mut self, process: libc::pid_t) {
        self.children.remove(&process);
        // SAFETY: a child of ours, whose status nobody wants.
        unsafe { libc::waitpid(process, std::ptr::null_mut(), libc::WNOHANG) };
    }

    /// Hands a connection to the first call that takes it, or keeps it.
    fn deliver(&mut self, cookie: u64, connection: Accepted) {
        while let Some(waiter) = self.queue(cookie).next() {
            let id = waiter.call.id;
            match self.give(&waiter, &connection) {
                Given::Done => return self.part_from(connection),
                Given::Gone => {}
                Given::Kept(errno) => {
                    // Who asks `poll` next is to hear of it.
                    self.keep(cookie, connection, true);
                    self.wake(cookie);
                    return self.notifications.fail(id, errno);
                }
                Given::Lost(errno) => return self.notifications.fail(id, errno),
            }
        }
        self.keep(cookie, connection, true);
    }

    /// Closes the guard's descriptor of a connection that the program has too. Where the program was faster with
    /// its own, this is the one that lingers, which the guard's main thread must not do.
    fn part_from(&self, mut connection: Accepted) {
        connection.fd.is_the_programs = true;
        let fd = connection.fd.as_fd();
        if accept::lingers(fd)
            && self.closers.open() < CLOSING
            && let Ok(copy) = fd.try_clone_to_owned()
        {
            self.closers.add(move || drop(copy));
        }
        // What it is to do may change at any time.
        self.watchdog.during(|| drop(connection));
    }

    /// Keeps a connection for the next call.
    pub(crate) fn keep(&mut self, cookie: u64, connection: Accepted, first: bool) {
        self.remember_place(cookie, &connection);
        let client = connection.ends.map(|(client, _)| client.ip());
        let ready = Ready::new(connection, self.room.take(cookie, client));
        let queue = self.queue(cookie);
        if first {
            queue.ready.push_front(ready);
        } else {
            queue.ready.push_back(ready);
        }
    }

    /// Hands a connection to a call: the client's address into its memory, then the descriptor.
    fn give(&self, waiter: &Waiter, connection: &Accepted) -> Given {
        let call = waiter.call;
        if call.address != 0 {
            match self.tell_address(waiter, connection.peer.bytes()) {
                Ok(()) => {}
                // The call may have been gone before, with its memory.
                Err(_) if !self.notifications.is_waiting(call.id) => return Given::Gone,
                // The guard has no descriptor left, not the program.
                Err(error) if is_exhausted(&error) => return Given::Kept(libc::ECONNABORTED),
                Err(error) => return Given::Lost(errno(&error)),
            }
        }
        let nonblocking = call.flags & libc::SOCK_NONBLOCK != 0;
        if connection.nonblocking != nonblocking {
            accept::set_nonblocking(connection.fd.as_fd(), nonblocking);
        }
        let close_on_exec = call.flags & libc::SOCK_CLOEXEC != 0;
        match self
            .notifications
            .hand_over(call.id, connection.fd.as_fd(), close_on_exec)
        {
            Ok(()) => Given::Done,
            Err(error) if is_gone(&error) => Given::Gone,
            Err(error) => Given::Kept(errno(&error)),
        }
    }

    /// Writes the client's address, as far as there is room for it, and its length into the caller's memory.
    fn tell_address(&self, waiter: &Waiter, address: &[u8]) -> io::Result<()> {
        let call = waiter.call;
        let memory = Memory::open(&waiter.task)?;
        if !self.notifications.is_waiting(call.id) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        let mut room = [0; 4];
        memory.read(call.length, &mut room)?;
        let room = usize::try_from(i32::from_ne_bytes(room))
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        memory.write(call.address, &address[..address.len().min(room)])?;
        memory.write(call.length, &(address.len() as i32).to_ne_bytes())
    }
}

/// Is it a socket of a family whose connections go over the internet?
fn is_internet(fd: BorrowedFd<'_>) -> bool {
    let domain: io::Result<libc::c_int> = option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN);
    matches!(domain, Ok(libc::AF_INET | libc::AF_INET6 | AF_SMC) | Err(_))
}
