//! Pools that give packets to nobody.

use std::net::IpAddr;

use super::dead::{Steps, every};
use super::facts::Facts;
use crate::cond::{Cond, Value, Width};
use crate::packet::ethertype;
use crate::policy::{Action, Document, Host, Policy, Pool, Verdict};
use crate::problem::Problem;
use crate::rules::Rules;

/// How many tests are looked at for one rule.
const STEPS: u32 = 1_000;
const ETHERTYPE: u32 = 12;

/// Pools of which no backend gets a new connection.
pub(super) fn without_weight(document: &Document) -> impl Iterator<Item = Problem> {
    let idle = |pool: &&Pool| pool.backends.iter().all(|backend| backend.weight == 0 || backend.drain);
    document.pools.iter().filter(idle).map(|pool| {
        let problem = Problem::new(pool.span.clone(), format!("no backend of pool {} gets new connections", pool.name));
        problem.hint("each has weight 0 or drains")
    })
}

/// Rules that route packets of one IP version to a pool whose backends all have an address of the other, where packets
/// go there as they are.
pub(super) fn other_families(policy: &Policy, rules: &Rules) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (written, rule) in policy.rules.iter().zip(&rules.rules) {
        let Action::Verdict(Verdict::Route(name)) = &rule.action else { continue };
        let Some(pool) = rules.pool(name).and_then(|index| rules.pools.get(index)) else { continue };
        for (version, number, serves) in [
            (4, ethertype::IPV4, IpAddr::is_ipv4 as fn(&IpAddr) -> bool),
            (6, ethertype::IPV6, IpAddr::is_ipv6 as fn(&IpAddr) -> bool),
        ] {
            if !may_serve(pool, serves) && only(&rule.cond, number) {
                let what = format!("pool {name} has no backend for IPv{version} packets");
                let hint = format!("via {} a backend's address is of the packet's version", pool.method.name());
                warnings.push(Problem::new(written.span.clone(), what).hint(hint));
            }
        }
    }
    warnings
}

fn may_serve(pool: &Pool, serves: fn(&IpAddr) -> bool) -> bool {
    pool.method.wraps()
        || pool.backends.iter().any(|backend| match &backend.host {
            Host::Address(address) => serves(address),
            Host::Target(_) => true,
        })
}

/// Whether a condition holds for packets of this Ethernet type alone.
fn only(cond: &Cond, number: u16) -> bool {
    let Cond::Compare(value, _, Value::Const(number)) = Cond::equals(ETHERTYPE, Width::Two, number.into()) else {
        return false;
    };
    every(cond, true, &Facts::default(), &mut Steps(STEPS), &mut |facts, _| facts.value(&value) == Some(number))
}
