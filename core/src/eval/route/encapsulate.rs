//! Packets in headers of their own.

use std::net::IpAddr;

use super::Packet;
use crate::eval::checksum;
use crate::packet::{ethertype, protocol};
use crate::policy::Method;
use crate::route::layout::octets;
use crate::route::{Backend, TTL};

const UDP: usize = 8;
/// Don't fragment, in the first byte of IPv4's flags.
const DONT_FRAGMENT: u8 = 0x40;

/// Bytes that a method adds to a packet.
pub(super) fn overhead(method: &Method, backend: &Backend) -> usize {
    let ip = if backend.address.is_ipv6() { 40 } else { 20 };
    match method {
        Method::Ipip(_) => ip,
        Method::Gue { .. } => ip + UDP,
        Method::Nat | Method::FullNat(_) | Method::L2 => 0,
    }
}

/// IP in IP (RFC 2003, RFC 2473, RFC 4213).
pub(super) fn ipip(packet: &mut Packet<'_>, backend: &Backend, hash: u64) {
    let next = if packet.ip.v6 { protocol::IPV6 } else { protocol::IPIP };
    let header = outer(packet, backend, hash, next, 0);
    wrap(packet, backend, &header);
}

/// GUE variant 1 (draft-ietf-intarea-gue): the packet behind UDP. Without a checksum, as RFC 6935 allows.
pub(super) fn gue(packet: &mut Packet<'_>, backend: &Backend, port: u16, hash: u64) {
    let mut header = outer(packet, backend, hash, protocol::UDP, UDP);
    // One of the dynamic ports (RFC 6335), so that receivers spread connections.
    header.extend((hash as u16 | 0xc000).to_be_bytes());
    header.extend(port.to_be_bytes());
    header.extend(((packet.total + UDP) as u16).to_be_bytes());
    header.extend([0, 0]);
    wrap(packet, backend, &header);
}

/// Puts headers before the IP header.
fn wrap(packet: &mut Packet<'_>, backend: &Backend, header: &[u8]) {
    let kind = if backend.address.is_ipv6() { ethertype::IPV6 } else { ethertype::IPV4 };
    let at = packet.ip.at;
    packet.bytes[at - 2..at].copy_from_slice(&kind.to_be_bytes());
    packet.bytes.splice(at..at, header.iter().copied());
}

/// The outer IP header; the traffic class is the packet's own, and so is don't fragment.
fn outer(packet: &Packet<'_>, backend: &Backend, hash: u64, next: u8, more: usize) -> Vec<u8> {
    let ip = &packet.bytes[packet.ip.at..];
    let class = if packet.ip.v6 { ip[0] << 4 | ip[1] >> 4 } else { ip[1] };
    let flags = if packet.ip.v6 { 0 } else { ip[6] & DONT_FRAGMENT };
    let source = source(backend, hash);
    let payload = packet.total + more;
    match backend.address {
        IpAddr::V4(address) => {
            let [high, low] = ((payload + 20) as u16).to_be_bytes();
            let mut header = vec![0x45, class, high, low, 0, 0, flags, 0, TTL, next, 0, 0];
            header.extend(&source);
            header.extend(address.octets());
            let sum = checksum::of(&[&header]).to_be_bytes();
            header[10..12].copy_from_slice(&sum);
            header
        }
        IpAddr::V6(address) => {
            let [high, low] = (payload as u16).to_be_bytes();
            let mut header = vec![0x60 | class >> 4, class << 4, 0, 0, high, low, next, TTL];
            header.extend(&source);
            header.extend(address.octets());
            header
        }
    }
}

/// The source: some of its last bits are the connection's hash.
fn source(backend: &Backend, hash: u64) -> Vec<u8> {
    let mut source = octets(backend.source);
    // As they are in memory, like the ports of the hash.
    let bits = (hash as u32).to_le_bytes();
    let mask = backend.source_bits.to_be_bytes();
    let last = source.len() - 4;
    source[last..].iter_mut().zip(bits).zip(mask).for_each(|((byte, bit), mask)| *byte |= bit & mask);
    source
}
