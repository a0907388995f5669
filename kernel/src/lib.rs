//! The kernel's side of xdpilot, as safe functions. The only crate with `unsafe`.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod configure;
pub mod interface;
pub mod mode;
pub mod namespace;
pub mod near;
pub mod netns_directory;
pub mod offload;
pub mod veth;
pub mod xdp_netlink;

mod attributes;
mod link_message;
mod socket;
