//! ICMP: errors about connections, echo requests to those who have no host of their own, packets that are too big.

use super::connection::{self, Kind};
use super::{Fate, Packet};
use crate::eval::checksum;
use crate::eval::rewrite::{reflect, set_ttl};
use crate::packet::{self, Ip, protocol};
use crate::route::{RETURNED, RETURNED_V6, TTL};

/// Requests and answers.
const ECHO: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
const HEADER: usize = 8;
/// So much of a transport header comes back at least (RFC 792).
const RETURNED_PORTS: usize = 8;

/// What a message is, whose last byte is before `end`. An error is one about a connection only where the host that it goes
/// to sent what came back.
pub(super) fn kind(bytes: &[u8], ip: &Ip, end: usize) -> Kind {
    let Some(at) = ip.transport.filter(|at| at + HEADER <= end) else { return Kind::Other };
    if bytes[at] == if ip.v6 { ECHO_V6.0 } else { ECHO.0 } {
        return Kind::Echo;
    }
    returned(bytes, ip, end).map_or(Kind::Other, Kind::Connection)
}

/// The connection of a packet that came back.
fn returned(bytes: &[u8], outer: &Ip, end: usize) -> Option<connection::Connection> {
    let ip = packet::returned(bytes)?;
    let protocol = ip.protocol.filter(|protocol| has_ports(*protocol))?;
    let at = ip.transport.filter(|at| at + RETURNED_PORTS <= end)?;
    let ports = bytes[at..at + 4].try_into().ok()?;
    let (source, destination) = (&bytes[ip.src()], &bytes[ip.dst()]);
    let is_sender = *source == bytes[outer.dst()];
    is_sender.then(|| connection::of_returned(ip.v6, source, destination, ports, protocol))
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
