//! A graph of tests as a condition again.

use std::collections::HashMap;

use crate::cond::Cond;

use super::graph::{Graph, Id, NO, Test, YES};
use super::simple;

/// The condition that a graph of tests stands for. None where it would have more than `most` tests, as those that are
/// reached on several ways have to be repeated.
pub(super) fn condition(graph: &Graph, most: usize) -> Option<Cond> {
    if graph.root <= YES {
        return Some(Cond::Always(graph.root == YES));
    }
    let mut shape = Shape { tests: graph.tests.clone(), root: graph.root };
    shape.unite();
    loop {
        while shape.merge() {}
        let root = shape.tests.get(shape.root)?;
        match root.next {
            [NO, YES] => return Some(root.cond.clone()),
            [YES, NO] => return Some(simple::not(root.cond.clone())),
            _ => {}
        }
        if !shape.split()? {
            shape.choose()?;
        }
        let tests = shape.reached();
        let all: usize = tests.iter().filter_map(|id| shape.tests.get(*id)).map(|test| size(&test.cond)).sum();
        if all > most {
            return None;
        }
    }
}

fn size(cond: &Cond) -> usize {
    match cond {
        Cond::Not(inner) => size(inner),
        Cond::And(left, right) | Cond::Or(left, right) => size(left) + size(right),
        Cond::Always(_) | Cond::Compare(..) | Cond::In(_) | Cond::Chain(_) => 1,
    }
}

struct Shape {
    tests: Vec<Test>,
    root: Id,
}

impl Shape {
    /// The tests that can be reached, from the root on.
    fn reached(&self) -> Vec<Id> {
        let (mut order, mut stack) = (Vec::new(), vec![self.root]);
        let mut seen = vec![false; self.tests.len()];
        while let Some(id) = stack.pop() {
            let Some(seen) = seen.get_mut(id).filter(|_| id > YES) else { continue };
            if !std::mem::replace(seen, true) {
                order.push(id);
                stack.extend(self.tests.get(id).map(|test| test.next).unwrap_or_default());
            }
        }
        order
    }

    /// Makes one test of equal ones that lead to the same places.
    fn unite(&mut self) {
        loop {
            let mut first: HashMap<(Cond, [Id; 2]), Id> = HashMap::new();
            let reached = self.reached();
            let mut same: HashMap<Id, Id> = HashMap::new();
            for (id, test) in reached.iter().filter_map(|id| Some((*id, self.tests.get(*id)?))) {
                let kept = *first.entry((test.cond.clone(), test.next)).or_insert(id);
                if kept != id {
                    same.insert(id, kept);
                }
            }
            if same.is_empty() {
                return;
            }
            for id in reached {
                if let Some(test) = self.tests.get_mut(id) {
                    test.next = test.next.map(|to| same.get(&to).copied().unwrap_or(to));
                }
            }
        }
    }

    /// How many edges lead to each test.
    fn entries(&self, reached: &[Id]) -> Vec<usize> {
        let mut entries = vec![0; self.tests.len()];
        for to in reached.iter().filter_map(|id| self.tests.get(*id)).flat_map(|test| test.next) {
            if let Some(count) = entries.get_mut(to) {
                *count += 1;
            }
        }
        entries
    }

    /// Makes one test of two that are an `and` or an `or`; whether there were such.
    fn merge(&mut self) -> bool {
        let reached = self.reached();
        let entries = self.entries(&reached);
        let mut merged = false;
        for id in reached.into_iter().rev() {
            while let Some(test) = self.tests.get(id).and_then(|test| self.joined(test, &entries)) {
                merged = true;
                if let Some(place) = self.tests.get_mut(id) {
                    *place = test;
                }
            }
        }
        merged
    }

    /// A test and one that follows it, as one.
    fn joined(&self, first: &Test, entries: &[usize]) -> Option<Test> {
        let alone = |id: Id| id > YES && entries.get(id) == Some(&1);
        let [no, yes] = first.next;
        if no == yes {
            return None;
        }
        if alone(yes)
            && let Some(second) = self.tests.get(yes)
        {
            let cond = match second.next.iter().position(|to| *to == no) {
                Some(0) => first.cond.clone().and(second.cond.clone()),
                Some(_) => simple::not(first.cond.clone()).or(second.cond.clone()),
                None => return self.joined_no(first, entries),
            };
            return Some(Test { cond, next: second.next });
        }
        self.joined_no(first, entries)
    }

    fn joined_no(&self, first: &Test, entries: &[usize]) -> Option<Test> {
        let [no, yes] = first.next;
        let second = self.tests.get(no).filter(|_| no > YES && entries.get(no) == Some(&1))?;
        let cond = match second.next.iter().position(|to| *to == yes)? {
            0 => simple::not(first.cond.clone()).and(second.cond.clone()),
            _ => first.cond.clone().or(second.cond.clone()),
        };
        Some(Test { cond, next: second.next })
    }

    /// Repeats a test before the ends for each way to it; whether there was one with several.
    fn split(&mut self) -> Option<bool> {
        let reached = self.reached();
        let entries = self.entries(&reached);
        let last = |id: &Id| self.tests.get(*id).is_some_and(|test| test.next.iter().all(|to| *to <= YES));
        let Some(shared) = reached.iter().copied().filter(last).find(|id| entries.get(*id).is_some_and(|n| *n > 1))
        else {
            return Some(false);
        };
        let copy = self.tests.get(shared)?.clone();
        let mut first = true;
        for id in reached {
            for outcome in [0, 1] {
                if self.tests.get(id)?.next[outcome] == shared && !std::mem::take(&mut first) {
                    self.tests.push(copy.clone());
                    let fresh = self.tests.len() - 1;
                    self.tests.get_mut(id)?.next[outcome] = fresh;
                }
            }
        }
        Some(true)
    }

    /// Makes one test of one and the two that follow it, both before the ends.
    fn choose(&mut self) -> Option<()> {
        let ended = |id: Id| -> Option<Cond> {
            match (id, self.tests.get(id)?.next) {
                (NO | YES, _) => Some(Cond::Always(id == YES)),
                (_, [NO, YES]) => Some(self.tests.get(id)?.cond.clone()),
                (_, [YES, NO]) => Some(simple::not(self.tests.get(id)?.cond.clone())),
                (_, [NO, NO]) => None,
                _ => None,
            }
        };
        let found = self.reached().into_iter().rev().find_map(|id| {
            let [no, yes] = self.tests.get(id)?.next;
            (no > YES || yes > YES).then_some(())?;
            Some((id, ended(no)?, ended(yes)?))
        });
        let (id, no, yes) = found?;
        let test = self.tests.get_mut(id)?;
        let taken = simple::all([test.cond.clone(), yes]);
        let otherwise = simple::all([simple::not(test.cond.clone()), no]);
        test.cond = simple::any([taken, otherwise]);
        test.next = [NO, YES];
        Some(())
    }
}
