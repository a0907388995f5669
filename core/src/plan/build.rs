//! Building the graph.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};

use super::classify::{Asked, FEWEST, are_entries, asked, classify, tells_apart};
use super::fact::Facts;
use super::need::extent;
use super::simplify::simplify;
use super::split::split;
use super::table::table;
use super::{Dispatch, Item, List, Node, NodeId, Options, Plan, Step};
use crate::cond::{Cond, Relation, Value};
use crate::policy::Action;
use crate::rules::{Rule, Rules};

/// The most branches of a dispatch, beside that for all other values.
const MOST_CASES: usize = 16;
/// Until there are so many comparisons, dispatches may make rules longer: the verifier cannot follow many more.
const MOST: isize = 4000;
/// So many rules that rewrite the packet are many: the verifier cannot follow the branches of hundreds.
const MANY_REWRITES: usize = 64;
/// A segment of so many rules gains little by a dispatch.
const SHORT: usize = 8;
/// Length of the Ethernet header.
const ETHERNET: u32 = 14;

/// Rules that are left.
type Items<'a> = Vec<Item<'a>>;

/// What makes two nodes the same one.
#[derive(PartialEq, Eq)]
struct Key<'a> {
    items: Items<'a>,
    /// How many bytes a packet has at least.
    least: u32,
}

/// By the rules alone: to hash their conditions too takes longer than to compare the few that have the same rules.
impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.least.hash(state);
        self.items.iter().for_each(|(rule, _)| state.write_usize(*rule));
    }
}

/// Plans the rules.
pub fn plan(rules: &Rules, options: Options) -> Plan {
    let mut builder = Builder { rules, options, nodes: Vec::new(), known: HashMap::new(), budget: 0, end: None };
    let all: Items<'_> = rules.rules.iter().map(|rule| Cow::Borrowed(&rule.cond)).enumerate().collect();
    builder.budget = (MOST - builder.weight(&all)).max(0);
    for segment in segments(rules).into_iter().rev() {
        builder.known.clear();
        let items = &all[segment.rules];
        let node = if segment.flat { builder.flat(items) } else { builder.list(items, &Facts::none()) };
        builder.end = Some(node);
    }
    let start = builder.end.unwrap_or(NodeId(0));
    let dead = dead(&builder.nodes, start, rules.rules.len());
    Plan { nodes: builder.nodes, start, dead }
}

/// Rules that are planned by themselves.
struct Segment {
    rules: Range<usize>,
    /// Whether they are just tried one by one.
    flat: bool,
}

/// A rule that rewrites the packet ends a segment: behind it, nothing is known any more. Where there are many such rules,
/// segments of few rules that follow each other are one.
fn segments(rules: &Rules) -> Vec<Segment> {
    let all = rules.rules.as_slice();
    let rewrites = |rule: &Rule| matches!(rule.action, Action::Set(_));
    let many = all.iter().filter(|rule| rewrites(rule)).count() > MANY_REWRITES;
    let mut segments: Vec<Segment> = Vec::new();
    let mut start = 0;
    // Behind a rule that rewrites there is a segment, if only one without rules; and so where there is no rule at all.
    let empty = all.last().is_none_or(rewrites).then_some([].as_slice());
    for part in all.split_inclusive(rewrites).chain(empty) {
        let (end, short) = (start + part.len(), many && part.len() <= SHORT);
        match segments.last_mut().filter(|last| last.flat && short) {
            Some(last) => last.rules.end = end,
            None => segments.push(Segment { rules: start..end, flat: short }),
        }
        start = end;
    }
    segments
}

struct Builder<'a> {
    rules: &'a Rules,
    options: Options,
    nodes: Vec<Node>,
    /// Nodes by what was left where they were made.
    known: HashMap<Key<'a>, NodeId>,
    /// How many more comparisons branches may have than what they are made of.
    budget: isize,
    /// What comes behind the segment.
    end: Option<NodeId>,
}

