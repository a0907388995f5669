//! The agent as its users meet it: the built command, real interfaces, a real etcd. Needs root, ip, hping3,
//! etcd and docker.io.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod chaos;
mod containers;
mod follows;
mod outage;
mod rollouts;
mod shared;
mod verbs;
mod world;

#[path = "../store/member.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod member;

use support::{folder, watchdog};

/// What other tests use too: Docker and its containers, folders.
#[path = "../support"]
#[allow(dead_code, reason = "shared with other tests")]
mod support {
    pub(crate) mod docker;
    pub(crate) mod engine;
    pub(crate) mod folder;
    pub(crate) mod image;
    pub(crate) mod subject;
    pub(crate) mod watchdog;

    /// Runs a command that must succeed and returns its standard output.
    #[track_caller]
    pub(crate) fn run(program: &str, args: &[&str]) -> String {
        let output = std::process::Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
