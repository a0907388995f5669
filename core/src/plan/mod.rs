//! From rules to a decision graph: what is tested in which order, so that the first matching rule is found soon.
//!
//! Rules are specialised by what is known of a packet. A [`Node::Dispatch`] asks once for a number that many rules ask
//! for (the Ethernet type, the IP protocol, …), and in each of its branches only the rules are left that can still
//! match, without the tests that are decided. What is left at the end is a list of [`Step`]s: rules to be tried in
//! order, and tables of rules that ask for the same numbers ([`Table`]), of which one lookup finds the right one.
//!
//! Every step of this is exact, also for packets that end too early; which of them are taken is a matter of cost only.

mod build;
mod fact;
mod need;
mod simplify;
mod table;

pub use build::plan;
pub use need::{extent, need};
pub use table::{Row, Table};

use crate::cond::{Cond, Value};

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
}

/// Which strategies are allowed; all of them by default. Tests force each off in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Asking once for what many rules ask for.
    pub dispatch: bool,
    /// Looking up which of many rules matches.
    pub tables: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { dispatch: true, tables: true }
    }
}
