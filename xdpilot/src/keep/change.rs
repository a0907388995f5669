//! What follows from a change of a policy's files: nothing, other elements in its sets, or another program.

use std::collections::HashMap;

use xdpilot_core::emit::set_map_name;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::rules::Rules;

use super::{Kept, ids};
use crate::place;
use crate::policy::elements::{self, Contents};
use crate::policy::{self, Policy, Text, sets};
use crate::put::{self, Order};
use crate::source::Input;
use crate::state::{self, Pinned};

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// In words, a line each.
    pub(super) told: Vec<String>,
    /// Whether a new program was loaded.
    pub(super) loaded: bool,
}

/// Reads the files again and does what follows.
///
/// # Errors
/// Something is wrong with them, or the kernel refuses: all is as it was.
pub(super) fn follow(kept: &mut Kept, ids_now: &mut Vec<u32>) -> Result<Change> {
    let text = match &kept.text.path {
        Some(path) => Text::of_file(path)?,
        None => kept.text.clone(),
    };
    let policy = policy::read(&text, kept.name.as_deref(), kept.policy.direction)?;
    let old = &kept.policy.rules;
    let mut change = Change::default();
    let same = same_program(old, &policy.rules);
    let changed = match same {
        true if old.sets == policy.rules.sets => Some(Vec::new()),
        true => changed(apply(kept, &policy))?,
        false => None,
    };
    if let Some(told) = changed {
        change.told = told;
    } else {
        let wish = attach_again(&kept.order);
        let input = Input::Policy(Box::new(policy.compile(place::may_have_frags(&kept.places))?));
        *ids_now = ids(&put::load(&input, &kept.places, &wish)?);
        let (added, removed) = difference(old, &policy.rules);
        let rules = if added == 1 { "rule" } else { "rules" };
        change.told.push(match same {
            true => format!("{}: loaded anew, with room for more elements", policy.rules.name),
            false if added + removed == 0 => format!("{}: other backends", policy.rules.name),
            false => format!("{}: {added} {rules} added, {removed} removed", policy.rules.name),
        });
        change.loaded = true;
    }
    (kept.text, kept.policy) = (text, policy);
    Ok(change)
}

/// What was done; none where the sets have no room for their elements, and the policy must be loaded anew.
fn changed(applied: Result<Vec<String>>) -> Result<Option<Vec<String>>> {
    match applied {
        Ok(told) => Ok(Some(told)),
        Err(error) if elements::is_full(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same order, in the place of what stands there.
fn attach_again(order: &Order) -> Order {
    let mut order = order.clone();
    // The mode stays that in which the first one stands.
    (order.wish.mode, order.wish.replace, order.carry) = (None, true, true);
    order
}

/// Whether two policies differ in nothing but the elements of their sets (and where in the file they stand).
fn same_program(old: &Rules, new: &Rules) -> bool {
    let sets = |rules: &Rules| rules.sets.iter().map(|set| (set.name.clone(), set.parts.clone())).collect::<Vec<_>>();
    let pools = |rules: &Rules| rules.pools.iter().map(ToString::to_string).collect::<Vec<_>>();
    old.name == new.name
        && pools(old) == pools(new)
        && old.rules == new.rules
        && old.default == new.default
        && sets(old) == sets(new)
}

/// How many rules are new, and how many are gone, by their texts.
fn difference(old: &Rules, new: &Rules) -> (usize, usize) {
    let mut counts: HashMap<&str, i64> = HashMap::new();
    let defaults = [old, new].map(|rules| format!("default {}", rules.default));
    for (rules, default, sign) in [(old, &defaults[0], -1), (new, &defaults[1], 1)] {
        let texts = rules.rules.iter().map(|rule| rule.text.as_str()).chain([default.as_str()]);
        texts.for_each(|text| *counts.entry(text).or_default() += sign);
    }
    let sum = |sign: i64| counts.values().map(|count| (count * sign).max(0)).sum::<i64>();
    (usize::try_from(sum(1)).unwrap_or(0), usize::try_from(sum(-1)).unwrap_or(0))
}

/// Brings the sets of the loaded policies up to date.
fn apply(kept: &Kept, policy: &Policy) -> Result<Vec<String>> {
    let _lock = state::lock();
    let (old, new) = (&kept.policy.rules, &policy.rules);
    let mut told = Vec::new();
    for place in &kept.places {
        let direction = kept.policy.direction;
        let (namespace, ifindex) = (place.namespace.inode(), place.interface.index);
        let pinned = Pinned { path: place.link_path(direction), direction, namespace, ifindex };
        let gone = || Error::failed(format!("change the sets on {}", place.label)).cause("its policy is gone");
        let mut loaded = sets::at(pinned)?.ok_or_else(gone)?;
        for (index, (old, set)) in old.sets.iter().zip(&new.sets).enumerate() {
            let (mut added, mut removed) = (0, 0);
            for part in &set.parts {
                let map = loaded.take_map(&set_map_name(new, index, *part)).ok_or_else(gone)?;
                let changed = Contents::open(map, *part)
                    .and_then(|mut contents| contents.apply(&old.elements, &set.elements))
                    .map_err(|error| error.context(format!("set {}", set.name)))?;
                (added, removed) = (added + changed.0, removed + changed.1);
            }
            if old.elements != set.elements {
                told.push(format!("{}: set {}: +{added} -{removed}", place.label, set.name));
            }
        }
    }
    Ok(told)
}
