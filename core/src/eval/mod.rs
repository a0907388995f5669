//! The reference evaluator: what a policy does with a packet, obvious and slow.
//!
//! What it says is what a policy means: the generated program's verdicts, bytes, counters and samples must equal it.

pub mod checksum;
pub mod cond;
mod decap;
mod explain;
mod field;
pub mod limit;
mod rewrite;
mod route;
mod set;

use std::collections::HashMap;

pub use explain::{Explanation, Step, Visit};
pub use rewrite::{assign, reflect};
pub use route::{Fate, Routed, Router, carry};
pub use set::Elements;

use crate::policy::{Action, Element, Verdict};
use crate::rules::Rules;
use cond::View;

/// A policy at work: its rules, and what changes while it runs.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    rules: &'a Rules,
    /// The elements of each set.
    sets: Vec<Elements>,
    /// Packets and bytes of each rule; the last are those that no rule decided.
    hits: Vec<(u64, u64)>,
    /// For each rule that samples, the packets that it has seen.
    sampled: Vec<u64>,
    /// For each rule that limits, the stored time of each key, in nanoseconds.
    limits: Vec<HashMap<Vec<u8>, u64>>,
    router: Router<'a>,
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its fate; what exceeds a limit is dropped.
    pub verdict: Verdict,
    /// The rule that decided; none where it was the default.
    pub rule: Option<usize>,
    /// What was copied on the way.
    pub samples: Vec<Sample>,
    /// What became of it, where the verdict is `route`.
    pub routed: Option<Routed>,
}

/// A copy of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The rule that took it.
    pub rule: usize,
    /// The packet's length at that moment.
    pub length: usize,
    /// Its first bytes at that moment, all or as many as the rule asks for.
    pub bytes: Vec<u8>,
}

/// How a packet came.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    wire: u32,
    now: u64,
    ifindex: Option<u32>,
}

impl<'a> Machine<'a> {
    /// The policy before its first packet.
    pub fn new(rules: &'a Rules) -> Self {
        Machine {
            rules,
            sets: rules.sets.iter().map(|set| Elements::new(set.elements.clone())).collect(),
            hits: vec![(0, 0); rules.rules.len() + 1],
            sampled: vec![0; rules.rules.len()],
            limits: vec![HashMap::new(); rules.rules.len()],
            router: Router::new(&rules.pools),
        }
    }

    /// Runs the rules over a packet, which is rewritten as they say. `now` is in nanoseconds, `ifindex` the interface
    /// where it arrived, where that is known.
    ///
    /// Counters and limits go by the packet's length at arrival, whatever was pushed or popped since; conditions and
    /// samples see the packet as it is when their turn comes.
    pub fn run(&mut self, packet: &mut Vec<u8>, now: u64, ifindex: Option<u32>) -> Outcome {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        self.run_captured(packet, length, now, ifindex)
    }

    /// Like [`Machine::run`] for a packet of which perhaps not all was captured; `wire` is its length on the wire, which
    /// is its length wherever that is asked for. The bytes that are missing are beyond its end, as they are for tcpdump.
    pub fn run_captured(&mut self, packet: &mut Vec<u8>, wire: u32, now: u64, ifindex: Option<u32>) -> Outcome {
        self.run_watched(packet, Arrival { wire, now, ifindex }, |_, _| {})
    }

    /// Like [`Machine::run_captured`], and tells what each rule saw.
    pub fn explain(&mut self, packet: &mut Vec<u8>, wire: u32, now: u64, ifindex: Option<u32>) -> Explanation {
        let (rules, mut visits) = (self.rules, Vec::new());
        let outcome = self.run_watched(packet, Arrival { wire, now, ifindex }, |index, view| {
            let cond = rules.rules.get(index).map(|rule| &rule.cond);
            visits.extend(cond.map(|cond| explain::visit(rules, index, cond, view)));
        });
        Explanation { visits, outcome }
    }

