//! Packets that match a line, and such that just miss it.

use std::ops::RangeInclusive;

use xdpilot_core::random::Random;

use crate::lines::{ALL, Line, WITH_PORTS};

/// Of a hundred packets so many miss their line by one field, and so many numbers are the first or the last of a range.
const MISSES: usize = 25;
const CORNERS: usize = 30;

/// What a packet is made of.
struct Point {
    addresses: [u32; 2],
    ports: [u16; 2],
    protocol: u8,
    ethertype: u16,
    fragment: u16,
    /// How many bytes it has at most.
    length: usize,
}

/// A packet at a random point of a random line, or beside it.
pub(crate) fn draw(lines: &[Line], random: &mut Random) -> Vec<u8> {
    let line = &lines[random.below(lines.len())];
    let mut point = within(line, random);
    if random.chance(MISSES) {
        miss(line, &mut point, random);
    }
    frame(&point, random)
}

fn within(line: &Line, random: &mut Random) -> Point {
    let any = if line.ports == [ALL, ALL] { &[1, 2, 6, 17, 47, 50, 132][..] } else { &WITH_PORTS[..] };
    Point {
        addresses: [0, 1].map(|side| inside(line.addresses[side].clone(), random)),
        ports: [0, 1].map(|side| {
            let range = &line.ports[side];
            inside(u32::from(*range.start())..=u32::from(*range.end()), random) as u16
        }),
        protocol: line.protocol.unwrap_or(any[random.below(any.len())]),
        ethertype: 0x0800,
        fragment: [0, 0, 0x4000, 0x2000][random.below(4)],
        length: usize::MAX,
    }
}

fn inside(range: RangeInclusive<u32>, random: &mut Random) -> u32 {
    let corners = [*range.start(), *range.end()];
    if random.chance(CORNERS) { corners[random.below(2)] } else { random.between(corners[0], corners[1]) }
}

/// Changes one field.
fn miss(line: &Line, point: &mut Point, random: &mut Random) {
    let side = random.below(2);
    match random.below(8) {
        // The prefix's last bit, or any.
        0 => point.addresses[side] ^= (line.addresses[side].end() - line.addresses[side].start()).wrapping_add(1),
        1 => point.addresses[side] ^= 1 << random.below(32),
        2 => point.ports[side] = line.ports[side].end().wrapping_add(1),
        3 => point.ports[side] = line.ports[side].start().wrapping_sub(1),
        4 => point.protocol = random.next() as u8,
        5 => point.ethertype = [0x86dd, 0x0806, 0x8100][random.below(3)],
        6 => point.fragment = 1 + random.below(0x1fff) as u16,
        _ => point.length = 14 + random.below(40),
    }
}

fn frame(point: &Point, random: &mut Random) -> Vec<u8> {
    let options = if random.chance(10) { 1 + random.below(10) } else { 0 };
    let mut packet = vec![2; 12];
    packet.extend(point.ethertype.to_be_bytes());
    packet.extend([0x45 + options as u8, 0, 0, 40, 0, 1]);
    packet.extend(point.fragment.to_be_bytes());
    packet.extend([64, point.protocol, 0, 0]);
    packet.extend(point.addresses.iter().flat_map(|address| address.to_be_bytes()));
    packet.extend((0..4 * options).map(|_| random.next() as u8));
    packet.extend(point.ports.iter().flat_map(|port| port.to_be_bytes()));
    packet.extend((0..16).map(|_| random.next() as u8));
    packet.truncate(point.length);
    packet
}
