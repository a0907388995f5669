//! A node's report in the store, as long as its agent lives.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::follow::Reach;
use super::report::Report;

/// A node is gone from the store so long after its agent is.
const LIFE: Duration = Duration::from_secs(30);
/// Between two reports of a node at least so much time goes by: the last one counts.
const PAUSE: Duration = Duration::from_millis(100);

/// Puts each report into the store, and the last one again and again, until there are no more to come.
pub(super) fn announce(reach: &Reach, reports: &Receiver<Report>) {
    let Ok(mut last) = reports.recv() else { return };
    loop {
        while let Ok(newer) = reports.try_recv() {
            last = newer;
        }
        let begin = Instant::now();
        let key = format!("{}{}", crate::stored::direct::NODES, last.node);
        // Strings and numbers always have a JSON form.
        let value = serde_json::to_vec(&last).unwrap_or_default();
        let done = reach.store().and_then(|store| store.announce(&key, &value, LIFE));
        // That the store is away is told by who follows it.
        let next = if done.is_ok() { LIFE / 3 } else { Duration::from_secs(1) };
        match reports.recv_timeout(next) {
            Ok(newer) => last = newer,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        std::thread::sleep(PAUSE.saturating_sub(begin.elapsed()));
    }
}
