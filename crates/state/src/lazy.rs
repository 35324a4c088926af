//! Something that is made when it is first asked for, without a lock: a process may fork while another of its threads
//! makes it, and its child must not wait for a thread that it does not have.

use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};

#[derive(Debug)]
pub(crate) struct Lazy<T>(AtomicPtr<T>);

impl<T: Send + Sync> Lazy<T> {
    pub const fn new() -> Self {
        Lazy(AtomicPtr::new(null_mut()))
    }

    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is null, or was made from a box below, which is dropped with `self`.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Of several that are made at once, the first one is kept.
    pub fn get_or(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(kept) = self.get() {
            return kept;
        }
        let new = Box::into_raw(Box::new(make()));
        match self.0.compare_exchange(null_mut(), new, AcqRel, Acquire) {
            // SAFETY: made above, and dropped with `self`.
            Ok(_) => unsafe { &*new },
            Err(first) => {
                // SAFETY: `new` was made above, and nobody else has seen it; `first` was made so by another thread.
                unsafe {
                    drop(Box::from_raw(new));
                    &*first
                }
            }
        }
    }
}

impl<T> Drop for Lazy<T> {
    fn drop(&mut self) {
        let kept = *self.0.get_mut();
        if !kept.is_null() {
            // SAFETY: it was made from a box, and nothing borrowed from `self` is left.
            drop(unsafe { Box::from_raw(kept) });
        }
    }
}
