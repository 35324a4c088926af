//! The guard: it answers the program's `accept` calls, one after the other, and never waits for anything but
//! the next event. What has to be waited for is done by the threads of [`lookups`](crate::lookups).
//!
//! No call is ever let through to the kernel: between a look at the program's descriptor and the call's own,
//! another thread could put another socket in its place. So connections of every family are accepted here,
//! and errors are given as the kernel would.
//!
//! A connection costs the guard about twenty system calls, and little else; each one more is seen in
//! `cargo xtask bench run`.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use system::syslog;

use crate::accept::{self, Listener};
use crate::bell::Bell;
use crate::call::{Epoll, errno, is_exhausted};
use crate::confine::confine;
use crate::decide::Rules;
use crate::lookups::Lookups;
use crate::machine::{Event, HELD, Waiter};
use crate::notify::{Call, Notifications};
use crate::pool;
use crate::queue::{Caller, Queue};
use crate::relay::{Errand, Late, Problem, Relay};
use crate::room::Room;
use crate::settle::LOOK_AGAIN;
use crate::stuck::Watchdog;
use crate::task::{Task, Tasks};
use crate::timers::Timers;
use crate::wake::Wakes;
use crate::watch::Watcher;

/// How many listeners are remembered that nothing waits at.
const KEPT: usize = 1024;
/// After how many calls it is seen, at all listeners, which of those that wait are gone; fewer than wait are no reason.
const MANY: usize = 64;
/// What an event is about, in the upper bits of its token.
pub(crate) const WATCH: u64 = 1 << 62;
pub(crate) const WAKE: u64 = 2 << 62;
pub(crate) const CHILD: u64 = 3 << 62;
const KIND: u64 = 3 << 62;
const CALLS: u64 = 0;
const RESULTS: u64 = 1;

/// The guard.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) epoll: Epoll,
    /// Rung when other threads have done something.
    bell: Bell,
    pub(crate) rules: Arc<Rules>,
    pub(crate) lookups: Lookups,
    pub(crate) watchdog: Arc<Watchdog>,
    watcher: Watcher,
    pub(crate) tasks: Tasks,
    pub(crate) listeners: BTreeMap<u64, Queue>,
    pub(crate) wakes: Wakes,
    /// When waiting calls end.
    pub(crate) timers: Timers,
    /// Calls whose listener the guard has no descriptor for, and when they fail.
    pub(crate) hopeless: VecDeque<(Instant, u64)>,
    /// When to see again what became of connections that are ready.
    pub(crate) look_again: Instant,
    /// How many calls to come before it is seen which are gone.
    calls_to_come: usize,
    /// Listeners to go on with.
    pub(crate) again: Vec<u64>,
    /// What has happened and is still to be seen to.
    events: VecDeque<Happened>,
    /// Where the guard is laid down for errands.
    relay: Arc<Relay>,
    /// Connections that are to be handed over next, and their listeners as far as they are at hand.
    pub(crate) errands: VecDeque<(Errand, Option<Listener>)>,
    /// What belongs to the errand that is under way.
    out: Option<Out>,
    /// Errands that have come back late.
    back: Receiver<Late>,
    /// Processes that threads wait for, and how many.
    pub(crate) stuck: BTreeMap<u32, usize>,
    /// Commands that have a connection.
    pub(crate) children: BTreeMap<libc::pid_t, OwnedFd>,
    /// For undecided and granted connections.
    pub(crate) room: Room,
    /// There was no room for a connection of some listener.
    pub(crate) is_full: bool,
    pub(crate) complained: bool,
    /// How many connections were refused since that was said, and when it may be said again.
    pub(crate) too_many: usize,
    pub(crate) say_too_many: Instant,
}

/// Something to be seen to: what kinds of it, about what, and whether it was alone.
type Happened = (i32, u64, bool);

/// What belongs to an errand, and is not taken along.
#[derive(Debug)]
struct Out {
    listener: u64,
    source: Option<Listener>,
    process: u32,
}

fn watch(relay: &Arc<Relay>) -> io::Result<Watchdog> {
    let relay = Arc::clone(relay);
    Watchdog::new(move || relay.relieve())
}

impl Guard {
    /// # Errors
    /// There is no descriptor, timer or thread to be had.
    pub(crate) fn new(
        notifications: OwnedFd,
        rules: Arc<Rules>,
        watcher: Watcher,
        room: usize,
    ) -> io::Result<Self> {
        let notifications = Arc::new(Notifications::new(notifications));
        let epoll = Epoll::new()?;
        epoll.add(notifications.as_fd(), libc::EPOLLIN, CALLS)?;
        pool::start_closers()?;
        let bell = Bell::new()?;
        epoll.add(bell.as_fd(), libc::EPOLLIN, RESULTS)?;
        let (late, back) = channel();
        let relay = Arc::new(Relay::new(late, bell.clone()));
        let lookups = Lookups::new(Arc::clone(&rules), bell.clone())?;
        Ok(Guard {
            notifications,
            epoll,
            rules,
            lookups,
            watchdog: Arc::new(watch(&relay)?),
            relay,
            watcher,
            tasks: Tasks::default(),
            listeners: BTreeMap::new(),
            wakes: Wakes::new(bell.clone())?,
            bell,
            timers: Timers::default(),
            hopeless: VecDeque::new(),
            look_again: Instant::now(),
            calls_to_come: MANY,
            again: Vec::new(),
            events: VecDeque::new(),
            errands: VecDeque::new(),
            out: None,
            back,
            stuck: BTreeMap::new(),
            children: BTreeMap::new(),
            room: Room::new(room),
            is_full: false,
            complained: false,
            too_many: 0,
            say_too_many: Instant::now(),
        })
    }

