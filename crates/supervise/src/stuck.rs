//! Getting the guard out of an `accept` that waits.
//!
//! Whether a listener blocks is a property it shares with the program, which must not see it change. So the
//! guard accepts from a listener that blocks, when there is something to accept; somebody outside may be
//! faster. A thread watches for that, and interrupts the guard with a signal. It wakes up while the guard
//! accepts connections, and sleeps while it does not.
//!
//! The same thread sees whether the guard is long on an errand into a program's memory, of which nothing gets it out, and
//! then goes on in its place, see [`relay`](crate::relay).
//!
//! No other call may be interrupted: a handover that is cut short would end the program's `accept` without
//! its connection. So the guard waits for a signal that is under way before it goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::call::check;

/// How long the guard may be held in an `accept` that somebody else was faster at.
const STUCK: Duration = Duration::from_millis(20);

/// How long it may be on an errand, in which it waits for the program: for a page of its memory, or for a thread of it to
/// be scheduled, which on a machine with much to do takes its time.
const LONG: Duration = Duration::from_millis(240);

/// How many signals the guard has heard.
static HEARD: AtomicU64 = AtomicU64::new(0);

/// The lower bits of the state: 0 outside of a call, 1 within, and one more for each signal sent.
const WITHIN: u64 = 0xff;

#[derive(Debug, Default)]
struct Shared {
    /// The number of the call, and what goes on with it.
    state: AtomicU64,
    /// Odd while on an errand.
    errands: AtomicU64,
    /// The thread sleeps until it is woken.
    sleeps: AtomicBool,
    /// Somebody is to be told that nothing happens any more.
    tells: AtomicBool,
}

/// The thread that watches the one that made it.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Watchdog {
    /// Watches the thread that calls this. `relieve` is for its errands: it goes on in its place, and says whether there
    /// was something to go on with. `rest` is for [`tell_of_rest`](Self::tell_of_rest).
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn new(
        relieve: impl FnMut() -> bool + Send + 'static,
        rest: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        extern "C" fn heard(_: libc::c_int) {
            HEARD.fetch_add(1, SeqCst);
        }
        // One that queues, so that each sent is heard.
        let signal = libc::SIGRTMAX();
        // SAFETY: plain data, of which zeroes are valid.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = heard as extern "C" fn(libc::c_int) as usize;
        // SAFETY: a handler that counts, without SA_RESTART, as the signal is to interrupt.
        check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }.into())?;
        let shared = Arc::new(Shared::default());
        // SAFETY: these take nothing.
        let (process, guard) = unsafe { (libc::getpid(), libc::gettid()) };
        let interrupt = move || {
            // SAFETY: takes numbers only.
            if unsafe { libc::syscall(libc::SYS_tgkill, process, guard, signal) } != 0 {
                // Nobody is to wait for it.
                HEARD.fetch_add(1, SeqCst);
            }
        };
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("watchdog".into())
            .stack_size(2 << 20)
            .spawn(move || watch(&watched, interrupt, relieve, rest))?;
        Ok(Watchdog {
            shared,
            thread: thread.thread().clone(),
        })
    }

    /// Has `rest` called once nothing has been accepted for a moment. A clock of the guard's own would be set anew for each
    /// connection.
    pub(crate) fn tell_of_rest(&self) {
        self.shared.tells.store(true, SeqCst);
        self.shared.errands.fetch_add(2, SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.shared.sleeps.load(SeqCst) {
            self.thread.unpark();
        }
    }

    /// Does what may wait for ever: another thread goes on then.
    pub(crate) fn on_errand<T>(&self, errand: impl FnOnce() -> T) -> T {
        self.shared.errands.fetch_add(1, SeqCst);
        self.wake();
        let result = errand();
        self.shared.errands.fetch_add(1, SeqCst);
        result
    }

    /// Makes a call that may wait, which then fails with `EINTR`; and says whether it was long enough for that.
    pub(crate) fn during<T>(&self, call: impl FnOnce() -> T) -> (T, bool) {
        let state = &self.shared.state;
        let (number, heard) = (state.load(SeqCst), HEARD.load(SeqCst));
        state.store(number + 1, SeqCst);
        self.wake();
        let result = call();
        let signals = state.swap(number + WITHIN + 1, SeqCst) - number - 1;
        while HEARD.load(SeqCst) < heard + signals {
            thread::yield_now();
        }
        (result, signals > 0)
    }
}

