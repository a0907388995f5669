//! The last state of a store that is elsewhere, on this node's disk: what goes on when the store is away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};

use crate::documents::rollout::{ROLLOUT, Rollout};
use crate::documents::{DOCUMENTS, Document, Name, piece_keys};
use crate::store::embedded::{Embedded, is_open_elsewhere};
use crate::store::{Change, Committed, Entry, Expected, Limits, Listing, Store, Watch};

/// The documents of a store, with their pieces.
#[derive(Debug)]
pub(super) struct Mirror {
    path: PathBuf,
    /// None while the disk is of no use: then all is in memory.
    disk: Mutex<Option<Embedded>>,
    /// What is not on disk: none for what is gone.
    unsaved: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
    /// Pieces that a document had, and since when it has them no more.
    left: Mutex<Vec<(Instant, String)>>,
}

/// So long pieces are kept that no document has any more: a pass over documents as they were may still be at work.
const LEFT: Duration = Duration::from_secs(60);

impl Mirror {
    /// Opens the file, and makes it where it is not there yet. Where the disk refuses, that is tried again with each
    /// change: a node must not be without its policies because its disk is full.
    ///
    /// # Errors
    /// Another agent has it open.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let disk = match Embedded::open(path) {
            Err(error) if is_open_elsewhere(&error) => return Err(error),
            disk => disk.ok(),
        };
        let (unsaved, left) = (Mutex::default(), Mutex::default());
        Ok(Mirror { path: path.to_owned(), disk: Mutex::new(disk), unsaved, left })
    }

    /// Reads from the disk; the default where it is of no use.
    ///
    /// # Errors
    /// It failed now: what was on it has to be taken over anew.
    fn read<T: Default>(&self, read: impl FnOnce(&Embedded) -> Result<T>) -> Result<T> {
        let mut disk = lock(&self.disk);
        let result = disk.as_ref().map_or_else(|| Ok(T::default()), read);
        if result.is_err() {
            *disk = None;
        }
        result
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
        for key in known.keys().filter(|key| !kept.contains(**key)).map(|key| (*key).to_string()) {
            if key.starts_with(DOCUMENTS) {
                changes.push(Change::Delete { key });
            } else {
                self.leave(key);
            }
        }
        Ok(self.save(changes))
    }

    /// Takes over changes of documents, and the pieces that they have; the disk's refusal, if it refuses.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn follow(&self, store: &dyn Store, news: &[Change]) -> Result<Option<Error>> {
        let mut changes = Vec::new();
        for change in news {
            let before = self.get(change.key())?.map(|entry| pieces(change.key(), &entry.value)).unwrap_or_default();
            let after = pieces_of(change);
            changes.extend(self.fetch(store, &after, |key| before.iter().any(|one| one == key))?);
            before.into_iter().filter(|key| !after.contains(key)).for_each(|key| self.leave(key));
            changes.push(change.clone());
        }
        let mut unsaved = self.save(last_of_each(changes));
        let over = self.over()?;
        if !over.is_empty() {
            unsaved = self.save(over);
        }
        Ok(unsaved)
    }

    /// A piece goes later.
    fn leave(&self, key: String) {
        let mut left = lock(&self.left);
        if !left.iter().any(|(_, other)| *other == key) {
            left.push((Instant::now(), key));
        }
    }

    /// The pieces that go now: their time is over, and no document or rollout has them.
    fn over(&self) -> Result<Vec<Change>> {
        let mut left = lock(&self.left);
        if left.iter().all(|(since, _)| since.elapsed() <= LEFT) {
            return Ok(Vec::new());
        }
        let documents = self.list(DOCUMENTS)?.entries;
        let used: BTreeSet<String> = documents.iter().flat_map(|entry| pieces(&entry.key, &entry.value)).collect();
        let (over, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *left).into_iter().partition(|(since, _)| since.elapsed() > LEFT);
        *left = kept;
        let over = over.into_iter().map(|(_, key)| key).filter(|key| !used.contains(key));
        Ok(over.map(|key| Change::Delete { key }).collect())
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
        let mut disk = lock(&self.disk);
        let mut unsaved = lock(&self.unsaved);
        for change in changes {
            match change {
                Change::Put { key, value } => unsaved.insert(key, Some(value)),
                Change::Delete { key } => unsaved.insert(key, None),
            };
        }
        if unsaved.is_empty() {
            return None;
        }
        match self.write(&mut disk, &mut unsaved) {
            Ok(()) => {
                unsaved.clear();
                None
            }
            Err(error) => Some(error),
        }
    }

    fn write(&self, disk: &mut Option<Embedded>, unsaved: &mut BTreeMap<String, Option<Vec<u8>>>) -> Result<()> {
        let file = match disk.take() {
            Some(file) => file,
            None => {
                let file = Embedded::open(&self.path)?;
                // All that is known is in memory: what the file says besides is no longer so.
                for entry in file.list("")?.entries {
                    unsaved.entry(entry.key).or_insert(None);
                }
                file
            }
        };
        let all: Vec<Change> = unsaved
            .iter()
            .map(|(key, value)| match value {
                Some(value) => Change::Put { key: key.clone(), value: value.clone() },
                None => Change::Delete { key: key.clone() },
            })
            .collect();
        let written = file.commit(&[], &all);
        *disk = Some(file);
        written.map(drop)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut listing = self.read(|disk| disk.list(prefix))?;
        let unsaved = lock(&self.unsaved);
        listing.entries.retain(|entry| !unsaved.contains_key(&entry.key));
        let new = unsaved.iter().filter(|(key, _)| key.starts_with(prefix));
        let new = new.filter_map(|(key, value)| Some((key, value.as_ref()?)));
        listing.entries.extend(new.map(|(key, value)| Entry { key: key.clone(), value: value.clone(), revision: 0 }));
        listing.entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(listing)
    }

    fn get(&self, key: &str) -> Result<Option<Entry>> {
        if let Some(value) = lock(&self.unsaved).get(key) {
            return Ok(value.clone().map(|value| Entry { key: key.to_string(), value, revision: 0 }));
        }
        self.read(|disk| disk.get(key))
    }

    fn commit(&self, _: &[Expected], _: &[Change]) -> Result<Committed> {
        Err(Error::failed(format!("change {}", self.name())).cause("it follows another store"))
    }

    fn watch(&self, _: &str, _: u64) -> Result<Box<dyn Watch>> {
        Err(Error::failed(format!("watch {}", self.name())).cause("it follows another store"))
    }

    fn limits(&self) -> Limits {
        Limits { changes: 0, bytes: 0 }
    }

    fn announce(&self, _: &str, _: &[u8], _: Duration) -> Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        format!("redb:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Change {
        Change::Put { key: key.to_string(), value: value.as_bytes().to_vec() }
    }

    fn keys(store: &dyn Store) -> Vec<String> {
        store.list("").unwrap().entries.into_iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn a_disk_that_is_of_no_use_keeps_nobody_from_following() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let pieces = "{\"schema\":1,\"version\":1,\"changed\":1,\"by\":\"\",\"elements\":1,\"pieces\":[\"a\"]}";
        store.commit(&[], &[put("documents/set/bad", pieces), put("pieces/set/bad/a", "192.0.2.1")]).unwrap();
        let path = folder.path().join("state/mirror");
        {
            let before = Mirror::open(&path).unwrap();
            before.follow(&store, &[put("documents/policy/old", "policy old {}")]).unwrap();
        }
        let away = folder.path().join("away");
        std::fs::rename(folder.path().join("state"), &away).unwrap();
        std::fs::write(folder.path().join("state"), "").unwrap();
        let mirror = Mirror::open(&path).unwrap();
        assert!(mirror.replace(&store, &store.list(DOCUMENTS).unwrap().entries).unwrap().is_some());
        let all = ["documents/set/bad", "pieces/set/bad/a"];
        assert_eq!(keys(&mirror), all);
        assert!(mirror.get("pieces/set/bad/a").unwrap().is_some());
        // It is back, with what it had once.
        std::fs::remove_file(folder.path().join("state")).unwrap();
        std::fs::rename(&away, folder.path().join("state")).unwrap();
        let change = put("documents/policy/edge", "policy edge {}");
        assert_eq!(mirror.follow(&store, &[change]).unwrap(), None);
        assert_eq!(keys(&mirror), ["documents/policy/edge", all[0], all[1]]);
        assert!(Mirror::open(&path).is_err(), "another agent has it open");
        drop(mirror);
        assert_eq!(keys(&Mirror::open(&path).unwrap()), ["documents/policy/edge", all[0], all[1]]);
    }

    #[test]
    fn pieces_of_the_version_before_stay_for_who_still_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let set = |id: &str| {
            let value = format!(
                "{{\"schema\":1,\"version\":1,\"changed\":1,\"by\":\"\",\"elements\":1,\"pieces\":[\"{id}\"]}}"
            );
            [put("documents/set/bad", &value), put(&format!("pieces/set/bad/{id}"), "192.0.2.1")]
        };
        let mirror = Mirror::open(&folder.path().join("mirror")).unwrap();
        for id in ["a", "b"] {
            store.commit(&[], &set(id)).unwrap();
            assert_eq!(mirror.follow(&store, &set(id)[..1]).unwrap(), None);
        }
        assert!(mirror.get("pieces/set/bad/a").unwrap().is_some());
        lock(&mirror.left)[0].0 -= LEFT * 2;
        mirror.follow(&store, &set("b")[..1]).unwrap();
        assert_eq!(keys(&mirror), ["documents/set/bad", "pieces/set/bad/b"]);
    }
}
