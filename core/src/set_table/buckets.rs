//! A hash table of 64-bit slots: the tag in the upper half, what it stands for in the lower one.
//!
//! Eight slots are a bucket, one cache line. A tag is in the bucket that its hash names or, where that is full, in one of
//! the next ([`PROBES`] in all): a search goes on as long as a bucket's last slot is taken. A slot that was taken once is
//! never free again, it only stands for something else.

use std::sync::atomic::AtomicU64;

use super::{Full, get, set};

/// Slots of a bucket.
pub const SLOTS: usize = 8;
/// A search looks into so many buckets at most.
pub const PROBES: usize = 6;
/// Hashes of 32 bits are products with it (2^32 divided by the golden ratio: Knuth, *The Art of Computer Programming*,
/// 6.4).
pub const FACTOR: u32 = 0x9e37_79b1;

/// Where among `buckets` a search begins.
pub fn first(hash: u32, buckets: u32) -> usize {
    ((u64::from(hash) * u64::from(buckets)) >> 32) as usize
}

/// The slot that has the tag.
pub(super) fn find(words: &[AtomicU64], first: usize, tag: u32) -> Option<&AtomicU64> {
    for bucket in words.chunks_exact(SLOTS).skip(first).take(PROBES) {
        if let Some(slot) = bucket.iter().find(|slot| get(slot) >> 32 == u64::from(tag)) {
            return Some(slot);
        }
        if bucket.last().is_none_or(|last| get(last) == 0) {
            return None;
        }
    }
    None
}

/// Puts a tag that is not there into the first slot that stands for nothing.
pub(super) fn insert(words: &[AtomicU64], first: usize, tag: u32, what: u32) -> Result<(), Full> {
    let slots = words.chunks_exact(SLOTS).skip(first).take(PROBES).flatten();
    let free = slots.into_iter().find(|slot| get(slot) as u32 == 0).ok_or(Full)?;
    set(free, u64::from(tag) << 32 | u64::from(what));
    Ok(())
}
