//! The graph: nodes, lists of rules, and what follows a match.

use super::Emitter;
use super::cond::{Branch, fits, masked_load, swapped};
use super::value::Goal;
use crate::asm::build::{Alu, Asm, If, Label};
use crate::cond::{Cond, Value};
use crate::error::Result;
use crate::plan::{Dispatch, List, Node, NodeId, Plan, Step, extent};
use crate::policy::{Action, Verdict};

/// So many cases are compared one by one.
const FEW: usize = 4;

/// A list of more rules than this is long.
const LONG: usize = 8;

/// Where nodes and verdicts are.
#[derive(Debug)]
pub(super) struct Places {
    /// By node.
    nodes: Vec<Label>,
    /// How many bytes a packet has at least at each node.
    known: Vec<u32>,
    /// Where each verdict is given: to the rule of r9, which is counted.
    verdicts: Vec<(Verdict, Label)>,
    /// The default, behind the last rule.
    default: Label,
    /// A packet in excess of a limit.
    pub(super) excess: Label,
    /// The kernel refused what an action asked for.
    pub(super) failed: Label,
}

impl Places {
    /// So many nodes, all of them still to be written.
    pub(super) fn new(asm: &mut Asm, nodes: usize) -> Self {
        Places {
            nodes: (0..nodes).map(|_| asm.label()).collect(),
            known: vec![u32::MAX; nodes],
            verdicts: Vec::new(),
            default: asm.label(),
            excess: asm.label(),
            failed: asm.label(),
        }
    }

    /// The verdicts that are given.
    pub(super) fn into_verdicts(self) -> Vec<(Verdict, Label)> {
        self.verdicts
    }

    fn lead(&mut self, node: NodeId, known: u32) -> Label {
        self.known[node.0] = self.known[node.0].min(known);
        self.nodes[node.0]
    }
}

