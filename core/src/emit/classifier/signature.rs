//! Signatures: which groups can have an entry for a packet, by one of its numbers. A row has a bit for each group; the
//! rows of all signatures are combined, so that hardly any group is probed in vain (pruned tuple space search: Srinivasan,
//! Suri, Varghese, 1999).

use std::collections::HashMap;

use super::choose::choose;
use crate::plan::{Classifier, Entry, Range};

/// A row: a bit for each group, and so many zeros that the words are complete.
pub(super) type Row = Vec<u64>;

/// How a number leads to a slot, where the number of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Which number.
    pub(super) field: usize,
    /// How many of its bits do not count, from the lowest on.
    pub(super) shift: u32,
    /// How many bits a slot's number has.
    pub(super) bits: u32,
    /// Whether the bits that count are hashed to so many; else they are the slot's number.
    pub(super) hashed: bool,
}

/// The rows by one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) key: Key,
    /// The numbers of the rows, by slot.
    pub(super) ids: Vec<u32>,
    /// The row where a packet does not have the number.
    pub(super) absent: u32,
}

/// All signatures, and their rows, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signatures {
    pub(super) all: Vec<Signature>,
    pub(super) rows: Vec<Row>,
}

/// What hashed bits are multiplied with (2^32 divided by the golden ratio).
pub(super) const FACTOR: u32 = 0x9e37_79b1;
/// So many slots an entry may have in a hashed table; else its group is in all of them.
const SPREAD: u64 = 16;
/// The sizes of such a table, as powers of two.
const BITS: (u32, u32) = (10, 18);

/// The signatures of a classifier that are worth their time.
pub(super) fn signatures(classifier: &Classifier) -> Signatures {
    let groups = Groups::of(classifier);
    let keys = choose(classifier, &groups);
    groups.signatures(keys)
}

/// Collects rows, each once.
#[derive(Default)]
struct Rows {
    known: HashMap<Row, u32>,
    rows: Vec<Row>,
    /// The last one: neighbours are alike.
    last: u32,
}

impl Rows {
    fn id(&mut self, row: &[u64]) -> u32 {
        if self.rows.get(self.last as usize).is_some_and(|last| last == row) {
            return self.last;
        }
        self.last = match self.known.get(row) {
            Some(id) => *id,
            None => {
                let id = self.rows.len() as u32;
                self.known.insert(row.to_vec(), id);
                self.rows.push(row.to_vec());
                id
            }
        };
        self.last
    }
}

impl Key {
    /// By the upper bits of a number of so many.
    pub(super) fn direct(field: usize, width: u32, upper: u32) -> Self {
        Key { field, shift: width - upper, bits: upper, hashed: false }
    }

    /// The slot by the numbers of a packet.
    pub(super) fn slot(self, numbers: &[u32]) -> u32 {
        self.slot_of(numbers[self.field] >> self.shift)
    }

    fn slot_of(self, upper: u32) -> u32 {
        if self.hashed { upper.wrapping_mul(FACTOR) >> (32 - self.bits) } else { upper }
    }

    /// The bits that count of what an entry asks for; none where slots do not tell where it can be found.
    fn wants(self, entry: &Entry) -> Option<Range> {
        let Range { low, high } = entry.wants[self.field]?;
        let upper = Range { low: low >> self.shift, high: high >> self.shift };
        Some(upper).filter(|upper| !self.hashed || spread(upper) <= SPREAD)
    }
}

fn spread(upper: &Range) -> u64 {
    u64::from(upper.high - upper.low) + 1
}

/// The entries of a classifier, by group.
pub(super) struct Groups<'a>(Vec<Vec<&'a Entry>>);

impl<'a> Groups<'a> {
    pub(super) fn of(classifier: &'a Classifier) -> Self {
        let mut groups = vec![Vec::new(); classifier.groups.len()];
        classifier.entries.iter().for_each(|entry| groups[entry.group].push(entry));
        Groups(groups)
    }

    /// How many words a row has.
    pub(super) fn words(&self) -> usize {
        self.0.len().div_ceil(64)
    }

    /// By the hashed upper bits of a number of 32; none where that would tell nothing.
    pub(super) fn hashed(&self, field: usize, upper: u32) -> Option<Key> {
        let key = Key { field, shift: 32 - upper, bits: 0, hashed: true };
        let count: u64 =
            self.0.iter().filter_map(|entries| wants(key, entries)).flatten().map(|one| spread(&one)).sum();
        let bits = (u64::BITS - count.leading_zeros() + 1).clamp(BITS.0, BITS.1);
        (count > 0).then_some(Key { bits, ..key })
    }

    /// The signatures by these keys.
    fn signatures(&self, keys: Vec<Key>) -> Signatures {
        let (mut all, mut rows) = (Vec::new(), Rows::default());
        for key in keys {
            let slots: Vec<u32> = (0..1 << key.bits).collect();
            let flat = self.rows(key, &slots);
            let ids = flat.chunks_exact(self.words()).map(|row| rows.id(row)).collect();
            let absent = rows.id(&self.indifferent(key));
            all.push(Signature { key, ids, absent });
        }
        Signatures { all, rows: rows.rows }
    }

