//! The agent as its users meet it: the built command, real interfaces, a real etcd. Needs root, ip, hping3 and
//! etcd.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod chaos;
mod follows;
mod outage;
mod rollouts;
mod verbs;
mod world;

#[path = "../support/folder.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod folder;
#[path = "../store/member.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod member;
#[path = "../support/watchdog.rs"]
mod watchdog;
