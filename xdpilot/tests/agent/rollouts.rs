//! Changes that some nodes have before the others.

use crate::world::{Fleet, Host, until};

#[test]
fn root_a_rollout_goes_on_or_back() {
    let fleet = Fleet::new(1);
    let (hosts, store) = ([fleet.host(), fleet.host()], fleet.store());
    let _agents = hosts.each_ref().map(|host| host.agent(&store, &[]));
    until("both nodes", || {
        let nodes = hosts[0].xdpilot(&store, &["get", "nodes"]);
        hosts.iter().all(|host| nodes.contains(&host.name)).then_some(())
    });
    let apply = |words: &str, more: &[&str]| {
        let file = hosts[0].file("edge.xdp", words);
        hosts[0].output(&store, &[&["apply", "-f", &file, "--wait"], more].concat())
    };
    let canary = ["--canary", "50%", "--bake", "2s"];
    assert!(apply("policy edge on e0 { drop when udp }\n", &[]).status.success());
    let before = hosts.each_ref().map(|host| host.program("e0").unwrap());
    // One that is well becomes everybody's.
    let output = apply("policy edge on e0 { drop when icmp }\n", &canary);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hosts.each_ref().map(Host::answers), [false, false]);
    let now = hosts.each_ref().map(|host| host.program("e0").unwrap());
    assert!(before[0] != now[0] && before[1] != now[1]);
    // One that cannot be is nobody's in the end, and only one node's meanwhile: what it redirects to is not there.
    let output = apply("policy edge on e0 { redirect nowhere0 when udp }\n", &canary);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it was halted: policy edge failed at e0"), "{said}");
    assert_eq!(hosts.each_ref().map(|host| host.program("e0").unwrap()), now);
    assert!(hosts[0].xdpilot(&store, &["rollout", "show"]).contains("was halted"));
    assert!(hosts[0].xdpilot(&store, &["get", "policy", "edge"]).contains("icmp"));
}
