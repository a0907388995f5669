//! The bytes of a classifier: tables of signatures, groups, and entries at hashed places.

use super::signature::{Signatures, signatures};
use crate::plan::{Classifier, Entry, Group, Range};
use crate::random::Random;

/// No rule: where nothing was found.
pub(super) const NONE: u32 = u32::MAX;
/// Offsets in an entry: rule, number of its verdict, a bit for each number that it asks for, group; then the numbers.
pub(super) const RULE: i16 = 0;
pub(super) const ASKED: i16 = 6;
pub(super) const GROUP: i16 = 8;
const NUMBERS: i16 = 12;
/// Multiplied with a power of two, each exponent shows in other upper six bits (Leiserson, Prokop, Randall: Using de
/// Bruijn Sequences to Index a 1 in a Computer Word, 1998).
pub(super) const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;
/// Where entries begin is counted in so many bytes.
pub(super) const UNIT: usize = 8;
/// A place says how many entries it has in so many bits, and above them where those begin.
pub(super) const COUNT_BITS: u32 = 5;
pub(super) const MOST_IN_PLACE: u32 = (1 << COUNT_BITS) - 1;
/// Offsets in a group: its first rule, its index, what its keys' hashes begin with; then the masks.
pub(super) const BEST: i16 = 0;
pub(super) const INDEX: i16 = 4;
pub(super) const SEED: i16 = 8;
pub(super) const MASKS: i16 = 16;

/// How an entry says what a number must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// 4 bytes: the bits of the group's mask.
    Bits,
    /// Twice 4 bytes: the first number, and how many others follow.
    Range,
    /// The same for numbers of 16 bits, in twice 2 bytes.
    ShortRange,
}

/// Where everything lies, and what is there.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// How many words the groups of a row take.
    pub(super) words: usize,
    /// Whether all entries ask for all numbers, of a group or two: a packet that lacks one matches none.
    pub(super) complete: bool,
    pub(super) signatures: Signatures,
    /// By field.
    pub(super) checks: Vec<Check>,
    /// What numbers are multiplied with, by field.
    pub(super) factors: Vec<u64>,
    /// The places, a power of two of them.
    pub(super) places: Vec<u32>,
    /// The entries, place by place.
    pub(super) entries: Vec<Vec<u8>>,
    /// The most entries of a place.
    pub(super) longest: u32,
    /// Groups as words.
    pub(super) groups: Vec<Vec<u32>>,
}

impl Layout {
    /// Lays out a classifier; `verdicts` are the numbers of the verdicts of the entries.
    pub(super) fn new(classifier: &Classifier, verdicts: &[u32]) -> Self {
        let words = classifier.groups.len().div_ceil(64);
        let asked = |entry: &Entry| entry.wants.iter().all(Option::is_some);
        let complete = classifier.groups.len() <= 2 && classifier.entries.iter().all(asked);
        let is_single = classifier.groups.len() == 1;
        let checks: Vec<Check> = (0..classifier.fields.len()).map(|field| check(classifier, field)).collect();
        let factors: Vec<u64> = (1..).map(factor).take(checks.len()).collect();
        let mut layout = Layout {
            words,
            complete,
            signatures: if complete || is_single { Signatures::default() } else { signatures(classifier) },
            checks,
            factors,
            places: Vec::new(),
            entries: Vec::new(),
            longest: 0,
            groups: Vec::new(),
        };
        layout.groups = classifier.groups.iter().enumerate().map(|(at, group)| group_words(at, group)).collect();
        layout.place(classifier, verdicts);
        layout
    }

    /// Puts the entries where their keys' hashes say; the entries of a place ascend by rule.
    fn place(&mut self, classifier: &Classifier, verdicts: &[u32]) {
        let mut bits = (2 * classifier.entries.len()).next_power_of_two().trailing_zeros().max(4);
        let places = loop {
            let mut places: Vec<Vec<usize>> = vec![Vec::new(); 1 << bits];
            for (at, entry) in classifier.entries.iter().enumerate() {
                let hash = self.hash(entry.group, &classifier.groups[entry.group].masks, &key(entry));
                places[(hash >> (64 - bits)) as usize].push(at);
            }
            self.longest = places.iter().map(Vec::len).max().unwrap_or(0) as u32;
            // Entries that are alike never part; a group has fewer of them than a place may have.
            if self.longest <= MOST_IN_PLACE {
                break places;
            }
            bits += 1;
        };
        for place in places {
            let begin = self.entries.len() * self.entry_bytes() / UNIT;
            self.places.push((begin as u32) << COUNT_BITS | place.len() as u32);
            for at in place {
                let entry = &classifier.entries[at];
                self.entries.push(self.entry(entry, verdicts[at], &classifier.groups[entry.group]));
            }
        }
    }

