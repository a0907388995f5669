//! Actions that rewrite a packet. One that lacks the field is left as it is, to the last bit; a packet shorter than an
//! Ethernet header lacks every field.

use std::ops::Range;

use super::checksum;
use crate::packet::{Ip, ethertype, is_tag, layers, protocol};
use crate::policy::Assignment;

const ETHERNET: usize = 14;
/// The two addresses of an Ethernet header.
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// `set FIELD VALUE`.
pub fn assign(assignment: &Assignment, packet: &mut Vec<u8>) {
    if packet.len() < ETHERNET {
        return;
    }
    let ip = layers(packet).ip;
    match (assignment, ip) {
        (Assignment::EtherDst(address), _) => packet[..6].copy_from_slice(address),
        (Assignment::EtherSrc(address), _) => packet[6..12].copy_from_slice(address),
        (Assignment::VlanPush(id), _) => vlan_push(packet, *id),
        (Assignment::VlanPop, _) => vlan_pop(packet),
        (Assignment::Decap, Some(ip)) => super::decap::decap(packet, &ip),
        (Assignment::SrcV4(address), Some(ip)) if !ip.v6 => set_address(packet, &ip, ip.src(), &address.octets()),
        (Assignment::DstV4(address), Some(ip)) if !ip.v6 => set_address(packet, &ip, ip.dst(), &address.octets()),
        (Assignment::SrcV6(address), Some(ip)) if ip.v6 => set_address(packet, &ip, ip.src(), &address.octets()),
        (Assignment::DstV6(address), Some(ip)) if ip.v6 => set_address(packet, &ip, ip.dst(), &address.octets()),
        (Assignment::SrcPort(port), Some(ip)) => set_port(packet, &ip, 0, *port),
        (Assignment::DstPort(port), Some(ip)) => set_port(packet, &ip, 2, *port),
        (Assignment::Ttl(ttl), Some(ip)) => set_ttl(packet, &ip, *ttl),
        (Assignment::Dscp(dscp), Some(ip)) => set_dscp(packet, &ip, *dscp),
        _ => {}
    }
}

/// `reflect`: Ethernet and IP addresses and ports change sides. No checksum changes by that, but SCTP's, which is a CRC
/// and is left as it is.
pub fn reflect(packet: &mut [u8]) {
    if packet.len() < ETHERNET {
        return;
    }
    let ip = layers(packet).ip;
    swap(packet, 0, 6, 6);
    if let Some(ip) = ip {
        swap(packet, ip.src().start, ip.dst().start, ip.src().len());
        if let Some(ports) = ip.ports {
            swap(packet, ports, ports + 2, 2);
        }
    }
}

fn swap(packet: &mut [u8], left: usize, right: usize, size: usize) {
    (0..size).for_each(|at| packet.swap(left + at, right + at));
}

/// Covered by the IPv4 header checksum, and by the checksum of TCP, UDP and ICMPv6 over their pseudo header.
fn set_address(packet: &mut [u8], ip: &Ip, field: Range<usize>, address: &[u8]) {
    if !ip.can_rewrite() {
        return;
    }
    mend_transport(packet, ip, field.clone(), address);
    overwrite_in_header(packet, ip, field, address);
}

/// Where the checksum cannot be mended the port stays: SCTP's is a CRC of the whole packet.
fn set_port(packet: &mut [u8], ip: &Ip, offset: usize, port: u16) {
    let (Some(ports), Some(_)) = (ip.ports, ip.checksum) else { return };
    let field = ports + offset..ports + offset + 2;
    mend_transport(packet, ip, field.clone(), &port.to_be_bytes());
    packet[field].copy_from_slice(&port.to_be_bytes());
}

/// The word that changes is that of TTL and protocol.
pub(super) fn set_ttl(packet: &mut [u8], ip: &Ip, ttl: u8) {
    if ip.v6 {
        packet[ip.at + 7] = ttl;
    } else {
        let field = ip.at + 8..ip.at + 10;
        let word = [ttl, packet[ip.at + 9]];
        overwrite_in_header(packet, ip, field, &word);
    }
}

/// The word that changes is the header's first one.
fn set_dscp(packet: &mut [u8], ip: &Ip, dscp: u8) {
    let [first, second] = [packet[ip.at], packet[ip.at + 1]];
    let word = if ip.v6 {
        // Four bits of version, eight of traffic class, and those of the flow label.
        [first & 0xf0 | dscp >> 2, second & 0x3f | dscp << 6]
    } else {
        [first, second & 0b11 | dscp << 2]
    };
    overwrite_in_header(packet, ip, ip.at..ip.at + 2, &word);
}

/// Overwrites bytes of an IP header, and mends the header's checksum where it has one.
pub(super) fn overwrite_in_header(packet: &mut [u8], ip: &Ip, field: Range<usize>, new: &[u8]) {
    if !ip.v6 {
        let at = ip.at + 10;
        let mended = checksum::mend(u16_at(packet, at), &packet[field.clone()], new);
        packet[at..at + 2].copy_from_slice(&mended.to_be_bytes());
    }
    packet[field].copy_from_slice(new);
}

/// Mends the checksum of the transport header, where there is one, for a field that is to be overwritten.
pub(super) fn mend_transport(packet: &mut [u8], ip: &Ip, field: Range<usize>, new: &[u8]) {
    let Some(at) = ip.checksum else { return };
    let (old_checksum, old) = (u16_at(packet, at), &packet[field]);
    let mended = match ip.protocol {
        Some(protocol::UDP) => checksum::mend_udp(old_checksum, ip.v6, old, new),
        _ => checksum::mend(old_checksum, old, new),
    };
    packet[at..at + 2].copy_from_slice(&mended.to_be_bytes());
}

/// A tag of priority 0 behind the addresses.
fn vlan_push(packet: &mut Vec<u8>, id: u16) {
    let [high, low] = (id & 0xfff).to_be_bytes();
    let [type_high, type_low] = ethertype::VLAN.to_be_bytes();
    packet.splice(ADDRESSES..ADDRESSES, [type_high, type_low, high, low]);
}

fn vlan_pop(packet: &mut Vec<u8>) {
    if packet.len() >= ETHERNET + TAG && is_tag(u16_at(packet, ADDRESSES)) {
        packet.drain(ADDRESSES..ADDRESSES + TAG);
    }
}

fn u16_at(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}
