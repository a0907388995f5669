//! Conditions in the light of facts: what is decided goes, what is left means the same.

use std::borrow::Cow;

use super::fact::{Facts, fault};
use crate::cond::{Chain, Cond, Load, Member, Operator, Place, Relation, Returned, Value};

/// What is left of a condition: parts of it, as far as it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rest<'a> {
    True,
    False,
    /// It always faults.
    Fault,
    /// It depends.
    Open(Cow<'a, Cond>),
}

/// What is left of a rule's condition; a fault is as good as "no" there.
pub(super) fn simplify<'a>(cond: &'a Cond, facts: &Facts) -> Cow<'a, Cond> {
    match rest(cond, facts, true) {
        Rest::True => Cow::Owned(Cond::Always(true)),
        Rest::False | Rest::Fault => Cow::Owned(Cond::Always(false)),
        Rest::Open(cond) => cond,
    }
}

/// What is left of a rule's condition where a number of the packet is known.
pub(crate) fn given(cond: &Cond, number: &Value, value: u32) -> Cond {
    simplify(cond, &Facts::none().with(number, value)).into_owned()
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
fn rest<'a>(cond: &'a Cond, facts: &Facts, top: bool) -> Rest<'a> {
    match cond {
        Cond::Always(true) => Rest::True,
        Cond::Always(false) => Rest::False,
        Cond::Compare(left, relation, right) => compare(cond, (left, *relation, right), facts),
        Cond::In(member) => match self::member(member, facts) {
            Some(Cow::Borrowed(_)) => Rest::Open(Cow::Borrowed(cond)),
            Some(Cow::Owned(member)) => Rest::Open(Cow::Owned(Cond::In(member))),
            None => Rest::Fault,
        },
        Cond::Chain(chain) => match place(&chain.at, 1, facts) {
            Some(Cow::Borrowed(_)) => Rest::Open(Cow::Borrowed(cond)),
            Some(Cow::Owned(at)) => Rest::Open(Cow::Owned(Cond::Chain(Chain { at, ..chain.clone() }))),
            None => Rest::Fault,
        },
        Cond::Not(inner) => match rest(inner, facts, false) {
            Rest::True => Rest::False,
            Rest::False => Rest::True,
            Rest::Fault => Rest::Fault,
            Rest::Open(left) => Rest::Open(not(cond, inner, left)),
        },
        Cond::And(left, right) => and(cond, (left, right), facts, top),
        Cond::Or(left, right) => or(cond, (left, right), facts, top),
    }
}

/// The opposite of what is left of `inner`, which `whole` is the opposite of.
fn not<'a>(whole: &'a Cond, inner: &Cond, left: Cow<'a, Cond>) -> Cow<'a, Cond> {
    match left {
        Cow::Borrowed(Cond::Not(inner)) => Cow::Borrowed(inner),
        Cow::Owned(Cond::Not(inner)) => Cow::Owned(*inner),
        left if is(&left, inner) => Cow::Borrowed(whole),
        left => Cow::Owned(left.into_owned().negate()),
    }
}

/// Whether nothing was changed: what is left of a condition is that condition.
fn is(left: &Cond, cond: &Cond) -> bool {
    std::ptr::eq(left, cond)
}

/// A condition whose sides became these.
fn joined<'a>(whole: &'a Cond, left: Cow<'a, Cond>, right: Cow<'a, Cond>) -> Rest<'a> {
    Rest::Open(match whole {
        Cond::And(one, other) | Cond::Or(one, other) if is(&left, one) && is(&right, other) => Cow::Borrowed(whole),
        Cond::Or(..) => Cow::Owned(left.into_owned().or(right.into_owned())),
        _ => Cow::Owned(left.into_owned().and(right.into_owned())),
    })
}

