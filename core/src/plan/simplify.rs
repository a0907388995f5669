//! Conditions in the light of facts: what is decided goes, what is left means the same.

use super::fact::{Facts, fault};
use crate::cond::{Cond, Load, Operator, Place, Relation, Value};

/// What is left of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rest {
    True,
    False,
    /// It always faults.
    Fault,
    /// It depends.
    Open(Cond),
}

/// What is left of a rule's condition; a fault is as good as "no" there.
pub(super) fn simplify(cond: &Cond, facts: &Facts) -> Cond {
    match rest(cond, facts, true) {
        Rest::True => Cond::Always(true),
        Rest::False | Rest::Fault => Cond::Always(false),
        Rest::Open(cond) => cond,
    }
}

/// Whether no packet with these facts makes the condition fault.
pub(super) fn is_safe(cond: &Cond, facts: &Facts) -> bool {
    match rest(cond, facts, false) {
        Rest::True | Rest::False => true,
        Rest::Fault => false,
        Rest::Open(cond) => cannot_fault(&cond, facts),
    }
}

/// `top`: the condition decides the rule, so that "no" and a fault come to the same.
fn rest(cond: &Cond, facts: &Facts, top: bool) -> Rest {
    match cond {
        Cond::Always(true) => Rest::True,
        Cond::Always(false) => Rest::False,
        Cond::Compare(left, relation, right) => compare(left, *relation, right, facts),
        Cond::In(member) => match place(&member.at, member.part.size(), facts) {
            Some(at) => Rest::Open(Cond::In(crate::cond::Member { at, ..member.clone() })),
            None => Rest::Fault,
        },
        Cond::Chain(chain) => match place(&chain.at, 1, facts) {
            Some(at) => Rest::Open(Cond::Chain(crate::cond::Chain { at, ..chain.clone() })),
            None => Rest::Fault,
        },
        Cond::Not(inner) => match rest(inner, facts, false) {
            Rest::True => Rest::False,
            Rest::False => Rest::True,
            Rest::Fault => Rest::Fault,
            Rest::Open(Cond::Not(inner)) => Rest::Open(*inner),
            Rest::Open(inner) => Rest::Open(inner.negate()),
        },
        Cond::And(left, right) => and(left, right, facts, top),
        Cond::Or(left, right) => or(left, right, facts, top),
    }
}

fn and(left: &Cond, right: &Cond, facts: &Facts, top: bool) -> Rest {
    match rest(left, facts, top) {
        Rest::True => rest(right, facts, top),
        Rest::False => Rest::False,
        Rest::Fault => Rest::Fault,
        Rest::Open(left) => match rest(right, facts, top) {
            Rest::True => Rest::Open(left),
            Rest::False | Rest::Fault if top => Rest::False,
            Rest::False if cannot_fault(&left, facts) => Rest::False,
            Rest::False => Rest::Open(left.and(Cond::Always(false))),
            Rest::Fault => Rest::Open(left.and(fault())),
            Rest::Open(right) => Rest::Open(left.and(right)),
        },
    }
}

fn or(left: &Cond, right: &Cond, facts: &Facts, top: bool) -> Rest {
    // A left side that says "no" lets the right one decide; one that faults does not.
    match rest(left, facts, false) {
        Rest::True => Rest::True,
        Rest::False => rest(right, facts, top),
        Rest::Fault => Rest::Fault,
        Rest::Open(left) => match rest(right, facts, top) {
            Rest::False => Rest::Open(left),
            Rest::Fault if top => Rest::Open(left),
            Rest::Fault => Rest::Open(left.or(fault())),
            Rest::True if cannot_fault(&left, facts) => Rest::True,
            Rest::True => Rest::Open(left.or(Cond::Always(true))),
            Rest::Open(right) if right == left => Rest::Open(left),
            Rest::Open(right) => Rest::Open(left.or(right)),
        },
    }
}

fn compare(left: &Value, relation: Relation, right: &Value, facts: &Facts) -> Rest {
    let (Some(left), Some(right)) = (number(left, facts), number(right, facts)) else { return Rest::Fault };
    match (&left, &right) {
        (Value::Const(left), Value::Const(right)) => {
            let holds = match relation {
                Relation::Equal => left == right,
                Relation::Greater => left > right,
                Relation::GreaterEqual => left >= right,
            };
            if holds { Rest::True } else { Rest::False }
        }
        (known, Value::Const(value)) if relation == Relation::Equal && facts.excludes(known, *value) => Rest::False,
        _ => Rest::Open(Cond::Compare(left, relation, right)),
    }
}

