//! Calls that got no connection: what their listener's machine wants to know of them, and what time does to them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::accept::{self, Listener};
use crate::decide::Answer;
use crate::guard::{Guard, WATCH};
use crate::machine::{Event, Facts, Waiter};
use crate::queue::Granted;
use crate::relay::News;

/// How often connections are looked at that nobody has come for.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a call may wait before it is seen whether its process has a descriptor left. Most do not wait as long, and to
/// see it takes as long as the rest of what is done when a call begins to wait.
const SOON: Duration = Duration::from_millis(10);

impl Guard {
    /// What is to be known of calls that have found nothing.
    pub(crate) fn look(&mut self, cookie: u64, listener: &Listener) -> Facts {
        let fd = listener.fd.as_fd();
        let blocks = accept::blocks(fd);
        let notifications = &self.notifications;
        let Some(queue) = self.listeners.get(&cookie) else {
            return Facts::default();
        };
        let exhausted = queue.machine.new_calls();
        Facts {
            blocks,
            timeout: blocks.then(|| accept::receive_timeout(fd)).flatten(),
            // A call that is going to wait has time for that.
            exhausted: exhausted
                .filter(|waiter| !blocks && waiter.caller.task.has_no_descriptor_left())
                .map(|waiter| waiter.id)
                .collect(),
            is_held: queue
                .machine
                .held_calls()
                .any(|waiter| notifications.is_waiting(waiter.id)),
        }
    }

    /// Has the guard told, each time there is something new to accept.
    ///
    /// The kernel watches the socket as long as somebody else has it open, not just while `fd` is: a descriptor of
    /// ours that stayed would keep the port in use after the program has closed it. And it wakes the guard where
    /// it would have woken the program, on the processor that the connection came in on.
    pub(crate) fn watch(&mut self, cookie: u64, listener: &Listener) -> io::Result<()> {
        if self.queue(cookie).is_watched {
            return Ok(());
        }
        let events = libc::EPOLLIN | libc::EPOLLET;
        match self.epoll.add(listener.fd.as_fd(), events, WATCH | cookie) {
            // It was watched already, when the listener was forgotten.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        self.queue(cookie).is_watched = true;
        Ok(())
    }

    /// Calls have begun to wait: soon it is seen whether their processes have descriptors left, at the latest when nothing
    /// else happens.
    pub(crate) fn see_soon(&mut self) {
        self.see_waiting.get_or_insert(self.now + SOON);
        self.watchdog.tell_of_rest();
    }

    /// Ends calls that wait though their processes have no descriptor left, for which `accept` does not wait.
    fn see_waiting(&mut self, now: Instant) {
        if self.see_waiting.is_none_or(|time| time > now) {
            return;
        }
        self.see_waiting = None;
        let mut exhausted = Vec::new();
        for (cookie, queue) in &mut self.listeners {
            for (id, caller) in queue.machine.blocked() {
                if !std::mem::replace(&mut caller.is_seen, true) && caller.task.has_no_descriptor_left() {
                    exhausted.push((*cookie, id));
                }
            }
        }
        for (cookie, id) in exhausted {
            self.drive(cookie, Event::Exhausted(id), None);
        }
    }

    /// Lookups have ended.
    pub(crate) fn decided(&mut self) {
        let mut ended: BTreeMap<u64, (usize, Vec<Granted>)> = BTreeMap::new();
        for (job, answer) in self.lookups.finished() {
            let (count, granted) = ended.entry(job.listener).or_default();
            *count += 1;
            match answer {
                Answer::Granted => granted.push(Granted {
                    connection: job.connection,
                    permit: Some(job.permit),
                }),
                answer => self.turned_away(answer, job.address()),
            }
        }
        for (cookie, (count, granted)) in ended {
            self.drive(cookie, Event::Decided(count, granted), None);
        }
    }

    /// Ends calls whose time is over, and connections that nobody came for.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.see_waiting(now);
        for (id, cookie) in self.timers.due(now) {
            self.drive(cookie, Event::Due(id), None);
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
            for cookie in self.those(|queue| queue.machine.is_unheard()) {
                self.drive(cookie, Event::Tick, None);
            }
        }
        if self.is_full && !self.room.is_full() {
            self.unblock(now);
        }
    }

    /// There may be room again for listeners that had none.
    fn unblock(&mut self, now: Instant) {
        self.is_full = false;
        for cookie in self.those(|queue| queue.machine.is_full()) {
            if !self.room.is_open_to(cookie) {
                self.is_full = true;
                continue;
            }
            let notifications = &self.notifications;
            if let Some(queue) = self.listeners.get_mut(&cookie) {
                let is_gone = |waiter: &Waiter<_>| !notifications.is_waiting(waiter.id);
                queue.machine.forget(is_gone, now);
            }
            self.ask(cookie, 0, News::Room);
        }
    }
}
