//! A condition as a graph of tests, moved about as libpcap's optimizer does.
//!
//! A filter that reads beyond the packet rejects it. So it matters which tests libpcap makes at all, and in what order:
//! its optimizer leaves out tests whose outcome changes nothing (`src port 53 or ip6` does not look at the ports of
//! IPv6 packets), and draws tests of bytes that were just looked at before others. The rules are those of its first
//! pass (`opt_j`, `or_pullup`, `and_pullup` of `optimize.c`), in its order, as they do not lead to the same end in any.

use crate::cond::{Cond, Operator, Relation, Value};

/// Index of a test.
pub(super) type Id = usize;

/// The graph's ends.
pub(super) const NO: Id = 0;
pub(super) const YES: Id = 1;
/// Most graphs have fewer tests and numbers.
const USUAL: usize = 24;

/// A test, and where each outcome leads.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) cond: Cond,
    /// Where it leads: if it does not hold, and if it does.
    pub(super) next: [Id; 2],
}

/// What libpcap knows about a test: which value it compares, how, and with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    value: usize,
    code: Code,
    operand: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Code {
    /// No comparison that is known to be like another one.
    #[default]
    None,
    Equal,
    /// With a number that depends on the packet, as the other ones with `Two`.
    EqualTwo,
    Greater,
    GreaterTwo,
    GreaterEqual,
    GreaterEqualTwo,
    /// Any bit of the operand is set.
    Bits,
}

/// An edge: the test that it leaves, and the outcome.
type Edge = (Id, usize);

/// The graph, and whether tests were left out or drawn forward.
pub(super) struct Graph {
    pub(super) tests: Vec<Test>,
    pub(super) root: Id,
    pub(super) moved: bool,
    known: Vec<Known>,
    /// Numbers that are compared, each once: the first is known as 1.
    values: Vec<Value>,
    /// The edges that were led past a test since its outcome is known.
    passed: Vec<(Edge, Id)>,
    changed: bool,
    progress: bool,
}

impl Graph {
    /// The graph of a condition as libpcap's code generator would make it. None where it has more than `most` tests.
    pub(super) fn new(cond: Cond, most: usize) -> Option<Self> {
        let end = Test { cond: Cond::Always(false), next: [NO, NO] };
        let mut graph = Graph {
            tests: Vec::with_capacity(USUAL),
            root: NO,
            moved: false,
            known: Vec::with_capacity(USUAL),
            values: Vec::with_capacity(USUAL),
            passed: Vec::new(),
            changed: false,
            progress: false,
        };
        graph.tests.extend([end.clone(), end]);
        graph.known.extend([Known::default(); 2]);
        graph.root = graph.add(cond, [NO, YES], most)?;
        Some(graph)
    }

    /// Adds the tests of `cond`, and tells the first.
    fn add(&mut self, cond: Cond, next: [Id; 2], most: usize) -> Option<Id> {
        let [no, yes] = next;
        match cond {
            // Whatever was tested before does not matter; or what comes after.
            Cond::Always(constant) => Some(if constant { yes } else { no }),
            Cond::Not(inner) => self.add(*inner, [yes, no], most),
            Cond::And(left, right) => {
                let right = self.add(*right, next, most)?;
                self.add(*left, [no, right], most)
            }
            Cond::Or(left, right) => {
                let right = self.add(*right, next, most)?;
                self.add(*left, [right, yes], most)
            }
            test @ (Cond::Compare(..) | Cond::In(_) | Cond::Chain(_)) => self.add_test(test, next, most),
        }
    }

    fn add_test(&mut self, cond: Cond, next: [Id; 2], most: usize) -> Option<Id> {
        if self.tests.len() >= most {
            return None;
        }
        let [no, yes] = next;
        let (known, inverted) = self.know(&cond);
        let (cond, next) = if inverted { (cond.negate(), [yes, no]) } else { (cond, next) };
        self.tests.push(Test { cond, next });
        self.known.push(known);
        Some(self.tests.len() - 1)
    }

    fn number(&mut self, value: &Value) -> usize {
        let known = self.values.iter().position(|known| known == value);
        1 + known.unwrap_or_else(|| {
            self.values.push(value.clone());
            self.values.len() - 1
        })
    }

