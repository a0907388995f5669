//! `route` and `pool` with real traffic: the built command, real interfaces, curl. Needs root, ip, ethtool, curl,
//! sysctl and docker.io.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../end_to_end/command.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod command;
#[path = "../end_to_end/keeper.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod keeper;
#[path = "../end_to_end/net.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod net;

mod curl;
mod http;
mod network;
mod world;

mod connections;
mod direct;
mod health;
mod leftovers;
mod mistakes;
mod translated;
mod verbs;

/// What other tests use too.
#[path = "../support"]
mod support {
    pub(crate) mod folder;
}
