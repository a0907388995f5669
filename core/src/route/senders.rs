//! Who may send replies: a bit for each backend's address. Most other packets are known from it to be none, without a
//! look into the table of replies.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::FACTOR;

/// Bits of a place among the bits.
pub const BITS: u32 = 16;
/// Words of 64 bits.
pub const WORDS: u32 = 1 << (BITS - 6);

/// Notes that replies may come from an address, in the words of the map. What was noted stays: more look-ups are made
/// then, nothing else.
pub fn note(words: &[AtomicU64], address: IpAddr) {
    let (word, bit) = place(address);
    if let Some(word) = words.get(word) {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

/// The word of an address, and its bit there. A bit that is set may be of another address too.
fn place(address: IpAddr) -> (usize, u64) {
    let number = match address {
        IpAddr::V4(address) => u32::from_ne_bytes(address.octets()).into(),
        IpAddr::V6(address) => {
            let word = |at: usize| address.octets()[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            word(0) ^ word(8)
        }
    };
    let place = number.wrapping_mul(FACTOR) >> (u64::BITS - BITS);
    ((place >> 6) as usize, 1 << (place & 63))
}