    /// What is known of a test, and whether that is its opposite.
    fn know(&mut self, cond: &Cond) -> (Known, bool) {
        let Cond::Compare(left, relation, right) = cond else { return (Known::default(), false) };
        if let (Value::Arithmetic(masked, Operator::And, mask), Value::Const(0)) = (left, right)
            && (*relation == Relation::Greater || matches!(&**masked, Value::Load(load) if load.at.base.is_none()))
        {
            let known = Known { value: self.number(masked), code: Code::Bits, operand: self.number(mask) };
            return (known, *relation == Relation::Equal);
        }
        let constant = matches!(right, Value::Const(_));
        let code = match (relation, constant) {
            (Relation::Equal, true) => Code::Equal,
            (Relation::Equal, false) => Code::EqualTwo,
            (Relation::Greater, true) => Code::Greater,
            (Relation::Greater, false) => Code::GreaterTwo,
            (Relation::GreaterEqual, true) => Code::GreaterEqual,
            (Relation::GreaterEqual, false) => Code::GreaterEqualTwo,
        };
        (Known { value: self.number(left), code, operand: self.number(right) }, false)
    }

    fn next(&self, id: Id, outcome: usize) -> Id {
        self.tests.get(id).map_or(NO, |test| test.next[outcome])
    }

    fn lead(&mut self, (id, outcome): Edge, to: Id) {
        if let Some(test) = self.tests.get_mut(id) {
            test.next[outcome] = to;
        }
    }

    fn known(&self, id: Id) -> Known {
        self.known.get(id).copied().unwrap_or_default()
    }

    /// Whether a number is compared in a test that can be reached.
    pub(super) fn compares(&self, value: &Value) -> bool {
        self.preorder().into_iter().filter_map(|id| self.tests.get(id)).any(|test| match &test.cond {
            Cond::Compare(left, _, right) => left == value || right == value,
            _ => false,
        })
    }

    /// Moves tests until nothing changes.
    pub(super) fn optimize(&mut self) {
        let order = self.preorder();
        let mut only_moves = 0;
        // libpcap gives up when nothing but moves was made so often.
        while only_moves < 100 {
            (self.changed, self.progress) = (false, false);
            let frame = Frame::new(self, &order);
            for id in &frame.upwards {
                self.shorten((*id, 1), &frame);
                self.shorten((*id, 0), &frame);
            }
            let entries = frame.entries(self);
            for id in &frame.upwards {
                self.pull_up(*id, 1, &frame, &entries);
                self.pull_up(*id, 0, &frame, &entries);
            }
            if !self.changed {
                break;
            }
            only_moves = if self.progress { 0 } else { only_moves + 1 };
        }
        self.drop_root();
    }

    /// Leads edges back to tests that they were led past since the outcome is known. The graph means the same and looks at
    /// the same bytes, but parts of it that follow each other have one way in again.
    pub(super) fn relax(&mut self) {
        let order = self.preorder();
        for (edge, to) in std::mem::take(&mut self.passed).into_iter().rev() {
            if Frame::new(self, &order).may_lead_back(self, edge, to) {
                self.lead(edge, to);
            }
        }
    }

    /// A first test whose outcome does not matter is left out.
    fn drop_root(&mut self) {
        let root = self.root;
        if root > YES && self.next(root, 0) == self.next(root, 1) {
            self.moved = true;
            self.root = self.next(root, 0);
            if self.root > YES {
                // Its bytes are looked at nevertheless.
                let value = match self.tests.get(root).map(|test| &test.cond) {
                    Some(Cond::Compare(value, ..)) => value.clone(),
                    _ => return,
                };
                let touch = Cond::Compare(value, Relation::GreaterEqual, Value::Const(0));
                self.tests.push(Test { cond: touch, next: [NO, self.root] });
                self.root = self.tests.len() - 1;
            }
        }
    }

    /// The tests in the order in which libpcap numbers them.
    fn preorder(&self) -> Vec<Id> {
        let mut order = Vec::with_capacity(self.tests.len());
        let mut stack = Vec::with_capacity(self.tests.len());
        stack.push(self.root);
        let mut seen = vec![false; self.tests.len()];
        while let Some(id) = stack.pop() {
            let Some(seen) = seen.get_mut(id) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            order.push(id);
            if id > YES {
                stack.push(self.next(id, 0));
                stack.push(self.next(id, 1));
            }
        }
        order
    }

    /// Leads an edge past tests whose outcome does not matter, or is known on it.
    fn shorten(&mut self, edge: Edge, frame: &Frame) {
        let to = self.next(edge.0, edge.1);
        if to <= YES {
            return;
        }
        if self.next(to, 0) == self.next(to, 1) {
            self.moved |= !frame.loaded(self, edge.0, to);
            (self.changed, self.progress) = (true, true);
            self.lead(edge, self.next(to, 0));
        }
        loop {
            let to = self.next(edge.0, edge.1);
            if to <= YES {
                return;
            }
            let found = frame.edges_before(edge).find_map(|before| self.outcome(to, before));
            let Some(target) = found else { return };
            self.changed = true;
            self.passed.push((edge, to));
            self.lead(edge, target);
        }
    }