    pub(crate) fn relay(&self) -> Arc<Relay> {
        Arc::clone(&self.relay)
    }

    pub(crate) fn notifications(&self) -> Arc<Notifications> {
        Arc::clone(&self.notifications)
    }

    pub(crate) fn watchdog(&self) -> Arc<Watchdog> {
        Arc::clone(&self.watchdog)
    }

    /// The thread that runs the guard has given up what it does not need, or not.
    pub(crate) fn confined(&self, result: io::Result<()>) {
        if let Err(error) = result {
            let reason = hosts_access::decide::reason(&error);
            let line = format!("warning: the guard cannot give up system calls it does not need: {reason}");
            self.rules.log.line(syslog::WARNING, line.as_bytes());
        }
    }

    /// The next errand, if there is one.
    pub(crate) fn errand(&mut self) -> Option<Errand> {
        let (errand, source) = self.errands.pop_front()?;
        self.out = Some(Out {
            listener: errand.listener,
            source,
            process: errand.caller.task.process,
        });
        Some(errand)
    }

    /// What came of the errand that was under way.
    pub(crate) fn handed(&mut self, errand: Errand, result: Result<(), Problem>) {
        let source = self.out.take().and_then(|out| out.source);
        self.finish(errand, result, source);
    }

    /// Goes on with this thread, as the one before is long on its errand.
    pub(crate) fn relieved(&mut self) {
        match watch(&self.relay) {
            Ok(watchdog) => self.watchdog = Arc::new(watchdog),
            // It goes on with nobody to relieve it.
            Err(error) => self.confined(Err(error)),
        }
        self.confined(confine());
        let Some(out) = self.out.take() else {
            return;
        };
        *self.stuck.entry(out.process).or_default() += 1;
        let line = format!(
            "warning: process {} keeps the guard waiting: it gets no other connection until that ends",
            out.process
        );
        self.rules.log.line(syslog::WARNING, line.as_bytes());
        let event = Event::Readable {
            source: out.source.is_some(),
        };
        self.drive(out.listener, event, out.source);
    }

    /// Errands of those who were relieved.
    fn come_back(&mut self) {
        while let Ok((errand, result)) = self.back.try_recv() {
            let process = errand.caller.task.process;
            if let Some(count) = self.stuck.get_mut(&process) {
                *count -= 1;
                if *count == 0 {
                    self.stuck.remove(&process);
                }
            }
            self.finish(errand, result, None);
        }
    }

    /// Sees to one thing that has happened, or waits for one; what it leads to may be an errand. False when the last
    /// guarded process has ended.
    ///
    /// # Errors
    /// The kernel's; the program can then accept nothing any more.
    pub(crate) fn turn(&mut self) -> io::Result<bool> {
        let Some((kinds, token, is_alone)) = self.events.pop_front() else {
            for listener in std::mem::take(&mut self.again) {
                self.go_on(listener, false);
            }
            self.expire(Instant::now());
            if self.errands.is_empty() {
                self.wait()?;
            }
            return Ok(true);
        };
        match (token & KIND, token & !KIND) {
            (0, CALLS) if kinds & libc::EPOLLIN != 0 => {
                if let Some(call) = self.notifications.receive()? {
                    self.called(call);
                }
            }
            (0, CALLS) => return Ok(false),
            (0, RESULTS) => {
                self.bell.heard();
                self.sent();
                self.come_back();
                self.decided();
            }
            // Alone it is sure to be true; after others, what it tells of may have been accepted.
            (WATCH, listener) => self.go_on(listener, is_alone),
            (WAKE, listener) => self.woken(listener),
            (CHILD, process) => self.reap(process as libc::pid_t),
            _ => {}
        }
        Ok(true)
    }

