//! What nodes find out about backends, in the store as long as their agents live.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot_core::error::Result;

use super::follow::Reach;
use crate::pools::health::panel::{Opinions, Panel};
use crate::store::{Change, News};

/// Where nodes say it.
const HEALTH: &str = "health/";
/// What a node said is gone so long after its agent is.
const LIFE: Duration = Duration::from_secs(30);
/// Between two things that a node says at least so much time goes by: the last one counts.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether anything is shared, and whether it is the end.
const LOOK: Duration = Duration::from_millis(500);
/// Between two tries to reach a store.
const AGAIN: Duration = Duration::from_secs(1);

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
        if panel.is_used() {
            // Whatever ended it, nothing is heard until the next one.
            _ = session(reach, panel, end);
            panel.alone();
            thread::sleep(AGAIN);
        } else {
            thread::sleep(LOOK);
        }
    }
}

/// From a listing until the store is away or does not know any more what was since.
fn session(reach: &Reach, panel: &Panel, end: &AtomicBool) -> Result<()> {
    let store = reach.store()?;
    let listing = store.list(HEALTH)?;
    let mut watch = store.watch(HEALTH, listing.revision)?;
    listing.entries.iter().for_each(|entry| heard(panel, &entry.key, Some(&entry.value)));
    while panel.is_used() && !end.load(Ordering::Relaxed) {
        match watch.next(LOOK) {
            None | Some(News::Back) => {}
            Some(News::Lost | News::Away(_)) => break,
            Some(News::Changes { changes, .. }) => {
                for change in changes {
                    match change {
                        Change::Put { key, value } => heard(panel, &key, Some(&value)),
                        Change::Delete { key } => heard(panel, &key, None),
                    }
                }
            }
        }
    }
    Ok(())
}

/// What cannot be read is as if it was not said: anybody may write to a store.
fn heard(panel: &Panel, key: &str, value: Option<&[u8]>) {
    let said = value.and_then(|value| serde_json::from_slice(value).ok());
    panel.hear(key.strip_prefix(HEALTH).unwrap_or(key), said);
}
