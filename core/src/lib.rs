//! The pure half of xdpilot: no root, no kernel, no file descriptor.
//!
//! An ELF file becomes an [`object::Object`], passes turn one object into another, and the result
//! is written as an ELF file that libbpf takes.
#![forbid(unsafe_code)]

pub mod asm;
pub mod btf;
pub mod cond;
mod cut;
pub mod diagnose;
pub mod draw;
pub mod elf;
pub mod emit;
pub mod error;
pub mod eval;
pub mod filter;
pub mod import;
pub mod link;
pub mod listing;
pub mod map_types;
pub mod modernize;
pub mod near;
pub mod object;
pub mod packet;
pub mod pass;
pub mod pcap;
pub mod plan;
pub mod policy;
mod prefix;
pub mod problem;
pub mod random;
pub mod route;
pub mod rules;
pub mod set_table;
pub mod trampoline;
pub mod transmit;

#[cfg(test)]
mod made;
