//! A document's policy with all names resolved.

use std::cell::RefCell;
use std::num::NonZero;
use std::thread;

use super::parse::cursor::near_or;
use super::{Action, Document, Element, Members, Policy, Pool, Rule, Set, Verdict, route};
use crate::cond::{Cond, Part};
use crate::error::Error;
use crate::filter;
use crate::problem::{Problem, Span};
use crate::rules;

/// What a document does not say by itself.
pub struct Request<'a> {
    /// Which of its policies; the only one where nothing is said.
    pub policy: Option<&'a str>,
    /// The file that it was read from, for people.
    pub file: &'a str,
    /// Packets that come in; else those that go out.
    pub inbound: bool,
    /// How names of hosts become addresses; errors where it is none.
    pub resolve: Option<filter::Resolve<'a>>,
}

/// Reads a set file: the path as the policy says it.
pub type ReadSet<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<Element>, Error>;

/// The policy's rules, with filters as conditions and sets by index.
///
/// # Errors
/// Everything in the policy that has no meaning: unknown or ambiguous names, filters that cannot be, files of sets that
/// cannot be read.
pub fn resolve(document: &Document, request: &Request<'_>, files: ReadSet<'_>) -> Result<rules::Rules, Vec<Problem>> {
    let mut problems = duplicates(document);
    let policy = match choose(document, request.policy) {
        Ok(policy) => policy,
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    let lowered = lower(document, policy, request.inbound, request.resolve);
    problems.extend(lowered.problems);
    if !request.inbound {
        problems.extend(route::leaving(policy));
    }
    let mut sets = Vec::new();
    for (set, parts) in lowered.sets.iter().zip(parts(&lowered.rules, lowered.sets.len())) {
        match elements(set, files) {
            Ok(elements) => sets.push(rules::Set { name: set.name.clone(), parts, elements }),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(rules::Rules {
        name: policy.name.clone(),
        file: request.file.to_string(),
        rules: lowered.rules,
        default: policy.default.clone(),
        default_line: policy.default_line.unwrap_or(0),
        sets,
        pools: lowered.pools.into_iter().cloned().collect(),
    })
}

/// The policy of this name, or the only one.
pub fn choose<'d>(document: &'d Document, name: Option<&str>) -> Result<&'d Policy, Problem> {
    let names = || document.policies.iter().map(|policy| policy.name.as_str());
    let list = || format!("its policies: {}", names().collect::<Vec<_>>().join(", "));
    match (name, document.policies.as_slice()) {
        (_, []) => {
            Err(Problem::new(0..0, "this policy has no rules").hint("a rule is ACTION when FILTER: drop when udp"))
        }
        (Some(name), policies) => policies.iter().find(|policy| policy.name == name).ok_or_else(|| {
            Problem::new(0..0, format!("no policy {name} in this file")).hint(near_or(name, names(), &list()))
        }),
        (None, [policy]) => Ok(policy),
        (None, [_, second, ..]) => {
            Err(Problem::new(second.span.clone(), "this file has several policies: say which").hint(list()))
        }
    }
}

/// Names that are given twice.
fn duplicates(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let sets = document.sets.iter().map(|set| ("set", &set.name, &set.span));
    let pools = document.pools.iter().map(|pool| ("pool", &pool.name, &pool.span));
    let policies = document.policies.iter().map(|policy| ("policy", &policy.name, &policy.span));
    let mut known = std::collections::HashSet::new();
    for (kind, name, span) in sets.chain(pools).chain(policies) {
        if !known.insert((kind, name)) {
            problems
                .push(Problem::new(span.clone(), format!("there is a {kind} {name} above")).hint("names are unique"));
        }
    }
    problems
}

fn elements(set: &Set, files: ReadSet<'_>) -> Result<Vec<Element>, Problem> {
    match &set.members {
        Members::Listed(elements) => Ok(elements.clone()),
        Members::File(path) => files(path).map_err(|error| {
            let problem = Problem::new(set.span.clone(), format!("set {}: {error}", set.name));
            problem.hint("this set's file")
        }),
    }
}

/// A policy's rules with conditions, and the sets and pools that they use, in order of first use.
#[derive(Default)]
pub(super) struct Lowered<'d> {
    pub(super) rules: Vec<rules::Rule>,
    pub(super) sets: Vec<&'d Set>,
    pub(super) pools: Vec<&'d Pool>,
    pub(super) problems: Vec<Problem>,
}

/// Fewer rules than this are not worth a thread.
const FEWEST: usize = 256;

/// The rules of a policy as conditions. A rule whose filter has no meaning never matches, and is a problem.
///
/// No rule depends on another, so that each thread takes a part of them.
pub(super) fn lower<'d>(
    document: &'d Document,
    policy: &Policy,
    inbound: bool,
    resolve: Option<filter::Resolve<'_>>,
) -> Lowered<'d> {
    let mut lowered = lower_rules(document, &policy.rules, inbound, resolve);
    lowered.pools = route::pools(document, policy, &mut lowered.problems);
    lowered
}

