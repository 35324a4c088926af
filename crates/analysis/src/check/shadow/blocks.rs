//! Sets of address blocks, and the rules that put them there.

use std::collections::HashMap;
use std::hash::Hash;

use super::super::reach::{masked_v4, masked_v6};
use super::quick::Quick;

/// What covers a request: a rule, alone or as the last of several that do so together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cover {
    /// The rule's number.
    pub(super) rule: u32,
    /// It is the last of several.
    pub(super) together: bool,
}

/// Address blocks that can be halved.
pub(super) trait Bits: Copy + Eq + Hash {
    fn masked(self, length: u32) -> Self;
    fn sibling(self, length: u32) -> Self;
}

impl Bits for u32 {
    fn masked(self, length: u32) -> Self {
        masked_v4(self, length)
    }

    fn sibling(self, length: u32) -> Self {
        self ^ (1 << (32 - length))
    }
}

impl Bits for u128 {
    fn masked(self, length: u32) -> Self {
        masked_v6(self, length)
    }

    fn sibling(self, length: u32) -> Self {
        self ^ (1 << (128 - length))
    }
}

/// A set of address blocks. Two halves of a block make the block, so what rules cover together is known.
pub(super) struct Blocks<B> {
    lengths: [u64; 3],
    blocks: HashMap<(B, u32), Cover, Quick>,
}

impl<B> Default for Blocks<B> {
    fn default() -> Self {
        Blocks {
            lengths: [0; 3],
            blocks: HashMap::default(),
        }
    }
}

impl<B: Bits> Blocks<B> {
    pub(super) fn add(&mut self, mut net: B, mut length: u32, rule: u32) {
        let mut together = false;
        loop {
            if self.blocks.contains_key(&(net, length)) {
                return;
            }
            self.lengths[length as usize / 64] |= 1 << (length % 64);
            self.blocks.insert((net, length), Cover { rule, together });
            if length == 0 || !self.blocks.contains_key(&(net.sibling(length), length)) {
                return;
            }
            length -= 1;
            net = net.masked(length);
            together = true;
        }
    }

    pub(super) fn cover(&self, net: B, length: u32) -> Option<Cover> {
        for (word, bits) in self.lengths.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let shorter = u32::try_from(word).unwrap_or(0) * 64 + bits.trailing_zeros();
                if shorter > length {
                    return None;
                }
                if let Some(cover) = self.blocks.get(&(net.masked(shorter), shorter)) {
                    return Some(*cover);
                }
                bits &= bits - 1;
            }
        }
        None
    }
}
