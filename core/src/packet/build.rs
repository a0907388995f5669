//! The bytes of a packet.

use std::net::{IpAddr, Ipv4Addr};

use super::checksum::{crc32c, ones_complement};
use super::{ethertype, icmp, protocol};

/// Locally administered addresses, where none are said.
const ETHER_SRC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ETHER_DST: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// What a packet is made of.
pub(super) struct Parts {
    pub(super) body: Body,
    pub(super) payload: Vec<u8>,
    /// Outermost first.
    pub(super) vlans: Vec<u16>,
    pub(super) ether_src: Option<[u8; 6]>,
    pub(super) ether_dst: Option<[u8; 6]>,
    pub(super) ttl: Option<u8>,
    pub(super) dscp: u8,
    /// Offset in units of eight bytes, and whether more follow.
    pub(super) fragment: Option<(u16, bool)>,
    /// Bytes of IPv4 options, all of them "no operation".
    pub(super) options: usize,
    /// IPv6 extension headers, eight bytes each.
    pub(super) extensions: Vec<u8>,
}

/// What stands behind the Ethernet header.
pub(super) enum Body {
    Transport {
        protocol: u8,
        src: IpAddr,
        dst: IpAddr,
        ports: (u16, u16),
        flags: u8,
    },
    Icmp {
        src: IpAddr,
        dst: IpAddr,
        kind: u8,
        code: u8,
    },
    Ip {
        protocol: u8,
        src: IpAddr,
        dst: IpAddr,
    },
    Arp {
        sender: Ipv4Addr,
        target: Ipv4Addr,
        answer: Option<[u8; 6]>,
    },
    Ether {
        ethertype: u16,
    },
    /// The whole frame.
    Raw(Vec<u8>),
}

impl Body {
    fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self {
            Body::Transport { src, dst, .. } | Body::Icmp { src, dst, .. } | Body::Ip { src, dst, .. } => {
                Some((*src, *dst))
            }
            Body::Arp { .. } | Body::Ether { .. } | Body::Raw(_) => None,
        }
    }

    pub(super) fn is_ip(&self) -> bool {
        self.addresses().is_some()
    }

    pub(super) fn is_v6(&self) -> bool {
        self.addresses().is_some_and(|(src, _)| src.is_ipv6())
    }
}

impl Parts {
    pub(super) fn new(body: Body) -> Self {
        Parts {
            body,
            payload: Vec::new(),
            vlans: Vec::new(),
            ether_src: None,
            ether_dst: None,
            ttl: None,
            dscp: 0,
            fragment: None,
            options: 0,
            extensions: Vec::new(),
        }
    }

    fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|(offset, _)| offset > 0)
    }
}

