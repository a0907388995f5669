//! Signatures: which groups can have an entry for a packet, by one of its numbers. A row has a bit for each group; the
//! rows of all numbers are combined, so that hardly any group is probed in vain (pruned tuple space search: Srinivasan,
//! Suri, Varghese, 1999).

use std::collections::HashMap;

use super::choose::choose;
use crate::plan::{Classifier, Range};

/// A row: a bit for each group, and so many zeros that the words are complete.
pub(super) type Row = Vec<u64>;

/// How a number leads to the index of a row's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// The number itself, of so many bits, at most 16.
    Number { bits: u32 },
    /// Its upper 16 bits of 32.
    Upper,
    /// Its upper so many bits of 32, hashed to so many.
    Hashed { upper: u32, bits: u32 },
}

/// The rows by one number of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// Which number.
    pub(super) field: usize,
    pub(super) index: Index,
    /// The numbers of the rows.
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

/// What [`Index::Hashed`] multiplies with (2^32 divided by the golden ratio).
pub(super) const FACTOR: u32 = 0x9e37_79b1;
/// Tables by hashed prefixes: the upper bits that are hashed, and the shortest prefixes in it.
const HASHED: [(u32, u32); 2] = [(24, 22), (32, 30)];
/// The sizes of such a table, as powers of two.
const BITS: (u32, u32) = (10, 18);

/// Collects rows, each once.
#[derive(Default)]
struct Rows {
    known: HashMap<Row, u32>,
    rows: Vec<Row>,
}

impl Rows {
    fn id(&mut self, row: &Row) -> u32 {
        if let Some(id) = self.known.get(row) {
            return *id;
        }
        let id = self.rows.len() as u32;
        self.known.insert(row.clone(), id);
        self.rows.push(row.clone());
        id
    }
}

/// The signatures of a classifier, with rows of so many words.
pub(super) fn signatures(classifier: &Classifier, words: usize) -> Signatures {
    let mut rows = Rows::default();
    let mut all = Vec::new();
    for (field, number) in classifier.fields.iter().enumerate() {
        let wide = number.most > 0xffff;
        let wants = wants(classifier, field);
        let bits = u32::BITS - number.most.leading_zeros();
        let index = if wide { Index::Upper } else { Index::Number { bits: bits.max(1) } };
        all.push(direct(field, index, &wants, words, &mut rows));
        let prefixes = HASHED.into_iter().filter(|_| wide);
        all.extend(prefixes.filter_map(|kind| hashed(field, kind, &wants, words, &mut rows)));
    }
    let mut signatures = Signatures { all, rows: rows.rows };
    choose(classifier, &mut signatures);
    signatures.forget_unused()
}

impl Signatures {
    /// Without the rows that no signature leads to.
    fn forget_unused(self) -> Self {
        let (mut numbers, mut rows) = (vec![None; self.rows.len()], Vec::new());
        let mut renumber = |id: u32| {
            *numbers[id as usize].get_or_insert_with(|| {
                rows.push(self.rows[id as usize].clone());
                rows.len() as u32 - 1
            })
        };
        let mut all = self.all;
        for signature in &mut all {
            signature.ids.iter_mut().chain([&mut signature.absent]).for_each(|id| *id = renumber(*id));
        }
        Signatures { all, rows }
    }
}

/// What the entries of each group want of a number.
fn wants(classifier: &Classifier, field: usize) -> Vec<Vec<Option<Range>>> {
    let mut wants = vec![Vec::new(); classifier.groups.len()];
    classifier.entries.iter().for_each(|entry| wants[entry.group].push(entry.wants[field]));
    wants
}

fn set(row: &mut Row, group: usize, on: bool) {
    let bit = 1 << (group % 64);
    if on { row[group / 64] |= bit } else { row[group / 64] &= !bit }
}

