//! Rules that ask for the same numbers, as one lookup.

use std::collections::HashSet;

use super::Item;
use crate::cond::{Cond, Relation, Value};

/// Rules of which at most one matches, since each asks for other constants in the same numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// What all rules ask for beside.
    pub guards: Vec<Cond>,
    /// The numbers.
    pub keys: Vec<Value>,
    /// The rules with the constants that they ask for, each combination once.
    pub rows: Vec<Row>,
}

/// A rule of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The constants, one for each number.
    pub constants: Vec<u32>,
    /// The rule's index.
    pub rule: usize,
}

/// Fewer rules than this are faster tried one by one.
const FEWEST: usize = 8;
/// More rules than this are not one table.
const MOST: usize = 1 << 17;
/// More numbers than this are not packed into one key.
const MOST_KEYS: usize = 4;

/// A condition as a conjunction: the numbers that must equal constants, and all else.
#[derive(Debug, PartialEq)]
struct Conjunction<'a> {
    keys: Vec<&'a Value>,
    constants: Vec<u32>,
    others: Vec<&'a Cond>,
}

/// The table of the first rules of the list, and how many rules it takes; none where they do not make one.
pub(super) fn table(items: &[Item<'_>]) -> Option<(Table, usize)> {
    let first = conjunction(&items.first()?.1)?;
    let mut rows = vec![(items[0].0, first.constants.clone())];
    for (rule, cond) in &items[1..] {
        match conjunction(cond) {
            Some(next) if next.keys == first.keys && next.others == first.others && rows.len() < MOST => {
                rows.push((*rule, next.constants));
            }
            _ => break,
        }
    }
    let taken = rows.len();
    if taken < FEWEST {
        return None;
    }
    let varies = |at: &usize| rows.iter().any(|(_, constants)| constants[*at] != first.constants[*at]);
    let (varying, fixed): (Vec<usize>, Vec<usize>) = (0..first.keys.len()).partition(varies);
    if varying.is_empty() || varying.len() > MOST_KEYS {
        return None;
    }
    let same = |at: usize| Cond::Compare(first.keys[at].clone(), Relation::Equal, Value::Const(first.constants[at]));
    let guards = fixed.into_iter().map(same).chain(first.others.iter().map(|cond| (*cond).clone())).collect();
    let keys = varying.iter().map(|at| first.keys[*at].clone()).collect();
    let mut seen = HashSet::new();
    let rows = rows
        .into_iter()
        .map(|(rule, constants)| Row { constants: varying.iter().map(|at| constants[*at]).collect(), rule });
    let rows = rows.filter(|row| seen.insert(row.constants.clone())).collect();
    Some((Table { guards, keys, rows }, taken))
}

/// The condition as a conjunction; none where a number would have to equal two constants.
fn conjunction(cond: &Cond) -> Option<Conjunction<'_>> {
    let mut out = Conjunction { keys: Vec::new(), constants: Vec::new(), others: Vec::new() };
    let mut open = vec![cond];
    while let Some(cond) = open.pop() {
        match cond {
            Cond::And(left, right) => open.extend([&**right, &**left]),
            Cond::Compare(key, Relation::Equal, Value::Const(constant)) => {
                match out.keys.iter().position(|known| *known == key) {
                    Some(at) if out.constants[at] == *constant => {}
                    Some(_) => return None,
                    None => {
                        out.keys.push(key);
                        out.constants.push(*constant);
                    }
                }
            }
            other => out.others.push(other),
        }
    }
    (!out.keys.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::cond::Width;

    #[test]
    fn what_varies_is_looked_up_and_the_first_of_equals_wins() {
        let rule = |address| Cow::Owned(Cond::equals(26, Width::Four, address).and(Cond::equals(23, Width::One, 6)));
        let mut items: Vec<_> = (0..10).map(|at| (at, rule(at as u32))).collect();
        items.push((10, rule(3)));
        items.push((11, Cow::Owned(Cond::Always(true))));
        let (table, taken) = table(&items).unwrap();
        assert_eq!((taken, table.rows.len()), (11, 10));
        assert_eq!(table.keys, [Value::load(26, Width::Four)]);
        assert_eq!(table.guards, [Cond::equals(23, Width::One, 6)]);
        assert!(super::table(&items[..7]).is_none());
    }
}
