//! How often a check went well or not, one after the other.

/// The last results that were alike.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    good: bool,
    count: u32,
}

impl Streak {
    /// Takes a result; what the backend is from then on, where that changes.
    pub(super) fn next(&mut self, is_up: bool, good: bool, rise: u32, fall: u32) -> Option<bool> {
        self.count = if self.good == good { self.count.saturating_add(1) } else { 1 };
        self.good = good;
        let enough = self.count >= if good { rise } else { fall };
        (enough && is_up != good).then_some(good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_swallow_makes_no_summer() {
        let (mut streak, mut up, mut states) = (Streak::default(), true, Vec::new());
        for good in [true, false, true, false, false, true, false, true, true, true] {
            up = streak.next(up, good, 2, 2).unwrap_or(up);
            states.push(up);
        }
        assert_eq!(states, [true, true, true, true, false, false, false, false, true, true]);
    }
}
