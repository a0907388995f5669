//! IPv6: prefixes of at most 24 bits are states, and many of up to 54 bits have lanes of blocks ([`blocks`]). All others are
//! of a class each, by length: 25 to 32 bits is class 1, 33 to 40 bits class 2, and so on to 13. An entry of the pool stands for
//! 256 prefixes of a class's longest length, which have all but the last 8 bits in common: a bit for each of them.
//!
//! Classes are looked for only where the class word of an address's first 32 bits names them: four bits for
//! each of 13 classes, zero behind the last. Addresses may share a class word, and classes stay named when the last
//! prefix is gone: more is looked at, nothing else is found.

use std::sync::atomic::AtomicU64;

use super::blocks::{self, Says};
use super::states::{self, state};
use super::{Full, LINE, OUTSIDE, Prefix, Table, buckets, get, set};

/// Entries of the pool whose tags are the same are at most so many.
pub const CHAIN: usize = 4;
/// So many classes there are.
const CLASSES: usize = 13;
/// What a key's upper and lower half are multiplied with (Steele, Lea and Flood, 2014).
pub const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9];

/// The words of an entry of the pool.
pub mod entry {
    /// The lower half of the common bits, and the class in its last byte, which they leave free.
    pub const LOW: usize = 0;
    /// The upper half.
    pub const HIGH: usize = 1;
    /// Four words of bits.
    pub const BITS: usize = 2;
    /// The index of the next entry with the same tag, plus one; zero where there is none.
    pub const NEXT: usize = 6;
}

/// What an entry stands for: common bits and class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    high: u64,
    low: u64,
}

impl Key {
    fn of(bits: u128, class: u8) -> Self {
        let common = bits & super::mask(base(class));
        Key { high: (common >> 64) as u64, low: common as u64 | u64::from(class) }
    }

    /// The hash that chooses the bucket, and the tag.
    fn hash(self) -> (u32, u32) {
        let mut hash = self.high.wrapping_mul(FACTORS[0]);
        hash = (hash ^ hash >> 32).wrapping_add(self.low).wrapping_mul(FACTORS[1]);
        ((hash >> 32) as u32, hash as u32 | 1)
    }
}

/// The class of prefixes of so many bits, more than 24.
fn class(length: u8) -> u8 {
    (length - 25) / 8 + 1
}

/// The bits that all prefixes of an entry have in common.
fn base(class: u8) -> u8 {
    16 + 8 * class
}

/// The class word of an address's first 32 bits.
fn class_word<'a>(table: &Table<'a>, first: u32) -> &'a AtomicU64 {
    let hash = first.wrapping_mul(buckets::FACTOR);
    &table.area(table.geometry.class_lines())[buckets::first(hash, table.geometry.classes)]
}

pub(super) fn contains(table: &Table<'_>, bits: u128) -> bool {
    let has = |class: u8| {
        let bit = (bits >> (120 - base(class)) & 0xff) as usize;
        find(table, Key::of(bits, class))
            .is_some_and(|words| get(&words[entry::BITS + bit / 64]) >> (bit % 64) & 1 == 1)
    };
    let state = states::state_of(table.area(table.geometry.states()), (bits >> 104) as usize);
    // Tables of before there were blocks have class 1 wherever the state is this one, and name it nowhere.
    if state == state::BLOCKS && table.geometry.blocks == 0 && has(1) {
        return true;
    }
    let says = match state {
        state::NONE => Says::No,
        state::ALL => Says::Yes,
        state::BLOCKS => blocks::says(table, bits),
        _ => Says::Elsewhere,
    };
    says == Says::Yes || says == Says::Elsewhere && classes(get(class_word(table, (bits >> 96) as u32))).any(has)
}

/// Enters prefixes, in order, into a table that is empty.
pub(super) fn fill(table: &Table<'_>, prefixes: Vec<Prefix>) -> Result<(), Full> {
    // All that get lanes come first: no block can know of others then.
    let (mut lanes, mut outside): (Vec<_>, Vec<_>) = prefixes.into_iter().partition(|prefix| blocks::may_hold(*prefix));
    for block in lanes.chunk_by_mut(|one, other| blocks::name(one.bits) == blocks::name(other.bits)) {
        small_classes_first(block);
        for prefix in block {
            match blocks::put(table, *prefix, false) {
                true => raise(table, *prefix),
                false => outside.push(*prefix),
            }
        }
    }
    outside.into_iter().try_for_each(|prefix| enter(table, prefix))
}

/// Orders the prefixes of a block so that, where it has fewer lanes, as few classes as possible are left to be looked at.
fn small_classes_first(block: &mut [Prefix]) {
    let mut sizes = [0usize; CLASSES];
    block.iter().for_each(|prefix| sizes[usize::from(class(prefix.length)) - 1] += 1);
    block.sort_by_key(|prefix| sizes[usize::from(class(prefix.length)) - 1]);
}

pub(super) fn enter(table: &Table<'_>, prefix: Prefix) -> Result<(), Full> {
    let states = table.area(table.geometry.states());
    if prefix.length <= states::BITS {
        states::cover(states, prefix);
        return Ok(());
    }
    let state = states::state_of(states, prefix.range(0, states::BITS).start);
    let more = state != state::NONE && get(table.counter(OUTSIDE)) != 0;
    if !blocks::put(table, prefix, more) {
        enter_class(table, prefix)?;
    }
    raise(table, prefix);
    Ok(())
}

