//! Rules as entries of a classifier: what each of them asks of the same few numbers.

use std::collections::{HashMap, HashSet};

use super::build::alone;
use super::fact::Facts;
use super::group::groups;
use super::need::extent;
use super::simplify::is_safe;
use super::{Classifier, Entry, Field, Item, Range};
use crate::cond::{Cond, Load, Operator, Relation, Value, Width};
use crate::prefix::split;

/// Fewer rules than this are faster tried one by one.
pub(super) const FEWEST: usize = 24;
/// More numbers than this are not read for one lookup.
const MOST_FIELDS: usize = 12;
/// A rule that is more entries than this is tried by itself.
const MOST_ALTERNATIVES: usize = 64;

/// Numbers that need more bytes than this are not read for a lookup.
const FARTHEST: u32 = 1024;

/// Numbers and what they must be, all of them.
type Alternative<'a> = Vec<(&'a Value, Range)>;

/// What a rule asks for, in alternatives; none where it cannot be an entry.
pub(super) type Asked<'a> = Option<Vec<Alternative<'a>>>;

/// What each item asks for of packets with these facts.
pub(super) fn asked<'a>(items: &'a [Item<'_>], facts: &Facts, decides: impl Fn(usize) -> bool) -> Vec<Asked<'a>> {
    items.iter().map(|(rule, cond)| alternatives(cond, true, facts).filter(|_| decides(*rule))).collect()
}

/// The classifier of the first items of a list, and how many items it takes; none where few of them fit into one.
pub(super) fn classify(items: &[Item<'_>], asked: &[Asked<'_>]) -> Option<(Classifier, usize)> {
    let fields = fields(asked);
    let is_known = |alternative: &Alternative<'_>| alternative.iter().all(|(value, _)| fields.contains(value));
    let known = asked.iter().map(|asked| asked.as_deref().filter(|all| all.iter().all(is_known)));
    let all: Vec<Option<&[Alternative<'_>]>> = known.collect();
    let entries = entries(items, &all, &fields);
    let (shared, fields, mut entries) = shared(fields, entries);
    let grouped = groups(&fields, &mut entries);
    let taken = grouped.end.map_or(items.len(), |end| items.iter().take_while(|(rule, _)| *rule < end).count());
    let is_other = items[..taken].iter().zip(&all).filter(|(_, all)| all.is_none());
    let is_other: Vec<_> = is_other.map(|(item, _)| item).collect();
    if fields.is_empty() || taken - is_other.len() < FEWEST {
        return None;
    }
    let others = alone(is_other.into_iter().map(|(rule, cond)| (*rule, cond.clone().into_owned())));
    let groups = grouped.groups;
    Some((Classifier { guards: shared, fields, groups, entries, others }, taken))
}

/// Whether nearly all items can be entries.
pub(super) fn are_entries(asked: &[Asked<'_>]) -> bool {
    let count = asked.iter().flatten().count();
    count >= 2 * FEWEST && count * 10 >= asked.len() * 9
}

/// Whether all alternatives ask for a value of this number, and those of each item not all for the same.
pub(super) fn tells_apart(number: &Value, asked: &[Asked<'_>]) -> bool {
    let value = |alternative: &Alternative<'_>| {
        let (_, range) = alternative.iter().find(|(value, _)| *value == number)?;
        (range.low == range.high).then_some(range.low)
    };
    asked.iter().all(|asked| {
        let values: Option<HashSet<u32>> = asked.iter().flatten().map(value).collect();
        values.is_some_and(|values| values.len() > 1)
    })
}

/// The numbers that most alternatives ask for, in the order in which packets hold them.
fn fields<'a>(all: &[Asked<'a>]) -> Vec<&'a Value> {
    let mut uses: HashMap<&'a Value, usize> = HashMap::new();
    let asked = all.iter().flatten().flatten().flatten();
    asked.for_each(|(value, _)| *uses.entry(value).or_default() += 1);
    let mut uses: Vec<_> = uses.into_iter().collect();
    let place = |value: &Value| (extent(value), format!("{value:?}"));
    uses.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), place(value)));
    uses.truncate(MOST_FIELDS);
    uses.sort_by_key(|(value, _)| place(value));
    uses.into_iter().map(|(value, _)| value).collect()
}

