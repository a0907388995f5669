//! Warnings about what a policy says, but hardly means. Each is certain: what cannot be shown is not said.

mod dead;
mod facts;
mod neighbours;
mod pools;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::parse::cursor::near_or;
use super::resolve::{Lowered, lower};
use super::route::near_pool;
use super::{Action, Document, Limit, Policy, Unit, Verdict};
use crate::problem::Problem;
use crate::rules::Rules;
pub use dead::{Dead, dead};

/// Warnings about a document, in file order. A policy whose rules have no meaning has none: see [`super::resolve()`].
pub fn lint(document: &Document) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let (mut used, mut routed, mut all_known) = (HashSet::new(), HashSet::new(), true);
    for policy in &document.policies {
        let lowered = lower(document, policy, true, None);
        used.extend(lowered.sets.iter().map(|set| set.name.as_str()));
        routed.extend(lowered.pools.iter().map(|pool| pool.name.as_str()));
        all_known &= lowered.problems.is_empty();
        if lowered.problems.is_empty() {
            warnings.extend(of_policy(policy, lowered));
        }
    }
    for set in document.sets.iter().filter(|set| all_known && !used.contains(set.name.as_str())) {
        warnings.push(Problem::new(set.span.clone(), format!("no rule uses set {}", set.name)));
    }
    for pool in document.pools.iter().filter(|pool| all_known && !routed.contains(pool.name.as_str())) {
        warnings.push(Problem::new(pool.span.clone(), format!("no rule routes to pool {}", pool.name)));
    }
    warnings.extend(pools::without_weight(document));
    warnings.extend(tests(document));
    warnings.extend(unknown_pools(document));
    warnings.sort_by_key(|warning| warning.span.start);
    warnings
}

fn of_policy(policy: &Policy, lowered: Lowered<'_>) -> Vec<Problem> {
    let rules = Rules {
        name: policy.name.clone(),
        file: String::new(),
        rules: lowered.rules,
        default: policy.default.clone(),
        default_line: policy.default_line.unwrap_or(0),
        sets: Vec::new(),
        pools: lowered.pools.into_iter().cloned().collect(),
    };
    let mut warnings = unreached(policy, &rules);
    warnings.extend(policy.rules.iter().filter_map(|rule| {
        match &rule.action {
            Action::Limit(limit) if never_bites(limit) => Some(
                Problem::new(rule.span.clone(), "this limit never drops anything")
                    .hint("a packet's share of such a rate is less than a nanosecond"),
            ),
            _ => None,
        }
    }));
    warnings.extend(neighbours::forgotten(policy, &rules));
    warnings.extend(pools::other_families(policy, &rules));
    warnings
}

/// Rules that never act; of those behind a rule without a condition only the first.
fn unreached(policy: &Policy, rules: &Rules) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for Dead { rule, by } in dead(rules) {
        let Some(span) = policy.rules.get(rule).map(|rule| rule.span.clone()) else { continue };
        let deciding: Vec<_> = by.iter().filter_map(|by| policy.rules.get(*by)).collect();
        let lines: Vec<String> = deciding.iter().map(|rule| rule.line.to_string()).collect();
        warnings.push(match deciding.as_slice() {
            [] => Problem::new(span, "this rule matches no packet"),
            [earlier] if earlier.when.is_none() => {
                let behind = policy.rules.len() - rule;
                let hint = format!("line {} decides all packets", earlier.line);
                let and = if behind > 1 { format!(", nor are the {} behind it", behind - 1) } else { String::new() };
                warnings.push(Problem::new(span, format!("this rule is not reached{and}")).hint(hint));
                break;
            }
            [earlier] => Problem::new(span, "this rule is not reached by any packet that it matches")
                .hint(format!("line {} decides them: {earlier}", earlier.line)),
            _ => Problem::new(span, "this rule is not reached by any packet that it matches")
                .hint(format!("lines {} decide them", lines.join(", "))),
        });
    }
    warnings
}

/// Whether even the longest packet costs nothing; see [`Limit`].
fn never_bites(limit: &Limit) -> bool {
    const LONGEST: u64 = 65_535;
    match limit.unit {
        Unit::Packets => limit.rate > 1_000_000_000,
        Unit::Bits => limit.rate > LONGEST * 8 * 1_000_000_000,
    }
}

/// Tests about no policy.
fn tests(document: &Document) -> Vec<Problem> {
    let names = || document.policies.iter().map(|policy| policy.name.as_str());
    let mut warnings = Vec::new();
    for test in &document.tests {
        match &test.policy {
            Some(name) if !names().any(|known| known == name) => {
                let list = format!("policies here: {}", names().collect::<Vec<_>>().join(", "));
                let problem =
                    Problem::new(test.span.clone(), format!("this test is on {name}: there is no such policy"));
                warnings.push(problem.hint(near_or(name, names(), &list)));
            }
            None if document.policies.len() > 1 => {
                let problem = Problem::new(test.span.clone(), "this test does not say which policy it is about");
                warnings.push(problem.hint("expected on POLICY behind its name"));
            }
            _ => {}
        }
    }
    warnings
}

/// Tests that expect a pool that there is not.
fn unknown_pools(document: &Document) -> impl Iterator<Item = Problem> {
    let cases = document.tests.iter().flat_map(|test| &test.cases);
    cases.filter_map(|case| match &case.verdict {
        Verdict::Route(name) if !document.pools.iter().any(|pool| pool.name == *name) => {
            let problem = Problem::new(
                case.span.clone(),
                format!("this packet is to be routed to {name}: there is no such pool"),
            );
            Some(problem.hint(near_pool(document, name)))
        }
        _ => None,
    })
}
