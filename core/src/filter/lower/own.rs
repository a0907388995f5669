//! Tests that libpcap has not: membership in sets, TCP flags by name, the payload's beginning.

use crate::cond::{Cond, Member, Operator, Part, Place, Value, Width};
use crate::policy::Element;
use crate::problem::Problem;

use super::super::ast::{Direction, Elements, Family, Subject};
use super::address::{IN_ETHERNET, IN_IPV6};
use super::layers::{self, behind, load};
use super::port::port_is;
use super::{Lowering, simple};

const TCP: u32 = 6;
const UDP: u32 = 17;

impl Lowering<'_> {
    /// `in SET`
    pub(super) fn member(&self, subject: Subject, direction: Direction, elements: &Elements) -> Result<Cond, Problem> {
        match elements {
            Elements::Named(name) => {
                let set = self.set(name)?;
                self.contained(subject, direction, |part, place| Cond::In(Member::of(set, part, place.clone())))
            }
            Elements::Listed(elements) => self.contained(subject, direction, |part, place| {
                self.any(elements.iter().filter_map(|element| self.one(element, part, place)))
            }),
        }
    }

    /// The index of a set.
    pub(super) fn set(&self, name: &str) -> Result<usize, Problem> {
        match (self.context.sets)(name) {
            Some(set) => Ok(set),
            None => self.refuse(format!("there is no set {name}"), format!("expected one: set {name} = {{ … }}")),
        }
    }

    /// Tests each place where an element may stand.
    fn contained(
        &self,
        subject: Subject,
        direction: Direction,
        test: impl Fn(Part, &Place) -> Cond,
    ) -> Result<Cond, Problem> {
        let network = self.in_network(0);
        let at = |part, place: &Place, offset| test(part, &behind(place, offset));
        match subject {
            Subject::Mac => {
                let header = &self.layers.header;
                self.on_ethernet(self.directed(direction, IN_ETHERNET, |offset| at(Part::Mac, header, offset)))
            }
            Subject::Port(transport) => {
                let v6 = self.port6(transport, direction, |place, offset| at(Part::Port, place, offset))?;
                let v4 = self.port4(transport, direction, |place, offset| at(Part::Port, place, offset))?;
                Ok(self.any([v6, v4]))
            }
            Subject::Address(family) => {
                let mut parts = Vec::new();
                if family != Family::V6 {
                    parts.push(self.in_families(family, direction, |offset| at(Part::V4, &network, offset))?);
                }
                if matches!(family, Family::Any | Family::V6) {
                    let link = self.link_type(layers::IPV6)?;
                    parts.push(self.carried_by(link, direction, IN_IPV6, |offset| at(Part::V6, &network, offset)));
                }
                Ok(self.any(parts))
            }
        }
    }

    /// Whether what stands at a place is (within) an element, if it can be.
    fn one(&self, element: &Element, part: Part, place: &Place) -> Option<Cond> {
        Some(match (element, part) {
            (Element::V4(address, length), Part::V4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                self.masked(load(place, 0, Width::Four), mask, address.to_bits())
            }
            (Element::V6(address, length), Part::V6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                let word = |bits: u128, index: u32| u32::try_from(bits >> (96 - 32 * index) & 0xffff_ffff).unwrap_or(0);
                self.all((0..4).map(|index| {
                    let value = load(place, 4 * index, Width::Four);
                    self.masked(value, word(mask, index), word(address.to_bits(), index))
                }))
            }
            (Element::Ports(range), Part::Port) if range.start() == range.end() => port_is(place, 0, *range.start()),
            (Element::Ports(range), Part::Port) => self.port_within(place, 0, range),
            (Element::Mac(address), Part::Mac) => layers::bytes(place, 0, address),
            _ => return None,
        })
    }

    /// `tcp syn,!ack`, over IPv4 and IPv6.
    pub(super) fn flags(&self, set: u8, clear: u8) -> Result<Cond, Problem> {
        let test = |place: &Place| self.masked(load(place, 13, Width::One), u32::from(set | clear), set.into());
        let v4 = self.over_ipv4(TCP, test(&self.behind_ipv4()))?;
        let v6 = self.over_ipv6(TCP, test(&self.behind_ipv6()))?;
        Ok(self.any([v4, v6]))
    }

    /// `payload starts "…"`, of TCP and UDP over IPv4 and IPv6. A shorter payload is no fault.
    pub(super) fn payload(&self, bytes: &[u8]) -> Result<Cond, Problem> {
        let (v4, v6) = (self.behind_ipv4(), self.behind_ipv6());
        let parts = [
            self.over_ipv4(TCP, starts(&behind_tcp(&v4), bytes))?,
            self.over_ipv4(UDP, starts(&behind(&v4, 8), bytes))?,
            self.over_ipv6(TCP, starts(&behind_tcp(&v6), bytes))?,
            self.over_ipv6(UDP, starts(&behind(&v6, 8), bytes))?,
        ];
        Ok(self.any(parts))
    }

    /// A test of what follows the header of an IPv4 packet that is not a later fragment.
    fn over_ipv4(&self, protocol: u32, test: Cond) -> Result<Cond, Problem> {
        let protocol = simple::equal(self.carries(false), Value::Const(protocol));
        Ok(self.all([self.link_type(layers::IPV4)?, protocol, self.first_fragment(), test]))
    }

    /// A test of what follows the header of an IPv6 packet without extension headers.
    fn over_ipv6(&self, protocol: u32, test: Cond) -> Result<Cond, Problem> {
        let protocol = simple::equal(self.carries(true), Value::Const(protocol));
        Ok(self.all([self.link_type(layers::IPV6)?, protocol, test]))
    }
}

/// What follows a TCP header, whose length is as it says.
fn behind_tcp(header: &Place) -> Place {
    let length = load(header, 12, Width::One).with(Operator::ShiftRight, Value::Const(4));
    let length = length.with(Operator::ShiftLeft, Value::Const(2));
    let base = match &header.base {
        Some(base) => length.with(Operator::Add, (**base).clone()),
        None => length,
    };
    Place { base: Some(Box::new(base)), offset: header.offset }
}

/// Whether the packet is long enough, and has these bytes at a place.
fn starts(place: &Place, bytes: &[u8]) -> Cond {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let fixed = Value::Const(place.offset.saturating_add(length));
    let end = match &place.base {
        Some(base) => (**base).clone().with(Operator::Add, fixed),
        None => fixed,
    };
    let there = simple::at_least(Value::Length, end);
    simple::all([there, layers::bytes(place, 0, bytes)])
}