fn and<'a>(whole: &'a Cond, (left, right): (&'a Cond, &'a Cond), facts: &Facts, top: bool) -> Rest<'a> {
    match rest(left, facts, top) {
        Rest::True => rest(right, facts, top),
        Rest::False => Rest::False,
        Rest::Fault => Rest::Fault,
        Rest::Open(left) => match rest(right, facts, top) {
            Rest::True => Rest::Open(left),
            Rest::False | Rest::Fault if top => Rest::False,
            Rest::False if cannot_fault(&left, facts) => Rest::False,
            Rest::False => joined(whole, left, Cow::Owned(Cond::Always(false))),
            Rest::Fault => joined(whole, left, Cow::Owned(fault())),
            Rest::Open(right) => joined(whole, left, right),
        },
    }
}

fn or<'a>(whole: &'a Cond, (left, right): (&'a Cond, &'a Cond), facts: &Facts, top: bool) -> Rest<'a> {
    let right = rest(right, facts, top);
    if top && matches!(right, Rest::False | Rest::Fault) {
        return rest(left, facts, true);
    }
    // A left side that says "no" lets the right one decide; one that faults does not.
    match rest(left, facts, false) {
        Rest::True => Rest::True,
        Rest::False => right,
        Rest::Fault => Rest::Fault,
        Rest::Open(left) => match right {
            Rest::False => Rest::Open(left),
            Rest::Fault => joined(whole, left, Cow::Owned(fault())),
            Rest::True if cannot_fault(&left, facts) => Rest::True,
            Rest::True => joined(whole, left, Cow::Owned(Cond::Always(true))),
            Rest::Open(right) if right == left => Rest::Open(left),
            Rest::Open(right) => joined(whole, left, right),
        },
    }
}

fn compare<'a>(whole: &'a Cond, (left, relation, right): (&'a Value, Relation, &'a Value), facts: &Facts) -> Rest<'a> {
    let (Some(left), Some(right)) = (number(left, facts), number(right, facts)) else { return Rest::Fault };
    match (&*left, &*right) {
        (Value::Const(left), Value::Const(right)) => {
            let holds = match relation {
                Relation::Equal => left == right,
                Relation::Greater => left > right,
                Relation::GreaterEqual => left >= right,
            };
            if holds { Rest::True } else { Rest::False }
        }
        (known, Value::Const(value)) if relation == Relation::Equal && facts.excludes(known, *value) => Rest::False,
        _ => Rest::Open(match (left, right) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(whole),
            (left, right) => Cow::Owned(Cond::Compare(left.into_owned(), relation, right.into_owned())),
        }),
    }
}

/// The number with its known parts computed, itself where there are none; none where it always faults.
fn number<'a>(value: &'a Value, facts: &Facts) -> Option<Cow<'a, Value>> {
    if let Some(known) = facts.value(value) {
        return Some(Cow::Owned(Value::Const(known)));
    }
    let open = match value {
        Value::Returned(_) if facts.lacks(Returned::SHORTEST) => return None,
        Value::Const(_) | Value::Length | Value::Ifindex | Value::Returned(_) => return Some(Cow::Borrowed(value)),
        Value::Load(Load { at, width }) => match place(at, *width as u32, facts)? {
            Cow::Borrowed(_) => return Some(Cow::Borrowed(value)),
            Cow::Owned(at) => Value::Load(Load { at, width: *width }),
        },
        Value::Negative(inner) => {
            let inner = number(inner, facts)?;
            return Some(match (&*inner, &inner) {
                (Value::Const(constant), _) => Cow::Owned(Value::Const(constant.wrapping_neg())),
                (_, Cow::Borrowed(_)) => Cow::Borrowed(value),
                (_, Cow::Owned(_)) => Cow::Owned(Value::Negative(Box::new(inner.into_owned()))),
            });
        }
        Value::Arithmetic(left, operator, right) => {
            let (left, right) = (number(left, facts)?, number(right, facts)?);
            match (&*left, &*right) {
                (Value::Const(left), Value::Const(right)) => {
                    return operator.compute(*left, *right).map(|known| Cow::Owned(Value::Const(known)));
                }
                (_, Value::Const(0)) if matches!(operator, Operator::Divide | Operator::Modulo) => return None,
                _ => {}
            }
            match (left, right) {
                (Cow::Borrowed(_), Cow::Borrowed(_)) => return Some(Cow::Borrowed(value)),
                (left, right) => left.into_owned().with(*operator, right.into_owned()),
            }
        }
    };
    Some(Cow::Owned(facts.value(&open).map_or(open, Value::Const)))
}

