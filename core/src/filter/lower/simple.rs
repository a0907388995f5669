//! Conditions in their simplest form.

use crate::cond::{Cond, Relation, Value};

pub(super) fn equal(left: Value, right: Value) -> Cond {
    compare(left, Relation::Equal, right)
}

pub(super) fn greater(left: Value, right: Value) -> Cond {
    compare(left, Relation::Greater, right)
}

pub(super) fn at_least(left: Value, right: Value) -> Cond {
    compare(left, Relation::GreaterEqual, right)
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

/// All of them. Where it is allowed to `forget`, tests whose outcome does not matter are not made, although they might
/// have been faults.
pub(super) fn all(parts: impl IntoIterator<Item = Cond>, forget: bool) -> Cond {
    join(parts, true, forget)
}

/// One of them; see [`all`].
pub(super) fn any(parts: impl IntoIterator<Item = Cond>, forget: bool) -> Cond {
    join(parts, false, forget)
}

fn join(parts: impl IntoIterator<Item = Cond>, and: bool, forget: bool) -> Cond {
    let mut kept = Vec::new();
    for part in parts {
        match part {
            Cond::Always(constant) if constant == and => {}
            Cond::Always(constant) if forget || kept.is_empty() => return Cond::Always(constant),
            other => {
                let last = matches!(other, Cond::Always(_));
                kept.push(other);
                if last {
                    break;
                }
            }
        }
    }
    balanced(kept, and).unwrap_or(Cond::Always(and))
}

/// A tree of little depth: the order of the leaves is what matters.
fn balanced(mut parts: Vec<Cond>, and: bool) -> Option<Cond> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let right = parts.split_off(parts.len().div_ceil(2));
    let (left, right) = (balanced(parts, and)?, balanced(right, and)?);
    Some(if and { left.and(right) } else { left.or(right) })
}
