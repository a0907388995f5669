//! `xdpilot load` and `unload` as a user meets them: the built command, real interfaces, real packets. Needs root,
//! clang, ip, bpftool and ethtool.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod command;
mod companion;
mod counts;
mod maps;
mod modes;
mod net;
mod ownership;
mod pins;
mod programs;
mod replace;
mod rollback;
mod sigkill;
mod targets;