/// The place with its known parts computed, itself where there are none; none where `size` bytes there always fault.
fn place<'a>(at: &'a Place, size: u32, facts: &Facts) -> Option<Cow<'a, Place>> {
    let Some(base) = &at.base else {
        return (!facts.lacks(at.offset.saturating_add(size))).then_some(Cow::Borrowed(at));
    };
    let base = number(base, facts)?;
    if let Value::Const(constant) = *base {
        let offset = constant.checked_add(at.offset)?;
        return (!facts.lacks(offset.saturating_add(size))).then(|| Cow::Owned(Place::fixed(offset)));
    }
    Some(match base {
        Cow::Borrowed(_) => Cow::Borrowed(at),
        Cow::Owned(open) => Cow::Owned(Place { base: Some(Box::new(open)), offset: at.offset }),
    })
}

/// A test for membership with its places as they are known; none where it faults.
fn member<'a>(member: &'a Member, facts: &Facts) -> Option<Cow<'a, Member>> {
    let places = member.keys().map(|(at, size)| place(at, size, facts)).collect::<Option<Vec<_>>>()?;
    if places.iter().all(|place| matches!(place, Cow::Borrowed(_))) {
        return Some(Cow::Borrowed(member));
    }
    let mut places = places.into_iter().map(Cow::into_owned);
    let at = places.next()?;
    Some(Cow::Owned(Member { at, more: places.collect(), ..*member }))
}

/// Whether what is left of a condition cannot fault.
fn cannot_fault(cond: &Cond, facts: &Facts) -> bool {
    match cond {
        Cond::Always(_) => true,
        Cond::Compare(left, _, right) => safe(left, facts) && safe(right, facts),
        Cond::In(member) => {
            member.keys().all(|(at, size)| at.base.is_none() && facts.has(at.offset.saturating_add(size)))
        }
        Cond::Chain(_) => false,
        Cond::Not(inner) => cannot_fault(inner, facts),
        Cond::And(left, right) | Cond::Or(left, right) => cannot_fault(left, facts) && cannot_fault(right, facts),
    }
}

fn safe(value: &Value, facts: &Facts) -> bool {
    match value {
        Value::Const(_) | Value::Length => true,
        Value::Ifindex | Value::Returned(_) => false,
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
        assert_eq!(*simplify(&both, &Facts::none().with(&kind, 0x800)), udp);
        assert_eq!(*simplify(&both, &Facts::none().with(&kind, 0x806)), Cond::Always(false));
        assert_eq!(*simplify(&both, &Facts::none().without(&kind, vec![0x800, 0x86dd])), Cond::Always(false));
        assert_eq!(*simplify(&both, &Facts::none().too_short_for(&kind)), Cond::Always(false));
    }

    #[test]
    fn a_fault_below_not_is_no_match() {
        let kind = Value::load(12, Width::Two);
        let late = Cond::equals(100, Width::One, 1);
        let facts = Facts::none().too_short_for(&kind);
        assert_eq!(*simplify(&late.clone().negate(), &facts), Cond::Always(false));
        // Whether the left side holds decides whether the right one faults.
        let short = Facts::none().with(&kind, 1).too_short_for(&Value::load(50, Width::One));
        let cond = Cond::equals(20, Width::One, 1).and(late).negate();
        assert!(!matches!(*simplify(&cond, &short), Cond::Always(_)));
    }
}
