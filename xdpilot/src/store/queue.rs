//! News on their way from a store to whoever watches it: a queue that takes a bounded number of bytes.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Change, News, Watch};

/// Bytes that wait at most. A greater commit has to wait until nothing else does.
const ROOM: usize = 16 << 20;

/// The store's end.
#[derive(Debug)]
pub(super) struct Teller {
    tell: Sender<(News, usize)>,
    room: Arc<Semaphore>,
}

/// The watcher's end.
#[derive(Debug)]
pub(super) struct Told {
    told: Receiver<(News, usize)>,
    room: Arc<Semaphore>,
}

/// What became of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They are in the queue.
    Told,
    /// There is no room for them.
    Full,
    /// Nobody watches any more.
    Closed,
}

/// A queue with nothing in it.
pub(super) fn queue() -> (Teller, Told) {
    let (tell, told) = mpsc::channel();
    let room = Arc::new(Semaphore::new(ROOM));
    (Teller { tell, room: room.clone() }, Told { told, room })
}

/// Room that news take; nothing for those that have to be told in any case.
fn size(news: &News) -> usize {
    match news {
        News::Changes { changes, .. } => changes.iter().map(Change::size).sum::<usize>().clamp(1, ROOM),
        News::Lost | News::Away(_) | News::Back => 0,
    }
}

impl Teller {
    /// Tells where there is room.
    pub(super) fn try_tell(&self, news: News) -> Outcome {
        let size = size(&news);
        match self.room.try_acquire_many(u32::try_from(size).unwrap_or(u32::MAX)) {
            Ok(room) => room.forget(),
            Err(_) if self.is_closed() => return Outcome::Closed,
            Err(_) => return Outcome::Full,
        }
        self.send(news, size)
    }

    /// Tells as soon as there is room.
    pub(super) async fn tell(&self, news: News) -> Outcome {
        let size = size(&news);
        match self.room.acquire_many(u32::try_from(size).unwrap_or(u32::MAX)).await {
            Ok(room) => room.forget(),
            Err(_) => return Outcome::Closed,
        }
        self.send(news, size)
    }

    fn send(&self, news: News, size: usize) -> Outcome {
        if self.tell.send((news, size)).is_ok() { Outcome::Told } else { Outcome::Closed }
    }

    /// Whether nobody watches any more.
    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }
}

impl Watch for Told {
    fn next(&mut self, timeout: Duration) -> Option<News> {
        match self.told.recv_timeout(timeout) {
            Ok((news, size)) => {
                self.room.add_permits(size);
                Some(news)
            }
            Err(RecvTimeoutError::Timeout) => None,
            // Nothing comes any more. Whoever asks in a loop is not to turn in it without a pause.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(timeout);
                None
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(bytes: usize) -> News {
        News::Changes { revision: 1, changes: vec![Change::Put { key: "k".into(), value: vec![0; bytes - 1] }] }
    }

    #[test]
    fn takes_what_there_is_room_for() {
        let (teller, mut told) = queue();
        assert_eq!(teller.try_tell(news(2 * ROOM)), Outcome::Told, "more than there is room, but alone");
        assert_eq!(teller.try_tell(news(1)), Outcome::Full);
        assert_eq!(teller.try_tell(News::Lost), Outcome::Told, "takes no room");
        assert!(matches!(told.next(Duration::ZERO), Some(News::Changes { .. })));
        assert_eq!(teller.try_tell(news(1)), Outcome::Told);
        drop(told);
        assert!(teller.is_closed());
        assert_eq!(teller.try_tell(news(1)), Outcome::Closed);
    }
}
