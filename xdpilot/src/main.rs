//! xdpilot: XDP programs on interfaces and containers.
#![forbid(unsafe_code)]

fn main() {}
