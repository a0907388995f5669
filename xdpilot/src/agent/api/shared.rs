//! What the loop of the agent tells the API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::forms::{Status, VERSION};
use crate::agent::follow::{Reach, Told};
use crate::agent::node::Node;
use crate::agent::report::Report;
use crate::documents::{Name, Snapshot};

/// News that a slow listener may be behind.
const NEWS: usize = 256;
const RATES: usize = 4;

/// An event, as all listeners get it.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// JSON.
    pub(super) data: Arc<str>,
}

impl Event {
    pub(super) fn new(name: &'static str, data: &impl Serialize) -> Self {
        // Strings and numbers always have a JSON form.
        Event { name, data: serde_json::to_string(data).unwrap_or_default().into() }
    }
}

/// What the loop and the API share.
pub(in crate::agent) struct Shared {
    pub(super) node: Node,
    /// The store, as it is named behind `--store`.
    store: String,
    /// The way to it.
    pub(super) reach: Arc<Reach>,
    facts: Mutex<Facts>,
    /// Whether there is a report, or none is to be waited for, since the store is away.
    begun: watch::Sender<bool>,
    pub(super) news: broadcast::Sender<Event>,
    pub(super) rates: broadcast::Sender<Event>,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) report: Option<Arc<Report>>,
    /// The revision of the documents that were seen last.
    pub(super) revision: u64,
    /// The documents, with their revisions and versions.
    documents: BTreeMap<Name, (u64, Option<u64>)>,
    away: Option<String>,
    pub(super) passes: u64,
    /// Passes after which something was not as it should be.
    pub(super) failed: u64,
}

/// The event that documents have changed.
#[derive(Serialize)]
struct Changed {
    revision: u64,
    changed: Vec<ChangedOne>,
    deleted: Vec<Name>,
}

#[derive(Serialize)]
struct ChangedOne {
    #[serde(flatten)]
    name: Name,
    version: Option<u64>,
}

impl Shared {
    /// Nothing is known yet.
    pub(in crate::agent) fn new(node: Node, store: String, reach: Arc<Reach>) -> Arc<Self> {
        let (news, rates) = (broadcast::channel(NEWS).0, broadcast::channel(RATES).0);
        let begun = watch::Sender::new(false);
        Arc::new(Shared { node, store, reach, facts: Mutex::default(), begun, news, rates })
    }

    /// Takes note of news of the store.
    pub(in crate::agent) fn told(&self, told: &Told) {
        match told {
            Told::Documents(snapshot) => self.documents(snapshot),
            Told::Away(why) => {
                self.lock().away = Some(why.clone());
                self.begun.send_replace(true);
            }
            Told::Back => {
                let mut facts = self.lock();
                facts.away = None;
                self.begun.send_replace(facts.report.is_some());
            }
            Told::Unsaved(_) => {}
        }
    }

    /// Takes note of a pass, and whether all policies were in force after it.
    pub(in crate::agent) fn passed(&self, well: bool) {
        let mut facts = self.lock();
        facts.passes += 1;
        facts.failed += u64::from(!well);
    }

    /// Takes note of what the node is like now.
    pub(in crate::agent) fn reported(&self, report: &Arc<Report>) {
        self.lock().report = Some(report.clone());
        self.begun.send_replace(true);
        self.tell(|| Event::new("report", &**report));
    }

    fn documents(&self, snapshot: &Snapshot) {
        let now: BTreeMap<Name, (u64, Option<u64>)> = snapshot
            .documents
            .iter()
            .map(|(name, stored)| {
                let version = stored.document.as_ref().map(|document| document.version);
                (name.clone(), (stored.revision, version))
            })
            .collect();
        let mut facts = self.lock();
        facts.revision = snapshot.revision;
        let before = std::mem::replace(&mut facts.documents, now.clone());
        drop(facts);
        self.tell(|| {
            let other = now.iter().filter(|(name, stored)| before.get(name) != Some(stored));
            let changed = other.map(|(name, (_, version))| ChangedOne { name: name.clone(), version: *version });
            let deleted = before.keys().filter(|name| !now.contains_key(name)).cloned();
            let (changed, deleted) = (changed.collect(), deleted.collect());
            Event::new("documents", &Changed { revision: snapshot.revision, changed, deleted })
        });
    }

    fn tell(&self, event: impl FnOnce() -> Event) {
        if self.news.receiver_count() > 0 {
            // The last listener may be gone by now.
            _ = self.news.send(event());
        }
    }

    /// What is known now.
    pub(super) fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// How the node is after its first pass, which is waited for; none where that takes long, or the store is away.
    pub(super) async fn first_report(&self, patience: Duration) -> Option<Arc<Report>> {
        // The sender lives as long as this does.
        _ = timeout(patience, self.begun.subscribe().wait_for(|begun| *begun)).await;
        self.report()
    }

    /// How the node is.
    pub(super) fn report(&self) -> Option<Arc<Report>> {
        self.lock().report.clone()
    }

    /// Whether the store cannot be reached.
    pub(in crate::agent) fn is_away(&self) -> bool {
        self.lock().away.is_some()
    }

    pub(super) fn status(&self) -> Status {
        let facts = self.lock();
        Status {
            version: VERSION,
            store: self.store.clone(),
            away: facts.away.clone(),
            node: facts.report.as_deref().cloned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
