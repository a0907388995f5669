//! The parts of the `xdpilot` tool: what its verbs are made of.
#![forbid(unsafe_code)]

pub mod demo;
pub mod engine;
pub mod target;
