//! IPv4: prefixes of at most 24 bits are states; single addresses have lanes where there are some; all others are bits of
//! slots, of which each stands for the 32 addresses of 27 common bits.

use super::states::{self, state};
use super::{Full, NARROW, Prefix, Table, WIDE, buckets, get, lanes, set};

/// The bits that addresses of a slot have in common.
const COMMON: u8 = 27;

/// The hash and the tag of an address's first 27 bits.
fn key(common: u32) -> (u32, u32) {
    (common.wrapping_mul(buckets::FACTOR), common | 1 << COMMON)
}

pub(super) fn contains(table: &Table<'_>, address: u32) -> bool {
    if let Some(answer) = lanes::contains(table, address) {
        return answer;
    }
    let found = || bits(table, address >> 5) >> (address & 31) & 1 == 1;
    if get(table.counter(WIDE)) == 0 {
        return found();
    }
    match states::state_of(table.area(table.geometry.states()), (address >> 8) as usize) {
        state::NONE => false,
        state::ALL => true,
        _ => found(),
    }
}

pub(super) fn enter(table: &Table<'_>, prefix: Prefix) -> Result<(), Full> {
    let states = table.area(table.geometry.states());
    if prefix.length <= states::BITS {
        states::cover(states, prefix);
        set(table.counter(WIDE), 1);
        return Ok(());
    }
    if !single(prefix).is_some_and(|address| lanes::put(table, address)) {
        if single(prefix).is_none() {
            set(table.counter(NARROW), 1);
        }
        for common in prefix.range(0, COMMON) {
            let common = common as u32;
            put(table, common, bits(table, common) | within(prefix, common))?;
        }
    }
    states::change(states, prefix.range(0, states::BITS), |_, now| if now == state::NONE { state::SOME } else { now });
    Ok(())
}

/// Takes a prefix out, where `beside` are the others that overlap it, or the first 24 bits of it.
pub(super) fn leave(table: &Table<'_>, prefix: Prefix, beside: &[Prefix]) {
    let states = table.area(table.geometry.states());
    if prefix.length > states::BITS {
        if let Some(address) = single(prefix) {
            lanes::remove(table, address);
        }
        let in_slots = |other: &&Prefix| {
            other.length > states::BITS && !single(**other).is_some_and(|address| lanes::has(table, address))
        };
        for common in prefix.range(0, COMMON) {
            let common = common as u32;
            let others = beside.iter().filter(in_slots).fold(0, |bits, other| bits | within(*other, common));
            // Bits go, and none comes: there is room.
            let _ = put(table, common, bits(table, common) & !within(prefix, common) | others);
        }
    }
    states::uncover(states, prefix.widened(states::BITS), beside, |_| state::SOME);
}

/// The address that is all of a prefix.
fn single(prefix: Prefix) -> Option<u32> {
    (prefix.length == 32).then_some((prefix.bits >> 96) as u32)
}

/// The bits of the addresses of a slot that a prefix of more than 24 bits covers.
fn within(prefix: Prefix, common: u32) -> u32 {
    let slot = Prefix { bits: u128::from(common) << (128 - COMMON), length: COMMON };
    if !slot.overlaps(prefix) {
        return 0;
    }
    if prefix.length <= COMMON {
        return u32::MAX;
    }
    prefix.range(COMMON, 5).fold(0, |bits, bit| bits | 1 << bit)
}

fn bits(table: &Table<'_>, common: u32) -> u32 {
    let (hash, tag) = key(common);
    let first = buckets::first(hash, table.geometry.buckets);
    buckets::find(table.area(table.geometry.bucket_lines()), first, tag).map_or(0, |slot| get(slot) as u32)
}

fn put(table: &Table<'_>, common: u32, bits: u32) -> Result<(), Full> {
    let (hash, tag) = key(common);
    let words = table.area(table.geometry.bucket_lines());
    let first = buckets::first(hash, table.geometry.buckets);
    match buckets::find(words, first, tag) {
        Some(slot) => set(slot, u64::from(tag) << 32 | u64::from(bits)),
        None if bits == 0 => {}
        None => buckets::insert(words, first, tag, bits)?,
    }
    Ok(())
}
