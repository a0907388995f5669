//! What is wanted follows the store, and labels.

use crate::world::{Fleet, Host, no_pings, until};

#[test]
fn root_policies_go_to_the_nodes_with_their_labels() {
    let fleet = Fleet::new(1);
    let (hosts, store) = ([fleet.host(), fleet.host()], fleet.store());
    let agents = [hosts[0].agent(&store, &["--label", "role=edge"]), hosts[1].agent(&store, &["--label", "role=core"])];
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
