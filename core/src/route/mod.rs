//! Routing to the backends of pools: what the evaluator, the generated program and whoever fills its maps have in common.
//!
//! A new connection gets the backend that stands at its place in the pool's [`ring`]; the table of [`flows`] remembers
//! it, so that it stays there when the ring changes.

pub mod flows;
pub mod hash;
pub mod layout;
pub mod quic;
pub mod replies;
pub mod ring;
pub mod senders;
pub mod service;
mod state;

/// Time to live, and hop limit, of headers and answers that begin here.
pub const TTL: u8 = 64;
/// So many bytes of an IPv4 packet come back with an error about it: more than its headers, less than makes the answer too
/// big.
pub const RETURNED: usize = 128;
/// The same of an IPv6 packet.
pub const RETURNED_V6: usize = 256;
/// Ports of GUE that `decap` knows: IANA's, and that of Linux's older examples and of load balancers.
pub const GUE_PORTS: [u16; 2] = [6080, 9886];

pub use layout::{Backend, Hop, Member, flags};
pub use state::{Ring, State, member, reads_ids, ring_of, rings, sessions, translates};
