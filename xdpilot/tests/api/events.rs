//! Events as they happen.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout};

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::net::{FAR, Pair, send};

/// A stream of events.
struct Events {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Events {
    fn of(agent: &Agent, path: &str) -> Events {
        let mut child = agent.curl().stream(path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Events { child, lines }
    }

    fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let line = self.lines.next().unwrap().unwrap();
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_string();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The next event of this name of which something is so.
    fn find(&mut self, wanted: &str, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next();
            if name == wanted && is(&data) {
                return data;
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn root_changes_reports_and_rates_arrive() {
    let (pair, agent) = (Pair::new(), Agent::start());
    let mut events = Events::of(&agent, "/v1/events");
    events.find("report", |report| report["attached"] == json!([]));
    agent.put("policy/edge", "policy edge { drop when udp dst port 9 }");
    let changed = events.find("documents", |event| event["changed"] != json!([]));
    assert_eq!(changed["changed"], json!([{"kind": "policy", "name": "edge", "version": 1}]));
    agent.put("attachment/edge", &pair.target());
    let report = events.find("report", |report| report["attached"][0]["state"] == "ok");
    assert_eq!(report["attached"][0]["program"], pair.xdp().unwrap().1);
    events.find("rates", |rates| rates["policies"][0]["policy"] == "edge");

    send(&pair.near, FAR, 100, 58);
    let rates = events.find("rates", |rates| rates["policies"][0]["rules"][0]["packets"] == 100);
    let policy = &rates["policies"][0];
    let label = pair.target();
    assert_eq!((&policy["place"], &policy["interface"]), (&json!(label), &json!(label)));
    assert_eq!(policy["rules"][0]["text"], "drop when udp dst port 9");
    assert!(policy["rules"][0]["packets_per_second"].as_f64().unwrap() > 0.0, "{policy}");
    let drop = policy["verdicts"].as_array().unwrap().iter().find(|one| one["verdict"] == "drop").unwrap();
    assert_eq!((&drop["packets"], &drop["bytes"]), (&json!(100), &json!(100 * (14 + 20 + 8 + 58))));

    agent.curl().method("DELETE").ask("/v1/documents/policy/edge").ok();
    let gone = events.find("documents", |event| event["deleted"] != json!([]));
    assert_eq!(gone["deleted"].as_array().unwrap().len(), 2);
    events.find("report", |report| report["attached"] == json!([]));
}

#[test]
fn root_only_what_is_wanted_arrives_and_streams_are_bounded() {
    let agent = Agent::start();
    let mut events = Events::of(&agent, "/v1/events?only=documents");
    // The place of a stream is taken before its first event: wait for that of a second one.
    let mut second = Events::of(&agent, "/v1/events?only=report,documents");
    second.find("report", |_| true);
    agent.curl().ask("/healthz").ok();
    agent.put("set/bad", "set bad = { 10.0.0.1 }");
    second.find("documents", |_| true);
    agent.put("set/bad", "set bad = { 10.0.0.2 }");
    let (name, data) = events.next();
    assert_eq!(name, "documents", "{data}");

    let mut streams: Vec<Events> = (0..30).map(|_| Events::of(&agent, "/v1/events?only=report")).collect();
    streams.iter_mut().for_each(|stream| drop(stream.find("report", |_| true)));
    let refused = agent.curl().ask("/v1/events").error(503);
    assert!(refused.contains("as many as there may be"), "{refused}");
    drop(streams);
    // Those that are over are found out.
    loop {
        let mut again = agent.curl().stream("/v1/events?only=report");
        let line = BufReader::new(again.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        again.kill().unwrap();
        again.wait().unwrap();
        if line == "event: report" {
            break;
        }
    }
}
