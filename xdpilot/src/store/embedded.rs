//! The store in one file of this machine: redb, which survives that its process is killed at any moment.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{Database, DatabaseError, ReadableTable, Table, TableDefinition, WriteTransaction};
use xdpilot_core::error::{Error, Kind, Result};

use super::{Change, Committed, Entry, Expected, Limits, Listing, News, Store, Watch, check_size};

/// Keys to revisions and values.
const ENTRIES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("entries");
/// Keys that are gone when the process is.
const ANNOUNCED: TableDefinition<'_, &str, ()> = TableDefinition::new("announced");
/// Numbers of the whole store.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";

/// What redb says.
type Outcome<T> = std::result::Result<T, redb::Error>;

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
    tell: Sender<News>,
}

impl Embedded {
    /// Opens the file, and makes it where it is not there yet.
    ///
    /// # Errors
    /// Another process has it open, it is no store, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let database = database(path)?;
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
            None => database(&self.path)?,
        };
        let result = run(&database);
        if result.is_ok() {
            state.database = Some(database);
        }
        result.map_err(|error| failed("use", &self.path, &error.to_string()))
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
        let committed = self.with(state, |database| {
            let transaction = database.begin_write()?;
            match apply(&transaction, expected, changes, announce)? {
                Committed::Conflict => transaction.abort()?,
                Committed::Done(revision) => {
                    transaction.commit()?;
                    return Ok(Committed::Done(revision));
                }
            }
            Ok(Committed::Conflict)
        })?;
        if let Committed::Done(revision) = committed {
            state.tell(revision, changes);
        }
        Ok(committed)
    }
}

/// The file, open, with its tables.
fn database(path: &Path) -> Result<Database> {
    let failed = |error: &dyn ToString| failed("open", path, &error.to_string());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    // Rules tell what a network's defences are.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => failed(&error).of_kind(Kind::NotPermitted),
        _ => failed(&error),
    })?;
    let database = Database::builder().create_file(file).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => Error::failed(format!("open the store {}", path.display()))
            .cause("another process has it open, an agent or a command that is not over yet")
            .mend("leave --store out where an agent runs: commands find it by its socket"),
        error => failed(&error),
    })?;
    let prepare = || -> Outcome<()> {
        let transaction = database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(ANNOUNCED)?;
        transaction.open_table(NUMBERS)?;
        transaction.commit()?;
        Ok(())
    };
    prepare().map_err(|error| failed(&error))?;
    Ok(database)
}

fn failed(what: &str, path: &Path, words: &str) -> Error {
    Error::failed(format!("{what} the store {}", path.display())).kernel(words)
}

/// Makes the changes in a transaction that is committed or not by the caller.
fn apply(
    transaction: &WriteTransaction,
    expected: &[Expected],
    changes: &[Change],
    announce: bool,
) -> Outcome<Committed> {
    let mut entries = transaction.open_table(ENTRIES)?;
    for Expected { key, revision } in expected {
        if entries.get(key.as_str())?.map_or(0, |entry| entry.value().0) != *revision {
            return Ok(Committed::Conflict);
        }
    }
    let mut numbers = transaction.open_table(NUMBERS)?;
    let revision = 1 + numbers.get(REVISION)?.map_or(0, |number| number.value());
    numbers.insert(REVISION, revision)?;
    let mut announced = transaction.open_table(ANNOUNCED)?;
    for change in changes {
        make(change, revision, &mut entries)?;
        match change {
            Change::Put { key, .. } if announce => announced.insert(key.as_str(), ())?,
            change => announced.remove(change.key())?,
        };
    }
    Ok(Committed::Done(revision))
}

fn make(change: &Change, revision: u64, entries: &mut Table<'_, &str, (u64, &[u8])>) -> Outcome<()> {
    match change {
        Change::Put { key, value } => entries.insert(key.as_str(), (revision, value.as_slice()))?,
        Change::Delete { key } => entries.remove(key.as_str())?,
    };
    Ok(())
}

impl State {
    fn tell(&mut self, revision: u64, changes: &[Change]) {
        self.watchers.retain(|watcher| {
            let changes: Vec<Change> =
                changes.iter().filter(|change| change.key().starts_with(&watcher.prefix)).cloned().collect();
            changes.is_empty() || watcher.tell.send(News::Changes { revision, changes }).is_ok()
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
        let revision = self.list("\u{10ffff}")?.revision;
        let mut state = self.lock();
        let (tell, news) = mpsc::channel();
        // Past commits are not kept. (One between the two locks above counts as past, which does no harm.)
        if after < revision {
            _ = tell.send(News::Lost);
        }
        state.watchers.push(Watcher { prefix: prefix.to_string(), tell });
        Ok(Box::new(Followed { news }))
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn announce(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<()> {
        if self.get(key)?.is_some_and(|entry| entry.value == value) {
            return Ok(());
        }
        let change = Change::Put { key: key.to_string(), value: value.to_vec() };
        self.write(&mut self.lock(), &[], &[change], true).map(drop)
    }

    fn name(&self) -> String {
        format!("redb:{}", self.path.display())
    }
}

struct Followed {
    news: Receiver<News>,
}

impl Watch for Followed {
    fn next(&mut self, timeout: Duration) -> Option<News> {
        match self.news.recv_timeout(timeout) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            // The store was closed; whoever watches it goes with it.
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}
