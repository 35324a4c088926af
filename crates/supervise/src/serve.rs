//! From the backlog to the program: accepting, asking the rules, and handing over.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use system::syslog;

use crate::accept::{self, Accepted, Listener};
use crate::call::{errno, is_exhausted, is_readable, option, owned};
use crate::decide::{self, Answer, Question};
use crate::guard::{CHILD, Guard};
use crate::lookups::Job;
use crate::machine::{Action, Event, Found, Given};
use crate::notify::is_gone;
use crate::queue::{Caller, Granted};
use crate::relay::{Errand, HandOver, Handed, Problem, Wanted};

/// Shared memory communications, which begin as TCP connections.
const AF_SMC: libc::c_int = 43;

impl Guard {
    /// Tells a listener what has happened, and does what it says, until there is nothing left to do.
    pub(crate) fn drive(&mut self, cookie: u64, event: Event<Caller, Granted>, mut source: Option<Listener>) {
        let now = self.now;
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let wakes = match (&event, self.listeners.get(&cookie)) {
                // They may lie in the backlog of another listener, whose program is busy.
                (Event::Tick, Some(queue)) if queue.is_shared && !self.wakes.are_enough(cookie) => 0,
                _ => self.wakes.under_way(cookie),
            };
            for action in self.queue(cookie).machine.on(event, wakes, now) {
                let outcome = self.perform(cookie, action, &mut source);
                debug_assert!(outcome.is_none() || next.is_none(), "one thing at a time");
                next = outcome.or(next);
            }
        }
        let queue = self.queue(cookie);
        let is_full = queue.machine.is_full();
        let last = queue.last.as_ref().filter(|_| is_full);
        queue.kept = last.and_then(|(task, _)| task.upgrade());
        if queue.machine.holds_nothing() {
            queue.place = None;
        }
        self.is_full |= is_full;
    }

    fn perform(
        &mut self,
        cookie: u64,
        action: Action<Caller, Granted>,
        source: &mut Option<Listener>,
    ) -> Option<Event<Caller, Granted>> {
        match action {
            Action::Accept => {
                let found = source.as_mut().map(|listener| self.take(cookie, listener));
                return Some(Event::Found(found.unwrap_or(Found::Nothing)));
            }
            Action::Deliver(waiter, granted) => {
                if self.is_stuck(&waiter.caller.task) {
                    let given = Given::Kept(self.keep(cookie, granted), libc::ECONNABORTED);
                    return Some(Event::Delivered(waiter.id, given));
                }
                let handover = HandOver {
                    listener: cookie,
                    waiter,
                    granted,
                };
                self.errands
                    .push_back((Errand::HandOver(handover), source.take()));
            }
            Action::Look => {
                let facts = source.as_ref().map(|listener| self.look(cookie, listener));
                return Some(Event::Seen(facts.unwrap_or_default()));
            }
            Action::Watch => {
                if let Some(Err(error)) = source.as_ref().map(|listener| self.watch(cookie, listener)) {
                    return Some(Event::Unwatched(errno(&error)));
                }
                self.open_ahead(cookie);
                self.see_soon();
            }
            Action::Later => self.again.push(cookie),
            Action::Part => *source = None,
            Action::Fail(id, errno) => self.notifications.fail(id, errno),
            Action::Wake => self.connect(cookie),
            Action::Nudge => self.find_last(cookie, Wanted::Nudge { or_connect: true }),
            Action::GiveUp => self.wakes.give_up(cookie),
        }
        None
    }

    /// Accepts a connection for the first call that waits, and asks the rules whether the program may have it.
    fn take(&mut self, cookie: u64, listener: &mut Listener) -> Found<Granted> {
        let Some(waiter) = self.queue(cookie).machine.waiting().next() else {
            return Found::Nothing;
        };
        let (call, process) = (waiter.caller.call, waiter.caller.task.process);
        let nonblocking = call.flags & libc::SOCK_NONBLOCK != 0;
        if !self.room.is_open_to(cookie) {
            let nothing = listener.listens && !is_readable(listener.fd.as_fd());
            return if nothing { Found::Nothing } else { Found::Full };
        }
        let connection = match accept::accept(listener, nonblocking, call.address != 0, &self.watchdog) {
            Ok(Some(connection)) => connection,
            Ok(None) => return Found::Nothing,
            Err(error) if is_exhausted(&error) => {
                self.without_descriptors(call.thread, &error);
                return Found::Full;
            }
            Err(error) => return Found::Failed(errno(&error)),
        };
        let Some(client) = connection.client else {
            // What is of the internet must not pass for a connection the rules do not know.
            return match is_internet(connection.fd.as_fd()) {
                true => Found::Refused,
                false => self.found(cookie, connection),
            };
        };
        if let Some((target, port)) = self.wakes.arrived(&connection) {
            let queue = self.queue(cookie);
            (queue.reached_from, queue.is_unreachable) = (port, false);
            if target != cookie {
                self.drive(target, Event::Astray, None);
            }
            return Found::WakeUp;
        }
        let question = Question {
            connection: &connection,
            client,
            process,
        };
        match decide::begin(&self.rules, question) {
            Ok(Answer::Granted) => self.found(cookie, connection),
            Ok(answer) => {
                self.turned_away(answer, Some(client.ip()));
                Found::Refused
            }
            Err(_) if !self.room.is_open_to_client(client.ip()) => {
                self.too_many_of(client.ip());
                Found::Refused
            }
            Err(undecided) => {
                self.remember_place(cookie, &connection);
                let permit = self.room.take(cookie, Some(client.ip()));
                self.lookups.add(Job {
                    listener: cookie,
                    connection,
                    permit,
                    process,
                    wants: undecided.wants,
                    undecided: Some(undecided),
                });
                Found::Undecided
            }
        }
    }

    fn found(&mut self, cookie: u64, connection: Box<Accepted>) -> Found<Granted> {
        let granted = Granted {
            connection,
            permit: None,
        };
        Found::Granted(match self.queue(cookie).machine.drains() {
            true => self.keep(cookie, granted),
            false => granted,
        })
    }

    /// What a connection needs that no call has yet.
    fn keep(&mut self, cookie: u64, mut granted: Granted) -> Granted {
        self.remember_place(cookie, &granted.connection);
        if granted.permit.is_none() {
            let client = granted.connection.client.map(|client| client.ip());
            granted.permit = Some(self.room.take(cookie, client));
        }
        granted
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

    /// The guard, not the program, has no descriptor left: it goes on in a while.
    pub(crate) fn without_descriptors(&mut self, thread: u32, error: &io::Error) {
        self.tasks.clear();
        self.complain(thread, error);
    }

    /// What the program does not get; it is closed by whoever holds it.
    pub(crate) fn turned_away(&mut self, answer: Answer, client: Option<IpAddr>) {
        let Answer::Twisted(process) = answer else {
            return;
        };
        // Of any listener.
        let permit = self.rules.commands.take(0, client);
        // SAFETY: takes numbers only; the descriptor is new.
        let pidfd = unsafe { owned(libc::syscall(libc::SYS_pidfd_open, process, 0)) };
        if let Ok(pidfd) = pidfd {
            let token = CHILD | process as u64;
            if self.epoll.add(pidfd.as_fd(), libc::EPOLLIN, token).is_ok() {
                self.children.insert(process, (pidfd, permit));
            }
        }
    }

    /// A command that had a connection has ended.
    pub(crate) fn reap(&mut self, process: libc::pid_t) {
        self.children.remove(&process);
        // SAFETY: a child of ours, whose status nobody wants.
        unsafe { libc::waitpid(process, std::ptr::null_mut(), libc::WNOHANG) };
    }

    /// Sees to what came of a handover.
    pub(crate) fn finish(&mut self, handed: Handed, source: Option<Listener>) {
        let Handed {
            listener: cookie,
            id,
            result,
            ..
        } = handed;
        let given = match result {
            Ok(()) => Given::Done,
            Err((Problem::Handed(error), granted)) if is_gone(&error) => {
                Given::Gone(self.keep(cookie, granted))
            }
            Err((Problem::Handed(error), granted)) => Given::Kept(self.keep(cookie, granted), errno(&error)),
            // The call may have been gone before, with its memory.
            Err((Problem::Told(_), granted)) if !self.notifications.is_waiting(id) => {
                Given::Gone(self.keep(cookie, granted))
            }
            // The guard has no descriptor left, not the program.
            Err((Problem::Told(error), granted)) if is_exhausted(&error) => {
                Given::Kept(self.keep(cookie, granted), libc::ECONNABORTED)
            }
            Err((Problem::Told(error), _)) => Given::Lost(errno(&error)),
        };
        self.drive(cookie, Event::Delivered(id, given), source);
    }
}

/// Is it a socket of a family whose connections go over the internet?
fn is_internet(fd: BorrowedFd<'_>) -> bool {
    let domain: io::Result<libc::c_int> = option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN);
    matches!(domain, Ok(libc::AF_INET | libc::AF_INET6 | AF_SMC) | Err(_))
}
