//! The maps of a program that routes, byte by byte; numbers are in the machine's order where nothing else is said.

use std::net::IpAddr;

use crate::cut::begin;

/// Bytes of a backend's record. The program reads its first half, a cache line; for a connection id of QUIC the second
/// too.
pub const BACKEND: usize = 128;
/// Bytes of a backend's traffic on one CPU, and of other records.
pub const RECORD: usize = 64;

/// Offsets in a backend's record.
pub mod backend {
    /// Its address: 16 bytes, of which IPv4 uses the first 4.
    pub const ADDRESS: i16 = 0;
    /// The source of what is sent to it, in the same way.
    pub const SOURCE: i16 = 16;
    /// Which of the source's last 4 bytes' bits are a hash; in network byte order.
    pub const SOURCE_BITS: i16 = 32;
    /// Its pool's index; 2 bytes.
    pub const POOL: i16 = 36;
    /// Its port in network byte order, 0 for the packet's; 2 bytes.
    pub const PORT: i16 = 38;
    /// [`super::flags`]; 4 bytes.
    pub const FLAGS: i16 = 40;
    /// The next hop, where it is fixed: as [`super::hop`] says.
    pub const HOP: i16 = 44;
    /// Its weight; 2 bytes.
    pub const WEIGHT: i16 = 64;
    /// Its number in the connection ids of QUIC, if [`super::flags::NAMED`]; 4 bytes.
    pub const ID: i16 = 68;
    /// Its name, filled up with zeros; the rest.
    pub const NAME: i16 = 72;
}

/// Offsets in a next hop.
pub mod hop {
    /// The interface that sends; 0 is the one where the packet came in. 4 bytes.
    pub const IFINDEX: i16 = 0;
    /// Destination and source of the Ethernet header; 12 bytes.
    pub const ADDRESSES: i16 = 4;
    /// The longest IP packet that may be sent; 4 bytes.
    pub const MTU: i16 = 16;
}

/// Offsets in a backend's traffic on one CPU.
pub mod traffic {
    /// Packets that were sent to it; 8 bytes.
    pub const PACKETS: i16 = 0;
    /// Their bytes at arrival; 8 bytes.
    pub const BYTES: i16 = 8;
    /// New connections; 8 bytes.
    pub const CONNECTIONS: i16 = 16;
    /// Packets that could not be sent: no route, or nobody there; 8 bytes.
    pub const UNREACHABLE: i16 = 24;
    /// When the next hop below was looked up: time in nanoseconds >> [`super::HOP_TICK`], 4 bytes.
    pub const TICK: i16 = 32;
    /// The next hop: as [`super::hop`] says.
    pub const HOP: i16 = 36;
}

/// Offsets in the record of a translated connection. The first five words tell it apart.
pub mod translated {
    /// The client's address: 16 bytes, of which IPv4 uses the first 4.
    pub const CLIENT: i16 = 0;
    /// The address that it speaks to, in the same way.
    pub const SERVICE: i16 = 16;
    /// The client's port and the service's, in network byte order; 2 bytes each.
    pub const PORTS: i16 = 32;
    /// The protocol; 1 byte.
    pub const PROTOCOL: i16 = 36;
    /// 1 over IPv6; 1 byte.
    pub const V6: i16 = 37;
    /// The pool's index; 2 bytes.
    pub const POOL: i16 = 38;
    /// The backend's number; 2 bytes.
    pub const BACKEND: i16 = 40;
    /// The port of what is sent to the backend, in network byte order; 0 for the client's. 2 bytes.
    pub const PORT: i16 = 42;
    /// Ticks after which it is forgotten; 4 bytes.
    pub const TIMEOUT: i16 = 44;
    /// The index of its slot among the replies; 4 bytes.
    pub const REPLY: i16 = 48;
    /// How many bytes tell it apart.
    pub const KEY: i16 = 40;
}

/// Offsets in a next hop to clients, kept on one CPU.
pub mod client {
    /// The address: 16 bytes, of which IPv4 uses the first 4.
    pub const ADDRESS: i16 = 0;
    /// As [`traffic::TICK`](super::traffic::TICK); 4 bytes.
    pub const TICK: i16 = 16;
    /// The next hop: as [`super::hop`] says.
    pub const HOP: i16 = 20;
}

/// How many next hops to clients are kept on each CPU.
pub const CLIENTS: u32 = 4096;

/// For so long a next hop is kept, in nanoseconds, as a power of two: 134 ms.
pub const HOP_TICK: u32 = 27;

/// What a backend's record says of it.
pub mod flags {
    /// Its address is an IPv6 one.
    pub const V6: u32 = 1;
    /// It gets packets.
    pub const UP: u32 = 2;
    /// It gets no new connections.
    pub const DRAINS: u32 = 4;
    /// Its next hop is in the record.
    pub const FIXED: u32 = 8;
    /// There is such a backend.
    pub const USED: u32 = 16;
    /// It has a number in the connection ids of QUIC.
    pub const NAMED: u32 = 32;
}

/// A next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The interface that sends; 0 is the one where the packet came in.
    pub ifindex: u32,
    /// The Ethernet header's destination.
    pub destination: [u8; 6],
    /// The Ethernet header's source.
    pub source: [u8; 6],
    /// The longest IP packet that may be sent.
    pub mtu: u32,
}

