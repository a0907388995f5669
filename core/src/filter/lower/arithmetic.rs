//! Arithmetic on bytes of headers.
//!
//! libpcap's optimizer folds constants, and then does not load what they make needless: `ip[9] * 0` loads nothing.
//! A constant index is added to the header's offset before the packet is looked at, and that sum wraps: `ip[-1]` is the
//! byte before the IP header. Where the optimizer is off (`protochain`, `geneve`), none of this is so.

use crate::cond::{Cond, Load, Operator, Place, Value, Width};
use crate::problem::Problem;

use super::super::ast::{Arithmetic, Protocol, Relation};
use super::layers::{IPV4, IPV6, behind};
use super::{Lowering, simple};

/// A number, and what has to hold before it is computed.
struct Number {
    value: Value,
    checks: Vec<Cond>,
}

impl Lowering<'_> {
    /// A comparison of two numbers.
    pub(super) fn relation(
        &mut self,
        left: &Arithmetic,
        relation: Relation,
        right: &Arithmetic,
    ) -> Result<Cond, Problem> {
        let left = self.number(left)?;
        let right = self.number(right)?;
        self.registers -= 2;
        let checks = left.checks.into_iter().chain(right.checks);
        let (left, right) = (left.value, right.value);
        let compared = match relation {
            Relation::Equal => self.equal(left, right),
            Relation::NotEqual => simple::not(self.equal(left, right)),
            Relation::Greater => simple::greater(left, right),
            Relation::GreaterEqual => simple::at_least(left, right),
            Relation::Less => simple::not(simple::at_least(left, right)),
            Relation::LessEqual => simple::not(simple::greater(left, right)),
        };
        Ok(self.all(checks.chain([compared])))
    }

    /// Equality; libpcap's optimizer takes `x & 0xffffffff = 0` for never true.
    fn equal(&self, left: Value, right: Value) -> Cond {
        if let (Value::Arithmetic(_, Operator::And, mask), Value::Const(0)) = (&left, &right)
            && **mask == Value::Const(u32::MAX)
            && self.optimized
        {
            return Cond::Always(false);
        }
        simple::equal(left, right)
    }

    fn number(&mut self, arithmetic: &Arithmetic) -> Result<Number, Problem> {
        match arithmetic {
            Arithmetic::Number(number) => {
                self.take_registers(1)?;
                Ok(Number { value: Value::Const(*number), checks: Vec::new() })
            }
            Arithmetic::Length => {
                self.take_registers(1)?;
                Ok(Number { value: Value::Length, checks: Vec::new() })
            }
            Arithmetic::Negative(inner) => {
                let inner = self.number(inner)?;
                let value = match inner.value {
                    Value::Const(number) => Value::Const(number.wrapping_neg()),
                    other => Value::Negative(Box::new(other)),
                };
                Ok(Number { value, checks: inner.checks })
            }
            Arithmetic::Binary(left, operator, right) => {
                let left = self.number(left)?;
                self.check_constant(*operator, right)?;
                // The checks that the right side would need are not made.
                let right = self.number(right)?.value;
                self.registers -= 1;
                Ok(Number { value: self.compute(left.value, *operator, right)?, checks: left.checks })
            }
            Arithmetic::Load(protocol, index, size) => {
                let index = self.number(index)?;
                self.take_registers(1)?;
                self.registers -= 1;
                self.load(*protocol, index, *size)
            }
        }
    }

    /// libpcap looks at the first number of the right side, whatever follows it.
    fn check_constant(&self, operator: Operator, right: &Arithmetic) -> Result<(), Problem> {
        let mut first = right;
        let first = loop {
            first = match first {
                Arithmetic::Number(number) => break *number,
                Arithmetic::Length => return Ok(()),
                Arithmetic::Negative(inner) | Arithmetic::Load(_, inner, _) | Arithmetic::Binary(inner, ..) => inner,
            };
        };
        match operator {
            Operator::Divide | Operator::Modulo if first == 0 => self.by_zero(),
            Operator::ShiftLeft | Operator::ShiftRight if first > 31 => self.too_far(),
            _ => Ok(()),
        }
    }

    fn by_zero<T>(&self) -> Result<T, Problem> {
        self.refuse("division by zero", "a divisor must not begin with the number 0, also as in ip[0]")
    }

    fn too_far<T>(&self) -> Result<T, Problem> {
        self.refuse("a shift by more than 31 bits", "what says how far must not begin with a greater number")
    }

    fn compute(&self, left: Value, operator: Operator, right: Value) -> Result<Value, Problem> {
        match (&left, operator, &right) {
            (_, Operator::Divide | Operator::Modulo, Value::Const(0)) if self.optimized => return self.by_zero(),
            (Value::Const(left), _, Value::Const(right)) => {
                if let Some(value) = fold(*left, operator, *right) {
                    return Ok(Value::Const(value));
                }
            }
            _ if !self.optimized => {}
            (_, Operator::ShiftLeft | Operator::ShiftRight, Value::Const(32..)) => return self.too_far(),
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

    /// Bytes of a header, and the tests that it is there.
    fn load(&self, protocol: Protocol, index: Number, size: u32) -> Result<Number, Problem> {
        let width = match size {
            1 => Width::One,
            2 => Width::Two,
            _ => Width::Four,
        };
        let network = behind(&self.layers.payload, self.layers.network);
        let mut checks = index.checks;
        let place = match protocol {
            Protocol::Ether => self.layers.header.clone(),
            Protocol::Icmp6 => {
                checks.push(self.link_type(IPV6)?);
                checks.push(simple::equal(self.network(6, Width::One), Value::Const(58)));
                self.behind_ipv6()
            }
            Protocol::Sctp
            | Protocol::Tcp
            | Protocol::Udp
            | Protocol::Icmp
            | Protocol::Igmp
            | Protocol::Igrp
            | Protocol::Pim
            | Protocol::Vrrp
            | Protocol::Carp => {
                checks.insert(0, self.link_type(IPV4)?);
                checks.push(self.protocol(protocol)?);
                checks.push(self.first_fragment());
                self.behind_ipv4()
            }
            other => {
                checks.push(self.protocol(other)?);
                network
            }
        };
        let at = self.indexed(place, index.value);
        Ok(Number { value: Value::Load(Load { at, width }), checks })
    }

    /// A place at an index behind another.
    fn indexed(&self, place: Place, index: Value) -> Place {
        match (place.base, index) {
            (base, Value::Const(index)) if self.optimized => Place { base, offset: place.offset.wrapping_add(index) },
            (None, Value::Const(index)) if place.offset.checked_add(index).is_some() => {
                Place::fixed(place.offset.wrapping_add(index))
            }
            (None, index) => Place { base: Some(Box::new(index)), offset: place.offset },
            (Some(base), index) => {
                Place { base: Some(Box::new(index.with(Operator::Add, *base))), offset: place.offset }
            }
        }
    }
}

/// The result for two constants; none for a division by zero.
fn fold(left: u32, operator: Operator, right: u32) -> Option<u32> {
    Some(match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Subtract => left.wrapping_sub(right),
        Operator::Multiply => left.wrapping_mul(right),
        Operator::Divide => left.checked_div(right)?,
        Operator::Modulo => left.checked_rem(right)?,
        Operator::And => left & right,
        Operator::Or => left | right,
        Operator::Xor => left ^ right,
        Operator::ShiftLeft => left.checked_shl(right).unwrap_or(0),
        Operator::ShiftRight => left.checked_shr(right).unwrap_or(0),
    })
}
