//! Where the headers of a packet are, for the actions that rewrite or look up fields: `set`, `limit … per`, `reflect`.
//!
//! (Filter expressions have no part in this: each of them says by itself which bytes it loads.)
//!
//! Lengths that the packet claims (IPv4 total length, IPv6 payload length, UDP length) are not looked at: a header is
//! there where its bytes are.

use std::ops::Range;

use super::{ethertype, is_tag, protocol};

/// Two tags are walked; a third one is the payload.
const MAX_TAGS: usize = 2;
/// IPv6 extension headers that are walked.
pub(crate) const MAX_EXTENSIONS: usize = 8;
const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
/// A header that begins farther from the packet's first byte is not walked to: it may lie in another buffer.
pub(crate) const FARTHEST: usize = 1024;
/// IPv6 extension headers, by their numbers.
pub(crate) const EXTENSIONS: [u8; 5] =
    [protocol::HOP_BY_HOP, protocol::ROUTING, protocol::FRAGMENT, protocol::AUTHENTICATION, protocol::DESTINATION];
/// No extension header is shorter.
const EXTENSION: usize = 8;
/// Where in the whole a fragment of IPv6 stands: not at its beginning.
const LATER: u16 = 0xfff8;

/// Where the headers of a packet are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// VLAN tags before the network header, 0 to 2.
    pub tags: usize,
    /// Ethertype behind the tags; none where the packet ends before it.
    pub ethertype: Option<u16>,
    /// The IP header, where there is a whole one.
    pub ip: Option<Ip>,
}

/// A whole IP header. All offsets are in bytes from the first one of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// Where the header begins.
    pub at: usize,
    /// IPv4: the protocol field. IPv6: the next header at which the walk over the extension headers ended; none where it
    /// failed, since there are more than eight of them, one is not wholly in the packet, or the walk goes beyond byte 1,024.
    pub protocol: Option<u8>,
    /// Where the byte is that names the protocol.
    pub next: usize,
    /// One of several parts of a packet. (The fragment header of IPv6 may be in a packet that is whole: RFC 6946.)
    pub fragment: bool,
    /// A fragment other than the first one: nothing behind the IP header is a header.
    pub later_fragment: bool,
    /// Where the transport header begins (it may be the end of the packet); none in a later fragment, or where
    /// [`Ip::protocol`] is none.
    pub transport: Option<usize>,
    /// Where the ports are, source first; TCP, UDP and SCTP have them where their first four bytes are in the packet.
    pub ports: Option<usize>,
    /// Where the checksum is that covers the addresses (of TCP, UDP, ICMPv6), where it is in the packet.
    pub checksum: Option<usize>,
}

impl Ip {
    /// The bytes of the source address.
    pub fn src(&self) -> Range<usize> {
        if self.v6 { self.at + 8..self.at + 24 } else { self.at + 12..self.at + 16 }
    }

    /// The bytes of the destination address.
    pub fn dst(&self) -> Range<usize> {
        if self.v6 { self.at + 24..self.at + 40 } else { self.at + 16..self.at + 20 }
    }

    /// Whether addresses can be rewritten with all checksums right: the walk did not fail, and the transport checksum,
    /// if the packet must have one here, is within reach.
    pub fn can_rewrite(&self) -> bool {
        match self.protocol {
            None => false,
            Some(protocol) => self.later_fragment || checksum_offset(protocol).is_none() || self.checksum.is_some(),
        }
    }
}

/// Where the checksum that covers the addresses is within the transport header.
fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        protocol::TCP => Some(16),
        protocol::UDP => Some(6),
        protocol::ICMP6 => Some(2),
        _ => None,
    }
}

fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Where the headers of this packet are.
pub fn layers(packet: &[u8]) -> Layers {
    let mut tags = 0;
    let mut ethertype = u16_at(packet, ETHERNET - 2);
    while tags < MAX_TAGS && ethertype.is_some_and(is_tag) {
        tags += 1;
        ethertype = u16_at(packet, ETHERNET - 2 + TAG * tags);
    }
    let at = ETHERNET + TAG * tags;
    let ip = match ethertype {
        Some(ethertype::IPV4) => ipv4(packet, at),
        Some(ethertype::IPV6) => ipv6(packet, at),
        _ => None,
    };
    Layers { tags, ethertype, ip }
}

/// IPv4: version 4, a header length of at least 20 bytes, all of them in the packet.
pub(super) fn ipv4(packet: &[u8], at: usize) -> Option<Ip> {
    let header = packet.get(at..at + IPV4)?;
    let length = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4 || length < IPV4 || packet.len() < at + length {
        return None;
    }
    // More fragments, and where in the whole it stands.
    let part = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    let found = Found { v6: false, at, end: Some((header[9], at + length)), next: at + 9, part };
    Some(found.with_transport(packet))
}

/// IPv6: version 6, 40 bytes in the packet.
pub(super) fn ipv6(packet: &[u8], at: usize) -> Option<Ip> {
    let header = packet.get(at..at + IPV6)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let (mut named, mut here, mut part) = (at + 6, at + IPV6, 0);
    let mut next = header[6];
    for walked in 0.. {
        if part & LATER != 0 || !is_extension(next) {
            break;
        }
        let extension = packet.get(here..here + EXTENSION);
        let Some(extension) = extension.filter(|_| walked < MAX_EXTENSIONS && here <= FARTHEST) else {
            return Some(Found { v6: true, at, end: None, next: named, part: 0 }.with_transport(packet));
        };
        if next == protocol::FRAGMENT {
            // As in IPv4, but for where the bit for more fragments is.
            part |= u16::from_be_bytes([extension[2], extension[3]]) & (LATER | 1);
        }
        named = here;
        here += match next {
            protocol::FRAGMENT => EXTENSION,
            protocol::AUTHENTICATION => 4 * (usize::from(extension[1]) + 2),
            _ => 8 * (usize::from(extension[1]) + 1),
        };
        next = extension[0];
    }
    let end = (here <= packet.len().min(FARTHEST)).then_some((next, here));
    Some(Found { v6: true, at, end, next: named, part: if end.is_some() { part } else { 0 } }.with_transport(packet))
}

pub(super) fn is_extension(next: u8) -> bool {
    EXTENSIONS.contains(&next)
}

/// What a header says of what follows it.
struct Found {
    v6: bool,
    at: usize,
    /// The protocol, and where its header begins.
    end: Option<(u8, usize)>,
    next: usize,
    /// Not zero in one of several parts.
    part: u16,
}

impl Found {
    fn with_transport(self, packet: &[u8]) -> Ip {
        let Found { v6, at, end, next, part } = self;
        let later_fragment = part & if v6 { LATER } else { 0x1fff } != 0;
        let start = end.filter(|_| !later_fragment);
        let has_ports = |protocol| matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP);
        let ports = start.filter(|(protocol, at)| has_ports(*protocol) && at + 4 <= packet.len());
        let checksum = start.and_then(|(protocol, at)| Some(at + checksum_offset(protocol)?));
        Ip {
            v6,
            at,
            protocol: end.map(|(protocol, _)| protocol),
            next,
            fragment: part != 0,
            later_fragment,
            transport: start.map(|(_, at)| at),
            ports: ports.map(|(_, at)| at),
            checksum: checksum.filter(|at| at + 2 <= packet.len()),
        }
    }
}
