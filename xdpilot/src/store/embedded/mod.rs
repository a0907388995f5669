//! The store in one file of this machine: redb, which survives that its process is killed at any moment.

mod file;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use file::is_open_elsewhere;
use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};
use xdpilot_core::error::Result;

use super::queue::{self, Teller, queue};
use super::{Change, Committed, Entry, Expected, Limits, Listing, News, Store, Watch, check_size};

/// Keys to revisions and values.
const ENTRIES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("entries");
/// Keys that are gone when the process is.
const ANNOUNCED: TableDefinition<'_, &str, ()> = TableDefinition::new("announced");
/// Numbers of the whole store.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";

/// What redb says.
type Outcome<T> = std::result::Result<T, Trouble>;

/// redb's error, which is large.
#[derive(Debug)]
struct Trouble(Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Trouble(Box::new(error.into()))
    }
}

const LIMITS: Limits = Limits { changes: 1 << 20, bytes: 1 << 30 };

/// The store in a file. One process has it open at a time; that is the one that tells of changes.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None after the disk failed: the next use opens it anew.
    database: Option<Database>,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    prefix: String,
    teller: Teller,
}

impl Embedded {
    /// Opens the file, and makes it where it is not there yet.
    ///
    /// # Errors
    /// Another process has it open, it is no store, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let database = file::open(path)?;
        let store = Embedded {
            path: path.to_owned(),
            state: Mutex::new(State { database: Some(database), watchers: Vec::new() }),
        };
        store.forget_announced()?;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that died in it left the file whole: commits are.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs with the file open; closes it where the disk failed.
    fn with<T>(&self, state: &mut State, run: impl FnOnce(&Database) -> Outcome<T>) -> Result<T> {
        let database = match state.database.take() {
            Some(database) => database,
            None => file::open(&self.path)?,
        };
        let result = run(&database);
        if result.is_ok() {
            state.database = Some(database);
        }
        result.map_err(|error| file::failed("use", &self.path, error))
    }

    /// What the process before announced is not so any more.
    fn forget_announced(&self) -> Result<()> {
        let mut state = self.lock();
        let keys = self.with(&mut state, |database| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(ANNOUNCED)?;
            let keys = table.iter()?.map(|entry| Ok(entry?.0.value().to_string()));
            keys.collect::<Outcome<Vec<_>>>()
        })?;
        if keys.is_empty() {
            return Ok(());
        }
        let changes: Vec<Change> = keys.into_iter().map(|key| Change::Delete { key }).collect();
        self.write(&mut state, &[], &changes, false).map(drop)
    }

    fn write(&self, state: &mut State, expected: &[Expected], changes: &[Change], announce: bool) -> Result<Committed> {
        let made = self.with(state, |database| {
            let transaction = database.begin_write()?;
            let made = apply(&transaction, expected, changes, announce)?;
            match &made {
                Made::Changes(_, made) if !made.is_empty() => transaction.commit()?,
                _ => transaction.abort()?,
            }
            Ok(made)
        })?;
        match made {
            Made::Conflict => Ok(Committed::Conflict),
            Made::Changes(revision, changes) => {
                state.tell(revision, &changes);
                Ok(Committed::Done(revision))
            }
        }
    }
}

/// What a transaction did that is committed or not by the caller.
enum Made<'c> {
    /// Nothing: an entry is not the expected one.
    Conflict,
    /// The store's revision after it, and the changes without those that change nothing.
    Changes(u64, Vec<&'c Change>),
}

/// Makes the changes in a transaction.
fn apply<'c>(
    transaction: &WriteTransaction,
    expected: &[Expected],
    changes: &'c [Change],
    announce: bool,
) -> Outcome<Made<'c>> {
    let mut entries = transaction.open_table(ENTRIES)?;
    for Expected { key, revision } in expected {
        if entries.get(key.as_str())?.map_or(0, |entry| entry.value().0) != *revision {
            return Ok(Made::Conflict);
        }
    }
    let mut numbers = transaction.open_table(NUMBERS)?;
    let before = numbers.get(REVISION)?.map_or(0, |number| number.value());
    let mut announced = transaction.open_table(ANNOUNCED)?;
    let mut made = Vec::with_capacity(changes.len());
    for change in changes {
        if make(change, before + 1, &mut entries)? {
            made.push(change);
        }
        match change {
            Change::Put { key, .. } if announce => announced.insert(key.as_str(), ())?,
            change => announced.remove(change.key())?,
        };
    }
    if made.is_empty() {
        return Ok(Made::Changes(before, made));
    }
    numbers.insert(REVISION, before + 1)?;
    Ok(Made::Changes(before + 1, made))
}

