//! Which signatures are worth what they cost: those that save more probes, on packets that hit a rule.

use super::signature::{Groups, Key};
use crate::plan::{Classifier, Entry, Range};
use crate::random::Random;

/// Costs in nanoseconds, as measured with `xdpilot bench`: a signature, each word of its row, a probe.
const SIGNATURE: f64 = 1.0;
const WORD: f64 = 0.5;
const PROBE: f64 = 25.0;
/// The most signatures: what more of them save is hardly seen among 512 packets.
const MOST: usize = 12;
/// So many packets are drawn.
const DRAWN: usize = 512;
/// So many upper bits of a number of 32 may be hashed.
const HASHED: [u32; 4] = [20, 24, 28, 32];

/// The keys of the signatures that pay.
pub(super) fn choose(classifier: &Classifier, groups: &Groups<'_>) -> Vec<Key> {
    let packets = draw(classifier);
    // The groups that may be probed, packet by packet.
    let mut left: Vec<u64> = packets.iter().flat_map(|(_, groups)| groups).copied().collect();
    let candidate = |key: Key| (key, rows(key, groups, &packets));
    let mut open: Vec<(Key, Vec<u64>)> = keys(classifier, groups).into_iter().map(candidate).collect();
    let probes = |left: &mut dyn Iterator<Item = u64>| f64::from(left.map(u64::count_ones).sum::<u32>());
    let cost = DRAWN as f64 * (SIGNATURE + WORD * groups.words() as f64);
    let mut chosen = Vec::new();
    while chosen.len() < MOST {
        let before = probes(&mut left.iter().copied());
        let after = |rows: &[u64]| probes(&mut left.iter().zip(rows).map(|(left, row)| left & row));
        let gains = open.iter().map(|(_, rows)| (before - after(rows)) * PROBE - cost).enumerate();
        let best = gains.max_by(|one, other| one.1.total_cmp(&other.1));
        let Some((at, _)) = best.filter(|(_, gain)| *gain > 0.0) else { break };
        let (key, taken) = open.swap_remove(at);
        left.iter_mut().zip(taken).for_each(|(left, row)| *left &= row);
        chosen.push(key);
    }
    chosen
}

/// The rows of packets, one behind the other.
fn rows(key: Key, groups: &Groups<'_>, packets: &[(Vec<u32>, Vec<u64>)]) -> Vec<u64> {
    let slots: Vec<u32> = packets.iter().map(|(numbers, _)| key.slot(numbers)).collect();
    let mut ascending = slots.clone();
    ascending.sort_unstable();
    ascending.dedup();
    let (rows, words) = (groups.rows(key, &ascending), groups.words());
    let row = |slot: &u32| &rows[ascending.partition_point(|one| one < slot) * words..][..words];
    slots.iter().flat_map(row).copied().collect()
}

/// The keys of all signatures that there may be.
pub(super) fn keys(classifier: &Classifier, groups: &Groups<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    for (field, number) in classifier.fields.iter().enumerate() {
        let width = (u32::BITS - number.most.leading_zeros()).max(1);
        if width <= 16 {
            keys.push(Key::direct(field, width, width));
        } else {
            keys.push(Key::direct(field, 32, 16));
            keys.extend(HASHED.iter().filter_map(|upper| groups.hashed(field, *upper)));
        }
    }
    keys
}

/// The numbers of packets that hit random entries, and the groups that may have an earlier rule than the entry, or itself.
fn draw(classifier: &Classifier) -> Vec<(Vec<u32>, Vec<u64>)> {
    let mut random = Random::new(1);
    (0..DRAWN)
        .map(|_| {
            let entry = pick(&classifier.entries, &mut random);
            let fields = 0..classifier.fields.len();
            let numbers = fields.map(|field| number(classifier, entry, field, &mut random)).collect();
            let mut groups = vec![0u64; classifier.groups.len().div_ceil(64)];
            for (at, _) in classifier.groups.iter().enumerate().filter(|(_, group)| group.best <= entry.rule) {
                groups[at / 64] |= 1 << (at % 64);
            }
            (numbers, groups)
        })
        .collect()
}

fn pick<'a, T>(of: &'a [T], random: &mut Random) -> &'a T {
    &of[random.below(of.len())]
}

/// A number that the entry takes: what it does not care about comes from another one.
fn number(classifier: &Classifier, entry: &Entry, field: usize, random: &mut Random) -> u32 {
    let most = classifier.fields[field].most;
    let Range { low, high } = entry.wants[field]
        .or_else(|| pick(&classifier.entries, random).wants[field])
        .unwrap_or(Range { low: 0, high: most });
    random.between(low, high.min(most))
}