/// The groups of which an entry does not ask for the number.
fn indifferent(wants: &[Vec<Option<Range>>], words: usize) -> Row {
    let mut row = vec![0; words];
    wants.iter().enumerate().for_each(|(group, wants)| set(&mut row, group, wants.contains(&None)));
    row
}

/// By 16 bits of the number.
fn direct(field: usize, index: Index, wants: &[Vec<Option<Range>>], words: usize, rows: &mut Rows) -> Signature {
    let (shift, count) = match index {
        Index::Number { bits } => (0, 1 << bits),
        _ => (16, 1 << 16),
    };
    let mut row = indifferent(wants, words);
    let absent = rows.id(&row);
    let mut changes: Vec<(u32, usize, bool)> = Vec::new();
    for (group, wants) in wants.iter().enumerate().filter(|(_, wants)| !wants.contains(&None)) {
        let parts = wants.iter().flatten().map(|range| (range.low >> shift, range.high >> shift)).collect();
        for (low, high) in union(parts) {
            changes.extend([(low, group, true), (high + 1, group, false)]);
        }
    }
    changes.sort_unstable();
    let mut ids = vec![absent; count as usize];
    for (at, (from, group, on)) in changes.iter().enumerate() {
        set(&mut row, *group, *on);
        let until = changes.get(at + 1).map_or(count, |next| next.0.min(count));
        if until > *from {
            let id = rows.id(&row);
            ids[*from as usize..until as usize].fill(id);
        }
    }
    Signature { field, index, ids, absent }
}

/// Ranges that do not touch, ascending.
fn union(mut parts: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    parts.sort_unstable();
    let mut union: Vec<(u32, u32)> = Vec::new();
    for (low, high) in parts {
        match union.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => union.push((low, high)),
        }
    }
    union
}

/// By hashed prefixes; none where no group has only such prefixes.
fn hashed(
    field: usize,
    (upper, shortest): (u32, u32),
    wants: &[Vec<Option<Range>>],
    words: usize,
    rows: &mut Rows,
) -> Option<Signature> {
    let is_long = |want: &Option<Range>| want.is_some_and(|range| (range.high - range.low).leading_zeros() >= shortest);
    let long = |wants: &Vec<Option<Range>>| wants.iter().all(is_long);
    let count: usize = wants.iter().filter(|wants| long(wants)).map(Vec::len).sum();
    if count == 0 {
        return None;
    }
    let bits = (usize::BITS - count.leading_zeros() + 1).clamp(BITS.0, BITS.1);
    let index = Index::Hashed { upper, bits };
    let mut others = vec![0; words];
    wants.iter().enumerate().for_each(|(group, wants)| set(&mut others, group, !long(wants)));
    let mut slots: HashMap<usize, Row> = HashMap::new();
    for (group, wants) in wants.iter().enumerate().filter(|(_, wants)| long(wants)) {
        for Range { low, high } in wants.iter().flatten() {
            for prefix in low >> (32 - upper)..=high >> (32 - upper) {
                let row = slots.entry(index.of_upper(prefix)).or_insert_with(|| others.clone());
                set(row, group, true);
            }
        }
    }
    let mut ids = vec![rows.id(&others); 1 << bits];
    slots.iter().for_each(|(slot, row)| ids[*slot] = rows.id(row));
    Some(Signature { field, index, ids, absent: rows.id(&indifferent(wants, words)) })
}

impl Index {
    /// The index by a hashed prefix.
    fn of_upper(self, prefix: u32) -> usize {
        match self {
            Index::Hashed { bits, .. } => (prefix.wrapping_mul(FACTOR) >> (32 - bits)) as usize,
            Index::Number { .. } | Index::Upper => prefix as usize,
        }
    }

    /// The index by a number.
    pub(super) fn of(self, number: u32) -> usize {
        match self {
            Index::Number { .. } => number as usize,
            Index::Upper => (number >> 16) as usize,
            Index::Hashed { upper, .. } => self.of_upper(number >> (32 - upper)),
        }
    }
}
