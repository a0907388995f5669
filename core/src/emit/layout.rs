//! Where the rows of a table lie.

use crate::random::Random;

/// Tables of so many rows need no displacements.
const PLAIN: usize = 512;
/// Tries for each size of a table without them.
const TRIES: u32 = 2000;
/// The largest table without them, as a power of two.
const LARGEST: u32 = 16;
/// Tries for each size of a table with them.
const TRIES_DISPLACED: u32 = 8;
/// Rows for each displacement.
const OF_BUCKET: usize = 4;

/// Where rows lie.
#[derive(Debug)]
pub(super) struct Layout {
    /// The number of places, as a power of two.
    pub(super) bits: u32,
    /// What the keys are multiplied with.
    pub(super) factors: [u64; 2],
    /// What places are changed by, for each bucket; their number is a power of two. None where no two keys meet without.
    pub(super) displacements: Vec<u16>,
}

impl Layout {
    /// A small table in which no two of these keys meet, all of the same number of words.
    pub(super) fn of(keys: &[Vec<u32>]) -> Self {
        let mut random = Random::new(0);
        if keys.len() > PLAIN { displaced(keys, &mut random) } else { plain(keys, &mut random) }
    }

    /// The place of a key.
    pub(super) fn place(&self, key: &[u32]) -> usize {
        if self.displacements.is_empty() {
            return (self.sum(key) >> (64 - self.bits)) as usize;
        }
        let mixed = self.mixed(key);
        (mixed >> (64 - self.bits)) as usize ^ self.displacement(mixed) & ((1 << self.bits) - 1)
    }

    /// How far a mixed sum is shifted for its bucket.
    pub(super) fn bucket_shift(&self) -> u32 {
        64 - self.bits - self.displacements.len().ilog2()
    }

    fn sum(&self, key: &[u32]) -> u64 {
        let pair = |at: usize| {
            let low = |at: usize| u64::from(key.get(at).copied().unwrap_or_default());
            if key.len() > at + 1 { low(at) << 32 | low(at + 1) } else { low(at) }
        };
        pair(0).wrapping_mul(self.factors[0]).wrapping_add(pair(2).wrapping_mul(self.factors[1]))
    }

    /// The upper bits of a product depend on all bits of a key, those below on fewer: hence a second one.
    fn mixed(&self, key: &[u32]) -> u64 {
        let sum = self.sum(key);
        (sum ^ sum >> 32).wrapping_mul(self.factors[1])
    }

    fn bucket(&self, mixed: u64) -> usize {
        (mixed >> self.bucket_shift()) as usize & (self.displacements.len() - 1)
    }

    fn displacement(&self, mixed: u64) -> usize {
        self.displacements[self.bucket(mixed)].into()
    }

    fn random(bits: u32, buckets: usize, random: &mut Random) -> Self {
        Layout { bits, factors: [random.next() | 1, random.next() | 1], displacements: vec![0; buckets] }
    }
}

fn plain(keys: &[Vec<u32>], random: &mut Random) -> Layout {
    let fewest = (2 * keys.len()).next_power_of_two().trailing_zeros().max(1);
    for bits in fewest..LARGEST {
        for _ in 0..TRIES {
            let layout = Layout::random(bits, 0, random);
            if fits(&layout, keys) {
                return layout;
            }
        }
    }
    loop {
        let layout = Layout::random(LARGEST, 0, random);
        if fits(&layout, keys) {
            return layout;
        }
    }
}

fn fits(layout: &Layout, keys: &[Vec<u32>]) -> bool {
    let mut taken = vec![false; 1 << layout.bits];
    keys.iter().all(|key| !std::mem::replace(&mut taken[layout.place(key)], true))
}

fn displaced(keys: &[Vec<u32>], random: &mut Random) -> Layout {
    let buckets = (keys.len() / OF_BUCKET).next_power_of_two();
    // At most four places of five are taken.
    let mut bits = (keys.len() * 5 / 4).next_power_of_two().ilog2();
    loop {
        for _ in 0..TRIES_DISPLACED {
            let mut layout = Layout::random(bits, buckets, random);
            if displace(&mut layout, keys).is_some() {
                return layout;
            }
        }
        bits += 1;
    }
}

/// Finds a displacement for each bucket, those with the most keys first; none where one finds none.
fn displace(layout: &mut Layout, keys: &[Vec<u32>]) -> Option<()> {
    let mut buckets: Vec<Vec<usize>> = vec![Vec::new(); layout.displacements.len()];
    for key in keys {
        let mixed = layout.mixed(key);
        buckets[layout.bucket(mixed)].push((mixed >> (64 - layout.bits)) as usize);
    }
    let mut order: Vec<usize> = (0..buckets.len()).collect();
    order.sort_by_key(|bucket| std::cmp::Reverse(buckets[*bucket].len()));
    let mut taken = vec![false; 1 << layout.bits];
    let most = ((1u32 << layout.bits.min(16)) - 1) as u16;
    for bucket in order {
        let places = &mut buckets[bucket];
        places.sort_unstable();
        if places.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let free = |by: &u16| places.iter().all(|place| !taken[place ^ usize::from(*by)]);
        let by = (0..=most).find(free)?;
        places.iter().for_each(|place| taken[place ^ usize::from(by)] = true);
        layout.displacements[bucket] = by;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key has a place of its own, whatever the keys have in common.
    #[test]
    fn no_two_keys_meet() {
        let mut random = Random::new(1);
        for count in [1, 2, 512, 513, 5_000, 100_000] {
            let spread: Vec<Vec<u32>> = (0..count).map(|at| vec![random.next() as u32, at, 7]).collect();
            let narrow: Vec<Vec<u32>> = (0..count).map(|at| vec![10 | at.swap_bytes(), 443]).collect();
            let single: Vec<Vec<u32>> = (0..count).map(|at| vec![at << 12]).collect();
            for keys in [spread, narrow, single] {
                let layout = Layout::of(&keys);
                assert!(fits(&layout, &keys), "{count}");
                assert!(layout.displacements.is_empty() == (count <= 512));
                assert!((1 << layout.bits) <= 64 * count as usize + 2);
            }
        }
    }
}