    /// Waits until something happens.
    fn wait(&mut self) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let timeout = self.timeout();
        let events = self.epoll.wait(&mut events, timeout)?;
        let is_alone = events.len() == 1;
        let happened = events
            .iter()
            .map(|event| (event.events as i32, event.u64, is_alone));
        self.events.extend(happened);
        Ok(())
    }

    /// How long nothing has to be done, in milliseconds.
    fn timeout(&self) -> i32 {
        if !self.again.is_empty() {
            return 0;
        }
        let now = Instant::now();
        let patience = (self.room.held() > self.lookups.undecided()).then_some(now + LOOK_AGAIN);
        let deadline = self.timers.next();
        let hopeless = self.hopeless.front().map(|(time, _)| *time);
        let retry = self.is_full.then_some(now + HELD);
        match [deadline, hopeless, patience, retry].into_iter().flatten().min() {
            // Rounded up, so that the last fraction is not spent spinning.
            Some(time) => {
                i32::try_from(time.saturating_duration_since(now).as_millis() + 1).unwrap_or(i32::MAX)
            }
            None => -1,
        }
    }

    /// A call has come in.
    fn called(&mut self, call: Call) {
        let fail = |guard: &Self, errno| guard.notifications.fail(call.id, errno);
        let (task, (fd, cookie)) = match self.reach(&call) {
            Ok(reached) => reached,
            Err(error) => {
                match errno(&error) {
                    libc::ESRCH => {}
                    libc::ENOTSOCK if !has_good_flags(&call) => fail(self, libc::EINVAL),
                    errno @ (libc::EBADF | libc::ENOTSOCK) => fail(self, errno),
                    libc::EMFILE | libc::ENFILE => {
                        self.complain(&call, &error);
                        self.hopeless.push_back((Instant::now() + HELD, call.id));
                    }
                    errno => {
                        self.complain(&call, &error);
                        fail(self, errno);
                    }
                }
                return;
            }
        };
        if !has_good_flags(&call) {
            return fail(self, libc::EINVAL);
        }
        self.make_room_for_listener(cookie);
        self.forget_callers();
        let timers = &self.timers;
        let queue = self
            .listeners
            .entry(cookie)
            .or_insert_with(|| Queue::new(cookie, timers.clone()));
        queue.listens |= accept::listens(fd.as_fd(), queue.listens);
        queue.last = Some((Arc::downgrade(&task), call.fd));
        let listener = Listener {
            fd,
            listens: queue.listens,
            readable: false,
        };
        let event = Event::Called {
            id: call.id,
            thread: call.thread,
            caller: Caller { call, task },
        };
        self.drive(cookie, event, Some(listener));
    }

    /// The thread that called, and the socket it accepts from.
    fn reach(&mut self, call: &Call) -> io::Result<(Arc<Task>, (OwnedFd, u64))> {
        let mut again = true;
        loop {
            let reached = self
                .tasks
                .get(call.thread)
                .and_then(|task| Ok((Arc::clone(&task), task.socket(call.fd)?)));
            match reached {
                Err(error) if again && error.raw_os_error() == Some(libc::ESRCH) => {
                    self.tasks.forget(call.thread);
                }
                Err(error) if again && is_exhausted(&error) => self.tasks.clear(),
                Err(error) => return Err(error),
                Ok(reached) => {
                    let (task, (_, cookie)) = &reached;
                    // The number may have passed to another thread before we opened it, or the thread's process to
                    // another program before we took the descriptor.
                    if !task.has_called(call.fd, *cookie, || self.notifications.is_waiting(call.id)) {
                        self.tasks.forget(call.thread);
                        return Err(io::Error::from_raw_os_error(libc::ESRCH));
                    }
                    if self.tasks.is_new_process(&reached.0) {
                        self.watcher.tell(reached.0.process);
                    }
                    return Ok(reached);
                }
            }
            again = false;
        }
    }

    /// Forgets, now and then, the calls of threads that were killed, at whose listeners nothing else may ever happen.
    fn forget_callers(&mut self) {
        self.calls_to_come = self.calls_to_come.saturating_sub(1);
        if self.calls_to_come > 0 {
            return;
        }
        let (mut waiting, now) = (0, Instant::now());
        // A call that is held has an end, and may be made again when its thread has answered a signal.
        let is_gone = |waiter: &Waiter<_>| waiter.is_blocked() && !self.notifications.is_waiting(waiter.id);
        for queue in self.listeners.values_mut() {
            queue.machine.forget(is_gone, now);
            waiting += queue.machine.waiting().count();
        }
        self.calls_to_come = waiting.max(MANY);
    }

    fn make_room_for_listener(&mut self, cookie: u64) {
        if self.listeners.len() >= KEPT && !self.listeners.contains_key(&cookie) {
            self.listeners.retain(|_, queue| !queue.machine.is_idle());
        }
    }

    pub(crate) fn queue(&mut self, cookie: u64) -> &mut Queue {
        let timers = &self.timers;
        self.listeners
            .entry(cookie)
            .or_insert_with(|| Queue::new(cookie, timers.clone()))
    }

    /// The listeners of which something is true.
    pub(crate) fn those(&self, condition: impl Fn(&Queue) -> bool) -> Vec<u64> {
        let such = self.listeners.iter().filter(|(_, queue)| condition(queue));
        such.map(|(cookie, _)| *cookie).collect()
    }

    /// Says once that the guard cannot do its work.
    pub(crate) fn complain(&mut self, call: &Call, error: &io::Error) {
        if self.complained {
            return;
        }
        self.complained = true;
        let reason = hosts_access::decide::reason(error);
        let hint = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => " (may this user trace it? see tcpwrap-run(1))",
            _ => "",
        };
        let line = format!("error: cannot accept for process {}: {reason}{hint}", call.thread);
        self.rules.log.line(syslog::ERR, line.as_bytes());
    }
}

/// Are its flags ones that the kernel knows?
fn has_good_flags(call: &Call) -> bool {
    call.flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) == 0
}
