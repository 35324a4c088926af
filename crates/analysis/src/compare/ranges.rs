//! Sets of addresses as sorted ranges, and maps from addresses to numbers.
//!
//! Both are plain sorted lists; combining two of them is one walk over both. Addresses of either family
//! are 128 bit numbers here; what they mean is `compare::family`'s.

/// Inclusive ranges, sorted, neither overlapping nor touching.
pub type Ranges = Vec<(u128, u128)>;

/// Sorts ranges and joins those that touch.
pub fn normal(mut ranges: Ranges) -> Ranges {
    ranges.sort_unstable();
    let mut joined: Ranges = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match joined.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => joined.push((low, high)),
        }
    }
    joined
}

/// What is in both.
pub fn intersection(a: &[(u128, u128)], b: &[(u128, u128)]) -> Ranges {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut found = Vec::new();
    for &(low, high) in few {
        let from = many.partition_point(|r| r.1 < low);
        for &(other_low, other_high) in many[from..].iter().take_while(|r| r.0 <= high) {
            found.push((low.max(other_low), high.min(other_high)));
        }
    }
    found
}

/// What is in `a` and not in `b`.
pub fn difference(a: &[(u128, u128)], b: &[(u128, u128)]) -> Ranges {
    let mut left = Vec::new();
    let mut at = 0;
    for &(low, high) in a {
        while b.get(at).is_some_and(|r| r.1 < low) {
            at += 1;
        }
        let mut low = low;
        let mut taken = at;
        let mut is_left = true;
        while let Some(&(other_low, other_high)) = b.get(taken)
            && other_low <= high
        {
            if other_low > low {
                left.push((low, other_low - 1));
            }
            if other_high >= high {
                is_left = false;
                break;
            }
            low = other_high + 1;
            taken += 1;
        }
        if is_left {
            left.push((low, high));
        }
    }
    left
}

/// A number for each address up to the highest: where each run of one number begins, the first at 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map(pub(super) Vec<(u128, u32)>);

/// In a map: not decided.
pub(super) const HOLE: u32 = u32::MAX;

impl Map {
    /// The same number everywhere.
    pub(super) fn all(value: u32) -> Self {
        Map(vec![(0, value)])
    }

    /// The number in the ranges, holes elsewhere up to `highest`.
    pub(super) fn from_ranges(ranges: &[(u128, u128)], value: u32, highest: u128) -> Self {
        let mut map = Vec::with_capacity(2 * ranges.len() + 1);
        if ranges.first().is_none_or(|r| r.0 > 0) {
            map.push((0, HOLE));
        }
        for &(low, high) in ranges {
            map.push((low, value));
            if high < highest {
                map.push((high + 1, HOLE));
            }
        }
        Map(map)
    }

    /// Combines two maps address by address.
    pub(super) fn with(&self, other: &Map, mut combine: impl FnMut(u32, u32) -> u32) -> Map {
        let (mut a, mut b) = (0, 0);
        let mut map: Vec<(u128, u32)> = Vec::with_capacity(self.0.len() + other.0.len());
        while a < self.0.len() || b < other.0.len() {
            let next = |list: &[(u128, u32)], at: usize| list.get(at).map(|e| e.0);
            let start = match (next(&self.0, a), next(&other.0, b)) {
                (Some(x), Some(y)) => x.min(y),
                (Some(x), None) | (None, Some(x)) => x,
                (None, None) => break,
            };
            a += usize::from(next(&self.0, a) == Some(start));
            b += usize::from(next(&other.0, b) == Some(start));
            let value = combine(self.0[a - 1].1, other.0[b - 1].1);
            if map.last().is_none_or(|last| last.1 != value) {
                map.push((start, value));
            }
        }
        Map(map)
    }

    /// This map, and where it has holes the other.
    pub(super) fn over(&self, other: &Map) -> Map {
        self.with(other, |top, bottom| if top == HOLE { bottom } else { top })
    }

    /// The first of the maps that has no hole, address by address; each is combined about as often as
    /// the logarithm of their number.
    pub(super) fn first_of(mut maps: Vec<Map>) -> Map {
        if maps.is_empty() {
            return Map::all(HOLE);
        }
        while maps.len() > 1 {
            let mut pairs = maps.into_iter();
            let mut halved = Vec::with_capacity(pairs.len() / 2 + 1);
            while let Some(top) = pairs.next() {
                halved.push(match pairs.next() {
                    Some(bottom) => top.over(&bottom),
                    None => top,
                });
            }
            maps = halved;
        }
        maps.remove(0)
    }

    /// The runs: first and last address and number.
    pub(super) fn runs(&self, highest: u128) -> impl Iterator<Item = (u128, u128, u32)> {
        self.0.iter().enumerate().map(move |(at, &(low, value))| {
            let high = self.0.get(at + 1).map_or(highest, |next| next.0 - 1);
            (low, high, value)
        })
    }
}

/// The fewest blocks (first address, prefix length) that make up the ranges; addresses have `bits` bits.
pub fn blocks(ranges: &[(u128, u128)], bits: u32) -> Vec<(u128, u32)> {
    let mut found = Vec::new();
    for &(low, high) in ranges {
        let mut low = low;
        loop {
            // The largest block that begins here, as far as alignment and the end of the range allow.
            let aligned = low.trailing_zeros().min(bits);
            let room = match (high - low).checked_add(1) {
                Some(count) => 127 - count.leading_zeros(),
                None => 128,
            };
            let size = aligned.min(room);
            found.push((low, bits - size));
            let last = low + (1u128.checked_shl(size).unwrap_or(0)).wrapping_sub(1);
            if last >= high {
                break;
            }
            low = last + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        assert_eq!(normal(vec![(5, 6), (1, 2), (3, 3), (6, 9)]), [(1, 3), (5, 9)]);
        assert_eq!(intersection(&[(1, 5), (8, 9)], &[(4, 8)]), [(4, 5), (8, 8)]);
        assert_eq!(
            difference(&[(1, 9)], &[(0, 1), (4, 5), (9, 12)]),
            [(2, 3), (6, 8)]
        );
        assert_eq!(difference(&[(1, 3), (5, 9)], &[(2, 6)]), [(1, 1), (7, 9)]);
    }

    #[test]
    fn maps() {
        let a = Map::from_ranges(&[(2, 4)], 1, 9);
        let b = Map::from_ranges(&[(0, 2), (4, 9)], 2, 9);
        let first = Map::first_of(vec![a, b, Map::all(3)]);
        assert_eq!(first.0, [(0, 2), (2, 1), (5, 2)]);
    }

    #[test]
    fn fewest_blocks() {
        assert_eq!(blocks(&[(0, u128::MAX)], 128), [(0, 0)]);
        assert_eq!(blocks(&[(0, 0xffff_ffff)], 32), [(0, 0)]);
        assert_eq!(blocks(&[(1, 4)], 32), [(1, 32), (2, 31), (4, 32)]);
        assert_eq!(blocks(&[(u128::MAX, u128::MAX)], 128), [(u128::MAX, 128)]);
    }
}
