//! The numbers that a way through a condition bounds.

use crate::cond::{Operator, Relation, Value};
use crate::random::Random;

/// So often a value is drawn that no exception forbids.
const TRIES: usize = 32;

/// What each number has to be, in the order in which they are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds(Vec<(Value, Bound)>);

/// What a number has to be.
#[derive(Clone, Debug)]
struct Bound {
    low: u32,
    high: u32,
    not: Vec<u32>,
}

impl Bounds {
    /// Adds how a comparison with a constant comes out; whether it still can.
    pub(super) fn narrow(&mut self, value: &Value, relation: Relation, constant: u32, holds: bool) -> bool {
        let at = self.0.iter().position(|(known, _)| known == value).unwrap_or_else(|| {
            self.0.push((value.clone(), Bound { low: 0, high: most(value), not: Vec::new() }));
            self.0.len() - 1
        });
        let Some((_, bound)) = self.0.get_mut(at) else { return false };
        let (low, high) = match (relation, holds) {
            (Relation::Equal, true) => (Some(constant), Some(constant)),
            (Relation::Equal, false) => {
                bound.not.push(constant);
                (Some(0), Some(u32::MAX))
            }
            (Relation::Greater, true) => (constant.checked_add(1), Some(u32::MAX)),
            (Relation::Greater, false) => (Some(0), Some(constant)),
            (Relation::GreaterEqual, true) => (Some(constant), Some(u32::MAX)),
            (Relation::GreaterEqual, false) => (Some(0), constant.checked_sub(1)),
        };
        let (Some(low), Some(high)) = (low, high) else { return false };
        (bound.low, bound.high) = (bound.low.max(low), bound.high.min(high));
        bound.low < bound.high || bound.low == bound.high && !bound.not.contains(&bound.low)
    }

    /// A random value for each.
    pub(super) fn values(self, random: &mut Random) -> Option<Vec<(Value, u32)>> {
        self.0.into_iter().map(|(value, bound)| bound.pick(&value, random).map(|number| (value, number))).collect()
    }
}

impl Bound {
    fn pick(&self, value: &Value, random: &mut Random) -> Option<u32> {
        let mask = match value {
            Value::Arithmetic(_, Operator::And, right) => match **right {
                Value::Const(mask) => mask,
                _ => u32::MAX,
            },
            _ => u32::MAX,
        };
        let allowed = |number: &u32| (self.low..=self.high).contains(number) && !self.not.contains(number);
        (0..TRIES).map(|_| random.between(self.low, self.high) & mask).find(allowed)
    }
}

/// The most that a number can be.
fn most(value: &Value) -> u32 {
    match value {
        // What an Ethernet link carries.
        Value::Length => 1514,
        _ => value.most(),
    }
}
