//! Agents and stores that end at any time: what is attached stays.

use crate::world::{Fleet, no_pings, until};

#[test]
fn root_what_is_attached_outlives_agent_and_store() {
    let fleet = Fleet::new(1);
    let (host, store) = (fleet.host(), fleet.store());
    let agent = host.agent(&store, &[]);
    host.xdpilot(&store, &["apply", "-f", &host.file("edge.xdp", &no_pings("e0")), "--wait"]);
    let program = host.program("e0");
    assert!(program.is_some() && !host.answers());
    agent.end();
    assert_eq!(host.program("e0"), program);
    // A new agent finds all as it should be.
    let agent = host.agent(&store, &[]);
    until("the agent", || agent.log().matches("in force").nth(1).map(drop));
    assert_eq!(host.program("e0"), program);
    drop(agent);
    // Without the store the last state is in force, also what it says of an interface that comes meanwhile.
    fleet.members[0].kill();
    host.rewire();
    assert_eq!(host.program("e0"), None);
    let agent = host.agent(&store, &[]);
    until("the last state", || host.program("e0"));
    assert!(!host.answers());
    assert!(agent.log().contains("the last state of the store is in force"), "{}", agent.log());
    fleet.members[0].run();
    until("the store", || host.output(&store, &["delete", "policy", "edge"]).status.success().then_some(()));
    until("the store's word", || host.program("e0").is_none().then_some(()));
    assert!(host.answers());
}
