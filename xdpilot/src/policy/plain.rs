//! Elements of sets as the kernel's tries, hashes and bitmaps hold them.

use std::net::{Ipv4Addr, Ipv6Addr};

use xdpilot_core::cond::Part;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{Element, Tuple};
use xdpilot_kernel::map::Map;

use super::elements::is_full;

/// The value of an element that is there.
const THERE: [u8; 4] = 1u32.to_ne_bytes();
/// The only key of a map of ports.
const PORTS: [u8; 4] = 0u32.to_ne_bytes();

/// Bytes of a bitmap of all ports.
const PORT_BYTES: usize = 8192;

/// Puts the elements of the map's kind into a map that is empty; those of other kinds are left out.
///
/// # Errors
/// There is no room for them, or the kernel refuses.
pub(super) fn fill(map: &Map, kind: Part, elements: &[Element]) -> Result<()> {
    let fitting = elements.iter().filter(|element| element.part() == kind);
    if kind == Part::Port {
        return change_ports(map, fitting, true).map(drop);
    }
    let keys: Vec<Vec<u8>> = fitting.map(key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    map.update_all(keys.iter().map(|key| (&key[..], &THERE[..]))).map_err(|error| room(map, error))
}

/// Adds the elements of the map's kind; how many were not there before (of ports: numbers, not ranges).
///
/// # Errors
/// As [`fill`].
pub(super) fn add(map: &Map, kind: Part, elements: &[Element]) -> Result<usize> {
    let fitting = elements.iter().filter(|element| element.part() == kind);
    if kind == Part::Port {
        return change_ports(map, fitting, true);
    }
    let mut added = 0;
    for element in fitting {
        added += usize::from(map.insert(&key(element), &THERE).map_err(|error| room(map, error))?);
    }
    Ok(added)
}

/// Removes the elements of the map's kind; how many were there, counted as [`add`] does.
///
/// # Errors
/// The kernel refuses.
pub(super) fn remove(map: &Map, kind: Part, elements: &[Element]) -> Result<usize> {
    let fitting = elements.iter().filter(|element| element.part() == kind);
    if kind == Part::Port {
        return change_ports(map, fitting, false);
    }
    let keys: Vec<Vec<u8>> = fitting.map(key).collect();
    map.delete_all(keys.iter().map(Vec::as_slice))
}

/// Whether an address is in the set all the same, by a wider prefix.
///
/// # Errors
/// The kernel refuses.
pub(super) fn covers(map: &Map, element: &Element) -> Result<bool> {
    Ok(matches!(element, Element::V4(..) | Element::V6(..)) && map.lookup(&key(element))?.is_some())
}

/// What is in a map, in order.
///
/// # Errors
/// The kernel refuses.
pub(super) fn list(map: &Map, kind: Part) -> Result<Vec<Element>> {
    if kind == Part::Port {
        return Ok(ranges(&map.first()?));
    }
    let mut keys = map.keys()?;
    match kind {
        // The length of a prefix stands before its address, which is the better order.
        Part::V4 | Part::V6 => keys.sort_by(|a, b| (a.get(4..), a).cmp(&(b.get(4..), b))),
        _ => keys.sort(),
    }
    keys.dedup();
    Ok(keys.iter().filter_map(|key| element(kind, key)).collect())
}

/// How many elements are in a map; ranges of ports count once.
///
/// # Errors
/// The kernel refuses.
pub(super) fn count(map: &Map, kind: Part) -> Result<usize> {
    if kind == Part::Port { Ok(ranges(&map.first()?).len()) } else { Ok(map.keys()?.len()) }
}

fn room(map: &Map, error: Error) -> Error {
    match is_full(&error) {
        true => error.cause(format!("it has room for {} elements", map.info().max_entries)),
        false => error,
    }
}

/// The key of an element; that of ports is the map's only one.
fn key(element: &Element) -> Vec<u8> {
    let prefix = |length: u8, address: &[u8]| [&u32::from(length).to_ne_bytes()[..], address].concat();
    match element {
        Element::V4(address, length) => prefix(*length, &address.octets()),
        Element::V6(address, length) => prefix(*length, &address.octets()),
        Element::Mac(mac) => mac.to_vec(),
        Element::Tuple(tuple) => tuple.key(),
        Element::Ports(_) => PORTS.to_vec(),
    }
}

/// The element of a key.
fn element(kind: Part, key: &[u8]) -> Option<Element> {
    let prefix = || {
        let (length, address) = key.split_first_chunk::<4>()?;
        Some((u8::try_from(u32::from_ne_bytes(*length)).ok()?, address))
    };
    match kind {
        Part::V4 => prefix().and_then(|(length, address)| {
            Some(Element::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?), length))
        }),
        Part::V6 => prefix().and_then(|(length, address)| {
            Some(Element::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?), length))
        }),
        Part::Mac => Some(Element::Mac(key.try_into().ok()?)),
        Part::Tuple(layout) => Tuple::of_key(layout, key).map(Element::Tuple),
        Part::Port => None,
    }
}

