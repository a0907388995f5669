//! How a verb reaches the documents: in the store itself, or by the agent of this machine.

use std::collections::BTreeSet;
use std::time::Duration;

use xdpilot_core::error::{Error, Result};

use super::config::Config;
use crate::agent::node::Node;
use crate::agent::reconcile::{Planned, Reconciler};
use crate::agent::report::Report;
use crate::documents::change::{self, Edit, Outcome};
use crate::documents::rollout::{ROLLOUT, Rollout};
use crate::documents::{Document, Kind, Meaning, Name, Snapshot, history, whole};
use crate::store::{self, Address, Store};

/// The way to the documents.
pub struct Access {
    store: Box<dyn Store>,
    config: Config,
    /// Whether there is an agent that follows the store.
    followed: bool,
}

/// A document, for people.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its name.
    pub name: Name,
    /// Its version, who wrote it, and when.
    pub document: Option<Document>,
    /// What is wrong with it.
    pub fault: Option<String>,
}

impl Access {
    /// Opens the store that is meant.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn open(config: Config) -> Result<Self> {
        let address = config.store_or_default();
        let followed = matches!(address, Address::Etcd(_));
        Ok(Access { store: store::open(&address)?, config, followed })
    }

    /// The store's name.
    pub fn name(&self) -> String {
        self.store.name()
    }

    /// All documents.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Shown>> {
        let snapshot = Snapshot::read(&*self.store)?;
        let shown = snapshot.documents.into_iter().map(|(name, stored)| Shown {
            name,
            fault: stored.meaning.as_ref().err().map(ToString::to_string),
            document: stored.document.clone(),
        });
        Ok(shown.collect())
    }

    /// A document and its whole text; none where there is no such document.
    ///
    /// # Errors
    /// The store cannot be read, or the document is none.
    pub fn text(&self, name: &Name) -> Result<Option<(Document, String)>> {
        let Some(entry) = self.store.get(&name.key())? else { return Ok(None) };
        let document = Document::decode(name, &entry.value)?;
        let text = whole(&*self.store, name, &document)?;
        Ok(Some((document, text)))
    }

    /// The versions of a document that are known, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn versions(&self, name: &Name) -> Result<Vec<Document>> {
        history::versions(&*self.store, name)
    }

    /// A version of a document, with its whole text.
    ///
    /// # Errors
    /// It is not known (any more).
    pub fn version(&self, name: &Name, version: u64) -> Result<(Document, String)> {
        let document = history::version(&*self.store, name, version)?;
        let text = whole(&*self.store, name, &document)?;
        Ok((document, text))
    }

    /// Changes documents.
    ///
    /// # Errors
    /// As of [`change::commit`].
    pub fn commit(&self, edits: &[Edit]) -> Result<Outcome> {
        change::commit(&*self.store, edits, &by())
    }

    /// Makes edits a rollout, for a share (of a hundred) of the nodes that they concern.
    ///
    /// # Errors
    /// As of [`change::stage`]; no node is concerned.
    pub fn stage(&self, edits: &[Edit], share: u8, bake: Duration) -> Result<Rollout> {
        let reports = self.reports()?;
        change::stage(&*self.store, edits, bake, &by(), |after, names| canaries(&reports, after, names, share))
    }

    /// The rollout in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn rollout(&self) -> Result<Option<Rollout>> {
        self.store.get(ROLLOUT)?.map(|entry| Rollout::decode(&entry)).transpose()
    }

    /// Halts the rollout in the store; none where none is at work.
    ///
    /// # Errors
    /// The store cannot be changed.
    pub fn halt(&self) -> Result<Option<Rollout>> {
        Rollout::halt(&*self.store, None, &format!("by {}", by()))
    }

    /// Brings this machine's kernel to what the store says, where no agent does; what it is like then.
    ///
    /// # Errors
    /// This user may not do that.
    pub fn reconcile(&self) -> Result<Option<Report>> {
        if self.followed {
            return Ok(None);
        }
        let snapshot = Snapshot::read(&*self.store)?;
        Reconciler::new(self.config.node.clone()).pass(&*self.store, &snapshot).map(Some)
    }

    /// What would change in this machine's kernel until it equals a snapshot.
    ///
    /// # Errors
    /// This user may not see what stands.
    pub fn plan(&self, snapshot: &Snapshot) -> Result<Vec<Planned>> {
        Reconciler::new(self.config.node.clone()).plan(&*self.store, snapshot)
    }

    /// The documents as they are, or as they would be after edits.
    ///
    /// # Errors
    /// The store cannot be read, or the edits be made.
    pub fn preview(&self, edits: &[Edit]) -> Result<Snapshot> {
        match edits {
            [] => Snapshot::read(&*self.store),
            edits => change::preview(&*self.store, edits),
        }
    }

    /// The reports of all nodes that are alive.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn reports(&self) -> Result<Vec<Report>> {
        let entries = self.store.list(NODES)?.entries;
        Ok(entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect())
    }

    /// The revision of the last commit of documents.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn last(&self) -> Result<u64> {
        Ok(self.store.get(change::LAST)?.map_or(0, |entry| entry.revision))
    }
}

/// What the keys of nodes' reports begin with.
pub const NODES: &str = "nodes/";

/// Who changes documents, in words.
fn by() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("SUDO_USER").or_else(|| variable("USER")).unwrap_or_else(|| "root".to_string())
}

/// The nodes that get a change first: a share of those where a policy lives that it changes.
fn canaries(reports: &[Report], after: &Snapshot, changed: &BTreeSet<Name>, share: u8) -> Result<Vec<String>> {
    let policies = after.of_kind(Kind::Policy).filter(|(name, stored)| {
        let text = match stored.meaning.as_deref() {
            Ok(Meaning::Policy(_, text)) => text.as_str(),
            _ => "",
        };
        let names = |one: &Name| matches!(one.kind, Kind::Set | Kind::Pool) && text.contains(&one.name);
        changed.iter().any(|one| one.name == name.name || names(one))
    });
    let places: Vec<_> = policies
        .filter_map(|(name, _)| match after.meaning(Kind::Attachment, &name.name)?.as_deref() {
            Ok(Meaning::Attachment(places)) => Some(places.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    let is_concerned = |report: &&Report| {
        let node = Node::new(&report.node, &report.labels);
        node.is_ok_and(|node| places.iter().any(|place| node.has(place)))
    };
    let mut nodes: Vec<String> = reports.iter().filter(is_concerned).map(|report| report.node.clone()).collect();
    nodes.sort();
    if nodes.is_empty() {
        return Err(Error::usage("begin a rollout")
            .cause("no node that follows the store has a policy that changes")
            .mend("leave --canary out"));
    }
    let count = (nodes.len() * usize::from(share)).div_ceil(100).max(1);
    nodes.truncate(count);
    Ok(nodes)
}
