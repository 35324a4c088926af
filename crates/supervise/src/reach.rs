//! How the guard comes to a program's sockets: by an errand, as that may take as long as the program likes.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::accept::Listener;
use crate::call::{errno, is_exhausted};
use crate::guard::Guard;
use crate::machine::{Event, HELD};
use crate::memory::Memory;
use crate::notify::Call;
use crate::queue::{Caller, Opened};
use crate::relay::{Errand, News, Open, Purpose, Take, Wanted};
use crate::task::Task;

impl Guard {
    /// A call has come in: its thread is reached, and the socket that it accepts from is to be taken. Where that fails it
    /// may be tried `again`.
    pub(crate) fn reach(&mut self, call: Call, again: bool) {
        let task = match self.tasks.get(call.thread) {
            Err(error) if again && is_exhausted(&error) => {
                self.tasks.clear();
                self.tasks.get(call.thread)
            }
            result => result,
        };
        match task {
            Ok(task) => self.fetch(task, call.fd, Purpose::Call { call, again }),
            Err(error) => self.out_of_reach(&call, &error),
        }
    }

    fn out_of_reach(&mut self, call: &Call, error: &io::Error) {
        let fail = |guard: &Self, errno| guard.notifications.fail(call.id, errno);
        match errno(error) {
            libc::ESRCH => {}
            libc::ENOTSOCK if !has_good_flags(call) => fail(self, libc::EINVAL),
            errno @ (libc::EBADF | libc::ENOTSOCK) => fail(self, errno),
            libc::EMFILE | libc::ENFILE => {
                self.complain(call.thread, error);
                self.hopeless.push_back((self.now + HELD, call.id));
            }
            errno => {
                self.complain(call.thread, error);
                fail(self, errno);
            }
        }
    }

    /// Does its process keep one of the guard's threads?
    pub(crate) fn is_stuck(&self, task: &Task) -> bool {
        self.stuck.contains_key(&task.process)
    }

    /// Has a socket taken, unless its process keeps a thread already: then calls wait for that.
    pub(crate) fn fetch(&mut self, task: Arc<Task>, fd: i32, purpose: Purpose) {
        match purpose {
            _ if !self.is_stuck(&task) => {}
            Purpose::Call { call, .. } => {
                // What the thread waited in before was interrupted by a signal.
                self.parked.retain(|(_, other)| other.thread != call.thread);
                return self.parked.push((task.process, call));
            }
            purpose => return self.not_taken(purpose),
        }
        let take = Take { task, fd, purpose };
        self.errands.push_back((Errand::Take(take), None));
    }

