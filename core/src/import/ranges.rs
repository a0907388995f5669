//! Ranges of addresses and ports, in the forms that other tools write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::filter::names;
use crate::policy::Element;
use crate::prefix::split;

/// An address, a prefix (with its length or a mask), or a range from one address to another; bits behind the length are cleared.
pub(super) fn addresses(word: &str) -> Option<Vec<Element>> {
    if let Some((low, high)) = word.split_once('-') {
        return match (low.trim().parse().ok()?, high.trim().parse().ok()?) {
            (IpAddr::V4(low), IpAddr::V4(high)) if low <= high => Some(prefixes_v4(low, high)),
            (IpAddr::V6(low), IpAddr::V6(high)) if low <= high => Some(prefixes_v6(low, high)),
            _ => None,
        };
    }
    let (address, length) = word.split_once('/').map_or((word, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let length = match length {
        None => {
            if address.is_ipv4() {
                32
            } else {
                128
            }
        }
        Some(length) => match length.parse() {
            Ok(length) => length,
            Err(_) => mask_length(length.parse().ok()?)?,
        },
    };
    prefix(address, length).map(|element| vec![element])
}

/// A prefix, with the bits behind its length cleared.
pub(super) fn prefix(address: IpAddr, length: u8) -> Option<Element> {
    match address {
        IpAddr::V4(address) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Some(Element::V4(Ipv4Addr::from_bits(address.to_bits() & mask), length))
        }
        IpAddr::V6(address) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Some(Element::V6(Ipv6Addr::from_bits(address.to_bits() & mask), length))
        }
        _ => None,
    }
}

/// The length of a prefix by its mask; none for a mask with holes.
fn mask_length(mask: IpAddr) -> Option<u8> {
    match mask {
        IpAddr::V4(mask) => {
            (mask.to_bits().leading_ones() == mask.to_bits().count_ones()).then(|| mask.to_bits().leading_ones() as u8)
        }
        IpAddr::V6(mask) => {
            (mask.to_bits().leading_ones() == mask.to_bits().count_ones()).then(|| mask.to_bits().leading_ones() as u8)
        }
    }
}

/// What of a prefix is in none of the longer ones among others.
pub(super) fn without(element: &Element, others: &[Element]) -> Vec<Element> {
    let Some((v6, length, low, high)) = bounds(element) else { return vec![element.clone()] };
    let inside = |other: &Element| {
        bounds(other)
            .filter(|(family, longer, first, last)| *family == v6 && *longer > length && *first >= low && *last <= high)
    };
    let mut holes: Vec<(u128, u128)> =
        others.iter().filter_map(inside).map(|(.., first, last)| (first, last)).collect();
    if holes.is_empty() {
        return vec![element.clone()];
    }
    holes.sort_unstable();
    let (mut left, mut next) = (Vec::new(), Some(low));
    for (first, last) in holes {
        let Some(from) = next.filter(|from| *from <= last) else { continue };
        if from < first {
            left.push((from, first - 1));
        }
        next = last.checked_add(1);
    }
    left.extend(next.filter(|from| *from <= high).map(|from| (from, high)));
    let prefix = |(first, length): (u128, u8)| match v6 {
        true => Element::V6(Ipv6Addr::from_bits(first), length),
        false => Element::V4(Ipv4Addr::from_bits(first as u32), length),
    };
    left.into_iter().flat_map(|(low, high)| split(low, high, if v6 { 128 } else { 32 })).map(prefix).collect()
}

/// Whether a prefix is of IPv6, its length, its first and its last address.
fn bounds(element: &Element) -> Option<(bool, u8, u128, u128)> {
    let (v6, length, first, bits) = match element {
        Element::V4(address, length) => (false, *length, u128::from(address.to_bits()), 32),
        Element::V6(address, length) => (true, *length, address.to_bits(), 128),
        _ => return None,
    };
    let rest = 1u128.checked_shl(bits - u32::from(length)).map_or(u128::MAX, |size| size - 1);
    Some((v6, length, first, first | rest))
}

fn prefixes_v4(low: Ipv4Addr, high: Ipv4Addr) -> Vec<Element> {
    let split = split(u128::from(low.to_bits()), u128::from(high.to_bits()), 32);
    split.map(|(first, length)| Element::V4(Ipv4Addr::from_bits(first as u32), length)).collect()
}

fn prefixes_v6(low: Ipv6Addr, high: Ipv6Addr) -> Vec<Element> {
    let split = split(low.to_bits(), high.to_bits(), 128);
    split.map(|(first, length)| Element::V6(Ipv6Addr::from_bits(first), length)).collect()
}

/// A port by its number or name.
pub(super) fn port(word: &str) -> Option<u16> {
    word.parse().ok().or_else(|| names::service(word).map(|service| service.port))
}

/// `22`, `ssh`, or a range with this between its ends, of which each may be missing.
pub(super) fn ports(word: &str, between: char) -> Option<RangeInclusive<u16>> {
    let one = |word: &str, missing: u16| if word.is_empty() { Some(missing) } else { port(word) };
    if let Some(port) = port(word) {
        return Some(port..=port);
    }
    let (low, high) = word.split_once(between)?;
    let range = one(low, 0)?..=one(high, u16::MAX)?;
    (!range.is_empty()).then_some(range)
}

/// The ports that are in none of these ranges.
pub(super) fn other_ports(ranges: &[RangeInclusive<u16>]) -> Vec<RangeInclusive<u16>> {
    let mut sorted: Vec<_> = ranges.iter().map(|range| (u32::from(*range.start()), u32::from(*range.end()))).collect();
    sorted.sort_unstable();
    let (mut others, mut next) = (Vec::new(), 0u32);
    for (low, high) in sorted.into_iter().chain([(0x1_0000, 0x1_0000)]) {
        if low > next {
            others.push(next as u16..=(low - 1) as u16);
        }
        next = next.max(high + 1);
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str) -> String {
        addresses(word).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_in_all_their_forms() {
        assert_eq!(text("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(text("10.1.2.3/255.255.0.0"), "10.1.0.0/16");
        assert_eq!(text("2001:db8::1/32"), "2001:db8::/32");
        assert_eq!(text("10.0.0.1-10.0.0.6"), "10.0.0.1 10.0.0.2/31 10.0.0.4/31 10.0.0.6");
        assert_eq!(text("0.0.0.0-255.255.255.255"), "0.0.0.0/0");
        assert_eq!(text("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0");
        assert_eq!(text("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").split(' ').count(), 128);
        for wrong in ["10.0.0.1/33", "10.0.0.9-10.0.0.1", "10.0.0.1/255.0.255.0", "x", "10.0.0.1-::1"] {
            assert_eq!(addresses(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ports_and_the_others() {
        assert_eq!(ports("ssh", ':'), Some(22..=22));
        assert_eq!(ports("1024:", ':'), Some(1024..=65535));
        assert_eq!(ports("9:1", ':'), None);
        assert_eq!(other_ports(&[80..=80, 0..=10, 443..=65535]), [11..=79, 81..=442]);
        assert_eq!(other_ports(&[]), [0..=65535]);
        assert!(other_ports(&[0..=65535]).is_empty());
    }
}