/// Makes a change; whether it is one.
fn make(change: &Change, revision: u64, entries: &mut Table<'_, &str, (u64, &[u8])>) -> Outcome<bool> {
    match change {
        Change::Put { key, value } => {
            entries.insert(key.as_str(), (revision, value.as_slice()))?;
            Ok(true)
        }
        Change::Delete { key } => Ok(entries.remove(key.as_str())?.is_some()),
    }
}

/// The store's revision.
fn revision(database: &Database) -> Outcome<u64> {
    Ok(database.begin_read()?.open_table(NUMBERS)?.get(REVISION)?.map_or(0, |number| number.value()))
}

impl State {
    fn tell(&mut self, revision: u64, changes: &[&Change]) {
        self.watchers.retain(|Watcher { prefix, teller }| {
            let changes = changes.iter().filter(|change| change.key().starts_with(prefix.as_str()));
            let changes: Vec<Change> = changes.map(|change| (*change).clone()).collect();
            if changes.is_empty() {
                return !teller.is_closed();
            }
            match teller.try_tell(News::Changes { revision, changes }) {
                queue::Outcome::Told => true,
                queue::Outcome::Closed => false,
                // It does not keep up. What it missed is in the next listing.
                queue::Outcome::Full => {
                    teller.try_tell(News::Lost);
                    false
                }
            }
        });
    }
}

impl Store for Embedded {
    fn list(&self, prefix: &str) -> Result<Listing> {
        self.with(&mut self.lock(), |database| {
            let transaction = database.begin_read()?;
            let revision = transaction.open_table(NUMBERS)?.get(REVISION)?.map_or(0, |number| number.value());
            let mut entries = Vec::new();
            for entry in transaction.open_table(ENTRIES)?.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                let (revision, value) = value.value();
                entries.push(Entry { key: key.value().to_string(), value: value.to_vec(), revision });
            }
            Ok(Listing { entries, revision })
        })
    }

    fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.with(&mut self.lock(), |database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            Ok(table.get(key)?.map(|entry| {
                let (revision, value) = entry.value();
                Entry { key: key.to_string(), value: value.to_vec(), revision }
            }))
        })
    }

    fn commit(&self, expected: &[Expected], changes: &[Change]) -> Result<Committed> {
        check_size(LIMITS, expected, changes)?;
        self.write(&mut self.lock(), expected, changes, false)
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Box<dyn Watch>> {
        let mut state = self.lock();
        let revision = self.with(&mut state, revision)?;
        let (teller, told) = queue();
        state.watchers.retain(|watcher| !watcher.teller.is_closed());
        if after == revision {
            state.watchers.push(Watcher { prefix: prefix.to_string(), teller });
        } else {
            // Past commits are not kept; those to come are not of a file that was put back to what it was once.
            teller.try_tell(News::Lost);
        }
        Ok(Box::new(told))
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn announce(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<()> {
        let changes = [Change::Put { key: key.to_string(), value: value.to_vec() }];
        check_size(LIMITS, &[], &changes)?;
        let mut state = self.lock();
        let there = self.with(&mut state, |database| {
            let transaction = database.begin_read()?;
            let entry = transaction.open_table(ENTRIES)?.get(key)?;
            Ok(entry.is_some_and(|entry| entry.value().1 == value)
                && transaction.open_table(ANNOUNCED)?.get(key)?.is_some())
        })?;
        if there { Ok(()) } else { self.write(&mut state, &[], &changes, true).map(drop) }
    }

    fn name(&self) -> String {
        format!("redb:{}", self.path.display())
    }
}
