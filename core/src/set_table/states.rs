//! What is known of an address by its first 24 bits.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use super::{Prefix, get, set};

/// So many bits lead to a state.
pub(super) const BITS: u8 = 24;

/// What a state says of the addresses that begin so.
pub mod state {
    /// None is in the set.
    pub const NONE: u64 = 0;
    /// All are.
    pub const ALL: u64 = 1;
    /// Some are: a longer prefix decides.
    pub const SOME: u64 = 2;
    /// IPv6: as [`SOME`], and some of those prefixes may be in blocks ([`super::super::blocks`]).
    pub const BLOCKS: u64 = 3;
}

/// States of one word.
const OF_WORD: usize = 32;

/// The state at an index.
pub(super) fn state_of(words: &[AtomicU64], at: usize) -> u64 {
    get(&words[at / OF_WORD]) >> (2 * (at % OF_WORD)) & 3
}

/// Changes the states of a range, each word of them at once: `change` gets the index and the state as it is.
pub(super) fn change(words: &[AtomicU64], range: Range<usize>, mut change: impl FnMut(usize, u64) -> u64) {
    let mut at = range.start;
    while at < range.end {
        let word = &words[at / OF_WORD];
        let old = get(word);
        let mut new = old;
        let end = range.end.min((at / OF_WORD + 1) * OF_WORD);
        for index in at..end {
            let shift = 2 * (index % OF_WORD);
            new = new & !(3 << shift) | change(index, old >> shift & 3) << shift;
        }
        if new != old {
            set(word, new);
        }
        at = end;
    }
}

/// Makes all that a prefix of at most [`BITS`] bits covers `ALL`.
pub(super) fn cover(words: &[AtomicU64], prefix: Prefix) {
    change(words, prefix.range(0, BITS), |_, _| state::ALL);
}

/// The states below a prefix of at most [`BITS`] bits that is gone, from the other prefixes there. `some` is the state
/// that a longer prefix makes.
pub(super) fn uncover(words: &[AtomicU64], gone: Prefix, beside: &[Prefix], some: impl Fn(Prefix) -> u64) {
    let range = gone.range(0, BITS);
    let mut states = vec![state::NONE as u8; range.len()];
    for prefix in beside {
        let own = prefix.range(0, BITS);
        let (start, end) = (own.start.max(range.start), own.end.min(range.end));
        let state = if prefix.length <= BITS { state::ALL } else { some(*prefix) } as u8;
        for now in states.get_mut(start - range.start..end - range.start).unwrap_or_default() {
            *now = if *now == state::ALL as u8 || state == state::ALL as u8 { 1 } else { state.max(*now) };
        }
    }
    change(words, range.clone(), |at, _| u64::from(states[at - range.start]));
}
