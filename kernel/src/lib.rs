//! The kernel's side of xdpilot, as safe functions. The only crate with `unsafe`.
#![deny(unsafe_op_in_unsafe_fn)]

mod bpf;
pub mod headers;
mod libbpf_log;
pub mod link;
pub mod load;
mod load_error;
pub mod machine;
pub mod map;
pub mod object;
pub mod owners;
pub mod pins;
mod printf;
pub mod program;
pub mod stats;
pub mod test_run;
