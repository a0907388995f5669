//! The store without an agent: each command brings the kernel to it.

use serde_json::Value;

use crate::world::{Host, no_pings, run};

#[test]
fn root_documents_are_attached_and_taken_off() {
    let host = Host::new();
    assert!(host.answers());
    let file = host.file("edge.xdp", &no_pings("e0"));
    assert!(host.xdpilot("", &["diff", "-f", &file]).contains("e0: load policy edge"));
    assert_eq!(host.program("e0"), None);
    let said = host.xdpilot("", &["apply", "-f", &file]);
    assert!(said.contains("policy edge: stored, version 1") && said.contains("in force"), "{said}");
    assert!(!host.answers());
    assert_eq!(host.xdpilot("", &["diff"]), "nothing would change\n");
    // The same again changes nothing, in the store or in the kernel.
    let program = host.program("e0");
    assert!(host.xdpilot("", &["apply", "-f", &file]).contains("policy edge: unchanged"));
    assert_eq!(host.program("e0"), program);
    assert_eq!(host.xdpilot("", &["get", "policy", "edge"]), "policy edge {\n  drop when icmp\n}\n");
    host.xdpilot("", &["delete", "attachment", "edge"]);
    assert!(host.answers());
    assert_eq!(host.program("e0"), None);
    host.xdpilot("", &["rollback", "attachment", "edge"]);
    assert!(!host.answers());
    host.xdpilot("", &["delete", "policy", "edge"]);
    assert_eq!(host.program("e0"), None);
    // What loading has to tell is told.
    let generic = host.output("", &["apply", "-f", &host.file("low.xdp", "policy low on lo { drop when icmp }")]);
    let said = String::from_utf8_lossy(&generic.stderr).into_owned();
    assert!(generic.status.success() && said.contains("note: lo: attached in generic mode"), "{said}");
    host.xdpilot("", &["delete", "policy", "low"]);
    let left = host.xdpilot("", &["get", "--json"]);
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["documents"].as_array().unwrap().len(), 0);
}

