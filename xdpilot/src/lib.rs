//! xdpilot: puts XDP programs on interfaces and containers, shows what they do, takes them off again.
#![forbid(unsafe_code)]

pub mod record;
pub mod source;