fn lower_rules<'d>(
    document: &'d Document,
    rules: &[Rule],
    inbound: bool,
    resolve: Option<filter::Resolve<'_>>,
) -> Lowered<'d> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<&[Rule]> = rules.chunks(rules.len().div_ceil(threads).max(FEWEST)).collect();
    let Some((first, others)) = parts.split_first() else { return Lowered::default() };
    thread::scope(|scope| {
        let part = |rules| move || lower_part(document, rules, inbound, resolve);
        let others: Vec<_> = others.iter().map(|rules| scope.spawn(part(rules))).collect();
        let mut lowered = part(first)();
        for other in others {
            match other.join() {
                Ok(part) => lowered.append(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        lowered
    })
}

impl<'d> Lowered<'d> {
    /// Adds what follows.
    fn append(&mut self, part: Lowered<'d>) {
        let indices: Vec<usize> = part.sets.into_iter().map(|set| index_of(&mut self.sets, set)).collect();
        let moved = indices.iter().enumerate().any(|(before, now)| before != *now);
        for mut rule in part.rules {
            if moved {
                renumber(&mut rule.cond, &indices);
            }
            self.rules.push(rule);
        }
        self.problems.extend(part.problems);
    }
}

/// The index of a set among those that are used.
fn index_of<'d>(used: &mut Vec<&'d Set>, set: &'d Set) -> usize {
    used.iter().position(|known| known.name == set.name).unwrap_or_else(|| {
        used.push(set);
        used.len() - 1
    })
}

/// Gives the sets of a condition their indices in another list.
fn renumber(cond: &mut Cond, indices: &[usize]) {
    match cond {
        Cond::In(member) => member.set = indices.get(member.set).copied().unwrap_or(member.set),
        Cond::Not(inner) => renumber(inner, indices),
        Cond::And(left, right) | Cond::Or(left, right) => {
            renumber(left, indices);
            renumber(right, indices);
        }
        Cond::Always(_) | Cond::Compare(..) | Cond::Chain(_) => {}
    }
}

/// Some rules of a policy; the sets are those that they use.
fn lower_part<'d>(
    document: &'d Document,
    part: &[Rule],
    inbound: bool,
    resolve: Option<filter::Resolve<'_>>,
) -> Lowered<'d> {
    let used: RefCell<Vec<&Set>> = RefCell::default();
    let unknown: RefCell<Option<String>> = RefCell::default();
    let lookup = |name: &str| {
        let Some(set) = document.sets.iter().find(|set| set.name == name) else {
            unknown.replace(Some(name.to_string()));
            return None;
        };
        Some(index_of(&mut used.borrow_mut(), set))
    };
    let context = filter::Context { sets: &lookup, inbound, resolve };
    let names: Vec<&str> = document.sets.iter().map(|set| set.name.as_str()).collect();
    let (mut rules, mut problems) = (Vec::with_capacity(part.len()), Vec::new());
    for rule in part {
        let cond = match &rule.when {
            None => Cond::Always(true),
            Some(filter) => filter::lower(filter, &context).unwrap_or_else(|problem| {
                problems.push(match unknown.take() {
                    Some(name) => no_set(&name, &names, problem.span),
                    None => problem,
                });
                Cond::Always(false)
            }),
        };
        let cond = match (&rule.action, &rule.when) {
            (Action::Verdict(Verdict::Route(_)), Some(filter)) => with_errors(cond, filter, &context),
            _ => cond,
        };
        rules.push(rules::Rule { cond, action: rule.action.clone(), line: rule.line, text: rule.to_string() });
    }
    Lowered { rules, sets: used.into_inner(), pools: Vec::new(), problems }
}

/// A rule that routes connections takes the ICMP errors about them too: these have no ports by which it would find them.
fn with_errors(cond: Cond, filter: &filter::Filter, context: &filter::Context<'_>) -> Cond {
    match filter::lower_returned(filter, context) {
        Some(returned) => cond.or(returned),
        None => cond,
    }
}

fn no_set(name: &str, names: &[&str], span: Span) -> Problem {
    let list = if names.is_empty() { "there are no sets".into() } else { format!("sets here: {}", names.join(", ")) };
    Problem::new(span, format!("no set {name}")).hint(near_or(name, names.iter().copied(), &list))
}

/// The kinds of elements that rules ask of each set.
fn parts(rules: &[rules::Rule], sets: usize) -> Vec<Vec<Part>> {
    let mut parts = vec![Vec::new(); sets];
    for rule in rules {
        collect(&rule.cond, &mut parts);
    }
    for parts in &mut parts {
        parts.sort();
        parts.dedup();
    }
    parts
}

fn collect(cond: &Cond, parts: &mut Vec<Vec<Part>>) {
    match cond {
        Cond::In(member) => {
            if let Some(parts) = parts.get_mut(member.set) {
                parts.push(member.part);
            }
        }
        Cond::Not(inner) => collect(inner, parts),
        Cond::And(left, right) | Cond::Or(left, right) => {
            collect(left, parts);
            collect(right, parts);
        }
        Cond::Always(_) | Cond::Compare(..) | Cond::Chain(_) => {}
    }
}
