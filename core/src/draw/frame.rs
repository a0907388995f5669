//! Well-formed frames with random contents.

use crate::cond::{Value, Width};
use crate::packet::{ethertype, is_tag, protocol};
use crate::random::Random;

/// At most so many VLAN tags are stepped over.
const TAGS: u32 = 2;

/// What a frame carries; chance decides where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// The types behind the Ethernet addresses, those of tags first.
    types: Vec<u16>,
    /// The protocols of the IP header, and of what is behind it.
    protocols: Vec<u8>,
}

impl Headers {
    /// Those that these numbers ask for.
    pub(super) fn of(values: &[(Value, u32)]) -> Self {
        let at = |offset: u32, width: Width| {
            let wanted = Value::load(offset, width);
            values.iter().find(|(value, _)| *value == wanted).map(|(_, number)| *number)
        };
        let mut types: Vec<u16> = Vec::new();
        let mut network = 14;
        for tag in 0..=TAGS {
            let Some(found) = at(12 + 4 * tag, Width::Two).and_then(|number| u16::try_from(number).ok()) else { break };
            types.push(found);
            network = 14 + 4 * tag;
            if !is_tag(found) {
                break;
            }
        }
        let field = match types.last() {
            Some(&ethertype::IPV6) => 6,
            _ => 9,
        };
        let places = [network + field, network + 40];
        let found = places.map(|offset| at(offset, Width::One).and_then(|number| u8::try_from(number).ok()));
        Headers { types, protocols: found.into_iter().map_while(|found| found).collect() }
    }
}

/// A frame of so many bytes, or a few more where its headers need them. Checksums are zero.
pub(super) fn frame(headers: &Headers, length: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 1, random.next() as u8]].concat();
    let mut last = None;
    for found in &headers.types {
        if last.is_some() {
            bytes.extend([0, random.next() as u8]);
        }
        bytes.extend(found.to_be_bytes());
        last = Some(*found);
    }
    if last.is_some_and(is_tag) {
        bytes.extend([0, random.next() as u8]);
        last = None;
    }
    let carried = last.unwrap_or_else(|| {
        let carried = if random.chance(80) { ethertype::IPV4 } else { ethertype::IPV6 };
        bytes.extend(carried.to_be_bytes());
        carried
    });
    match carried {
        ethertype::IPV4 => ipv4(headers, length, random, &mut bytes),
        ethertype::IPV6 => ipv6(headers, length, random, &mut bytes),
        ethertype::ARP => {
            bytes.extend([0, 1, 8, 0, 6, 4, 0, 1]);
            bytes.extend(random.bytes::<20>());
        }
        _ => bytes.extend(random.bytes::<46>()),
    }
    bytes.resize(length, 0);
    bytes
}

/// A transport protocol: TCP in most cases.
fn any(random: &mut Random) -> u8 {
    if random.chance(70) { protocol::TCP } else { protocol::UDP }
}

fn ipv4(headers: &Headers, length: usize, random: &mut Random, bytes: &mut Vec<u8>) {
    let carried = headers.protocols.first().copied().unwrap_or_else(|| any(random));
    let total = u16::try_from(length.saturating_sub(bytes.len())).unwrap_or(u16::MAX);
    bytes.extend([0x45, 0]);
    bytes.extend(total.to_be_bytes());
    bytes.extend(random.bytes::<2>());
    bytes.extend([0x40, 0, 32 + random.below(224) as u8, carried, 0, 0]);
    bytes.extend(random.bytes::<8>());
    transport(carried, random, bytes);
}

fn ipv6(headers: &Headers, length: usize, random: &mut Random, bytes: &mut Vec<u8>) {
    let carried = headers.protocols.first().copied().unwrap_or_else(|| any(random));
    let payload = u16::try_from(length.saturating_sub(bytes.len() + 40)).unwrap_or(u16::MAX);
    bytes.extend([0x60, 0, 0, 0]);
    bytes.extend(payload.to_be_bytes());
    bytes.extend([carried, 64]);
    bytes.extend(random.bytes::<32>());
    match carried {
        protocol::FRAGMENT => {
            let inner = headers.protocols.get(1).copied().unwrap_or_else(|| any(random));
            bytes.extend([inner, 0, 0, 1]);
            bytes.extend(random.bytes::<4>());
            transport(inner, random, bytes);
        }
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => {
            let inner = headers.protocols.get(1).copied().unwrap_or_else(|| any(random));
            bytes.extend([inner, 0, 1, 4, 0, 0, 0, 0]);
            transport(inner, random, bytes);
        }
        _ => transport(carried, random, bytes),
    }
}

fn transport(carried: u8, random: &mut Random, bytes: &mut Vec<u8>) {
    match carried {
        protocol::TCP => {
            bytes.extend(random.bytes::<12>());
            bytes.extend([0x50, if random.chance(5) { 0x02 } else { 0x10 }, 0xff, 0xff, 0, 0, 0, 0]);
        }
        protocol::UDP => {
            bytes.extend(random.bytes::<4>());
            bytes.extend([0, 40, 0, 0]);
        }
        protocol::ICMP | protocol::ICMP6 => bytes.extend([8, 0, 0, 0]),
        _ => {}
    }
    bytes.extend(random.bytes::<40>());
}