    /// Where test `to` leads, given that an edge was taken before.
    fn outcome(&self, to: Id, (from, outcome): Edge) -> Option<Id> {
        let (later, earlier) = (self.known(to), self.known(from));
        if later.code != earlier.code || later.code == Code::None || later.value != earlier.value {
            return None;
        }
        if later.operand == earlier.operand {
            return Some(self.next(to, outcome));
        }
        (outcome == 1 && later.code == Code::Equal).then(|| self.next(to, 0))
    }

    /// In a chain of tests that all lead to the same place if they have one outcome, draws a test of the bytes that were
    /// looked at just before the chain before those of other bytes.
    fn pull_up(&mut self, top: Id, outcome: usize, frame: &Frame, entries: &[Vec<Edge>]) {
        let Some(entries) = entries.get(top) else { return };
        let Some(first) = entries.last() else { return };
        let value = self.known(first.0).value;
        if entries.iter().any(|(from, _)| self.known(*from).value != value) {
            return;
        }
        let target = self.next(top, outcome);
        let on = 1 - outcome;
        let in_chain = |graph: &Self, id: Id| id > YES && graph.next(id, outcome) == target && frame.dominates(top, id);
        // The first test of other bytes, and the edge to it.
        let mut other = if self.next(first.0, 1) == top { (first.0, 1) } else { (first.0, 0) };
        let mut at_top = true;
        loop {
            let id = self.next(other.0, other.1);
            if !in_chain(self, id) {
                return;
            }
            if self.known(id).value != value {
                break;
            }
            other = (id, on);
            at_top = false;
        }
        // The next one of the same bytes.
        let mut same = (self.next(other.0, other.1), on);
        let pulled = loop {
            let id = self.next(same.0, same.1);
            if !in_chain(self, id) {
                return;
            }
            if self.known(id).value == value {
                break id;
            }
            same = (id, on);
        };
        self.lead(same, self.next(pulled, on));
        self.lead((pulled, on), self.next(other.0, other.1));
        if at_top {
            for (from, _) in entries.iter().rev() {
                let outcome = usize::from(self.next(*from, 1) == top);
                self.lead((*from, outcome), pulled);
            }
        } else {
            self.lead(other, pulled);
        }
        (self.changed, self.moved) = (true, true);
    }
}

/// What holds at the beginning of a round: it is not computed anew as tests are moved.
struct Frame {
    /// The tests by their distance from the ends; those of one distance as they were found, the last one first.
    upwards: Vec<Id>,
    /// The same from the greatest distance on.
    downwards: Vec<Id>,
    /// Rank of each test in libpcap's numbering.
    rank: Vec<usize>,
    order: Vec<Id>,
    /// The tests that stand on each way to a test, itself among them.
    dominators: Sets,
    /// The edges that stand on each way over an edge, itself among them: two sets for each test.
    edges: Sets,
}

