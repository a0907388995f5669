//! Containers of real engines are found, and programs put on them. Needs root, docker.io, podman, runc, busybox-static, curl.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

/// Engines, images and containers that the tests make and remove.
mod support {
    pub(crate) mod docker;
    pub(crate) mod engine;
    pub(crate) mod image;
    pub(crate) mod podman;
    pub(crate) mod subject;
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
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::engine::TestEngine;
use support::{docker, podman};
use xdpilot_core::error::Kind;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::pins;

/// A container is found with its pid, in a namespace of its own, and serves what the tests rely on.
fn is_found_and_serves(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let found = engine.asked().find(&container.name).unwrap();
    assert_eq!((&found.name, &found.id, found.engine), (&container.name, &container.id, engine.engine));
    assert!(engine.asked().list().unwrap().contains(&found));
    assert_eq!(engine.asked().find(&container.id[..12]).unwrap(), found);

    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(namespace(&found.pid.to_string()), namespace("self"));

    container.assert_page();
    container.assert_echo();
    assert!(!container.mounts().contains(&"bpf".to_owned()), "no program here needs a BPF file system inside");
}

/// A mistyped name is answered with the right one, a stopped container with its state.
fn mistakes_are_answered(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let error = engine.asked().find(&format!("{}x", container.name)).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.cause_text().unwrap().contains(&container.name), "{error}");
    let output = container.xdpilot(&["status", "--on", &format!("{}x", container.target())]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("near names are: ") && said.contains(&container.name), "{said}");

    engine.client(&["kill", &container.name]);
    engine.client(&["wait", &container.name]);
    let error = engine.asked().find(&container.name).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.cause_text().unwrap().contains("not running (it is exited)"), "{error}");
    assert!(engine.asked().list().unwrap().iter().all(|other| other.name != container.name));
}

/// The only interface of a status.
fn one(mut interfaces: Vec<Value>) -> Value {
    assert_eq!(interfaces.len(), 1, "{interfaces:?}");
    interfaces.pop().unwrap()
}

/// Everything is dropped from load to unload, by a program from a C file.
fn a_dropper_silences_it(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    container.assert_page();
    let answer = container.load("dropper.c", &[]);
    assert_eq!((&answer["interface"], &answer["counted"]), (&"eth0".into(), &true.into()), "{answer}");
    container.assert_no_page();
    assert!(container.await_drops(&[]) > 0);
    // Without --on it is found among all that this machine has.
    let status: Value = serde_json::from_slice(&container.xdpilot(&["status", "--json"]).stdout).unwrap();
    let mut interfaces = status["interfaces"].as_array().unwrap().iter();
    let seen = interfaces.find(|seen| seen["programs"][0]["id"] == answer["id"]).unwrap();
    assert_eq!((&seen["where"][0], &seen["interface"]), (&container.target().into(), &"eth0".into()));
    let removed = container.json(&["unload"]);
    assert_eq!(removed["unloaded"][0]["removed"][0]["id"], answer["id"]);
    container.assert_page();
    assert!(!Path::new(answer["link"].as_str().unwrap()).exists());
}

/// Only UDP is dropped: requests at the container's own interface, or answers at the host's end of its wire.
fn a_udp_dropper_takes_a_direction(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let inside = Namespace::of_pid(container.pid()).unwrap();
    let own = inside.run(|| Interface::by_name("eth0")).unwrap();
    let ends = [(inside.inode(), own.index), (Namespace::current().unwrap().inode(), own.link.unwrap())];
    for (words, (netns, ifindex)) in [["--traffic", "to"], ["--traffic", "from"]].into_iter().zip(ends) {
        let answer = container.load("udp.o", &words);
        container.assert_no_echo();
        container.assert_page();
        assert!(container.await_drops(&words) > 0);

        let interface = one(container.status(&words));
        assert_eq!((&interface["netns"], &interface["ifindex"]), (&netns.into(), &ifindex.into()));
        assert_eq!(interface["interface"], answer["interface"]);
        assert_eq!(interface["programs"][0]["id"], answer["id"]);
        if words[1] == "to" {
            assert_eq!((&interface["interface"], &interface["where"][0]), (&"eth0".into(), &container.target().into()));
        } else {
            assert_eq!(interface["where"][0], "host");
            assert_eq!(one(container.status(&["--traffic", "to"]))["programs"], Value::Array(Vec::new()));
        }
        container.json(&[&["unload"], &words[..]].concat());
        container.assert_echo();
    }
}

