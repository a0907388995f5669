//! The table of connections, and how one is found in it.
//!
//! It has lines of a cache line each, of eight slots; a connection's line is told by the lower half of its hash, and its
//! slot by the upper half. A slot is one word, stored at once. Where a line is full the connection that was longest
//! silent makes room. No key is kept: two connections of one hash share their backend, which is right for both.

use super::hash;
use crate::policy::MOST_BACKENDS;

/// Slots of a line.
pub const SLOTS: usize = 8;
/// Nanoseconds of a tick, as a power of two: about a second.
pub const TICK: u32 = 30;

/// Where the client has said that it ends the connection, or one side has broken it off: it still stays, and is active no
/// more.
pub const ENDED: u64 = 1 << 31;

/// The bits of a backend's number.
pub const NUMBER: u16 = MOST_BACKENDS as u16;

/// `fingerprint << 32 | backend << 16 | tick`, and [`ENDED`]; the backend is 0 in one that is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot(pub u64);

/// A line.
pub type Line = [Slot; SLOTS];

impl Slot {
    /// A connection to a backend, seen at this tick.
    pub fn new(hash: u64, backend: u16, tick: u16) -> Self {
        Slot(hash >> 32 << 32 | u64::from(backend) << 16 | u64::from(tick))
    }

    /// The backend; 0 for none.
    pub fn backend(self) -> u16 {
        (self.0 >> 16) as u16 & NUMBER
    }

    /// Whether [`ENDED`] is set.
    pub fn ended(self) -> bool {
        self.0 & ENDED != 0
    }

    /// The same connection, seen at this tick by a packet that begins it anew, ends it, or does neither.
    pub fn seen(self, tick: u16, begins: bool, ends: bool) -> Self {
        let ended = if !begins && (ends || self.ended()) { ENDED } else { 0 };
        Slot(self.0 & !(ENDED | 0xffff) | ended | u64::from(tick))
    }

    /// Ticks since the last packet: beyond all others where there was none.
    pub fn age(self, now: u16) -> u32 {
        if self.0 == 0 { 0x1_0000 } else { u32::from(now.wrapping_sub(self.0 as u16)) }
    }

    fn fingerprint(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The tick of a time in nanoseconds.
pub fn tick(now: u64) -> u16 {
    (now >> TICK) as u16
}

/// How many lines there are for so many connections: a power of two, at most a quarter of whose slots they take, so that
/// hardly ever nine meet in one.
pub fn lines(sessions: u32) -> u32 {
    (u64::from(sessions).div_ceil(2)).clamp(16, 1 << 26).next_power_of_two() as u32
}

/// The line of a hash.
pub fn line(hash: u64, lines: u32) -> u32 {
    hash as u32 & (lines - 1)
}

/// The connection's slot: the first that has its fingerprint, and a backend.
pub fn find(line: &Line, hash: u64) -> Option<usize> {
    let fingerprint = hash::fingerprint(hash);
    line.iter().position(|slot| slot.fingerprint() == fingerprint && slot.backend() != 0)
}

/// The slot for a new connection: the first of the oldest.
pub fn oldest(line: &Line, now: u16) -> usize {
    (0..SLOTS).rev().max_by_key(|index| line[*index].age(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut line = Line::default();
        assert_eq!(oldest(&line, 5), 0);
        for (index, slot) in line.iter_mut().enumerate() {
            *slot = Slot::new((index as u64) << 32, 1, 100 - index as u16);
        }
        assert_eq!(oldest(&line, 100), 7);
        // Ticks begin anew behind the last one.
        line[3] = Slot::new(3 << 32, 1, 65_000);
        assert_eq!((oldest(&line, 100), line[3].age(100)), (3, 636));
        line[5] = Slot::default();
        assert_eq!(oldest(&line, 100), 5);
        assert_eq!((find(&line, 4 << 32), find(&line, 5 << 32)), (Some(4), None));
    }

    #[test]
    fn an_ended_connection_stays_ended_until_it_begins_anew() {
        let slot = Slot::new(7 << 32, 0x7fff, 10);
        let ended = slot.seen(11, false, true);
        assert_eq!((slot.ended(), ended.ended(), ended.backend(), ended.age(12)), (false, true, 0x7fff, 1));
        assert!(ended.seen(13, false, false).ended());
        assert_eq!(ended.seen(14, true, true), Slot::new(7 << 32, 0x7fff, 14));
    }

    #[test]
    fn a_quarter_is_taken_at_most() {
        assert_eq!((lines(1), lines(65_536), lines(1_000_000)), (16, 32_768, 524_288));
    }
}
