//! All documents as they are at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha1::{Digest, Sha1};
use xdpilot_core::error::{Error, Result};

use super::rollout::{ROLLOUT, Rollout};
use super::{Body, DOCUMENTS, Document, Kind, Meaning, NEWEST_SCHEMA, Name, pieces};
use crate::random;
use crate::store::{Change, Entry, Expected, Listing, Store};

/// A document in a store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The store's revision when it was put there.
    pub revision: u64,
    /// What it says, as a number that is never 0: the same in the store, in a copy of it, and before it is stored.
    pub mark: u64,
    /// What it is; none where the value is no document.
    pub document: Option<Document>,
    /// What it means, or what is wrong with it.
    pub meaning: Result<Arc<Meaning>>,
}

/// Where the store's id is.
const ID: &str = "documents/id";

/// Makes sure that a store has an id.
///
/// # Errors
/// The store cannot be changed.
pub fn identify(store: &dyn Store) -> Result<()> {
    if store.get(ID)?.is_none() {
        let id = format!("{:016x}", random::number());
        let expected = Expected { key: ID.to_string(), revision: 0 };
        // Another one may have come before: it has one then.
        store.commit(&[expected], &[Change::Put { key: ID.to_string(), value: id.into_bytes() }])?;
    }
    Ok(())
}

/// All documents of a store.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The store's revision.
    pub revision: u64,
    /// What tells the store from all others; none before its first document.
    pub id: Option<String>,
    /// The documents.
    pub documents: BTreeMap<Name, Arc<Stored>>,
    /// What some nodes are to have before the others.
    pub rollout: Option<Rollout>,
    /// Keys among the documents that are none, and what is wrong with them.
    pub strangers: BTreeMap<String, Error>,
}

impl Snapshot {
    /// Reads all documents.
    ///
    /// # Errors
    /// The store cannot be read. Faulty documents are in the snapshot, as such.
    pub fn read(store: &dyn Store) -> Result<Self> {
        Ok(Self::of(store, store.list(DOCUMENTS)?))
    }

    /// The documents of a listing; `store` has their pieces.
    pub fn of(store: &dyn Store, listing: Listing) -> Self {
        let mut snapshot = Snapshot { revision: listing.revision, ..Snapshot::default() };
        listing.entries.into_iter().for_each(|entry| snapshot.put(store, entry));
        snapshot
    }

    /// Takes over what commits changed; returns the names of the documents.
    pub fn follow(&mut self, store: &dyn Store, revision: u64, changes: Vec<Change>) -> Vec<Name> {
        self.revision = revision;
        let mut names = Vec::new();
        for change in changes {
            names.extend(Name::of_key(change.key()).ok());
            match change {
                Change::Put { key, value } => self.put(store, Entry { key, value, revision }),
                Change::Delete { key } if key == ID => {}
                Change::Delete { key } if key == ROLLOUT => {
                    self.strangers.remove(&key);
                    self.rollout = None;
                }
                Change::Delete { key } => {
                    self.strangers.remove(&key);
                    if let Ok(name) = Name::of_key(&key) {
                        self.documents.remove(&name);
                    }
                }
            }
        }
        names
    }

    fn put(&mut self, store: &dyn Store, entry: Entry) {
        if entry.key == ID {
            self.id = Some(String::from_utf8_lossy(&entry.value).into_owned());
            return;
        }
        if entry.key == ROLLOUT {
            match Rollout::decode(&entry) {
                Ok(rollout) => {
                    self.strangers.remove(&entry.key);
                    self.rollout = Some(rollout);
                }
                Err(error) => drop(self.strangers.insert(entry.key, error)),
            }
            return;
        }
        match Name::of_key(&entry.key) {
            Ok(name) => {
                let stored = Stored::of(store, &name, &entry);
                self.documents.insert(name, Arc::new(stored));
            }
            Err(error) => drop(self.strangers.insert(entry.key, error)),
        }
    }

    /// The documents as they are for the nodes of its rollout.
    #[must_use]
    pub fn rolled_out(&self, store: &dyn Store) -> Self {
        let mut snapshot = self.clone();
        for (name, body) in self.rollout.iter().flat_map(|rollout| &rollout.bodies) {
            let Some(body) = body else {
                snapshot.documents.remove(name);
                continue;
            };
            let (schema, version, changed, by) = (NEWEST_SCHEMA, 0, 0, String::new());
            let document = Document { schema, version, changed, by, body: body.clone() };
            let meaning = meaning(store, name, &document).map(Arc::new);
            let revision = self.rollout.as_ref().map_or(0, |rollout| rollout.revision);
            let stored = Stored { revision, mark: mark(body), document: Some(document), meaning };
            snapshot.documents.insert(name.clone(), Arc::new(stored));
        }
        snapshot
    }

    /// What a document means.
    pub fn meaning(&self, kind: Kind, name: &str) -> Option<&Result<Arc<Meaning>>> {
        Some(&self.documents.get(&Name::new(kind, name))?.meaning)
    }

    /// The documents of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Name, &Stored)> {
        let documents = self.documents.iter().filter(move |(name, _)| name.kind == kind);
        documents.map(|(name, stored)| (name, &**stored))
    }

    /// Those of whose value or text something is wrong.
    pub fn faulty(&self) -> impl Iterator<Item = (String, &Error)> {
        let documents = self.documents.iter();
        let documents = documents.filter_map(|(name, stored)| Some((name.to_string(), stored.meaning.as_ref().err()?)));
        documents.chain(self.strangers.iter().map(|(key, error)| (key.clone(), error)))
    }
}

impl Stored {
    fn of(store: &dyn Store, name: &Name, entry: &Entry) -> Self {
        let document = Document::decode(name, &entry.value);
        let meaning = document.as_ref().map_err(Clone::clone).and_then(|document| meaning(store, name, document));
        let mark = document.as_ref().map_or_else(|_| number(&entry.value), |document| mark(&document.body));
        Stored { revision: entry.revision, mark, document: document.ok(), meaning: meaning.map(Arc::new) }
    }
}

/// What tells a body from all others, as a number that is not 0.
pub(super) fn mark(body: &Body) -> u64 {
    match body {
        Body::Text { text } => number(text.as_bytes()),
        Body::Pieces { pieces, .. } => number(pieces.join("\n").as_bytes()),
    }
}

fn number(bytes: &[u8]) -> u64 {
    let digest = Sha1::digest(bytes);
    digest.first_chunk().map_or(1, |first| u64::from_be_bytes(*first).max(1))
}

/// What a document means.
pub(super) fn meaning(store: &dyn Store, name: &Name, document: &Document) -> Result<Meaning> {
    match &document.body {
        Body::Pieces { elements: Some(_), pieces } if name.kind == Kind::Set => Ok(Meaning::SetPieces(pieces.clone())),
        Body::Pieces { elements: Some(_), .. } => {
            Err(Error::failed(format!("{name} in the store")).cause("it has elements, and is no set"))
        }
        _ => Meaning::of_text(name, &pieces::whole(store, name, document)?),
    }
}
