//! Groups of entries that ask for equally many bits of each number (tuples: Srinivasan, Suri, Varghese: Packet
//! Classification using Tuple Space Search, 1999).

use std::collections::HashMap;

use super::{Entry, Field, Group, Range};

/// The most groups of a classifier: a bit each in the rows of its signatures.
pub const MOST_GROUPS: usize = 512;
/// So many entries of a group may ask for the same bits; more are another group.
const MOST_ALIKE: usize = 8;
/// Where there are more kinds of prefixes than groups, lengths are rounded down to multiples of one of these.
const STEPS: [u32; 4] = [1, 2, 4, 8];

/// What came of the entries.
type Grouped = (Vec<Group>, bool, Vec<Entry>, Option<usize>);

/// Puts entries into groups, as long as there are groups: their lengths may be rounded (then groups are coarse: they ask
/// for fewer bits than their entries). Says the first rule for which there was none.
pub(super) fn groups(fields: &[Field], entries: Vec<Entry>) -> Grouped {
    let mut best: Option<Grouped> = None;
    for step in STEPS {
        let found = grouped(fields, entries.clone(), step);
        let all = found.3.is_none();
        let farther = best.as_ref().is_none_or(|best| best.3.is_some_and(|end| found.3.is_none_or(|found| found > end)));
        if farther {
            best = Some(found);
        }
        if all {
            break;
        }
    }
    best.unwrap_or_default()
}

fn grouped(fields: &[Field], mut entries: Vec<Entry>, step: u32) -> Grouped {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_masks: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
    let mut alike: HashMap<(usize, Vec<u32>), usize> = HashMap::new();
    let mut end = None;
    for entry in &mut entries {
        let masks: Vec<u32> = fields.iter().zip(&entry.wants).map(|(field, want)| mask(field, *want, step)).collect();
        let key: Vec<u32> = masks.iter().zip(&entry.wants).map(|(mask, want)| mask & want.map_or(0, |range| range.low)).collect();
        let copies = by_masks.entry(masks.clone()).or_default();
        let free = copies.last().filter(|group| alike.get(&(**group, key.clone())).is_none_or(|count| *count < MOST_ALIKE));
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
        *alike.entry((group, key)).or_default() += 1;
    }
    if let Some(end) = end {
        entries.retain(|entry| entry.rule < end);
        groups.retain(|group| group.best < end);
    }
    (groups, step > 1, entries, end)
}

/// The bits of a number that a group's key has.
fn mask(field: &Field, want: Option<Range>, step: u32) -> u32 {
    let Some(Range { low, high }) = want else { return 0 };
    if field.most <= 0xffff {
        return if low == high { 0xffff } else { 0 };
    }
    let length = (high - low).leading_zeros();
    // Not to nothing: an entry that asks for bits is not found where a packet has none.
    let rounded = (length / step * step).max(1);
    u32::MAX.checked_shl(u32::BITS - rounded).unwrap_or(0)
}
