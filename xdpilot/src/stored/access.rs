//! How a verb reaches the documents: in the store itself, or by the agent of this machine.

use xdpilot_core::error::Result;

use super::config::Config;
use crate::agent::reconcile::{Planned, Reconciler};
use crate::agent::report::Report;
use crate::documents::change::{self, Edit, Outcome};
use crate::documents::{Document, Name, Snapshot, history, whole};
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
