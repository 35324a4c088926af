//! When calls end that wait for a connection.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The time, the call, and its listener.
type Entry = (Instant, u64, u64);

/// Times that are to come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers(Arc<Mutex<BTreeSet<Entry>>>);

/// One of them, forgotten when this is dropped: nothing is kept for a call that has ended.
#[derive(Debug)]
pub(crate) struct Timer {
    timers: Timers,
    entry: Entry,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time at which a call at a listener ends.
    pub(crate) fn set(&self, time: Instant, call: u64, listener: u64) -> Timer {
        let entry = (time, call, listener);
        self.lock().insert(entry);
        Timer {
            timers: self.clone(),
            entry,
        }
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.lock().first().map(|(time, ..)| *time)
    }

    /// The calls that end by now, and their listeners.
    pub(crate) fn due(&self, now: Instant) -> Vec<(u64, u64)> {
        let timers = self.lock();
        let due = timers.iter().take_while(|(time, ..)| *time <= now);
        due.map(|(_, call, listener)| (*call, *listener)).collect()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.lock().remove(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_has_ended_is_forgotten() {
        let (timers, now) = (Timers::default(), Instant::now());
        let late = timers.set(now + Duration::from_secs(3600), 1, 9);
        let early = timers.set(now, 2, 9);
        assert_eq!(timers.due(now), [(2, 9)]);
        drop(early);
        assert_eq!((timers.due(now), timers.next()), (vec![], Some(late.entry.0)));
        drop(late);
        assert_eq!(timers.next(), None);
    }
}
