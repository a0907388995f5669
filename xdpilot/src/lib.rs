//! The parts of the `xdpilot` tool: what its verbs are made of.
#![forbid(unsafe_code)]

pub mod attach;
pub mod bench;
pub mod capture;
pub mod check;
pub mod cli;
pub mod companion;
pub mod demo;
pub mod detach;
pub mod direction;
pub mod dispatcher;
pub mod doctor;
pub mod engine;
pub mod explain;
pub mod fmt;
pub mod inspect;
pub mod ip;
pub mod keep;
pub mod load;
pub mod pause;
pub mod place;
pub mod policy;
pub mod prepare;
pub mod put;
pub mod record;
pub mod set;
pub mod source;
pub mod state;
pub mod status;
pub mod sweep;
pub mod table;
pub mod target;
pub mod test;
pub mod trial;
pub mod unload;
pub mod when;
