//! Connections whose addresses are translated: what is remembered of each, and how it is found for a reply.
//!
//! A connection's record stands at the index of its slot among the flows. The replies' table is like that of the flows:
//! its slots lead to records. Of a line's slots that are in use no two have the same tag.

use super::flows::Line;

/// Bits of a slot: tag, index of the record plus one (0 in an empty slot), tick.
pub const TAG_SHIFT: u32 = 42;
/// The index's place.
pub const INDEX_SHIFT: u32 = 16;
/// The index's bits.
pub const INDEX_MASK: u64 = (1 << 26) - 1;
/// What the last word of a reply's hash has in the place of a pool.
pub const MARK: u16 = 0xffff;
/// So many backends, or ports, are tried for a new connection whose replies could be taken for another's.
pub const TRIES: u32 = 4;
/// Ports of `fullnat`: 16,384 from this one on, below those that the kernel gives to its own connections.
pub const FIRST_PORT: u16 = 0x4000;
/// From one port that is tried to the next.
pub const PORT_STEP: u64 = 0x2f3;

/// A slot.
pub fn slot(hash: u64, record: u32, tick: u16) -> u64 {
    hash >> TAG_SHIFT << TAG_SHIFT | (u64::from(record) + 1) << INDEX_SHIFT | u64::from(tick)
}

/// The record that a slot leads to.
pub fn record(slot: u64) -> Option<u32> {
    let index = (slot >> INDEX_SHIFT) & INDEX_MASK;
    u32::try_from(index).ok()?.checked_sub(1)
}

/// The first slot in use that has the tag of a hash.
pub fn find(line: &Line, hash: u64) -> Option<usize> {
    line.iter().position(|slot| slot.0 != 0 && slot.0 >> TAG_SHIFT == hash >> TAG_SHIFT)
}

/// The port of a new connection's packets to its backend, at this try.
pub fn port(hash: u64, attempt: u32) -> u16 {
    let spread = (hash >> 8).wrapping_add(u64::from(attempt) * PORT_STEP);
    FIRST_PORT | (spread & 0x3fff) as u16
}