#[test]
fn root_waiting_without_an_agent_attaches_at_once() {
    let host = Host::new();
    let file = host.file("edge.xdp", &no_pings("e0"));
    host.xdpilot("", &["apply", "-f", &file, "--wait"]);
    assert!(!host.answers());
    // Taken off by somebody, it comes back.
    let refused = host.output("", &["load", "-e", "pass", "--on", "e0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("for a store") && said.contains("xdpilot delete attachment edge"), "{said}");
    let unloaded = host.output("", &["unload", "--on", "e0"]);
    let said = String::from_utf8_lossy(&unloaded.stderr).into_owned();
    assert!(unloaded.status.success() && said.contains("xdpilot delete attachment edge"), "{said}");
    assert_eq!(host.program("e0"), None);
    assert_eq!(host.xdpilot("", &["wait"]), "all nodes have it\n");
    assert!(!host.answers());
    assert!(host.xdpilot("", &["get", "nodes"]).contains("no agent follows the store; xdpilot status"));
    // What is in the way is told at once, however long one would wait.
    host.xdpilot("", &["delete", "policy", "edge"]);
    host.xdpilot("", &["load", "-e", "pass", "--on", "e0"]);
    let refused = host.output("", &["apply", "-f", &file, "--wait", "--timeout", "600"]);
    assert_eq!(refused.status.code(), Some(1));
    let waited = host.output("", &["wait", "--timeout", "600"]);
    let said = String::from_utf8_lossy(&waited.stderr).into_owned();
    assert!(waited.status.code() == Some(1) && said.contains("policy edge at e0 on node"), "{said}");
}

#[test]
fn root_sets_change_in_place_and_versions_come_back() {
    let host = Host::new();
    let words = "set bad = { 10.9.0.7 }\npolicy edge on e0 { drop when src in bad }\n";
    host.xdpilot("", &["apply", "-f", &host.file("edge.xdp", words)]);
    let program = host.program("e0").unwrap();
    assert!(host.answers());
    let set = host.file("set.xdp", "set bad = { 10.9.0.7, 10.9.0.0/30 }\n");
    host.xdpilot("", &["apply", "-f", &set]);
    assert!(!host.answers());
    host.xdpilot("", &["rollback", "set", "bad"]);
    assert!(host.answers());
    assert_eq!(host.program("e0"), Some(program));
    let history: Value = serde_json::from_str(&host.xdpilot("", &["history", "set", "bad", "--json"])).unwrap();
    assert_eq!(history["versions"].as_array().unwrap().len(), 3);
    // What is exported makes the same store elsewhere.
    let all = host.xdpilot("", &["export"]);
    host.xdpilot("", &["delete", "policy", "edge"]);
    let other = format!("redb:{}", host.folder.path().join("other").display());
    host.xdpilot(&other, &["apply", "-f", &host.file("all.xdp", &all)]);
    assert_eq!(host.xdpilot(&other, &["export"]), all);
    host.xdpilot(&other, &["delete", "policy", "edge"]);
}

#[test]
fn root_a_pool_of_a_store_is_changed_there() {
    let host = Host::new();
    run(&format!("ip netns exec {} sysctl -qw net.ipv4.conf.e0.forwarding=1", host.name));
    let rule = "route cats when dst host 10.9.0.80 and tcp dst port 80";
    let words = format!("pool cats via nat {{ 10.9.0.1:80 }}\npolicy edge on e0 {{ {rule} }}\n");
    host.xdpilot("", &["apply", "-f", &host.file("edge.xdp", &words)]);
    let shown = host.xdpilot("", &["pool", "show", "--on", "e0", "--json"]);
    for words in [
        &["add", "cats", "10.9.0.3:80"][..],
        &["drain", "cats", "10.9.0.1:80"],
        &["weight", "cats", "10.9.0.1:80", "2"],
        &["remove", "cats", "10.9.0.1:80"],
    ] {
        let output = host.output("", &[&["pool"], words, &["--on", "e0"]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
        assert!(said.contains("is there for a store") && said.contains("xdpilot edit pool cats"), "{words:?}: {said}");
        assert_eq!(host.xdpilot("", &["pool", "show", "--on", "e0", "--json"]), shown, "{words:?}");
    }
    host.xdpilot(
        "",
        &["apply", "-f", &host.file("pool.xdp", "pool cats via nat {\n  10.9.0.1:80 drain\n  10.9.0.3:80\n}\n")],
    );
    let shown = host.xdpilot("", &["pool", "show", "--on", "e0", "--json"]);
    assert!(shown.contains("drains") && shown.contains("10.9.0.3:80"), "{shown}");
    host.xdpilot("", &["delete", "policy", "edge"]);
}

#[test]
fn root_mistakes_are_told_and_change_nothing() {
    let host = Host::new();
    host.xdpilot("", &["apply", "-f", &host.file("edge.xdp", &no_pings("e0"))]);
    let before = (host.program("e0"), host.xdpilot("", &["get"]));
    for (words, text, why) in [
        (&["apply", "-f"][..], "policy edge on e0 { drp when icmp }", "did you mean drop?"),
        (&["apply", "-f"], "policy edge on e0, { drop }", "expected a target"),
        (&["apply", "-f"], "policy edge on e0 { drop when src in bad }", "no set bad"),
        (&["apply", "-f"], "set bad = file \"gone.txt\"", "gone.txt"),
        (&["apply", "--on", "docker:", "-f"], "policy edge { drop }", "docker:"),
        (&["delete", "policy", "edgy"], "", "did you mean edge?"),
        (&["get", "policy", "edgy"], "", "did you mean edge?"),
        (&["rollback", "policy", "edge", "--to", "9"], "", "versions 1"),
        (&["apply", "--store", "ectd://a", "-f"], "set a = {}", "a store is redb:PATH"),
    ] {
        let file = host.file("wrong.xdp", text);
        let words = if text.is_empty() { words.to_vec() } else { [words, &[file.as_str()]].concat() };
        let output = host.output("", &words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
        assert_eq!((host.program("e0"), host.xdpilot("", &["get"])), before, "{words:?}");
    }
    host.xdpilot("", &["delete", "policy", "edge"]);
}

#[test]
fn root_an_interface_that_is_not_there_is_waited_for() {
    let host = Host::new();
    let said = host.xdpilot("", &["apply", "-f", &host.file("edge.xdp", &no_pings("e0, later0"))]);
    assert!(said.contains("later0: policy edge waits for it"), "{said}");
    assert!(!host.answers());
    host.xdpilot("", &["delete", "policy", "edge"]);
}
