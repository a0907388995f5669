//! Documents over the API, and what they become.

use serde_json::json;

use crate::agent::Agent;
use crate::net::Pair;

const POLICY: &str = "policy edge { drop when udp; }";

#[test]
fn root_documents_are_made_read_changed_and_deleted() {
    let (pair, agent) = (Pair::new(), Agent::start());
    assert_eq!(agent.get("/v1/documents"), json!({"version": 1, "documents": []}));
    let made = agent.curl().put(POLICY).ask("/v1/documents/policy/edge");
    assert_eq!(made.ok()["written"], json!([{"document": "policy edge", "version": 1}]));
    assert!(made.head.contains("etag: \"1\""), "{}", made.head);
    assert_eq!(agent.put("policy/edge", POLICY)["unchanged"], json!(["policy edge"]));
    pair.assert_flows();

    let place = json!({"edits": [{"kind": "attachment", "name": "edge", "text": pair.target()}]});
    let steps = agent.post("/v1/diff", &place).ok();
    let label = pair.target();
    assert_eq!(steps["steps"], json!([{"step": "load", "policy": "edge", "place": label, "interface": label}]));
    assert_eq!(pair.xdp(), None, "a diff changes nothing");
    let revision = agent.post("/v1/commit", &place).ok()["revision"].as_u64().unwrap();
    agent.settle();
    pair.assert_dropped();
    assert_eq!(agent.post("/v1/diff", &json!({})).ok()["steps"], json!([]));
    let nodes = agent.get("/v1/nodes");
    assert_eq!(nodes["revision"], revision);
    assert_eq!(nodes["nodes"][0]["attached"][0]["program"], pair.xdp().unwrap().1);

    let text = agent.curl().header("Accept: text/plain").ask("/v1/documents/policies/edge");
    assert_eq!((text.status, text.body.as_str()), (200, POLICY));
    let shown = agent.get("/v1/documents/policy/edge");
    assert_eq!((&shown["text"], &shown["by"], &shown["version"]), (&json!(POLICY), &json!("root"), &json!(1)));
    let listed = agent.get("/v1/documents?kind=policy");
    assert_eq!(listed["documents"].as_array().unwrap().len(), 1);
    assert!(listed["documents"][0].get("text").is_none());

    let gone = agent.curl().method("DELETE").ask("/v1/documents/policy/edge").ok();
    assert_eq!(gone["deleted"], json!(["policy edge", "attachment edge"]));
    agent.settle();
    pair.assert_flows();
    assert_eq!(pair.xdp(), None);
    let versions = agent.get("/v1/history/policy/edge");
    assert_eq!(versions["versions"][0]["version"], 1);
    assert_eq!(agent.get("/v1/documents/policy/edge?version=1")["text"], POLICY);
}

#[test]
fn root_a_version_that_was_not_expected_is_a_conflict() {
    let agent = Agent::start();
    let path = "/v1/documents/set/bad";
    let absent = "If-None-Match: *";
    agent.curl().header(absent).put("set bad = { 10.0.0.1 }").ask(path).ok();
    let again = agent.curl().header(absent).put("set bad = { 10.0.0.2 }").ask(path).error(412);
    assert!(again.contains("somebody changed it meanwhile"), "{again}");
    let change = r#"{"add": ["10.0.0.2"], "remove": ["10.0.0.1"]}"#;
    let json = "Content-Type: application/json";
    let first = agent.curl().header(json).header("If-Match: \"1\"").put(change);
    assert_eq!(first.ask(path).ok()["written"][0]["version"], 2);
    first.ask(path).error(412);
    agent.curl().method("DELETE").header("If-Match: \"1\"").ask(path).error(412);
    agent
        .post("/v1/commit", &json!({"edits": [{"kind": "set", "name": "bad", "delete": true, "version": 1}]}))
        .error(412);
    assert_eq!(agent.get(path)["text"], "set bad = { 10.0.0.2 }\n");
    agent.curl().header("If-Match: \"2\"").method("DELETE").ask(path).ok();
}

