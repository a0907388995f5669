//! The verbs of the command, with an agent that has the store.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::agent::{Agent, command};
use crate::command::xdpilot;
use crate::net::Pair;

#[track_caller]
fn done(agent: &Agent, words: &[&str]) -> String {
    let ran = agent.verb(words);
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:#?}");
    ran.out
}

#[test]
fn root_verbs_work_while_an_agent_has_the_store() {
    let (pair, agent) = (Pair::new(), Agent::start());
    let file = agent.path("edge.xdp");
    let file = file.to_str().unwrap();
    fs::write(
        file,
        format!("set xpbad = {{ 192.0.2.1 }}\npolicy edge on {} {{ drop when src in xpbad }}", pair.target()),
    )
    .unwrap();
    assert!(done(&agent, &["diff", "-f", file]).contains("load policy edge"));
    assert!(done(&agent, &["apply", "-f", file, "--wait"]).contains("policy edge: stored, version 1"));
    pair.assert_flows();
    assert!(pair.xdp().is_some());
    assert_eq!(done(&agent, &["diff"]), "nothing would change\n");

    // A set that is a store's is changed there.
    let ran = xdpilot(&["set", "add", "xpbad", "10.0.0.1", "--on", &pair.target()]);
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(ran.err.contains("is there for a store") && ran.err.contains("xdpilot set add xpbad 10.0.0.1 --store"));
    pair.assert_flows();
    let store = format!("redb:{}", agent.path("store.redb").display());
    let ran = xdpilot(&["set", "add", "xpbad", "10.0.0.1", "--store", &store, "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["written"][0]["version"], 2);
    agent.settle();
    pair.assert_dropped();
    done(&agent, &["set", "del", "xpbad", "10.0.0.1"]);
    agent.settle();
    pair.assert_flows();
    let ran = agent.verb(&["set", "del", "xpbad", "10.0.0.1", "--on", &pair.target()]);
    assert!(ran.code == Some(2) && ran.err.contains("--on does not go with --store"), "{ran:#?}");
    assert_eq!(agent.verb(&["set", "add", "xpnone", "10.0.0.1"]).code, Some(2));
    fs::write(file, "10.0.0.0/24\n").unwrap();
    done(&agent, &["set", "replace", "xpbad", file]);
    agent.settle();
    pair.assert_dropped();

    done(&agent, &["rollback", "set", "xpbad", "--to", "1"]);
    agent.settle();
    pair.assert_flows();
    let history = done(&agent, &["history", "set", "xpbad"]);
    assert_eq!(history.lines().count(), 6, "{history}");
    assert!(done(&agent, &["get"]).contains("attachment edge"));
    assert!(done(&agent, &["get", "policy", "edge"]).contains("drop when src in xpbad"));
    assert!(done(&agent, &["get", "nodes"]).contains("in force"));
    assert!(done(&agent, &["export"]).contains(&format!("policy edge on {} {{", pair.target())));
    let exported: Value = serde_json::from_str(&done(&agent, &["export", "--json"])).unwrap();
    assert_eq!(exported["documents"].as_array().unwrap().len(), 3, "{exported}");
    let waited: Value = serde_json::from_str(&done(&agent, &["wait", "--json"])).unwrap();
    assert_eq!(waited["nodes"][0]["attached"][0]["program"], pair.xdp().unwrap().1);
    done(&agent, &["delete", "policy", "edge"]);
    agent.settle();
    assert_eq!(pair.xdp(), None);
    let ran = agent.verb(&["get", "policy", "edge"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
}

#[test]
fn root_an_edit_that_came_late_is_kept() {
    let agent = Agent::start();
    agent.put("set/bad", "set bad = { 10.0.0.1 }");
    let editor = |script: &str| {
        let path = agent.path("editor");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mut command = std::process::Command::new(crate::command::XDPILOT);
        command.args(["edit", "set", "bad", "--state", agent.state.path().to_str().unwrap()]);
        command.env("VISUAL", format!("/bin/sh {}", path.display()));
        crate::command::Ran::from(command.output().unwrap())
    };
    let ran = editor("sed -i s/10.0.0.1/10.0.0.2/ \"$1\"");
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let late = format!(
        "curl -s --unix-socket {} -X PUT -d 'set bad = {{ 10.0.0.3 }}' http://x/v1/documents/set/bad; sed -i s/0.2/0.4/ \"$1\"",
        agent.socket().display()
    );
    let ran = editor(&late);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains("somebody changed it meanwhile"), "{}", ran.err);
    let kept = ran.err.split_whitespace().find(|word| word.contains("/xdpilot-")).unwrap().trim_end_matches(',');
    assert_eq!(fs::read_to_string(kept).unwrap(), "set bad = { 10.0.0.4 }");
    fs::remove_file(kept).unwrap();
    assert_eq!(agent.get("/v1/documents/set/bad")["text"], "set bad = { 10.0.0.3 }");
}

#[test]
fn root_one_agent_has_a_folder_and_a_socket_that_was_left_is_replaced() {
    let agent = Agent::start();
    let second = command(agent.state.path()).stderr(std::process::Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && told.contains("another agent has the folder"), "{told}");
    agent.put("set/bad", "set bad = { 10.0.0.1 }");

    let state = agent.end(Signal::SIGKILL);
    assert!(state.path().join("agent.sock").exists(), "it was killed");
    let agent = Agent::start_in(state, &[]);
    assert_eq!(agent.get("/v1/documents/set/bad")["version"], 1);
    let state = agent.end(Signal::SIGTERM);
    assert!(!state.path().join("agent.sock").exists());
    // Without an agent the verbs have the store themselves.
    let ran = xdpilot(&["get", "set", "bad", "--state", state.path().to_str().unwrap()]);
    assert_eq!(ran.out, "set bad = { 10.0.0.1 }\n", "{ran:#?}");
}
