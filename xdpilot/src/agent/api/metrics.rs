//! Metrics in the text format of Prometheus.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use xdpilot_core::error::Result;
use xdpilot_core::link::VERDICTS;

use super::answer::Answer;
use super::counters::{self, Counted, Sampler, Where};
use super::process;
use super::serve::Api;
use super::shared::Facts;
use crate::agent::report::{Report, State as How};
use crate::pools::live::{Condition, Live};

/// Who asks waits so long for the first pass: Prometheus gives up after 10 s where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(5);
/// The text of a rule is cut after so many characters.
const TEXT: usize = 120;

pub(super) async fn all(State(api): State<Arc<Api>>) -> Answer {
    api.shared.first_report(PATIENCE).await;
    let (facts, away, node) = (api.shared.facts(), api.shared.is_away(), api.shared.node.name.clone());
    let text = api.with_kernel(move || exposition(&facts, away, &node)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn exposition(facts: &Facts, away: bool, node: &str) -> Result<String> {
    let mut page = Page { node: node.to_string(), text: String::new() };
    agent(&mut page, facts, away);
    if let Some(report) = &facts.report {
        report_of(&mut page, report);
        let counted = Sampler::default().counts(report)?;
        policies(&mut page, &counted);
        backends(&mut page, &counters::pools(report)?);
    }
    this_process(&mut page);
    Ok(page.text)
}

/// Labels: names and values.
type Labels<'a> = [(&'a str, &'a str)];

/// The page as it grows.
struct Page {
    node: String,
    text: String,
}

impl Page {
    /// A metric with all its samples; a second one of the same labels is left out.
    fn metric(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (String, String)>) {
        let mut seen = HashSet::new();
        // Writing to a string does not fail.
        _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let line = format!("{name}{labels} {value}\n");
            if seen.insert(labels) {
                self.text += &line;
            }
        }
    }

    /// A metric of one sample about the node.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl ToString) {
        let labels = self.labels(&[]);
        self.metric(name, kind, help, [(labels, value.to_string())]);
    }

    fn labels(&self, labels: &Labels<'_>) -> String {
        let all = [("node", self.node.as_str())].into_iter().chain(labels.iter().copied());
        let all: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        format!("{{{}}}", all.join(","))
    }

    fn at(&self, place: &Where, labels: &Labels<'_>) -> String {
        let Where { policy, place, interface, .. } = place;
        let about: [(&str, &str); 3] = [("policy", policy), ("place", place), ("interface", interface)];
        self.labels(&[&about[..], labels].concat())
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn agent(page: &mut Page, facts: &Facts, away: bool) {
    let version = page.labels(&[("version", env!("CARGO_PKG_VERSION"))]);
    page.metric("xdpilot_build_info", "gauge", "The version of the agent.", [(version, "1".to_string())]);
    page.one("xdpilot_store_away", "gauge", "Whether the store cannot be reached.", u8::from(away));
    page.one("xdpilot_store_revision", "gauge", "The revision of the documents that were seen last.", facts.revision);
    page.one("xdpilot_passes_total", "counter", "Passes that brought the kernel to what the store says.", facts.passes);
    let help = "Passes after which a policy was not in force where it should be.";
    page.one("xdpilot_failed_passes_total", "counter", help, facts.failed);
}

fn report_of(page: &mut Page, report: &Report) {
    let help = "The revision that the kernel is equal to, as far as xdpilot_attachments says so.";
    page.one("xdpilot_node_revision", "gauge", help, report.revision);
    let help = "Documents that are not followed, since something is wrong with them.";
    page.one("xdpilot_documents_refused", "gauge", help, report.refused.len());
    let states = [("ok", How::Ok), ("waiting", How::Waiting), ("failed", How::Failed)].map(|(word, state)| {
        let count = report.attached.iter().filter(|one| one.state == state).count();
        (page.labels(&[("state", word)]), count.to_string())
    });
    page.metric("xdpilot_attachments", "gauge", "Places where policies are to be, by how they are.", states);
}

fn policies(page: &mut Page, counted: &[Counted]) {
    let mut rules = Vec::new();
    let mut verdicts = Vec::new();
    for one in counted {
        let texts = one.policy.rules.iter().chain([&one.policy.default]);
        for (number, (rule, count)) in (1..).zip(texts.zip(&one.rules)) {
            let number = if number > one.policy.rules.len() { "default".to_string() } else { number.to_string() };
            let (line, text) = (rule.line.to_string(), rule.text.chars().take(TEXT).collect::<String>());
            let labels = page.at(&one.place, &[("rule", &number), ("line", &line), ("text", &text)]);
            rules.push((labels, *count));
        }
        for (verdict, count) in VERDICTS.iter().zip(&one.verdicts) {
            verdicts.push((page.at(&one.place, &[("verdict", verdict)]), *count));
        }
    }
    for (what, of, all) in [("rule", "a rule met", &rules), ("verdict", "met a verdict", &verdicts)] {
        let packets = all.iter().map(|(labels, count)| (labels.clone(), count.packets.to_string()));
        let help = format!("Packets that {of} since the policy was loaded.");
        page.metric(&format!("xdpilot_{what}_packets_total"), "counter", &help, packets);
        let bytes = all.iter().map(|(labels, count)| (labels.clone(), count.bytes.to_string()));
        let help = format!("Bytes of packets that {of}, as they arrived.");
        page.metric(&format!("xdpilot_{what}_bytes_total"), "counter", &help, bytes);
    }
}

/// A metric of backends: its name, kind and help.
const BACKENDS: [(&str, &str, &str); 6] = [
    ("xdpilot_backend_packets_total", "counter", "Packets that were sent to a backend."),
    ("xdpilot_backend_bytes_total", "counter", "Their bytes, as they arrived."),
    ("xdpilot_backend_connections_total", "counter", "Connections that a backend was given."),
    ("xdpilot_backend_unreachable_total", "counter", "Packets for which the kernel knew no next hop."),
    ("xdpilot_backend_active_connections", "gauge", "Connections that are remembered now."),
    ("xdpilot_backend_up", "gauge", "Whether a backend gets new connections."),
];

fn backends(page: &mut Page, pools: &[(Where, Live)]) {
    let mut samples: Vec<(String, [u64; 6])> = Vec::new();
    for (place, live) in pools {
        let active = live.active();
        for (index, pool) in (0u16..).zip(&live.pools) {
            for (number, member) in live.members(index) {
                let traffic = live.traffic(number).unwrap_or_default();
                let up = u64::from(Condition::of(&member) == Condition::Up);
                let active = active.get(number).copied().unwrap_or(0);
                let labels = page.at(place, &[("pool", &pool.name), ("backend", &member.name)]);
                let values = [traffic.packets, traffic.bytes, traffic.connections, traffic.unreachable, active, up];
                samples.push((labels, values));
            }
        }
    }
    for (at, (name, kind, help)) in BACKENDS.iter().enumerate() {
        let of = samples.iter().map(|(labels, values)| (labels.clone(), values[at].to_string()));
        page.metric(name, kind, help, of);
    }
}

fn this_process(page: &mut Page) {
    let figures = process::figures();
    for (name, kind, help, value) in [
        ("process_cpu_seconds_total", "counter", "Seconds of processors, of users and system.", figures.cpu),
        ("process_resident_memory_bytes", "gauge", "Memory.", figures.memory as f64),
        ("process_open_fds", "gauge", "Open descriptors.", figures.descriptors as f64),
        ("process_start_time_seconds", "gauge", "When the agent began, in seconds since 1970.", figures.begun),
    ] {
        page.metric(name, kind, help, [(String::new(), value.to_string())]);
    }
}
