//! Threads that wait, so that the guard's main thread need not.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a thread is to do.
type Work = Box<dyn FnOnce() + Send>;

/// Closes descriptors that may take a while to close.
static CLOSERS: OnceLock<Pool> = OnceLock::new();
/// How many threads do that.
const CLOSE_AT_ONCE: usize = 32;
/// How many descriptors may be closing at one time.
const CLOSING: usize = 256;

/// Has threads ready for [`close_elsewhere`].
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn start_closers() -> io::Result<()> {
    let pool = Pool::new("close", 64 << 10, CLOSE_AT_ONCE)?;
    CLOSERS.get_or_init(|| pool);
    Ok(())
}

/// Closes a descriptor where nobody waits for it; gives it back where too many are closing already.
pub(crate) fn close_elsewhere(fd: OwnedFd) -> Result<(), OwnedFd> {
    match CLOSERS.get() {
        Some(pool) if pool.shared.open.load(SeqCst) < CLOSING => {
            pool.add(move || drop(fd));
            Ok(())
        }
        _ => Err(fd),
    }
}

/// A bounded number of threads, of which there are as many as have been needed at one time.
#[derive(Debug)]
pub(crate) struct Pool {
    work: Sender<Work>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    work: Mutex<Receiver<Work>>,
    name: &'static str,
    stack: usize,
    most: usize,
    threads: AtomicUsize,
    /// How many pieces of work are under way, or wait for a thread.
    open: AtomicUsize,
}

impl Pool {
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn new(name: &'static str, stack: usize, most: usize) -> io::Result<Self> {
        let (work, source) = channel();
        let shared = Arc::new(Shared {
            work: Mutex::new(source),
            name,
            stack,
            most,
            threads: AtomicUsize::new(1),
            open: AtomicUsize::new(0),
        });
        add_thread(&shared)?;
        Ok(Pool { work, shared })
    }

    /// Has it done as soon as a thread is free.
    pub(crate) fn add(&self, work: impl FnOnce() + Send + 'static) {
        self.shared.open.fetch_add(1, SeqCst);
        // The receiver lives as long as this does.
        let _ = self.work.send(Box::new(work));
    }
}

/// Threads are started by threads of the pool, of which the first is there from the start: it takes time, and what
/// the main thread may not do they must be free to do.
fn add_thread(shared: &Arc<Shared>) -> io::Result<()> {
    let own = Arc::clone(shared);
    let thread = std::thread::Builder::new()
        .name(shared.name.into())
        .stack_size(shared.stack);
    thread.spawn(move || work(&own)).map(drop)
}

fn work(shared: &Arc<Shared>) {
    loop {
        let work = shared.work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = work else {
            return;
        };
        // Two threads at once are not to start one each where there is room for one.
        let more = |threads| {
            let is_needed = threads < shared.most && shared.open.load(SeqCst) >= threads;
            is_needed.then_some(threads + 1)
        };
        if shared.threads.fetch_update(SeqCst, SeqCst, more).is_ok() && add_thread(shared).is_err() {
            // Without it, others wait for this one.
            shared.threads.fetch_sub(1, SeqCst);
        }
        let _ = catch_unwind(AssertUnwindSafe(work));
        shared.open.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_as_are_needed_at_one_time() {
        let pool = Pool::new("test", 64 << 10, 3).unwrap();
        let (started, all) = channel();
        let gates: Vec<_> = (0..4)
            .map(|n| {
                let (open, gate) = channel::<()>();
                let started = started.clone();
                pool.add(move || {
                    started.send(n).unwrap();
                    let _ = gate.recv();
                });
                open
            })
            .collect();
        let mut first: Vec<_> = all.iter().take(3).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
        assert_eq!(all.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
        assert_eq!(
            (pool.shared.open.load(SeqCst), pool.shared.threads.load(SeqCst)),
            (4, 3)
        );
        drop(gates);
        assert_eq!(all.recv(), Ok(3));
    }

    #[test]
    fn a_panic_leaves_the_thread() {
        let pool = Pool::new("test", 64 << 10, 1).unwrap();
        let (done, all) = channel();
        pool.add(|| panic!("on purpose"));
        pool.add(move || done.send(()).unwrap());
        assert_eq!(all.recv(), Ok(()));
    }
}
