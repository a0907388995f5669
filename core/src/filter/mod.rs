//! Filter expressions: what stands after `when`.
//!
//! [`parse()`] takes what `pcap_compile` of libpcap 1.10.3 takes for Ethernet (`DLT_EN10MB`), and [`lower()`] tells what
//! the program that it would make, optimized, looks at: the same packets match, however they are cut off. Beyond it:
//!
//! - `[ether|ip|ip6|arp|rarp] [src|dst|src or dst|src and dst] in SET` and `… in {10.0.0.0/8, 2001:db8::1}`: addresses.
//!   Where `src and dst` stands, each of the two is in the set. Without `ip` and the like, addresses of ARP and RARP are
//!   meant as well, as with `net`.
//! - `[tcp|udp|sctp] [src|dst|…] port in SET` and `port in {80, 443, 8000-8080}`: ports.
//! - `src . dst port in SET` and `src . dst in {10.0.0.1 . 10.0.0.2}`: two to five values beside each other, each of `[ip|ip6]
//!   src|dst`, `[tcp|udp|sctp] src|dst port`, `proto`, `ether src|dst`. A tuple holds where each of its values does.
//! - `tcp FLAG[,FLAG…]` with `fin`, `syn`, `rst`, `psh`, `ack`, `urg`, `ece`, `cwr`, each with `!` before it if it must
//!   not be set: `tcp syn,!ack`. IPv4 (no later fragment) and IPv6 (no extension headers).
//! - `payload starts "TEXT"`: the bytes behind the TCP or UDP header, over the same; a shorter payload is no fault.
//!   Escapes: `\"`, `\`, `\n`, `\r`, `\t`, `\xNN`.
//!
//! None of these texts is taken by libpcap: there, a name never follows a protocol's word or another name.
//!
//! What differs from libpcap:
//!
//! - `byte N & V` and `byte N | V`: libpcap loads no byte for them and computes with what an earlier test left behind.
//!   Here that is 0, as at the beginning of a filter.
//! - Tests behind `geneve` of packets that are in no tunnel (`geneve or tcp`): libpcap reads memory that it never set.
//!   Here the tunnel's fields are read where they would be.
//! - `protochain` ends after [`crate::cond::Chain::HEADERS`] headers, where libpcap may go in a circle for ever.
//! - An expression that libpcap's optimizer refuses as one that rejects all packets matches none.
//! - Parentheses nest at most 200 deep. What the optimizer leaves out is not followed in expressions of more than 512
//!   tests, which matters only for packets that are cut off.
//! - Names of networks, `gateway` and names in `/etc/ethers` are not looked up.

pub mod ast;
mod lower;
pub mod names;
mod parse;
mod print;
mod scan;
mod words;

pub use lower::{Context, Resolve, lower, lower_returned};
pub(crate) use parse::element;
pub use parse::parse;

/// A filter expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its test; none in an empty expression, which every packet matches.
    pub root: Option<ast::Expr>,
}
