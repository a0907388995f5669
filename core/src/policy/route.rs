//! Which pools a policy routes to.

use super::parse::cursor::near_or;
use super::{Action, Assignment, Document, Host, MOST_BACKENDS, Method, Policy, Pool, Verdict};
use crate::problem::{Problem, Span};

/// The pools that a policy's rules and its default route to, in order of first use.
pub(super) fn pools<'d>(document: &'d Document, policy: &Policy, problems: &mut Vec<Problem>) -> Vec<&'d Pool> {
    let mut used: Vec<&Pool> = Vec::new();
    for (name, span) in routes(policy) {
        match document.pools.iter().find(|pool| pool.name == *name) {
            None => problems.push(no_pool(document, name, span)),
            Some(pool) if used.iter().any(|known| known.name == pool.name) => {}
            Some(pool) => used.push(pool),
        }
    }
    problems.extend(used.iter().filter_map(|pool| unserved(pool)));
    let mut backends = 0;
    for pool in &used {
        backends += pool.backends.len();
        if backends > MOST_BACKENDS {
            let what = format!("policy {} has more than {MOST_BACKENDS} backends with this pool", policy.name);
            problems.push(Problem::new(pool.span.clone(), what).hint("take several policies"));
            break;
        }
    }
    used
}

/// The names of pools behind `route`, and where they stand.
fn routes(policy: &Policy) -> impl Iterator<Item = (&String, Span)> {
    let rules = policy.rules.iter().filter_map(|rule| match &rule.action {
        Action::Verdict(verdict) => Some((verdict, rule.action_span.end)),
        _ => None,
    });
    rules.chain([(&policy.default, policy.default_span.end)]).filter_map(|(verdict, end)| match verdict {
        Verdict::Route(name) => Some((name, end.saturating_sub(name.len())..end)),
        _ => None,
    })
}

/// What no program can do for a pool.
fn unserved(pool: &Pool) -> Option<Problem> {
    let Method::FullNat(sources) = &pool.method else { return None };
    let has = |v6: bool| sources.iter().any(|source| source.address.is_ipv6() == v6);
    let stranger = pool.backends.iter().find(|backend| match &backend.host {
        Host::Address(address) => !has(address.is_ipv6()),
        Host::Target(_) => false,
    })?;
    let what = format!("no from of this pool has the IP version of {}", stranger.label());
    Some(Problem::new(stranger.span.clone(), what).hint("fullnat from ADDRESS, one of each version that backends have"))
}

fn no_pool(document: &Document, name: &str, span: Span) -> Problem {
    Problem::new(span, format!("no pool {name}")).hint(near_pool(document, name))
}

/// Which pool may have been meant.
pub(super) fn near_pool(document: &Document, name: &str) -> String {
    let names: Vec<&str> = document.pools.iter().map(|pool| pool.name.as_str()).collect();
    let list = if names.is_empty() { "there are no pools".into() } else { format!("pools here: {}", names.join(", ")) };
    near_or(name, names, &list)
}

/// What has no meaning for packets that leave.
pub(super) fn leaving(policy: &Policy) -> Vec<Problem> {
    let rules = policy.rules.iter().map(|rule| (&rule.action, &rule.action_span));
    let default = Action::Verdict(policy.default.clone());
    let said = rules.chain([(&default, &policy.default_span)]).filter_map(|(action, span)| match action {
        Action::Verdict(Verdict::Route(_)) => Some(("packets that leave cannot be routed", span)),
        Action::Set(Assignment::Decap) => Some(("packets that leave cannot be taken out of their outer headers", span)),
        _ => None,
    });
    said.map(|(what, span)| Problem::new(span.clone(), what).hint("route and decap are for packets that arrive"))
        .collect()
}
