//! Arithmetic on bytes of headers.

use crate::cond::{Cond, Load, Operator, Place, Value, Width};
use crate::problem::Problem;

use super::super::ast::{Arithmetic, Protocol, Relation};
use super::fold::{self, Refused};
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
        for value in [&left, &right] {
            let problem = match fold::value(value.clone(), self.optimized) {
                Err(Refused::ByZero) => self.by_zero(),
                Err(Refused::TooFar) => self.too_far(),
                Ok(_) => continue,
            };
            self.refused.push((value.clone(), problem));
        }
        let compared = match relation {
            Relation::Equal => simple::equal(left, right),
            Relation::NotEqual => simple::not(simple::equal(left, right)),
            Relation::Greater => simple::greater(left, right),
            Relation::GreaterEqual => simple::at_least(left, right),
            Relation::Less => simple::not(simple::at_least(left, right)),
            Relation::LessEqual => simple::not(simple::greater(left, right)),
        };
        Ok(self.all(checks.chain([compared])))
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
                Ok(Number { value: Value::Negative(Box::new(inner.value)), checks: inner.checks })
            }
            Arithmetic::Binary(left, operator, right) => {
                let left = self.number(left)?;
                self.check_constant(*operator, right)?;
                // The checks that the right side would need are not made.
                let right = self.number(right)?.value;
                self.registers -= 1;
                Ok(Number { value: left.value.with(*operator, right), checks: left.checks })
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
            Operator::Divide | Operator::Modulo if first == 0 => Err(self.by_zero()),
            Operator::ShiftLeft | Operator::ShiftRight if first > 31 => Err(self.too_far()),
            _ => Ok(()),
        }
    }

    fn by_zero(&self) -> Problem {
        Problem::new(self.span.clone(), "division by zero")
            .hint("a divisor must not begin with the number 0, also as in ip[0]")
    }

    fn too_far(&self) -> Problem {
        Problem::new(self.span.clone(), "a shift by more than 31 bits")
            .hint("what says how far must not begin with a greater number")
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
        let at = indexed(place, index.value);
        Ok(Number { value: Value::Load(Load { at, width }), checks })
    }
}

/// A place at an index behind another.
fn indexed(place: Place, index: Value) -> Place {
    let base = match place.base {
        Some(base) => index.with(Operator::Add, *base),
        None => index,
    };
    Place { base: Some(Box::new(base)), offset: place.offset }
}
