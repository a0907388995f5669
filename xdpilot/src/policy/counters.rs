//! Hits of the rules of a loaded policy.

use std::collections::HashMap;

use xdpilot_core::emit::RULES;
use xdpilot_core::emit::counters::{WORDS, by_rule};
use xdpilot_core::error::Result;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::program::ProgramInfo;

use super::{Compiled, default_text};
use crate::record::{self, Count, PolicyRecord, Record, RuleRecord};

/// The hits of each rule of a loaded policy, and last those of its default; none where they are not counted.
///
/// # Errors
/// The kernel does not let this user read the program's maps.
pub fn hits(program: &ProgramInfo, policy: &PolicyRecord) -> Result<Option<Vec<Count>>> {
    record::map_named(program, RULES)?.map(|map| of_map(&map, policy)).transpose()
}

/// The same, from the map that holds them.
///
/// # Errors
/// The kernel does not let this user read it.
pub fn of_map(map: &Map, policy: &PolicyRecord) -> Result<Vec<Count>> {
    let hits = by_rule(&map.sums_per_cpu()?, policy.rules.len(), &policy.counted);
    Ok(hits.into_iter().map(|[packets, bytes]| Count { packets, bytes }).collect())
}

/// Gives a policy that is about to take the place of another the counters of the rules that both have, by their text.
///
/// # Errors
/// The kernel refuses it.
pub fn carry(old: &ProgramInfo, policy: &Compiled, loaded: &Loaded) -> Result<()> {
    let Some(before) = Record::of(old)?.and_then(|record| record.policy) else { return Ok(()) };
    let Some(hits) = hits(old, &before)? else { return Ok(()) };
    let mut by_text: HashMap<&str, Vec<Count>> = HashMap::new();
    // The last one first, so that `pop` gives them in their order.
    for (rule, count) in rules(&before).zip(hits).collect::<Vec<_>>().into_iter().rev() {
        by_text.entry(&rule.text).or_default().push(count);
    }
    let default = default_text(&policy.rules.default);
    let now = policy.rules.rules.iter().map(|rule| rule.text.as_str()).chain([default.as_str()]);
    let counts = now.map(|text| by_text.get_mut(text).and_then(Vec::pop).unwrap_or_default());
    set(&loaded.map(RULES)?, &counts.collect::<Vec<_>>())
}

/// Sets counters that are zeros.
fn set(map: &Map, counts: &[Count]) -> Result<()> {
    let of_row = map.info().value_size as usize / (8 * WORDS);
    for (index, row) in (0..).zip(counts.chunks(of_row.max(1))) {
        if row.iter().any(|count| *count != Count::default()) {
            let sums: Vec<u64> = row.iter().flat_map(|count| [count.packets, count.bytes]).collect();
            map.set_per_cpu(index, &sums)?;
        }
    }
    Ok(())
}

/// The rules in the order of the counters.
fn rules(policy: &PolicyRecord) -> impl Iterator<Item = &RuleRecord> {
    policy.rules.iter().chain([&policy.default])
}
