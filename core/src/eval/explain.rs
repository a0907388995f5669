//! Why a condition holds or not: each comparison that was made, with the bytes it saw.

use std::ops::Range;

use super::Outcome;
use super::cond::{View, tuple};
use super::field::{Field, fields, find};
use crate::cond::{Cond, Member, Operator, Part, Place, Relation, Returned, Value};
use crate::rules::Rules;

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Its index.
    pub rule: usize,
    /// Whether its condition held.
    pub holds: bool,
    /// The comparisons, in the order in which they were made, each once; none where the rule has no condition.
    pub steps: Vec<Step>,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at: `byte 23 (IPv4 protocol)`.
    pub subject: String,
    /// What was there: `6 (tcp)`; none where it is beyond the packet's end.
    pub found: Option<String>,
    /// What was wanted: `17 (udp)`, `other than 17 (udp)`, `in blocked`.
    pub wanted: String,
    /// Whether that was so. None for a fault, which ends the whole condition.
    pub holds: Option<bool>,
    /// What the fault was: `it is beyond the packet's 34 bytes`.
    pub fault: Option<String>,
}

impl Step {
    /// The step as a sentence.
    pub fn text(&self) -> String {
        let Step { subject, wanted, .. } = self;
        let found = self.found.as_ref().map(|found| format!(" = {found}")).unwrap_or_default();
        match (self.holds, &self.fault) {
            (Some(holds), _) => format!("{subject}{found}, wanted {wanted}: {}", if holds { "yes" } else { "no" }),
            (None, fault) => format!("{subject}, wanted {wanted}: {}", fault.as_deref().unwrap_or("fault")),
        }
    }
}

/// What happened to a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rules up to the one that decided.
    pub visits: Vec<Visit>,
    /// What happened.
    pub outcome: Outcome,
}

/// The comparisons that a condition makes on a packet, and whether it holds.
pub(super) fn visit(rules: &Rules, rule: usize, cond: &Cond, view: View<'_>) -> Visit {
    let mut walk = Walk { rules, view, fields: fields(view.packet), steps: Vec::new() };
    let holds = walk.test(cond, false) == Some(true);
    Visit { rule, holds, steps: walk.steps }
}

struct Walk<'a> {
    rules: &'a Rules,
    view: View<'a>,
    fields: Vec<Field>,
    steps: Vec<Step>,
}

