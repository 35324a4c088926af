//! Bans that decisions make, and that wait for nobody.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::text::Ban;
use super::write::{Writer, Written};
use crate::{Answer, Unknown};

/// Bans that decisions make. They are written at once if nobody else is writing, and otherwise with the next ones.
#[derive(Debug)]
pub struct Queue {
    writer: Writer,
    /// Held for as long as it takes to look at them, and never while they are written.
    waiting: Mutex<Vec<Ban>>,
    /// The process a thread of which writes, or 0: the child of a fork does not have that thread.
    writing: AtomicU32,
    lost: AtomicU64,
}

impl Queue {
    /// How many bans wait before more are lost.
    const LONGEST: usize = 1024;

    /// For the list at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Queue {
            writer: Writer::new(path),
            waiting: Mutex::new(Vec::new()),
            writing: AtomicU32::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds a ban.
    ///
    /// # Errors
    /// Why it is lost.
    pub fn add(&self, ban: Ban) -> Answer<()> {
        let Some(mut waiting) = self.waiting() else {
            return Err(self.lose(1, "too many bans at once"));
        };
        if waiting.len() == Self::LONGEST {
            return Err(self.lose(1, "the list has been locked for too long"));
        }
        waiting.push(ban);
        drop(waiting);
        self.flush()
    }

    /// Those that wait. Nothing, where another thread has them and does not go on.
    fn waiting(&self) -> Option<MutexGuard<'_, Vec<Ban>>> {
        const TRIES: usize = 100;
        (0..TRIES).find_map(|_| {
            let waiting = self.waiting.try_lock().ok();
            if waiting.is_none() {
                std::thread::sleep(Duration::from_micros(100));
            }
            waiting
        })
    }

    /// Tries again to write what waits. A process that ends calls it last.
    ///
    /// # Errors
    /// Why bans are lost.
    pub fn flush(&self) -> Answer<()> {
        /// Whoever else adds a ban holds the list's lock for microseconds.
        const TRIES: usize = 20;
        let mut tries = 0;
        // A thread that finds another one writing leaves its ban to that one, which looks again when it is done.
        while tries < TRIES && self.is_any_waiting() && self.begins_to_write() {
            let written = self.write();
            self.writing.store(0, Ordering::SeqCst);
            if written? == Written::Busy {
                tries += 1;
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn is_any_waiting(&self) -> bool {
        // A thread that adds one sees that nobody writes any more, or the one that wrote sees what was added.
        fence(Ordering::SeqCst);
        self.count_waiting() > 0
    }

    /// Does this thread begin to write, since no other does?
    fn begins_to_write(&self) -> bool {
        // As above.
        fence(Ordering::SeqCst);
        let (this, writing) = (std::process::id(), self.writing.load(Ordering::SeqCst));
        let begin = || {
            self.writing
                .compare_exchange(writing, this, Ordering::SeqCst, Ordering::Relaxed)
        };
        writing != this && begin().is_ok()
    }

    fn write(&self) -> Answer<Written> {
        let bans = self.waiting().map_or_else(Vec::new, |waiting| waiting.clone());
        let written = self.writer.try_add(&bans);
        if !matches!(written, Ok(Written::Busy))
            && let Some(mut waiting) = self.waiting()
        {
            waiting.drain(..bans.len());
        }
        written.map_err(|error| self.lose(bans.len(), &Unknown::file(self.writer.path(), &error).to_string()))
    }

    fn lose(&self, many: usize, why: &str) -> Unknown {
        self.lost.fetch_add(many as u64, Ordering::Relaxed);
        Unknown::new(why)
    }

    /// How many bans were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many wait. Another thread that looks at them is waited for.
    pub fn count_waiting(&self) -> usize {
        self.waiting().map_or(0, |waiting| waiting.len())
    }
}
