//! Something that is made when it is first asked for, and may be made anew, without a lock: a process may fork while
//! another of its threads makes it, and its child must not wait for a thread that it does not have.

use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};

#[derive(Debug)]
struct Made<T> {
    value: T,
    /// What stood here before: somebody may still look at it.
    before: *mut Made<T>,
}

#[derive(Debug)]
pub(crate) struct Lazy<T>(AtomicPtr<Made<T>>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Lazy::new()
    }
}

impl<T> Lazy<T> {
    pub const fn new() -> Self {
        Lazy(AtomicPtr::new(null_mut()))
    }
}

impl<T: Send + Sync> Lazy<T> {
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is null, or was made from a box below, which is dropped with `self`.
        unsafe { self.0.load(Acquire).as_ref() }.map(|made| &made.value)
    }

    /// Of several that are made at once, the first one is kept.
    pub fn get_or(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(kept) => kept,
            None => self.put(null_mut(), make()),
        }
    }

    /// Puts another in its place, unless another thread has done so since `kept` was had from here. That is kept as
    /// long as `self`, so this is for what seldom changes.
    pub fn renew(&self, kept: &T, value: T) -> &T {
        let before = self.0.load(Acquire);
        // SAFETY: as in `get`.
        match unsafe { before.as_ref() } {
            Some(now) if std::ptr::eq(&raw const now.value, kept) => self.put(before, value),
            Some(now) => &now.value,
            None => self.put(before, value),
        }
    }

    fn put(&self, before: *mut Made<T>, value: T) -> &T {
        let new = Box::into_raw(Box::new(Made { value, before }));
        match self.0.compare_exchange(before, new, AcqRel, Acquire) {
            // SAFETY: made above, and dropped with `self`.
            Ok(_) => unsafe { &(*new).value },
            Err(other) => {
                // SAFETY: `new` was made above, and nobody else has seen it; `other` was made so by another thread.
                unsafe {
                    drop(Box::from_raw(new));
                    &(*other).value
                }
            }
        }
    }
}

impl<T> Drop for Lazy<T> {
    fn drop(&mut self) {
        let mut kept = *self.0.get_mut();
        while !kept.is_null() {
            // SAFETY: it was made from a box, and nothing borrowed from `self` is left.
            let made = unsafe { Box::from_raw(kept) };
            kept = made.before;
        }
    }
}
