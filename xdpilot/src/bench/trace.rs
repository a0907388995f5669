//! What a program is measured on: the heads and lengths of packets.

use std::path::Path;

use xdpilot_core::error::Result;
use xdpilot_core::trampoline::{HEAD, LONGEST, SHORTEST};

use super::mix;

/// So many packets of a capture are taken at most.
const MOST: usize = 65_536;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its first bytes, at most [`HEAD`].
    pub head: Vec<u8>,
    /// Its length in bytes.
    pub length: usize,
}

/// Packets in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The packets, at least one.
    pub packets: Vec<Packet>,
    /// Where they come from, for people.
    pub name: String,
    /// What was left out or changed, a sentence each.
    pub notes: Vec<String>,
}

impl Trace {
    /// The built-in mix: always the same packets.
    pub fn mix() -> Self {
        let packets = mix::frames().into_iter().map(|(head, length)| Packet { head, length }).collect();
        Trace { packets, name: "the built-in mix".into(), notes: Vec::new() }
    }
}
