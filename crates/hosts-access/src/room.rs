//! Memory that may be refused. The engine is loaded into other people's daemons, which may live under a limit: what
//! grows with a table asks first, and does without where there is no more.

use std::hint::black_box;

/// What a decision needs beside what grows with its tables: log lines, names, the way out.
const SPARE: usize = 1 << 16;

/// What is longer is copied only where there is memory for it.
pub(crate) const LONG_LINE: usize = 4096;

/// Is there room for so much, and then for all the rest?
pub(crate) fn has(bytes: usize) -> bool {
    let mut vector = Vec::<u8>::new();
    let has_room = vector.try_reserve_exact(bytes.saturating_add(SPARE)).is_ok();
    // Memory that nobody uses need not be asked for.
    black_box(&mut vector);
    has_room
}

/// Goes on only where there is, before something grows that cannot be refused memory. A program ends by that where a denial is
/// not the answer at its edge.
///
/// # Panics
/// Otherwise.
pub(crate) fn expect(bytes: usize) {
    assert!(has(bytes), "memory for a decision");
}

/// Growth that may be refused.
pub(crate) trait Room<T> {
    /// Adds an item; nothing where there is no memory for it.
    fn put(&mut self, item: T) -> Option<()>;
}

impl<T> Room<T> for Vec<T> {
    #[inline]
    fn put(&mut self, item: T) -> Option<()> {
        self.try_reserve(1).ok()?;
        self.push(item);
        Some(())
    }
}

/// An empty vector with room for so many.
pub(crate) fn for_exactly<T>(count: usize) -> Option<Vec<T>> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(count).ok()?;
    Some(vector)
}

/// So many times the same.
pub(crate) fn filled<T: Clone>(count: usize, value: T) -> Option<Vec<T>> {
    let mut vector = for_exactly(count)?;
    vector.resize(count, value);
    Some(vector)
}

/// A copy.
pub(crate) fn copy<T: Copy>(of: &[T]) -> Option<Vec<T>> {
    let mut vector = for_exactly(of.len())?;
    vector.extend_from_slice(of);
    Some(vector)
}
