//! The agent's API as users and machines use it: real agents, curl, openssl, real interfaces. Needs root, ip, curl,
//! openssl and setpriv.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../end_to_end/command.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod command;
#[path = "../end_to_end/net.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod net;

mod agent;
mod curl;
mod documents;
mod events;
mod exposition;
mod hostile;
mod manager;
mod metrics;
mod security;
mod verbs;
