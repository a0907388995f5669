//! Random packets: whole ones of many kinds, which are then cut and damaged.

use crate::random::Random;

/// What a test run takes in one buffer, with pages of 4 KiB: less headroom, and the shared info at the end.
pub(crate) const ONE_BUFFER: usize = 4096 - 256 - 320;
/// Addresses that packets and rules share, so that they meet.
pub(crate) const ADDRESSES: [u32; 6] = [0x0a00_0001, 0x0a00_0002, 0x0a01_0203, 0xc0a8_0101, 0xc633_6407, 0x0000_0000];
/// Ports that packets and rules share.
pub(crate) const PORTS: [u16; 6] = [53, 80, 443, 8080, 1, 65535];

/// A packet of at least 14 bytes: the kernel runs no shorter ones.
pub(crate) fn packet(random: &mut Random) -> Vec<u8> {
    let mut packet = whole(random);
    if random.once_in(4) {
        for _ in 0..=random.below(3) {
            let at = random.below(packet.len());
            packet[at] = random.next() as u8;
        }
    }
    if random.once_in(3) {
        packet.truncate(14 + random.below(packet.len().max(15) - 14));
    }
    if random.once_in(200) {
        packet.resize(1000 + random.below(8000), 0x5a);
    }
    packet.resize(packet.len().max(14), 0);
    packet
}

fn whole(random: &mut Random) -> Vec<u8> {
    let mut packet = Vec::with_capacity(128);
    for _ in 0..2 {
        packet.extend([2, 0, 0, 0, 0, random.below(4) as u8]);
    }
    for _ in 0..[0, 0, 0, 1, 2, 3][random.below(6)] {
        packet.extend(random.pick(&[[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]]));
        packet.extend([random.below(3) as u8, random.below(3) as u8]);
    }
    match random.below(10) {
        0 => arp(random, &mut packet),
        1..=5 => v4(random, &mut packet),
        6..=8 => v6(random, &mut packet),
        _ => {
            packet.extend((random.below(2048) as u16).to_be_bytes());
            packet.extend((0..random.below(60)).map(|_| random.next() as u8));
        }
    }
    packet
}

fn arp(random: &mut Random, packet: &mut Vec<u8>) {
    packet.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + random.below(2) as u8, 2, 0, 0, 0, 0, 1]);
    packet.extend(random.pick(&ADDRESSES).to_be_bytes());
    packet.extend([0; 6]);
    packet.extend(random.pick(&ADDRESSES).to_be_bytes());
}

fn v4(random: &mut Random, packet: &mut Vec<u8>) {
    packet.extend([8, 0]);
    let start = packet.len();
    let options = *random.pick(&[0, 0, 0, 1, 3, 10]);
    let fragment: u16 = *random.pick(&[0, 0, 0, 0, 0x4000, 0x2000, 0x2001, 0x0010]);
    let protocol = *random.pick(&[6, 6, 6, 17, 17, 17, 1, 58, 132, 51, 41, 4, 41, 89]);
    packet.extend([0x45 + options as u8, random.next() as u8, 0, 0, 0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([random.next() as u8, protocol, 0, 0]);
    packet.extend(random.pick(&ADDRESSES).to_be_bytes());
    packet.extend(random.pick(&ADDRESSES).to_be_bytes());
    packet.extend(vec![1; 4 * options]);
    let header = packet.len();
    let sum = checksum(&packet[start..header]);
    packet[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    transport(random, protocol, packet);
}

fn v6(random: &mut Random, packet: &mut Vec<u8>) {
    packet.extend([0x86, 0xdd, 0x60 | random.below(16) as u8, random.next() as u8, 0, 0, 0, 0]);
    let extensions: Vec<u8> =
        (0..[0, 0, 0, 0, 1, 2, 9][random.below(7)]).map(|_| *random.pick(&[0, 43, 44, 51, 60, 60])).collect();
    let protocol = *random.pick(&[6, 6, 17, 17, 58, 132, 59, 4, 41, 89]);
    packet.extend([extensions.first().copied().unwrap_or(protocol), 64]);
    for _ in 0..2 {
        packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(random.pick(&ADDRESSES).to_be_bytes());
    }
    for (at, kind) in extensions.iter().enumerate() {
        let next = extensions.get(at + 1).copied().unwrap_or(protocol);
        let words = if random.once_in(6) { random.below(4) as u8 } else { 0 };
        match kind {
            44 => packet.extend([next, 0, 0, *random.pick(&[0, 1, 1, 8]), 0, 0, 0, 1]),
            51 => {
                packet.extend([next, words]);
                packet.extend(vec![0; 4 * (usize::from(words) + 2) - 2]);
            }
            _ => {
                packet.extend([next, words]);
                packet.extend(vec![0; 8 * (usize::from(words) + 1) - 2]);
            }
        }
    }
    transport(random, protocol, packet);
}

fn transport(random: &mut Random, protocol: u8, packet: &mut Vec<u8>) {
    let (from, to) = (*random.pick(&PORTS), *random.pick(&PORTS));
    match protocol {
        4 | 41 if !random.once_in(8) => return inner(random, protocol == 41, packet),
        17 if random.once_in(3) => {
            packet.extend(from.to_be_bytes());
            packet.extend(random.pick(&[6080u16, 6080, 9886, 53]).to_be_bytes());
            packet.extend([0, 20, 0, 0]);
            let v6 = random.once_in(2);
            return inner(random, v6, packet);
        }
        6 | 17 | 132 => {
            packet.extend(from.to_be_bytes());
            packet.extend(to.to_be_bytes());
            match protocol {
                6 => packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, random.next() as u8, 1, 0]),
                17 => packet.extend([0, 20]),
                _ => packet.extend([0; 8]),
            }
            // A checksum of zero, or any other.
            packet.extend(if random.once_in(3) { [0, 0] } else { [random.next() as u8, random.next() as u8] });
            packet.extend([0, 0]);
        }
        _ => packet.extend([8, 0, random.next() as u8, random.next() as u8, 0, 0, 0, 0]),
    }
    packet.extend((0..random.below(20)).map(|_| random.next() as u8));
}

/// A packet in outer headers.
fn inner(random: &mut Random, v6: bool, packet: &mut Vec<u8>) {
    let start = packet.len();
    if v6 {
        self::v6(random, packet);
    } else {
        v4(random, packet);
    }
    packet.drain(start..start + 2);
}

pub(crate) fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
