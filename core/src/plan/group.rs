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
/// What 64 more groups cost, and an entry more that is looked at; in nanoseconds, about.
const COST: (f64, f64) = (10.0, 30.0);

/// Entries in groups.
#[derive(Debug, Default)]
pub(super) struct Grouped {
    pub(super) groups: Vec<Group>,
    pub(super) entries: Vec<Entry>,
    /// The first rule for which there was no group.
    pub(super) end: Option<usize>,
    /// How many entries are looked at before one, in sum.
    before: usize,
}

/// Puts entries into groups, as long as there are groups. Groups may ask for fewer bits than their entries.
pub(super) fn groups(fields: &[Field], entries: &[Entry]) -> Grouped {
    let kinds = STEPS.into_iter().flat_map(|step| KEYS.map(|small| (step, small)));
    let all = kinds.map(|(step, small)| grouped(fields, entries.to_vec(), step, small));
    let taken = |grouped: &Grouped| grouped.end.map_or(usize::MAX, |end| end);
    let best = all.max_by(|one, other| taken(one).cmp(&taken(other)).then(other.cost().total_cmp(&one.cost())));
    best.unwrap_or_default()
}

impl Grouped {
    fn cost(&self) -> f64 {
        let words = self.groups.len().div_ceil(64) as f64;
        words * COST.0 + self.before as f64 / self.entries.len().max(1) as f64 * COST.1
    }
}

fn grouped(fields: &[Field], mut entries: Vec<Entry>, step: u32, small: u32) -> Grouped {
    let mut before = 0;
    let mut groups: Vec<Group> = Vec::new();
    let mut by_masks: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
    let mut alike: HashMap<(usize, Vec<u32>), usize> = HashMap::new();
    let mut end = None;
    for entry in &mut entries {
        let masks: Vec<u32> =
            fields.iter().zip(&entry.wants).map(|(field, want)| mask(field, *want, step, small)).collect();
        let key: Vec<u32> =
            masks.iter().zip(&entry.wants).map(|(mask, want)| mask & want.map_or(0, |range| range.low)).collect();
        let copies = by_masks.entry(masks.clone()).or_default();
        let free =
            copies.last().filter(|group| alike.get(&(**group, key.clone())).is_none_or(|count| *count < MOST_ALIKE));
        let group = match free {
            Some(group) => *group,
            None if groups.len() == MOST_GROUPS => {
                end = Some(entry.rule);
                break;
            }
            None => {
                groups.push(Group { masks, best: entry.rule });
                copies.push(groups.len() - 1);
                groups.len() - 1
            }
        };
        entry.group = group;
        let count = alike.entry((group, key)).or_default();
        before += *count;
        *count += 1;
    }
    if let Some(end) = end {
        entries.retain(|entry| entry.rule < end);
        groups.retain(|group| group.best < end);
    }
    Grouped { groups, entries, end, before }
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
