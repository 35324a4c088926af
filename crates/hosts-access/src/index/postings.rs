//! A compact multimap from hashed keys to ascending positions: 8 bytes an entry and 5 to 10 for the
//! directory, one or two cache misses a look-up.

use super::lists::{Entry, Lists, Positions};
use crate::room::{copy, filled};

/// Positions under each key.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    /// A byte a bucket: which eighths of it hold anything. Most look-ups are for what is not there, and end here,
    /// where the cache holds more buckets.
    present: Vec<u8>,
    /// Where each bucket begins; a bucket holds the keys with the same top bits.
    directory: Vec<u32>,
    /// By key, then by position, within a bucket.
    entries: Vec<Posting>,
}

/// One entry: eight bytes, so that key and position share a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Posting {
    /// The low half of the key.
    key: u32,
    /// The position.
    position: u32,
}

impl Postings {
    /// From entries in ascending order of position; nothing where there is no memory for them.
    pub(crate) fn new(entries: &[Entry]) -> Option<Self> {
        let bits = bucket_bits(entries.len());
        let mut present = filled(1 << bits, 0)?;
        let mut directory = filled((1 << bits) + 1, 0u32)?;
        for Entry { key, .. } in entries {
            let bucket = bucket(*key, bits);
            present[bucket] |= eighth(*key, bits);
            directory[bucket + 1] += 1;
        }
        for at in 1..directory.len() {
            directory[at] += directory[at - 1];
        }
        let mut next = copy(&directory)?;
        let mut placed = filled(entries.len(), Posting { key: 0, position: 0 })?;
        for Entry { key, position, .. } in entries {
            let at = &mut next[bucket(*key, bits)];
            // `as`: the low half is what is kept.
            placed[*at as usize] = Posting {
                key: *key as u32,
                position: *position,
            };
            *at += 1;
        }
        for bounds in directory.windows(2) {
            placed[bounds[0] as usize..bounds[1] as usize].sort_unstable();
        }
        Some(Postings {
            present,
            directory,
            entries: placed,
        })
    }

    /// The positions under `key`, ascending; sometimes those of another key too.
    #[inline]
    fn get(&self, key: u64) -> &[Posting] {
        let bits = self.present.len().trailing_zeros();
        let bucket = bucket(key, bits);
        if self
            .present
            .get(bucket)
            .is_none_or(|present| present & eighth(key, bits) == 0)
        {
            return &[];
        }
        let found = &self.entries[self.directory[bucket] as usize..self.directory[bucket + 1] as usize];
        let low = key as u32;
        // Buckets are short unless one key is; runs of one key may be long.
        let from = found.partition_point(|posting| posting.key < low);
        let length = found[from..].partition_point(|posting| posting.key == low);
        &found[from..from + length]
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.present) + size_of_val(&*self.directory) + size_of_val(&*self.entries)
    }
}

/// One to two buckets an entry; positions are 32 bits, so more than 31 would be of no use.
pub(super) fn bucket_bits(entries: usize) -> u32 {
    (usize::BITS - entries.leading_zeros()).min(31)
}

#[inline]
pub(super) fn bucket(key: u64, bits: u32) -> usize {
    // `bits` is at most 31 and may be 0; shifting by 64 is what `checked_shr` is for.
    key.checked_shr(64 - bits).map_or(0, |top| top as usize)
}

/// The bit for the part of its bucket that a key belongs to.
#[inline]
fn eighth(key: u64, bits: u32) -> u8 {
    1 << (key >> (61 - bits) & 7)
}

impl Lists for Postings {
    type Positions<'i> = Slice<'i>;

    #[inline]
    fn find(&self, key: u64, from: u32) -> Option<Slice<'_>> {
        let positions = self.get(key);
        let from = match positions.first() {
            // Only what is not passed yet; lists may be long.
            Some(first) if first.position < from => positions.partition_point(|p| p.position < from),
            _ => 0,
        };
        let (first, rest) = positions[from..].split_first()?;
        Some(Slice {
            first: first.position,
            rest,
        })
    }
}

/// Positions in memory.
#[derive(Debug)]
pub(crate) struct Slice<'i> {
    first: u32,
    rest: &'i [Posting],
}

impl Positions for Slice<'_> {
    #[inline]
    fn first(&self) -> u32 {
        self.first
    }

    #[inline]
    fn advance(&mut self) -> bool {
        let Some((first, rest)) = self.rest.split_first() else {
            return false;
        };
        (self.first, self.rest) = (first.position, rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::keys::key;

    #[test]
    fn what_is_put_in_is_found_in_order() {
        let entries: Vec<_> = (0..10_000u32)
            .map(|p| Entry {
                key: key(1, u64::from(p % 700)),
                position: p,
                user: 0,
            })
            .collect();
        let postings = Postings::new(&entries).unwrap();
        for value in 0..700u32 {
            let wanted: Vec<_> = (0..10_000).filter(|p| p % 700 == value).collect();
            let found: Vec<_> = postings
                .get(key(1, u64::from(value)))
                .iter()
                .map(|p| p.position)
                .collect();
            assert_eq!(found, wanted);
        }
        assert_eq!(Postings::new(&[]).unwrap().get(key(1, 3)), []);
        assert_eq!(Postings::default().get(key(1, 3)), []);
    }

    /// Of eight eighths of each bucket, one byte says which hold anything.
    #[test]
    fn most_of_what_is_not_there_is_told_by_one_byte() {
        let entries: Vec<_> = (0..10_000u32)
            .map(|position| Entry {
                key: key(1, position.into()),
                position,
                user: 0,
            })
            .collect();
        let postings = Postings::new(&entries).unwrap();
        let bits = postings.present.len().trailing_zeros();
        let is_told = |key| postings.present[bucket(key, bits)] & eighth(key, bits) == 0;
        assert!(entries.iter().all(|entry| !is_told(entry.key)));
        let told = (0..10_000).filter(|value| is_told(key(2, *value))).count();
        assert!(told > 8_500, "{told}");
    }
}
