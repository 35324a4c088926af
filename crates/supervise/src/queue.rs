//! What the guard knows of a listening socket: the calls that wait at it, and the connections for them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use crate::accept::Accepted;
use crate::network::Network;
use crate::notify::Call;
use crate::room::Permit;
use crate::task::Task;
use crate::timers::Timer;

/// What becomes of a call that has no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
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
pub(crate) struct Waiter {
    pub call: Call,
    pub task: Rc<Task>,
    pub state: State,
    /// When the listener's receive timeout ends it, if it blocks.
    pub limit: Option<Instant>,
    /// Set for when it ends, if it does.
    pub timer: Option<Timer>,
    /// It was held before a signal, after which it begins anew.
    pub was_held: bool,
}

impl Waiter {
    pub(crate) fn new(call: Call, task: Rc<Task>) -> Self {
        Waiter {
            call,
            task,
            state: State::New,
            limit: None,
            timer: None,
            was_held: false,
        }
    }

    /// When the call ends without a connection, and as what error.
    pub(crate) fn end(&self) -> Option<(Instant, i32)> {
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
    pub(crate) fn nothing(&self, blocks: bool) -> i32 {
        if blocks && self.limit.is_none() {
            libc::ECONNABORTED
        } else {
            libc::EAGAIN
        }
    }
}

/// A granted connection.
#[derive(Debug)]
pub(crate) struct Ready {
    pub connection: Accepted,
    pub since: Instant,
    _permit: Permit,
}

impl Ready {
    pub(crate) fn new(connection: Accepted, permit: Permit) -> Self {
        Ready {
            connection,
            since: Instant::now(),
            _permit: permit,
        }
    }
}

/// How long calls of a program of which it is not known whether it means to wait are held for lookups at one
/// listener, all of them together.
const PATIENCE: Duration = Duration::from_secs(30);

/// What belongs to one listening socket.
#[derive(Debug)]
pub(crate) struct Queue {
    pub waiting: VecDeque<Waiter>,
    pub ready: VecDeque<Ready>,
    /// How many of its connections are being decided about.
    pub undecided: usize,
    /// It is known to listen; a few families accept without.
    pub listens: bool,
    /// A program has called `accept` here when there was nothing to accept, or in two places at once: it means
    /// to wait there. One that never does so asks `poll` first, and would be stopped if it had to wait.
    pub is_waited_on: bool,
    /// How much longer calls are held here that may be of either kind.
    pub patience: Duration,
    /// There was no room for more undecided connections.
    pub full: bool,
    /// Who called last, and the descriptor, by which the guard finds the socket when no call waits.
    pub last: Option<(Weak<Task>, i32)>,
    /// Where clients find it, while some are undecided or ready.
    pub place: Option<(SocketAddr, Network)>,
    /// Its port is shared with other listeners.
    pub is_shared: bool,
    /// The port of ours that has reached it before, or 0.
    pub reached_from: u16,
    /// How many wake-ups in a row went to others.
    pub astray: u32,
    /// The log has been told that it cannot be woken.
    pub is_unreachable: bool,
    /// The guard is told when there is something new to accept.
    pub is_watched: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            undecided: 0,
            listens: false,
            is_waited_on: false,
            patience: PATIENCE,
            full: false,
            last: None,
            place: None,
            is_shared: false,
            reached_from: 0,
            astray: 0,
            is_unreachable: false,
            is_watched: false,
        }
    }
}

impl Queue {
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty() && self.undecided == 0
    }

    /// The call that came first. What it was held counts.
    pub(crate) fn next(&mut self) -> Option<Waiter> {
        let waiter = self.waiting.pop_front()?;
        self.spend(&waiter);
        Some(waiter)
    }

    /// Takes the calls out that were held for lookups, when there is none to be held for any more.
    pub(crate) fn held_for_nothing(&mut self) -> VecDeque<Waiter> {
        if self.undecided > 0 || self.full {
            return VecDeque::new();
        }
        let held = self.extract(|waiter| matches!(waiter.state, State::Held { .. }));
        held.iter().for_each(|waiter| self.spend(waiter));
        held
    }

    /// Counts how long a call was held that ends now.
    pub(crate) fn spend(&mut self, waiter: &Waiter) {
        if let State::Held {
            since, blocks: true, ..
        } = waiter.state
        {
            self.patience = self.patience.saturating_sub(since.elapsed());
        }
    }

    /// The program is seen to wait here, so its calls that are held do.
    pub(crate) fn waits(&mut self) {
        self.is_waited_on = true;
        for waiter in &mut self.waiting {
            if matches!(waiter.state, State::Held { blocks: true, .. }) {
                waiter.state = State::Blocked;
            }
        }
    }

    /// Takes the calls out that fulfil the condition.
    pub(crate) fn extract(&mut self, condition: impl Fn(&Waiter) -> bool) -> VecDeque<Waiter> {
        let (out, rest) = std::mem::take(&mut self.waiting).into_iter().partition(condition);
        self.waiting = rest;
        out
    }
}
