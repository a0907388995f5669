//! Addresses and ports beside each other: `192.0.2.1,tcp:80` of ipset.

use std::ops::RangeInclusive;

use super::ranges;
use super::term::{Family, Side, Term};
use crate::filter::names;
use crate::policy::{self, Datum, Element};

/// Parts that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tuple(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Addresses(Vec<Element>),
    /// A protocol's ports.
    Ports(&'static str, RangeInclusive<u16>),
}

impl Tuple {
    /// An element of an ipset with so many parts.
    pub(super) fn of_ipset(word: &str, count: usize) -> Option<Self> {
        let parts: Option<Vec<Part>> = word.split(',').map(part).collect();
        parts.filter(|parts| parts.len() == count).map(Tuple)
    }

    /// The tuple of a policy's set; none where an address or a port is no single one.
    pub(super) fn element(&self) -> Option<Element> {
        let mut values = Vec::new();
        for part in &self.0 {
            match part {
                Part::Addresses(elements) => match elements[..] {
                    [Element::V4(address, 32)] => values.push(Datum::V4(address)),
                    [Element::V6(address, 128)] => values.push(Datum::V6(address)),
                    _ => return None,
                },
                Part::Ports(transport, range) if range.start() == range.end() => {
                    let number = names::protocol(transport).and_then(|number| u8::try_from(number).ok())?;
                    values.extend([Datum::Protocol(number), Datum::Port(*range.start())]);
                }
                Part::Ports(..) => return None,
            }
        }
        policy::Tuple::new(values).map(Element::Tuple)
    }

    /// The tests of a packet, of which each part looks at one side.
    pub(super) fn terms(&self, sides: &[Side]) -> Vec<Term> {
        let term = |(part, side): (&Part, &Side)| match part {
            Part::Ports(transport, range) => Term::ports(transport, &[*side], std::slice::from_ref(range)),
            Part::Addresses(elements) => Term::addresses(*side, elements).unwrap_or_else(|| {
                let family = if matches!(elements[..], [Element::V6(..), ..]) { Family::V6 } else { Family::V4 };
                Term::new(family, family.word())
            }),
        };
        self.0.iter().zip(sides).map(term).collect()
    }
}

fn part(word: &str) -> Option<Part> {
    if let Some(found) = ranges::addresses(word) {
        return Some(Part::Addresses(found));
    }
    let (transport, port) = word.split_once(':').unwrap_or(("tcp", word));
    let transport = ["tcp", "udp", "sctp"].into_iter().find(|known| *known == transport)?;
    Some(Part::Ports(transport, ranges::ports(port, '-')?))
}
