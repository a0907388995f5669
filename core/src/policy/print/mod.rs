//! The canonical text of a policy, and of its parts.

mod pool;

use std::fmt::{Display, Formatter, Result};

use super::layout::{Line, render};
use super::parse::UNNAMED;
use super::{
    Action, Assignment, Document, Key, Limit, Members, Policy, PolicyPlace, Rule, Set, Test, Unit, Verdict, mac_text,
};

pub(super) use pool::duration_text;

impl Display for Document {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut lines: Vec<Line> = self.sets.iter().map(|set| Line::new(0, set.to_string())).collect();
        for pool in &self.pools {
            let from = lines.len();
            pool::lines(pool, &mut lines);
            gap(&mut lines, from);
        }
        let is_bare = |policy: &Policy| policy.name == UNNAMED && policy.places.is_empty() && policy.span.is_empty();
        for policy in &self.policies {
            let from = lines.len();
            if self.policies.len() == 1 && is_bare(policy) {
                entries(policy, 0, &mut lines);
            } else {
                lines.push(Line::new(0, format!("{} {{", heading(policy))));
                entries(policy, 1, &mut lines);
                lines.push(Line::new(0, "}"));
            }
            gap(&mut lines, from);
        }
        for test in &self.tests {
            let from = lines.len();
            cases(test, &mut lines);
            gap(&mut lines, from);
        }
        f.write_str(&render(&lines))
    }
}

/// An empty line before what begins at `from`.
fn gap(lines: &mut [Line], from: usize) {
    if let Some(line) = lines.get_mut(from) {
        line.gap = from > 0;
    }
}

fn heading(policy: &Policy) -> String {
    let places: Vec<String> = policy.places.iter().map(ToString::to_string).collect();
    let on = if places.is_empty() { "" } else { " on " };
    format!("policy {}{on}{}", policy.name, places.join(", "))
}

fn entries(policy: &Policy, indent: usize, lines: &mut Vec<Line>) {
    for rule in &policy.rules {
        let right = rule.when.as_ref().map(|when| format!("when {when}"));
        lines.push(Line { right, ..Line::new(indent, rule.action.to_string()) });
    }
    if policy.default_line.is_some() {
        lines.push(Line::new(indent, format!("default {}", policy.default)));
    }
}

fn cases(test: &Test, lines: &mut Vec<Line>) {
    let on = test.policy.as_ref().map_or_else(String::new, |policy| format!(" on {policy}"));
    lines.push(Line::new(0, format!("test {}{on} {{", quoted(&test.name))));
    for case in &test.cases {
        let becomes = case.becomes.as_ref().map_or_else(String::new, |packet| format!(" becomes {packet}"));
        let right = Some(format!("=> {}{becomes}", case.verdict));
        lines.push(Line { right, ..Line::new(1, case.packet.clone()) });
    }
    lines.push(Line::new(0, "}"));
}

/// A string between quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "set {} = ", self.name)?;
        match &self.members {
            Members::File(path) => write!(f, "file {}", quoted(path)),
            Members::Listed(elements) if elements.is_empty() => f.write_str("{}"),
            Members::Listed(elements) => {
                let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
                write!(f, "{{ {} }}", elements.join(", "))
            }
        }
    }
}

impl Display for PolicyPlace {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if !self.node.is_empty() {
            f.write_str("node ")?;
            self.node.iter().try_for_each(|(key, value)| write!(f, "{key}={value} "))?;
        }
        f.write_str(&self.target)?;
        f.write_str(if self.from { " traffic from" } else { "" })?;
        f.write_str(if self.egress { " direction egress" } else { "" })
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.when {
            Some(when) => write!(f, "{} when {when}", self.action),
            None => self.action.fmt(f),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Action::Verdict(verdict) => verdict.fmt(f),
            Action::Count(name) => write!(f, "count {name}"),
            Action::Sample { one_in, snap: None } => write!(f, "sample 1/{one_in}"),
            Action::Sample { one_in, snap: Some(snap) } => write!(f, "sample 1/{one_in} snap {snap}"),
            Action::Limit(limit) => limit.fmt(f),
            Action::Set(assignment) => assignment.fmt(f),
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Verdict::Abort => f.write_str("abort"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Pass => f.write_str("pass"),
            Verdict::Tx => f.write_str("tx"),
            Verdict::Reflect => f.write_str("reflect"),
            Verdict::Redirect(target) => write!(f, "redirect {target}"),
            Verdict::Route(pool) => write!(f, "route {pool}"),
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let unit = match self.unit {
            Unit::Packets => "",
            Unit::Bits => "bit",
        };
        write!(f, "limit {}{unit}/s", scaled(self.rate))?;
        for (index, key) in self.per.iter().enumerate() {
            write!(f, "{}{key}", if index == 0 { " per " } else { "," })?;
        }
        if self.burst != self.rate {
            write!(f, " burst {}{unit}", scaled(self.burst))?;
        }
        Ok(())
    }
}

/// A number with the largest of `g`, `m` and `k` that leaves it whole.
fn scaled(number: u64) -> String {
    for (factor, letter) in [(1_000_000_000, 'g'), (1_000_000, 'm'), (1_000, 'k')] {
        if number > 0 && number.is_multiple_of(factor) {
            return format!("{}{letter}", number / factor);
        }
    }
    number.to_string()
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Key::Src => "src",
            Key::Dst => "dst",
            Key::SrcPort => "src port",
            Key::DstPort => "dst port",
            Key::Protocol => "proto",
        })
    }
}

impl Display for Assignment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Assignment::EtherSrc(mac) => write!(f, "set ether src {}", mac_text(*mac)),
            Assignment::EtherDst(mac) => write!(f, "set ether dst {}", mac_text(*mac)),
            Assignment::SrcV4(address) => write!(f, "set src {address}"),
            Assignment::DstV4(address) => write!(f, "set dst {address}"),
            Assignment::SrcV6(address) => write!(f, "set src {address}"),
            Assignment::DstV6(address) => write!(f, "set dst {address}"),
            Assignment::SrcPort(port) => write!(f, "set src port {port}"),
            Assignment::DstPort(port) => write!(f, "set dst port {port}"),
            Assignment::Ttl(ttl) => write!(f, "set ttl {ttl}"),
            Assignment::Dscp(dscp) => write!(f, "set dscp {dscp}"),
            Assignment::VlanPush(id) => write!(f, "set vlan push {id}"),
            Assignment::VlanPop => f.write_str("set vlan pop"),
            Assignment::Decap => f.write_str("decap"),
        }
    }
}

impl Document {
    /// The same without places in the text, for comparison: two documents that print alike are equal then.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        for set in &mut self.sets {
            set.span = 0..0;
        }
        for pool in &mut self.pools {
            pool.span = 0..0;
            pool.backends.iter_mut().for_each(|backend| backend.span = 0..0);
        }
        for policy in &mut self.policies {
            (policy.span, policy.default_span) = (0..0, 0..0);
            policy.default_line = policy.default_line.map(|_| 0);
            for rule in &mut policy.rules {
                (rule.line, rule.span, rule.action_span) = (0, 0..0, 0..0);
            }
        }
        for test in &mut self.tests {
            test.span = 0..0;
            for case in &mut test.cases {
                case.span = 0..0;
            }
        }
        self
    }
}
