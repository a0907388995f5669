//! A node that has a rollout before the others: whether it is well with it.
//!
//! First it is watched without, for a moment; then it has the change, and is compared with that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use xdpilot_kernel::program::ProgramInfo;

use super::conduct::Ask;
use super::reconcile::Reconciler;
use super::report::{Report, RolloutReport, RolloutState};
use crate::documents::rollout::Rollout;
use crate::pools::live::{Condition, Live};
use crate::record;

/// A node is watched without the change for a quarter of its time, but not longer than this.
const LONGEST_BEFORE: Duration = Duration::from_secs(5);
/// Fewer packets say nothing about how many are dropped.
const PACKETS: u64 = 100;
/// The share of dropped packets may grow by so much, in parts of a hundred.
const POINTS: u64 = 10;

/// A rollout on this node.
#[derive(Debug)]
pub(super) struct Canary {
    rollout: Rollout,
    phase: Phase,
    since: Instant,
    /// What was counted when the phase began, by policy and place.
    begin: Counted,
    /// What was counted in the time without the change.
    before: Counted,
    /// The backends that were out without the change.
    out: Out,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Baking,
    Baked,
    Failed(String),
}

/// Backends whose checks fail: policy, place, pool, backend.
type Out = BTreeSet<[String; 4]>;

/// Packets of a program: dropped, and all.
type Counted = BTreeMap<(String, String), (u32, u64, u64)>;

impl Canary {
    /// It begins now.
    pub(super) fn new(rollout: Rollout, reconciler: &Reconciler) -> Self {
        let begin = count(reconciler);
        Canary { rollout, phase: Phase::Before, since: Instant::now(), begin, before: Counted::new(), out: Out::new() }
    }

    /// Which rollout it is.
    pub(super) fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// Whether the node is to have the change now.
    pub(super) fn has_it(&self) -> bool {
        matches!(self.phase, Phase::Baking | Phase::Baked)
    }

    /// Takes note of the time, and of how the node is with the change.
    pub(super) fn look(&mut self, report: Option<&Report>, reconciler: &Reconciler) {
        match self.phase {
            Phase::Before if self.since.elapsed() >= (self.rollout.bake / 4).min(LONGEST_BEFORE) => {
                let now = count(reconciler);
                self.before = difference(&self.begin, &now);
                self.out = out(reconciler);
                (self.phase, self.since, self.begin) = (Phase::Baking, Instant::now(), Counted::new());
            }
            Phase::Baking => match report.and_then(|report| self.fault(report, reconciler)) {
                Some(why) => self.phase = Phase::Failed(why),
                None if self.since.elapsed() >= self.rollout.bake => self.phase = Phase::Baked,
                None => {}
            },
            _ => {}
        }
    }

    /// What is wrong since the node has the change.
    fn fault(&mut self, report: &Report, reconciler: &Reconciler) -> Option<String> {
        if let Some(failed) = report.attached.iter().find(|one| one.state == super::report::State::Failed) {
            let why = failed.why.clone().unwrap_or_default();
            return Some(format!("policy {} failed at {}: {why}", failed.policy, failed.place));
        }
        if let Some([policy, place, pool, backend]) = out(reconciler).difference(&self.out).next() {
            return Some(format!(
                "backend {backend} of pool {pool} is out at {place}, which it was not without the change (policy {policy})"
            ));
        }
        self.drops_more(reconciler)
    }

    /// Whether more of the packets are dropped than without the change.
    fn drops_more(&mut self, reconciler: &Reconciler) -> Option<String> {
        let now = count(reconciler);
        for (key, counted) in &now {
            self.begin.entry(key.clone()).or_insert(*counted);
        }
        let since = difference(&self.begin, &now);
        since.iter().find_map(|((policy, place), (_, dropped, all))| {
            let (_, dropped_before, all_before) = self.before.get(&(policy.clone(), place.clone()))?;
            if *all < PACKETS || *all_before < PACKETS {
                return None;
            }
            let [before, after] = [dropped_before * 100 / all_before, dropped * 100 / all];
            (after > before + POINTS).then(|| {
                format!("policy {policy} at {place} drops {after} % of the packets, and dropped {before} % before")
            })
        })
    }

    /// What is to be done about the rollout.
    pub(super) fn ask(&self) -> Option<Ask> {
        match &self.phase {
            Phase::Failed(why) => Some(Ask::Halt(self.rollout.clone(), why.clone())),
            Phase::Baked => Some(Ask::Promote(self.rollout.clone(), self.since)),
            Phase::Before | Phase::Baking => None,
        }
    }

    /// How it is, for the store.
    pub(super) fn report(&self) -> RolloutReport {
        let (state, why) = match &self.phase {
            Phase::Before => (RolloutState::Before, None),
            Phase::Baking => (RolloutState::Baking, None),
            Phase::Baked => (RolloutState::Baked, None),
            Phase::Failed(why) => (RolloutState::Failed, Some(why.clone())),
        };
        RolloutReport { id: self.rollout.id.clone(), state, why }
    }
}

/// What the programs that stand have counted. What cannot be read counts nothing.
fn count(reconciler: &Reconciler) -> Counted {
    let mut counted = Counted::new();
    for (policy, place, program) in reconciler.programs() {
        let counts = ProgramInfo::of_id(program).ok().flatten().and_then(|info| record::counts(&info).ok().flatten());
        let Some(counts) = counts else { continue };
        let verdict = |name: &str| {
            let at = xdpilot_core::link::VERDICTS.iter().position(|verdict| *verdict == name);
            at.and_then(|at| counts.get(at)).map_or(0, |count| count.packets)
        };
        let all = counts.iter().map(|count| count.packets).sum();
        counted.insert((policy, place), (program, verdict("drop") + verdict("aborted"), all));
    }
    counted
}

/// The backends whose checks fail now. What cannot be read is not out.
fn out(reconciler: &Reconciler) -> Out {
    let mut out = Out::new();
    for (_, found, rules) in reconciler.loaded() {
        if !rules.has_checks() {
            continue;
        }
        let Ok(Some(live)) = Live::pinned(found.pinned.clone()) else { continue };
        for (pool, index) in live.pools.iter().zip(0u16..) {
            for (_, member) in live.members(index) {
                if Condition::of(&member) == Condition::Down {
                    let (policy, place) = (found.standing.policy.clone(), found.standing.place.clone());
                    out.insert([policy, place, pool.name.clone(), member.name]);
                }
            }
        }
    }
    out
}

/// What was counted between. A program that is another one now has counted since it stands there.
fn difference(begin: &Counted, end: &Counted) -> Counted {
    let since = |(key, (program, dropped, all)): (&(String, String), &(u32, u64, u64))| {
        let before = begin.get(key).filter(|before| before.0 == *program);
        let (d, a) = before.map_or((0, 0), |before| (before.1, before.2));
        (key.clone(), (*program, dropped.saturating_sub(d), all.saturating_sub(a)))
    };
    end.iter().map(since).collect()
}
