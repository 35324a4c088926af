//! The guard: it answers the program's `accept` calls, one after the other, and never waits for anything but
//! the next event. What has to be waited for is done by the threads of [`lookups`](crate::lookups).
//!
//! No call is ever let through to the kernel: between a look at the program's descriptor and the call's own,
//! another thread could put another socket in its place. So connections of every family are accepted here,
//! and errors are given as the kernel would.
//!
//! A connection costs the guard sixteen system calls, and six more where the call was there before it; `docs/speed.md`
//! lists them, and each one more is seen in `cargo xtask bench run`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use system::syslog;

use crate::accept::{self, Listener};
use crate::bell::Bell;
use crate::call::Epoll;
use crate::confine::confine;
use crate::decide::Rules;
use crate::lookups::Lookups;
use crate::machine::{Event, HELD, Waiter};
use crate::notify::{Call, Notifications};
use crate::pool;
use crate::queue::{Caller, Queue};
use crate::reach::has_good_flags;
use crate::relay::{Errand, News, Outcome, Purpose, Relay};
use crate::room::{Permit, Room};
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
/// For how many calls that wait their memory is open, where the guard may have descriptors for that.
const OPENED: usize = 64;
/// How many events are heard of at a time.
const AT_A_TIME: usize = 16;
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
    /// When to see whether the processes of calls that have begun to wait have descriptors left.
    pub(crate) see_waiting: Option<Instant>,
    /// How many calls to come before it is seen which are gone.
    calls_to_come: usize,
    /// Listeners to go on with.
    pub(crate) again: Vec<u64>,
    /// The time when the last of what has happened was heard of.
    pub(crate) now: Instant,
    /// What has happened and is still to be seen to.
    events: VecDeque<Happened>,
    /// Where the guard is laid down for errands.
    relay: Arc<Relay>,
    /// What is next to be done with a program, and the listener that a connection came from as far as it is at hand.
    pub(crate) errands: VecDeque<(Errand, Option<Listener>)>,
    /// What belongs to the errand that is under way.
    out: Option<Out>,
    /// Errands that have come back late.
    late: Receiver<Outcome>,
    /// Processes that threads wait for, and how many.
    pub(crate) stuck: BTreeMap<u32, usize>,
    /// Calls of theirs, which wait for that too, and listeners whose calls were all theirs when there was news.
    pub(crate) parked: Vec<(u32, Call)>,
    pub(crate) postponed: BTreeSet<u64>,
    /// Commands that have a connection, and their places among these.
    pub(crate) children: BTreeMap<libc::pid_t, (OwnedFd, Box<Permit>)>,
    /// Each that is held stands for the memory of a call that is open; and so many may be.
    pub(crate) shares: Arc<()>,
    pub(crate) most_shares: usize,
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
    process: u32,
    source: Option<Listener>,
    about: About,
}

/// What an errand is about.
#[derive(Debug)]
enum About {
    /// A connection of this listener.
    Listener(u64),
    Socket(Purpose),
    Memory,
}

