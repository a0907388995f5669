//! Packets of a few clients, so that connections begin, go on and are forgotten; and a share of anything.

use xdpilot_core::eval::checksum;
use xdpilot_core::packet::{layers, protocol};

use crate::packets;
use crate::pools::IDS;
use crate::random::Random;

/// A packet of a history.
pub(crate) fn packet(random: &mut Random) -> Vec<u8> {
    if random.once_in(8) {
        let mut packet = packets::packet(random);
        packet.truncate(3400);
        return packet;
    }
    let v6 = random.once_in(3);
    let mut packet = ethernet(random, v6);
    let inner = if random.once_in(10) { error(random, v6) } else { message(random, v6, false) };
    packet.extend(inner);
    if random.once_in(3) {
        leave_checksum(&mut packet, random.once_in(8));
    }
    if random.once_in(20) {
        packet.extend([0; 6]);
    }
    if random.once_in(30) {
        let at = random.below(packet.len());
        packet[at] ^= 1 << random.below(8);
    }
    packet
}

/// Makes the checksum what a sender leaves to its device: the sum of the pseudo header. With `right` the payload is so
/// that this is the checksum by chance.
pub(crate) fn leave_checksum(packet: &mut [u8], right: bool) {
    let length = packet.len();
    let Some(ip) = layers(packet).ip else { return };
    let (Some(transport), Some(at), Some(protocol)) = (ip.transport, ip.checksum, ip.protocol) else { return };
    let words = [((length - transport) as u16).to_be_bytes(), [0, protocol]].concat();
    let sum = !checksum::of(&[&packet[ip.src()], &packet[ip.dst()], &words]);
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let payload = transport + if protocol == protocol::UDP { 8 } else { 20 };
    if right && packet.len() >= payload + 2 {
        packet[payload..payload + 2].copy_from_slice(&[0, 0]);
        let word = checksum::of(&[&sum.to_be_bytes(), &packet[transport..]]);
        packet[payload..payload + 2].copy_from_slice(&word.to_be_bytes());
    }
}

fn ethernet(random: &mut Random, v6: bool) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, random.below(4) as u8];
    for _ in 0..[0, 0, 0, 1, 2][random.below(5)] {
        packet.extend([0x81, 0, 0, random.below(5) as u8]);
    }
    packet.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
    packet
}

/// An IP packet from a client to a service, or back.
fn message(random: &mut Random, v6: bool, back: bool) -> Vec<u8> {
    let (protocol, segment) = segment(random, v6, back);
    let client = 1 + random.below(6) as u8;
    let service = 1 + random.below(3) as u8;
    let (from, to) = if back { (service + 80, client) } else { (client, service + 80) };
    ip(random, v6, protocol, [host(v6, from), host(v6, to)], &segment)
}

fn segment(random: &mut Random, v6: bool, back: bool) -> (u8, Vec<u8>) {
    let (client, service) = ([0x9c, random.below(8) as u8], [0, [80u8, 53][random.below(2)]]);
    let ports = if back { [service, client].concat() } else { [client, service].concat() };
    let payload = match random.below(30) {
        0 => 1400 + random.below(100),
        1 => 1460,
        _ => random.below(40),
    };
    match random.below(20) {
        0..=10 => {
            let flags = *random.pick(&[0x02, 0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0xc2]);
            let head = [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0x12, 0x34, 0, 0]].concat();
            (6, [head, vec![7; payload]].concat())
        }
        11..=16 => {
            let payload = if random.once_in(3) { vec![7; payload] } else { quic(random, payload) };
            let length = ((8 + payload.len()) as u16).to_be_bytes();
            (17, [&ports[..], &length, &[0x56, 0x78], &payload].concat())
        }
        17 | 18 => {
            let (protocol, kind) = if v6 { (58, 128) } else { (1, 8) };
            let kind = if random.once_in(4) { random.next() as u8 } else { kind };
            (protocol, [&[kind, 0, 0xab, 0xcd, 0, 1, 0, 2][..], &vec![9; payload]].concat())
        }
        _ => (*random.pick(&[50, 47, 132, 2]), vec![1; 12 + payload]),
    }
}

/// A packet of QUIC, so much of it: most have the number of a server in their connection id, some of those are cut off.
fn quic(random: &mut Random, more: usize) -> Vec<u8> {
    let known = if random.once_in(3) { IDS.len() } else { 3 };
    let (form, server) = (random.below(4) as u8, *random.pick(&IDS[..known]));
    let rest = random.next() as u8;
    let id = match form {
        1 => ((1 << 22 | (server & 0xffff) << 6) | u32::from(rest & 0x3f)).to_be_bytes()[1..].to_vec(),
        2 => [&[0x80 | rest & 0x3f], &server.to_be_bytes()[1..]].concat(),
        _ => [&[form << 6 | rest & 0x3f], &server.to_be_bytes()[..]].concat(),
    };
    let id = [id, random.next().to_be_bytes().to_vec()].concat();
    let mut packet = if random.once_in(2) {
        [&[random.next() as u8 & 0x7f], &id[..]].concat()
    } else {
        let version: u32 = *random.pick(&[1, 1, 1, 0x6b33_43cf, 0x6b33_43cf, 0, 2, 0x0100_0000]);
        let kind = *random.pick(&[0xc0, 0xd0, 0xe0, 0xe0, 0xf0, 0xf0]) | rest & 0xf;
        let length = *random.pick(&[8, 8, 8, 20, 7, 21, 0, 0xff]);
        [&[kind], &version.to_be_bytes()[..], &[length], &id].concat()
    };
    packet.extend(vec![7; more]);
    if random.once_in(8) {
        packet.truncate(random.below(18));
    }
    packet
}

