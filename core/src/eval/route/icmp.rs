//! ICMP: errors about connections, echo requests to those who have no host of their own, packets that are too big.

use super::connection::{self, Kind};
use super::{Fate, Packet};
use crate::eval::checksum;
use crate::eval::rewrite::{reflect, set_ttl};
use crate::packet::{Ip, icmp, protocol};
use crate::route::{RETURNED, RETURNED_V6, TTL};

/// Requests and answers.
const ECHO: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
const HEADER: usize = 8;

/// What a message to a host is. An error is one about a connection only where the host sent what came back.
pub(super) fn kind(message: &[u8], v6: bool, to: &[u8]) -> Kind {
    let Some((&kind, returned)) = message.first().zip(message.get(HEADER..)) else { return Kind::Other };
    let request = if v6 { ECHO_V6.0 } else { ECHO.0 };
    if kind == request {
        return Kind::Echo;
    }
    let is_error = icmp::errors(v6).contains(&kind);
    let returned = if v6 { returned_v6(returned) } else { returned_v4(returned) };
    returned.filter(|of| is_error && of.destination == to).map_or(Kind::Other, Kind::Connection)
}

/// The connection of a packet that came back.
fn returned_v4(packet: &[u8]) -> Option<connection::Connection> {
    let length = usize::from(packet.first()? & 0xf) * 4;
    let whole = packet.len() >= 20 && packet[0] >> 4 == 4 && length >= 20;
    let later = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff != 0;
    let protocol = *packet.get(9)?;
    if !whole || later || !has_ports(protocol) {
        return None;
    }
    let ports = packet.get(length..length + 8)?[..4].try_into().ok()?;
    Some(connection::of_returned(false, &packet[12..16], &packet[16..20], ports, protocol))
}

/// The same, where no extension header stands between.
fn returned_v6(packet: &[u8]) -> Option<connection::Connection> {
    let whole = packet.len() >= 48 && packet[0] >> 4 == 6;
    if !whole || !has_ports(packet[6]) {
        return None;
    }
    let ports = packet[40..44].try_into().ok()?;
    Some(connection::of_returned(true, &packet[8..24], &packet[24..40], ports, packet[6]))
}

fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP)
}

/// Answers an echo request, which the caller found there.
pub(super) fn answer(bytes: &mut [u8], ip: &Ip) -> Fate {
    let Some(at) = ip.transport else { return Fate::Pass };
    reflect(bytes);
    let (old, new) = if ip.v6 { ECHO_V6 } else { ECHO };
    // The first byte of the message, and the checksum over it.
    let (code, sum) = (bytes[at + 1], u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
    let mended = checksum::mend(sum, &[old, code], &[new, code]);
    bytes[at] = new;
    bytes[at + 2..at + 4].copy_from_slice(&mended.to_be_bytes());
    set_ttl(bytes, ip, TTL);
    Fate::Send(0)
}

/// Tells the client how long packets may be (RFC 1191, RFC 8201); the packet becomes that message, with its own beginning
/// behind.
pub(super) fn too_big(packet: &mut Packet<'_>, mtu: u32) -> Fate {
    let (v6, at) = (packet.ip.v6, packet.ip.at);
    let returned = if v6 { RETURNED_V6 } else { RETURNED };
    if !packet.connection.whole || packet.total < returned {
        return Fate::Drop;
    }
    let original = packet.bytes[at..at + returned].to_vec();
    let (source, destination) = (packet.bytes[packet.ip.dst()].to_vec(), packet.bytes[packet.ip.src()].to_vec());
    let addresses = [source, destination].concat();
    let answer = if v6 { too_big_v6(mtu, &addresses, &original) } else { too_big_v4(mtu, &addresses, &original) };
    (0..6).for_each(|byte| packet.bytes.swap(byte, 6 + byte));
    packet.bytes.truncate(at);
    packet.bytes.extend(answer);
    Fate::Send(0)
}

/// Destination unreachable: fragmentation needed.
fn too_big_v4(mtu: u32, addresses: &[u8], original: &[u8]) -> Vec<u8> {
    let mut message = [&[3, 4, 0, 0, 0, 0], &(mtu as u16).to_be_bytes()[..], original].concat();
    let sum = checksum::of(&[&message]).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let length = ((20 + message.len()) as u16).to_be_bytes();
    let mut header = [&[0x45, 0], &length[..], &[0, 0, 0, 0, TTL, protocol::ICMP, 0, 0], addresses].concat();
    let sum = checksum::of(&[&header]).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    [header, message].concat()
}

/// Packet too big.
fn too_big_v6(mtu: u32, addresses: &[u8], original: &[u8]) -> Vec<u8> {
    let mut message = [&[2, 0, 0, 0], &mtu.to_be_bytes()[..], original].concat();
    let length = (message.len() as u16).to_be_bytes();
    let sum = checksum::of(&[addresses, &length, &[0, protocol::ICMP6], &message]).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let header = [&[0x60, 0, 0, 0], &length[..], &[protocol::ICMP6, TTL], addresses].concat();
    [header, message].concat()
}
