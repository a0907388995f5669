//! Changes that some nodes have before the others.

use crate::world::{Fleet, Host, run, until};

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

#[test]
fn root_a_rollout_is_halted_where_backends_are_out_of_a_sudden() {
    let fleet = Fleet::new(1);
    let (host, store) = (fleet.host(), fleet.store());
    run(&format!("ip netns exec {} sysctl -q -w net.ipv4.conf.e0.forwarding=1", host.name));
    let _agent = host.agent(&store, &[]);
    until("the node", || host.xdpilot(&store, &["get", "nodes"]).contains(&host.name).then_some(()));
    let apply = |check: &str, more: &[&str]| {
        let pool = format!("pool cats via nat {{\n  10.9.0.1:80\n  check exec \"{check}\" every 50ms\n}}\n");
        let file = host.file("web.xdp", &format!("{pool}policy web on e0 {{ route cats when tcp dst port 80 }}\n"));
        host.output(&store, &[&["apply", "-f", &file, "--wait"], more].concat())
    };
    let canary = ["--canary", "100%", "--bake", "4s"];
    let output = apply("true", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let before = host.program("e0").unwrap();
    let output = apply("false", &canary);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it was halted: backend 10.9.0.1:80 of pool cats is out at e0"), "{said}");
    until("the pool is well again", || {
        let pools = host.xdpilot(&store, &["pool", "show", "--on", "e0"]);
        (pools.contains("up") && !pools.contains("down")).then_some(())
    });
    assert!(host.xdpilot(&store, &["get", "pool", "cats"]).contains("check exec \"true\""));
    assert_ne!(host.program("e0"), None, "{before}");
}
