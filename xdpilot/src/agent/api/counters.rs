//! What the policies of this node have counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use xdpilot_core::emit::RULES;
use xdpilot_core::error::Result;
use xdpilot_core::link::COUNTS;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::map::Map;

use crate::agent::report::{Attached, Report};
use crate::policy::counters;
use crate::policy::sets::{self, Loaded};
use crate::pools::live::Live;
use crate::record::{self, Count, Counts, PolicyRecord};
use crate::state;
use crate::status::{Hits, RuleStatus, VerdictCount, rule_rates, verdict_rates};

/// Where a policy is, in the words of reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Where {
    pub(super) policy: String,
    pub(super) place: String,
    pub(super) interface: String,
    pub(super) program: u32,
}

/// What a policy did in an interval: its verdicts, and those of its rules that met something.
#[derive(Debug, Serialize)]
pub(super) struct PolicyRates {
    #[serde(flatten)]
    place: Where,
    verdicts: Vec<VerdictCount>,
    rules: Vec<RuleStatus>,
}

/// Reads counters, again and again: what leads to them is kept.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// By program.
    sources: BTreeMap<u32, Source>,
    taken: Option<Instant>,
}

/// The counters of a policy where it stands.
#[derive(Debug)]
struct Source {
    policy: Arc<PolicyRecord>,
    /// Of what the policy was made: others with the same share their record.
    digest: String,
    rules: Option<Map>,
    verdicts: Option<Map>,
    before: Option<(Vec<Count>, Counts)>,
}

/// What a policy has counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) place: Where,
    pub(super) policy: Arc<PolicyRecord>,
    /// Of its rules, and last of its default.
    pub(super) rules: Vec<Count>,
    pub(super) verdicts: Counts,
}

impl Sampler {
    /// What all policies of a report have counted. One that goes away meanwhile is left out.
    ///
    /// # Errors
    /// This user may not see it.
    pub(super) fn counts(&mut self, report: &Report) -> Result<Vec<Counted>> {
        self.find(report)?;
        let mut all = Vec::new();
        for (program, one) in stands(report) {
            let Some(source) = self.sources.get(&program) else { continue };
            let Ok((rules, verdicts)) = source.read() else { continue };
            all.push(Counted { place: named(one, program), policy: source.policy.clone(), rules, verdicts });
        }
        Ok(all)
    }

    /// What they did since this was asked last, and how many seconds ago that was.
    ///
    /// # Errors
    /// This user may not see it.
    pub(super) fn rates(&mut self, report: &Report) -> Result<(Option<f64>, Vec<PolicyRates>)> {
        let now = Instant::now();
        let interval = self.taken.replace(now).map(|before| (now - before).as_secs_f64());
        let mut all = Vec::new();
        for Counted { place, policy, rules, verdicts } in self.counts(report)? {
            let Some(source) = self.sources.get_mut(&place.program) else { continue };
            let before = source.before.replace((rules.clone(), verdicts));
            let texts = policy.rules.iter().chain([&policy.default]);
            let rates = texts.zip(&rules).enumerate().filter_map(|(index, (rule, count))| {
                let then = before.as_ref().and_then(|(rules, _)| rules.get(index));
                if then.is_none_or(|then| then == count) {
                    return None;
                }
                let hits = rule_rates(*count, then.map(|then| plain(*then)), interval);
                Some(RuleStatus { line: rule.line, text: rule.text.clone(), hits })
            });
            let rules = rates.collect();
            let then = before.map(|(_, verdicts)| verdict_rates(&verdicts, None, None));
            let verdicts = verdict_rates(&verdicts, then.as_deref(), interval.filter(|_| then.is_some()));
            all.push(PolicyRates { place, verdicts, rules });
        }
        Ok((interval, all))
    }

    /// Finds what leads to the counters of programs that are new, and forgets those that are gone.
    fn find(&mut self, report: &Report) -> Result<()> {
        let wanted: BTreeSet<u32> = stands(report).map(|(program, _)| program).collect();
        self.sources.retain(|program, _| wanted.contains(program));
        if wanted.iter().all(|program| self.sources.contains_key(program)) {
            return Ok(());
        }
        let mut records: HashMap<String, Arc<PolicyRecord>> =
            self.sources.values().map(|source| (source.digest.clone(), source.policy.clone())).collect();
        for pinned in state::links()? {
            let Ok(link) = Link::open_pinned(&pinned.path).and_then(|link| link.info()) else { continue };
            if !wanted.contains(&link.program_id) || self.sources.contains_key(&link.program_id) {
                continue;
            }
            if let Some(loaded) = sets::at(pinned).ok().flatten() {
                self.sources.insert(loaded.program, Source::of(loaded, &mut records));
            }
        }
        Ok(())
    }
}

impl Source {
    fn of(mut loaded: Loaded, records: &mut HashMap<String, Arc<PolicyRecord>>) -> Self {
        let digest = loaded.record.stored.as_ref().map(|stored| stored.digest.clone()).unwrap_or_default();
        let policy = loaded.record.policy.take().unwrap_or_default();
        let policy = match records.get(&digest).filter(|known| ***known == policy) {
            Some(known) => known.clone(),
            None => Arc::new(policy),
        };
        records.insert(digest.clone(), policy.clone());
        let (rules, verdicts) = (loaded.take_map(RULES), loaded.take_map(COUNTS));
        Source { policy, digest, rules, verdicts, before: None }
    }

    fn read(&self) -> Result<(Vec<Count>, Counts)> {
        let rules = self.rules.as_ref().map(|map| counters::of_map(map, &self.policy)).transpose()?;
        let verdicts = self.verdicts.as_ref().map(record::counts_of).transpose()?;
        Ok((rules.unwrap_or_default(), verdicts.unwrap_or_default()))
    }
}

/// The pools of policies of a report, with their places.
///
/// # Errors
/// This user may not see them.
pub(super) fn pools(report: &Report) -> Result<Vec<(Where, Live)>> {
    let places: BTreeMap<u32, &Attached> = stands(report).collect();
    let mut all = Vec::new();
    for mut loaded in sets::loaded(None)? {
        let Some(one) = places.get(&loaded.program) else { continue };
        if let Ok(Some(live)) = Live::open(&mut loaded) {
            all.push((named(one, loaded.program), live));
        }
    }
    Ok(all)
}

/// The programs of a report.
fn stands(report: &Report) -> impl Iterator<Item = (u32, &Attached)> {
    report.attached.iter().filter_map(|one| Some((one.program?, one)))
}

fn named(one: &Attached, program: u32) -> Where {
    let interface = one.interface.clone().unwrap_or_default();
    Where { policy: one.policy.clone(), place: one.place.clone(), interface, program }
}

fn plain(count: Count) -> Hits {
    rule_rates(count, None, None)
}
