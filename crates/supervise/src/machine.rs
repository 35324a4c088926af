//! What becomes of the calls that wait at one listening socket, and of its connections: a machine without
//! descriptors, threads or a clock. It is told what has happened, and says what is to be done; the outcome of that is
//! the next event. So every race can be played through in a test, in any order; see `machine/tests.rs`.
//!
//! The rules it keeps: a granted connection goes to one call, or waits for the next one; a call ends once; a call that
//! means to wait waits, and one that asked `poll` before is not made to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::timers::{Timer, Timers};

#[cfg(test)]
mod tests;

/// How many refused connections are taken out of a backlog before others get their turn.
const AT_A_TIME: usize = 64;
/// How long a program that does not want to wait is held for a lookup, which spares it a second call. It is
/// held only while no other connection of the listener is undecided.
const GRACE: Duration = Duration::from_millis(1);
/// How long it is held while no connection can be accepted, lest it asks again and again.
pub(crate) const HELD: Duration = Duration::from_millis(20);
/// How long calls of a program of which it is not known whether it means to wait are held for lookups at one
/// listener, all of them together.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a granted connection waits for the program to accept it.
const KEPT: Duration = Duration::from_secs(60);
/// After how many wake-ups that went astray the next one waits a while: the listener may be closed, and its port
/// another's.
const ASTRAY: u32 = 64;

/// What has happened at a listener. `W` is who calls, `C` a connection.
#[derive(Debug)]
pub(crate) enum Event<W, C> {
    /// A thread called `accept`; its socket is at hand.
    Called { id: u64, thread: u32, caller: W },
    /// There may be something to accept. `source` says whether the socket is at hand.
    Readable { source: bool },
    /// There is no room for more, or no descriptor for the guard.
    Full,
    /// There is room again for connections that are undecided.
    Room { source: bool },
    /// What [`Action::Accept`] has found.
    Found(Found<C>),
    /// What [`Action::Look`] has seen.
    Seen(Facts),
    /// The listener cannot be watched, as [`Action::Watch`] wants it: no call can wait there.
    Unwatched(i32),
    /// What became of [`Action::Deliver`].
    Delivered(u64, Given<C>),
    /// So many lookups have ended, with these connections granted.
    Decided(usize, Vec<C>),
    /// A call's time may be over.
    Due(u64),
    /// A call waits whose process has no descriptor left.
    Exhausted(u64),
    /// A second has passed.
    Tick,
    /// A wake-up went to another listener of the port.
    Astray,
    /// A wake-up was rejected, or could not be made.
    Unreachable,
    /// The listener is closed.
    Closed,
}

/// What is at the head of the backlog.
#[derive(Debug)]
pub(crate) enum Found<C> {
    Granted(C),
    Refused,
    /// Its client is being looked up.
    Undecided,
    /// One of the guard's own.
    WakeUp,
    Nothing,
    /// There is no room for a connection that is there.
    Full,
    Failed(i32),
}

/// What is seen of a listener, and of calls that found nothing there.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Its `accept` waits.
    pub blocks: bool,
    /// So long.
    pub timeout: Option<Duration>,
    /// Calls of processes that have no descriptor left, where its `accept` does not wait.
    pub exhausted: Vec<u64>,
    /// One of the calls that are held for lookups, of a listener that blocks, is still there.
    pub is_held: bool,
}

/// What came of an attempt to hand a connection over.
#[derive(Debug)]
pub(crate) enum Given<C> {
    Done,
    /// The caller is gone.
    Gone(C),
    /// The call fails, and the connection stays for the next one.
    Kept(C, i32),
    /// The call fails, and the connection is lost, as it is without a guard.
    Lost(i32),
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action<W, C> {
    /// Take a connection out of the backlog, if there is one, and ask the rules: [`Event::Found`].
    Accept,
    /// Hand a connection to a call: [`Event::Delivered`].
    Deliver(Box<Waiter<W>>, C),
    /// See what is to become of calls that found nothing: [`Event::Seen`].
    Look,
    /// Hear of it each time there is something to accept.
    Watch,
    /// Go on when others had their turn.
    Later,
    /// Close the guard's own descriptor of the listener: the program may close its own as soon as the next call is
    /// answered, and then nothing must come there any more.
    Part,
    /// End a call.
    Fail(u64, i32),
    /// Tell the program that there is something to accept, by a connection of the guard's own.
    Wake,
    /// Tell it so without one where that can be done, else by one.
    Nudge,
    /// Take back wake-ups that have not got through.
    GiveUp,
}

/// What becomes of a call that has no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// That is still to be seen: it has just come in.
    New,
    /// It waits for one, as `accept` does that blocks.
    Blocked,
    /// It waits for a lookup, since a time and until a time. It may be one that blocks, which is not known of
    /// its program.
    Held {
        since: Instant,
        until: Instant,
        blocks: bool,
    },
}