/// A length field; what does not fit is refused later, as too long a packet.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// The whole frame.
pub(super) fn build(parts: &Parts) -> Vec<u8> {
    let (ethertype, mut content) = match &parts.body {
        Body::Raw(frame) => return [frame.as_slice(), &parts.payload].concat(),
        Body::Ether { ethertype } => (*ethertype, Vec::new()),
        Body::Arp { sender, target, answer } => (ethertype::ARP, arp(parts, *sender, *target, *answer)),
        body => {
            let (number, transport) = transport(parts);
            match body.addresses() {
                Some((IpAddr::V6(src), IpAddr::V6(dst))) => {
                    (ethertype::IPV6, ipv6(parts, number, &transport, &[src.octets(), dst.octets()].concat()))
                }
                Some((IpAddr::V4(src), IpAddr::V4(dst))) => {
                    (ethertype::IPV4, ipv4(parts, number, &transport, &[src.octets(), dst.octets()].concat()))
                }
                _ => (0, transport),
            }
        }
    };
    if !parts.body.is_ip() {
        content.extend(&parts.payload);
    }
    let mut frame = [ether_dst(parts), parts.ether_src.unwrap_or(ETHER_SRC)].concat();
    for vlan in &parts.vlans {
        frame.extend(ethertype::VLAN.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(content);
    frame
}

/// The one said, else the group's where the destination is one.
fn ether_dst(parts: &Parts) -> [u8; 6] {
    let derived = match (&parts.body, parts.body.addresses()) {
        (Body::Arp { answer: None, .. }, _) => Some([0xff; 6]),
        (_, Some((_, IpAddr::V4(dst)))) if dst.is_broadcast() => Some([0xff; 6]),
        (_, Some((_, IpAddr::V4(dst)))) if dst.is_multicast() => {
            let [_, b, c, d] = dst.octets();
            Some([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        (_, Some((_, IpAddr::V6(dst)))) if dst.is_multicast() => {
            let [.., a, b, c, d] = dst.octets();
            Some([0x33, 0x33, a, b, c, d])
        }
        _ => None,
    };
    parts.ether_dst.or(derived).unwrap_or(ETHER_DST)
}

fn arp(parts: &Parts, sender: Ipv4Addr, target: Ipv4Addr, answer: Option<[u8; 6]>) -> Vec<u8> {
    let mut out = vec![0, 1, 8, 0, 6, 4, 0, if answer.is_some() { 2 } else { 1 }];
    out.extend(answer.or(parts.ether_src).unwrap_or(ETHER_SRC));
    out.extend(sender.octets());
    out.extend(if answer.is_some() { parts.ether_dst.unwrap_or(ETHER_DST) } else { [0; 6] });
    out.extend(target.octets());
    out
}

/// The protocol, and all bytes behind the IP header.
fn transport(parts: &Parts) -> (u8, Vec<u8>) {
    let payload = &parts.payload;
    let (number, mut out, checksum) = match &parts.body {
        Body::Transport { protocol, ports, flags, .. } => {
            let mut out = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
            match *protocol {
                protocol::TCP => out.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]),
                protocol::UDP => out.extend([length(8 + payload.len()), [0, 0]].concat()),
                _ => out.extend([0; 8]), // verification tag and CRC
            }
            let checksum = match *protocol {
                protocol::TCP => Some(16),
                protocol::UDP => Some(6),
                _ => None,
            };
            (*protocol, out, checksum)
        }
        Body::Icmp { src, dst, kind, code } => {
            let v6 = src.is_ipv6();
            (if v6 { protocol::ICMP6 } else { protocol::ICMP }, icmp_message(*src, *dst, *kind, *code), Some(2))
        }
        Body::Ip { protocol, .. } => (*protocol, Vec::new(), None),
        Body::Arp { .. } | Body::Ether { .. } | Body::Raw(_) => return (0, Vec::new()),
    };
    if parts.is_later_fragment() {
        return (number, payload.clone());
    }
    out.extend(payload);
    if let Some(at) = checksum {
        let sum = ones_complement(&[&pseudo_header(parts, number, out.len()), &out]);
        let sum = if number == protocol::UDP && sum == 0 { u16::MAX } else { sum };
        put(&mut out, at, &sum.to_be_bytes());
    } else if number == protocol::SCTP && matches!(parts.body, Body::Transport { .. }) {
        let crc = crc32c(&out);
        put(&mut out, 8, &crc.to_le_bytes());
    }
    (number, out)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// What the transport checksum covers beside its own bytes; nothing for ICMP of IPv4.
fn pseudo_header(parts: &Parts, number: u8, bytes: usize) -> Vec<u8> {
    match parts.body.addresses() {
        Some((IpAddr::V4(src), IpAddr::V4(dst))) if number != protocol::ICMP => {
            [&src.octets(), &dst.octets(), &[0, number][..], &length(bytes)].concat()
        }
        Some((IpAddr::V6(src), IpAddr::V6(dst))) => {
            [&src.octets(), &dst.octets(), &[0, 0][..], &length(bytes), &[0, 0, 0, number]].concat()
        }
        _ => Vec::new(),
    }
}

fn icmp_message(src: IpAddr, dst: IpAddr, kind: u8, code: u8) -> Vec<u8> {
    let mut out = vec![kind, code, 0, 0];
    match (src, dst) {
        (IpAddr::V6(_), IpAddr::V6(target)) if kind == icmp::NEIGHBOR_SOLICITATION => {
            out.extend([0; 4]);
            out.extend(target.octets());
        }
        (IpAddr::V6(target), _) if kind == icmp::NEIGHBOR_ADVERTISEMENT => {
            out.extend([0x60, 0, 0, 0]); // solicited, override
            out.extend(target.octets());
        }
        _ => out.extend([0, 1, 0, 1]), // identifier and sequence number of an echo
    }
    out
}

fn ipv4(parts: &Parts, number: u8, transport: &[u8], addresses: &[u8]) -> Vec<u8> {
    let header = 20 + parts.options;
    let words = u8::try_from(header / 4).unwrap_or_default();
    let (offset, more) = parts.fragment.unwrap_or_default();
    let fragment = (offset | u16::from(more) << 13).to_be_bytes();
    let mut out = vec![0x40 | words, parts.dscp << 2];
    out.extend(length(header + transport.len()));
    out.extend([0, u8::from(parts.fragment.is_some()), fragment[0], fragment[1]]);
    out.extend([parts.ttl.unwrap_or(64), number, 0, 0]);
    out.extend(addresses);
    out.extend(std::iter::repeat_n(1, parts.options));
    let sum = ones_complement(&[&out]);
    put(&mut out, 10, &sum.to_be_bytes());
    out.extend(transport);
    out
}

fn ipv6(parts: &Parts, number: u8, transport: &[u8], addresses: &[u8]) -> Vec<u8> {
    let mut chain = parts.extensions.clone();
    if parts.fragment.is_some() && !chain.contains(&protocol::FRAGMENT) {
        chain.push(protocol::FRAGMENT);
    }
    let is_discovery = matches!(&parts.body, Body::Icmp { kind, .. } if icmp::DISCOVERY.contains(kind));
    let ttl = parts.ttl.unwrap_or(if is_discovery { 255 } else { 64 });
    let mut out = vec![0x60 | parts.dscp >> 2, parts.dscp << 6, 0, 0];
    out.extend(length(8 * chain.len() + transport.len()));
    out.extend([chain.first().copied().unwrap_or(number), ttl]);
    out.extend(addresses);
    for (index, header) in chain.iter().enumerate() {
        let (offset, more) = parts.fragment.unwrap_or_default();
        let fragment = (offset << 3 | u16::from(more)).to_be_bytes();
        let next = chain.get(index + 1).copied().unwrap_or(number);
        out.extend(match *header {
            protocol::FRAGMENT => [next, 0, fragment[0], fragment[1], 0, 0, 0, 1],
            // No segments left; padding of four bytes; an SPI.
            protocol::ROUTING | protocol::AUTHENTICATION => [next, 0, 0, 0, 0, 0, 0, 0],
            _ => [next, 0, 1, 4, 0, 0, 0, 0],
        });
    }
    out.extend(transport);
    out
}
