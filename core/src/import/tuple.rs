//! Addresses and ports beside each other: `192.0.2.1,tcp:80` of ipset.

use std::ops::RangeInclusive;

use super::ranges;
use super::term::{Family, Side, Term};
use crate::policy::Element;

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

    /// How many parts it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
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
