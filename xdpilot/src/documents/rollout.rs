//! A change of documents that some nodes have before the others.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xdpilot_core::error::{Error, Result};

use super::change::{Content, Edit};
use super::{Body, Name, Snapshot, piece_keys};
use crate::random;
use crate::store::{Change, Committed, Entry, Expected, Store};

/// Its key in the store: there is one at a time.
pub const ROLLOUT: &str = "documents/rollout";
const SCHEMA: u32 = 1;

/// A rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// A name that no other one has.
    pub id: String,
    /// The nodes that have it before the others.
    pub nodes: Vec<String>,
    /// How long they must have it, and be well, before the others get it.
    pub bake: Duration,
    /// Whose change it is.
    pub by: String,
    /// The new bodies of documents; none for those that go.
    pub bodies: BTreeMap<Name, Option<Body>>,
    /// The versions of the documents when it began; 0 for those that were not there.
    versions: BTreeMap<Name, u64>,
    /// Why it was halted; none while it is at work. Its nodes have what all others have, then.
    pub halted: Option<String>,
    /// The store's revision of this.
    pub revision: u64,
}

/// The same as JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    schema: u32,
    id: String,
    nodes: Vec<String>,
    bake_seconds: u64,
    by: String,
    documents: Vec<WrittenDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halted: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenDocument {
    #[serde(flatten)]
    name: Name,
    version: u64,
    body: Option<Body>,
}

impl Rollout {
    pub(super) fn new(
        nodes: Vec<String>,
        bake: Duration,
        by: &str,
        bodies: BTreeMap<Name, Option<Body>>,
        before: &Snapshot,
    ) -> Self {
        let version = |name: &Name| {
            let stored = before.documents.get(name).and_then(|stored| stored.document.as_ref());
            (name.clone(), stored.map_or(0, |document| document.version))
        };
        let versions = bodies.keys().map(version).collect();
        let id = format!("{:08x}", random::number() >> 32);
        Rollout { id, nodes, bake, by: by.to_string(), bodies, versions, halted: None, revision: 0 }
    }

    /// Whether its nodes are to have it.
    pub fn is_at_work(&self) -> bool {
        self.halted.is_none()
    }

    /// Whether this node is to have it.
    pub fn is_for(&self, node: &str) -> bool {
        self.is_at_work() && self.nodes.iter().any(|name| name == node)
    }

    /// Refuses changes of the documents that it changes, while it is at work.
    pub(super) fn refuse<'n>(&self, mut names: impl Iterator<Item = &'n Name>) -> Result<()> {
        match names.find(|name| self.is_at_work() && self.bodies.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(Error::failed(format!("change {name}"))
                .cause(format!("rollout {} changes it, and is at work on {}", self.id, self.nodes.join(", ")))
                .mend("xdpilot rollout halt, or wait until it is over")),
        }
    }

    pub(super) fn refuse_another(&self) -> Result<()> {
        if !self.is_at_work() {
            return Ok(());
        }
        Err(Error::failed("begin a rollout")
            .cause(format!("rollout {} is at work on {}", self.id, self.nodes.join(", ")))
            .mend("xdpilot rollout halt, or wait until it is over"))
    }

    /// What it does to the documents of all nodes, provided that they are as they were when it began.
    pub(super) fn edits(&self) -> Vec<Edit> {
        let edit = |(name, body): (&Name, &Option<Body>)| Edit {
            name: name.clone(),
            content: body.clone().map(Content::Staged),
            version: self.versions.get(name).copied(),
        };
        self.bodies.iter().map(edit).collect()
    }

    /// Halts it: its nodes go back to what all others have.
    ///
    /// # Errors
    /// The store cannot be changed.
    pub fn halt(store: &dyn Store, id: Option<&str>, why: &str) -> Result<Option<Rollout>> {
        loop {
            let Some(entry) = store.get(ROLLOUT)? else { return Ok(None) };
            let rollout = Self::decode(&entry)?;
            if !rollout.is_at_work() || id.is_some_and(|id| id != rollout.id) {
                return Ok(None);
            }
            let halted = Rollout { halted: Some(why.to_string()), ..rollout };
            let expected = Expected { key: ROLLOUT.to_string(), revision: entry.revision };
            let change = Change::Put { key: ROLLOUT.to_string(), value: halted.encode() };
            if let Committed::Done(_) = store.commit(&[expected], &[change])? {
                return Ok(Some(halted));
            }
        }
    }

    /// The keys of the pieces of its documents.
    pub fn pieces(&self) -> Vec<String> {
        let bodies = self.bodies.iter().filter_map(|(name, body)| Some((name, body.as_ref()?)));
        bodies.flat_map(|(name, body)| piece_keys(name, body)).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let document = |(name, body): (&Name, &Option<Body>)| WrittenDocument {
            name: name.clone(),
            version: self.versions.get(name).copied().unwrap_or(0),
            body: body.clone(),
        };
        let written = Written {
            schema: SCHEMA,
            id: self.id.clone(),
            nodes: self.nodes.clone(),
            bake_seconds: self.bake.as_secs(),
            by: self.by.clone(),
            documents: self.bodies.iter().map(document).collect(),
            halted: self.halted.clone(),
        };
        // Strings and numbers always have a JSON form.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// A rollout from its entry in the store.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(entry: &Entry) -> Result<Self> {
        let wrong = |cause: String| Error::failed("the rollout in the store").cause(cause);
        let written: Written = serde_json::from_slice(&entry.value).map_err(|error| wrong(error.to_string()))?;
        if written.schema != SCHEMA {
            return Err(wrong(format!("another xdpilot wrote it (schema {})", written.schema)));
        }
        let versions = written.documents.iter().map(|one| (one.name.clone(), one.version)).collect();
        Ok(Rollout {
            id: written.id,
            nodes: written.nodes,
            bake: Duration::from_secs(written.bake_seconds),
            by: written.by,
            bodies: written.documents.into_iter().map(|one| (one.name, one.body)).collect(),
            versions,
            halted: written.halted,
            revision: entry.revision,
        })
    }
}