    /// How many bytes a row has.
    pub(super) fn row_bytes(&self) -> usize {
        self.words * 8
    }

    /// How many bytes an entry has.
    pub(super) fn entry_bytes(&self) -> usize {
        let numbers: usize = self.checks.iter().map(|check| check.bytes()).sum();
        (NUMBERS as usize + numbers).next_multiple_of(UNIT)
    }

    /// Where the verifier thinks that an entry may begin at most: all bits below a power of two.
    pub(super) fn last_unit(&self) -> usize {
        (self.entries.len() * self.entry_bytes() / UNIT).next_power_of_two() - 1
    }

    /// Where in an entry a number is.
    pub(super) fn offset(&self, field: usize) -> i16 {
        NUMBERS + self.checks[..field].iter().map(|check| check.bytes() as i16).sum::<i16>()
    }

    fn entry(&self, entry: &Entry, verdict: u32, group: &Group) -> Vec<u8> {
        let asked =
            entry.wants.iter().enumerate().fold(0u16, |bits, (at, want)| bits | u16::from(want.is_some()) << at);
        let mut bytes = (entry.rule as u32).to_le_bytes().to_vec();
        [verdict as u16, asked, entry.group as u16, 0].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
        for (at, check) in self.checks.iter().enumerate() {
            let Range { low, high } = entry.wants[at].unwrap_or(Range { low: 0, high: u32::MAX });
            match check {
                Check::Bits => bytes.extend((low & group.masks[at]).to_le_bytes()),
                Check::Range => [low, high - low].iter().for_each(|word| bytes.extend(word.to_le_bytes())),
                Check::ShortRange => {
                    let span = (high - low).min(0xffff);
                    [low, span].iter().for_each(|word| bytes.extend((*word as u16).to_le_bytes()));
                }
            }
        }
        bytes.resize(self.entry_bytes(), 0);
        bytes
    }

    /// The hash of a key; its upper bits say its place.
    fn hash(&self, group: usize, masks: &[u32], numbers: &[u32]) -> u64 {
        let products = self.factors.iter().zip(masks).zip(numbers);
        let products = products.map(|((factor, mask), number)| u64::from(mask & number).wrapping_mul(*factor));
        products.fold(seed(group), u64::wrapping_add)
    }
}

impl Check {
    pub(super) fn bytes(self) -> usize {
        match self {
            Check::Bits | Check::ShortRange => 4,
            Check::Range => 8,
        }
    }
}

/// The least key of an entry; only the bits of its group's masks count.
fn key(entry: &Entry) -> Vec<u32> {
    entry.wants.iter().map(|want| want.map_or(0, |range| range.low)).collect()
}

/// Bits are enough where all entries ask for just those of their groups.
fn check(classifier: &Classifier, field: usize) -> Check {
    let wide = classifier.fields[field].most > 0xffff;
    let exact = |entry: &Entry| {
        let mask = classifier.groups[entry.group].masks[field];
        match entry.wants[field] {
            None => mask == 0,
            Some(range) if wide => !(range.high - range.low) == mask,
            Some(_) => mask != 0,
        }
    };
    match (classifier.entries.iter().all(exact), wide) {
        (true, _) => Check::Bits,
        (false, true) => Check::Range,
        (false, false) => Check::ShortRange,
    }
}

fn group_words(index: usize, group: &Group) -> Vec<u32> {
    let seed = seed(index);
    let mut words = vec![group.best as u32, index as u32, seed as u32, (seed >> 32) as u32];
    words.extend(&group.masks);
    let width = words.len().next_power_of_two();
    words.resize(width, 0);
    words
}

/// Where a group lies among those of its word: its bit leads there by one multiplication.
pub(super) fn slot(bit: u32) -> usize {
    (DE_BRUIJN.wrapping_mul(1 << bit) >> 58) as usize
}

/// What the hashes of a group's keys begin with.
pub(super) fn seed(group: usize) -> u64 {
    factor(group as u64 + 1000)
}

/// An odd number that looks like any other.
fn factor(number: u64) -> u64 {
    Random::new(number).next() | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_of_a_word_has_a_slot() {
        let mut slots: Vec<usize> = (0..64).map(slot).collect();
        slots.sort_unstable();
        assert!(slots.into_iter().eq(0..64));
    }
}
