//! The stores: one suite for both, the embedded one and etcd's; then what each of them has to survive. Needs etcd
//! (etcd-server) and openssl; filling a disk and cutting a network need root and iptables.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod announcing;
mod authentication;
mod commits;
mod disk;
mod failover;
mod killed;
mod listings;
#[allow(dead_code, reason = "shared with other tests")]
mod member;
mod place;
mod quota;
mod tls;
mod watches;

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/watchdog.rs"]
mod watchdog;

/// Each of these tests, for both stores.
macro_rules! for_both_stores {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $test() { super::$test(&crate::place::Place::embedded()); })*
        }
        mod etcd {
            $(#[test] fn $test() { super::$test(&crate::place::Place::etcd()); })*
        }
    };
}
use for_both_stores;