impl Frame {
    fn new(graph: &Graph, order: &[Id]) -> Self {
        let count = graph.tests.len();
        let mut rank = vec![usize::MAX; count];
        for (index, id) in order.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*id) {
                *rank = index;
            }
        }
        let mut frame = Frame {
            upwards: Vec::new(),
            downwards: Vec::new(),
            rank,
            order: order.to_vec(),
            dominators: Sets::all(count, count),
            edges: Sets::all(2 * count, 2 * count),
        };
        frame.find_levels(graph);
        frame.find_dominators(graph);
        frame
    }

    fn find_levels(&mut self, graph: &Graph) {
        let mut level: Vec<Option<usize>> = vec![None; graph.tests.len()];
        let mut found_at = Vec::with_capacity(graph.tests.len());
        let mut stack = Vec::with_capacity(2 * graph.tests.len());
        stack.push((graph.root, 1));
        while let Some((id, stage)) = stack.pop() {
            if level.get(id).is_none_or(Option::is_some) {
                continue;
            }
            let found = match stage {
                _ if id <= YES => 0,
                1 => {
                    stack.extend([(id, 2), (graph.next(id, 0), 1), (graph.next(id, 1), 1)]);
                    continue;
                }
                _ => {
                    let of = |outcome| level.get(graph.next(id, outcome)).copied().flatten().unwrap_or(0);
                    1 + of(0).max(of(1))
                }
            };
            if let Some(level) = level.get_mut(id) {
                *level = Some(found);
            }
            if id > YES {
                found_at.push((found, id));
            }
        }
        found_at.reverse();
        found_at.sort_by_key(|(level, _)| *level);
        self.upwards = found_at.iter().map(|(_, id)| *id).collect();
        found_at.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        self.downwards = found_at.into_iter().map(|(_, id)| id).collect();
    }

    fn find_dominators(&mut self, graph: &Graph) {
        self.dominators.clear(graph.root);
        [0, 1].into_iter().for_each(|outcome| self.edges.clear(2 * graph.root + outcome));
        for id in self.downwards.iter().copied() {
            self.dominators.insert(id, id);
            for outcome in [1, 0] {
                let to = graph.next(id, outcome);
                self.dominators.keep(to, id);
                let (edge, bit) = (2 * id + outcome, self.edge_bit((id, outcome)));
                self.edges.insert(edge, bit);
                [0, 1].into_iter().for_each(|outcome| self.edges.keep(2 * to + outcome, edge));
            }
        }
    }

    /// The number of an edge: those of outcome 1 come first.
    fn edge_bit(&self, (id, outcome): Edge) -> usize {
        let rank = self.rank.get(id).copied().unwrap_or_default();
        if outcome == 1 { rank } else { self.order.len() + rank }
    }

    /// The edges on each way over an edge.
    fn edges_before(&self, (id, outcome): Edge) -> impl Iterator<Item = Edge> {
        self.edges.iter(2 * id + outcome).filter_map(|bit| match bit.checked_sub(self.order.len()) {
            Some(rank) => self.order.get(rank).map(|id| (*id, 0)),
            None => self.order.get(bit).map(|id| (*id, 1)),
        })
    }

    /// Whether a test leads where an edge does, as is known on the edge, and does not lead to where the edge begins.
    fn may_lead_back(&self, graph: &Graph, edge: Edge, test: Id) -> bool {
        let place = |id: Id| self.downwards.iter().position(|other| *other == id);
        let target = Some(graph.next(edge.0, edge.1));
        let after = place(edge.0).zip(place(test)).is_some_and(|(from, test)| from < test);
        after && self.edges_before(edge).any(|before| graph.outcome(test, before) == target)
    }

    fn dominates(&self, top: Id, id: Id) -> bool {
        self.dominators.contains(id, top)
    }

    /// Whether all bytes that a test looks at were looked at on each way to another test.
    fn loaded(&self, graph: &Graph, from: Id, test: Id) -> bool {
        let value = graph.known(test).value;
        value != 0
            && self.dominators.iter(from).any(|id| graph.known(id).value == value)
            && !matches!(graph.known(test).code, Code::EqualTwo | Code::GreaterTwo | Code::GreaterEqualTwo)
    }

    /// The edges that lead to each test, the last one first found.
    fn entries(&self, graph: &Graph) -> Vec<Vec<Edge>> {
        let mut entries: Vec<Vec<Edge>> = vec![Vec::new(); graph.tests.len()];
        for edge in self.downwards.iter().flat_map(|id| [(*id, 1), (*id, 0)]) {
            let to = graph.next(edge.0, edge.1);
            entries.get_mut(to).filter(|_| to > YES).into_iter().for_each(|to| to.push(edge));
        }
        entries
    }
}

/// Sets of small numbers, equally many in each.
struct Sets {
    words: usize,
    bits: Vec<u64>,
}

impl Sets {
    /// So many sets of all numbers below `limit`.
    fn all(count: usize, limit: usize) -> Self {
        let words = limit.div_ceil(64);
        Sets { words, bits: vec![u64::MAX; count * words] }
    }

    fn words(&self, set: usize) -> &[u64] {
        self.bits.get(set * self.words..(set + 1) * self.words).unwrap_or_default()
    }

    fn words_mut(&mut self, set: usize) -> &mut [u64] {
        self.bits.get_mut(set * self.words..(set + 1) * self.words).unwrap_or_default()
    }

    fn clear(&mut self, set: usize) {
        self.words_mut(set).fill(0);
    }

    fn insert(&mut self, set: usize, number: usize) {
        if let Some(word) = self.words_mut(set).get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn contains(&self, set: usize, number: usize) -> bool {
        self.words(set).get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Leaves in a set what is in another too.
    fn keep(&mut self, set: usize, other: usize) {
        for at in 0..self.words {
            let other = self.words(other).get(at).copied().unwrap_or_default();
            if let Some(word) = self.words_mut(set).get_mut(at) {
                *word &= other;
            }
        }
    }

    fn iter(&self, set: usize) -> impl Iterator<Item = usize> {
        self.words(set).iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    64 * index + bit
                })
            })
        })
    }
}