/// A call that wants a connection.
#[derive(Debug)]
pub(crate) struct Waiter<W> {
    pub id: u64,
    pub thread: u32,
    pub caller: W,
    state: State,
    /// When the listener's receive timeout ends it, if it blocks.
    limit: Option<Instant>,
    /// Set for when it ends, if it does.
    timer: Option<Timer>,
    /// It was held before a signal, after which it begins anew.
    was_held: bool,
}

impl<W> Waiter<W> {
    /// When the call ends without a connection, and as what error.
    fn end(&self) -> Option<(Instant, i32)> {
        match self.state {
            State::New => None,
            State::Blocked => self.limit.map(|time| (time, libc::EAGAIN)),
            State::Held { until, blocks, .. } => {
                let time = self.limit.map_or(until, |limit| limit.min(until));
                Some((time, self.nothing(blocks)))
            }
        }
    }

    /// The error that says there is no connection, on a listener that blocks or does not. POSIX has one for a
    /// connection that went away between poll and accept.
    fn nothing(&self, blocks: bool) -> i32 {
        if blocks && self.limit.is_none() {
            libc::ECONNABORTED
        } else {
            libc::EAGAIN
        }
    }

    /// It waits until there is a connection.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state == State::Blocked
    }

    fn is_held_as_if_it_blocked(&self) -> bool {
        matches!(self.state, State::Held { blocks: true, .. })
    }
}

/// What goes on from the first event to the last outcome.
#[derive(Debug, Default)]
struct Round {
    /// The socket is at hand.
    source: bool,
    /// There was a connection which the calls could not have.
    passed_over: bool,
    taken: usize,
    /// The guard's own connection is to be taken out of the backlog, before the last connection is handed over that
    /// it spoke of. Left there, it would make the next call look as if it came from a program that had asked `poll`.
    drains: bool,
    has_drained: bool,
    /// Calls that were held end, if there is nothing to be held for any more.
    lets_go: bool,
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Machine<W, C> {
    number: u64,
    timers: Timers,
    waiting: VecDeque<Box<Waiter<W>>>,
    ready: VecDeque<(C, Instant)>,
    /// How many of its connections are being decided about.
    undecided: usize,
    /// A program has called `accept` here when there was nothing to accept, or in two places at once: it means
    /// to wait there. One that never does so asks `poll` first, and would be stopped if it had to wait.
    is_waited_on: bool,
    /// How much longer calls are held here that may be of either kind.
    patience: Duration,
    /// There was no room for more undecided connections.
    is_full: bool,
    /// How many wake-ups in a row went to others.
    astray: u32,
    round: Round,
}

impl<W, C> Machine<W, C> {
    /// The machine of a listener with this number.
    pub(crate) fn new(number: u64, timers: Timers) -> Self {
        Machine {
            number,
            timers,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            undecided: 0,
            is_waited_on: false,
            patience: PATIENCE,
            is_full: false,
            astray: 0,
            round: Round::default(),
        }
    }

    /// Nothing waits here.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty() && self.undecided == 0
    }

    /// None of its connections is held, nor waits for room.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.ready.is_empty() && self.undecided == 0 && !self.is_full
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The calls that wait, the first one first.
    pub(crate) fn waiting(&self) -> impl DoubleEndedIterator<Item = &Waiter<W>> {
        self.waiting.iter().map(|waiter| &**waiter)
    }

    /// Who makes this call, if it waits.
    pub(crate) fn caller(&mut self, id: u64) -> Option<&mut W> {
        let waiter = self.waiting.iter_mut().rev().find(|waiter| waiter.id == id);
        waiter.map(|waiter| &mut waiter.caller)
    }

    /// The calls that wait until there is a connection, and who makes them.
    pub(crate) fn blocked(&mut self) -> impl Iterator<Item = (u64, &mut W)> {
        let blocked = self.waiting.iter_mut().filter(|waiter| waiter.is_blocked());
        blocked.map(|waiter| (waiter.id, &mut waiter.caller))
    }