fn enter_class(table: &Table<'_>, prefix: Prefix) -> Result<(), Full> {
    set(table.counter(OUTSIDE), 1);
    let class = class(prefix.length);
    let key = Key::of(prefix.bits, class);
    let words = match find(table, key) {
        Some(words) => words,
        None => create(table, key)?,
    };
    for (word, bits) in words[entry::BITS..].iter().zip(within(prefix, class)) {
        set(word, get(word) | bits);
    }
    for first in prefix.range(0, 32) {
        name_class(class_word(table, first as u32), class);
    }
    blocks::tell(table, prefix);
    Ok(())
}

/// Says by the state of its first 24 bits that there is a prefix of more.
fn raise(table: &Table<'_>, prefix: Prefix) {
    let more = some(prefix);
    states::change(table.area(table.geometry.states()), prefix.range(0, states::BITS), |_, now| match now {
        state::ALL => now,
        _ => now.max(more),
    });
}

/// Takes a prefix out, where `beside` are the others that overlap it, or the first 24 bits of it.
pub(super) fn leave(table: &Table<'_>, prefix: Prefix, beside: &[Prefix]) {
    let states = table.area(table.geometry.states());
    if prefix.length > states::BITS {
        blocks::remove(table, prefix);
        let class = class(prefix.length);
        let key = Key::of(prefix.bits, class);
        let mut stay = [0; 4];
        let same = |other: &&Prefix| {
            other.length > states::BITS
                && self::class(other.length) == class
                && Key::of(other.bits, class) == key
                && !blocks::has(table, **other)
        };
        for other in beside.iter().filter(same) {
            stay.iter_mut().zip(within(*other, class)).for_each(|(all, bits)| *all |= bits);
        }
        let words = find(table, key).map(|words| &words[entry::BITS..]).unwrap_or_default();
        for (word, (gone, stay)) in words.iter().zip(within(prefix, class).into_iter().zip(stay)) {
            set(word, get(word) & !gone | stay);
        }
    }
    states::uncover(states, prefix.widened(states::BITS), beside, some);
}

/// The state that a prefix of more than 24 bits makes.
fn some(prefix: Prefix) -> u64 {
    if prefix.length <= blocks::LONGEST { state::BLOCKS } else { state::SOME }
}

/// The bits of a prefix in its entry.
fn within(prefix: Prefix, class: u8) -> [u64; 4] {
    let mut bits = [0; 4];
    prefix.range(base(class), 8).for_each(|bit| bits[bit / 64] |= 1 << (bit % 64));
    bits
}

/// The classes that a class word names.
fn classes(word: u64) -> impl Iterator<Item = u8> {
    (0..CLASSES).map(move |at| (word >> (4 * at) & 0xf) as u8).take_while(|class| *class != 0)
}

fn name_class(word: &AtomicU64, class: u8) {
    let now = get(word);
    let named = classes(now).count();
    if classes(now).all(|other| other != class) {
        set(word, now | u64::from(class) << (4 * named));
    }
}

/// The slot of a key, and its bucket.
fn slot<'a>(table: &Table<'a>, key: Key) -> (&'a [AtomicU64], usize, u32) {
    let (hash, tag) = key.hash();
    (table.area(table.geometry.bucket_lines()), buckets::first(hash, table.geometry.buckets), tag)
}

fn find<'a>(table: &Table<'a>, key: Key) -> Option<&'a [AtomicU64]> {
    let (words, first, tag) = slot(table, key);
    chain(table, get(buckets::find(words, first, tag)?) as u32)
        .find(|words| (get(&words[entry::LOW]), get(&words[entry::HIGH])) == (key.low, key.high))
}

/// The entries from one on, by its index plus one.
fn chain<'a>(table: &Table<'a>, from: u32) -> impl Iterator<Item = &'a [AtomicU64]> + use<'a> {
    let pool = table.area(table.geometry.pool_lines());
    let line = move |next: usize| pool.chunks_exact(LINE).nth(next.checked_sub(1)?);
    let next = move |words: &&'a [AtomicU64]| line(get(&words[entry::NEXT]) as usize);
    std::iter::successors(line(from as usize), next).take(CHAIN)
}

/// A new entry without bits.
fn create<'a>(table: &Table<'a>, key: Key) -> Result<&'a [AtomicU64], Full> {
    let used = table.counter(1);
    let at = get(used) as usize;
    let pool = table.area(table.geometry.pool_lines());
    let words = pool.chunks_exact(LINE).nth(at).ok_or(Full)?;
    let (buckets, first, tag) = slot(table, key);
    let twin = buckets::find(buckets, first, tag);
    let next = twin.map_or(0, get) as u32;
    if chain(table, next).count() >= CHAIN {
        return Err(Full);
    }
    set(&words[entry::LOW], key.low);
    set(&words[entry::HIGH], key.high);
    set(&words[entry::NEXT], u64::from(next));
    let number = at as u32 + 1;
    match twin {
        Some(slot) => set(slot, u64::from(tag) << 32 | u64::from(number)),
        None => buckets::insert(buckets, first, tag, number)?,
    }
    set(used, u64::from(number));
    Ok(words)
}
