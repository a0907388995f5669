//! Containers get their programs as they come.

use std::time::{Duration, Instant};

use crate::support::docker;
use crate::world::{Fleet, no_pings, run, until};

#[test]
fn root_a_container_that_restarts_has_its_program_at_once() {
    let fleet = Fleet::new(1);
    let (host, store) = (fleet.host(), fleet.store());
    let engine = docker::shared();
    let container = engine.run_container();
    let socket = format!("unix://{}", engine.socket.display());
    let _agent = host.agent_with(&store, &[], &[("DOCKER_HOST", &socket)]);
    let place = format!("docker:{}, docker:{}-later", container.name, container.name);
    host.xdpilot(&store, &["apply", "-f", &host.file("edge.xdp", &no_pings(&place)), "--wait"]);
    let program = |name: &str| {
        let pid = engine.asked().find(name).ok()?.pid;
        let shown = run(&format!("nsenter --net --target {pid} ip -d link show eth0"));
        shown.contains("prog/xdp").then_some(pid)
    };
    let before = until("the container's program", || program(&container.name));
    for _ in 0..3 {
        container.restart();
        let begin = Instant::now();
        let now = until("the program of the container that came again", || program(&container.name));
        assert!(now != before && begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
    // One that has another name from now on.
    let later = format!("{}-later", container.name);
    engine.client(&["rename", &container.name, &later]);
    until("the new name", || {
        let nodes = host.xdpilot(&store, &["get", "nodes"]);
        nodes.contains(&format!("docker:{later} (eth0): policy edge in force")).then_some(())
    });
    host.xdpilot(&store, &["delete", "policy", "edge"]);
    until("the end", || program(&later).is_none().then_some(()));
}
