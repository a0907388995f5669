//! Containers of real engines are found. Needs root, docker.io, podman, runc, busybox-static, curl.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

/// Engines, images and containers that the tests make and remove.
mod support {
    pub(crate) mod docker;
    pub(crate) mod engine;
    pub(crate) mod image;
    pub(crate) mod podman;
    pub(crate) mod watchdog;

    use std::process::Command;

    /// Runs a command that must succeed and returns its standard output.
    #[track_caller]
    pub(crate) fn run(program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {}: {}\n{errors}", args.join(" "), output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

use std::fs;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use support::engine::TestEngine;
use support::{docker, image, podman, run};
use xdpilot_core::error::Kind;

/// A container is found with its pid, in a namespace of its own, and serves what the tests rely on.
fn is_found_and_serves(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let found = engine.asked().find(&container.name).unwrap();
    assert_eq!((&found.name, &found.id, found.engine), (&container.name, &container.id, engine.engine));
    assert!(engine.asked().list().unwrap().contains(&found));
    assert_eq!(engine.asked().find(&container.id[..12]).unwrap(), found);

    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(namespace(&found.pid.to_string()), namespace("self"));

    let address = container.address();
    assert_eq!(run("curl", &["-sS", "--noproxy", "*", "-m", "5", &format!("http://{address}/")]), image::PAGE);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(b"hello", (address.as_str(), 7)).unwrap();
    let mut bytes = [0; 16];
    let size = socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..size], b"hello");
}

/// A mistyped name is answered with the right one, a stopped container with its state.
fn mistakes_are_answered(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let error = engine.asked().find(&format!("{}x", container.name)).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.cause_text().unwrap().contains(&container.name), "{error}");

    engine.client(&["kill", &container.name]);
    engine.client(&["wait", &container.name]);
    let error = engine.asked().find(&container.name).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.cause_text().unwrap().contains("not running (it is exited)"), "{error}");
    assert!(engine.asked().list().unwrap().iter().all(|other| other.name != container.name));
}

#[test]
fn root_a_docker_container_is_found_and_serves() {
    is_found_and_serves(&docker::shared());
}

#[test]
fn root_a_podman_container_is_found_and_serves() {
    is_found_and_serves(&podman::shared());
}

#[test]
fn root_mistakes_with_docker_are_answered() {
    mistakes_are_answered(&docker::shared());
}

#[test]
fn root_mistakes_with_podman_are_answered() {
    mistakes_are_answered(&podman::shared());
}

#[test]
fn root_the_demo_runs_with_a_docker_container_and_removes_it() {
    let engine = docker::shared();
    let host = format!("unix://{}", engine.socket.display());
    let mut demo = Command::new(env!("CARGO_BIN_EXE_xdpilot"));
    let child = demo.args(["demo", "--docker"]).env("DOCKER_HOST", host).stdout(Stdio::piped()).spawn().unwrap();
    let name = format!("xdpilot-demo-{}", child.id());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("$ xdpilot load dropper.o --on docker:{name}\n")), "{told}");
    assert_eq!(told.matches("   as expected\n").count(), 7, "{told}");
    assert!(!engine.client(&["ps", "--all", "--format", "{{.Names}}"]).contains(&name));
    assert!(!engine.client(&["images", "--format", "{{.Repository}}"]).contains(&name));
}
