//! A rule of many alternatives as several that do the same, so that a lookup finds the right one.
//!
//! `A or B` is not A, else B: where A faults, B is not asked. So a condition is split only where no alternative can fault on a
//! packet on which a later one holds.

use super::build::size;
use crate::cond::{Cond, Load, Operator, Place, Relation, Value};

/// Fewer alternatives than this are faster tried in one rule.
const FEWEST: usize = 8;
/// What stands beside the alternatives is repeated for each of them; of this size at most ([`size`]).
const MOST_BESIDE: isize = 24;

/// Conditions of which one holds on just those packets on which this one does. None where they are few, or where that cannot
/// be said.
pub(super) fn split(cond: &Cond) -> Option<Vec<Cond>> {
    let parts = conjunction(cond);
    let alternatives: Vec<Vec<&Cond>> = parts.iter().map(|part| alternatives(part)).collect();
    let (at, many) = alternatives.iter().enumerate().max_by_key(|(_, all)| all.len())?;
    let beside: isize = parts.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, part)| size(part)).sum();
    if many.len() < FEWEST || beside > MOST_BESIDE || !none_faults(&parts[..at], many) {
        return None;
    }
    let all = |alternative: &&Cond| {
        let all = parts.iter().enumerate().map(|(place, part)| if place == at { *alternative } else { *part });
        all.cloned().reduce(Cond::and)
    };
    many.iter().map(all).collect()
}

/// The sides of an `and`, the sides of these, and so on, in order; the condition itself where it is none.
fn conjunction(cond: &Cond) -> Vec<&Cond> {
    let (mut all, mut open) = (Vec::new(), vec![cond]);
    while let Some(cond) = open.pop() {
        match cond {
            Cond::And(left, right) => open.extend([&**right, &**left]),
            other => all.push(other),
        }
    }
    all
}

/// The sides of an `or`, the sides of these, and so on, in order; the condition itself where it is none.
///
/// `A and B or not A and C` is how filters are written out whose alternatives ask for one number first: what says that
/// it is none of those before goes where an alternative asks for another value.
fn alternatives(whole: &Cond) -> Vec<&Cond> {
    let (mut all, mut open, mut nots) = (Vec::new(), vec![(whole, 0)], Vec::new());
    while let Some((cond, known)) = open.pop() {
        nots.truncate(known);
        match (cond, not_equal(cond)) {
            (Cond::Or(left, right), _) => open.extend([(&**right, known), (&**left, known)]),
            (_, Some((not, rest))) if matches!(rest, Cond::Or(..)) || asks_for_others(rest, &[not]) => {
                nots.push(not);
                open.push((rest, nots.len()));
            }
            _ if asks_for_others(cond, &nots) => all.push(cond),
            _ => return vec![whole],
        }
    }
    all
}

/// A number and what it must not be, and the other side of the `and`.
fn not_equal(cond: &Cond) -> Option<((&Value, u32), &Cond)> {
    let Cond::And(left, right) = cond else { return None };
    let Cond::Not(inner) = &**left else { return None };
    let Cond::Compare(number, Relation::Equal, Value::Const(value)) = &**inner else { return None };
    Some(((number, *value), right))
}

/// Whether a condition only holds where the numbers have other values than these.
fn asks_for_others(cond: &Cond, nots: &[(&Value, u32)]) -> bool {
    let asked = conjunction(cond).into_iter().filter_map(|part| match part {
        Cond::Compare(number, Relation::Equal, Value::Const(value)) => Some((number, *value)),
        _ => None,
    });
    let asked: Vec<_> = asked.collect();
    nots.iter().all(|(number, not)| asked.iter().any(|(other, value)| value != not && other == number))
}

/// Whether no alternative faults on a packet on which what stands before them and a later one hold.
fn none_faults(before: &[&Cond], alternatives: &[&Cond]) -> bool {
    let mut certain = Reads::default();
    before.iter().for_each(|cond| certain.add_certain(cond));
    let mut earlier = Reads::default();
    for (at, alternative) in alternatives.iter().enumerate() {
        let mut read = certain.clone();
        read.add_certain(alternative);
        if !earlier.within(&read) || (at + 1 < alternatives.len() && !earlier.add_all(alternative)) {
            return false;
        }
    }
    true
}

/// Bytes of a packet that are read.
#[derive(Clone, Debug, Default)]
struct Reads<'c> {
    /// At fixed offsets, up to this one.
    fixed: u32,
    /// Behind a number, up to an offset from it.
    behind: Vec<(&'c Value, u32)>,
}