/// The number with its known parts computed; none where it always faults.
fn number(value: &Value, facts: &Facts) -> Option<Value> {
    if let Some(known) = facts.value(value) {
        return Some(Value::Const(known));
    }
    match value {
        Value::Const(_) | Value::Length | Value::Ifindex => Some(value.clone()),
        Value::Load(Load { at, width }) => {
            let load = Value::Load(Load { at: place(at, *width as u32, facts)?, width: *width });
            Some(facts.value(&load).map_or(load, Value::Const))
        }
        Value::Negative(inner) => Some(match number(inner, facts)? {
            Value::Const(constant) => Value::Const(constant.wrapping_neg()),
            open => Value::Negative(Box::new(open)),
        }),
        Value::Arithmetic(left, operator, right) => {
            let (left, right) = (number(left, facts)?, number(right, facts)?);
            match (&left, &right) {
                (Value::Const(left), Value::Const(right)) => operator.compute(*left, *right).map(Value::Const),
                (_, Value::Const(0)) if matches!(operator, Operator::Divide | Operator::Modulo) => None,
                _ => {
                    let open = left.with(*operator, right);
                    Some(facts.value(&open).map_or(open, Value::Const))
                }
            }
        }
    }
}

/// The place with its known parts computed; none where `size` bytes there always fault.
fn place(at: &Place, size: u32, facts: &Facts) -> Option<Place> {
    let Some(base) = &at.base else {
        return (!facts.lacks(at.offset.saturating_add(size))).then(|| at.clone());
    };
    match number(base, facts)? {
        Value::Const(constant) => {
            let offset = constant.checked_add(at.offset)?;
            (!facts.lacks(offset.saturating_add(size))).then(|| Place::fixed(offset))
        }
        open => Some(Place { base: Some(Box::new(open)), offset: at.offset }),
    }
}

/// Whether what is left of a condition cannot fault.
fn cannot_fault(cond: &Cond, facts: &Facts) -> bool {
    match cond {
        Cond::Always(_) => true,
        Cond::Compare(left, _, right) => safe(left, facts) && safe(right, facts),
        Cond::In(member) => member.at.base.is_none() && facts.has(member.at.offset.saturating_add(member.part.size())),
        Cond::Chain(_) => false,
        Cond::Not(inner) => cannot_fault(inner, facts),
        Cond::And(left, right) | Cond::Or(left, right) => cannot_fault(left, facts) && cannot_fault(right, facts),
    }
}

fn safe(value: &Value, facts: &Facts) -> bool {
    match value {
        Value::Const(_) | Value::Length => true,
        Value::Ifindex => false,
        Value::Load(load) => facts.reaches(load),
        Value::Negative(inner) => safe(inner, facts),
        Value::Arithmetic(left, operator, right) => {
            let divides = matches!(operator, Operator::Divide | Operator::Modulo);
            safe(left, facts) && safe(right, facts) && (!divides || matches!(**right, Value::Const(1..)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cond::Width;

    fn ether(kind: u32) -> Cond {
        Cond::equals(12, Width::Two, kind)
    }

    #[test]
    fn what_is_known_goes_and_what_cannot_be_goes_with_its_branch() {
        let kind = Value::load(12, Width::Two);
        let udp = Cond::equals(23, Width::One, 17);
        let both = ether(0x800).and(udp.clone()).or(ether(0x86dd).and(Cond::equals(20, Width::One, 17)));
        assert_eq!(simplify(&both, &Facts::none().with(&kind, 0x800)), udp);
        assert_eq!(simplify(&both, &Facts::none().with(&kind, 0x806)), Cond::Always(false));
        assert_eq!(simplify(&both, &Facts::none().without(&kind, vec![0x800, 0x86dd])), Cond::Always(false));
        assert_eq!(simplify(&both, &Facts::none().too_short_for(&kind)), Cond::Always(false));
    }

    #[test]
    fn a_fault_below_not_is_no_match() {
        let kind = Value::load(12, Width::Two);
        let late = Cond::equals(100, Width::One, 1);
        let facts = Facts::none().too_short_for(&kind);
        assert_eq!(simplify(&late.clone().negate(), &facts), Cond::Always(false));
        // Whether the left side holds decides whether the right one faults.
        let short = Facts::none().with(&kind, 1).too_short_for(&Value::load(50, Width::One));
        let cond = Cond::equals(20, Width::One, 1).and(late).negate();
        assert!(!matches!(simplify(&cond, &short), Cond::Always(_)));
    }
}
