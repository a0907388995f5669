//! Policies that let IP in, but not what finds the neighbours that IP is sent to.

use super::dead::{Steps, every};
use super::facts::Facts;
use crate::cond::{Cond, Value, Width};
use crate::packet::{ethertype, protocol};
use crate::policy::{Action, Assignment, Policy, Verdict};
use crate::problem::{Problem, Span};
use crate::rules::Rules;

/// How many tests are looked at for one rule.
const STEPS: u32 = 1_000;
/// More than any header before a port has.
const LONG: u64 = 200;
const ETHERTYPE: u32 = 12;
const NEXT_HEADER: u32 = 20;
const ICMP6_TYPE: u32 = 54;

/// Warns where everything that no rule passes is dropped, among it ARP or neighbour discovery.
///
/// Nothing is said where a rule that passes may match them, where no packet of that IP version passes anyway, or where a
/// rule drops just them.
pub(super) fn forgotten(policy: &Policy, rules: &Rules) -> Vec<Problem> {
    let Some((end, span)) = final_drop(policy) else { return Vec::new() };
    let earlier = Earlier { rules: &rules.rules[..end] };
    if earlier.moves_headers() {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let ether = |ethertype: u16| Cond::equals(ETHERTYPE, Width::Two, u32::from(ethertype));
    let byte = |at, value: u8| Cond::equals(at, Width::One, u32::from(value));
    let arp = [ether(ethertype::ARP)];
    if earlier.may_pass(&[ether(ethertype::IPV4)]) && !earlier.may_pass(&arp) && !earlier.drops_only(&arp) {
        let problem = Problem::new(span.clone(), "ARP is dropped: no IPv4 packet will find its way here for long");
        warnings.push(problem.hint("add before it: pass when arp"));
    }
    let discovery = |kind| [ether(ethertype::IPV6), byte(NEXT_HEADER, protocol::ICMP6), byte(ICMP6_TYPE, kind)];
    let any_discovery = [ether(ethertype::IPV6), byte(NEXT_HEADER, protocol::ICMP6)];
    let asked_and_answered = earlier.may_pass(&discovery(135)) && earlier.may_pass(&discovery(136));
    if earlier.may_pass(&[ether(ethertype::IPV6)]) && !asked_and_answered && !earlier.drops_only(&any_discovery) {
        let what = "IPv6 neighbour discovery is dropped: no IPv6 packet will find its way here for long";
        warnings.push(Problem::new(span, what).hint("add before it: pass when icmp6"));
    }
    warnings
}

/// How many rules stand before what drops the rest, and where that stands.
fn final_drop(policy: &Policy) -> Option<(usize, Span)> {
    let drops = |verdict: &Verdict| matches!(verdict, Verdict::Drop | Verdict::Abort);
    let unconditional =
        policy.rules.iter().position(|rule| rule.when.is_none() && matches!(rule.action, Action::Verdict(_)));
    match unconditional.and_then(|at| Some((at, policy.rules.get(at)?))) {
        Some((at, rule)) => match &rule.action {
            Action::Verdict(verdict) if drops(verdict) => Some((at, rule.span.clone())),
            _ => None,
        },
        None => drops(&policy.default).then(|| (policy.rules.len(), policy.default_span.clone())),
    }
}

struct Earlier<'a> {
    rules: &'a [crate::rules::Rule],
}

impl Earlier<'_> {
    /// Whether a rule changes where headers are.
    fn moves_headers(&self) -> bool {
        use Assignment::{Decap, VlanPop, VlanPush};
        let moves = |action: &Action| matches!(action, Action::Set(VlanPush(_) | VlanPop | Decap));
        self.rules.iter().any(|rule| moves(&rule.action))
    }

    /// Whether a rule may pass on a packet for which these tests hold. (All of its fields are there.)
    fn may_pass(&self, tests: &[Cond]) -> bool {
        let start = Some(Facts::of_length(LONG));
        let facts = tests.iter().fold(start, |facts, test| facts.and_then(|facts| facts.with(test, true)));
        let Some(facts) = facts else { return false };
        self.rules.iter().any(|rule| {
            let passes =
                matches!(&rule.action, Action::Verdict(verdict) if !matches!(verdict, Verdict::Drop | Verdict::Abort));
            passes && !every(&rule.cond, true, &facts, &mut Steps(STEPS), &mut |_, _| false)
        })
    }

    /// Whether a rule drops packets for which these tests hold, and no others.
    fn drops_only(&self, tests: &[Cond]) -> bool {
        let holds = |facts: &Facts, test: &Cond| match test {
            Cond::Compare(value, _, Value::Const(constant)) => facts.value(value) == Some(*constant),
            _ => false,
        };
        self.rules.iter().any(|rule| {
            let drops = matches!(rule.action, Action::Verdict(Verdict::Drop | Verdict::Abort));
            drops
                && every(&rule.cond, true, &Facts::default(), &mut Steps(STEPS), &mut |facts, _| {
                    tests.iter().all(|test| holds(facts, test))
                })
        })
    }
}