impl<'c> Reads<'c> {
    /// Adds what is read, whatever it was, where a condition holds.
    fn add_certain(&mut self, cond: &'c Cond) {
        match cond {
            Cond::And(left, right) => {
                self.add_certain(left);
                self.add_certain(right);
            }
            Cond::Not(inner) if matches!(**inner, Cond::Compare(..)) => self.add_certain(inner),
            Cond::Compare(left, _, right) => _ = self.add_value(left) && self.add_value(right),
            _ => {}
        }
    }

    /// Adds all that a condition may read; whether nothing else can make it fault.
    fn add_all(&mut self, cond: &'c Cond) -> bool {
        match cond {
            Cond::Always(_) => true,
            Cond::Compare(left, _, right) => self.add_value(left) && self.add_value(right),
            Cond::In(member) => member.keys().all(|(at, size)| self.add_place(at, size)),
            Cond::Chain(_) => false,
            Cond::Not(inner) => self.add_all(inner),
            Cond::And(left, right) | Cond::Or(left, right) => self.add_all(left) && self.add_all(right),
        }
    }

    fn add_value(&mut self, value: &'c Value) -> bool {
        match value {
            Value::Const(_) | Value::Length => true,
            Value::Ifindex | Value::Returned(_) => false,
            Value::Load(Load { at, width }) => self.add_place(at, *width as u32),
            Value::Negative(inner) => self.add_value(inner),
            Value::Arithmetic(left, operator, right) => {
                let divides = matches!(operator, Operator::Divide | Operator::Modulo);
                !divides && self.add_value(left) && self.add_value(right)
            }
        }
    }

    fn add_place(&mut self, at: &'c Place, size: u32) -> bool {
        let end = at.offset.saturating_add(size);
        let Some(base) = &at.base else {
            self.fixed = self.fixed.max(end);
            return true;
        };
        if !self.has_behind(base, end) {
            self.behind.push((base, end));
        }
        self.add_value(base)
    }

    fn has_behind(&self, base: &Value, end: u32) -> bool {
        self.behind.iter().any(|(known, known_end)| end <= *known_end && *known == base)
    }

    /// Whether others read all of this, too.
    fn within(&self, other: &Reads<'_>) -> bool {
        self.fixed <= other.fixed && self.behind.iter().all(|(base, end)| other.has_behind(base, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cond::Width;

    fn source(address: u32) -> Cond {
        Cond::equals(26, Width::Four, address)
    }

    fn any(all: impl IntoIterator<Item = Cond>) -> Cond {
        all.into_iter().reduce(Cond::or).unwrap()
    }

    #[test]
    fn many_alternatives_become_conditions_with_all_that_stands_beside() {
        let (tcp, port) = (Cond::equals(23, Width::One, 6), Cond::equals(36, Width::Two, 80));
        let cond = tcp.clone().and(any((0..20).map(source))).and(port.clone());
        let all = split(&cond).unwrap();
        assert_eq!(all.len(), 20);
        assert_eq!(all[3], tcp.and(source(3)).and(port));
        assert_eq!(split(&any((0..7).map(source))), None);
        assert_eq!(split(&any((0..20).map(source)).negate()), None);
        let none = any((0..20).map(source)).negate();
        assert_eq!(split(&none.and(any((0..20).map(source)))), None, "what is long is not repeated");
    }

    #[test]
    fn what_was_asked_before_goes_where_another_value_is_asked_for() {
        let pair = |address| source(address).and(Cond::equals(36, Width::Two, address));
        let chain = (0..20).rev().fold(pair(20), |rest, at| pair(at).or(source(at).negate().and(rest)));
        let all = split(&chain).unwrap();
        assert_eq!((all.len(), &all[7]), (21, &pair(7)));
        let chain = pair(0).or(source(0).negate().and(any((0..20).map(|at| Cond::equals(26, Width::Two, at)))));
        assert_eq!(split(&chain), None);
    }

    /// A packet may end before what an earlier alternative reads: then no later one is asked.
    #[test]
    fn alternatives_that_may_fault_end_the_others() {
        let later = |last: u32| any((0..20).map(source)).or(Cond::equals(last, Width::Four, 9));
        assert_eq!(split(&later(30)).unwrap().len(), 21);
        assert_eq!(split(&later(30).or(source(1))), None);
        assert_eq!(split(&later(14).or(source(1))), None, "the source lies behind what was read last");
    }
}
