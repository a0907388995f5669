//! What is wanted follows the store, and labels.

use std::time::{Duration, Instant};

use crate::world::{Fleet, Host, no_pings, run, until};

#[test]
fn root_policies_go_to_the_nodes_with_their_labels() {
    let fleet = Fleet::new(1);
    let (hosts, store) = ([fleet.host(), fleet.host()], fleet.store());
    let agents = [hosts[0].agent(&store, &["--label", "role=edge"]), hosts[1].agent(&store, &["--label", "role=core"])];
    // Nodes that have not reported yet are waited for by nobody.
    until("the nodes", || {
        let nodes = hosts[0].xdpilot(&store, &["get", "nodes"]);
        hosts.iter().all(|host| nodes.contains(&host.name)).then_some(())
    });
    let file = hosts[0].file("edge.xdp", &no_pings("node role=edge e0"));
    hosts[0].xdpilot(&store, &["apply", "-f", &file, "--wait"]);
    assert_eq!(hosts.each_ref().map(Host::answers), [false, true]);
    let file = hosts[1].file("edge.xdp", &no_pings("node role=core e0"));
    hosts[1].xdpilot(&store, &["apply", "-f", &file, "--wait"]);
    assert_eq!(hosts.each_ref().map(Host::answers), [true, false]);
    let nodes = hosts[0].xdpilot(&store, &["get", "nodes"]);
    assert!(hosts.iter().all(|host| nodes.contains(&host.name)), "{nodes}");
    hosts[0].xdpilot(&store, &["delete", "policy", "edge"]);
    until("the end", || hosts.iter().all(|host| host.program("e0").is_none()).then_some(()));
    drop(agents);
}

/// From now to the program: a tenth of it where the machine has nothing else to do, and less than the agent's own rounds.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn root_interfaces_that_come_later_are_found_at_once() {
    let fleet = Fleet::new(1);
    let (host, store) = (fleet.host(), fleet.store());
    let _agent = host.agent(&store, &[]);
    let other = format!("netns:{}p/late0", host.name);
    host.xdpilot(&store, &["apply", "-f", &host.file("edge.xdp", &no_pings(&format!("e0, e1, {other}"))), "--wait"]);
    let nodes = host.xdpilot(&store, &["get", "nodes"]);
    assert_eq!(nodes.matches("waits for it").count(), 2, "{nodes}");
    let soon = |what: &str, has: &dyn Fn() -> bool| {
        let begin = Instant::now();
        until(what, || has().then_some(()));
        assert!(begin.elapsed() < SOON, "{what}: {:?}", begin.elapsed());
    };
    // Another interface of that name.
    host.rewire();
    soon("an interface that is made anew", &|| host.program("e0").is_some());
    assert!(!host.answers());
    // The name goes elsewhere: what stood there goes with it.
    run(&format!("ip -n {} link set e0 down", host.name));
    run(&format!("ip -n {} link set e0 name e1", host.name));
    run(&format!("ip -n {} link set e1 up", host.name));
    soon("an interface with another name", &|| host.program("e1").is_some());
    until("the node's report", || {
        let nodes = host.xdpilot(&store, &["get", "nodes"]);
        (nodes.contains("e0: policy edge waits for it") && nodes.contains("e1: policy edge in force")).then_some(())
    });
    // One in another namespace, which gets another one of the same name.
    run(&format!("ip -n {}p link add late0 type veth peer name late1", host.name));
    soon("an interface of another namespace", &|| {
        run(&format!("ip -n {}p -d link show late0", host.name)).contains("prog/xdp")
    });
}

#[test]
fn root_garbage_in_the_store_is_named_and_harms_nothing() {
    let fleet = Fleet::new(1);
    let (host, store) = (fleet.host(), fleet.store());
    let agent = host.agent(&store, &[]);
    host.xdpilot(&store, &["apply", "-f", &host.file("edge.xdp", &no_pings("e0")), "--wait"]);
    let program = host.program("e0");
    for (key, value) in [
        ("documents/policy/edge", "{\"schema\":1"),
        ("documents/policy/edge", "{\"schema\":99,\"text\":\"policy edge { pass }\"}"),
        ("documents/policy/edge", "policy edge { drp }"),
        ("documents/attachment/edge", "nowhere at all"),
        ("documents/set/x/y/z", "?"),
        ("documents/rollout", "[]"),
        ("documents/pool/cats", "pool dogs via nat { 10.0.0.1 }"),
    ] {
        fleet.members[0].ctl(&["put", &format!("xdpilot/{key}"), value]);
    }
    let named = ["policy edge is refused", "attachment edge is refused", "pool cats is refused", "documents/rollout"];
    until("the names of what is refused", || {
        let nodes = host.xdpilot(&store, &["get", "nodes"]);
        named.iter().all(|name| nodes.contains(name)).then_some(())
    });
    assert_eq!(host.program("e0"), program, "{}", agent.log());
    assert!(!host.answers());
    // Words that make sense are taken, whoever wrote them.
    fleet.members[0].ctl(&["put", "xdpilot/documents/attachment/edge", "e0"]);
    fleet.members[0].ctl(&["put", "xdpilot/documents/policy/edge", "policy edge { drop when udp }"]);
    until("what was written by hand", || host.answers().then_some(()));
}