impl Walk<'_> {
    /// What the condition (or its opposite) says; none for a fault.
    fn test(&mut self, cond: &Cond, negated: bool) -> Option<bool> {
        match cond {
            Cond::Not(inner) => return self.test(inner, !negated),
            // Whatever is negated around it: the right side is looked at where the left one does not decide.
            Cond::And(left, right) => {
                let left = self.test(left, negated)?;
                return if left == negated { Some(left) } else { self.test(right, negated) };
            }
            Cond::Or(left, right) => {
                let left = self.test(left, negated)?;
                return if left == negated { self.test(right, negated) } else { Some(left) };
            }
            Cond::Always(holds) => return Some(*holds != negated),
            Cond::Compare(..) | Cond::In(_) | Cond::Chain(_) => {}
        }
        let mut step = match cond {
            Cond::Compare(left, relation, right) => self.compare(left, *relation, right, negated),
            Cond::In(member) => self.member(member, negated),
            Cond::Chain(chain) => self.chain(chain, negated),
            _ => return None,
        };
        step.holds = self.view.test(cond).ok().map(|holds| holds != negated);
        let fault = || self.fault(cond);
        step.fault = if step.holds.is_none() { Some(fault()) } else { None };
        let holds = step.holds;
        // What libpcap's order asks again is told once.
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
        holds
    }

    fn compare(&self, left: &Value, relation: Relation, right: &Value, negated: bool) -> Step {
        let bytes = self.bytes(left);
        let field = bytes.as_ref().and_then(|bytes| Some((find(&self.fields, bytes)?, bytes.clone())));
        // Only what stands in the packet as it is has the field's form.
        let write = |number: u32| match (&field, left) {
            (Some((field, bytes)), Value::Load(_)) => field.number(bytes, number),
            (Some(_), Value::Arithmetic(..)) => format!("{number:#x}"),
            _ => number.to_string(),
        };
        let wanted = match (right, self.view.value(right)) {
            (Value::Const(number), _) => write(*number),
            (_, Ok(number)) => format!("{} = {}", self.subject(right), write(number)),
            (_, Err(_)) => self.subject(right),
        };
        let relation = match (relation, negated) {
            (Relation::Equal, false) => "",
            (Relation::Equal, true) => "other than ",
            (Relation::Greater, false) => "more than ",
            (Relation::Greater, true) => "at most ",
            (Relation::GreaterEqual, false) => "at least ",
            (Relation::GreaterEqual, true) => "less than ",
        };
        let found = self.view.value(left).ok().map(write);
        Step { subject: self.subject(left), found, wanted: format!("{relation}{wanted}"), holds: None, fault: None }
    }

    fn member(&self, member: &Member, negated: bool) -> Step {
        let name = self.rules.sets.get(member.set).map_or("?", |set| set.name.as_str());
        let place = |(at, size): (&Place, u32)| {
            let range = self.view.place(at).ok().map(|at| at..at + size as usize);
            range.map_or_else(|| "a key".into(), |range| self.place(&range))
        };
        let subject = member.keys().map(place).collect::<Vec<String>>().join(" . ");
        let values = self.view.values(member).unwrap_or_default();
        let (found, by) = match (member.part, values.first()) {
            (Part::Tuple(layout), _) => (tuple(layout, &values).map(|tuple| tuple.to_string()), None),
            (_, Some(key)) => {
                (Some(Field::bytes(key)), self.view.sets.get(member.set).and_then(|elements| elements.find(key)))
            }
            (_, None) => (None, None),
        };
        let by = by.map(|element| format!(" ({element})")).unwrap_or_default();
        let wanted = format!("{}in {name}{by}", if negated { "not " } else { "" });
        Step { subject, found, wanted, holds: None, fault: None }
    }

    fn chain(&self, chain: &crate::cond::Chain, negated: bool) -> Step {
        let at = self.view.place(&chain.at).map_or_else(|_| "?".into(), |at| at.to_string());
        let wanted = format!("{}protocol {} in it", if negated { "no " } else { "" }, chain.protocol);
        Step { subject: format!("the chain of headers from byte {at}"), found: None, wanted, holds: None, fault: None }
    }

    /// Where the only load of a number is; none where there are several, or none.
    fn bytes(&self, value: &Value) -> Option<Range<usize>> {
        let mut loads = Vec::new();
        self.loads(value, &mut loads);
        match &loads[..] {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    /// The loads of a number, without those that its places need.
    fn loads(&self, value: &Value, out: &mut Vec<Range<usize>>) {
        match value {
            Value::Load(load) => out.extend(self.view.place(&load.at).ok().map(|at| at..at + load.width as usize)),
            Value::Negative(inner) => self.loads(inner, out),
            Value::Arithmetic(left, _, right) => {
                self.loads(left, out);
                self.loads(right, out);
            }
            Value::Const(_) | Value::Length | Value::Ifindex | Value::Returned(_) => {}
        }
    }

    fn subject(&self, value: &Value) -> String {
        match value {
            Value::Const(number) => number.to_string(),
            Value::Length => "the packet's length".into(),
            Value::Ifindex => "the interface".into(),
            Value::Returned(part) => of_returned(*part).into(),
            Value::Load(load) => match self.view.place(&load.at) {
                Ok(at) => self.place(&(at..at + load.width as usize)),
                Err(_) => format!("{} bytes at a place that cannot be computed", load.width as usize),
            },
            Value::Negative(inner) => format!("-({})", self.subject(inner)),
            Value::Arithmetic(left, operator, right) => {
                let right = match &**right {
                    Value::Const(number) if *operator == Operator::And => format!("{number:#x}"),
                    other => self.subject(other),
                };
                let left = match &**left {
                    nested @ Value::Arithmetic(..) => format!("({})", self.subject(nested)),
                    other => self.subject(other),
                };
                format!("{left} {} {right}", operator.symbol())
            }
        }
    }

    /// `byte 23 (IPv4 protocol)`.
    fn place(&self, bytes: &Range<usize>) -> String {
        let name = find(&self.fields, bytes).map(|field| format!(" ({})", field.name())).unwrap_or_default();
        match bytes.len() {
            1 => format!("byte {}{name}", bytes.start),
            _ => format!("bytes {}-{}{name}", bytes.start, bytes.end - 1),
        }
    }

    /// What made the condition fail rather than answer.
    fn fault(&self, cond: &Cond) -> String {
        let values: &[&Value] = match cond {
            Cond::Compare(left, _, right) => &[left, right],
            _ => &[],
        };
        let length = self.view.packet.len();
        if values.iter().any(|value| divides_by_zero(self.view, value)) {
            return "a division by zero, so the rule does not match".into();
        }
        if values.iter().any(|value| asks_for_interface(value)) && self.view.ifindex.is_none() {
            return "the interface is not known, so the rule does not match".into();
        }
        let s = if length == 1 { "" } else { "s" };
        format!("that is beyond the packet's {length} byte{s}, so the rule does not match")
    }
}

fn of_returned(part: Returned) -> &'static str {
    match part {
        Returned::Version => "the IP version of the packet that the ICMP error brings back",
        Returned::Header => "where the packet begins that the ICMP error brings back",
        Returned::Protocol => "where the protocol of the packet is that the ICMP error brings back",
        Returned::Transport => "where the transport header of the packet is that the ICMP error brings back",
    }
}

fn divides_by_zero(view: View<'_>, value: &Value) -> bool {
    match value {
        Value::Arithmetic(left, operator, right) => {
            matches!(operator, Operator::Divide | Operator::Modulo) && view.value(right) == Ok(0)
                || divides_by_zero(view, left)
                || divides_by_zero(view, right)
        }
        Value::Negative(inner) => divides_by_zero(view, inner),
        Value::Load(load) => load.at.base.as_ref().is_some_and(|base| divides_by_zero(view, base)),
        Value::Const(_) | Value::Length | Value::Ifindex | Value::Returned(_) => false,
    }
}

fn asks_for_interface(value: &Value) -> bool {
    match value {
        Value::Ifindex => true,
        Value::Arithmetic(left, _, right) => asks_for_interface(left) || asks_for_interface(right),
        Value::Negative(inner) => asks_for_interface(inner),
        Value::Const(_) | Value::Length | Value::Load(_) | Value::Returned(_) => false,
    }
}