fn entries(items: &[Item<'_>], all: &[Option<&[Alternative<'_>]>], fields: &[&Value]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(items.len());
    for ((rule, _), alternatives) in items.iter().zip(all) {
        for alternative in alternatives.iter().copied().flatten() {
            let mut wants = vec![None; fields.len()];
            for (value, range) in alternative {
                let place = fields.iter().position(|field| field == value);
                place.into_iter().for_each(|at| wants[at] = Some(*range));
            }
            entries.push(Entry { rule: *rule, group: 0, wants });
        }
    }
    entries
}

/// What all entries ask for alike becomes a condition of its own.
fn shared(fields: Vec<&Value>, mut entries: Vec<Entry>) -> (Vec<Cond>, Vec<Field>, Vec<Entry>) {
    let mut guards = Vec::new();
    let mut left = Vec::new();
    for (at, value) in fields.iter().enumerate() {
        let first = entries.first().and_then(|entry| entry.wants[at]);
        let is_shared = first.is_some() && entries.iter().all(|entry| entry.wants[at] == first);
        match first.filter(|_| is_shared) {
            Some(range) => guards.push(condition(value, range)),
            None => left.push(at),
        }
    }
    for entry in &mut entries {
        entry.wants = left.iter().map(|at| entry.wants[*at]).collect();
    }
    let field = |at: usize| Field { value: fields[at].clone(), most: fields[at].most() };
    (guards, left.into_iter().map(field).collect(), entries)
}

/// The number lies in the range.
fn condition(value: &Value, range: Range) -> Cond {
    let compare = |relation, constant| Cond::Compare(value.clone(), relation, Value::Const(constant));
    if range.low == range.high {
        return compare(Relation::Equal, range.low);
    }
    compare(Relation::GreaterEqual, range.low).and(compare(Relation::Greater, range.high).negate())
}

/// The alternatives of which one must hold for the condition to hold (or not to): exactly, faults included. None where
/// that cannot be said.
///
/// Negations move inwards: De Morgan's laws hold also where the evaluation ends at the first fault.
fn alternatives<'a>(cond: &'a Cond, holds: bool, facts: &Facts) -> Option<Vec<Alternative<'a>>> {
    match cond {
        Cond::Always(always) => Some(if *always == holds { vec![Vec::new()] } else { Vec::new() }),
        Cond::Not(inner) => alternatives(inner, !holds, facts),
        Cond::Compare(value, relation, Value::Const(constant)) => ranges(value, *relation, *constant, holds),
        Cond::And(left, right) if holds => both(left, right, holds, facts),
        Cond::Or(left, right) if !holds => both(left, right, holds, facts),
        Cond::And(left, right) | Cond::Or(left, right) => either(left, right, holds, facts),
        Cond::Compare(..) | Cond::In(_) | Cond::Chain(_) => None,
    }
}

fn both<'a>(left: &'a Cond, right: &'a Cond, holds: bool, facts: &Facts) -> Option<Vec<Alternative<'a>>> {
    let (left, right) = (alternatives(left, holds, facts)?, alternatives(right, holds, facts)?);
    if left.len() * right.len() > MOST_ALTERNATIVES {
        return None;
    }
    Some(left.iter().flat_map(|one| right.iter().filter_map(|other| meet(one, other))).collect())
}

/// The right side decides only where the left one does not fault.
fn either<'a>(left: &'a Cond, right: &'a Cond, holds: bool, facts: &Facts) -> Option<Vec<Alternative<'a>>> {
    let (mut all, others) = (alternatives(left, holds, facts)?, alternatives(right, holds, facts)?);
    let is_safe = |alternative: &Alternative<'_>| {
        let known = alternative.iter().fold(facts.clone(), |facts, (value, range)| match range.low == range.high {
            true => facts.with(value, range.low),
            false => facts.having(value),
        });
        is_safe(left, &known)
    };
    if !others.iter().all(is_safe) {
        return None;
    }
    all.extend(others);
    (all.len() <= MOST_ALTERNATIVES).then_some(all)
}

/// Both alternatives; none where they exclude each other.
fn meet<'a>(one: &Alternative<'a>, other: &Alternative<'a>) -> Option<Alternative<'a>> {
    let mut met = one.clone();
    for (value, range) in other {
        match met.iter_mut().find(|(known, _)| known == value) {
            Some((_, known)) => *known = known.meet(*range)?,
            None => met.push((value, *range)),
        }
    }
    Some(met)
}

