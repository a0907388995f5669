//! The last state of a store that is elsewhere, on this node's disk: what goes on when the store is away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use xdpilot_core::error::{Error, Result};

use crate::documents::rollout::{ROLLOUT, Rollout};
use crate::documents::{DOCUMENTS, Document, Name, piece_keys};
use crate::store::embedded::Embedded;
use crate::store::{Change, Committed, Entry, Expected, Limits, Listing, Store, Watch};

/// The documents of a store, with their pieces.
#[derive(Debug)]
pub(super) struct Mirror {
    disk: Embedded,
    /// What the disk did not take: none for what is gone.
    unsaved: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
}

impl Mirror {
    /// Opens the file, and makes it where it is not there yet.
    ///
    /// # Errors
    /// The disk refuses, or another agent has it open.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Mirror { disk: Embedded::open(path)?, unsaved: Mutex::new(BTreeMap::new()) })
    }

    /// Takes over all documents of a store, and the pieces that they have; the disk's refusal, if it refuses.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn replace(&self, store: &dyn Store, entries: &[Entry]) -> Result<Option<Error>> {
        let known = self.list("")?.entries;
        let known: BTreeMap<&str, &[u8]> =
            known.iter().map(|entry| (entry.key.as_str(), entry.value.as_slice())).collect();
        let mut kept = BTreeSet::new();
        let mut changes = Vec::new();
        for entry in entries {
            kept.insert(entry.key.clone());
            if known.get(entry.key.as_str()) != Some(&entry.value.as_slice()) {
                changes.push(Change::Put { key: entry.key.clone(), value: entry.value.clone() });
            }
            let pieces = pieces(&entry.key, &entry.value);
            changes.extend(self.fetch(store, &pieces, |key| known.contains_key(key))?);
            kept.extend(pieces);
        }
        let gone = known.keys().filter(|key| !kept.contains(**key));
        changes.extend(gone.map(|key| Change::Delete { key: (*key).to_string() }));
        Ok(self.save(changes))
    }

    /// Takes over changes of documents, and the pieces that they have; the disk's refusal, if it refuses.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn follow(&self, store: &dyn Store, news: &[Change]) -> Result<Option<Error>> {
        let mut changes = Vec::new();
        // Pieces of a rollout become those of documents.
        let stay: BTreeSet<String> = news.iter().flat_map(pieces_of).collect();
        for change in news {
            let before = self.get(change.key())?.map(|entry| pieces(change.key(), &entry.value)).unwrap_or_default();
            let after = pieces_of(change);
            changes.extend(self.fetch(store, &after, |key| before.iter().any(|one| one == key))?);
            let gone = before.into_iter().filter(|key| !stay.contains(key));
            changes.extend(gone.map(|key| Change::Delete { key }));
            changes.push(change.clone());
        }
        Ok(self.save(last_of_each(changes)))
    }

    /// The pieces that are not known. One that is gone already belongs to a document that changed again since.
    fn fetch(&self, store: &dyn Store, keys: &[String], known: impl Fn(&str) -> bool) -> Result<Vec<Change>> {
        let missing: Vec<&String> = keys.iter().filter(|key| !known(key)).collect();
        let mut changes = Vec::new();
        if missing.len() > MANY {
            let wanted: BTreeSet<&str> = missing.iter().map(|key| key.as_str()).collect();
            let prefix = missing[0].rsplit_once('/').map_or("", |(folder, _)| folder);
            let found = store.list(&format!("{prefix}/"))?.entries;
            let found = found.into_iter().filter(|entry| wanted.contains(entry.key.as_str()));
            changes.extend(found.map(|entry| Change::Put { key: entry.key, value: entry.value }));
        } else {
            for key in missing {
                let found = store.get(key)?;
                changes.extend(found.map(|entry| Change::Put { key: entry.key, value: entry.value }));
            }
        }
        Ok(changes)
    }

    /// Puts changes on disk; in memory where it refuses, until it takes them.
    fn save(&self, changes: Vec<Change>) -> Option<Error> {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put { key, value } => unsaved.insert(key, Some(value)),
                Change::Delete { key } => unsaved.insert(key, None),
            };
        }
        if unsaved.is_empty() {
            return None;
        }
        let all: Vec<Change> = unsaved
            .iter()
            .map(|(key, value)| match value {
                Some(value) => Change::Put { key: key.clone(), value: value.clone() },
                None => Change::Delete { key: key.clone() },
            })
            .collect();
        match self.disk.commit(&[], &all) {
            Ok(_) => {
                unsaved.clear();
                None
            }
            Err(error) => Some(error),
        }
    }
}

/// More pieces than this are read at once.
const MANY: usize = 8;

/// The keys of the pieces of a document as a change leaves it.
fn pieces_of(change: &Change) -> Vec<String> {
    match change {
        Change::Put { key, value } => pieces(key, value),
        Change::Delete { .. } => Vec::new(),
    }
}

/// The keys of the pieces of a document.
fn pieces(key: &str, value: &[u8]) -> Vec<String> {
    if key == ROLLOUT {
        let entry = Entry { key: key.to_string(), value: value.to_vec(), revision: 0 };
        return Rollout::decode(&entry).map(|rollout| rollout.pieces()).unwrap_or_default();
    }
    let Some(name) = key.strip_prefix(DOCUMENTS).and(Name::of_key(key).ok()) else { return Vec::new() };
    Document::decode(&name, value).map(|document| piece_keys(&name, &document.body)).unwrap_or_default()
}

/// The changes without those of keys that change again.
fn last_of_each(changes: Vec<Change>) -> Vec<Change> {
    let mut seen = BTreeSet::new();
    let mut last: Vec<Change> =
        changes.into_iter().rev().filter(|change| seen.insert(change.key().to_string())).collect();
    last.reverse();
    last
}

impl Store for Mirror {
    fn list(&self, prefix: &str) -> Result<Listing> {
        let mut listing = self.disk.list(prefix)?;
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        listing.entries.retain(|entry| !unsaved.contains_key(&entry.key));
        let new = unsaved.iter().filter(|(key, _)| key.starts_with(prefix));
        let new = new.filter_map(|(key, value)| Some((key, value.as_ref()?)));
        listing.entries.extend(new.map(|(key, value)| Entry { key: key.clone(), value: value.clone(), revision: 0 }));
        listing.entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(listing)
    }

    fn get(&self, key: &str) -> Result<Option<Entry>> {
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        match unsaved.get(key) {
            Some(value) => Ok(value.clone().map(|value| Entry { key: key.to_string(), value, revision: 0 })),
            None => self.disk.get(key),
        }
    }

    fn commit(&self, _: &[Expected], _: &[Change]) -> Result<Committed> {
        Err(Error::failed(format!("change {}", self.name())).cause("it follows another store"))
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Box<dyn Watch>> {
        self.disk.watch(prefix, after)
    }

    fn limits(&self) -> Limits {
        self.disk.limits()
    }

    fn announce(&self, _: &str, _: &[u8], _: Duration) -> Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        self.disk.name()
    }
}