    /// Those that [`Action::Look`] is about.
    pub(crate) fn new_calls(&self) -> impl Iterator<Item = &Waiter<W>> {
        self.waiting().filter(|waiter| waiter.state == State::New)
    }

    /// Those of which it is not known whether they mean to wait.
    pub(crate) fn held_calls(&self) -> impl Iterator<Item = &Waiter<W>> {
        self.waiting().filter(|waiter| waiter.is_held_as_if_it_blocked())
    }

    /// The next connection that is found is not for a call, but kept.
    pub(crate) fn drains(&self) -> bool {
        self.round.drains
    }

    /// Something is ready, and nobody waits for it.
    pub(crate) fn is_unheard(&self) -> bool {
        !self.ready.is_empty() && self.waiting.is_empty()
    }

    /// Forgets calls that are gone. How long they were held counts.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&Waiter<W>) -> bool, now: Instant) {
        for waiter in self.extract(is_gone) {
            self.spend(&waiter, now);
        }
    }

    /// What is to be done now that this has happened. `wakes` is how many wake-ups are under way to this listener.
    pub(crate) fn on(&mut self, event: Event<W, C>, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        match event {
            Event::Called { id, thread, caller } => self.called(id, thread, caller, wakes, now),
            Event::Readable { source } => self.begin(source, wakes, now),
            Event::Room { source } => {
                self.is_full = false;
                // Who heard that there is nothing must hear that there is something, even where an earlier message
                // is still in the backlog.
                let mut actions = if self.waiting.is_empty() {
                    vec![Action::Nudge]
                } else {
                    Vec::new()
                };
                self.round.lets_go = true;
                actions.extend(self.begin(source, wakes, now));
                actions
            }
            Event::Full => {
                self.is_full = true;
                Vec::new()
            }
            Event::Found(found) => self.found(found, wakes, now),
            Event::Seen(facts) => self.settle(&facts, wakes, now),
            Event::Unwatched(errno) => self.drop_blocked(errno),
            Event::Delivered(id, given) => self.delivered(id, given, wakes, now),
            Event::Decided(count, granted) => {
                self.undecided -= count;
                self.ready
                    .extend(granted.into_iter().map(|connection| (connection, now)));
                self.round.lets_go = true;
                self.begin(false, wakes, now)
            }
            Event::Due(id) => self.due(id, now),
            Event::Exhausted(id) => {
                let exhausted = self.extract(|waiter| waiter.id == id && waiter.is_blocked());
                let fail = |waiter: Box<Waiter<W>>| Action::Fail(waiter.id, libc::EMFILE);
                exhausted.into_iter().map(fail).collect()
            }
            Event::Tick => {
                self.ready.retain(|(_, since)| now.duration_since(*since) < KEPT);
                self.astray = 0;
                self.wake(wakes)
            }
            Event::Astray => {
                self.astray += 1;
                self.wake(wakes)
            }
            Event::Unreachable => {
                self.astray = ASTRAY;
                Vec::new()
            }
            Event::Closed => {
                self.ready.clear();
                Vec::new()
            }
        }
    }

    fn called(&mut self, id: u64, thread: u32, caller: W, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        let mut waiter = Box::new(Waiter {
            id,
            thread,
            caller,
            state: State::New,
            limit: None,
            timer: None,
            was_held: false,
        });
        // What the thread waited in before was interrupted by a signal.
        let old = self.waiting.iter().position(|waiter| waiter.thread == thread);
        if let Some(old) = old.and_then(|at| self.waiting.remove(at)) {
            self.spend(&old, now);
            waiter.was_held = matches!(old.state, State::Held { .. });
            if old.limit.is_some() {
                // Where there is a time limit, accept does not begin anew after a signal.
                return vec![Action::Fail(id, libc::EINTR)];
            }
        }
        self.waiting.push_back(waiter);
        self.begin(true, wakes, now)
    }

    fn begin(&mut self, source: bool, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        self.round = Round {
            source,
            lets_go: self.round.lets_go,
            ..Round::default()
        };
        self.serve(wakes, now)
    }

    /// Gives the first call that waits what there is for it.
    fn serve(&mut self, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        if self.waiting.is_empty() {
            return self.finish(wakes, now);
        }
        if let Some((connection, since)) = self.ready.pop_front() {
            let is_last = self.ready.is_empty() && !self.round.has_drained;
            if !is_last {
                return self.deliver(connection, since, now);
            }
            self.round.has_drained = true;
            if wakes == 0 || !self.round.source {
                let mut actions = vec![Action::GiveUp];
                actions.extend(self.deliver(connection, since, now));
                return actions;
            }
            self.round.drains = true;
            self.ready.push_front((connection, since));
            return vec![Action::GiveUp, Action::Accept];
        }
        if self.round.source {
            return vec![Action::Accept];
        }
        self.finish(wakes, now)
    }

    fn found(&mut self, found: Found<C>, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        self.round.taken += 1;
        let drains = std::mem::take(&mut self.round.drains);
        let is_another = matches!(
            found,
            Found::Refused | Found::Undecided | Found::WakeUp | Found::Full
        );
        self.round.passed_over |= !drains && is_another;
        let ends = !drains && matches!(found, Found::Nothing | Found::Full);
        match found {
            Found::Granted(connection) if !drains => return self.deliver(connection, now, now),
            Found::Granted(connection) => self.ready.push_back((connection, now)),
            Found::Refused | Found::Undecided => {
                self.undecided += usize::from(matches!(found, Found::Undecided));
                if self.round.taken < AT_A_TIME {
                    self.round.drains = drains;
                    return vec![Action::Accept];
                }
                if !drains {
                    return vec![Action::Later];
                }
            }
            Found::Failed(errno) if !drains => return self.fail_first(errno, wakes, now),
            Found::Full => self.is_full = true,
            Found::WakeUp | Found::Nothing | Found::Failed(_) => {}
        }
        if ends {
            self.finish(wakes, now)
        } else {
            self.serve(wakes, now)
        }
    }

    fn fail_first(&mut self, errno: i32, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        let Some(waiter) = self.next(now) else {
            return self.finish(wakes, now);
        };
        let mut actions = self.part();
        actions.push(Action::Fail(waiter.id, errno));
        actions.extend(self.serve(wakes, now));
        actions
    }

    /// Hands a connection to the first call, or keeps it.
    fn deliver(&mut self, connection: C, since: Instant, now: Instant) -> Vec<Action<W, C>> {
        let Some(waiter) = self.next(now) else {
            self.ready.push_front((connection, since));
            return Vec::new();
        };
        let mut actions = self.part();
        actions.push(Action::Deliver(waiter, connection));
        actions
    }

    fn part(&mut self) -> Vec<Action<W, C>> {
        if !self.waiting.is_empty() || !self.round.source {
            return Vec::new();
        }
        self.round.source = false;
        vec![Action::Part]
    }

    fn delivered(&mut self, id: u64, given: Given<C>, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        let mut actions = Vec::new();
        match given {
            Given::Done => {}
            Given::Gone(connection) => self.ready.push_front((connection, now)),
            Given::Kept(connection, errno) => {
                self.ready.push_front((connection, now));
                // Who asks `poll` next is to hear of it.
                actions = self.wake(wakes);
                actions.push(Action::Fail(id, errno));
            }
            Given::Lost(errno) => actions.push(Action::Fail(id, errno)),
        }
        let woken = actions.iter().any(|action| matches!(action, Action::Wake));
        actions.extend(self.serve(wakes + usize::from(woken), now));
        actions
    }

    /// All calls have what there is for them.
    fn finish(&mut self, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        if self.new_calls().next().is_some() {
            if self.round.source {
                return vec![Action::Look];
            }
            // The descriptor it came with is another one's by now.
            let new = self.extract(|waiter| waiter.state == State::New);
            return new
                .into_iter()
                .map(|waiter| Action::Fail(waiter.id, libc::EBADF))
                .collect();
        }
        let mut actions = self.wake(wakes);
        if std::mem::take(&mut self.round.lets_go) && self.undecided == 0 && !self.is_full {
            for waiter in self.extract(|waiter| matches!(waiter.state, State::Held { .. })) {
                self.spend(&waiter, now);
                let errno = waiter.end().map_or(libc::EAGAIN, |(_, errno)| errno);
                actions.push(Action::Fail(waiter.id, errno));
            }
        }
        actions
    }

    /// Ends the calls that have just come in and got no connection, or lets them wait.
    fn settle(&mut self, facts: &Facts, wakes: usize, now: Instant) -> Vec<Action<W, C>> {
        let (mut is_held, mut watches, mut failed) = (facts.is_held, false, Vec::new());
        for mut waiter in self.extract(|waiter| waiter.state == State::New) {
            let id = waiter.id;
            if facts.exhausted.contains(&id) {
                failed.push(Action::Fail(id, libc::EMFILE));
                continue;
            }
            let passed_over = self.round.passed_over || waiter.was_held;
            if facts.blocks {
                waiter.limit = facts.timeout.map(|time| now + time);
            }
            if facts.blocks && (self.is_waited_on || !passed_over || is_held) {
                self.is_waited_on = true;
                for waiter in &mut self.waiting {
                    if waiter.is_held_as_if_it_blocked() {
                        waiter.state = State::Blocked;
                        // The new one may be for the same time.
                        waiter.timer = None;
                        let end = waiter.end();
                        waiter.timer = end.map(|(time, _)| self.timers.set(time, waiter.id, self.number));
                    }
                }
                waiter.state = State::Blocked;
                watches = true;
            } else {
                let lookups = self.is_full || self.undecided > 0;
                let held = if facts.blocks && lookups && self.patience > GRACE {
                    // It may be a call of a program that means to wait.
                    watches = true;
                    is_held = true;
                    self.patience
                } else if self.is_full {
                    HELD
                } else if passed_over && self.undecided == 1 {
                    GRACE
                } else {
                    failed.push(Action::Fail(id, waiter.nothing(facts.blocks)));
                    continue;
                };
                waiter.state = State::Held {
                    since: now,
                    until: now + held,
                    blocks: facts.blocks,
                };
            }
            waiter.timer = waiter
                .end()
                .map(|(time, _)| self.timers.set(time, id, self.number));
            self.waiting.push_back(waiter);
        }
        let mut actions = Vec::new();
        if watches {
            actions.push(Action::Watch);
        }
        // They may close the listener next.
        self.round.source = false;
        actions.push(Action::Part);
        actions.extend(failed);
        actions.extend(self.finish(wakes, now));
        actions
    }

    /// Nothing would tell of a connection: calls cannot wait.
    fn drop_blocked(&mut self, errno: i32) -> Vec<Action<W, C>> {
        let blocked = self.extract(Waiter::is_blocked);
        blocked
            .into_iter()
            .map(|waiter| Action::Fail(waiter.id, errno))
            .collect()
    }

    fn due(&mut self, id: u64, now: Instant) -> Vec<Action<W, C>> {
        let mut actions = Vec::new();
        for waiter in self.extract(|waiter| waiter.id == id) {
            match waiter.end() {
                Some((end, errno)) if end <= now => {
                    self.spend(&waiter, now);
                    actions.push(Action::Fail(id, errno));
                }
                _ => self.waiting.push_back(waiter),
            }
        }
        actions
    }

    /// Lets the program know of connections that are ready while it does not wait in `accept`.
    fn wake(&mut self, wakes: usize) -> Vec<Action<W, C>> {
        if self.ready.is_empty() {
            self.astray = 0;
        }
        if !self.is_unheard() || self.astray >= ASTRAY {
            return Vec::new();
        }
        match wakes {
            0 => vec![Action::Wake],
            // One that lies in the backlog behind clients for whom there is no room may have been heard of.
            _ if self.is_full => vec![Action::Nudge],
            _ => Vec::new(),
        }
    }

    /// The call that came first. What it was held counts.
    fn next(&mut self, now: Instant) -> Option<Box<Waiter<W>>> {
        let mut waiter = self.waiting.pop_front()?;
        self.spend(&waiter, now);
        waiter.timer = None;
        Some(waiter)
    }

    /// Counts how long a call was held that ends now.
    fn spend(&mut self, waiter: &Waiter<W>, now: Instant) {
        if let State::Held {
            since, blocks: true, ..
        } = waiter.state
        {
            self.patience = self.patience.saturating_sub(now.saturating_duration_since(since));
        }
    }

    /// Takes the calls out that fulfil the condition.
    fn extract(&mut self, condition: impl Fn(&Waiter<W>) -> bool) -> Vec<Box<Waiter<W>>> {
        // Mostly it is the last one, or none.
        let Some(first) = self.waiting.iter().position(|waiter| condition(waiter)) else {
            return Vec::new();
        };
        let all = self.waiting.drain(first..);
        let (out, rest): (Vec<_>, Vec<_>) = all.partition(|waiter| condition(waiter));
        self.waiting.extend(rest);
        out
    }
}