    pub(crate) fn not_taken(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Call { .. } => {}
            Purpose::Waiting { listener, nth, news } => self.ask(listener, nth + 1, news),
            Purpose::Last {
                listener,
                wanted: Wanted::Presence,
            } => self.drive(listener, Event::Unreachable, None),
            Purpose::Last { listener, wanted } => self.found_last(listener, None, wanted),
        }
    }

    /// A socket has been taken, or could not be.
    pub(crate) fn taken(&mut self, take: Take, result: io::Result<(OwnedFd, u64)>) {
        match (take.purpose, result) {
            (Purpose::Call { call, again: true }, Err(error)) if errno(&error) == libc::ESRCH => {
                self.tasks.forget(call.thread);
                self.reach(call, false);
            }
            (Purpose::Call { call, again: true }, Err(error)) if is_exhausted(&error) => {
                self.tasks.clear();
                self.reach(call, false);
            }
            (Purpose::Call { call, .. }, Err(error)) => self.out_of_reach(&call, &error),
            // The number may have passed to another thread before we opened it, or the thread's process to another
            // program before we took the descriptor.
            (Purpose::Call { call, .. }, Ok((_, cookie)))
                if !take
                    .task
                    .has_called(call.fd, cookie, || self.notifications.is_waiting(call.id)) =>
            {
                self.tasks.forget(call.thread);
            }
            (Purpose::Call { call, .. }, Ok((fd, cookie))) => self.called(call, take.task, fd, cookie),
            (
                Purpose::Waiting {
                    listener: own, news, ..
                },
                Ok((fd, cookie)),
            ) if cookie == own => {
                let listener = Listener {
                    fd,
                    listens: self.queue(own).listens,
                    readable: matches!(news, News::Readable(true)),
                };
                self.tell(own, news, Some(listener));
            }
            (Purpose::Waiting { listener, .. }, Err(error)) if is_exhausted(&error) => {
                self.without_descriptors(take.task.thread, &error);
                self.drive(listener, Event::Full, None);
            }
            (Purpose::Last { listener, wanted }, Ok((fd, cookie))) if cookie == listener => {
                self.found_last(listener, Some(&fd), wanted);
            }
            (Purpose::Last { listener, wanted }, _) => self.found_last(listener, None, wanted),
            (purpose @ Purpose::Waiting { .. }, _) => self.not_taken(purpose),
        }
    }

    /// Has the memory opened of the call that came last and is going to wait.
    pub(crate) fn open_ahead(&mut self, cookie: u64) {
        if Arc::strong_count(&self.shares) > self.most_shares {
            return;
        }
        let newest = self.listeners.get(&cookie);
        let newest = newest.and_then(|queue| queue.machine.waiting().next_back());
        let Some((id, caller)) = newest.map(|waiter| (waiter.id, &waiter.caller)) else {
            return;
        };
        if caller.call.address != 0 && caller.opened.is_none() && !self.is_stuck(&caller.task) {
            let open = Open {
                listener: cookie,
                id,
                task: Arc::clone(&caller.task),
                length: caller.call.length,
                share: Arc::clone(&self.shares),
            };
            self.errands.push_back((Errand::Open(open), None));
        }
    }

    /// It has been opened. Where it could not be, that is seen when it is needed.
    pub(crate) fn opened(&mut self, open: Open, memory: io::Result<(Memory, Option<[u8; 4]>)>) {
        let queue = self.listeners.get_mut(&open.listener);
        let caller = queue.and_then(|queue| queue.machine.caller(open.id));
        if let (Some(caller), Ok((memory, given))) = (caller, memory) {
            caller.opened = Some(Opened {
                memory,
                given,
                _share: open.share,
            });
        }
    }

    /// There is news for the calls that wait at a listener. The nth of them, or one that came later, is asked for the socket.
    pub(crate) fn ask(&mut self, cookie: u64, nth: usize, news: News) {
        let Some(queue) = self.listeners.get(&cookie) else {
            return;
        };
        let mut waiting = queue.machine.waiting().enumerate().skip(nth);
        let within_reach = waiting.find(|(_, waiter)| !self.is_stuck(&waiter.caller.task));
        let Some((nth, Caller { call, task, .. })) = within_reach.map(|(n, waiter)| (n, &waiter.caller))
        else {
            drop(waiting);
            if queue
                .machine
                .waiting()
                .any(|waiter| self.is_stuck(&waiter.caller.task))
            {
                self.postponed.insert(cookie);
            }
            return self.tell(cookie, news, None);
        };
        let (task, fd, listener) = (Arc::clone(task), call.fd, cookie);
        drop(waiting);
        self.fetch(task, fd, Purpose::Waiting { listener, nth, news });
    }

    /// Tells it, with the socket where there is one.
    pub(crate) fn tell(&mut self, cookie: u64, news: News, source: Option<Listener>) {
        let is_there = source.is_some();
        let event = match news {
            News::Readable(_) => Event::Readable { source: is_there },
            News::Room => Event::Room { source: is_there },
        };
        self.drive(cookie, event, source);
    }
}

/// Are its flags ones that the kernel knows?
pub(crate) fn has_good_flags(call: &Call) -> bool {
    call.flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) == 0
}
