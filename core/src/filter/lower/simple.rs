//! Conditions in their simplest form.

use crate::cond::{Cond, Operator, Relation, Value};

pub(super) fn equal(left: Value, right: Value) -> Cond {
    compare(left, Relation::Equal, right)
}

pub(super) fn greater(left: Value, right: Value) -> Cond {
    compare(left, Relation::Greater, right)
}

pub(super) fn at_least(left: Value, right: Value) -> Cond {
    compare(left, Relation::GreaterEqual, right)
}

/// Whether any of these bits is set.
pub(super) fn any_bit(value: Value, bits: u32) -> Cond {
    greater(value.with(Operator::And, Value::Const(bits)), Value::Const(0))
}

/// Compares; two constants at once.
pub(super) fn compare(left: Value, relation: Relation, right: Value) -> Cond {
    match (&left, &right) {
        (Value::Const(left), Value::Const(right)) => Cond::Always(match relation {
            Relation::Equal => left == right,
            Relation::Greater => left > right,
            Relation::GreaterEqual => left >= right,
        }),
        _ => Cond::Compare(left, relation, right),
    }
}

/// Holds where `cond` does not.
pub(super) fn not(cond: Cond) -> Cond {
    match cond {
        Cond::Always(constant) => Cond::Always(!constant),
        Cond::Not(inner) => *inner,
        other => other.negate(),
    }
}

/// All of them, from the left. What is tested stays tested, even if a later part never holds: it may be a fault.
pub(super) fn all(parts: impl IntoIterator<Item = Cond>) -> Cond {
    join(parts, true)
}

/// One of them, from the left; see [`all`].
pub(super) fn any(parts: impl IntoIterator<Item = Cond>) -> Cond {
    join(parts, false)
}

fn join(parts: impl IntoIterator<Item = Cond>, and: bool) -> Cond {
    let mut kept = Vec::new();
    for part in parts {
        match part {
            Cond::Always(constant) if constant == and => {}
            Cond::Always(constant) if kept.is_empty() => return Cond::Always(constant),
            other => {
                let last = matches!(other, Cond::Always(_));
                kept.push(other);
                if last {
                    break;
                }
            }
        }
    }
    let count = kept.len();
    balanced(&mut kept.into_iter(), count, and).unwrap_or(Cond::Always(and))
}

/// A filter whose first test always has the same outcome, and that is thereby decided, does not look at the packet.
pub(super) fn constant(cond: Cond) -> Cond {
    match decided(&cond) {
        Some(constant) => Cond::Always(constant),
        None => cond,
    }
}

/// What the first test decides, if its outcome is known.
fn decided(cond: &Cond) -> Option<bool> {
    match cond {
        Cond::Always(constant) => Some(*constant),
        Cond::Not(inner) => decided(inner).map(|constant| !constant),
        Cond::And(left, right) => match (&**left, &**right) {
            (Cond::Compare(_, Relation::GreaterEqual, Value::Const(0)), Cond::Always(constant)) => Some(*constant),
            _ => decided(left).filter(|constant| !constant),
        },
        Cond::Or(left, _) => decided(left).filter(|constant| *constant),
        Cond::Compare(..) | Cond::In(_) | Cond::Chain(_) => None,
    }
}

/// A tree of little depth of the next so many: the order of the leaves is what matters.
fn balanced(parts: &mut impl Iterator<Item = Cond>, count: usize, and: bool) -> Option<Cond> {
    if count < 2 {
        return parts.next();
    }
    let left = balanced(parts, count.div_ceil(2), and)?;
    let right = balanced(parts, count / 2, and)?;
    Some(if and { left.and(right) } else { left.or(right) })
}