    /// The rows at these slots, which ascend, one behind the other.
    pub(super) fn rows(&self, key: Key, slots: &[u32]) -> Vec<u64> {
        let words = self.words();
        let mut rows = vec![0u64; slots.len() * words];
        for (group, entries) in self.0.iter().enumerate() {
            let mut set = |at: usize| rows[at * words + group / 64] |= 1 << (group % 64);
            match wants(key, entries) {
                None => (0..slots.len()).for_each(&mut set),
                Some(ranges) if key.hashed => {
                    let all = ranges.iter().flat_map(|range| range.low..=range.high).map(|upper| key.slot_of(upper));
                    all.filter_map(|slot| slots.binary_search(&slot).ok()).for_each(&mut set);
                }
                Some(ranges) => {
                    let before = |upper: u32| slots.partition_point(|slot| *slot < upper);
                    union(ranges)
                        .iter()
                        .flat_map(|range| before(range.low)..before(range.high.saturating_add(1)))
                        .for_each(&mut set);
                }
            }
        }
        rows
    }

    /// The row where a packet does not have the number: the groups of which an entry does not ask for it.
    fn indifferent(&self, key: Key) -> Row {
        let mut row = vec![0; self.words()];
        for (group, entries) in self.0.iter().enumerate() {
            if entries.iter().any(|entry| entry.wants[key.field].is_none()) {
                row[group / 64] |= 1 << (group % 64);
            }
        }
        row
    }
}

/// What all entries of a group want, where all want something that slots tell.
fn wants(key: Key, entries: &[&Entry]) -> Option<Vec<Range>> {
    entries.iter().map(|entry| key.wants(entry)).collect()
}

/// Ranges that do not touch, ascending.
fn union(mut parts: Vec<Range>) -> Vec<Range> {
    parts.sort_unstable_by_key(|range| range.low);
    let mut union: Vec<Range> = Vec::new();
    for part in parts {
        match union.last_mut() {
            Some(last) if part.low <= last.high.saturating_add(1) => last.high = last.high.max(part.high),
            _ => union.push(part),
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::super::choose::keys;
    use super::*;
    use crate::cond::Value;
    use crate::plan::{Field, Group};
    use crate::random::Random;

    /// What the entries of a group ask for: a prefix of this length, a range of ports, a protocol.
    fn wants(length: u32, asked: u32, random: &mut Random) -> Vec<Option<Range>> {
        let span = ((1u64 << (32 - length)) - 1) as u32;
        let low = random.between(0x0a00_0000, 0x0aff_ffff) & !span;
        let port = random.between(0, 60_000);
        let ports = Range { low: port, high: port + random.between(0, 1) * random.between(0, 5535) };
        let protocol = random.between(6, 17);
        let all = [Range { low, high: low + span }, ports, Range { low: protocol, high: protocol }];
        all.into_iter().zip(0..).map(|(range, bit)| Some(range).filter(|_| asked >> bit & 1 == 1)).collect()
    }

    fn classifier(count: usize, random: &mut Random) -> Classifier {
        let fields = [u32::MAX, 0xffff, 0xff].map(|most| Field { value: Value::Const(0), most }).to_vec();
        let groups = vec![Group { masks: vec![0; 3], best: 0 }; count];
        let shapes: Vec<(u32, u32)> = (0..count).map(|_| (random.between(8, 32), random.between(0, 7))).collect();
        let entry = |rule| {
            let group = random.below(count);
            Entry { rule, group, wants: wants(shapes[group].0, shapes[group].1, random) }
        };
        let entries = (0..1000).map(entry).collect();
        Classifier { guards: Vec::new(), fields, groups, entries, others: Vec::new() }
    }

    #[test]
    fn the_group_of_an_entry_that_matches_is_in_every_row() {
        let mut random = Random::new(7);
        for count in [2, 40, 64, 65, 300, 512] {
            let classifier = classifier(count, &mut random);
            let groups = Groups::of(&classifier);
            let Signatures { all, rows } = groups.signatures(keys(&classifier, &groups));
            assert_eq!(all.len(), 7, "16 bits of the address, four hashed parts, port, protocol");
            let (mut left, mut probed) = (0, 0);
            for entry in &classifier.entries {
                let numbers = entry.wants.iter().map(|want| want.unwrap_or(Range { low: 0, high: u32::MAX }));
                let numbers = numbers.zip(&classifier.fields);
                let numbers: Vec<u32> =
                    numbers.map(|(range, field)| random.between(range.low, range.high.min(field.most))).collect();
                let has = |id: u32| rows[id as usize][entry.group / 64] >> (entry.group % 64) & 1 == 1;
                let mut combined = vec![u64::MAX; groups.words()];
                for Signature { key, ids, absent } in &all {
                    let id = ids[key.slot(&numbers) as usize];
                    assert!(has(id), "{key:?} {entry:?}");
                    assert!(entry.wants[key.field].is_some() || has(*absent), "{key:?} {entry:?}");
                    combined.iter_mut().zip(&rows[id as usize]).for_each(|(all, row)| *all &= row);
                }
                left += combined.iter().map(|word| word.count_ones() as usize).sum::<usize>();
                probed += count;
            }
            assert!(count < 3 || left * 2 < probed, "{left} of {probed} groups are left");
        }
    }
}
