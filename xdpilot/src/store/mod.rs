//! Stores: keys with values and revisions, changed in atomic commits, and watched.
//!
//! What the values mean is not known here; [`crate::documents`] knows.

mod address;
pub mod embedded;
pub mod etcd;
mod queue;

use std::collections::HashSet;
use std::time::Duration;

use xdpilot_core::error::{Error, Result};

pub use address::{Address, Etcd};
use etcd::Cluster;
use etcd::access::Access;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, below the store's prefix: `policy/edge`.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The revision of the commit that put it there, from 1.
    pub revision: u64,
}

/// Entries as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their keys.
    pub entries: Vec<Entry>,
    /// The store's revision then: a watch after it misses nothing.
    pub revision: u64,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key holds this value.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// The key is gone.
    Delete {
        /// The key.
        key: String,
    },
}

impl Change {
    /// The key that changes.
    pub fn key(&self) -> &str {
        match self {
            Change::Put { key, .. } | Change::Delete { key } => key,
        }
    }

    /// Bytes that it takes on its way.
    pub fn size(&self) -> usize {
        match self {
            Change::Put { key, value } => key.len() + value.len(),
            Change::Delete { key } => key.len(),
        }
    }
}

/// What a commit relies on: the revision of a key's entry; 0 where the key must not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The key.
    pub key: String,
    /// The entry's revision.
    pub revision: u64,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it is stored, as this revision.
    Done(u64),
    /// Nothing is: an entry is not the expected one.
    Conflict,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// What one commit, or several in a row, changed. No commit is split, none is missing before it.
    Changes {
        /// The revision of the last one.
        revision: u64,
        /// In order.
        changes: Vec<Change>,
    },
    /// The history since the last news is gone: list again, and watch from there. The store can be reached, but nothing
    /// more comes from this watch.
    Lost,
    /// The store cannot be reached: why. The watch goes on by itself when it can.
    Away(String),
    /// The store can be reached again, and nothing is missing.
    Back,
}

/// What fits into one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Changes, and as many expected entries.
    pub changes: usize,
    /// Bytes of keys and values together, with the keys of what is expected.
    pub bytes: usize,
}

/// A store. All revisions are of the store as a whole, and grow with each commit that changes something.
///
/// Errors of all methods: the store cannot be reached or does not let this user in, or its disk is full. A commit that
/// ended with an error is stored whole or not at all; which of both, the expected entries of the next try tell.
pub trait Store: Send + Sync {
    /// The entries whose keys begin with `prefix`.
    ///
    /// # Errors
    /// As said for all.
    fn list(&self, prefix: &str) -> Result<Listing>;

    /// The entry of a key.
    ///
    /// # Errors
    /// As said for all.
    fn get(&self, key: &str) -> Result<Option<Entry>>;

    /// Makes all changes, or none where an entry is not the expected one. No key stands in two changes. When it returns
    /// they are on disk (for a cluster: on those of its majority). That a key is gone which was not there is no change:
    /// no watch tells of it, and a commit without any change leaves the revision as it is.
    ///
    /// # Errors
    /// As said for all; and it is larger than [`Store::limits`].
    fn commit(&self, expected: &[Expected], changes: &[Change]) -> Result<Committed>;

    /// Tells of the commits after a revision that change keys which begin with `prefix`. A store that does not keep what
    /// was before, or was put back to an earlier state, tells [`News::Lost`].
    ///
    /// # Errors
    /// As said for all; that the store is away later is [`News::Away`].
    fn watch(&self, prefix: &str, after: u64) -> Result<Box<dyn Watch>>;

    /// What fits into one commit.
    fn limits(&self) -> Limits;

    /// Puts a value that is gone `ttl` after this was called last, if this process ends: the sign that a node is alive.
    /// Call it every third of `ttl`, with the same value or another one. (A cluster counts whole seconds, two at least;
    /// in an embedded store the value is gone when the file is opened the next time.)
    ///
    /// # Errors
    /// As said for all.
    fn announce(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()>;

    /// The store as it is named behind `--store`, without passwords.
    fn name(&self) -> String;
}

/// News of a store, in order.
pub trait Watch: Send {
    /// The next news; none where there is none in time, and none, after that time, where [`News::Lost`] ended the watch.
    fn next(&mut self, timeout: Duration) -> Option<News>;
}

/// Opens the store of an address. A cluster is not asked anything yet, so that an agent can begin while it is away.
///
/// # Errors
/// The file cannot be opened; what the environment says of users and certificates is wrong.
pub fn open(address: &Address) -> Result<Box<dyn Store>> {
    match address {
        Address::Embedded(path) => Ok(Box::new(embedded::Embedded::open(path)?)),
        Address::Etcd(cluster) => Ok(Box::new(Cluster::open(cluster, &Access::from_environment()?)?)),
    }
}

/// Refuses a commit that is larger than a store takes, or changes a key twice.
fn check_size(limits: Limits, expected: &[Expected], changes: &[Change]) -> Result<()> {
    let bytes: usize = changes.iter().map(Change::size).chain(expected.iter().map(|entry| entry.key.len())).sum();
    let what = format!("store {} changes of {bytes} bytes at once", changes.len());
    if changes.len() > limits.changes || expected.len() > limits.changes || bytes > limits.bytes {
        return Err(Error::usage(what).cause(format!(
            "the store takes at most {} changes of {} bytes in one commit",
            limits.changes, limits.bytes
        )));
    }
    let mut keys = HashSet::with_capacity(changes.len());
    match changes.iter().find(|change| !keys.insert(change.key())) {
        None => Ok(()),
        Some(change) => Err(Error::usage(what).cause(format!("the key {:?} changes twice", change.key()))),
    }
}
