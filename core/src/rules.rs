//! A policy with all names resolved: conditions over bytes, sets by index. The evaluator runs this form, and the
//! planner begins with it.

use crate::cond::{Cond, Part};
use crate::policy::{Action, Element, Pool, Verdict};

/// A policy, ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The policy's name.
    pub name: String,
    /// The file that it was read from, for people.
    pub file: String,
    /// Its rules in order.
    pub rules: Vec<Rule>,
    /// What happens to packets that no rule decides.
    pub default: Verdict,
    /// Line of the `default`, from 1; 0 where nothing is said.
    pub default_line: u32,
    /// The sets that its rules use.
    pub sets: Vec<Set>,
    /// The pools that its rules route to, in order of first use; the generated program knows them by index.
    pub pools: Vec<Pool>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// With which packets.
    pub cond: Cond,
    /// What is done.
    pub action: Action,
    /// Line of its first word, from 1.
    pub line: u32,
    /// The rule as it is printed, on one line.
    pub text: String,
}

/// A set that rules use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The kinds of elements that rules ask for, ascending.
    pub parts: Vec<Part>,
    /// Its elements at first.
    pub elements: Vec<Element>,
}

impl Rules {
    /// Whether backends of any pool are to be checked.
    pub fn has_checks(&self) -> bool {
        self.pools.iter().any(|pool| pool.check.is_some())
    }

    /// The index of the pool of this name.
    pub fn pool(&self, name: &str) -> Option<usize> {
        self.pools.iter().position(|pool| pool.name == name)
    }

    /// The targets of `redirect`, each once, in order of first use; the generated program knows them by index.
    pub fn targets(&self) -> Vec<&str> {
        let mut targets = Vec::new();
        let verdicts = self.rules.iter().filter_map(|rule| match &rule.action {
            Action::Verdict(verdict) => Some(verdict),
            _ => None,
        });
        for verdict in verdicts.chain([&self.default]) {
            if let Verdict::Redirect(target) = verdict
                && !targets.contains(&target.as_str())
            {
                targets.push(target);
            }
        }
        targets
    }
}
