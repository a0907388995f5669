//! The kernel's side of xdpilot, as safe functions. The only crate with `unsafe`.
#![deny(unsafe_op_in_unsafe_fn)]