impl Default for Hop {
    /// Back by the interface where a packet came in, from one host of the packets in words to the other.
    fn default() -> Self {
        Hop { ifindex: 0, destination: [2, 0, 0, 0, 0, 2], source: [2, 0, 0, 0, 0, 1], mtu: 1500 }
    }
}

/// A backend as the program knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its address.
    pub address: IpAddr,
    /// The source of what is sent to it, of the address's family, where the method asks for one.
    pub source: IpAddr,
    /// Which bits of the source's last four bytes are a hash.
    pub source_bits: u32,
    /// Its port; none for the packet's.
    pub port: Option<u16>,
    /// Its pool's index.
    pub pool: u16,
    /// Its number in the connection ids of QUIC, which no other backend of the pool has.
    pub id: Option<u32>,
    /// [`flags::UP`], [`flags::DRAINS`]: the others follow from the rest.
    pub flags: u32,
    /// The next hop, where it is fixed; else the kernel is asked.
    pub hop: Option<Hop>,
}

/// A backend, and its share of its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the program knows of it.
    pub backend: Backend,
    /// Its weight.
    pub weight: u16,
    /// What people call it.
    pub name: String,
}

impl Member {
    /// Its record. A name that is too long is cut.
    pub fn record(&self) -> [u8; BACKEND] {
        let Backend { address, source, source_bits, port, pool, id, flags, hop } = self.backend;
        let mut out = [0; BACKEND];
        let mut put = |at: i16, bytes: &[u8]| out[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        put(backend::ADDRESS, &octets(address));
        put(backend::SOURCE, &octets(source));
        put(backend::SOURCE_BITS, &source_bits.to_be_bytes());
        put(backend::POOL, &pool.to_ne_bytes());
        put(backend::PORT, &port.unwrap_or(0).to_be_bytes());
        let family = if address.is_ipv6() { flags::V6 } else { 0 };
        let fixed = if hop.is_some() { flags::FIXED } else { 0 };
        let named = if id.is_some() { flags::NAMED } else { 0 };
        put(backend::FLAGS, &(flags | family | fixed | named | flags::USED).to_ne_bytes());
        put(backend::ID, &id.unwrap_or_default().to_ne_bytes());
        if let Some(hop) = hop {
            put(backend::HOP, &hop.record());
        }
        put(backend::WEIGHT, &self.weight.to_ne_bytes());
        let room = BACKEND - backend::NAME as usize;
        put(backend::NAME, begin(&self.name, room).as_bytes());
        out
    }

    /// The backend of a record; none where there is none.
    pub fn of_record(record: &[u8; BACKEND]) -> Option<Self> {
        let short = |at: i16| [record[at as usize], record[at as usize + 1]];
        let long = |at: i16| [short(at), short(at + 2)].concat().try_into().map(u32::from_ne_bytes).unwrap_or_default();
        let flags = long(backend::FLAGS);
        let address = |at: i16| {
            let bytes: [u8; 16] = record[at as usize..at as usize + 16].try_into().unwrap_or_default();
            let [a, b, c, d, ..] = bytes;
            if flags & flags::V6 != 0 { IpAddr::from(bytes) } else { IpAddr::from([a, b, c, d]) }
        };
        let backend = Backend {
            address: address(backend::ADDRESS),
            source: address(backend::SOURCE),
            source_bits: long(backend::SOURCE_BITS).swap_bytes(),
            port: Some(u16::from_be_bytes(short(backend::PORT))).filter(|port| *port != 0),
            pool: u16::from_ne_bytes(short(backend::POOL)),
            id: (flags & flags::NAMED != 0).then(|| long(backend::ID)),
            flags: flags & (flags::UP | flags::DRAINS),
            hop: (flags & flags::FIXED != 0).then(|| Hop::of_record(&record[backend::HOP as usize..])),
        };
        let name = record[backend::NAME as usize..].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let weight = u16::from_ne_bytes(short(backend::WEIGHT));
        (flags & flags::USED != 0).then_some(Member { backend, weight, name })
    }
}

impl Hop {
    /// As [`hop`] says.
    pub fn record(&self) -> Vec<u8> {
        let (ifindex, mtu) = (self.ifindex.to_ne_bytes(), self.mtu.to_ne_bytes());
        [&ifindex[..], &self.destination, &self.source, &mtu].concat()
    }

    fn of_record(record: &[u8]) -> Self {
        let six = |at: usize| record.get(at..at + 6).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        let four =
            |at: usize| record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        Hop { ifindex: four(0), destination: six(4), source: six(10), mtu: four(16) }
    }
}

/// The bytes of an address, in network byte order.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_all() {
        let hop = Some(Hop::default());
        for (address, hop, port, id) in [("10.0.0.1", None, Some(8080), Some(0)), ("fd00::1", hop, None, None)] {
            let address: IpAddr = address.parse().unwrap();
            let (source_bits, pool) = (0xffff, 7);
            let backend = Backend { address, source: address, source_bits, port, pool, id, flags: flags::UP, hop };
            let member = Member { backend, weight: 300, name: "docker:web".into() };
            assert_eq!(Member::of_record(&member.record()), Some(member.clone()));
            let long = Member { name: "ü".repeat(60), ..member };
            assert_eq!(Member::of_record(&long.record()).unwrap().name, "ü".repeat(28));
        }
        assert_eq!(Member::of_record(&[0; BACKEND]), None);
    }
}
