//! Calls that got no connection: which of them wait, for how long, and how the others fail.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::accept::{self, Listener};
use crate::call::{Epoll, errno};
use crate::decide::Answer;
use crate::guard::{Guard, WATCH};
use crate::queue::{Queue, Ready, State, Waiter};

/// How long a program that does not want to wait is held for a lookup, which spares it a second call. It is
/// held only while no other connection of the listener is undecided.
const GRACE: Duration = Duration::from_millis(1);
/// How long it is held while no connection can be accepted, lest it asks again and again.
pub(crate) const HELD: Duration = Duration::from_millis(20);
/// How long a granted connection waits for the program to accept it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often such connections are looked at.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Guard {
    /// Ends the calls that have just come in and got no connection, or lets them wait. `passed_over` says
    /// that there was a connection, which they could not have.
    pub(crate) fn settle(&mut self, cookie: u64, listener: Option<Listener>, passed_over: bool) {
        let (Some(queue), Some(listener)) = (self.listeners.get_mut(&cookie), listener) else {
            return;
        };
        let new = queue.extract(|waiter| waiter.state == State::New);
        if new.is_empty() {
            return;
        }
        let fd = listener.fd.as_fd();
        let blocks = accept::blocks(fd);
        let (full, undecided) = (queue.full, queue.undecided);
        let mut failed = Vec::new();
        for mut waiter in new {
            let id = waiter.call.id;
            if waiter.task.has_no_descriptor_left() {
                failed.push((id, libc::EMFILE));
                continue;
            }
            let since = Instant::now();
            let passed_over = passed_over || waiter.was_held;
            if blocks {
                waiter.limit = accept::receive_timeout(fd).map(|time| since + time);
            }
            let is_held = |waiter: &Waiter| {
                matches!(waiter.state, State::Held { blocks: true, .. })
                    && self.notifications.is_waiting(waiter.call.id)
            };
            if blocks && (queue.is_waited_on || !passed_over || queue.waiting.iter().any(is_held)) {
                queue.waits();
                if let Err(error) = watch(&self.epoll, queue, fd, cookie) {
                    // Nothing would tell us of a connection: the call cannot wait.
                    failed.push((id, errno(&error)));
                    continue;
                }
                waiter.state = State::Blocked;
            } else {
                let held = if blocks && (full || undecided > 0) && queue.patience > GRACE {
                    // It may be a call of a program that means to wait.
                    let _ = watch(&self.epoll, queue, fd, cookie);
                    queue.patience
                } else if full {
                    HELD
                } else if passed_over && undecided == 1 {
                    GRACE
                } else {
                    failed.push((id, waiter.nothing(blocks)));
                    continue;
                };
                waiter.state = State::Held {
                    since,
                    until: since + held,
                    blocks,
                };
            }
            waiter.timer = waiter.end().map(|(time, _)| self.timers.set(time, id, cookie));
            queue.waiting.push_back(waiter);
        }
        // They may close the listener next.
        drop(listener);
        for (id, errno) in failed {
            self.notifications.fail(id, errno);
        }
    }

    /// Lookups have ended.
    pub(crate) fn decided(&mut self) {
        let mut changed = BTreeSet::new();
        for (job, answer) in self.lookups.finished() {
            self.queue(job.listener).undecided -= 1;
            changed.insert(job.listener);
            match answer {
                Answer::Granted => {
                    let ready = Ready::new(job.connection, job.permit);
                    self.queue(job.listener).ready.push_back(ready);
                }
                answer => self.turned_away(answer),
            }
        }
        for cookie in changed {
            self.serve(cookie, None);
            self.let_go(cookie);
        }
    }

    /// Ends the calls that were held for lookups, if these have ended.
    fn let_go(&mut self, cookie: u64) {
        for waiter in self.queue(cookie).held_for_nothing() {
            let errno = waiter.end().map_or(libc::EAGAIN, |(_, errno)| errno);
            self.notifications.fail(waiter.call.id, errno);
        }
    }

    /// Ends calls whose time is over, and connections that nobody came for.
    pub(crate) fn expire(&mut self, now: Instant) {
        for (id, cookie) in self.timers.due(now) {
            let Some(queue) = self.listeners.get_mut(&cookie) else {
                continue;
            };
            for mut waiter in queue.extract(|waiter| waiter.call.id == id) {
                match waiter.end() {
                    Some((end, errno)) if end <= now => {
                        queue.spend(&waiter);
                        self.notifications.fail(id, errno);
                    }
                    // It was held, and waits now.
                    end => {
                        waiter.timer = end.map(|(end, _)| self.timers.set(end, id, cookie));
                        queue.waiting.push_back(waiter);
                    }
                }
            }
        }
        while let Some((time, id)) = self.hopeless.pop_front() {
            if time > now {
                self.hopeless.push_front((time, id));
                break;
            }
            // What programs try again after.
            self.notifications.fail(id, libc::ECONNABORTED);
        }
        if self.room.held() > self.lookups.undecided() && now >= self.look_again {
            self.look_again = now + LOOK_AGAIN;
            for queue in self.listeners.values_mut() {
                queue
                    .ready
                    .retain(|ready| now.duration_since(ready.since) < PATIENCE);
            }
            self.wake_again();
        }
        self.unblock();
    }

    /// There may be room again for listeners that had none.
    fn unblock(&mut self) {
        if !self.is_full || self.room.is_full() {
            return;
        }
        let (again, full): (Vec<u64>, Vec<u64>) = self
            .listeners
            .iter()
            .filter_map(|(cookie, queue)| queue.full.then_some(*cookie))
            .partition(|cookie| self.room.is_open_to(*cookie));
        self.is_full = !full.is_empty();
        for cookie in again {
            let Some(queue) = self.listeners.get_mut(&cookie) else {
                continue;
            };
            queue.full = false;
            let waits = |waiter: &Waiter| self.notifications.is_waiting(waiter.call.id);
            if !queue.waiting.iter().any(waits) {
                // Who heard that there is nothing must hear that there is something, even where an earlier
                // message is still in the backlog.
                if !self.nudge(cookie) && !self.wakes.are_enough(cookie) {
                    self.connect(cookie);
                }
            } else {
                self.go_on(cookie, false);
                self.let_go(cookie);
            }
        }
    }
}

/// Has the guard told, each time there is something new to accept.
///
/// The kernel watches the socket as long as somebody else has it open, not just while `fd` is: a descriptor of
/// ours that stayed would keep the port in use after the program has closed it. And it wakes the guard where
/// it would have woken the program, on the processor that the connection came in on.
fn watch(epoll: &Epoll, queue: &mut Queue, fd: BorrowedFd<'_>, cookie: u64) -> io::Result<()> {
    if !queue.is_watched {
        match epoll.add(fd, libc::EPOLLIN | libc::EPOLLET, WATCH | cookie) {
            // It was watched already, when the queue was forgotten.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        queue.is_watched = true;
    }
    Ok(())
}
