//! Bans that decisions make, and that wait for nobody.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::text::Ban;
use super::write::{Writer, Written};
use crate::{Answer, Unknown};

/// Bans that decisions make. They are written at once if nobody else is writing, and otherwise with the next ones.
#[derive(Debug)]
pub struct Queue {
    writer: Writer,
    waiting: Mutex<VecDeque<Ban>>,
    lost: AtomicU64,
}

impl Queue {
    /// How many bans wait before more are lost.
    const LONGEST: usize = 1024;

    /// For the list at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Queue {
            writer: Writer::new(path),
            waiting: Mutex::new(VecDeque::new()),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds a ban.
    ///
    /// # Errors
    /// Why it is lost.
    pub fn add(&self, ban: Ban) -> Answer<()> {
        /// Other threads hold it for the time of a write.
        const TRIES: usize = 100;
        let locked = (0..TRIES).find_map(|_| {
            let waiting = self.waiting.try_lock().ok();
            if waiting.is_none() {
                std::thread::sleep(Duration::from_micros(100));
            }
            waiting
        });
        let Some(mut waiting) = locked else {
            return self.lose(1, "too many bans at once");
        };
        if waiting.len() == Self::LONGEST {
            return self.lose(1, "the list has been locked for too long");
        }
        waiting.push_back(ban);
        self.write(&mut waiting)
    }

    /// Tries again to write what waits. A process that ends calls it last.
    ///
    /// # Errors
    /// Why bans are lost.
    pub fn flush(&self) -> Answer<()> {
        match self.waiting.try_lock() {
            Ok(mut waiting) if !waiting.is_empty() => self.write(&mut waiting),
            _ => Ok(()),
        }
    }

    fn write(&self, waiting: &mut VecDeque<Ban>) -> Answer<()> {
        /// Whoever adds a ban holds the lock for microseconds.
        const TRIES: usize = 20;
        for _ in 0..TRIES {
            match self.writer.try_add(waiting.make_contiguous()) {
                Ok(Written::Yes) => {
                    waiting.clear();
                    return Ok(());
                }
                Ok(Written::Busy) => std::thread::yield_now(),
                Err(error) => {
                    let lost = waiting.drain(..).count();
                    return self.lose(lost, &Unknown::file(self.writer.path(), &error).to_string());
                }
            }
        }
        Ok(())
    }

    fn lose(&self, many: usize, why: &str) -> Answer<()> {
        self.lost.fetch_add(many as u64, Ordering::Relaxed);
        Err(Unknown::new(why))
    }

    /// How many bans were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.try_lock().map_or(0, |waiting| waiting.len())
    }
}