fn watch(relay: &Arc<Relay>) -> io::Result<Watchdog> {
    let (relay, bell) = (Arc::clone(relay), relay.bell());
    Watchdog::new(move || relay.relieve(), move || bell.ring())
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
        let (comes, late) = channel();
        let relay = Arc::new(Relay::new(comes, bell.clone()));
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
            see_waiting: None,
            calls_to_come: MANY,
            again: Vec::new(),
            now: Instant::now(),
            events: VecDeque::new(),
            errands: VecDeque::new(),
            out: None,
            late,
            stuck: BTreeMap::new(),
            parked: Vec::new(),
            postponed: BTreeSet::new(),
            children: BTreeMap::new(),
            shares: Arc::default(),
            most_shares: (room / 16).min(OPENED),
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
            process: errand.process(),
            source,
            about: match &errand {
                Errand::Take(take) => About::Socket(take.purpose),
                Errand::Open(_) => About::Memory,
                Errand::HandOver(handover) => About::Listener(handover.listener),
            },
        });
        Some(errand)
    }

    /// What came of the errand that was under way.
    pub(crate) fn back(&mut self, outcome: Outcome) {
        let source = self.out.take().and_then(|out| out.source);
        match outcome {
            Outcome::Taken(take, result) => self.taken(take, result),
            Outcome::Opened(open, memory) => self.opened(open, memory),
            Outcome::Handed(handed) => self.finish(handed, source),
        }
    }

    /// Goes on with this thread, as the one before is long on its errand.
    pub(crate) fn relieved(&mut self) {
        match watch(&self.relay) {
            Ok(watchdog) => self.watchdog = Arc::new(watchdog),
            // It goes on with nobody to relieve it.
            Err(error) => self.confined(Err(error)),
        }
        self.confined(confine());
        self.now = Instant::now();
        if self.see_waiting.is_some() {
            self.watchdog.tell_of_rest();
        }
        let Some(out) = self.out.take() else {
            return;
        };
        *self.stuck.entry(out.process).or_default() += 1;
        let line = format!(
            "warning: process {} keeps the guard waiting: it gets no other connection until that ends",
            out.process
        );
        self.rules.log.line(syslog::WARNING, line.as_bytes());
        match out.about {
            About::Listener(listener) => self.tell(listener, News::Readable(false), out.source),
            // It is gone on with when the socket is there.
            About::Socket(Purpose::Call { .. }) | About::Memory => {}
            About::Socket(purpose) => self.not_taken(purpose),
        }
    }

    /// Errands of those who were relieved.
    fn come_back(&mut self) {
        while let Ok(outcome) = self.late.try_recv() {
            let process = outcome.process();
            if let Some(count) = self.stuck.get_mut(&process) {
                *count -= 1;
                if *count == 0 {
                    self.stuck.remove(&process);
                }
            }
            match outcome {
                Outcome::Handed(handed) => self.finish(handed, None),
                Outcome::Taken(take, result) if matches!(take.purpose, Purpose::Call { .. }) => {
                    self.taken(take, result);
                }
                // The others have gone on without it.
                Outcome::Taken(..) | Outcome::Opened(..) => {}
            }
            for (process, call) in std::mem::take(&mut self.parked) {
                match self.stuck.contains_key(&process) {
                    true => self.parked.push((process, call)),
                    false => self.reach(call, true),
                }
            }
            self.again.extend(std::mem::take(&mut self.postponed));
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
                self.ask(listener, 0, News::Readable(false));
            }
            self.expire(self.now);
            if self.errands.is_empty() {
                self.wait()?;
            }
            return Ok(true);
        };
        match (token & KIND, token & !KIND) {
            (0, CALLS) if kinds & libc::EPOLLIN != 0 => {
                if let Some(call) = self.notifications.receive()? {
                    self.reach(call, true);
                }
            }
            (0, CALLS) => return Ok(false),
            (0, RESULTS) => {
                self.bell.heard();
                if self.see_waiting.is_some_and(|time| time > self.now) {
                    // It was rung too early for that.
                    self.watchdog.tell_of_rest();
                }
                self.sent();
                self.come_back();
                self.decided();
            }
            // Alone it is sure to be true; after others, what it tells of may have been accepted.
            (WATCH, listener) => self.ask(listener, 0, News::Readable(is_alone)),
            (WAKE, listener) => self.woken(listener),
            (CHILD, process) => self.reap(process as libc::pid_t),
            _ => {}
        }
        Ok(true)
    }

    /// Waits until something happens.
    fn wait(&mut self) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_A_TIME];
        let timeout = self.timeout();
        let events = self.epoll.wait(&mut events, timeout)?;
        self.now = Instant::now();
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
        let now = self.now;
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

    /// A call, whose thread and socket are at hand.
    pub(crate) fn called(&mut self, call: Call, task: Arc<Task>, fd: OwnedFd, cookie: u64) {
        if self.tasks.is_new_process(&task) {
            self.watcher.tell(task.process);
        }
        if !has_good_flags(&call) {
            return self.notifications.fail(call.id, libc::EINVAL);
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
            caller: Caller {
                call,
                task,
                opened: None,
                is_seen: false,
            },
        };
        self.drive(cookie, event, Some(listener));
    }

    /// Forgets, now and then, the calls of threads that were killed, at whose listeners nothing else may ever happen.
    fn forget_callers(&mut self) {
        self.calls_to_come = self.calls_to_come.saturating_sub(1);
        if self.calls_to_come > 0 {
            return;
        }
        let (mut waiting, now) = (0, self.now);
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
    pub(crate) fn complain(&mut self, thread: u32, error: &io::Error) {
        if self.complained {
            return;
        }
        self.complained = true;
        let reason = hosts_access::decide::reason(error);
        let hint = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => " (may this user trace it? see tcpwrap-run(1))",
            _ => "",
        };
        let line = format!("error: cannot accept for process {thread}: {reason}{hint}");
        self.rules.log.line(syslog::ERR, line.as_bytes());
    }
}
