//! Policies as sources: read from a file or the command line, resolved, compiled.

pub mod counters;
pub mod elements;
pub mod fill;
pub mod memory;
pub mod places;
mod plain;
mod read;
pub mod redirect;
pub mod sets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use xdpilot_core::emit::{self, Options, set_map_name};
use xdpilot_core::error::Result;
use xdpilot_core::object::Object;
use xdpilot_core::policy::{Action, HashBy, PolicyPlace, Pool, Verdict};
use xdpilot_core::route::{ring_of, rings};
use xdpilot_core::rules::{Rule, Rules};

use crate::direction::Direction;
use crate::record::{PolicyRecord, PoolRecord, RuleRecord, SetRecord, StoredRecord};

pub use read::{Text, elements as read_elements, read};

/// A policy with all that its text names.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its rules and sets.
    pub rules: Arc<Rules>,
    /// Where it says that it lives.
    pub places: Vec<PolicyPlace>,
    /// The packets that it is for: filters may ask for it.
    pub direction: Direction,
    /// What it was read from, as the user named it: an absolute path, or the words of `-e`.
    pub origin: String,
    /// Its sets that are read from files, by name.
    pub files: Vec<(String, PathBuf)>,
}

/// A policy as a BPF object.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Its rules and sets.
    pub rules: Arc<Rules>,
    /// The object; its first function is the program.
    pub object: Object,
    /// The rules of counters that are not a rule's own ([`emit::counters::by_rule`]).
    pub counted: Vec<u32>,
    /// The packets that it is for.
    pub direction: Direction,
    /// What it was read from, as the user named it.
    pub origin: String,
    /// What it is loaded for, where that is in a store.
    pub stored: Option<StoredRecord>,
}

impl Policy {
    /// Compiles it, for packets of several buffers too or not.
    ///
    /// # Errors
    /// It needs more code than a program can hold.
    pub fn compile(&self, frags: bool) -> Result<Compiled> {
        let direction = match self.direction {
            Direction::Ingress => emit::Direction::Ingress,
            Direction::Egress => emit::Direction::Egress,
        };
        self.compile_with(&Options { direction, frags, ..Options::default() })
    }

    /// Compiles it as these options say, whose direction must be the policy's.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_with(&self, options: &Options) -> Result<Compiled> {
        let emit::Compiled { object, counted } =
            emit::compile(&self.rules, options).map_err(|error| error.context(&self.origin))?;
        let (rules, origin) = (self.rules.clone(), self.origin.clone());
        Ok(Compiled { rules, object, counted, direction: self.direction, origin, stored: None })
    }
}

impl Compiled {
    /// Whether it sends packets back out of the interface that they came from.
    pub fn sends(&self) -> bool {
        let back = |verdict: &Verdict| matches!(verdict, Verdict::Tx | Verdict::Reflect);
        let acts = |rule: &Rule| matches!(&rule.action, Action::Verdict(verdict) if back(verdict));
        let sends = back(&self.rules.default) || self.rules.rules.iter().any(acts) || !self.rules.pools.is_empty();
        self.direction == Direction::Ingress && sends
    }

    /// What must be known of it when it is loaded.
    pub fn record(&self) -> PolicyRecord {
        let Rules { rules, default, default_line, sets, .. } = &*self.rules;
        let rule = |rule: &Rule| RuleRecord {
            line: rule.line,
            text: rule.text.clone(),
            counter: match &rule.action {
                Action::Count(name) => Some(name.clone()),
                _ => None,
            },
        };
        let set = |index: usize| {
            let mut record = SetRecord { name: sets[index].name.clone(), ..SetRecord::default() };
            for part in &sets[index].parts {
                record.add_map(*part, set_map_name(&self.rules, index, *part));
            }
            record
        };
        PolicyRecord {
            rules: rules.iter().map(rule).collect(),
            default: RuleRecord { line: *default_line, text: default_text(default), counter: None },
            sets: (0..sets.len()).map(set).collect(),
            pools: self.pools(),
            counted: self.counted.clone(),
        }
    }

    fn pools(&self) -> Vec<PoolRecord> {
        let pools = &self.rules.pools;
        let all = rings(pools);
        let record = |(pool, index): (&Pool, u16)| PoolRecord {
            name: pool.name.clone(),
            method: pool.method.to_string(),
            rings: [false, true].map(|v6| ring_of(&all, index, v6)),
            timeout: pool.timeout,
            quic: pool.hash == HashBy::Quic,
        };
        pools.iter().zip(0..).map(record).collect()
    }
}

/// What the default is called among the rules.
fn default_text(default: &Verdict) -> String {
    format!("default {default}")
}

/// A path in a policy: relative to the policy's folder.
fn beside(policy: Option<&Path>, path: &str) -> PathBuf {
    policy.and_then(Path::parent).unwrap_or(Path::new("")).join(path)
}
