//! What came of requests.

use std::iter::Sum;

use super::stage::CATS;

/// How many requests each cat answered, and how many nobody did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) answered: [u32; CATS.len()],
    pub(super) lost: u32,
}

impl Count {
    /// Answered ones, and lost ones.
    pub(super) fn requests(&self) -> u32 {
        self.all_answered() + self.lost
    }

    /// Those that any cat answered.
    pub(super) fn all_answered(&self) -> u32 {
        self.answered.iter().sum()
    }

    /// Whether the cats answered in these proportions, but for the luck of the draw; a cat without a share, nothing.
    pub(super) fn fits(&self, shares: [u32; CATS.len()]) -> bool {
        /// More than four standard deviations of a share among five hundred requests.
        const LUCK: f64 = 0.1;
        let part = |number: u32, of: u32| f64::from(number) / f64::from(of.max(1));
        let (answered, all) = (self.all_answered(), shares.iter().sum());
        self.answered.into_iter().zip(shares).all(|(its, share)| match share {
            0 => its == 0,
            _ => (part(its, answered) - part(share, all)).abs() < LUCK,
        })
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Count>>(counts: I) -> Count {
        counts.fold(Count::default(), |mut sum, one| {
            sum.answered.iter_mut().zip(one.answered).for_each(|(sum, its)| *sum += its);
            sum.lost += one.lost;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_are_kept_but_for_luck() {
        let count = |answered| Count { answered, lost: 1 };
        assert!(count([310, 95, 95]).fits([3, 1, 1]));
        assert!(!count([170, 165, 165]).fits([3, 1, 1]));
        assert!(count([380, 0, 120]).fits([3, 0, 1]));
        assert!(!count([380, 1, 120]).fits([3, 0, 1]));
        assert!(!Count::default().fits([1, 1, 1]));
        let sum: Count = [count([1, 2, 3]), count([10, 20, 30])].into_iter().sum();
        assert_eq!((sum, sum.requests()), (Count { answered: [11, 22, 33], lost: 2 }, 68));
    }
}
