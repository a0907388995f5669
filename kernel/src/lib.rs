//! The kernel's side of xdpilot, as safe functions. The only crate with `unsafe`.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod clock;
pub mod configure;
pub mod cpu;
pub mod frames;
pub mod headers;
pub mod inherited;
pub mod interface;
pub mod link;
pub mod load;
pub mod machine;
pub mod map;
pub mod mapped;
pub mod mode;
pub mod monitor;
pub mod namespace;
pub mod neighbour;
pub mod netns_directory;
pub mod object;
pub mod offload;
pub mod owners;
pub mod perf_buffer;
pub mod pins;
pub mod program;
pub mod route;
pub mod stats;
pub mod tcx;
pub mod terminal;
pub mod test_run;
pub mod tun;
pub mod veth;
pub mod watch;
pub mod xdp_features;
pub mod xdp_netlink;

mod attributes;
mod bpf;
mod libbpf_log;
mod link_message;
mod load_error;
mod nsid;
mod printf;
mod socket;
