//! Arithmetic and what it is compared with.
//!
//! Operators bind from the left, in this order: `|`, `&`, shifts, `+ -`, `* /`, negation. `%` and `^` have no place in
//! that order in libpcap's grammar: whatever stands to the right of them is their right side, and they are part of the
//! right side of whatever stands to the left of them.

use crate::cond::Operator;
use crate::problem::Problem;

use super::super::ast::{Arithmetic, Primitive, Protocol, Relation};
use super::super::scan::Kind;
use super::{Operand, Parser, Qualifier, primitive};

/// An operator: itself, and how strongly it binds; none where it has no place in the order.
fn operator(kind: &Kind) -> Option<(Operator, Option<u8>)> {
    let Kind::Symbol(symbol) = kind else { return None };
    Some(match *symbol {
        "|" => (Operator::Or, Some(1)),
        "&" => (Operator::And, Some(2)),
        "<<" => (Operator::ShiftLeft, Some(3)),
        ">>" => (Operator::ShiftRight, Some(3)),
        "+" => (Operator::Add, Some(4)),
        "-" => (Operator::Subtract, Some(4)),
        "*" => (Operator::Multiply, Some(5)),
        "/" => (Operator::Divide, Some(5)),
        "%" => (Operator::Modulo, None),
        "^" => (Operator::Xor, None),
        _ => return None,
    })
}

/// How strongly a negation binds.
const NEGATION: u8 = 6;

fn relation(kind: &Kind) -> Option<Relation> {
    let Kind::Symbol(symbol) = kind else { return None };
    Some(match *symbol {
        "=" => Relation::Equal,
        "!=" => Relation::NotEqual,
        ">" => Relation::Greater,
        ">=" => Relation::GreaterEqual,
        "<" => Relation::Less,
        "<=" => Relation::LessEqual,
        _ => return None,
    })
}

impl Parser<'_> {
    /// An operand that begins like arithmetic.
    pub(super) fn arithmetic_operand(
        &mut self,
        qualifier: Option<Qualifier>,
    ) -> Result<(Operand, Option<Qualifier>), Problem> {
        let span = self.span();
        let first = match self.peek() {
            Kind::Number(number) => {
                let number = *number;
                self.at += 1;
                Operand::Number(number, span)
            }
            _ => {
                let first = self.atom()?;
                Operand::Arithmetic(first, self.since(span.start))
            }
        };
        self.relation(first, qualifier)
    }

    /// Goes on behind a number: with operators and the comparison, if there are such.
    pub(super) fn relation(
        &mut self,
        first: Operand,
        qualifier: Option<Qualifier>,
    ) -> Result<(Operand, Option<Qualifier>), Problem> {
        let (left, span) = match first {
            Operand::Number(number, span) => (Arithmetic::Number(number), span),
            Operand::Arithmetic(arithmetic, span) => (arithmetic, span),
            other => return Ok((other, qualifier)),
        };
        let plain = operator(self.peek()).is_none();
        let left = self.operators(left, 0)?;
        let Some(relation) = relation(self.peek()) else {
            let span = self.since(span.start);
            let operand = match left {
                Arithmetic::Number(number) if plain => Operand::Number(number, span),
                other => Operand::Arithmetic(other, span),
            };
            return Ok((operand, qualifier));
        };
        self.at += 1;
        let right = self.arithmetic(0)?;
        let span = self.since(span.start);
        Ok((Operand::Term(primitive(Primitive::Relation(left, relation, right), span)), None))
    }

    /// Arithmetic whose operators bind more strongly than `least`.
    fn arithmetic(&mut self, least: u8) -> Result<Arithmetic, Problem> {
        self.deeper(|parser| {
            let first = parser.atom()?;
            parser.operators(first, least)
        })
    }

    /// Goes on behind `left`, as long as operators bind more strongly than `least`.
    fn operators(&mut self, left: Arithmetic, least: u8) -> Result<Arithmetic, Problem> {
        let mut left = left;
        while let Some((operator, strength)) = operator(self.peek()) {
            if strength.is_some_and(|strength| strength <= least) {
                break;
            }
            self.at += 1;
            self.nest()?;
            let right = self.arithmetic(strength.unwrap_or(0))?;
            left = Arithmetic::Binary(Box::new(left), operator, Box::new(right));
        }
        Ok(left)
    }

    /// A number, a load, a negation, or arithmetic in parentheses.
    fn atom(&mut self) -> Result<Arithmetic, Problem> {
        match self.peek() {
            Kind::Number(number) => {
                let number = *number;
                self.at += 1;
                Ok(Arithmetic::Number(number))
            }
            Kind::Word("len") => {
                self.at += 1;
                Ok(Arithmetic::Length)
            }
            Kind::Symbol("-") => {
                self.at += 1;
                Ok(Arithmetic::Negative(Box::new(self.arithmetic(NEGATION)?)))
            }
            Kind::Symbol("(") => {
                self.at += 1;
                let inner = self.arithmetic(0)?;
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Kind::Word(word) if self.ahead(1) == &Kind::Symbol("[") => match Protocol::from_word(word) {
                Some(protocol) => self.load(protocol),
                None => Err(self.unexpected("expected a protocol before [")),
            },
            _ => Err(self.unexpected("expected a number, len, or bytes of a header: ip[8], tcp[0:2]")),
        }
    }

    /// `ip[0:2]`
    fn load(&mut self, protocol: Protocol) -> Result<Arithmetic, Problem> {
        let start = self.span();
        let loadable = matches!(
            protocol,
            Protocol::Ether
                | Protocol::Ip
                | Protocol::Arp
                | Protocol::Rarp
                | Protocol::Atalk
                | Protocol::Decnet
                | Protocol::Sca
                | Protocol::Lat
                | Protocol::Moprc
                | Protocol::Mopdl
                | Protocol::Ip6
                | Protocol::Sctp
                | Protocol::Tcp
                | Protocol::Udp
                | Protocol::Icmp
                | Protocol::Igmp
                | Protocol::Igrp
                | Protocol::Pim
                | Protocol::Vrrp
                | Protocol::Carp
                | Protocol::Icmp6
        );
        if !loadable {
            return Err(Problem::new(start, format!("bytes of {} cannot be looked at", protocol.word()))
                .hint("ether[…] counts from the beginning of the frame"));
        }
        self.at += 2;
        let index = self.arithmetic(0)?;
        let mut size = 1;
        if self.accept_symbol(":") {
            let span = self.span();
            size = match self.next() {
                Kind::Number(size @ (1 | 2 | 4)) => size,
                _ => return Err(Problem::new(span, "so many bytes make no number").hint("expected 1, 2 or 4")),
            };
        }
        self.expect_symbol("]")?;
        Ok(Arithmetic::Load(protocol, Box::new(index), size))
    }
}
