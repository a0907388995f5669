//! Follows a store, and tells what its documents are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};

use super::mirror::Mirror;
use crate::documents::{DOCUMENTS, Snapshot, identify};
use crate::store::{Address, News, Store, open};

/// What is told of a store.
#[derive(Debug)]
pub(super) enum Told {
    /// The documents as they are now.
    Documents(Box<Snapshot>),
    /// The store is away: why.
    Away(String),
    /// It is back.
    Back,
    /// The node's disk does not take the last state: why.
    Unsaved(String),
}

/// The pauses between tries to reach a store: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];
/// How often the end is looked for while there are no news.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// A store that is reached when it can be.
pub(super) struct Reach {
    address: Address,
    store: Mutex<Option<Arc<dyn Store>>>,
}

impl Reach {
    /// Nothing is reached yet.
    pub(super) fn new(address: Address, store: Option<Arc<dyn Store>>) -> Self {
        Reach { address, store: Mutex::new(store) }
    }

    /// The store.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(super) fn store(&self) -> Result<Arc<dyn Store>> {
        let mut known = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*known {
            return Ok(store.clone());
        }
        let store: Arc<dyn Store> = open(&self.address)?.into();
        *known = Some(store.clone());
        Ok(store)
    }
}

/// Follows the documents until `end`; `tell` takes what is to be told, and says whether somebody still listens.
pub(super) fn follow(reach: &Reach, mirror: Option<&Mirror>, end: &AtomicBool, tell: &dyn Fn(Told) -> bool) {
    let mut pause = PAUSES[0];
    let mut away = false;
    while !end.load(Ordering::Relaxed) {
        let begin = Instant::now();
        match session(reach, mirror, end, tell, &mut away) {
            Ok(()) => {}
            Err(error) => {
                if !away && !tell(Told::Away(error.to_string())) {
                    return;
                }
                away = true;
            }
        }
        pause = if begin.elapsed() > PAUSES[1] { PAUSES[0] } else { (pause * 2).min(PAUSES[1]) };
        rest(pause, end);
    }
}

fn rest(pause: Duration, end: &AtomicBool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !end.load(Ordering::Relaxed) {
        thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
}

/// From a listing to the end, or to the next listing.
fn session(
    reach: &Reach,
    mirror: Option<&Mirror>,
    end: &AtomicBool,
    tell: &dyn Fn(Told) -> bool,
    away: &mut bool,
) -> Result<()> {
    let store = reach.store()?;
    identify(&*store)?;
    let listing = store.list(DOCUMENTS)?;
    let mut watch = store.watch(DOCUMENTS, listing.revision)?;
    let unsaved = mirror.map_or(Ok(None), |mirror| mirror.replace(&*store, &listing.entries))?;
    let source: &dyn Store = mirror.map_or(&*store, |mirror| mirror);
    let mut snapshot = Snapshot::of(source, listing);
    if std::mem::take(away) && !tell(Told::Back) {
        return Ok(());
    }
    let mut go_on = told(tell, &snapshot, unsaved);
    while go_on && !end.load(Ordering::Relaxed) {
        match watch.next(LOOK) {
            None => {}
            Some(News::Lost) => return Ok(()),
            Some(News::Away(why)) => {
                *away = true;
                go_on = tell(Told::Away(why));
            }
            Some(News::Back) => {
                *away = false;
                go_on = tell(Told::Back);
            }
            Some(News::Changes { revision, changes }) => {
                let unsaved = mirror.map_or(Ok(None), |mirror| mirror.follow(&*store, &changes))?;
                snapshot.follow(source, revision, changes);
                go_on = told(tell, &snapshot, unsaved);
            }
        }
    }
    Ok(())
}

fn told(tell: &dyn Fn(Told) -> bool, snapshot: &Snapshot, unsaved: Option<Error>) -> bool {
    let said = unsaved.is_none_or(|error| tell(Told::Unsaved(error.to_string())));
    said && tell(Told::Documents(Box::new(snapshot.clone())))
}