#[test]
fn root_a_commit_is_made_whole_or_not_at_all() {
    let agent = Agent::start();
    let edits = json!({"edits": [
        {"kind": "set", "name": "bad", "elements": ["10.0.0.0/8", "2001:db8::1"]},
        {"kind": "policy", "name": "edge", "text": "policy edge { drop when src in bad }"},
        {"kind": "attachment", "name": "edge", "text": "nothing here"},
    ]});
    let error = agent.post("/v1/commit", &edits).error(400);
    assert!(error.contains("attachment edge"), "{error}");
    assert_eq!(agent.get("/v1/documents")["documents"], json!([]));
    let mut sound = edits.clone();
    sound["edits"].as_array_mut().unwrap().pop();
    let done = agent.curl().header("xdpilot-user: alice").post(&sound.to_string()).ask("/v1/commit").ok();
    assert_eq!(done["written"].as_array().unwrap().len(), 2);
    assert_eq!(agent.get("/v1/documents/set/bad")["by"], "alice");
}

#[test]
fn root_what_is_wrong_is_answered_in_one_form() {
    let agent = Agent::start();
    agent.put("set/bad", "set bad = { 10.0.0.1 }");
    let curl = || agent.curl();
    let json = "Content-Type: application/json";
    for (request, path, status, why) in [
        (curl(), "/", 404, "nothing at this path"),
        (curl(), "/v1/documents/set/none", 404, "the store has no set none"),
        (curl(), "/v1/documents/set/bad?version=9", 404, "versions 1"),
        (curl(), "/v1/history/pool/none", 404, "no pool none"),
        (curl().method("DELETE"), "/v1/documents/set/none", 404, "no set none"),
        (curl().method("PATCH"), "/v1/status", 405, "not for this method"),
        (curl(), "/v1/documents/rule/a", 400, "no kind of document"),
        (curl(), "/v1/documents/set/%2e%2e", 400, "a name begins with a letter"),
        (curl(), "/v1/documents/set/%ff", 400, "read the path"),
        (curl(), "/v1/documents?kinds=set", 400, "read the query"),
        (curl(), "/v1/events?only=weather", 400, "documents, report, rates"),
        (curl().put("set bad = { 10.0.0. }"), "/v1/documents/set/bad", 400, "set bad:1:"),
        (curl().put("set other = { 10.0.0.1 }"), "/v1/documents/set/bad", 400, "must say set bad"),
        (curl().header(json).put("{"), "/v1/documents/set/bad", 400, "not the JSON"),
        (curl().header(json).put(r#"{"remov": []}"#), "/v1/documents/set/bad", 400, "unknown field"),
        (curl().header("Content-Type: image/png").put("x"), "/v1/documents/set/bad", 415, "expected text/plain"),
        (curl().header("If-Match: x").put("x"), "/v1/documents/set/bad", 400, "If-Match"),
        (curl().post("[]"), "/v1/commit", 400, "not the JSON"),
    ] {
        let error = request.ask(path).error(status);
        assert!(error.contains(why), "{path}: {error}");
    }
    assert_eq!(agent.get("/v1/documents/set/bad")["version"], 1);
}

#[test]
fn root_long_sets_are_read_and_changed() {
    let agent = Agent::start();
    let all: Vec<String> = (0..200_000u32).map(|n| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)).collect();
    let file = agent.path("set.json");
    std::fs::write(&file, json!({"edits": [{"kind": "set", "name": "many", "elements": all}]}).to_string()).unwrap();
    let body = format!("@{}", file.display());
    agent.curl().post(&body).ask("/v1/commit").ok();
    assert_eq!(agent.get("/v1/documents?kind=sets")["documents"][0]["elements"], 200_000);
    let json = "Content-Type: application/json";
    let change = r#"{"add": ["192.0.2.1"], "remove": ["10.0.0.7", "10.0.0.8"]}"#;
    agent.curl().header(json).put(change).ask("/v1/documents/set/many").ok();
    let text = agent.get("/v1/documents/set/many")["text"].as_str().unwrap().to_string();
    let has = |element: &str| text.split([' ', ',', '\n']).any(|word| word == element);
    assert!(has("192.0.2.1") && has("10.0.0.9") && !has("10.0.0.8"));
}
