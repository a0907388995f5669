//! Groups of entries that ask for equally many bits of each number (tuples: Srinivasan, Suri, Varghese: Packet
//! Classification using Tuple Space Search, 1999).

use std::collections::HashMap;

use super::{Entry, Field, Group, Range};

/// The most groups of a classifier: a bit each in the rows of its signatures.
pub const MOST_GROUPS: usize = 512;
/// So many entries of a group may ask for the same bits; more are another group.
const MOST_ALIKE: usize = 8;
/// Lengths of prefixes are rounded down to multiples of one of these, so that there are fewer groups.
const STEPS: [u32; 3] = [1, 4, 8];
/// Numbers up to these are never part of a group's key: more groups cost more than some entries that are alike.
const KEYS: [u32; 3] = [0xffff, 0xff, 0];
/// An odd number without a pattern (2^64 divided by the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// What 64 more groups cost, and an entry more that is looked at; in nanoseconds, about.
const COST: (f64, f64) = (10.0, 30.0);

/// Entries in groups.
#[derive(Debug, Default)]
pub(super) struct Grouped {
    pub(super) groups: Vec<Group>,
    /// The groups of the entries, as far as there are groups.
    of: Vec<usize>,
    /// The first rule for which there was no group.
    pub(super) end: Option<usize>,
    /// How many entries are looked at before one, in sum.
    before: usize,
}

/// Puts entries into groups, as long as there are groups; leaves no others. Groups may ask for fewer bits than their
/// entries.
pub(super) fn groups(fields: &[Field], entries: &mut Vec<Entry>) -> Grouped {
    let kinds = STEPS.into_iter().flat_map(|step| KEYS.map(|small| (step, small)));
    let all = kinds.map(|(step, small)| grouped(fields, entries, step, small));
    let taken = |grouped: &Grouped| grouped.end.map_or(usize::MAX, |end| end);
    let best = all.max_by(|one, other| taken(one).cmp(&taken(other)).then(other.cost().total_cmp(&one.cost())));
    let mut best = best.unwrap_or_default();
    entries.iter_mut().zip(&best.of).for_each(|(entry, group)| entry.group = *group);
    if let Some(end) = best.end {
        entries.retain(|entry| entry.rule < end);
        best.groups.retain(|group| group.best < end);
    }
    best
}

impl Grouped {
    fn cost(&self) -> f64 {
        let words = self.groups.len().div_ceil(64) as f64;
        words * COST.0 + self.before as f64 / self.of.len().max(1) as f64 * COST.1
    }
}

fn grouped(fields: &[Field], entries: &[Entry], step: u32, small: u32) -> Grouped {
    let mut out = Grouped::default();
    let mut by_masks: HashMap<Vec<u32>, usize> = HashMap::new();
    // By a hash of the group and the bits: where two meet, there is a group more.
    let mut alike: HashMap<u64, usize> = HashMap::new();
    let mut masks = vec![0; fields.len()];
    for entry in entries {
        let wants = fields.iter().zip(&entry.wants);
        masks.iter_mut().zip(wants).for_each(|(to, (field, want))| *to = mask(field, *want, step, small));
        let known = by_masks.get(&masks).copied();
        let key = |group: usize| {
            let bits = masks.iter().zip(&entry.wants).map(|(mask, want)| mask & want.map_or(0, |range| range.low));
            bits.fold(group as u64 + 1, |hash, bits| (hash ^ u64::from(bits)).wrapping_mul(FACTOR).rotate_left(29))
        };
        let group = match known.filter(|group| alike.get(&key(*group)).is_none_or(|count| *count < MOST_ALIKE)) {
            Some(group) => group,
            None if out.groups.len() == MOST_GROUPS => {
                out.end = Some(entry.rule);
                break;
            }
            None => {
                out.groups.push(Group { masks: masks.clone(), best: entry.rule });
                by_masks.insert(masks.clone(), out.groups.len() - 1);
                out.groups.len() - 1
            }
        };
        out.of.push(group);
        let count = alike.entry(key(group)).or_default();
        out.before += *count;
        *count += 1;
    }
    out
}

/// The bits of a number that a group's key has: none of those that are at most `small`.
fn mask(field: &Field, want: Option<Range>, step: u32, small: u32) -> u32 {
    let Some(Range { low, high }) = want else { return 0 };
    if field.most <= 0xffff {
        return if low == high && field.most > small { 0xffff } else { 0 };
    }
    let length = (high - low).leading_zeros();
    // Not to nothing: an entry that asks for bits is not found where a packet has none.
    let rounded = (length / step * step).max(1);
    u32::MAX.checked_shl(u32::BITS - rounded).unwrap_or(0)
}
