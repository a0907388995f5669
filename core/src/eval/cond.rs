//! What a condition says of a packet.

use crate::cond::{Chain, Cond, Layout, Load, Member, Part, Place, Relation, Returned, Value, Width};
use crate::packet;
use crate::policy::{Datum, Element, Tuple};

use super::set::Elements;

/// What a condition may look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The packet from its Ethernet header on.
    pub packet: &'a [u8],
    /// Its length on the wire; where a capture has cut the packet, more than its bytes here.
    pub length: u32,
    /// The interface on which it arrived, where that is known.
    pub ifindex: Option<u32>,
    /// The elements of the sets.
    pub sets: &'a [Elements],
}

/// A load beyond the packet, or a division by zero: the whole condition does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

/// Whether the condition holds; a fault says no.
pub fn holds(cond: &Cond, view: View<'_>) -> bool {
    view.test(cond) == Ok(true)
}

impl<'a> View<'a> {
    /// What a value comes to; none for a fault.
    pub fn number_of(self, value: &Value) -> Option<u32> {
        self.value(value).ok()
    }

    /// Where a place is, from the beginning of the packet; none for a fault.
    pub fn offset_of(self, place: &Place) -> Option<usize> {
        self.place(place).ok()
    }

    /// Whether a condition holds.
    pub(super) fn test(self, cond: &Cond) -> Result<bool, Fault> {
        Ok(match cond {
            Cond::Always(constant) => *constant,
            Cond::Compare(left, relation, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                match relation {
                    Relation::Equal => left == right,
                    Relation::Greater => left > right,
                    Relation::GreaterEqual => left >= right,
                }
            }
            Cond::In(member) => self.member(member)?,
            Cond::Chain(chain) => self.chain(chain)?,
            Cond::Not(inner) => !self.test(inner)?,
            Cond::And(left, right) => self.test(left)? && self.test(right)?,
            Cond::Or(left, right) => self.test(left)? || self.test(right)?,
        })
    }

    pub(super) fn value(self, value: &Value) -> Result<u32, Fault> {
        match value {
            Value::Const(constant) => Ok(*constant),
            Value::Length => Ok(self.length),
            Value::Ifindex => self.ifindex.ok_or(Fault),
            Value::Load(Load { at, width }) => self.number(self.place(at)?, *width),
            Value::Returned(part) => self.returned(*part).ok_or(Fault),
            Value::Negative(inner) => Ok(self.value(inner)?.wrapping_neg()),
            Value::Arithmetic(left, operator, right) => {
                operator.compute(self.value(left)?, self.value(right)?).ok_or(Fault)
            }
        }
    }

    fn returned(self, part: Returned) -> Option<u32> {
        let ip = packet::returned(self.packet)?;
        let number = match part {
            Returned::Version => return Some(if ip.v6 { 6 } else { 4 }),
            Returned::Header => ip.at,
            Returned::Protocol => ip.next,
            Returned::Transport => ip.transport?,
        };
        u32::try_from(number).ok()
    }

    /// An offset into the packet.
    pub(super) fn place(self, place: &Place) -> Result<usize, Fault> {
        let base = place.base.as_ref().map_or(Ok(0), |base| self.value(base))?;
        Ok(base as usize + place.offset as usize)
    }

    pub(super) fn number(self, at: usize, width: Width) -> Result<u32, Fault> {
        let bytes = self.packet.get(at..at + width as usize).ok_or(Fault)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn member(self, member: &Member) -> Result<bool, Fault> {
        let set = self.sets.get(member.set);
        let values = self.values(member)?;
        let Part::Tuple(layout) = member.part else {
            return Ok(set.is_some_and(|elements| elements.contain(values.first().copied().unwrap_or_default())));
        };
        Ok(tuple(layout, &values).is_some_and(|tuple| set.is_some_and(|elements| elements.contain_tuple(&tuple))))
    }

    /// The bytes of the key, or of each value of a tuple.
    pub(super) fn values(self, member: &Member) -> Result<Vec<&'a [u8]>, Fault> {
        let value = |(at, size): (&Place, u32)| {
            let at = self.place(at)?;
            self.packet.get(at..at + size as usize).ok_or(Fault)
        };
        member.keys().map(value).collect()
    }

    /// Walks the headers as libpcap's `gen_protochain` does.
    fn chain(self, chain: &Chain) -> Result<bool, Fault> {
        const NO_NEXT_HEADER: u32 = 59;
        const AUTHENTICATION: u32 = 51;
        let start = self.place(&chain.at)?;
        let byte = |offset: u32| self.number(start + offset as usize, Width::One);
        let (mut protocol, mut offset) = if chain.v6 { (byte(6)?, 40) } else { (byte(9)?, 4 * (byte(0)? & 0xf)) };
        for _ in 0..Chain::HEADERS {
            match protocol {
                found if found == u32::from(chain.protocol) => return Ok(true),
                NO_NEXT_HEADER => return Ok(false),
                0 | 43 | 44 | 60 if chain.v6 => {
                    (protocol, offset) = (byte(offset)?, offset + 8 * (byte(offset + 1)? + 1));
                }
                AUTHENTICATION => (protocol, offset) = (byte(offset)?, 4 * (byte(offset + 1)? + 2)),
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}

/// The tuple of these values.
pub(super) fn tuple(layout: Layout, values: &[&[u8]]) -> Option<Tuple> {
    let data = layout.columns().zip(values).map(|(column, bytes)| Datum::of_bytes(column, bytes));
    Tuple::new(data.collect::<Option<_>>()?)
}

/// Whether a key is (within) an element; elements of other kinds contain no such key.
pub(super) fn contains(element: &Element, key: &[u8]) -> bool {
    match element {
        Element::V4(address, length) => key.len() == 4 && same_bits(&address.octets(), key, *length),
        Element::V6(address, length) => key.len() == 16 && same_bits(&address.octets(), key, *length),
        Element::Ports(range) => <[u8; 2]>::try_from(key).is_ok_and(|key| range.contains(&u16::from_be_bytes(key))),
        Element::Mac(address) => key == address,
        Element::Tuple(_) => false,
    }
}

/// Whether the first `length` bits are the same.
fn same_bits(left: &[u8], right: &[u8], length: u8) -> bool {
    let (whole, rest) = (usize::from(length / 8), length % 8);
    let mask = !(0xff >> rest);
    let at_end = |bytes: &[u8]| bytes.get(whole).map(|byte| byte & mask);
    left.get(..whole) == right.get(..whole) && (rest == 0 || at_end(left) == at_end(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_as_many_bits() {
        let (left, right) = ([10, 0b1010_0000, 3], [10, 0b1011_1111, 4]);
        for (length, same) in [(0, true), (8, true), (11, true), (12, false), (16, false), (24, false)] {
            assert_eq!(same_bits(&left, &right, length), same, "{length}");
        }
        assert!(same_bits(&left, &left, 24));
    }
}
