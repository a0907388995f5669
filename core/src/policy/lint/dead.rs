//! Rules that never act: proofs that hold for every packet.
//!
//! A condition is walked along each way in which it holds; each way is a list of tests that came out one way or the
//! other, and from these follows how the tests of another condition come out. What cannot be shown so within a bounded
//! number of steps is not said.

use std::collections::HashMap;

use super::facts::Facts;
use crate::cond::Cond;
use crate::policy::Action;
use crate::rules::Rules;

/// How many tests are looked at for one policy.
const STEPS: u32 = 100_000;
/// How many of them for one rule.
const STEPS_OF_RULE: u32 = 4_000;

/// A rule that never acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Its index.
    pub rule: usize,
    /// The earlier rules that decide all packets it would match, ascending; none where there is no such packet at all.
    pub by: Vec<usize>,
}

/// The rules that never act, as far as that can be shown cheaply.
pub fn dead(rules: &Rules) -> Vec<Dead> {
    let mut steps = Steps(STEPS);
    let mut dead = Vec::new();
    // Rules that decide, and see the same bytes as the rule at hand.
    let mut deciding: Vec<usize> = Vec::new();
    let mut same: HashMap<&Cond, usize> = HashMap::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        let earlier = same.get(&rule.cond).copied();
        let found = match earlier {
            Some(earlier) => Some(Dead { rule: index, by: vec![earlier] }),
            None => shadow(rules, index, &deciding, &mut steps),
        };
        let is_live = found.is_none();
        dead.extend(found);
        match rule.action {
            Action::Verdict(_) if rule.cond == Cond::Always(true) => {
                let behind = index + 1..rules.rules.len();
                dead.extend(behind.map(|rule| Dead { rule, by: vec![index] }));
                return dead;
            }
            Action::Verdict(_) if is_live => {
                deciding.push(index);
                same.insert(&rule.cond, index);
            }
            Action::Set(_) if is_live => {
                deciding.clear();
                same.clear();
            }
            _ => {}
        }
    }
    dead
}

/// Whether nothing is left for a rule.
fn shadow(rules: &Rules, index: usize, deciding: &[usize], steps: &mut Steps) -> Option<Dead> {
    let mut own = Steps(steps.0.min(STEPS_OF_RULE));
    let before = own.0;
    let mut by = Vec::new();
    let cond = &rules.rules[index].cond;
    let all = every(cond, true, &Facts::default(), &mut own, &mut |facts, steps| {
        let covers = |rule: &&usize| surely(&rules.rules[**rule].cond, facts, steps) == Some(true);
        let found = deciding.iter().find(covers);
        by.extend(found);
        found.is_some()
    });
    steps.0 -= before - own.0;
    by.sort_unstable();
    by.dedup();
    all.then_some(Dead { rule: index, by })
}

/// How many tests may still be looked at.
#[derive(Clone, Debug)]
pub(super) struct Steps(pub(super) u32);

impl Steps {
    fn take(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

/// What is asked of each way in which a condition comes out.
type Ask<'a> = &'a mut dyn FnMut(&Facts, &mut Steps) -> bool;

/// Whether, on each way in which `cond` comes out as `truth`, the answer is yes. No where there are too many ways.
pub(super) fn every(cond: &Cond, truth: bool, facts: &Facts, steps: &mut Steps, ask: Ask<'_>) -> bool {
    if !steps.take() {
        return false;
    }
    match (cond, truth) {
        (Cond::Not(inner), _) => every(inner, !truth, facts, steps, ask),
        (Cond::And(left, right), true) | (Cond::Or(left, right), false) => {
            every(left, truth, facts, steps, &mut |facts, steps| every(right, truth, facts, steps, ask))
        }
        (Cond::And(left, right), false) | (Cond::Or(left, right), true) => {
            every(left, truth, facts, steps, ask)
                && every(left, !truth, facts, steps, &mut |facts, steps| every(right, truth, facts, steps, ask))
        }
        (Cond::Always(constant), _) => *constant != truth || ask(facts, steps),
        (Cond::Compare(..) | Cond::In(_) | Cond::Chain(_), _) => {
            facts.with(cond, truth).is_none_or(|facts| ask(&facts, steps))
        }
    }
}

/// How a condition comes out for every such packet, without a fault; none where that is not known.
pub(super) fn surely(cond: &Cond, facts: &Facts, steps: &mut Steps) -> Option<bool> {
    if !steps.take() {
        return None;
    }
    match cond {
        Cond::Not(inner) => surely(inner, facts, steps).map(|truth| !truth),
        Cond::And(left, right) | Cond::Or(left, right) => {
            let decides = matches!(cond, Cond::Or(..));
            match surely(left, facts, steps) {
                Some(truth) if truth == decides => Some(decides),
                Some(_) => surely(right, facts, steps),
                None if !facts.is_safe(left) => None,
                None => surely(right, facts, steps).filter(|truth| *truth == decides),
            }
        }
        _ => facts.test(cond),
    }
}
