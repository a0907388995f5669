//! What is known at the end. Its JSON form is documented in `docs/json.md`.

use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::eval::Machine;
use xdpilot_core::link::VERDICTS;
use xdpilot_core::packet::describe;
use xdpilot_core::pcap::Packet;
use xdpilot_core::rules::Rules;

use super::compare::{Compared, hex};
use crate::trial::{Fate, Tried};

/// The report.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    version: u32,
    /// How many there were.
    pub(super) packets: u64,
    /// By verdict, those that occurred.
    pub(super) verdicts: Vec<VerdictCount>,
    /// The rules of a policy, its default last.
    pub(super) rules: Vec<RuleCount>,
    /// Each packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Row>>,
    /// The packets whose fate is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Vec<Change>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel: Option<Compared>,
    /// Why some packets could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) obstacle: Option<String>,
    #[serde(skip)]
    before: Option<&'a Rules>,
    #[serde(skip)]
    now: Option<&'a Rules>,
    #[serde(skip)]
    json: bool,
}

/// How many packets have a verdict.
#[derive(Debug, Serialize)]
pub(super) struct VerdictCount {
    pub(super) verdict: &'static str,
    pub(super) packets: u64,
}

/// A rule, and how often it mattered.
#[derive(Debug, Serialize)]
pub(super) struct RuleCount {
    /// From 1; none for the default.
    pub(super) rule: Option<usize>,
    /// None where the default is not written.
    pub(super) line: Option<u32>,
    pub(super) text: String,
    /// Packets for which its condition held, and their bytes.
    pub(super) matched: u64,
    pub(super) bytes: u64,
    /// Packets that it decided.
    pub(super) decided: u64,
}

/// A packet's verdict.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    number: u64,
    #[serde(flatten)]
    decision: Decision,
}

/// A verdict, and by which rule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Decision {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    rule: Option<usize>,
    line: Option<u32>,
}

/// A packet whose fate is another one.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    number: u64,
    packet: String,
    before: Decision,
    after: Decision,
    /// The bytes in hexadecimal digits, where they are not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<[String; 2]>,
}

impl<'a> Report<'a> {
    pub(super) fn new(first: &'a Tried, other: Option<&'a Tried>, json: bool) -> Self {
        let of = |tried: &'a Tried| tried.as_policy().map(|policy| &*policy.rules);
        let now = of(first);
        Report {
            version: 1,
            packets: 0,
            verdicts: Vec::new(),
            rules: now.map(counts).unwrap_or_default(),
            results: (json && other.is_none()).then(Vec::new),
            changes: other.map(|_| Vec::new()),
            kernel: None,
            obstacle: None,
            before: other.and_then(of),
            now,
            json,
        }
    }

    /// The rules that decide; none for a program.
    pub(super) fn now(&self) -> Option<&'a Rules> {
        self.now
    }

    /// The rules that it is compared with.
    pub(super) fn before(&self) -> Option<&'a Rules> {
        self.before
    }

    pub(super) fn count(&mut self, fate: &Fate) {
        self.packets += 1;
        match self.verdicts.iter_mut().find(|count| count.verdict == fate.verdict) {
            Some(count) => count.packets += 1,
            None => self.verdicts.push(VerdictCount { verdict: fate.verdict, packets: 1 }),
        }
        let index = fate.rule.unwrap_or(self.rules.len().saturating_sub(1));
        if let Some(rule) = self.rules.get_mut(index) {
            rule.decided += 1;
        }
        self.note(fate);
    }

    /// Keeps the first reason why a packet could not be run.
    fn note(&mut self, fate: &Fate) {
        if self.obstacle.is_none() {
            self.obstacle.clone_from(&fate.obstacle);
        }
    }

    pub(super) fn keep(&mut self, fate: &Fate) {
        let row = Row { number: self.packets, decision: Decision::of(self.now, fate) };
        self.results.get_or_insert_default().push(row);
    }

    /// Notes a packet if the two fates are not the same; whether they are not.
    pub(super) fn change(&mut self, packet: &Packet, before: &Fate, after: &Fate) -> bool {
        self.note(before);
        if !before.differs(after) {
            return false;
        }
        let bytes = before.lives() && after.lives() && before.bytes != after.bytes;
        let change = Change {
            number: self.packets,
            packet: if self.json { describe(&packet.bytes) } else { String::new() },
            before: Decision::of(self.before, before),
            after: Decision::of(self.now, after),
            bytes: (self.json && bytes).then(|| [hex(&before.bytes), hex(&after.bytes)]),
        };
        self.changes.get_or_insert_default().push(change);
        true
    }

    /// Takes over the counters of the evaluator.
    pub(super) fn hits(&mut self, machine: &Machine<'_>) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            (rule.matched, rule.bytes) = machine.hits(index);
        }
        let place = |verdict: &VerdictCount| VERDICTS.iter().position(|known| *known == verdict.verdict);
        self.verdicts.sort_by_key(place);
    }

    pub(super) fn json(&self) -> Result<String> {
        let text = serde_json::to_string(self);
        Ok(text.map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))? + "\n")
    }
}

impl Decision {
    fn of(rules: Option<&Rules>, fate: &Fate) -> Self {
        let line = rules.and_then(|rules| line(rules, fate.rule));
        Decision { verdict: fate.verdict, target: fate.target.clone(), rule: fate.rule.map(|index| index + 1), line }
    }
}

/// The line of the rule that decided, or of the default where it is written.
pub(super) fn line(rules: &Rules, rule: Option<usize>) -> Option<u32> {
    match rule {
        Some(index) => rules.rules.get(index).map(|rule| rule.line),
        None => Some(rules.default_line).filter(|line| *line > 0),
    }
}

fn counts(rules: &Rules) -> Vec<RuleCount> {
    let count = |rule, line, text| RuleCount { rule, line, text, matched: 0, bytes: 0, decided: 0 };
    let numbered = rules.rules.iter().enumerate();
    let mut out: Vec<_> =
        numbered.map(|(index, rule)| count(Some(index + 1), Some(rule.line), rule.text.clone())).collect();
    out.push(count(None, line(rules, None), format!("default {}", rules.default)));
    out
}
