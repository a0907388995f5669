//! Hashes of connections. All nodes of a fleet compute the same.

use super::ring::SLOTS;

/// The hash of nothing.
pub const SEED: u64 = 0x243f_6a88_85a3_08d3;
/// An odd number without a pattern (2^64 divided by the golden ratio).
pub const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A word more: whatever differs in it differs in the upper half afterwards, and in both after another one.
pub fn step(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

/// The hash of these words.
pub fn of(words: &[u64]) -> u64 {
    words.iter().fold(SEED, |hash, word| step(hash, *word))
}

/// The place in a ring.
pub fn slot(hash: u64) -> usize {
    (((hash >> 32) * SLOTS as u64) >> 32) as usize
}

/// What of a hash tells the connections of a line of flows apart.
pub fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}
