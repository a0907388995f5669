//! What is known of a packet in one branch of the graph.

use super::need::extent;
use crate::cond::{Cond, Load, Place, Value};

/// What is known of a number of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    Is(u32),
    IsNone(Vec<u32>),
}

/// What is known of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    numbers: Vec<(Value, Known)>,
    /// It has at least so many bytes.
    least: u32,
    /// It has at most so many bytes.
    most: u32,
    /// Behind these numbers it has at least so many bytes.
    behind: Vec<(Value, u32)>,
}

/// A condition that always faults: no packet is that long.
pub(super) fn fault() -> Cond {
    Cond::equals(u32::MAX, crate::cond::Width::One, 0)
}

impl Facts {
    /// Nothing.
    pub(super) fn none() -> Self {
        Facts { numbers: Vec::new(), least: 0, most: u32::MAX, behind: Vec::new() }
    }

    /// This, and that the number could be read and is `value`.
    pub(super) fn with(&self, number: &Value, value: u32) -> Self {
        self.and(number, Known::Is(value))
    }

    /// This, and that the number could be read and is none of `values`.
    pub(super) fn without(&self, number: &Value, values: Vec<u32>) -> Self {
        self.and(number, Known::IsNone(values))
    }

    /// This, and that the number could be read.
    pub(super) fn having(&self, number: &Value) -> Self {
        let mut facts = self.clone();
        facts.least = facts.least.max(extent(number));
        if let Value::Load(Load { at: Place { base: Some(base), offset }, width }) = number {
            facts.behind.push((base.as_ref().clone(), offset.saturating_add(*width as u32)));
        }
        facts
    }

    /// This, and that the number could not be read.
    pub(super) fn too_short_for(&self, number: &Value) -> Self {
        Facts { most: self.most.min(extent(number).saturating_sub(1)), ..self.clone() }
    }

    fn and(&self, number: &Value, known: Known) -> Self {
        let mut facts = self.having(number);
        facts.numbers.push((number.clone(), known));
        facts
    }

    /// What the rules that are left do not show by themselves: how long the packet is.
    pub(super) fn of_length(&self) -> Self {
        Facts { least: self.least, ..Facts::none() }
    }

    /// The number's value, where it is known.
    pub(super) fn value(&self, number: &Value) -> Option<u32> {
        self.numbers.iter().find_map(|(known, what)| match what {
            Known::Is(value) if known == number => Some(*value),
            _ => None,
        })
    }

    /// Whether the number is known not to be `value`.
    pub(super) fn excludes(&self, number: &Value, value: u32) -> bool {
        self.numbers.iter().any(|(known, what)| match what {
            Known::IsNone(values) => known == number && values.contains(&value),
            Known::Is(_) => false,
        })
    }

    /// How many bytes a packet has at least.
    pub(super) fn least(&self) -> u32 {
        self.least
    }

    /// Whether reading that many bytes cannot fault.
    pub(super) fn has(&self, bytes: u32) -> bool {
        bytes <= self.least
    }

    /// Whether reading these bytes cannot fault.
    pub(super) fn reaches(&self, Load { at: Place { base, offset }, width }: &Load) -> bool {
        let end = offset.saturating_add(*width as u32);
        match base {
            None => self.has(end),
            Some(base) => self.behind.iter().any(|(known, bytes)| *known == **base && end <= *bytes),
        }
    }

    /// Whether reading that many bytes faults.
    pub(super) fn lacks(&self, bytes: u32) -> bool {
        bytes > self.most
    }
}