/// What a comparison asks of a number; none where the number is none that classifiers read.
fn ranges(value: &Value, relation: Relation, constant: u32, holds: bool) -> Option<Vec<Alternative<'_>>> {
    let (number, mask) = unmasked(value);
    let most = number.most();
    let wide = most > 0xffff;
    if !(1..=FARTHEST).contains(&extent(number))
        || wide && !matches!(number, Value::Load(Load { width: Width::Four, .. }))
    {
        return None;
    }
    let inside = match relation {
        Relation::Equal if constant & !mask != 0 || constant > most => None,
        Relation::Equal => Some(Range { low: constant, high: constant | !mask & most }),
        Relation::Greater if mask == u32::MAX => constant.checked_add(1).map(|low| Range { low, high: most }),
        Relation::GreaterEqual if mask == u32::MAX => Some(Range { low: constant, high: most }),
        Relation::Greater | Relation::GreaterEqual => return None,
    };
    let inside = inside.filter(|range| range.low <= range.high);
    let all = Range { low: 0, high: most };
    let found = match (inside, holds) {
        (None, true) => Vec::new(),
        (None, false) => vec![all],
        (Some(range), true) => vec![range],
        (Some(range), false) => range.without(most),
    };
    let found: Vec<Range> = if wide { found.into_iter().flat_map(Range::prefixes).collect() } else { found };
    // Where a packet only has to have the bytes, no prefix says so.
    let says_nothing = wide && found.contains(&all);
    (!says_nothing).then(|| found.into_iter().map(|range| vec![(number, range)]).collect())
}

/// The number behind a mask of leading ones, and the mask.
fn unmasked(value: &Value) -> (&Value, u32) {
    if let Value::Arithmetic(left, Operator::And, right) = value
        && let (Value::Load(Load { width: Width::Four, .. }), Value::Const(mask)) = (&**left, &**right)
        && mask.leading_ones() + mask.trailing_zeros() == u32::BITS
    {
        return (left, *mask);
    }
    (value, u32::MAX)
}

impl Range {
    /// What is in both.
    fn meet(self, other: Range) -> Option<Range> {
        let met = Range { low: self.low.max(other.low), high: self.high.min(other.high) };
        (met.low <= met.high).then_some(met)
    }

    /// The numbers up to `most` that are not in it.
    fn without(self, most: u32) -> Vec<Range> {
        let below = self.low.checked_sub(1).map(|high| Range { low: 0, high });
        let above = self.high.checked_add(1).filter(|low| *low <= most).map(|low| Range { low, high: most });
        below.into_iter().chain(above).collect()
    }

    /// The fewest prefixes that make it up.
    fn prefixes(self) -> impl Iterator<Item = Range> {
        split(self.low.into(), self.high.into(), u32::BITS).map(|(first, length)| {
            let low = first as u32;
            Range { low, high: low | u32::MAX.checked_shr(length.into()).unwrap_or(0) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(mask: u32, value: u32) -> Cond {
        let load = Value::load(26, Width::Four);
        Cond::Compare(load.with(Operator::And, Value::Const(mask)), Relation::Equal, Value::Const(value))
    }

    #[test]
    fn ranges_are_prefixes_where_numbers_are_wide() {
        let prefixes = Range { low: 1, high: 8 }.prefixes();
        assert_eq!(prefixes.map(|range| (range.low, range.high)).collect::<Vec<_>>(), [(1, 1), (2, 3), (4, 7), (8, 8)]);
        assert_eq!(Range { low: 0, high: u32::MAX }.prefixes().count(), 1);
        let prefix = address(0xff00_0000, 0x0a00_0000);
        assert_eq!(alternatives(&prefix, false, &Facts::none()).unwrap().len(), 8);
    }

    #[test]
    fn an_or_is_two_entries_only_where_its_left_side_cannot_fault() {
        let late = Cond::equals(60, Width::Two, 80);
        let early = address(u32::MAX, 7);
        let facts = Facts::none();
        let count = |cond: &Cond| alternatives(cond, true, &facts).map(|all| all.len());
        assert_eq!(count(&early.clone().or(late.clone())), Some(2));
        assert_eq!(count(&late.clone().or(early.clone())), None);
        assert_eq!(count(&early.and(late).negate()), Some(34));
    }
}