impl Emitter<'_> {
    /// The whole program.
    pub(super) fn program(&mut self, plan: &Plan) -> Result<()> {
        let mut places = Places::new(&mut self.asm, plan.nodes.len());
        self.head();
        let start = places.lead(plan.start, 0);
        self.asm.goto(start);
        // Each node leads only to nodes before it, so that all that is known of a node is known when it is written.
        for at in (0..=plan.start.0).rev().filter(|at| *at < plan.nodes.len()) {
            if places.known[at] == u32::MAX {
                continue;
            }
            self.asm.bind(places.nodes[at]);
            match &plan.nodes[at] {
                Node::Dispatch(dispatch) => self.dispatch(dispatch, at, &mut places),
                Node::Rules(list) => self.list(list, at, &mut places)?,
            }
        }
        self.ends(&mut places);
        Ok(())
    }

    fn dispatch(&mut self, dispatch: &Dispatch, at: usize, places: &mut Places) {
        let mut known = places.known[at];
        let needed = extent(&dispatch.on);
        if known < needed {
            let fault = dispatch.fault.map_or(places.default, |node| places.lead(node, known));
            self.require(needed, fault);
            known = needed;
        }
        let goal = Goal { register: 1, aside: 0, fault: places.failed };
        let other = places.lead(dispatch.other, known);
        let mut cases: Vec<_> =
            dispatch.cases.iter().map(|(value, node)| (*value, places.lead(*node, known))).collect();
        // Few cases are compared one by one, for which the bytes need not be in order.
        match masked_load(&dispatch.on).filter(|_| cases.len() <= FEW) {
            Some((load, mask)) => {
                cases.retain(|(value, _)| fits(*value, load.width));
                cases.iter_mut().for_each(|(value, _)| *value = swapped(*value, load.width));
                self.bytes(load, goal);
                if let Some(mask) = mask {
                    self.asm.alu32_imm(Alu::And, 1, swapped(mask, load.width));
                }
            }
            None => self.number(&dispatch.on, goal),
        }
        self.switch(&cases, other);
    }

    /// Goes to where the number in r1 leads; the cases ascend.
    fn switch(&mut self, cases: &[(u32, Label)], other: Label) {
        if cases.len() <= FEW {
            cases.iter().for_each(|(value, label)| self.asm.jump32_imm(If::Eq, 1, *value, *label));
            self.asm.goto(other);
            return;
        }
        let (low, high) = cases.split_at(cases.len() / 2);
        let upper = self.asm.label();
        self.asm.jump32_imm(If::Ge, 1, high[0].0, upper);
        self.switch(low, other);
        self.asm.bind(upper);
        self.switch(high, other);
    }

    fn list(&mut self, list: &List, at: usize, places: &mut Places) -> Result<()> {
        let mut known = places.known[at];
        let in_a_row = |step: &Step, next: &Step| one_by_one(step).is_some() && one_by_one(next).is_some();
        for steps in list.steps.chunk_by(in_a_row) {
            let alone: Vec<_> = steps.iter().filter_map(one_by_one).collect();
            let in_parts = self.parts(&alone, None, places)?;
            for step in &steps[in_parts..] {
                known = self.forget(list.steps.len(), known);
                let next = self.asm.label();
                known = match step {
                    Step::Rule { rule, cond } => self.rule(*rule, cond, known, next, places),
                    Step::Table(table) => self.table(table, known, next, places),
                    Step::Classifier(classifier) => self.classifier(classifier, known, next, places)?,
                };
                self.asm.bind(next);
                if known == u32::MAX {
                    return Ok(());
                }
            }
        }
        let end = list.end.map_or(places.default, |node| {
            // Behind the rewriting of a packet nothing is known of it.
            places.lead(node, 0)
        });
        self.asm.goto(end);
        Ok(())
    }

    /// Before a rule of a list of so many: in a long one, and in a long program, it is forgotten how many bytes the packet
    /// has. There are many numbers that may be known there, and the verifier would follow each. Returns how many bytes
    /// are known.
    pub(super) fn forget(&mut self, rules: usize, known: u32) -> u32 {
        if (rules <= LONG && !self.careful) || known == u32::MAX {
            return known;
        }
        self.locate_packet();
        0
    }

    /// Tries one rule; goes on to `next`. Returns how many bytes a packet is known to have there.
    pub(super) fn rule(&mut self, rule: usize, cond: &Cond, known: u32, next: Label, places: &mut Places) -> u32 {
        self.asm.line(rule);
        let matched = self.asm.label();
        let branch = Branch { yes: (matched, 0), no: (next, u32::MAX), fault: next, yes_follows: true };
        let known = self.test(cond, branch, known);
        self.asm.bind(matched);
        let action = &self.rules.rules[rule].action;
        if let Action::Verdict(verdict) = action {
            let label = self.verdict(verdict, places);
            self.asm.mov32_imm(9, rule as u32);
            self.asm.goto(label);
            return known.no.min(known.fault);
        }
        self.count(rule);
        self.act(rule, places);
        if matches!(action, Action::Set(_)) {
            // Of what was rewritten nothing is known.
            return 0;
        }
        known.no.min(known.fault).min(known.yes)
    }

    /// Where the verdict is given.
    pub(super) fn verdict(&mut self, verdict: &Verdict, places: &mut Places) -> Label {
        let verdict = self.alike(verdict);
        if let Some((_, label)) = places.verdicts.iter().find(|(known, _)| *known == verdict) {
            return *label;
        }
        let label = self.asm.label();
        places.verdicts.push((verdict, label));
        label
    }

    /// The verdicts of rules, each once, with the number of each rule's.
    pub(super) fn verdicts_of(&self, rules: impl Iterator<Item = usize>) -> (Vec<Verdict>, Vec<u32>) {
        let mut distinct: Vec<Verdict> = Vec::new();
        let mut numbers = Vec::new();
        for rule in rules {
            let verdict = match &self.rules.rules[rule].action {
                Action::Verdict(verdict) => self.alike(verdict),
                _ => Verdict::Pass,
            };
            let known = distinct.iter().position(|other| *other == verdict);
            numbers.push(known.unwrap_or(distinct.len()) as u32);
            if known.is_none() {
                distinct.push(verdict);
            }
        }
        (distinct, numbers)
    }

    /// The default and all verdicts.
    fn ends(&mut self, places: &mut Places) {
        let rules = self.rules;
        let default = self.verdict(&rules.default, places);
        self.asm.bind(places.default);
        self.asm.line(rules.rules.len());
        self.asm.mov32_imm(9, rules.rules.len() as u32);
        // The default's own verdict comes first: no jump is needed.
        self.asm.goto(default);
        let mut verdicts: Vec<_> = std::mem::take(&mut places.verdicts);
        let first = self.alike(&rules.default);
        verdicts.sort_by_key(|(verdict, _)| *verdict != first);
        for (verdict, label) in verdicts {
            self.asm.bind(label);
            self.count_decided();
            self.give(&verdict);
        }
        self.asm.bind(places.excess);
        self.give(&Verdict::Drop);
        self.asm.bind(places.failed);
        self.give(&Verdict::Abort);
    }

    /// By the number of the verdict in r1, where several are possible.
    pub(super) fn by_verdict(&mut self, verdicts: &[Verdict], places: &mut Places) {
        let cases: Vec<_> = (0..).zip(verdicts).map(|(at, verdict)| (at, self.verdict(verdict, places))).collect();
        let Some(((_, last), others)) = cases.split_last() else { return };
        self.switch(others, *last);
    }

    /// Computes a number that a table looks up, as it is in memory.
    pub(super) fn key_number(&mut self, value: &Value, goal: Goal) {
        match value {
            Value::Load(load) => self.bytes(load, goal),
            _ => self.number(value, goal),
        }
    }
}

/// A rule that is tried by itself.
fn one_by_one(step: &Step) -> Option<(usize, &Cond)> {
    match step {
        Step::Rule { rule, cond } => Some((*rule, cond)),
        Step::Table(_) | Step::Classifier(_) => None,
    }
}