fn watch(shared: &Shared, interrupt: impl Fn(), mut relieve: impl FnMut() -> bool, rest: impl Fn()) {
    let (mut last, mut last_errand, mut since) = (0, 0, Instant::now());
    loop {
        thread::sleep(STUCK);
        // Before the look, so that what is found as it was has been so all the time.
        let time = Instant::now();
        let (now, errand) = (shared.state.load(SeqCst), shared.errands.load(SeqCst));
        let within = now & WITHIN;
        let is_as_before = now == last && errand == last_errand;
        if is_as_before && within == 0 && errand % 2 == 0 {
            // Nothing has been accepted for a while.
            if shared.tells.swap(false, SeqCst) {
                rest();
            }
            shared.sleeps.store(true, SeqCst);
            while shared.state.load(SeqCst) == now && shared.errands.load(SeqCst) == errand {
                thread::park();
            }
            shared.sleeps.store(false, SeqCst);
        }
        if errand != last_errand {
            (last_errand, since) = (errand, Instant::now());
        } else if errand % 2 == 1 && time.duration_since(since) >= LONG && relieve() {
            return;
        }
        // Still in the same call as the last time. The guard is told of the signal before it is sent.
        let is_stuck = within != 0 && now == last;
        let next = now + 1;
        if is_stuck && within < WITHIN && shared.state.compare_exchange(now, next, SeqCst, SeqCst).is_ok() {
            interrupt();
            last = next;
        } else {
            last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_call_that_waits_is_interrupted_each_time() {
        let (reader, _writer) = io::pipe().unwrap();
        let watchdog = Watchdog::new(|| false, || ()).unwrap();
        for _ in 0..3 {
            let mut byte = 0u8;
            // SAFETY: room for one byte.
            let mut read = || unsafe { libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
            let (read, was_long) = watchdog.during(|| check(read() as libc::c_long));
            assert!(was_long);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::Interrupted);
            // Long enough for the watchdog to fall asleep.
            thread::sleep(STUCK * 3);
        }
    }

    #[test]
    fn an_errand_that_takes_long_is_relieved_once() {
        let (relieved, all) = std::sync::mpsc::channel();
        let relieve = move || relieved.send(()).is_ok();
        let watchdog = Watchdog::new(relieve, || ()).unwrap();
        let were_short = (0..3).all(|_| {
            let start = Instant::now();
            watchdog.on_errand(|| ());
            // Unless this thread was not given a processor meanwhile.
            let is_short = start.elapsed() < LONG;
            thread::sleep(STUCK * 3);
            is_short
        });
        assert!(!were_short || all.try_recv().is_err(), "they were short");
        watchdog.on_errand(|| assert_eq!(all.recv(), Ok(())));
        watchdog.on_errand(|| assert!(all.recv().is_err(), "it goes on elsewhere"));
    }

    #[test]
    fn rest_is_told_of_once_each_time_that_is_asked_for() {
        let (told, all) = std::sync::mpsc::channel();
        let watchdog = Watchdog::new(|| false, move || told.send(()).expect("it is heard")).unwrap();
        for _ in 0..3 {
            watchdog.tell_of_rest();
            assert_eq!(all.recv(), Ok(()));
            watchdog.on_errand(|| ());
            // Long enough for the watchdog to fall asleep.
            thread::sleep(STUCK * 3);
            assert!(all.try_recv().is_err());
        }
    }
}
