//! Packets as bytes: where their headers are, packets from words, and words about packets.
//!
//! A packet begins with its Ethernet header; there is no preamble and no frame check sequence.

mod build;
mod checksum;
mod describe;
pub(crate) mod icmp;
mod layers;
mod lex;
mod returned;
#[cfg(test)]
mod tests;
mod words;

pub use describe::describe;
pub(crate) use layers::{EXTENSIONS, FARTHEST, MAX_EXTENSIONS};
pub use layers::{Ip, Layers, layers};
pub use returned::returned;
pub use words::{parse, spaced};

/// Ethertypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad outer tag.
    pub const QINQ: u16 = 0x88a8;
    /// Outer tag of older switches.
    pub const QINQ_OLD: u16 = 0x9100;
}

/// IP protocol numbers, which are IPv6 next headers as well.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMP6: u8 = 58;
    /// Nothing follows.
    pub const NONE: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Whether a tag of this ethertype stands before another ethertype.
pub fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD)
}
