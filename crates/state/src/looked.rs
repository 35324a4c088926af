//! When something was looked at last, so that it is looked at again after a while and not each time it is asked for.
//! By the clock that costs least, which is some milliseconds late: good for a second, not for less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Milliseconds of a clock that never goes back; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    pub fn now() -> Self {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a place for the result. The clock exists on every Linux since 2.6.32.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
        Moment(1 + time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000)
    }
}

/// The moment of the last look, if there was one.
#[derive(Debug)]
pub(crate) struct Looked(AtomicU64);

impl Looked {
    pub const fn never() -> Self {
        Looked(AtomicU64::new(0))
    }

    /// Was the last look less than `span` before `now`?
    pub fn is_within(&self, span: Duration, now: Moment) -> bool {
        let looked = self.0.load(Ordering::Acquire);
        looked != 0 && now.0 < looked + span.as_millis() as u64
    }

    /// It was looked at.
    pub fn set(&self, at: Moment) {
        self.0.store(at.0, Ordering::Release);
    }

    /// Is it time to look, and has nobody else begun to? Then the caller does.
    pub fn is_mine(&self, span: Duration, now: Moment) -> bool {
        let looked = self.0.load(Ordering::Acquire);
        let is_time = now.0 >= looked + span.as_millis() as u64;
        let take = || {
            self.0
                .compare_exchange(looked, now.0, Ordering::AcqRel, Ordering::Relaxed)
        };
        is_time && take().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_and_then_nobody_for_a_while() {
        const SPAN: Duration = Duration::from_secs(1);
        let looked = Looked::never();
        assert!(!looked.is_within(SPAN, Moment(1)));
        assert!(looked.is_mine(SPAN, Moment(5000)));
        assert!(!looked.is_mine(SPAN, Moment(5000)));
        assert!(looked.is_within(SPAN, Moment(5999)));
        assert!(!looked.is_mine(SPAN, Moment(5999)));
        assert!(!looked.is_within(SPAN, Moment(6000)));
        assert!(looked.is_mine(SPAN, Moment(6000)));
        looked.set(Moment(7000));
        assert!(looked.is_within(SPAN, Moment(7999)));
    }

    #[test]
    fn the_clock_goes_on() {
        let before = Moment::now();
        let looked = Looked::never();
        looked.set(before);
        // How late it is depends on the machine.
        while looked.is_within(Duration::from_millis(10), Moment::now()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
