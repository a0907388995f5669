//! The parts of the `xdpilot` tool: what its verbs are made of.
#![forbid(unsafe_code)]

pub mod attach;
pub mod cli;
pub mod demo;
pub mod detach;
pub mod doctor;
pub mod engine;
pub mod ip;
pub mod load;
pub mod place;
pub mod prepare;
pub mod record;
pub mod source;
pub mod state;
pub mod target;
pub mod unload;
