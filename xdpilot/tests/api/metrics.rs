//! Metrics.

use serde_json::json;

use crate::agent::Agent;
use crate::exposition::Page;
use crate::net::{FAR, Pair, send};

fn page(agent: &Agent) -> Page {
    let answer = agent.curl().ask("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    Page::parse(&answer.body)
}

#[test]
fn root_metrics_say_what_was_counted() {
    let (pair, agent) = (Pair::new(), Agent::start());
    // Who asks at once waits for the first pass.
    let empty = page(&agent);
    assert_eq!(empty.value("xdpilot_store_away", &[]), 0.0);
    assert_eq!(empty.value("xdpilot_attachments", &[("state", "ok")]), 0.0);
    // Two rules in one line, with the same words.
    let policy =
        "policy edge { count all when udp dst port 9; count all when udp dst port 9; drop when udp dst port 9 }";
    agent.put("policy/edge", policy);
    agent.put("attachment/edge", &pair.target());
    agent.settle();
    send(&pair.near, FAR, 7, 58);
    let page = page(&agent);
    let (node, target) = (agent.get("/v1/status")["node"]["node"].as_str().unwrap().to_string(), pair.target());
    let at = [("node", node.as_str()), ("policy", "edge"), ("place", &target), ("interface", &target)];
    for rule in ["1", "2", "3"] {
        let labels = [&at[..], &[("rule", rule), ("line", "1")]].concat();
        assert_eq!(page.value("xdpilot_rule_packets_total", &labels), 7.0);
        assert_eq!(page.value("xdpilot_rule_bytes_total", &labels), 700.0);
    }
    assert_eq!(page.value("xdpilot_rule_packets_total", &[("rule", "default")]), 0.0);
    assert_eq!(page.value("xdpilot_verdict_packets_total", &[&at[..], &[("verdict", "drop")]].concat()), 7.0);
    assert_eq!(page.value("xdpilot_verdict_bytes_total", &[("verdict", "pass")]), 0.0);
    assert_eq!(page.value("xdpilot_attachments", &[("state", "ok")]), 1.0);
    assert_eq!(page.value("xdpilot_build_info", &[]), 1.0);
    assert!(page.value("xdpilot_passes_total", &[]) >= 1.0);
    assert_eq!(page.value("xdpilot_failed_passes_total", &[]), 0.0);
    let memory = page.value("process_resident_memory_bytes", &[]);
    assert!((1e6..500e6).contains(&memory), "{memory}");
    assert!(page.value("process_cpu_seconds_total", &[]) > 0.0);
    assert!(page.value("process_start_time_seconds", &[]) > 1.7e9);
    let revision = agent.get("/v1/nodes")["revision"].as_u64().unwrap() as f64;
    assert_eq!(page.value("xdpilot_store_revision", &[]), revision);
    assert_eq!(page.value("xdpilot_node_revision", &[]), revision);
}

#[test]
fn root_backends_have_metrics() {
    let (pair, agent) = (Pair::new(), Agent::start());
    pair.far.run(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/forwarding", "1").unwrap());
    let edits = json!({"edits": [
        {"kind": "pool", "name": "cats", "text": "pool cats via nat { 10.0.0.1:8080; 10.0.0.1:8081 }"},
        {"kind": "policy", "name": "edge", "text": "policy edge { route cats when tcp dst port 80 }"},
        {"kind": "attachment", "name": "edge", "text": pair.target()},
    ]});
    agent.post("/v1/commit", &edits).ok();
    agent.settle();
    let page = page(&agent);
    for backend in ["10.0.0.1:8080", "10.0.0.1:8081"] {
        let labels = [("pool", "cats"), ("backend", backend), ("policy", "edge")];
        for name in ["packets_total", "bytes_total", "connections_total", "unreachable_total", "active_connections"] {
            assert_eq!(page.value(&format!("xdpilot_backend_{name}"), &labels), 0.0);
        }
        assert_eq!(page.value("xdpilot_backend_up", &labels), 1.0);
    }
}

#[test]
fn root_a_store_that_is_away_is_told() {
    let state = tempfile::Builder::new().prefix("xpa").tempdir().unwrap();
    // Nobody listens at port 1.
    let agent = Agent::start_in(state, &["--store", "etcd://127.0.0.1:1"]);
    let status = agent.await_status(|status| !status["away"].is_null());
    assert_eq!(status["store"], "etcd://127.0.0.1:1/xdpilot");
    assert_eq!(page(&agent).value("xdpilot_store_away", &[]), 1.0);
    assert_eq!(agent.get("/healthz"), json!({"status": "ok", "store": "away"}));
    agent.curl().ask("/v1/documents").error(503);
    agent.curl().put("set bad = { 10.0.0.1 }").ask("/v1/documents/set/bad").error(503);
}

#[test]
fn root_places_that_are_not_there_are_counted() {
    let agent = Agent::start();
    agent.put("policy/edge", "policy edge { drop when udp }");
    agent.put("attachment/edge", "netns:xpnowhere/eth0");
    agent.await_status(|status| status["node"]["attached"][0]["state"] == "waiting");
    let page = page(&agent);
    assert_eq!(page.value("xdpilot_attachments", &[("state", "waiting")]), 1.0);
    assert_eq!(page.value("xdpilot_documents_refused", &[]), 0.0);
}
