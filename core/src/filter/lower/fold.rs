//! Constants folded, as libpcap's optimizer folds them.
//!
//! What is folded away is not looked at in the packet: `ip[9] * 0` loads nothing. A constant index is added to the
//! header's offset, and that sum wraps: `ip[-1]` is the byte before the IP header. Where the optimizer is off
//! (`protochain`, `geneve`), only what makes no difference is folded.

use crate::cond::{Cond, Load, Member, Operator, Place, Relation, Value};

use super::simple;

/// Why libpcap's optimizer refuses an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Division by a constant that is zero.
    ByZero,
    /// A shift by a constant that is more than 31.
    TooFar,
}

/// A condition with its constants folded.
pub(super) fn cond(cond: Cond, optimized: bool) -> Cond {
    match cond {
        Cond::Compare(left, relation, right) => {
            compare(folded(left, optimized), relation, folded(right, optimized), optimized)
        }
        Cond::Not(inner) => simple::not(self::cond(*inner, optimized)),
        Cond::And(left, right) => simple::all([self::cond(*left, optimized), self::cond(*right, optimized)]),
        Cond::Or(left, right) => simple::any([self::cond(*left, optimized), self::cond(*right, optimized)]),
        Cond::In(Member { set, part, at, more }) => {
            let place = |at: Place| place(at.clone(), optimized).unwrap_or(at);
            Cond::In(Member { set, part, at: place(at), more: more.into_iter().map(place).collect() })
        }
        other @ (Cond::Always(_) | Cond::Chain(_)) => other,
    }
}

/// A number with its constants folded; as it is where libpcap's optimizer refuses it.
fn folded(raw: Value, optimized: bool) -> Value {
    match &raw {
        Value::Const(_) | Value::Length | Value::Ifindex | Value::Returned(_) => raw,
        Value::Load(load) if load.at.base.is_none() => raw,
        _ => value(raw.clone(), optimized).unwrap_or(raw),
    }
}

fn compare(left: Value, relation: Relation, right: Value, optimized: bool) -> Cond {
    if let (Value::Arithmetic(inner, Operator::And, mask), Value::Const(0)) = (&left, &right) {
        if relation == Relation::Greater {
            return simple::not(simple::equal(left, right));
        }
        // libpcap's optimizer takes `x & 0xffffffff = 0` for never true.
        if **mask == Value::Const(u32::MAX) && relation == Relation::Equal && optimized {
            let there = Cond::Compare((**inner).clone(), Relation::GreaterEqual, Value::Const(0));
            return simple::all([there, Cond::Always(false)]);
        }
    }
    simple::compare(left, relation, right)
}

/// A number with its constants folded.
pub(super) fn value(raw: Value, optimized: bool) -> Result<Value, Refused> {
    match raw {
        Value::Const(_) | Value::Length | Value::Ifindex | Value::Returned(_) => Ok(raw),
        Value::Load(Load { at, width }) => Ok(Value::Load(Load { at: place(at, optimized)?, width })),
        Value::Negative(inner) => Ok(match value(*inner, optimized)? {
            Value::Const(number) => Value::Const(number.wrapping_neg()),
            other => Value::Negative(Box::new(other)),
        }),
        Value::Arithmetic(left, operator, right) => {
            compute(value(*left, optimized)?, operator, value(*right, optimized)?, optimized)
        }
    }
}

fn place(raw: Place, optimized: bool) -> Result<Place, Refused> {
    let Place { base, offset } = raw;
    let Some(base) = base else { return Ok(Place { base, offset }) };
    Ok(match value(*base, optimized)? {
        Value::Const(index) if optimized || offset.checked_add(index).is_some() => {
            Place::fixed(offset.wrapping_add(index))
        }
        Value::Arithmetic(index, Operator::Add, rest) if optimized => match *index {
            Value::Const(index) => Place { base: Some(rest), offset: offset.wrapping_add(index) },
            index => Place { base: Some(Box::new(index.with(Operator::Add, *rest))), offset },
        },
        base => Place { base: Some(Box::new(base)), offset },
    })
}

fn compute(left: Value, operator: Operator, right: Value, optimized: bool) -> Result<Value, Refused> {
    match (&left, operator, &right) {
        (_, Operator::Divide | Operator::Modulo, Value::Const(0)) if optimized => return Err(Refused::ByZero),
        (Value::Const(left), _, Value::Const(right)) => {
            if let Some(value) = operator.compute(*left, *right) {
                return Ok(Value::Const(value));
            }
        }
        _ if !optimized => {}
        (_, Operator::ShiftLeft | Operator::ShiftRight, Value::Const(32..)) => return Err(Refused::TooFar),
        (_, Operator::Multiply | Operator::And, Value::Const(0)) => return Ok(Value::Const(0)),
        (
            _,
            Operator::Add | Operator::Or | Operator::Xor | Operator::ShiftLeft | Operator::ShiftRight,
            Value::Const(0),
        ) => return Ok(left),
        (Value::Const(0), Operator::Add | Operator::Or | Operator::Xor, _) => return Ok(right),
        (Value::Const(0), Operator::Subtract, _) => {}
        (Value::Const(0), _, _) => return Ok(Value::Const(0)),
        _ => {}
    }
    Ok(left.with(operator, right))
}
