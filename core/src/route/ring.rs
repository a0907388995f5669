//! Rings: which backend a new connection gets, by its hash.
//!
//! A ring is what Maglev's is (Eisenbud et al., 2016): a table of a prime number of slots, in which each backend has its
//! share to within one slot. It is filled in another way: each slot has an order of preference among the backends, by a
//! hash of both (highest random weight: Thaler, Ravishankar, 1998; weighted by Schindelhauer, Schomaker, 2005), and each
//! backend takes those that like it best, as many as are its share (stable matching: Gale, Shapley, 1962). When one of a
//! hundred backends goes, 1.39 times its share changes at most, where Maglev's permutations change 1.61 times.

use std::collections::BinaryHeap;

use crate::random::Random;

/// How many slots a ring has.
pub const SLOTS: usize = 65_537;

/// A backend as a ring knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What tells it apart from others, the same on all nodes.
    pub key: u64,
    /// Its weight relative to the others'.
    pub weight: u32,
}

/// For each slot the index of a backend; none where no backend has a weight.
pub fn ring(shares: &[Share]) -> Vec<Option<u16>> {
    let quotas = quotas(shares);
    let takers: Vec<usize> = (0..shares.len()).filter(|index| quotas[*index] > 0).collect();
    let mut slots = vec![None; SLOTS];
    if takers.is_empty() {
        return slots;
    }
    let even = takers.iter().all(|index| shares[*index].weight == shares[takers[0]].weight);
    let cost = |slot: usize, index: usize| {
        let hash = Random::new(shares[index].key ^ (slot as u64) << 40 ^ slot as u64).next();
        if even { !hash } else { distance(hash) / u64::from(shares[index].weight) }
    };
    // What each slot was refused at last; all that it likes more has refused it too.
    let mut refused: Vec<Option<(u64, usize)>> = vec![None; SLOTS];
    let mut held: Vec<BinaryHeap<(u64, usize)>> =
        quotas.iter().map(|quota| BinaryHeap::with_capacity(quota + 1)).collect();
    let mut open: Vec<usize> = (0..SLOTS).collect();
    while let Some(slot) = open.pop() {
        let likes = takers.iter().map(|index| (cost(slot, *index), *index));
        let Some(best) = likes.filter(|like| refused[slot].is_none_or(|last| *like > last)).min() else { continue };
        refused[slot] = Some(best);
        let holds = &mut held[best.1];
        holds.push((best.0, slot));
        if holds.len() > quotas[best.1] {
            open.extend(holds.pop().map(|(_, slot)| slot));
        }
    }
    for (index, holds) in held.iter().enumerate() {
        holds.iter().for_each(|(_, slot)| slots[*slot] = u16::try_from(index).ok());
    }
    slots
}

/// How many slots each backend has: its share, rounded so that all slots are given (largest remainder).
fn quotas(shares: &[Share]) -> Vec<usize> {
    let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
    let part = |share: &Share| u64::from(share.weight) * SLOTS as u64;
    let mut quotas: Vec<usize> = shares.iter().map(|share| (part(share) / total.max(1)) as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(part(&shares[*index]) % total.max(1)), shares[*index].key));
    let missing = if total == 0 { 0 } else { SLOTS - quotas.iter().sum::<usize>() };
    order.into_iter().take(missing).for_each(|index| quotas[index] += 1);
    quotas
}

/// The negative logarithm of a random number between 0 and 1, as a fixed-point number: exponentially distributed, and the
/// same on all machines.
fn distance(hash: u64) -> u64 {
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    let fraction = (hash << zeros << 1) >> 32;
    // A table of the logarithm, and a line between its entries.
    let (index, rest) = ((fraction >> 24) as usize, fraction & 0xff_ffff);
    let (low, high) = (LOGARITHMS[index], LOGARITHMS[index + 1]);
    let logarithm = low + (((high - low) * rest) >> 24);
    (((u64::from(zeros) + 1) << 32) - logarithm) << 24
}

/// The binary logarithm of 1 + n/256, times 2^32.
static LOGARITHMS: [u64; 257] = {
    let mut out = [0; 257];
    let mut n = 0;
    while n < 257 {
        out[n] = logarithm((256 + n as u128) << 24);
        n += 1;
    }
    out
};

/// The binary logarithm of a number from 1 to 2, both in units of 2^-32: it is squared again and again.
const fn logarithm(number: u128) -> u64 {
    if number == 2 << 32 {
        return 1 << 32;
    }
    let (mut number, mut out, mut bit) = (number, 0, 1u64 << 31);
    while bit > 0 {
        number = (number * number) >> 32;
        if number >= 2 << 32 {
            number >>= 1;
            out |= bit;
        }
        bit >>= 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(weights: &[u32]) -> Vec<Share> {
        (1..).zip(weights).map(|(key, weight)| Share { key: Random::new(key).next(), weight: *weight }).collect()
    }

    fn counts(ring: &[Option<u16>], backends: usize) -> Vec<usize> {
        let mut counts = vec![0; backends];
        ring.iter().flatten().for_each(|index| counts[usize::from(*index)] += 1);
        counts
    }

    #[test]
    fn each_backend_has_its_share_to_a_slot() {
        for weights in [&[1, 1, 1][..], &[1, 2, 3, 0], &[1; 100], &[7, 65_535], &[0, 5]] {
            let shares = shares(weights);
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for (count, weight) in counts(&ring(&shares), weights.len()).into_iter().zip(weights) {
                let exact = SLOTS as u64 * u64::from(*weight) / total;
                assert!((exact..=exact + 1).contains(&(count as u64)), "{weights:?}: {count} for {weight}");
            }
        }
    }

    #[test]
    fn nobody_gets_anything_where_nobody_takes_it() {
        assert!(ring(&[]).iter().all(Option::is_none));
        assert!(ring(&shares(&[0, 0])).iter().all(Option::is_none));
    }

    /// How many slots change, as a multiple of the fewest that can.
    #[track_caller]
    fn moves_at_most(before: &[u32], after: &[u32], most: f64) {
        let (old, new) = (ring(&shares(before)), ring(&shares(after)));
        let changed = old.iter().zip(&new).filter(|(old, new)| old != new).count();
        let gained = counts(&old, before.len()).into_iter().zip(counts(&new, after.len()));
        let least: usize = gained.map(|(old, new)| new.saturating_sub(old)).sum();
        let factor = changed as f64 / least as f64;
        assert!(factor <= most, "{factor} times {least}");
    }

    #[test]
    fn little_moves_when_one_changes() {
        let all = [1; 100];
        for gone in [0, 13, 50, 99] {
            let mut without = all;
            without[gone] = 0;
            moves_at_most(&all, &without, 1.45);
            moves_at_most(&without, &all, 1.45);
        }
        moves_at_most(&[1, 1, 1], &[1, 1, 2], 1.1);
        moves_at_most(&[100; 10], &[100, 100, 50, 100, 100, 100, 100, 100, 100, 100], 1.2);
    }

    #[test]
    fn the_logarithm_is_one() {
        for hash in [1u64, 2, 3, 1 << 32, u64::MAX / 3, u64::MAX / 2 + 1, u64::MAX] {
            let exact = -((hash | 1) as f64 / 2f64.powi(64)).log2();
            let ours = distance(hash) as f64 / 2f64.powi(56);
            assert!((exact - ours).abs() < 1e-5, "{hash}: {exact} and {ours}");
        }
    }
}
