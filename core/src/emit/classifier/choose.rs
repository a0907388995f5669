//! Which signatures are worth what they cost: those that save more probes, on packets that hit a rule.

use super::signature::{Row, Signature, Signatures};
use crate::plan::{Classifier, Entry, Range};
use crate::random::Random;

/// Costs in nanoseconds, as measured with `xdpilot bench`: a signature, each word of its row, a probe.
const SIGNATURE: f64 = 4.0;
const WORD: f64 = 0.5;
const PROBE: f64 = 25.0;
/// The most signatures: each has a register.
pub(super) const MOST: usize = 5;
/// So many packets are drawn.
const DRAWN: usize = 512;

/// A packet of which all signatures are known.
struct Packet<'a> {
    rows: Vec<&'a Row>,
    /// The groups that may have an earlier rule than the entry that it was drawn from, and that entry's.
    groups: Row,
}

/// Keeps the signatures that pay.
pub(super) fn choose(classifier: &Classifier, signatures: &mut Signatures) {
    let packets = draw(classifier, signatures);
    let mut chosen: Vec<usize> = Vec::new();
    let mut best = f64::INFINITY;
    while chosen.len() < MOST {
        let open = (0..signatures.all.len()).filter(|at| !chosen.contains(at));
        let costs = open.map(|at| (cost(&packets, &[&chosen[..], &[at]].concat()), at));
        match costs.min_by(|one, other| one.0.total_cmp(&other.0)) {
            Some((cost, at)) if cost < best => {
                best = cost;
                chosen.push(at);
            }
            _ => break,
        }
    }
    let mut at = 0..;
    signatures.all.retain(|_| at.next().is_some_and(|at| chosen.contains(&at)));
}

/// What a packet costs on average with these signatures.
fn cost(packets: &[Packet<'_>], chosen: &[usize]) -> f64 {
    let probes: u32 = packets
        .iter()
        .map(|packet| {
            let mut groups = packet.groups.clone();
            for at in chosen {
                groups.iter_mut().zip(packet.rows[*at]).for_each(|(group, row)| *group &= row);
            }
            groups.iter().map(|word| word.count_ones()).sum::<u32>()
        })
        .sum();
    let words = packets.first().map_or(0, |packet| packet.groups.len()) as f64;
    f64::from(probes) / packets.len().max(1) as f64 * PROBE + chosen.len() as f64 * (SIGNATURE + WORD * words)
}

/// Packets that hit random entries.
fn draw<'a>(classifier: &Classifier, signatures: &'a Signatures) -> Vec<Packet<'a>> {
    let mut random = Random::new(1);
    (0..DRAWN)
        .map(|_| {
            let entry = pick(&classifier.entries, &mut random);
            let numbers: Vec<u32> =
                (0..classifier.fields.len()).map(|field| number(classifier, entry, field, &mut random)).collect();
            let row = |signature: &Signature| {
                let id = signature.ids[signature.index.of(numbers[signature.field]) % signature.ids.len()];
                &signatures.rows[id as usize]
            };
            let rows = signatures.all.iter().map(row).collect();
            let mut groups = vec![0u64; classifier.groups.len().div_ceil(64)];
            for (at, _) in classifier.groups.iter().enumerate().filter(|(_, group)| group.best <= entry.rule) {
                groups[at / 64] |= 1 << (at % 64);
            }
            Packet { rows, groups }
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
