//! The bytes of a classifier: tables of signatures, groups, and entries at hashed places.

use std::collections::HashMap;

use super::signature::{Signatures, signatures};
use crate::plan::{Classifier, Entry, Group, Range};

/// No rule: in free places, and where nothing was found.
pub(super) const NONE: u32 = u32::MAX;
/// Offsets in an entry: rule, number of its verdict, the next entry of the same place (0: none), group; then the numbers.
pub(super) const RULE: i16 = 0;
pub(super) const NEXT: i16 = 8;
pub(super) const GROUP: i16 = 12;
pub(super) const NUMBERS: i16 = 16;
/// Offsets in a group: its first rule, its index, what its keys' hashes begin with; then the masks.
pub(super) const BEST: i16 = 0;
pub(super) const INDEX: i16 = 4;
pub(super) const SEED: i16 = 8;
pub(super) const MASKS: i16 = 16;
/// Entries per place, at most, on average: one of so many quarters of a place is taken.
const SPARE: usize = 3;

/// How an entry says what a number must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// One word: the bits of the group's mask.
    Bits,
    /// Two words: the first number, and how many others follow.
    Range,
}

/// Where everything lies, and what is there.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// How many words the groups of a row take.
    pub(super) words: usize,
    /// Whether all groups are probed, without signatures.
    pub(super) all: bool,
    pub(super) signatures: Signatures,
    /// By field.
    pub(super) checks: Vec<Check>,
    /// What numbers are multiplied with, by field.
    pub(super) factors: Vec<u64>,
    /// The number of places, as a power of two.
    pub(super) bits: u32,
    /// All places and what does not find one.
    pub(super) entries: Vec<Vec<u32>>,
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
        let all = classifier.groups.len() <= 2 && classifier.entries.iter().all(asked);
        let checks: Vec<Check> = (0..classifier.fields.len()).map(|field| check(classifier, field)).collect();
        let factors: Vec<u64> = (1..).map(factor).take(checks.len()).collect();
        let bits = (classifier.entries.len() * (SPARE + 1) / SPARE).next_power_of_two().trailing_zeros().max(1);
        let mut layout = Layout {
            words,
            all,
            signatures: if all { Signatures::default() } else { signatures(classifier, words) },
            checks,
            factors,
            bits,
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
        let width = self.entry_words();
        let mut free = vec![0; width];
        free[0] = NONE;
        self.entries = vec![free; 1 << self.bits];
        let mut last: HashMap<usize, (usize, u32)> = HashMap::new();
        for (entry, verdict) in classifier.entries.iter().zip(verdicts) {
            let words = self.entry(entry, *verdict, &classifier.groups[entry.group]);
            let place = self.hash(entry.group, &classifier.groups[entry.group].masks, &key(entry));
            match last.get_mut(&place) {
                None => {
                    self.entries[place] = words;
                    last.insert(place, (place, 1));
                }
                Some((before, count)) => {
                    let at = self.entries.len();
                    self.entries[*before][NEXT as usize / 4] = at as u32;
                    (*before, *count) = (at, *count + 1);
                    self.entries.push(words);
                }
            }
        }
        self.longest = last.values().map(|(_, count)| *count).max().unwrap_or(1);
    }

    /// How many bytes a row has.
    pub(super) fn row_bytes(&self) -> usize {
        self.words * 8
    }

    /// The words of an entry.
    pub(super) fn entry_words(&self) -> usize {
        let numbers: usize = self.checks.iter().map(|check| check.words()).sum();
        (NUMBERS as usize / 4 + numbers).next_power_of_two()
    }

    fn entry(&self, entry: &Entry, verdict: u32, group: &Group) -> Vec<u32> {
        let mut words = vec![entry.rule as u32, verdict, 0, entry.group as u32];
        for (at, check) in self.checks.iter().enumerate() {
            let Range { low, high } = entry.wants[at].unwrap_or(Range { low: 0, high: u32::MAX });
            match check {
                Check::Bits => words.push(low & group.masks[at]),
                Check::Range => words.extend([low, high - low]),
            }
        }
        words.resize(self.entry_words(), 0);
        words
    }

    /// The place of a key.
    pub(super) fn hash(&self, group: usize, masks: &[u32], numbers: &[u32]) -> usize {
        let products = self.factors.iter().zip(masks).zip(numbers);
        let products = products.map(|((factor, mask), number)| u64::from(mask & number).wrapping_mul(*factor));
        (products.fold(seed(group), u64::wrapping_add) >> (64 - self.bits)) as usize
    }
}

impl Check {
    pub(super) fn words(self) -> usize {
        match self {
            Check::Bits => 1,
            Check::Range => 2,
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
    if classifier.entries.iter().all(exact) { Check::Bits } else { Check::Range }
}

fn group_words(index: usize, group: &Group) -> Vec<u32> {
    let seed = seed(index);
    let mut words = vec![group.best as u32, index as u32, seed as u32, (seed >> 32) as u32];
    words.extend(&group.masks);
    let width = words.len().next_power_of_two();
    words.resize(width, 0);
    words
}

/// What the hashes of a group's keys begin with.
fn seed(group: usize) -> u64 {
    factor(group as u64 + 1000)
}

/// An odd number that looks like any other (SplitMix64: Steele, Lea and Flood, 2014).
fn factor(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ z >> 31) | 1
}
