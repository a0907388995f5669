//! Which connection a packet belongs to.

use crate::packet::{Ip, protocol};
use crate::route::hash;

/// TCP's flags: a connection begins where the first is set and the second is not.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// These end it.
const FIN: u8 = 0x01;
const RST: u8 = 0x04;

/// What a packet is to a router.
#[derive(Debug)]
pub(super) enum Kind {
    /// Part of a connection.
    Connection(Connection),
    /// An echo request.
    Echo,
    /// Nothing that is routed.
    Other,
}

/// A connection, seen from the client's packets.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Whether it is over IPv6.
    pub(super) v6: bool,
    pub(super) source: Vec<u8>,
    pub(super) destination: Vec<u8>,
    /// Source and destination, as they are in the packet; zeros where there are none.
    pub(super) ports: [u8; 4],
    pub(super) protocol: u8,
    /// The packet asks for a new one.
    pub(super) begins: bool,
    /// The packet ends it.
    pub(super) ends: bool,
    /// The packet breaks it off.
    pub(super) resets: bool,
    /// It is remembered from this packet on.
    pub(super) remembered: bool,
    /// The packet is the connection's own, not an error about it.
    pub(super) refreshes: bool,
    /// It is TCP or UDP, and its ports are known: the packet is no part of one.
    pub(super) ported: bool,
    /// Errors about the packet may be sent: it is no part of one (RFC 1122, section 3.2.2), and no error itself.
    pub(super) whole: bool,
    /// The server's number, where the packet is QUIC and its connection id has one.
    pub(super) server: Option<u32>,
    /// The backend that it names by that; none where the pool does not ask for it.
    pub(super) named: Option<u16>,
}

impl Connection {
    /// What tells it apart.
    pub(super) fn hash(&self, pool: u16) -> u64 {
        let ports = u64::from(u32::from_le_bytes(self.ports));
        let last = ports | u64::from(self.protocol) << 32 | u64::from(pool) << 40;
        let mut words = self.addresses();
        words.push(last);
        hash::of(&words)
    }

    /// The same for all connections of a client.
    pub(super) fn hash_of_source(&self, pool: u16) -> u64 {
        let source = Connection { destination: vec![0; self.source.len()], source: self.source.clone(), ..*self };
        let mut words = source.addresses();
        words.push(u64::from(pool) << 40);
        hash::of(&words)
    }

    /// The addresses as words: both of IPv4 in one, two for each of IPv6.
    fn addresses(&self) -> Vec<u64> {
        let both = [&self.source[..], &self.destination].concat();
        both.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))).collect()
    }
}

/// What a whole IP packet is.
pub(super) fn of(bytes: &[u8], ip: &Ip, total: usize) -> Kind {
    let end = ip.at + total;
    let protocol = ip.protocol.unwrap_or_default();
    let mut connection = Connection {
        v6: ip.v6,
        source: bytes[ip.src()].to_vec(),
        destination: bytes[ip.dst()].to_vec(),
        ports: [0; 4],
        protocol,
        begins: false,
        ends: false,
        resets: false,
        remembered: false,
        refreshes: true,
        ported: false,
        whole: false,
        server: None,
        named: None,
    };
    if ip.fragment {
        // Only its first one has ports: all go by the addresses.
        return Kind::Connection(connection);
    }
    connection.whole = true;
    let transport = ip.transport.map_or(&[][..], |at| bytes.get(at..end).unwrap_or_default());
    match (protocol, transport) {
        (protocol::TCP, [a, b, c, d, ..]) if transport.len() >= 20 => {
            (connection.ports, connection.ported) = ([*a, *b, *c, *d], true);
            connection.begins = transport[13] & (SYN | ACK) == SYN;
            connection.ends = transport[13] & (FIN | RST) != 0;
            connection.resets = transport[13] & RST != 0;
            connection.remembered = connection.begins;
        }
        (protocol::UDP, [a, b, c, d, ..]) if transport.len() >= 8 => {
            (connection.ports, connection.ported) = ([*a, *b, *c, *d], true);
            connection.remembered = true;
            connection.server = super::quic::server(&transport[8..]);
        }
        (protocol::TCP | protocol::UDP, _) => return Kind::Other,
        (protocol::ICMP, _) if !ip.v6 => return super::icmp::kind(bytes, ip, end),
        (protocol::ICMP6, _) if ip.v6 => return super::icmp::kind(bytes, ip, end),
        _ => {}
    }
    Kind::Connection(connection)
}

/// The connection that a packet from a backend's side belongs to, which came back in an error.
pub(super) fn of_returned(v6: bool, source: &[u8], destination: &[u8], ports: [u8; 4], protocol: u8) -> Connection {
    let [a, b, c, d] = ports;
    Connection {
        v6,
        source: destination.to_vec(),
        destination: source.to_vec(),
        ports: [c, d, a, b],
        protocol,
        begins: false,
        ends: false,
        resets: false,
        remembered: false,
        refreshes: false,
        ported: true,
        whole: false,
        server: None,
        named: None,
    }
}
