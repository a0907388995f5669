//! Random ways through a condition.

use std::collections::HashMap;

use crate::cond::{Cond, Load, Member, Operator, Part, Place, Relation, Value, Width};
use crate::policy::{Datum, Element};
use crate::random::Random;
use crate::rules::Set;

use super::bounds::Bounds;

/// So many tests are looked at for one way.
const STEPS: u32 = 50_000;
/// So many alternatives are tried at one place.
const ALTERNATIVES: usize = 16;
/// So many places with alternatives may a way have.
const DEEPEST: usize = 256;

/// What is known of the sets.
pub(super) struct Ways<'a> {
    /// Of each set the elements by their kinds.
    sets: Vec<HashMap<Part, Vec<&'a Element>>>,
}

/// A condition that is to hold, or not to.
type Goal<'c> = (&'c Cond, bool);

impl<'a> Ways<'a> {
    /// Ways through conditions that ask for these sets.
    pub(super) fn new(sets: &'a [Set]) -> Self {
        let kinds = |set: &'a Set| {
            let mut kinds: HashMap<Part, Vec<&Element>> = HashMap::new();
            for element in &set.elements {
                kinds.entry(element.part()).or_default().push(element);
            }
            kinds
        };
        Ways { sets: sets.iter().map(kinds).collect() }
    }

    /// What has to be for a condition to hold, in one of the ways in which it can.
    pub(super) fn choose(&self, cond: &Cond, random: &mut Random) -> Option<Bounds> {
        let mut search = Search { ways: self, random, steps: STEPS };
        search.way(vec![(cond, true)], Bounds::default(), 0)
    }
}

struct Search<'w, 'a> {
    ways: &'w Ways<'a>,
    random: &'w mut Random,
    steps: u32,
}

impl Search<'_, '_> {
    /// All goals, the last one first.
    fn way(&mut self, mut goals: Vec<Goal<'_>>, mut bounds: Bounds, depth: usize) -> Option<Bounds> {
        while let Some((cond, holds)) = goals.pop() {
            self.steps = self.steps.checked_sub(1)?;
            let possible = match cond {
                Cond::Always(constant) => *constant == holds,
                Cond::Not(inner) => {
                    goals.push((inner, !holds));
                    true
                }
                Cond::Compare(value, relation, Value::Const(constant)) => {
                    bounds.narrow(value, *relation, *constant, holds)
                }
                // Left to chance.
                Cond::Compare(..) => true,
                Cond::In(member) if holds => self.member(member, &mut bounds),
                Cond::In(_) => true,
                Cond::Chain(chain) if holds => {
                    let field = behind(&chain.at, if chain.v6 { 6 } else { 9 });
                    bounds.narrow(&load(field, Width::One), Relation::Equal, chain.protocol.into(), true)
                }
                Cond::Chain(_) => true,
                Cond::And(left, right) if holds => {
                    goals.extend([(&**right, true), (&**left, true)]);
                    true
                }
                Cond::Or(left, right) if !holds => {
                    goals.extend([(&**right, false), (&**left, false)]);
                    true
                }
                Cond::And(..) | Cond::Or(..) => return self.one_of((cond, holds), &goals, &bounds, depth),
            };
            if !possible {
                return None;
            }
        }
        Some(bounds)
    }

    /// One of several, in random order, and then all other goals.
    fn one_of(&mut self, goal: Goal<'_>, goals: &[Goal<'_>], bounds: &Bounds, depth: usize) -> Option<Bounds> {
        if depth == DEEPEST {
            return None;
        }
        let mut alternatives = Vec::new();
        alternatives_of(goal, &mut alternatives);
        self.steps = self.steps.checked_sub(u32::try_from(alternatives.len()).ok()?)?;
        for _ in 0..ALTERNATIVES.min(alternatives.len()) {
            let alternative = alternatives.swap_remove(self.random.below(alternatives.len()));
            let goals = [goals, &[alternative]].concat();
            if let Some(found) = self.way(goals, bounds.clone(), depth + 1) {
                return Some(found);
            }
        }
        None
    }

    /// A random element, and a random key that it contains.
    fn member(&mut self, member: &Member, bounds: &mut Bounds) -> bool {
        let elements = self.ways.sets.get(member.set).and_then(|kinds| kinds.get(&member.part));
        let elements = elements.map_or(&[][..], Vec::as_slice);
        let Some(element) = elements.get(self.random.below(elements.len())) else { return false };
        let word = |index: u32| load(behind(&member.at, 4 * index), Width::Four);
        match element {
            Element::V4(address, length) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                masked(bounds, word(0), mask, address.to_bits())
            }
            Element::V6(address, length) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                let part = |bits: u128, index: u32| (bits >> (96 - 32 * index)) as u32;
                (0..4).all(|index| masked(bounds, word(index), part(mask, index), part(address.to_bits(), index)))
            }
            Element::Ports(range) => {
                let value = load(member.at.clone(), Width::Two);
                bounds.narrow(&value, Relation::GreaterEqual, (*range.start()).into(), true)
                    && bounds.narrow(&value, Relation::Greater, (*range.end()).into(), false)
            }
            Element::Mac(address) => bytes(bounds, &member.at, address),
            Element::Tuple(tuple) => tuple.values().iter().zip(member.keys()).all(|(value, (at, _))| match value {
                Datum::V4(address) => bytes(bounds, at, &address.octets()),
                Datum::V6(address) => bytes(bounds, at, &address.octets()),
                Datum::Port(port) => bytes(bounds, at, &port.to_be_bytes()),
                Datum::Protocol(number) => bytes(bounds, at, &[*number]),
                Datum::Mac(address) => bytes(bounds, at, address),
            }),
        }
    }
}

/// The parts of a chain of alternatives.
fn alternatives_of<'c>((cond, holds): Goal<'c>, out: &mut Vec<Goal<'c>>) {
    let mut open = vec![cond];
    while let Some(cond) = open.pop() {
        match (cond, holds) {
            (Cond::Or(left, right), true) | (Cond::And(left, right), false) => open.extend([&**right, &**left]),
            _ => out.push((cond, holds)),
        }
    }
}

fn masked(bounds: &mut Bounds, value: Value, mask: u32, wanted: u32) -> bool {
    match mask {
        0 => true,
        u32::MAX => bounds.narrow(&value, Relation::Equal, wanted, true),
        _ => bounds.narrow(&value.with(Operator::And, Value::Const(mask)), Relation::Equal, wanted, true),
    }
}

/// These bytes are at a place.
fn bytes(bounds: &mut Bounds, at: &Place, wanted: &[u8]) -> bool {
    wanted.chunks(4).zip(0..).all(|(chunk, index)| {
        let width = match chunk.len() {
            1 => Width::One,
            2 => Width::Two,
            _ => Width::Four,
        };
        let number = chunk.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        bounds.narrow(&load(behind(at, 4 * index), width), Relation::Equal, number, true)
    })
}

fn behind(at: &Place, offset: u32) -> Place {
    Place { base: at.base.clone(), offset: at.offset.saturating_add(offset) }
}

fn load(at: Place, width: Width) -> Value {
    Value::Load(Load { at, width })
}
