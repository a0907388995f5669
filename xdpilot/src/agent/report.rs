//! What an agent says about its node.

use serde::{Deserialize, Serialize};

use super::node::Node;

/// The form of reports.
const SCHEMA: u32 = 1;

/// The state of a node: its value in the store under `nodes/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The form of this document.
    pub schema: u32,
    /// The node.
    pub node: String,
    /// Its labels, `KEY=VALUE`.
    pub labels: Vec<String>,
    /// The version of its agent.
    pub agent: String,
    /// The store's revision that its kernel is equal to, as far as `attached` says so.
    pub revision: u64,
    /// Where policies are to be attached on this node.
    pub attached: Vec<Attached>,
    /// Documents that are not followed, since something is wrong with them.
    pub refused: Vec<Refused>,
    /// The rollout that it has before the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutReport>,
}

/// How a node is with a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutReport {
    /// Which.
    pub id: String,
    /// How it is.
    pub state: RolloutState,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How far a node is with a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutState {
    /// It is watched without it.
    Before,
    /// It has it, and is watched.
    Baking,
    /// It has it, and was well all the time.
    Baked,
    /// It was not well, and has it no more.
    Failed,
}

/// A place where a policy is to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The policy.
    pub policy: String,
    /// Where, as the store says it.
    pub place: String,
    /// The interface; none while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// How it is.
    pub state: State,
    /// The program's id, where one of this policy stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<u32>,
    /// Why it is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a policy is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As the store says.
    Ok,
    /// The target is not there (yet).
    Waiting,
    /// It failed, and is tried again; what stood there before stands there still.
    Failed,
}

/// A document that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its name, or its key in the store where it has none.
    pub document: String,
    /// What is wrong with it.
    pub why: String,
}

impl Report {
    /// That of a node whose kernel is equal to a revision, by this version of the agent; no rollout yet.
    pub(super) fn new(node: &Node, revision: u64, attached: Vec<Attached>, refused: Vec<Refused>) -> Self {
        Report {
            schema: SCHEMA,
            node: node.name.clone(),
            labels: node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            agent: env!("CARGO_PKG_VERSION").to_string(),
            revision,
            attached,
            refused,
            rollout: None,
        }
    }

    /// Whether all policies of the node are in force, or wait for targets that are not there.
    pub fn is_well(&self) -> bool {
        self.refused.is_empty() && self.attached.iter().all(|one| one.state != State::Failed)
    }
}
