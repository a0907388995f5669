//! Watching keys of a cluster: from one member to the next, without a commit that is missing, told twice or split.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::proto::PbWatchResponse;
use etcd_client::{WatchOptions, WatchStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::fault::{Fault, Why};
use super::members::Connection;
use super::{Answer, MESSAGE, Shared, revision, runtime, signed, unsigned};
use crate::random;
use crate::store::queue::{Outcome, Teller, Told, queue};
use crate::store::{Change, News, Watch};

/// After this time without news the member is asked whether it is still there, and has as long to answer.
const QUIET: Duration = Duration::from_secs(2);
/// Pauses between tries to reach the cluster, the first and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// A watch that ended sooner was no success.
const SHORT: Duration = Duration::from_secs(1);
/// etcd's event type for a key that is gone (`mvccpb.Event.DELETE`).
const DELETE: i32 = 1;
/// etcd's words for what a user may not do.
const DENIED: &str = "permission denied";

/// A watch. It ends with its value.
pub(super) struct Followed {
    told: Told,
    task: AbortHandle,
}

impl Watch for Followed {
    fn next(&mut self, timeout: Duration) -> Option<News> {
        self.told.next(timeout)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a watch is at.
struct Follower {
    shared: Arc<Shared>,
    below: Vec<u8>,
    /// The last commit that was told, or the one that the watch begins after.
    last: u64,
    /// The cluster's number: another one has another history.
    cluster: Option<u64>,
    /// Changes of commits that are not here as a whole, with their revisions.
    parts: Vec<(u64, Change)>,
    teller: Teller,
}

/// A watch of one member.
struct Stream {
    stream: WatchStream,
    connection: Connection,
}

/// How a watch of one member ends.
enum End {
    /// The history is gone.
    Lost,
    /// Nobody watches any more.
    Closed,
    /// The member does not tell any more.
    Fault(Fault),
}

/// Begins to watch.
pub(super) async fn begin(shared: Arc<Shared>, prefix: &str, after: u64) -> Answer<Followed> {
    let (teller, told) = queue();
    let below = shared.key(prefix);
    let mut follower = Follower { shared, below, last: after, cluster: None, parts: Vec::new(), teller };
    let stream = match follower.begin().await {
        Ok(stream) => Some(stream),
        Err(End::Fault(fault)) => return Err(fault),
        Err(End::Lost | End::Closed) => None,
    };
    let Ok(runtime) = runtime::runtime() else { return Err(Fault::new(Why::Other, "no threads")) };
    let task = runtime.spawn(async move {
        match stream {
            Some(stream) => follower.run(stream).await,
            None => _ = follower.teller.tell(News::Lost).await,
        }
    });
    Ok(Followed { told, task: task.abort_handle() })
}

impl Follower {
    async fn run(mut self, mut stream: Stream) {
        let mut pause = PAUSE.0;
        loop {
            let began = Instant::now();
            match self.read(&mut stream).await {
                End::Closed => return,
                End::Lost => {
                    self.teller.tell(News::Lost).await;
                    return;
                }
                End::Fault(_) => {}
            }
            self.parts.clear();
            self.shared.members.abandon(&stream.connection).await;
            if began.elapsed() < SHORT {
                sleep(jittered(pause)).await;
                pause = (pause * 2).min(PAUSE.1);
            } else {
                pause = PAUSE.0;
            }
            stream = match self.again().await {
                Some(stream) => stream,
                None => return,
            };
        }
    }

    /// Tries until a member lets it watch; none where the watch is over.
    async fn again(&mut self) -> Option<Stream> {
        let (mut pause, mut away) = (PAUSE.0, false);
        loop {
            match self.begin().await {
                Ok(stream) if !away => return Some(stream),
                Ok(stream) => return (self.teller.tell(News::Back).await == Outcome::Told).then_some(stream),
                Err(End::Fault(fault)) if !away => {
                    away = true;
                    let why = fault.error("watch", &self.shared.name, &self.shared.prefix).to_string();
                    if self.teller.tell(News::Away(why)).await == Outcome::Closed {
                        return None;
                    }
                }
                Err(End::Fault(_)) => {}
                Err(End::Lost) => {
                    self.teller.tell(News::Lost).await;
                    return None;
                }
                Err(End::Closed) => return None,
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Watches at the first member that lets it.
    async fn begin(&mut self) -> Result<Stream, End> {
        let last = self.last;
        let begun = self.shared.members.ask(|connection| {
            let (below, shared) = (self.below.clone(), self.shared.clone());
            async move { create(&shared, connection, below, last).await }
        });
        let begun = begun.await.map_err(|fault| {
            let denied = fault.why == Why::Stale && fault.words.contains(DENIED);
            End::Fault(if denied { Fault { why: Why::Denied, ..fault } } else { fault })
        });
        let (stream, cluster) = begun?.ok_or(End::Lost)?;
        if self.cluster.is_some_and(|before| before != cluster) {
            return Err(End::Lost);
        }
        self.cluster = Some(cluster);
        Ok(stream)
    }

    /// Tells what comes, until the member tells nothing any more.
    async fn read(&mut self, stream: &mut Stream) -> End {
        loop {
            let response = match message(&mut stream.stream).await {
                Ok(response) => response,
                Err(fault) => return End::Fault(fault),
            };
            stream.connection.hear();
            if response.canceled {
                return if response.compact_revision > 0 {
                    End::Lost
                } else {
                    End::Fault(Fault::told(&response.cancel_reason))
                };
            }
            if let Some(news) = self.take(response)
                && self.teller.tell(news).await == Outcome::Closed
            {
                return End::Closed;
            }
        }
    }

    /// The commits that are whole with what came now. etcd cuts long responses into parts, also within a commit.
    fn take(&mut self, response: PbWatchResponse) -> Option<News> {
        let whole = !response.fragment;
        for event in response.events {
            let Some(pair) = event.kv else { continue };
            let key = self.shared.strip(&pair.key);
            let change =
                if event.r#type == DELETE { Change::Delete { key } } else { Change::Put { key, value: pair.value } };
            self.parts.push((unsigned(pair.mod_revision), change));
        }
        let newest = self.parts.last()?.0;
        let end = if whole { self.parts.len() } else { self.parts.partition_point(|(revision, _)| *revision < newest) };
        let revision = self.parts.get(end.checked_sub(1)?)?.0;
        // What was told before is not told again, whatever etcd does.
        let changes = self.parts.drain(..end).filter(|(revision, _)| *revision > self.last);
        let changes: Vec<Change> = changes.map(|(_, change)| change).collect();
        self.last = self.last.max(revision);
        (!changes.is_empty()).then_some(News::Changes { revision, changes })
    }
}

/// Asks a member to tell of what comes after a revision; none where it cannot, since the history is gone. The cluster's
/// number comes with it.
async fn create(
    shared: &Shared,
    mut connection: Connection,
    below: Vec<u8>,
    last: u64,
) -> Answer<Option<(Stream, u64)>> {
    let options = WatchOptions::new().with_prefix().with_fragment().with_start_revision(signed(last.saturating_add(1)));
    let mut client = connection.client.watch_client().max_decoding_message_size(MESSAGE);
    let mut stream = client.watch(below, Some(options)).await?;
    let first = stream.message().await?.ok_or_else(closed)?;
    if first.compact_revision() > 0 {
        return Ok(None);
    }
    if first.canceled() {
        let fault = Fault::told(first.cancel_reason());
        // It says so as well to a user whom it has forgotten.
        return Err(if fault.why == Why::Denied { Fault { why: Why::Stale, ..fault } } else { fault });
    }
    if revision(first.header()) < last {
        // The member is behind, or the cluster was put back to what it was once. Reading waits for what is behind.
        let read = connection.client.get(shared.prefix.clone(), None).await?;
        if revision(read.header()) < last {
            return Ok(None);
        }
    }
    let cluster = first.header().map_or(0, |header| header.cluster_id());
    Ok(Some((Stream { stream, connection }, cluster)))
}

/// The next message of a watch, where the member is alive.
async fn message(stream: &mut WatchStream) -> Answer<PbWatchResponse> {
    let message = match timeout(QUIET, stream.message()).await {
        Ok(message) => message,
        Err(_) => {
            stream.request_progress().await?;
            let silent = |_| Fault::new(Why::Silent, format!("no answer in {} seconds", QUIET.as_secs()));
            timeout(QUIET, stream.message()).await.map_err(silent)?
        }
    };
    Ok(message?.ok_or_else(closed)?.0)
}

fn closed() -> Fault {
    Fault::new(Why::Unreachable, "the member ended the watch")
}

/// A pause, up to a half longer: nodes of a fleet do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    pause + pause.mul_f64(f64::from(u32::try_from(random::number() >> 32).unwrap_or(0)) / f64::from(u32::MAX) / 2.0)
}
