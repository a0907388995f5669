//! What the rules and sets of a loaded policy are at one moment.

use xdpilot_core::emit::BACKENDS;
use xdpilot_core::error::Result;
use xdpilot_kernel::program::ProgramInfo;

use super::snapshot::{CounterStatus, Hits, PolicyStatus, PoolStatus, RuleStatus, SetStatus};
use crate::policy::counters;
use crate::policy::elements::Contents;
use crate::pools::live::{self, Condition};
use crate::record::{self, Count, PolicyRecord, PoolRecord, RuleRecord, SetRecord};

/// Looks at a policy; rates are taken over the interval since it was seen before.
///
/// # Errors
/// The kernel does not let this user read the program's maps.
pub(super) fn look(
    program: &ProgramInfo,
    policy: &PolicyRecord,
    before: Option<&PolicyStatus>,
    interval: Option<f64>,
) -> Result<PolicyStatus> {
    let hits = counters::hits(program, policy)?.unwrap_or_default();
    let then = |index: usize| before.and_then(|before| before.rules.get(index)).map(|rule| rule.hits);
    let rules = policy.rules.iter().chain([&policy.default]).zip(hits).enumerate();
    let rules: Vec<(&RuleRecord, Hits)> =
        rules.map(|(index, (rule, count))| (rule, rates(count, then(index), interval))).collect();
    let mut counters: Vec<CounterStatus> = Vec::new();
    for (rule, hits) in &rules {
        let Some(name) = &rule.counter else { continue };
        match counters.iter_mut().find(|counter| counter.name == *name) {
            Some(counter) => counter.hits = sum(counter.hits, *hits),
            None => counters.push(CounterStatus { name: name.clone(), hits: *hits }),
        }
    }
    let rules = rules.into_iter().map(|(rule, hits)| RuleStatus { line: rule.line, text: rule.text.clone(), hits });
    let sets = policy.sets.iter().map(|set| size(program, set)).collect::<Result<_>>()?;
    let pools = pools(program, &policy.pools)?;
    Ok(PolicyStatus { rules: rules.collect(), counters, sets, pools })
}

fn pools(program: &ProgramInfo, records: &[PoolRecord]) -> Result<Vec<PoolStatus>> {
    let named = |pool: &PoolRecord| PoolStatus { name: pool.name.clone(), up: 0, drains: 0, down: 0 };
    let mut pools: Vec<PoolStatus> = records.iter().map(named).collect();
    if pools.is_empty() {
        return Ok(pools);
    }
    let state = record::map_named(program, BACKENDS)?.map(|map| live::backends(&map)).transpose()?.unwrap_or_default();
    for member in state.members.iter().flatten() {
        let Some(pool) = pools.get_mut(usize::from(member.backend.pool)) else { continue };
        match Condition::of(member) {
            Condition::Up => pool.up += 1,
            Condition::Drains => pool.drains += 1,
            Condition::Down => pool.down += 1,
        }
    }
    Ok(pools)
}

fn size(program: &ProgramInfo, set: &SetRecord) -> Result<SetStatus> {
    let mut elements = 0;
    for (part, name) in set.maps() {
        if let Some(map) = record::map_named(program, name)? {
            elements += Contents::open(map, part)?.count()?;
        }
    }
    Ok(SetStatus { name: set.name.clone(), elements })
}

/// Hits, with rates where it is known what they were an interval before.
pub(crate) fn rates(count: Count, before: Option<Hits>, interval: Option<f64>) -> Hits {
    let rate = |now: u64, then: Option<u64>| {
        let seconds = interval.filter(|seconds| *seconds > 0.0)?;
        Some(now.saturating_sub(then?) as f64 / seconds)
    };
    Hits {
        packets: count.packets,
        bytes: count.bytes,
        packets_per_second: rate(count.packets, before.map(|hits| hits.packets)),
        bytes_per_second: rate(count.bytes, before.map(|hits| hits.bytes)),
    }
}

fn sum(one: Hits, other: Hits) -> Hits {
    let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    Hits {
        packets: one.packets.wrapping_add(other.packets),
        bytes: one.bytes.wrapping_add(other.bytes),
        packets_per_second: both(one.packets_per_second, other.packets_per_second),
        bytes_per_second: both(one.bytes_per_second, other.bytes_per_second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_interval_and_sums_need_both() {
        let before = rates(Count { packets: 10, bytes: 1000 }, None, None);
        assert_eq!((before.packets, before.packets_per_second), (10, None));
        let now = rates(Count { packets: 14, bytes: 1200 }, Some(before), Some(2.0));
        assert_eq!((now.packets_per_second, now.bytes_per_second), (Some(2.0), Some(100.0)));
        assert_eq!(sum(now, now).packets_per_second, Some(4.0));
        assert_eq!((sum(now, before).packets, sum(now, before).bytes_per_second), (24, None));
    }
}
