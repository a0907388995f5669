//! IPv6: what addresses have in common whose first 27 bits are the same is a block, one cache line, with up to fifteen of
//! the prefixes of 28 to 54 bits in it.
//!
//! The lower half of the first word is the block's name: the 27 bits, and what else is known of it. All other halves are
//! lanes: up to 27 bits that follow the name's, and how far an address's 27 are shifted to be compared with them
//! ([`address`]). A block is in the line that its hash names or in one of the next ([`PROBES`] in all), as long as those
//! are taken; one that was taken is never free again. Prefixes that find no lane are of a class ([`super::v6`]).

use std::sync::atomic::AtomicU64;

use super::{Full, LINE, Prefix, Table, buckets, get, mask, set};

/// A search looks at so many lines at most.
pub const PROBES: usize = 6;
/// Lanes of a block.
pub const LANES: usize = 2 * LINE - 1;
/// The bits of an address that name its block.
const COMMON: u8 = 27;
/// Of a name: the block is there.
pub const TAKEN: u32 = 1;
/// Of a name: a class may have a prefix within the block, or one that holds it.
pub const MORE: u32 = 2;
/// The bits of a name that are an address's.
pub const NAME: u32 = !0x1f;
/// Shifts, and bits of an address that are not compared.
pub const SHIFT: u32 = 5;
/// Of an address: no lane that is free is the same.
pub const NO_LANE: u32 = 1 << (SHIFT - 1);
/// How far the upper bits of a product are brought down to the lower ones.
pub const FOLD: u32 = 15;
/// How far an address is shifted for the first of its 54 bits to end with it.
pub const UNUSED: u32 = 10;

/// The longest prefix that may have a lane.
pub(super) const LONGEST: u8 = 2 * COMMON;

/// Whether a prefix may have a lane.
pub(super) fn may_hold(prefix: Prefix) -> bool {
    (COMMON + 1..=LONGEST).contains(&prefix.length)
}

/// The bits that name an address's block.
pub(super) fn name(bits: u128) -> u32 {
    (bits >> 96) as u32 & NAME
}

/// The names of the blocks that a prefix of more than 24 bits is in, or that it holds.
pub(super) fn names(prefix: Prefix) -> impl Iterator<Item = u32> {
    prefix.range(0, COMMON).map(|block| (block as u32) << (32 - COMMON))
}

/// Lines for so many blocks: three of five are taken then, and one of thirty blocks finds none within a search.
pub(super) fn lines(blocks: usize) -> u32 {
    (blocks * 5 / 3) as u32
}

/// An address as lanes are compared with it.
pub fn address(bits: u128) -> u32 {
    ((bits >> (64 + UNUSED)) as u32) << SHIFT | NO_LANE
}

/// Whether a lane holds an address.
fn holds(lane: u32, address: u32) -> bool {
    (lane ^ address) >> (lane & 0x1f) == 0
}

/// The lane of a prefix.
fn lane(prefix: Prefix) -> u32 {
    address(prefix.bits & mask(prefix.length)) & NAME | (SHIFT + u32::from(LONGEST - prefix.length))
}

/// What the block of an address says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// A prefix of it holds the address.
    Yes,
    /// None does, neither one of the block nor any other.
    No,
    /// None of the block does.
    Elsewhere,
}

pub(super) fn says(table: &Table<'_>, bits: u128) -> Says {
    let Some(block) = find(table, name(bits)) else { return Says::Elsewhere };
    let address = address(bits);
    match block.lanes().any(|lane| holds(lane, address)) {
        true => Says::Yes,
        false if block.name() & MORE == 0 => Says::No,
        false => Says::Elsewhere,
    }
}

/// Whether a prefix has a lane.
pub(super) fn has(table: &Table<'_>, prefix: Prefix) -> bool {
    may_hold(prefix) && find(table, name(prefix.bits)).is_some_and(|block| block.position(lane(prefix)).is_some())
}

/// Puts a prefix into a lane, where there is one for it. `more` says whether a class may have prefixes of its block, should
/// that be a new one.
pub(super) fn put(table: &Table<'_>, prefix: Prefix, more: bool) -> bool {
    if !may_hold(prefix) {
        return false;
    }
    let (name, lane) = (name(prefix.bits), lane(prefix));
    let more = if more { MORE } else { 0 };
    let Some(block) = find(table, name).or_else(|| create(table, name | TAKEN | more).ok()) else { return false };
    let at = block.position(lane).or_else(|| block.position(0));
    if let Some(at) = at {
        block.store(at, lane);
    }
    at.is_some()
}

/// Takes a prefix out of its lane.
pub(super) fn remove(table: &Table<'_>, prefix: Prefix) {
    let Some(block) = find(table, name(prefix.bits)).filter(|_| may_hold(prefix)) else { return };
    if let Some(at) = block.position(lane(prefix)) {
        block.store(at, 0);
    }
}

/// Tells the blocks around a prefix, or within it, that a class has it.
pub(super) fn tell(table: &Table<'_>, prefix: Prefix) {
    for block in names(prefix).filter_map(|name| find(table, name)) {
        set(&block.0[0], get(&block.0[0]) | u64::from(MORE));
    }
}

/// A line that is taken.
#[derive(Clone, Copy)]
struct Block<'a>(&'a [AtomicU64]);

impl Block<'_> {
    fn name(self) -> u32 {
        get(&self.0[0]) as u32
    }

    fn lanes(self) -> impl Iterator<Item = u32> {
        (1..=LANES).map(move |half| self.half(half))
    }

    fn half(self, half: usize) -> u32 {
        (get(&self.0[half / 2]) >> (32 * (half % 2))) as u32
    }

    /// The half that is this lane.
    fn position(self, lane: u32) -> Option<usize> {
        (1..=LANES).find(|half| self.half(*half) == lane)
    }

    fn store(self, half: usize, lane: u32) {
        let (word, shift) = (&self.0[half / 2], 32 * (half % 2));
        set(word, get(word) & !(0xffff_ffff << shift) | u64::from(lane) << shift);
    }
}

/// The hash of a name. Names that are alike but for a few bits, as a registry gives them out, would lie in rows with one product.
fn hash(name: u32) -> u32 {
    let product = name.wrapping_mul(buckets::FACTOR);
    (product ^ product >> FOLD).wrapping_mul(buckets::FACTOR)
}

/// The lines in which a search for a block looks, in order.
fn probes<'a>(table: &Table<'a>, name: u32) -> impl Iterator<Item = Block<'a>> {
    let first = buckets::first(hash(name & NAME), table.geometry.blocks);
    table.area(table.geometry.block_lines()).chunks_exact(LINE).skip(first).take(PROBES).map(Block)
}

fn find<'a>(table: &Table<'a>, name: u32) -> Option<Block<'a>> {
    probes(table, name).take_while(|block| block.name() != 0).find(|block| block.name() & !MORE == name | TAKEN)
}

/// A new block without lanes, of this whole name.
fn create<'a>(table: &Table<'a>, name: u32) -> Result<Block<'a>, Full> {
    let block = probes(table, name).find(|block| block.name() == 0).ok_or(Full)?;
    set(&block.0[0], u64::from(name));
    Ok(block)
}
