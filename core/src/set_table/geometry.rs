//! How large the parts of a table are, and where they begin.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use super::buckets::{PROBES, SLOTS};
use super::{Prefix, blocks, get, lanes, set};
use crate::cond::Part;
use crate::policy::Element;

/// Words of a line.
pub const LINE: usize = 8;
/// Lines of states: two bits for each of 2^24 values.
const STATES: u32 = 1 << 16;
/// No table has room for less.
const LEAST: usize = 65_536;
/// The last line's words behind the two counters.
const AT: usize = 2;
/// The word of the last line that is not zero where a prefix of at most 24 bits was ever there: else states need not be
/// looked at for IPv4.
pub const WIDE: usize = AT + 4;
/// The same word of IPv6: not zero where a prefix of more than 24 bits was ever there that has no lane.
pub const OUTSIDE: usize = WIDE;
/// The word of the last line that is not zero where a prefix of 25 to 31 bits of IPv4 was ever there.
pub const NARROW: usize = 1;
/// More lines of blocks a table's measures cannot tell.
const MOST_BLOCKS: u32 = 1 << 24;
/// What the last line ends with.
const MAGIC: u64 = 0x7864_7069_6c6f_7401;

/// The measures of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// IPv4 or IPv6.
    pub part: Part,
    /// For how many elements it has room.
    pub capacity: u32,
    /// Words of a bucket of [`super::lanes`]: 1, 2, 4 or 8, and 0 where there are none.
    pub lanes: u32,
    /// In how many lines a search for a block of [`super::blocks`] may begin; a few more stand behind them. 0 where there are none.
    pub blocks: u32,
    /// In how many buckets of slots a search may begin; a few more stand behind them.
    pub buckets: u32,
    /// Words that tell lengths; a multiple of [`LINE`].
    pub classes: u32,
    /// Lines of the pool.
    pub pool: u32,
}

impl Geometry {
    /// A table for these elements (those of other kinds are left out), and for half as many again.
    pub fn of(part: Part, elements: &[Element]) -> Self {
        let mut needs = Needs::default();
        elements.iter().for_each(|element| needs.add(part, element));
        let capacity = (needs.count + needs.count / 2).max(LEAST);
        let more = capacity - needs.count;
        let lanes = lanes::words(needs.addresses + needs.addresses / 2);
        let blocks = Blocks::of(needs.names);
        let slots = match lanes {
            0 => needs.slots + needs.addresses + blocks.without + more,
            _ => needs.slots + lanes::without(addresses(elements), lanes) + more / 4,
        };
        let v6 = |size: u32| if part == Part::V6 { size } else { 0 };
        Geometry {
            part,
            capacity: capacity as u32,
            lanes,
            blocks: blocks::lines(blocks.count + blocks.count / 2),
            buckets: words_of_slots(slots).div_ceil(LINE) as u32,
            classes: v6(slots.next_multiple_of(LINE) as u32),
            pool: v6(slots as u32),
        }
    }

    /// All lines.
    pub fn lines(&self) -> u32 {
        self.end() + 1
    }

    /// The bytes that the kernel takes for the table's map (`array_map_mem_usage`): whole pages, and one before them.
    pub fn bytes(&self) -> u64 {
        const PAGE: u64 = 4096;
        PAGE + (u64::from(self.lines()) * 8 * LINE as u64).next_multiple_of(PAGE)
    }

    /// The lines of states.
    pub fn states(&self) -> Range<u32> {
        0..STATES
    }

    /// The lines of lanes.
    pub fn lane_lines(&self) -> Range<u32> {
        STATES..STATES + lanes::BUCKETS * self.lanes / LINE as u32
    }

    /// The lines of blocks.
    pub fn block_lines(&self) -> Range<u32> {
        let start = self.lane_lines().end;
        let behind = if self.blocks == 0 { 0 } else { blocks::PROBES as u32 - 1 };
        start..start + self.blocks + behind
    }

    /// The lines of slots.
    pub fn bucket_lines(&self) -> Range<u32> {
        let start = self.block_lines().end;
        start..start + self.buckets + PROBES as u32 - 1
    }

    /// The lines of classes.
    pub fn class_lines(&self) -> Range<u32> {
        let start = self.bucket_lines().end;
        start..start + self.classes / LINE as u32
    }

    /// The lines of the pool.
    pub fn pool_lines(&self) -> Range<u32> {
        let start = self.class_lines().end;
        start..start + self.pool
    }