/// A policy that names the container itself lets the page through and no datagram; an element changes that at once; in
/// the other direction it sees what leaves.
fn a_policy_guards_it(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let folder = tempfile::tempdir().unwrap();
    let (file, target) = (folder.path().join("edge.xdp"), container.target());
    let text = format!(
        "set guests = {{ 192.0.2.0/24 }}
         policy edge on {target} {{
           pass when arp
           pass when tcp dst port 80 and not src in guests
           default drop
         }}"
    );
    fs::write(&file, text).unwrap();
    let output = container.xdpilot(&["load", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    container.assert_page();
    container.assert_no_echo();
    let rules = container.status(&[])[0]["programs"][0]["policy"]["rules"].clone();
    assert!(rules[1]["packets"].as_u64().unwrap() > 0 && rules[2]["packets"].as_u64().unwrap() > 0, "{rules}");
    container.json(&["set", "add", "guests", "0.0.0.0/0"]);
    container.assert_no_page();
    container.json(&["set", "del", "guests", "0.0.0.0/0"]);
    container.assert_page();
    container.json(&["unload"]);
    container.assert_echo();

    container.json(&["load", "-e", "drop when udp src port 7", "--direction", "egress"]);
    container.assert_no_echo();
    container.assert_page();
    container.json(&["unload"]);
    container.assert_echo();
}

/// A restart takes the interface, but not the pin of its program's link: the next command removes it.
fn a_restart_is_survived(engine: &Arc<TestEngine>) {
    let container = engine.run_container();
    let answer = container.load("dropper.o", &[]);
    let link = Path::new(answer["link"].as_str().unwrap());
    assert_eq!(link.parent(), Some(Path::new("/sys/fs/bpf/xdpilot")));
    // Until the dead pin was seen, the commands of other tests must not remove it.
    let lock = pins::lock(|| {}).unwrap();
    container.restart();
    let deadline = Instant::now() + Duration::from_secs(10);
    while Link::open_pinned(link).unwrap().info().unwrap().xdp_ifindex().is_some() {
        assert!(Instant::now() < deadline, "the namespace of the container that ended is still there");
        std::thread::yield_now();
    }
    drop(lock);
    container.assert_page();
    let removed = container.json(&["unload"]);
    assert_eq!(removed["unloaded"][0]["removed"], Value::Array(Vec::new()), "nothing stood on the new interface");
    assert!(!link.exists());

    container.load("dropper.o", &[]);
    container.assert_no_page();
    container.json(&["unload"]);
    container.assert_page();
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
fn root_a_dropper_silences_a_docker_container_until_it_is_unloaded() {
    a_dropper_silences_it(&docker::shared());
}

#[test]
fn root_a_dropper_silences_a_podman_container_until_it_is_unloaded() {
    a_dropper_silences_it(&podman::shared());
}

#[test]
fn root_a_udp_dropper_takes_either_direction_of_a_docker_container() {
    a_udp_dropper_takes_a_direction(&docker::shared());
}

#[test]
fn root_a_udp_dropper_takes_either_direction_of_a_podman_container() {
    a_udp_dropper_takes_a_direction(&podman::shared());
}

#[test]
fn root_a_policy_guards_a_docker_container() {
    a_policy_guards_it(&docker::shared());
}

#[test]
fn root_a_restart_of_a_docker_container_leaves_no_pin_to_the_next_command() {
    a_restart_is_survived(&docker::shared());
}

#[test]
fn root_a_restart_of_a_podman_container_leaves_no_pin_to_the_next_command() {
    a_restart_is_survived(&podman::shared());
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
