//! What a door should log that is no answer: that a file cannot be used, and that what it said before is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Said once, by whoever asks first. Nobody waits for another thread here.
#[derive(Debug, Default)]
pub(crate) struct News {
    is_any: AtomicBool,
    texts: Mutex<Vec<String>>,
}

impl News {
    pub const fn new() -> Self {
        News {
            is_any: AtomicBool::new(false),
            texts: Mutex::new(Vec::new()),
        }
    }

    pub fn add(&self, text: String) {
        if let Ok(mut texts) = self.texts.try_lock()
            && !texts.contains(&text)
        {
            texts.push(text);
            self.is_any.store(true, Relaxed);
        }
    }

    /// What nobody has taken yet.
    pub fn take(&self) -> Vec<String> {
        if !self.is_any.load(Relaxed) {
            return Vec::new();
        }
        match self.texts.try_lock() {
            Ok(mut texts) => {
                self.is_any.store(false, Relaxed);
                std::mem::take(&mut *texts)
            }
            Err(_) => Vec::new(),
        }
    }
}