    /// The lines of the list.
    pub(super) fn list(&self) -> Range<u32> {
        let start = self.pool_lines().end;
        let words = self.capacity as usize * self.stride();
        start..start + words.div_ceil(LINE) as u32
    }

    /// The last line.
    pub fn end(&self) -> u32 {
        self.list().end
    }

    /// Words of the list that an element takes.
    pub(super) fn stride(&self) -> usize {
        if self.part == Part::V4 { 1 } else { 3 }
    }

    pub(super) fn write(&self, words: &[AtomicU64]) {
        let Geometry { part, capacity, lanes, blocks, buckets, classes, pool } = *self;
        let end = self.end() as usize * LINE + AT;
        let family = if part == Part::V4 { 4 } else { 6 };
        let first = u64::from(capacity) << 32 | u64::from(lanes | blocks) << 8 | family;
        let measures = [first, u64::from(buckets), u64::from(classes), u64::from(pool)];
        measures.into_iter().chain([0, MAGIC]).zip(&words[end..]).for_each(|(value, word)| set(word, value));
    }

    pub(super) fn read(words: &[AtomicU64]) -> Option<Self> {
        let end = words.len().checked_sub(LINE)? + AT;
        let [first, buckets, classes, pool, _, magic] = std::array::from_fn(|at| words.get(end + at).map_or(0, get));
        let small = |word: u64| u32::try_from(word).ok().filter(|word| *word < 1 << 28);
        let part = if first as u8 == 4 { Part::V4 } else { Part::V6 };
        // IPv4 has no blocks, and IPv6 no buckets of lanes.
        let of_lanes = small(first as u32 as u64 >> 8)?;
        let (lanes, blocks) = if part == Part::V4 { (of_lanes, 0) } else { (0, of_lanes) };
        let geometry = Geometry {
            part,
            capacity: small(first >> 32)?,
            lanes: [0, 1, 2, 4, 8].contains(&lanes).then_some(lanes)?,
            blocks,
            buckets: small(buckets)?,
            classes: small(classes)?,
            pool: small(pool)?,
        };
        (magic == MAGIC && geometry.lines() as usize * LINE == words.len()).then_some(geometry)
    }
}

/// What elements need of a table.
#[derive(Default)]
struct Needs {
    count: usize,
    /// Single addresses of IPv4.
    addresses: usize,
    /// Slots of all others, at most; of IPv6 each has one in the pool, too.
    slots: usize,
    /// The blocks of those prefixes of IPv6 that may have a lane.
    names: Vec<u32>,
}

impl Needs {
    fn add(&mut self, part: Part, element: &Element) {
        match (part, element) {
            (Part::V4, Element::V4(_, 32)) => self.addresses += 1,
            (Part::V4, Element::V4(_, length)) => {
                self.slots += if *length <= 24 { 0 } else { 1 << 27u8.saturating_sub(*length) };
            }
            (Part::V6, Element::V6(address, length)) => {
                let prefix = Prefix { bits: address.to_bits(), length: *length };
                match blocks::may_hold(prefix) {
                    true => self.names.push(blocks::name(prefix.bits)),
                    false => self.slots += usize::from(*length > 24),
                }
            }
            _ => return,
        }
        self.count += 1;
    }
}

/// What prefixes need that may have lanes of blocks.
struct Blocks {
    count: usize,
    /// So many prefixes find no lane, at most.
    without: usize,
}

impl Blocks {
    fn of(mut names: Vec<u32>) -> Self {
        names.sort_unstable();
        let all = || names.chunk_by(|one, other| one == other);
        let count = all().count();
        if blocks::lines(count + count / 2) >= MOST_BLOCKS {
            return Blocks { count: 0, without: names.len() };
        }
        // Where two of five lines are taken, as they are when a table was filled, one of 250 blocks finds none.
        let lost = names.len() / 64;
        let without = all().map(|block| block.len().saturating_sub(blocks::LANES)).sum::<usize>() + lost;
        Blocks { count, without }
    }
}

fn addresses(elements: &[Element]) -> impl Iterator<Item = u32> {
    elements.iter().filter_map(|element| match element {
        Element::V4(address, 32) => Some(address.to_bits()),
        _ => None,
    })
}

/// Words for so many slots: two of five are taken then, so few that six buckets in a row never hold more than 48.
pub(super) fn words_of_slots(slots: usize) -> usize {
    slots * 5 / 2
}

const _: () = assert!(SLOTS == LINE);