impl<'a> Builder<'a> {
    /// The node that tries these rules on packets with these facts.
    fn list(&mut self, items: &[Item<'a>], facts: &Facts) -> NodeId {
        let items = self.left(items, facts);
        self.node(items, facts)
    }

    /// The node that tries these rules one by one, whatever they do to the packet.
    fn flat(&mut self, items: &[Item<'a>]) -> NodeId {
        let items = self.left(items, &Facts::none());
        let alone = alone(items.into_iter().map(|(rule, cond)| (rule, cond.into_owned())));
        let steps = alone.into_iter().map(|(rule, cond)| Step::Rule { rule, cond }).collect();
        let node = Node::Rules(self.ended(steps));
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// The node that tries what is left of rules.
    fn node(&mut self, items: Items<'a>, facts: &Facts) -> NodeId {
        let key = Key { items, least: facts.least() };
        if let Some(node) = self.known.get(&key) {
            return *node;
        }
        let (rules, length) = (self.rules, facts.of_length());
        let asked = LazyCell::new(|| asked(&key.items, &length, |rule| decides(rules, rule)));
        let node =
            self.dispatch(&key.items, facts, &asked).unwrap_or_else(|| Node::Rules(self.steps(&key.items, &asked)));
        drop(asked);
        self.nodes.push(node);
        let id = NodeId(self.nodes.len() - 1);
        self.known.insert(key, id);
        id
    }

    /// The rules that can still match; those of many alternatives once for each.
    fn left(&self, items: &[Item<'a>], facts: &Facts) -> Items<'a> {
        let mut left = Vec::new();
        for (rule, cond) in items {
            let cond = match cond {
                Cow::Borrowed(cond) => simplify(cond, facts),
                Cow::Owned(cond) => Cow::Owned(simplify(cond, facts).into_owned()),
            };
            if *cond == Cond::Always(false) {
                continue;
            }
            let decides = self.decides(*rule);
            if decides && let Some(all) = split(&cond) {
                left.extend(all.into_iter().map(|cond| (*rule, Cow::Owned(cond))));
                continue;
            }
            let last = *cond == Cond::Always(true) && decides;
            left.push((*rule, cond));
            if last {
                break;
            }
        }
        left
    }

    fn decides(&self, rule: usize) -> bool {
        decides(self.rules, rule)
    }

    fn dispatch<'i>(
        &mut self,
        items: &Items<'a>,
        facts: &Facts,
        asked: &impl Deref<Target = Vec<Asked<'i>>>,
    ) -> Option<Node> {
        if !self.options.dispatch {
            return None;
        }
        // What is behind the Ethernet header classifiers read themselves, unless it tells the alternatives of rules apart.
        let is_read = |number: &Value| {
            self.options.classifiers && extent(number) > ETHERNET && are_entries(asked) && !tells_apart(number, asked)
        };
        let numbers = numbers(items);
        if numbers.iter().all(|number| is_read(number)) {
            return None;
        }
        let (on, values) = choose(items, numbers)?;
        if is_read(&on) {
            return None;
        }
        // What each rule of a table asks for otherwise is looked up there.
        let whole = |(table, taken): (super::Table, usize)| taken == items.len() && table.keys.contains(&on);
        if self.options.tables && items.iter().all(|(rule, _)| self.decides(*rule)) && table(items).is_some_and(whole) {
            return None;
        }
        let fault = (!facts.has(extent(&on))).then(|| facts.too_short_for(&on));
        let without = facts.without(&on, values.clone());
        let with: Vec<_> = values.iter().map(|value| facts.with(&on, *value)).collect();
        let lists: Vec<_> =
            fault.iter().chain([&without]).chain(&with).map(|facts| (self.left(items, facts), facts)).collect();
        // Branches with the same rules are one node.
        let is_new = |at: usize| {
            let (items, facts) = &lists[at];
            !lists[..at].iter().any(|(other, known)| known.least() == facts.least() && other == items)
        };
        let new = (0..lists.len()).filter(|at| is_new(*at));
        let growth = new.map(|at| self.weight(&lists[at].0)).sum::<isize>() - self.weight(items);
        self.budget = Some(self.budget - growth.max(0)).filter(|budget| *budget >= 0)?;
        let mut nodes = lists.into_iter().map(|(items, facts)| self.node(items, facts)).collect::<Vec<_>>().into_iter();
        let fault = fault.as_ref().and_then(|_| nodes.next());
        let other = nodes.next()?;
        let cases: Vec<_> = values.into_iter().zip(nodes).collect();
        let cases = cases.into_iter().filter(|(_, node)| *node != other).collect();
        Some(Node::Dispatch(Dispatch { on, cases, other, fault }))
    }

    /// How many comparisons rules take, and what their actions take as comparisons.
    fn weight(&self, items: &[Item<'_>]) -> isize {
        let action = |rule: &usize| match &self.rules.rules[*rule].action {
            Action::Verdict(_) | Action::Count(_) => 1,
            Action::Sample { .. } | Action::Limit(_) | Action::Set(_) => 32,
        };
        items.iter().map(|(rule, cond)| size(cond) + action(rule)).sum()
    }

    fn steps<'i>(&self, items: &[Item<'_>], asked: &impl Deref<Target = Vec<Asked<'i>>>) -> List {
        let mut steps = Vec::new();
        let mut rest = items;
        let mut classifiers = self.options.classifiers;
        while let [(rule, cond), behind @ ..] = rest {
            let deciding = rest.iter().take_while(|(rule, _)| self.decides(*rule)).count();
            let table = table(&rest[..deciding]).filter(|_| self.options.tables);
            let in_table = table.as_ref().map_or(0, |(_, taken)| *taken);
            let many = classifiers && rest.len() >= in_table + FEWEST;
            let classifier = if many { classify(rest, &asked[items.len() - rest.len()..]) } else { None };
            // What is none of so many rules is none of fewer.
            classifiers &= classifier.is_some() || !many;
            match (classifier, table) {
                (Some((classifier, taken)), _) => {
                    steps.push(Step::Classifier(classifier));
                    rest = &rest[taken..];
                }
                (None, Some((table, taken))) => {
                    steps.push(Step::Table(table));
                    rest = &rest[taken..];
                }
                (None, None) => {
                    let before = steps.pop_if(|step| matches!(step, Step::Rule { rule: before, .. } if before == rule));
                    let cond = match before {
                        Some(Step::Rule { cond: before, .. }) => before.or(cond.clone().into_owned()),
                        _ => cond.clone().into_owned(),
                    };
                    steps.push(Step::Rule { rule: *rule, cond });
                    rest = behind;
                }
            }
        }
        self.ended(steps)
    }

    /// The list of these steps, which leads on unless the last one always decides.
    fn ended(&self, steps: Vec<Step>) -> List {
        let ends = matches!(steps.last(), Some(Step::Rule { rule, cond: Cond::Always(true) }) if self.decides(*rule));
        List { steps, end: self.end.filter(|_| !ends) }
    }
}

/// Rules that are tried one by one: the alternatives of one that follow each other are one condition again.
pub(super) fn alone(items: impl Iterator<Item = (usize, Cond)>) -> Vec<(usize, Cond)> {
    let mut alone: Vec<(usize, Cond)> = Vec::new();
    for (rule, cond) in items {
        let cond = match alone.pop_if(|(before, _)| *before == rule) {
            Some((_, before)) => before.or(cond),
            None => cond,
        };
        alone.push((rule, cond));
    }
    alone
}

fn decides(rules: &Rules, rule: usize) -> bool {
    matches!(rules.rules[rule].action, Action::Verdict(_))
}

/// How many comparisons there are in a condition.
pub(super) fn size(cond: &Cond) -> isize {
    match cond {
        Cond::Always(_) => 1,
        Cond::Compare(..) | Cond::In(_) | Cond::Chain(_) => 2,
        Cond::Not(inner) => size(inner),
        Cond::And(left, right) | Cond::Or(left, right) => size(left) + size(right),
    }
}

/// The numbers that rules ask for first, from the one that most of them do.
fn numbers<'i>(items: &'i [Item<'_>]) -> Vec<&'i Value> {
    let mut votes: Vec<(&Value, usize)> = Vec::new();
    let mut asked = Vec::new();
    for (_, cond) in items {
        asked.clear();
        firsts(cond, &mut asked);
        for number in &asked {
            match votes.iter().position(|(known, _)| known == number) {
                Some(at) => votes[at].1 += 1,
                None if votes.len() < MOST_CASES => votes.push((number, 1)),
                None => {}
            }
        }
    }
    votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    votes.into_iter().map(|(number, _)| number).collect()
}

/// The first of the numbers that rules ask for few values of, and these; none where all have too many.
fn choose(items: &[Item<'_>], numbers: Vec<&Value>) -> Option<(Value, Vec<u32>)> {
    numbers.into_iter().find_map(|number| {
        let mut values = BTreeSet::new();
        for (_, cond) in items {
            values_asked(cond, number, &mut values);
            if values.len() > MOST_CASES {
                return None;
            }
        }
        Some((number.clone(), values.into_iter().collect()))
    })
}

/// Adds the first numbers of a condition's alternatives, each once.
fn firsts<'c>(cond: &'c Cond, asked: &mut Vec<&'c Value>) {
    if let Cond::Or(left, right) = cond {
        firsts(left, asked);
        firsts(right, asked);
    } else if let Some(number) = first(cond)
        && asked.len() < MOST_CASES
        && !asked.contains(&number)
    {
        asked.push(number);
    }
}

/// The number at fixed offsets that the condition compares with a constant first.
fn first(cond: &Cond) -> Option<&Value> {
    match cond {
        Cond::Compare(number, Relation::Equal, Value::Const(_)) if is_fixed(number) && extent(number) > 0 => {
            Some(number)
        }
        Cond::Not(inner) => first(inner),
        Cond::And(left, _) | Cond::Or(left, _) => first(left),
        _ => None,
    }
}

/// Whether reading the number can only fault for want of bytes at fixed offsets, fewer than any packet may have.
fn is_fixed(number: &Value) -> bool {
    use crate::cond::Operator::{Divide, Modulo};
    match number {
        Value::Const(_) => true,
        Value::Load(load) => load.at.base.is_none() && load.at.offset < 1024,
        Value::Arithmetic(left, operator, right) => {
            !matches!(operator, Divide | Modulo) && is_fixed(left) && is_fixed(right)
        }
        Value::Negative(inner) => is_fixed(inner),
        Value::Length | Value::Ifindex | Value::Returned(_) => false,
    }
}

/// Adds the constants that the condition compares the number with.
fn values_asked(cond: &Cond, number: &Value, values: &mut BTreeSet<u32>) {
    match cond {
        Cond::Compare(known, Relation::Equal, Value::Const(value)) if known == number => {
            values.insert(*value);
        }
        Cond::Not(inner) => values_asked(inner, number, values),
        Cond::And(left, right) | Cond::Or(left, right) => {
            values_asked(left, number, values);
            values_asked(right, number, values);
        }
        _ => {}
    }
}

/// The rules that stand nowhere in the part of the graph that packets reach.
fn dead(nodes: &[Node], start: NodeId, count: usize) -> Vec<usize> {
    let mut alive = vec![false; count];
    let mut reached = vec![false; nodes.len()];
    reached[start.0] = true;
    for at in (0..nodes.len()).rev() {
        if !reached[at] {
            continue;
        }
        match &nodes[at] {
            Node::Dispatch(dispatch) => {
                let leads = dispatch.cases.iter().map(|(_, node)| *node).chain([dispatch.other]).chain(dispatch.fault);
                leads.for_each(|node| reached[node.0] = true);
            }
            Node::Rules(list) => {
                for step in &list.steps {
                    match step {
                        Step::Rule { rule, .. } => alive[*rule] = true,
                        Step::Table(table) => table.rows.iter().for_each(|row| alive[row.rule] = true),
                        Step::Classifier(classifier) => {
                            classifier.entries.iter().for_each(|entry| alive[entry.rule] = true);
                            classifier.others.iter().for_each(|(rule, _)| alive[*rule] = true);
                        }
                    }
                }
                list.end.iter().for_each(|node| reached[node.0] = true);
            }
        }
    }
    (0..count).filter(|rule| !alive[*rule]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Assignment, Verdict};

    /// Rules that set the hops that are left and match all packets.
    fn rewriting(count: usize) -> Rules {
        let rule =
            Rule { text: String::new(), cond: Cond::Always(true), action: Action::Set(Assignment::Ttl(1)), line: 1 };
        Rules {
            name: "test".into(),
            file: "test.xdp".into(),
            rules: vec![rule; count],
            default: Verdict::Pass,
            default_line: 0,
            sets: Vec::new(),
            pools: Vec::new(),
        }
    }

    #[test]
    fn rules_that_rewrite_are_planned_by_themselves_or_many_of_them_together() {
        let lists = |count| plan(&rewriting(count), Options::default()).nodes.len();
        assert_eq!([0, 1, 64, 65].map(lists), [1, 2, 65, 1]);
    }
}
