//! Large sets of addresses as tables that a program reads without a helper, and that change while it does.
//!
//! A table is an array of 64-bit words, in lines of eight (one cache line):
//!
//! | what | what it says |
//! | --- | --- |
//! | states | two bits for each value of an address's first 24 bits ([`state`]) |
//! | lanes | IPv4 only, where there are many single addresses: two bytes for each ([`lanes`]) |
//! | blocks | IPv6 only: a line for some prefixes whose first 27 bits are the same ([`blocks`]) |
//! | buckets | eight slots a line; a slot is a tag and what it stands for ([`buckets`]) |
//! | classes | IPv6 only: for the first 32 bits of an address, which lengths prefixes have there ([`v6`]) |
//! | pool | IPv6 only: the prefixes that slots stand for |
//! | list | the elements as they were added; programs do not read it |
//! | end | one line: the table's [`Geometry`], and how much of pool and list is in use |
//!
//! **Changes.** Every change is a sequence of stores of single words. A program that reads meanwhile sees each address
//! as it was before or after, never as something third, and other elements' addresses as they are. An element is
//! listed before programs find it, and as long as they do: whoever is killed in between leaves it listed, and adding or
//! removing it again mends it.

pub mod blocks;
pub mod buckets;
mod geometry;
pub mod lanes;
mod list;
mod states;
mod v4;
pub mod v6;

use std::sync::atomic::{AtomicU64, Ordering};

pub use geometry::{Geometry, LINE, NARROW, OUTSIDE, WIDE};
pub use states::state;

use crate::cond::Part;
use crate::policy::Element;
use list::List;

/// There is no room for an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A prefix: its bits in the upper bits of the number, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Prefix {
    bits: u128,
    length: u8,
}

/// A table over its words.
#[derive(Debug)]
pub struct Table<'a> {
    words: &'a [AtomicU64],
    geometry: Geometry,
}

impl<'a> Table<'a> {
    /// A table without elements, in words that are all zero; none where they are too few.
    pub fn new(words: &'a [AtomicU64], geometry: Geometry) -> Option<Self> {
        (words.len() >= geometry.lines() as usize * LINE).then(|| geometry.write(words))?;
        Some(Table { words, geometry })
    }

    /// The table that is in these words; none where there is none.
    pub fn open(words: &'a [AtomicU64]) -> Option<Self> {
        Some(Table { words, geometry: Geometry::read(words)? })
    }

    /// Its measures.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Puts the elements of the table's kind into it; it must be empty.
    ///
    /// # Errors
    /// They are too many.
    pub fn fill(&self, elements: &[Element]) -> Result<(), Full> {
        let mut prefixes: Vec<Prefix> = elements.iter().filter_map(|element| self.prefix(element)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let list = self.list();
        prefixes.iter().try_for_each(|prefix| list.push(*prefix))?;
        match self.geometry.part {
            Part::V4 => prefixes.into_iter().try_for_each(|prefix| v4::enter(self, prefix)),
            _ => v6::fill(self, prefixes),
        }
    }

    /// Adds an element; whether it was not there.
    ///
    /// # Errors
    /// There is no room for it; all is as it was.
    pub fn add(&self, element: &Element) -> Result<bool, Full> {
        let Some(prefix) = self.prefix(element) else { return Ok(false) };
        let list = self.list();
        let known = list.find(prefix).is_some();
        if !known {
            list.push(prefix)?;
        }
        match self.enter(prefix) {
            Ok(()) => Ok(!known),
            Err(full) => {
                self.remove(element);
                Err(full)
            }
        }
    }

    /// Removes an element; whether it was there.
    pub fn remove(&self, element: &Element) -> bool {
        let Some(prefix) = self.prefix(element) else { return false };
        let list = self.list();
        let Some(at) = list.find(prefix) else { return false };
        let beside = list.overlapping(prefix.widened(states::BITS), at);
        match self.geometry.part {
            Part::V4 => v4::leave(self, prefix, &beside),
            _ => v6::leave(self, prefix, &beside),
        }
        list.clear(at);
        true
    }

    /// Its elements, in order.
    pub fn elements(&self) -> Vec<Element> {
        let mut all: Vec<Prefix> = self.list().entries().map(|(_, prefix)| prefix).collect();
        all.sort_unstable();
        all.into_iter().map(|prefix| self.element(prefix)).collect()
    }

    /// How many elements it has.
    pub fn count(&self) -> usize {
        self.list().entries().count()
    }

    /// Whether an address, in network byte order, is (within) an element: what programs find.
    pub fn contains(&self, address: &[u8]) -> bool {
        let bits = address.iter().take(16).fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        let Prefix { bits, .. } = Prefix { bits: bits << (128 - 8 * address.len().min(16)).min(127), length: 0 };
        match self.geometry.part {
            Part::V4 => v4::contains(self, (bits >> 96) as u32),
            _ => v6::contains(self, bits),
        }
    }

    fn enter(&self, prefix: Prefix) -> Result<(), Full> {
        match self.geometry.part {
            Part::V4 => v4::enter(self, prefix),
            _ => v6::enter(self, prefix),
        }
    }

    fn list(&self) -> List<'a> {
        List::new(self.area(self.geometry.list()), self.counter(0), self.geometry)
    }

    fn area(&self, lines: std::ops::Range<u32>) -> &'a [AtomicU64] {
        &self.words[lines.start as usize * LINE..lines.end as usize * LINE]
    }

    /// Whether there is, or was, any prefix that is no single address; of IPv4.
    fn has_prefixes(&self) -> bool {
        get(self.counter(WIDE)) | get(self.counter(NARROW)) != 0
    }

    /// A word of the last line: 0 counts the list, 1 the pool of IPv6; [`WIDE`] and [`NARROW`] of IPv4, [`OUTSIDE`] of IPv6.
    fn counter(&self, which: usize) -> &'a AtomicU64 {
        &self.words[self.geometry.end() as usize * LINE + which]
    }

    fn prefix(&self, element: &Element) -> Option<Prefix> {
        match (self.geometry.part, element) {
            (Part::V4, Element::V4(address, length)) => {
                Some(Prefix { bits: u128::from(address.to_bits()) << 96, length: *length })
            }
            (Part::V6, Element::V6(address, length)) => Some(Prefix { bits: address.to_bits(), length: *length }),
            _ => None,
        }
    }

    fn element(&self, prefix: Prefix) -> Element {
        match self.geometry.part {
            Part::V4 => Element::V4(((prefix.bits >> 96) as u32).into(), prefix.length),
            _ => Element::V6(prefix.bits.into(), prefix.length),
        }
    }
}

impl Prefix {
    /// The prefix, or the wider one of this length that holds it.
    fn widened(self, length: u8) -> Self {
        if self.length <= length {
            return self;
        }
        Prefix { bits: self.bits & mask(length), length }
    }

    /// Whether one holds the other.
    fn overlaps(self, other: Prefix) -> bool {
        (self.bits ^ other.bits) & mask(self.length.min(other.length)) == 0
    }

    /// Its first bits as a number, and how many numbers of `width` bits begin with the prefix: those that it covers.
    fn range(self, from: u8, width: u8) -> std::ops::Range<usize> {
        let field = |bits: u128| (bits << from >> (128 - u32::from(width))) as usize;
        let last = self.bits | !mask(self.length);
        field(self.bits)..field(last) + 1
    }
}

/// The first bits.
fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Stores a word after all that was stored before.
fn set(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

#[cfg(test)]
mod tests;
