//! `route` and `pool` with real traffic: the built command, real interfaces, curl. Needs root, ip, curl,
//! ethtool, sysctl and docker.io.
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
mod tunnel;
mod world;

mod connections;
mod containers;
mod data_path;
mod direct;
mod errors;
mod health;
mod leftovers;
mod load;
mod mistakes;
mod quic;
mod translated;
mod tunnels;
mod uploads;
mod verbs;

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
