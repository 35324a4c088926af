//! A quick hash for what large tables look up by the million. Not made against tables written to be slow
//! to check: whoever writes those can as well make them longer.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps of addresses, names and daemons.
pub(super) type Quick = BuildHasherDefault<QuickHasher>;

/// See [`Quick`].
#[derive(Default)]
pub(super) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_ne_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length tells words apart that differ in zeros at their ends.
        self.write_u64(u64::from_ne_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u128(&mut self, n: u128) {
        self.write_u64((n >> 64) as u64);
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        // Both halves of the product: the upper bits choose the slot, the lower ones tell its tenants apart.
        let product = u128::from(self.0 ^ n ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}
