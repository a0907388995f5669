//! Single addresses of IPv4, two bytes each.
//!
//! Multiplying an address with an odd number makes another number of it, one to one. Its upper half names a bucket, its lower
//! half is what a lane of that bucket holds: 16 bits of a word. A lane with 0 was never taken, one with 1 was;
//! addresses whose lower half is one of these, and those that find no lane, are slots ([`super::buckets`]) as other
//! elements are. Lanes are taken in order. One whose address left is taken again, but is never 0 again: only where the last one is taken may an address of the
//! bucket be elsewhere.

use std::sync::atomic::AtomicU64;

use super::{Table, buckets, get, set};

/// There are so many buckets, one for each upper half.
pub const BUCKETS: u32 = 1 << 16;
/// Lanes of a word.
pub const LANES: usize = 4;
/// A lane that was never taken.
const FREE: u16 = 0;
/// A lane whose address was removed.
const LEFT: u16 = 1;
/// Lower halves from here on are lanes.
pub const FIRST: u16 = LEFT + 1;

/// Bucket and lower half of an address.
pub fn place(address: u32) -> (usize, u16) {
    let product = address.wrapping_mul(buckets::FACTOR);
    ((product >> 16) as usize, product as u16)
}

/// Words of a bucket for so many addresses, so that few of a hundred find no lane; none where slots take less memory.
pub(super) fn words(addresses: usize) -> u32 {
    // Lanes of a bucket, and how many addresses it may have on average: where they are spread by chance, three of a hundred
    // buckets have more than lanes.
    let of_buckets = [(1, 1.6), (2, 4.0), (4, 9.5), (8, 23.0)];
    let mean = addresses as f64 / f64::from(BUCKETS);
    let enough = of_buckets.into_iter().find(|(_, most)| mean <= *most).map_or(0, |(words, _)| words);
    if (enough * BUCKETS) as usize <= super::geometry::words_of_slots(addresses) { enough } else { 0 }
}

/// How many of the addresses, and of half as many again, find no lane in buckets of so many words.
pub(super) fn without(addresses: impl Iterator<Item = u32>, words: u32) -> usize {
    let mut counts = vec![0usize; BUCKETS as usize];
    let mut elsewhere = 0;
    for (bucket, lower) in addresses.map(place) {
        match lower < FIRST {
            true => elsewhere += 2,
            false => counts[bucket] += 1,
        }
    }
    let lanes = words as usize * LANES;
    elsewhere + counts.into_iter().map(|count| (count + count / 2).saturating_sub(lanes)).sum::<usize>()
}

/// Whether an address is there; none where a slot or a state says so.
pub(super) fn contains(table: &Table<'_>, address: u32) -> Option<bool> {
    let lanes = lanes(table, address)?;
    if lanes.position(|lane| lane == lanes.lower).is_some() {
        return Some(true);
    }
    (lanes.position(|lane| lane == FREE).is_some() && !table.has_prefixes()).then_some(false)
}

/// Whether an address has a lane.
pub(super) fn has(table: &Table<'_>, address: u32) -> bool {
    lanes(table, address).is_some_and(|lanes| lanes.position(|lane| lane == lanes.lower).is_some())
}

/// Puts an address into a lane, where there is one for it.
pub(super) fn put(table: &Table<'_>, address: u32) -> bool {
    let Some(lanes) = lanes(table, address) else { return false };
    let known = lanes.position(|lane| lane == lanes.lower);
    let Some(at) = known.or_else(|| lanes.position(|lane| lane < FIRST)) else { return false };
    lanes.store(at, lanes.lower);
    true
}

/// Takes an address out of its lane.
pub(super) fn remove(table: &Table<'_>, address: u32) {
    let Some(lanes) = lanes(table, address) else { return };
    if let Some(at) = lanes.position(|lane| lane == lanes.lower) {
        lanes.store(at, LEFT);
    }
}

/// A bucket, and what it is asked for.
struct Lanes<'a> {
    words: &'a [AtomicU64],
    lower: u16,
}

/// The bucket of an address that may have a lane.
fn lanes<'a>(table: &Table<'a>, address: u32) -> Option<Lanes<'a>> {
    let size = table.geometry.lanes as usize;
    let (bucket, lower) = place(address);
    if size == 0 || lower < FIRST {
        return None;
    }
    let words = table.area(table.geometry.lane_lines()).get(bucket * size..(bucket + 1) * size)?;
    Some(Lanes { words, lower })
}

impl Lanes<'_> {
    fn position(&self, is: impl Fn(u16) -> bool) -> Option<usize> {
        (0..self.words.len() * LANES).find(|at| is((get(&self.words[at / LANES]) >> (16 * (at % LANES))) as u16))
    }

    fn store(&self, at: usize, lane: u16) {
        let (word, shift) = (&self.words[at / LANES], 16 * (at % LANES));
        set(word, get(word) & !(0xffff << shift) | u64::from(lane) << shift);
    }
}
