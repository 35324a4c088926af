//! Numbers that look random, the same in every run.

// Each test uses some of it.
#![allow(dead_code)]

/// A small generator; its number is the seed, and not 0.
pub struct Random(pub u64);

impl Random {
    /// A number below this one.
    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count as u64).expect("below a usize")
    }

    /// One of these.
    pub fn of<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    /// True so many times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
