//! What nodes find out about backends, in the store as long as their agents live.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};

use super::announce::{AGAIN, LIFE};
use super::follow::{LOOK, Reach};
use crate::pools::health::panel::{Opinions, Panel};
use crate::store::{Change, News};

/// Where nodes say it.
const HEALTH: &str = "health/";
/// Between two things that a node says at least so much time goes by: the last one counts.
const PAUSE: Duration = Duration::from_millis(100);

/// Says what this node finds out, as long as anything is shared.
pub(super) fn tell(reach: &Reach, node: &str, panel: &Panel, end: &AtomicBool) {
    let key = format!("{HEALTH}{node}");
    let (mut last, mut said) = (Opinions::default(), None::<Instant>);
    while !end.load(Ordering::Relaxed) {
        let now = panel.says(LOOK);
        let due = said.is_some_and(|said| said.elapsed() >= LIFE / 3) && panel.is_used();
        if now == last && !due {
            continue;
        }
        // Strings and truth values always have a JSON form.
        let value = serde_json::to_vec(&now).unwrap_or_default();
        match reach.store().and_then(|store| store.announce(&key, &value, LIFE)) {
            Ok(()) => (last, said) = (now, Some(Instant::now())),
            // That the store is away is told by who follows its documents.
            Err(_) => thread::sleep(AGAIN),
        }
        thread::sleep(PAUSE);
    }
}

/// Hears what others find out, as long as anything is shared.
pub(super) fn hear(reach: &Reach, panel: &Panel, end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        if !panel.is_used() {
            thread::sleep(LOOK);
        } else if session(reach, panel, end).is_err() {
            // Nothing is heard until the next one.
            panel.hear_all(BTreeMap::new());
            thread::sleep(AGAIN);
        }
    }
}

/// From a listing until the store does not know any more what was since, or nothing is shared; an error where it is away.
fn session(reach: &Reach, panel: &Panel, end: &AtomicBool) -> Result<()> {
    let store = reach.store()?;
    let listing = store.list(HEALTH)?;
    let mut watch = store.watch(HEALTH, listing.revision)?;
    let said = listing.entries.iter().filter_map(|entry| Some((node(&entry.key), parse(&entry.value)?)));
    panel.hear_all(said.collect());
    while panel.is_used() && !end.load(Ordering::Relaxed) {
        match watch.next(LOOK) {
            None | Some(News::Back) => {}
            Some(News::Lost) => break,
            Some(News::Away(why)) => return Err(Error::failed("hear other nodes").cause(why)),
            Some(News::Changes { changes, .. }) => {
                for change in changes {
                    match change {
                        Change::Put { key, value } => panel.hear(&node(&key), parse(&value)),
                        Change::Delete { key } => panel.hear(&node(&key), None),
                    }
                }
            }
        }
    }
    Ok(())
}

fn node(key: &str) -> String {
    key.strip_prefix(HEALTH).unwrap_or(key).to_string()
}

/// What cannot be read is as if it was not said: anybody may write to a store.
fn parse(value: &[u8]) -> Option<Opinions> {
    serde_json::from_slice(value).ok()
}