    /// Calls `watch` with each rule before its condition is looked at.
    fn run_watched(
        &mut self,
        packet: &mut Vec<u8>,
        arrival: Arrival,
        mut watch: impl FnMut(usize, View<'_>),
    ) -> Outcome {
        let Arrival { wire, now, ifindex } = arrival;
        let (length, captured) = (u64::from(wire), packet.len());
        if let Some(fate) = self.router.reply(packet, now) {
            let routed = Some(Routed { backend: None, fate });
            return Outcome { verdict: Verdict::Pass, rule: None, samples: Vec::new(), routed };
        }
        let mut samples = Vec::new();
        let rules = self.rules;
        for (index, rule) in rules.rules.iter().enumerate() {
            let length_now = wire.wrapping_add((packet.len() as u32).wrapping_sub(captured as u32));
            let view = View { packet, length: length_now, ifindex, sets: &self.sets };
            watch(index, view);
            if !cond::holds(&rule.cond, view) {
                continue;
            }
            self.hit(index, length);
            match &rule.action {
                Action::Count(_) => {}
                Action::Sample { one_in, snap } => samples.extend(self.sample(index, *one_in, *snap, packet)),
                Action::Set(assignment) => assign(assignment, packet),
                Action::Limit(limit) => {
                    let stored = self.limits[index].entry(limit::key(&limit.per, packet)).or_default();
                    if !limit::admits(limit, stored, now, length) {
                        return Outcome { verdict: Verdict::Drop, rule: Some(index), samples, routed: None };
                    }
                }
                Action::Verdict(verdict) => return self.decide(verdict, Some(index), samples, packet, now),
            }
        }
        self.hit(rules.rules.len(), length);
        self.decide(&rules.default, None, samples, packet, now)
    }

    /// Packets and bytes for which a rule's condition held; those of the default have the number of rules as index.
    pub fn hits(&self, rule: usize) -> (u64, u64) {
        self.hits.get(rule).copied().unwrap_or_default()
    }

    /// Adds an element to a set, by its index; whether that changed anything.
    pub fn insert(&mut self, set: usize, element: Element) -> bool {
        self.sets.get_mut(set).is_some_and(|elements| elements.insert(element))
    }

    /// Takes an element out of a set, by its index; whether that changed anything. A prefix has to be there as such; of
    /// ports those that are there go.
    pub fn remove(&mut self, set: usize, element: &Element) -> bool {
        self.sets.get_mut(set).is_some_and(|elements| elements.remove(element))
    }

    /// The pools at work.
    pub fn router(&mut self) -> &mut Router<'a> {
        &mut self.router
    }

    fn decide(
        &mut self,
        verdict: &Verdict,
        rule: Option<usize>,
        samples: Vec<Sample>,
        packet: &mut Vec<u8>,
        now: u64,
    ) -> Outcome {
        let mut routed = None;
        match verdict {
            Verdict::Reflect => reflect(packet),
            Verdict::Route(pool) => {
                let index = self.rules.pool(pool);
                routed = index.map(|index| self.router.route(index, packet, now));
            }
            _ => {}
        }
        Outcome { verdict: verdict.clone(), rule, samples, routed }
    }

    fn hit(&mut self, rule: usize, length: u64) {
        let (packets, bytes) = &mut self.hits[rule];
        *packets += 1;
        *bytes += length;
    }

    /// The first packet of a rule is copied, and then each `one_in`-th.
    fn sample(&mut self, rule: usize, one_in: u32, snap: Option<u32>, packet: &[u8]) -> Option<Sample> {
        let seen = self.sampled[rule];
        self.sampled[rule] += 1;
        let captured = snap.map_or(packet.len(), |snap| packet.len().min(snap as usize));
        let taken = seen.is_multiple_of(u64::from(one_in.max(1)));
        taken.then(|| Sample { rule, length: packet.len(), bytes: packet[..captured].to_vec() })
    }
}

#[cfg(test)]
mod tests;
