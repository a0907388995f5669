//! The store on a cluster of etcd, 3.4 or later, for a fleet.
//!
//! All keys lie below the address's prefix. Revisions are etcd's, which grow with changes beside the prefix as well. One
//! member is asked for all; where it does not answer in time, the next one is.

pub mod access;
mod announce;
mod fault;
mod members;
mod runtime;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, ResponseHeader, Txn, TxnOp};
use xdpilot_core::error::Result;

use self::access::Access;
use self::announce::Leases;
use self::fault::{Fault, Why};
use self::members::Members;
use super::address::{Address, Etcd};
use super::{Change, Committed, Entry, Expected, Limits, Listing, Store, Watch, check_size};

/// Below etcd's own limits for a transaction, which are 128 changes and 1.5 MiB with all that is around them.
const LIMITS: Limits = Limits { changes: 128, bytes: 1 << 20 };

/// Bytes of a part of a listing that are aimed at, and those that are taken at most.
const PAGE: usize = 2 << 20;
const MESSAGE: usize = 16 << 20;
/// Entries of the first part of a listing, and of the largest one.
const ENTRIES: (i64, i64) = (32, 1024);
/// How often a listing begins anew because its revision was compacted meanwhile.
const LISTINGS: usize = 3;

/// What etcd is asked ends with an answer or a fault.
type Answer<T> = std::result::Result<T, Fault>;

/// A cluster of etcd.
pub struct Cluster {
    shared: Arc<Shared>,
}

/// What the requests of a cluster and its watches have in common.
struct Shared {
    members: Members,
    name: String,
    /// What all keys begin with: `PREFIX/`.
    prefix: String,
    leases: Leases,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster and how to get in. It is not asked anything yet: whether it is there, the first request tells.
    ///
    /// # Errors
    /// A file of `access` cannot be read or is not what it should be.
    pub fn open(address: &Etcd, access: &Access) -> Result<Self> {
        let name = Address::Etcd(address.clone()).to_string();
        let members = Members::new(address, access, &name)?;
        let prefix = format!("{}/", address.prefix);
        let shared = Arc::new(Shared { members, name, prefix, leases: Leases::default() });
        let checked = shared.clone();
        runtime::wait(async move { checked.members.check(&checked.name).await })??;
        Ok(Cluster { shared })
    }

    /// Runs requests, and says what was to be done where they fail.
    fn run<T, F>(&self, what: &str, requests: impl FnOnce(Arc<Shared>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let result = runtime::wait(requests(self.shared.clone()))?;
        result.map_err(|fault| fault.error(what, &self.shared.name, &self.shared.prefix))
    }
}

impl Shared {
    fn key(&self, key: &str) -> Vec<u8> {
        format!("{}{key}", self.prefix).into_bytes()
    }

    /// A key of etcd as the store names it. (Bytes that are no UTF-8 were not put there by this tool.)
    fn strip(&self, key: &[u8]) -> String {
        String::from_utf8_lossy(key.get(self.prefix.len()..).unwrap_or_default()).into_owned()
    }

    fn entry(&self, pair: KeyValue) -> Entry {
        let revision = unsigned(pair.mod_revision());
        let (key, value) = pair.into_key_value();
        Entry { key: self.strip(&key), value, revision }
    }

    async fn get(&self, key: &str) -> Answer<Option<KeyValue>> {
        let response = self.members.ask(|mut connection| {
            let key = self.key(key);
            async move { Ok(connection.client.get(key, None).await?) }
        });
        Ok(response.await?.take_kvs().pop())
    }

    async fn list(&self, prefix: &str) -> Answer<Listing> {
        for _ in 1..LISTINGS {
            match self.list_once(prefix).await {
                Err(fault) if fault.why == Why::Compacted => {}
                result => return result,
            }
        }
        self.list_once(prefix).await
    }