/// The address of a host.
fn host(v6: bool, number: u8) -> Vec<u8> {
    if v6 { vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number] } else { vec![192, 0, 2, number] }
}

fn ip(random: &mut Random, v6: bool, protocol: u8, hosts: [Vec<u8>; 2], payload: &[u8]) -> Vec<u8> {
    let class = if random.once_in(3) { random.next() as u8 } else { 0 };
    if v6 {
        let (next, more) = extensions(random, protocol);
        let mut packet = vec![0x60 | class >> 4, class << 4, 0, 0];
        packet.extend(((more.len() + payload.len()) as u16).to_be_bytes());
        packet.extend([next, 1 + random.next() as u8 % 64]);
        packet.extend(hosts.concat());
        return [packet, more, payload.to_vec()].concat();
    }
    let options = if random.once_in(10) { 4 * random.below(11) } else { 0 };
    let fragment: u16 = *random.pick(&[0, 0, 0, 0x4000, 0x4000, 0x4000, 0x4000, 0, 0, 0x2000, 0x0010]);
    let mut packet = vec![0x45 + (options / 4) as u8, class];
    packet.extend(((20 + options + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([1 + random.next() as u8 % 64, protocol, 0, 0]);
    packet.extend(hosts.concat());
    packet.extend(vec![1; options]);
    let sum = packets::checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// IPv6 extension headers before a protocol, none mostly: the first one's number, and all of them.
fn extensions(random: &mut Random, protocol: u8) -> (u8, Vec<u8>) {
    let count = if random.once_in(8) { *random.pick(&[1, 1, 1, 2, 3, 8, 9]) } else { 0 };
    let (mut next, mut all) = (protocol, Vec::new());
    for _ in 0..count {
        let kind = *random.pick(&[0, 43, 44, 44, 60, 60, 51]);
        let (units, any) = (*random.pick(&[0, 0, 0, 1, 2]), random.next() as u8);
        let header = match kind {
            44 => vec![next, 0, 0, *random.pick(&[0, 0, 0, 1, 6, any]), 0, 0, 0, 1],
            51 => [vec![next, units as u8 + 1], vec![0; 4 * units + 10]].concat(),
            _ => [vec![next, units as u8, 1, 4], vec![0; 8 * units + 4]].concat(),
        };
        all = [header, all].concat();
        next = kind;
    }
    (next, all)
}

/// An ICMP error about a packet of a service.
fn error(random: &mut Random, v6: bool) -> Vec<u8> {
    let returned = message(random, v6, true);
    error_about(random, v6, returned)
}

/// An ICMP error about an IP packet, mostly to the host that sent it, from the one that it was sent to or from a router.
fn error_about(random: &mut Random, v6: bool, mut returned: Vec<u8>) -> Vec<u8> {
    let (from, to) = if v6 { (8..24, 24..40) } else { (12..16, 16..20) };
    let sender = if random.once_in(16) { host(v6, 81) } else { returned[from].to_vec() };
    let receiver = if random.once_in(2) { host(v6, 200) } else { returned[to].to_vec() };
    if random.once_in(4) {
        // No checksum, or one that becomes none.
        let at = if v6 { 46 } else { 26 };
        returned.get_mut(at..at + 2).iter_mut().for_each(|sum| sum.fill(*random.pick(&[0, 0xff])));
    }
    let least = *random.pick(&[28, 46, 48, 66, 68, 96]);
    returned.truncate(random.below(returned.len() + 1).max(least).min(returned.len()));
    let kind = if v6 { *random.pick(&[1, 2, 3, 4, 5]) } else { *random.pick(&[3, 3, 11, 12, 4, 5]) };
    let mut message = [&[kind, random.below(5) as u8, 0x11, 0x22, 0, 0, 5, 0][..], &returned].concat();
    if random.once_in(8) {
        message[2..4].fill(*random.pick(&[0, 0xff]));
    }
    ip(random, v6, if v6 { 58 } else { 1 }, [receiver, sender], &message)
}

/// An ICMP error about a packet that was sent; none where it is no IP packet.
pub(crate) fn error_about_sent(random: &mut Random, sent: &[u8]) -> Option<Vec<u8>> {
    let ip = layers(sent).ip?;
    let mut packet = ethernet(random, ip.v6);
    packet.extend(error_about(random, ip.v6, sent[ip.at..].to_vec()));
    Some(packet)
}
