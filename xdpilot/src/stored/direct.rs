//! What verbs and the API ask of a store that this process has open.

use xdpilot_core::error::Result;

use crate::agent::node::Node;
use crate::agent::reconcile::{Planned, Reconciler};
use crate::agent::report::Report;
use crate::documents::change::{self, Edit};
use crate::documents::{Document, Name, Shown, Snapshot, history, whole};
use crate::store::Store;

/// What the keys of nodes' reports begin with.
pub const NODES: &str = "nodes/";

/// All documents, without their texts.
///
/// # Errors
/// The store cannot be read.
pub fn list(store: &dyn Store) -> Result<Vec<Shown>> {
    let snapshot = Snapshot::read(store)?;
    Ok(snapshot.documents.iter().map(|(name, stored)| Shown::of_stored(name, stored)).collect())
}

/// A document with its whole text; none where there is no such document.
///
/// # Errors
/// The store cannot be read, or the document is none.
pub fn text(store: &dyn Store, name: &Name) -> Result<Option<Shown>> {
    let Some(entry) = store.get(&name.key())? else { return Ok(None) };
    let document = Document::decode(name, &entry.value)?;
    let text = whole(store, name, &document)?;
    Ok(Some(Shown::of(name, Some(&document), Some(text))))
}

/// The versions of a document that are known, oldest first, without their texts.
///
/// # Errors
/// The store cannot be read.
pub fn versions(store: &dyn Store, name: &Name) -> Result<Vec<Shown>> {
    let versions = history::versions(store, name)?;
    Ok(versions.iter().map(|document| Shown::of(name, Some(document), None)).collect())
}

/// A version of a document, with its whole text.
///
/// # Errors
/// It is not known (any more).
pub fn version(store: &dyn Store, name: &Name, version: u64) -> Result<Shown> {
    let document = history::version(store, name, version)?;
    let text = whole(store, name, &document)?;
    Ok(Shown::of(name, Some(&document), Some(text)))
}

/// What would change in this machine's kernel until it equals the store, as it is or as it would be after edits.
///
/// # Errors
/// The edits cannot be made, or this user may not see what stands.
pub fn plan(store: &dyn Store, node: &Node, edits: &[Edit]) -> Result<Vec<Planned>> {
    let snapshot = match edits {
        [] => Snapshot::read(store)?,
        edits => change::preview(store, edits)?,
    };
    Reconciler::new(node.clone()).plan(store, &snapshot)
}

/// The reports of all nodes that are alive.
///
/// # Errors
/// The store cannot be read.
pub fn reports(store: &dyn Store) -> Result<Vec<Report>> {
    let entries = store.list(NODES)?.entries;
    Ok(entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect())
}

/// The revision of the last commit of documents.
///
/// # Errors
/// The store cannot be read.
pub fn last(store: &dyn Store) -> Result<u64> {
    Ok(store.get(change::LAST)?.map_or(0, |entry| entry.revision))
}
