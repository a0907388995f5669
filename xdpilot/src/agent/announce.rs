//! A node's report in the store, as long as its agent lives.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::follow::Reach;
use super::report::Report;

/// A node is gone from the store so long after its agent is.
pub(super) const LIFE: Duration = Duration::from_secs(30);
/// Between two tries to reach a store.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// Between two reports of a node at least so much time goes by, so much more for each of its places, and so many times as
/// long as the report took: the last one counts. One that comes after a rest is stored at once. So a node where hundreds of
/// containers start does not write all of them again with each, and a store that is slow, since all nodes of a large fleet
/// report at once, gets fewer.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_OF_PLACE: Duration = Duration::from_millis(1);
const SHARE: u32 = 10;

/// Puts each report into the store, and the last one again and again, until there are no more to come.
pub(super) fn announce(reach: &Reach, reports: &Receiver<Arc<Report>>) {
    let Ok(mut last) = reports.recv() else { return };
    loop {
        while let Ok(newer) = reports.try_recv() {
            last = newer;
        }
        let key = format!("{}{}", crate::stored::direct::NODES, last.node);
        // Strings and numbers always have a JSON form.
        let value = serde_json::to_vec(&*last).unwrap_or_default();
        let begin = Instant::now();
        let done = reach.store().and_then(|store| store.announce(&key, &value, LIFE));
        // That the store is away is told by who follows it.
        let (next, pause) = match done {
            Ok(()) => (LIFE / 3, pause(last.attached.len(), begin.elapsed())),
            Err(_) => (AGAIN, AGAIN),
        };
        match reports.recv_timeout(next) {
            Ok(newer) => last = newer,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        std::thread::sleep(pause.saturating_sub(begin.elapsed()));
    }
}

/// From the begin of a report with so many places that took so long to the begin of the next.
fn pause(places: usize, took: Duration) -> Duration {
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    (PAUSE + PAUSE_OF_PLACE.saturating_mul(places)).max(took.saturating_mul(SHARE)).min(LIFE / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reports_and_slow_stores_get_longer_pauses() {
        let ms = Duration::from_millis;
        for (places, took, expected) in [
            (1, ms(2), ms(101)),
            (500, ms(5), ms(600)),
            (500, ms(200), ms(2_000)),
            (1, ms(60_000), LIFE / 3),
            (usize::MAX, Duration::MAX, LIFE / 3),
        ] {
            assert_eq!(pause(places, took), expected, "{places} {took:?}");
        }
    }
}