    /// Part after part, all at the revision of the first one.
    async fn list_once(&self, prefix: &str) -> Answer<Listing> {
        let (mut from, end) = (self.key(prefix), end_of(&self.key(prefix)));
        let mut listing = Listing::default();
        let mut limit = ENTRIES.0;
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(limit);
            let options = options.with_revision(signed(listing.revision));
            let part = self.members.ask(|connection| {
                let (from, options) = (from.clone(), options.clone());
                let mut client = connection.client.kv_client().max_decoding_message_size(MESSAGE);
                async move { Ok(client.get(from, Some(options)).await?) }
            });
            let mut part = match part.await {
                Err(fault) if fault.why == Why::Long && limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                part => part?,
            };
            if listing.revision == 0 {
                listing.revision = revision(part.header());
            }
            let more = part.more();
            let pairs = part.take_kvs();
            let bytes: usize = pairs.iter().map(|pair| pair.key().len() + pair.value().len()).sum();
            // Twice as many at most: what follows may be larger.
            let fit = i64::try_from(PAGE * pairs.len().max(1) / bytes.max(1)).unwrap_or(i64::MAX);
            limit = fit.min(limit * 2).clamp(1, ENTRIES.1);
            let last = pairs.last().map(|pair| pair.key().to_vec());
            listing.entries.extend(pairs.into_iter().map(|pair| self.entry(pair)));
            match last {
                Some(key) if more => from = [&key[..], b"\0"].concat(),
                _ => return Ok(listing),
            }
        }
    }

    async fn commit(&self, expected: &[Expected], changes: &[Change]) -> Answer<Committed> {
        let compares: Vec<Compare> = expected
            .iter()
            .map(|Expected { key, revision }| Compare::mod_revision(self.key(key), CompareOp::Equal, signed(*revision)))
            .collect();
        let changes: Vec<TxnOp> = changes
            .iter()
            .map(|change| match change {
                Change::Put { key, value } => TxnOp::put(self.key(key), value.clone(), None),
                Change::Delete { key } => TxnOp::delete(self.key(key), None),
            })
            .collect();
        let response = self.members.ask_once(|mut connection| {
            let transaction = Txn::new().when(compares.clone()).and_then(changes.clone());
            async move { Ok(connection.client.txn(transaction).await?) }
        });
        let response = response.await?;
        Ok(if response.succeeded() { Committed::Done(revision(response.header())) } else { Committed::Conflict })
    }
}

impl Store for Cluster {
    fn list(&self, prefix: &str) -> Result<Listing> {
        let below = prefix.to_string();
        self.run(&format!("list {prefix:?} in"), |shared| async move { shared.list(&below).await })
    }

    fn get(&self, key: &str) -> Result<Option<Entry>> {
        let wanted = key.to_string();
        self.run(&format!("read {key:?} in"), |shared| async move {
            Ok(shared.get(&wanted).await?.map(|pair| shared.entry(pair)))
        })
    }

    fn commit(&self, expected: &[Expected], changes: &[Change]) -> Result<Committed> {
        check_size(LIMITS, expected, changes)?;
        let what = match changes {
            [change] => format!("change {:?} in", change.key()),
            changes => format!("make {} changes in", changes.len()),
        };
        let (expected, changes) = (expected.to_vec(), changes.to_vec());
        self.run(&what, |shared| async move { shared.commit(&expected, &changes).await })
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Box<dyn Watch>> {
        let below = prefix.to_string();
        let watch = self
            .run(&format!("watch {prefix:?} in"), |shared| async move { watch::begin(shared, &below, after).await })?;
        Ok(Box::new(watch))
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn announce(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        let (announced, value) = (key.to_string(), value.to_vec());
        self.run(&format!("announce {key:?} in"), |shared| async move { shared.announce(&announced, value, ttl).await })
    }

    fn name(&self) -> String {
        self.shared.name.clone()
    }
}

/// The first key behind all those that begin with this one.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    // The last byte is below 255: it is a slash, or one of UTF-8.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

fn revision(header: Option<&ResponseHeader>) -> u64 {
    header.map_or(0, |header| unsigned(header.revision()))
}

fn unsigned(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
