//! Sets that change while a policy runs.

use std::collections::{BTreeSet, HashSet};

use super::cond::contains;
use crate::policy::{Element, Tuple};

/// The elements of a set, and what finds one among many soon.
#[derive(Clone, Debug, Default)]
pub struct Elements {
    list: Vec<Element>,
    /// Length of the key in bytes, length of the prefix in bits, its bits.
    prefixes: HashSet<(usize, u8, u128)>,
    /// The first two of them.
    lengths: BTreeSet<(usize, u8)>,
    macs: HashSet<[u8; 6]>,
    ports: Vec<Element>,
    tuples: HashSet<Tuple>,
}

impl Elements {
    /// A set of these.
    pub fn new(list: Vec<Element>) -> Self {
        let mut out = Elements::default();
        for element in &list {
            let (size, length, number) = match element {
                Element::V4(address, length) => (4, *length, u128::from(address.to_bits())),
                Element::V6(address, length) => (16, *length, address.to_bits()),
                Element::Mac(address) => {
                    out.macs.insert(*address);
                    continue;
                }
                Element::Ports(_) => {
                    out.ports.push(element.clone());
                    continue;
                }
                Element::Tuple(tuple) => {
                    out.tuples.insert(tuple.clone());
                    continue;
                }
            };
            out.lengths.insert((size, length));
            out.prefixes.insert((size, length, first_bits(number, size, length)));
        }
        out.list = list;
        out
    }

    /// Whether a key is (within) one of them: an address of 4 or 16 bytes, a port of 2, an Ethernet address of 6.
    pub fn contain(&self, key: &[u8]) -> bool {
        match key.len() {
            2 => self.ports.iter().any(|element| contains(element, key)),
            6 => <[u8; 6]>::try_from(key).is_ok_and(|address| self.macs.contains(&address)),
            size => {
                let number = key.iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
                let mut lengths = self.lengths.iter().filter(|(of, _)| *of == size);
                lengths.any(|(_, length)| self.prefixes.contains(&(size, *length, first_bits(number, size, *length))))
            }
        }
    }

    /// Whether a tuple is one of them.
    pub fn contain_tuple(&self, tuple: &Tuple) -> bool {
        self.tuples.contains(tuple)
    }

    /// An element that the key is (within).
    pub(super) fn find(&self, key: &[u8]) -> Option<&Element> {
        self.list.iter().find(|element| contains(element, key))
    }

    pub(super) fn insert(&mut self, element: Element) -> bool {
        let mut list = std::mem::take(&mut self.list);
        let changed = insert(&mut list, element);
        *self = Elements::new(list);
        changed
    }

    pub(super) fn remove(&mut self, element: &Element) -> bool {
        let mut list = std::mem::take(&mut self.list);
        let changed = remove(&mut list, element);
        *self = Elements::new(list);
        changed
    }
}

/// The first bits of a number of so many bytes.
fn first_bits(number: u128, size: usize, length: u8) -> u128 {
    number.checked_shr((size as u32 * 8).saturating_sub(u32::from(length))).unwrap_or(0)
}

/// Adds an element; whether that changed anything.
fn insert(elements: &mut Vec<Element>, element: Element) -> bool {
    let known = elements.contains(&element);
    if !known {
        elements.push(element);
    }
    !known
}

/// Takes an element out; whether that changed anything. Ports go one by one: a part of a range may go.
fn remove(elements: &mut Vec<Element>, element: &Element) -> bool {
    let before = elements.clone();
    let Element::Ports(gone) = element else {
        elements.retain(|other| other != element);
        return *elements != before;
    };
    *elements = Vec::new();
    for other in &before {
        let Element::Ports(ports) = other else {
            elements.push(other.clone());
            continue;
        };
        let below = gone.start().checked_sub(1).map(|end| *ports.start()..=end.min(*ports.end()));
        let above = gone.end().checked_add(1).map(|start| start.max(*ports.start())..=*ports.end());
        elements.extend([below, above].into_iter().flatten().filter(|left| !left.is_empty()).map(Element::Ports));
    }
    *elements != before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_range_of_ports_goes() {
        let mut elements = vec![Element::Ports(80..=90), Element::Mac([0; 6])];
        assert!(remove(&mut elements, &Element::Ports(85..=85)));
        assert_eq!(elements, [Element::Ports(80..=84), Element::Ports(86..=90), Element::Mac([0; 6])]);
        assert!(!remove(&mut elements, &Element::Ports(91..=u16::MAX)));
        assert!(remove(&mut elements, &Element::Ports(0..=u16::MAX)));
        assert_eq!(elements, [Element::Mac([0; 6])]);
    }

    #[test]
    fn what_is_found_soon_is_what_is_there() {
        let v4 = |address: [u8; 4], length| Element::V4(address.into(), length);
        let list = vec![
            v4([10, 0, 0, 0], 8),
            v4([192, 0, 2, 128], 25),
            v4([198, 51, 100, 7], 32),
            Element::V6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0].into(), 33),
            Element::Ports(80..=90),
            Element::Mac([1, 2, 3, 4, 5, 6]),
        ];
        let mut keys: Vec<Vec<u8>> =
            vec![vec![0; 4], vec![0; 16], vec![0, 85], vec![0, 91], vec![1, 2, 3, 4, 5, 6], vec![0; 6]];
        for key in
            [[10, 255, 1, 1], [11, 0, 0, 0], [192, 0, 2, 127], [192, 0, 2, 128], [198, 51, 100, 7], [198, 51, 100, 6]]
        {
            keys.push(key.to_vec());
        }
        for fifth in [0, 0x7f, 0x80] {
            keys.push([&[0x20, 0x01, 0x0d, 0xb8, fifth][..], &[9; 11]].concat());
        }
        for everything in [None, Some(v4([0, 0, 0, 0], 0)), Some(Element::V6([0; 16].into(), 0))] {
            let elements = Elements::new(list.iter().cloned().chain(everything).collect());
            for key in &keys {
                assert_eq!(elements.contain(key), elements.find(key).is_some(), "{key:?}");
            }
        }
        let elements = Elements::new(list);
        assert_eq!(keys.iter().filter(|key| elements.contain(key)).count(), 7);
    }

    #[test]
    fn an_element_is_there_once() {
        let mut elements = Vec::new();
        assert!(insert(&mut elements, Element::Mac([1; 6])));
        assert!(!insert(&mut elements, Element::Mac([1; 6])));
        assert!(remove(&mut elements, &Element::Mac([1; 6])));
        assert!(elements.is_empty());
    }
}
