//! The network half against the real kernel, judged by `ip`, `bpftool` and `ethtool`. Needs root.

// A helper that cannot do its work fails the test that called it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod configure;
mod monitor;
mod namespaces;
mod offload;
mod privilege;
mod veth;
mod xdp;
