//! Policies as users want them, with real traffic: the built command, real interfaces, real packets. Needs root, ip,
//! bpftool, xdp-loader and hping3.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../end_to_end/command.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod command;
#[path = "../end_to_end/keeper.rs"]
mod keeper;
#[path = "../end_to_end/net.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod net;

mod compiled;
mod directions;
mod firewall;
mod flood;
mod kept;
mod redirected;
mod sets;
mod speed;
mod traffic;
