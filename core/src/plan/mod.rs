//! From rules to a decision graph: what is tested in which order, so that the first matching rule is found soon.
//!
//! Rules are specialised by what is known of a packet. A [`Node::Dispatch`] asks once for a number that many rules ask
//! for (the Ethernet type, the IP protocol, …), and in each of its branches only the rules are left that can still
//! match, without the tests that are decided. What is left at the end is a list of [`Step`]s: rules to be tried in
//! order, tables of rules that ask for the same numbers ([`Table`]), and classifiers of rules that ask for ranges of the
//! same numbers ([`Classifier`]), of both of which a lookup finds the right one.
//!
//! Every step of this is exact, also for packets that end too early; which of them are taken is a matter of cost only.

mod build;
mod classify;
mod fact;
mod group;
mod need;
mod simplify;
mod split;
mod table;

pub use build::plan;
pub use group::MOST_GROUPS;
pub use need::{extent, need};
pub(crate) use simplify::given;
pub use table::{Row, Table};

use std::borrow::Cow;

use crate::cond::{Cond, Value};

/// A rule, and what is left of its condition.
type Item<'a> = (usize, Cow<'a, Cond>);

/// Index of a node in [`Plan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A decision graph without cycles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The nodes; each leads only to nodes before it.
    pub nodes: Vec<Node>,
    /// Where a packet begins.
    pub start: NodeId,
    /// Rules that no packet reaches or that never match, ascending.
    pub dead: Vec<usize>,
}

/// A place in the graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Goes on by a number of the packet.
    Dispatch(Dispatch),
    /// Tries rules in order.
    Rules(List),
}

/// Rules to be tried in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List {
    /// The rules.
    pub steps: Vec<Step>,
    /// Where it leads behind the last step; none for the default.
    pub end: Option<NodeId>,
}

/// Goes on by a number of the packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dispatch {
    /// The number.
    pub on: Value,
    /// Where it leads by its value, ascending.
    pub cases: Vec<(u32, NodeId)>,
    /// Where all other values lead.
    pub other: NodeId,
    /// Where it leads when the packet is too short; none where it cannot be.
    pub fault: Option<NodeId>,
}

/// A step of a list of rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// One rule.
    Rule {
        /// Its index.
        rule: usize,
        /// What is left of its condition.
        cond: Cond,
    },
    /// Rules that differ only in the constants they ask for, all of which decide.
    Table(Table),
    /// Rules that ask for ranges of the same numbers, and others among them.
    Classifier(Classifier),
}

/// Rules of which the first that matches is found by a few numbers, whichever bits of them each rule asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Classifier {
    /// What all entries ask for beside.
    pub guards: Vec<Cond>,
    /// The numbers.
    pub fields: Vec<Field>,
    /// Entries that ask for the same bits, ascending by their first rule.
    pub groups: Vec<Group>,
    /// Of rules that decide, ascending by rule; a rule has one for each alternative.
    pub entries: Vec<Entry>,
    /// Rules between them that must be tried one by one, ascending.
    pub others: Vec<(usize, Cond)>,
}

/// A number that a classifier reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// The number: bytes of the packet, or what is at most 65,535.
    pub value: Value,
    /// The greatest that it can be.
    pub most: u32,
}

/// Entries that are found by the same bits of each number. They may ask for more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The bits, by field; of numbers that are at most 65,535 all or none.
    pub masks: Vec<u32>,
    /// The first rule that has an entry here.
    pub best: usize,
}

/// What a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The rule's index.
    pub rule: usize,
    /// Index of its group.
    pub group: usize,
    /// What each number must be, by field; where it is none, the packet need not have it.
    pub wants: Vec<Option<Range>>,
}

/// Numbers from `low` to `high`, both included; of numbers above 65,535 always all that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say it")]
pub struct Range {
    pub low: u32,
    pub high: u32,
}

/// Which strategies are allowed; all of them by default. Tests force each off in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Asking once for what many rules ask for.
    pub dispatch: bool,
    /// Looking up which of many rules matches.
    pub tables: bool,
    /// The same, where they ask for different bits.
    pub classifiers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { dispatch: true, tables: true, classifiers: true }
    }
}
