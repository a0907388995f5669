//! What verbs and the API ask of a store that this process has open.

use std::collections::BTreeSet;
use std::time::Duration;

use xdpilot_core::error::{Error, Result};

use crate::agent::node::Node;
use crate::agent::reconcile::{Planned, Reconciler};
use crate::agent::report::Report;
use crate::documents::change::{self, Edit};
use crate::documents::rollout::{ROLLOUT, Rollout};
use crate::documents::{Document, Kind, Meaning, Name, Shown, Snapshot, history, whole};
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

/// Makes edits a rollout, for a share (of a hundred) of those of these nodes that they concern.
///
/// # Errors
/// As of [`change::stage`]; no node is concerned.
pub fn stage(
    store: &dyn Store,
    nodes: &[Report],
    edits: &[Edit],
    (share, bake): (u8, Duration),
    by: &str,
) -> Result<Rollout> {
    change::stage(store, edits, bake, by, |after, names| canaries(nodes, after, names, share))
}

/// The rollout in the store.
///
/// # Errors
/// The store cannot be read.
pub fn rollout(store: &dyn Store) -> Result<Option<Rollout>> {
    store.get(ROLLOUT)?.map(|entry| Rollout::decode(&entry)).transpose()
}

/// Halts the rollout in the store; none where none is at work.
///
/// # Errors
/// The store cannot be changed.
pub fn halt(store: &dyn Store, by: &str) -> Result<Option<Rollout>> {
    Rollout::halt(store, None, &format!("by {by}"))
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
