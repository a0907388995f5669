//! The packet that an ICMP error brings back (RFC 792; RFC 4443, section 3).

use super::layers::{ipv4, ipv6, layers};
use super::{Ip, icmp, protocol};

/// Bytes of an ICMP header.
const HEADER: usize = 8;

/// The headers of the packet that an ICMP error brings back, behind whatever IPv4 options and IPv6 extension headers either
/// has. None where the packet is no error, or is a fragment of one; where what it brings back is of the other IP version, a
/// fragment other than the first one, or cut off before its transport header.
pub fn returned(packet: &[u8]) -> Option<Ip> {
    let ip = layers(packet).ip.filter(|ip| !ip.fragment)?;
    let at = ip.transport?;
    let expected = if ip.v6 { protocol::ICMP6 } else { protocol::ICMP };
    let is_error = ip.protocol == Some(expected) && icmp::errors(ip.v6).contains(packet.get(at)?);
    let find = if ip.v6 { ipv6 } else { ipv4 };
    find(packet, at + HEADER).filter(|ip| is_error && ip.transport.is_some())
}
