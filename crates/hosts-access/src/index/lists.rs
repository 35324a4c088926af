//! Where an index keeps its lists of positions, in memory or in a file; and the merging of several lists into one.

use smallvec::SmallVec;

use crate::work;

/// One position under one key, while an index is built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: u64,
    /// The position.
    pub(crate) position: u32,
    /// The key of the user that is named too.
    pub(crate) user: u32,
}

/// Ascending lists of positions by key.
pub(crate) trait Lists {
    /// One list.
    type Positions<'i>: Positions
    where
        Self: 'i;

    /// The positions under a key, those before `from` left out; nothing where there are none.
    fn find(&self, key: u64, from: u32) -> Option<Self::Positions<'_>>;
}

/// A list that is not at its end yet.
pub(crate) trait Positions {
    /// Its first position.
    fn first(&self) -> u32;

    /// Goes on to the next one; false at the end.
    fn advance(&mut self) -> bool;
}

/// Several lists as one: a heap by their first positions.
#[derive(Debug)]
pub(crate) struct Merged<P, T> {
    lists: SmallVec<[(P, T); 6]>,
}

impl<P: Positions, T: PartialEq> Merged<P, T> {
    pub(crate) fn new() -> Self {
        Merged {
            lists: SmallVec::new(),
        }
    }

    /// Adds a list, with a mark to remove it by.
    pub(crate) fn add(&mut self, list: P, mark: T) {
        self.lists.push((list, mark));
        self.rise(self.lists.len() - 1);
    }

    /// Removes the lists that have this mark.
    pub(crate) fn remove(&mut self, mark: &T) {
        let before = self.lists.len();
        self.lists.retain(|(_, its)| its != mark);
        if self.lists.len() != before {
            for at in (0..self.lists.len() / 2).rev() {
                self.sink(at);
            }
        }
    }

    /// The lowest position of all, which is taken out; the same may follow from another list.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let (list, _) = self.lists.first_mut()?;
        work::add(1);
        let position = list.first();
        if !list.advance() {
            self.lists.swap_remove(0);
        }
        self.sink(0);
        Some(position)
    }

    #[inline]
    fn first(&self, at: usize) -> u32 {
        self.lists[at].0.first()
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.first((at - 1) / 2) > self.first(at) {
            self.lists.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let Some(least) = (left..(left + 2).min(self.lists.len())).min_by_key(|child| self.first(*child))
            else {
                break;
            };
            if self.first(at) <= self.first(least) {
                break;
            }
            self.lists.swap(at, least);
            at = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Positions for Vec<u32> {
        fn first(&self) -> u32 {
            self[0]
        }
        fn advance(&mut self) -> bool {
            self.remove(0);
            !self.is_empty()
        }
    }

    #[test]
    fn lists_are_merged_while_some_come_and_go() {
        let mut merged = Merged::new();
        for start in [7, 3, 9, 1, 4, 4, 30, 2] {
            merged.add((0..4).map(|n| start + 10 * n).collect::<Vec<u32>>(), start);
        }
        let mut taken: Vec<u32> = (0..9).map_while(|_| merged.pop()).collect();
        assert_eq!(taken, [1, 2, 3, 4, 4, 7, 9, 11, 12]);
        merged.remove(&4);
        merged.add(vec![8, 50], 0);
        taken = std::iter::from_fn(|| merged.pop()).collect();
        let wanted = [
            8, 13, 17, 19, 21, 22, 23, 27, 29, 30, 31, 32, 33, 37, 39, 40, 50, 50, 60,
        ];
        assert_eq!(taken, wanted);
        assert_eq!(merged.pop(), None);
    }
}
