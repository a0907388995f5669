//! The maps of a program that routes, byte by byte; numbers are in the machine's order where nothing else is said.

use std::net::IpAddr;

/// Bytes of a backend's record, and of its traffic on one CPU.
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
    /// Of [`flags`] all but [`flags::V6`] and [`flags::FIXED`].
    pub flags: u32,
    /// The next hop, where it is fixed; else the kernel is asked.
    pub hop: Option<Hop>,
}

impl Backend {
    /// Its record.
    pub fn record(&self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        let mut put = |at: i16, bytes: &[u8]| out[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        put(backend::ADDRESS, &octets(self.address));
        put(backend::SOURCE, &octets(self.source));
        put(backend::SOURCE_BITS, &self.source_bits.to_be_bytes());
        put(backend::POOL, &self.pool.to_ne_bytes());
        put(backend::PORT, &self.port.unwrap_or(0).to_be_bytes());
        let family = if self.address.is_ipv6() { flags::V6 } else { 0 };
        let fixed = if self.hop.is_some() { flags::FIXED } else { 0 };
        put(backend::FLAGS, &(self.flags | family | fixed).to_ne_bytes());
        if let Some(hop) = &self.hop {
            put(backend::HOP + hop::IFINDEX, &hop.ifindex.to_ne_bytes());
            put(backend::HOP + hop::ADDRESSES, &hop.destination);
            put(backend::HOP + hop::ADDRESSES + 6, &hop.source);
            put(backend::HOP + hop::MTU, &hop.mtu.to_ne_bytes());
        }
        out
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