/// Sets or clears the bits of ports; how many of them changed.
fn change_ports<'a>(map: &Map, elements: impl Iterator<Item = &'a Element>, there: bool) -> Result<usize> {
    let mut bits = map.first()?;
    let mut changed = 0;
    for element in elements {
        let Element::Ports(range) = element else { continue };
        for port in range.clone() {
            let (byte, bit) = (usize::from(port / 8), 1u8 << (port % 8));
            if let Some(byte) = bits.get_mut(byte)
                && (*byte & bit != 0) != there
            {
                *byte ^= bit;
                changed += 1;
            }
        }
    }
    if changed > 0 {
        map.update(&PORTS, &bits)?;
    }
    Ok(changed)
}

/// Makes of a map that holds the ports of `old` one that holds those of `new`, and leaves what else is in it; how many
/// were added and removed.
///
/// # Errors
/// The kernel refuses.
pub(super) fn apply_ports(map: &Map, old: &[Element], new: &[Element]) -> Result<(usize, usize)> {
    let (old, new) = (bits(old), bits(new));
    let mut now = map.first()?;
    let (mut added, mut removed) = (0, 0);
    for (now, (old, new)) in now.iter_mut().zip(old.iter().zip(&new)) {
        let (more, fewer) = (new & !old & !*now, old & !new & *now);
        added += more.count_ones() as usize;
        removed += fewer.count_ones() as usize;
        *now = (*now | more) & !fewer;
    }
    if added + removed > 0 {
        map.update(&PORTS, &now)?;
    }
    Ok((added, removed))
}

/// The bits of the ports among these.
fn bits(elements: &[Element]) -> Vec<u8> {
    let mut bits = vec![0; PORT_BYTES];
    for element in elements {
        if let Element::Ports(range) = element {
            range.clone().for_each(|port| bits[usize::from(port / 8)] |= 1 << (port % 8));
        }
    }
    bits
}

/// The ranges of the bits that are set.
fn ranges(bits: &[u8]) -> Vec<Element> {
    let set = |port: u16| bits.get(usize::from(port / 8)).is_some_and(|byte| byte & (1 << (port % 8)) != 0);
    let mut out: Vec<Element> = Vec::new();
    let mut begin = None;
    for port in 0..=u16::MAX {
        match (set(port), begin) {
            (true, None) => begin = Some(port),
            (false, Some(first)) => {
                out.push(Element::Ports(first..=port - 1));
                begin = None;
            }
            _ => {}
        }
    }
    out.extend(begin.map(|first| Element::Ports(first..=u16::MAX)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_ranges_of_bits() {
        let mut bits = vec![0u8; 8192];
        assert_eq!(ranges(&bits), []);
        (bits[0], bits[1], bits[8191]) = (0b1000_0011, 1, 0x80);
        assert_eq!(ranges(&bits), [Element::Ports(0..=1), Element::Ports(7..=8), Element::Ports(65535..=65535)]);
        assert_eq!(ranges(&vec![0xFF; 8192]), [Element::Ports(0..=u16::MAX)]);
    }

    #[test]
    fn keys_lead_back_to_elements() {
        let all = [
            Element::V4(Ipv4Addr::new(10, 0, 0, 0), 8),
            Element::V6("2001:db8::".parse().unwrap(), 32),
            Element::Mac([2, 0, 0, 0, 0, 9]),
        ];
        for one in all {
            assert_eq!(element(one.part(), &key(&one)), Some(one));
        }
        assert_eq!(element(Part::V4, &[1]), None);
    }
}
