//! The elements of a table as they were added, in no order. Programs do not read it.

use std::sync::atomic::AtomicU64;

use super::{Full, Geometry, Prefix, get, set};

/// The first word of an entry that is taken; the prefix's length stands in bits 32 and following.
const TAKEN: u64 = 1 << 63;

/// A list over its words.
#[derive(Debug)]
pub(super) struct List<'a> {
    words: &'a [AtomicU64],
    /// So many entries were ever taken.
    used: &'a AtomicU64,
    stride: usize,
    capacity: usize,
}

impl<'a> List<'a> {
    pub(super) fn new(words: &'a [AtomicU64], used: &'a AtomicU64, geometry: Geometry) -> Self {
        List { words, used, stride: geometry.stride(), capacity: geometry.capacity as usize }
    }

    /// All entries with their indexes.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, Prefix)> {
        let entries = self.words.chunks_exact(self.stride).take(self.used()).enumerate();
        entries.filter_map(|(at, words)| decode(words).map(|prefix| (at, prefix)))
    }

    /// Where a prefix is.
    pub(super) fn find(&self, prefix: Prefix) -> Option<usize> {
        let wanted = encode(prefix);
        let same = |words: &[AtomicU64]| words.iter().zip(wanted).all(|(word, wanted)| get(word) == wanted);
        self.words.chunks_exact(self.stride).take(self.used()).position(same)
    }

    /// Those that overlap a prefix, except the one at an index.
    pub(super) fn overlapping(&self, prefix: Prefix, but: usize) -> Vec<Prefix> {
        let beside = |(at, other): &(usize, Prefix)| *at != but && other.overlaps(prefix);
        self.entries().filter(beside).map(|(_, other)| other).collect()
    }

    /// Adds a prefix that is not there.
    pub(super) fn push(&self, prefix: Prefix) -> Result<(), Full> {
        let used = self.used();
        let at = if used < self.capacity { used } else { self.free().ok_or(Full)? };
        let words = self.words.get(at * self.stride..(at + 1) * self.stride).ok_or(Full)?;
        // The first word last: it says that the entry is taken.
        words.iter().zip(encode(prefix)).rev().for_each(|(word, value)| set(word, value));
        set(self.used, (at + 1).max(used) as u64);
        Ok(())
    }

    /// Removes an entry.
    pub(super) fn clear(&self, at: usize) {
        set(&self.words[at * self.stride], 0);
    }

    fn free(&self) -> Option<usize> {
        self.words.chunks_exact(self.stride).take(self.capacity).position(|words| get(&words[0]) == 0)
    }

    fn used(&self) -> usize {
        (get(self.used) as usize).min(self.capacity)
    }
}

fn encode(prefix: Prefix) -> [u64; 3] {
    let head = TAKEN | u64::from(prefix.length) << 32;
    // IPv4 has its bits in the first word.
    [head | (prefix.bits >> 96) as u64, (prefix.bits >> 64) as u64, prefix.bits as u64]
}

fn decode(words: &[AtomicU64]) -> Option<Prefix> {
    let head = words.first().map(get).filter(|head| head & TAKEN != 0)?;
    let bits = match words {
        [_, high, low] => u128::from(get(high)) << 64 | u128::from(get(low)),
        _ => u128::from(head as u32) << 96,
    };
    Some(Prefix { bits, length: (head >> 32) as u8 })
}
