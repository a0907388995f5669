//! The client of the story: visits the service all the time, each time on a new connection, and counts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::namespace::Namespace;

use super::super::web;
use super::count::Count;
use super::stage::{CATS, SERVICE};

/// So many visit at the same time.
const VISITORS: usize = 4;
/// One's next visit begins so long after the one before, at least.
const PACE: Duration = Duration::from_millis(8);
/// How long a visitor waits for the page: long enough that TCP sends again what is lost once.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Visitors at work, until this is dropped.
pub(super) struct Visitors {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

/// What was seen until now.
#[derive(Default)]
struct Seen {
    /// In each period; the last one is now.
    periods: Vec<Count>,
    /// Why the last request was lost.
    last_loss: Option<String>,
}

impl Visitors {
    /// Begins the visits from this namespace.
    ///
    /// Errors: a thread cannot be started.
    pub(super) fn start(client: &Namespace) -> Result<Visitors> {
        let shared = Arc::<Shared>::default();
        shared.seen().periods.push(Count::default());
        let mut visitors = Visitors { shared, threads: Vec::new() };
        for _ in 0..VISITORS {
            let (shared, namespace) = (Arc::clone(&visitors.shared), client.try_clone()?);
            let visit = move || {
                // Where the namespace cannot be entered nothing is counted, and the act fails.
                let _ = namespace.run(|| shared.visit());
            };
            let thread = thread::Builder::new().name("visitor".into()).spawn(visit);
            visitors.threads.push(thread.map_err(|error| Error::failed("start a visitor").kernel(error.to_string()))?);
        }
        Ok(visitors)
    }

    /// Counts anew from now on. An answer belongs to the period in which it was asked for, a loss to that in which it was
    /// noticed.
    pub(super) fn begin_period(&self) {
        self.shared.seen().periods.push(Count::default());
    }

    /// What was counted in the last periods, so many.
    pub(super) fn last(&self, periods: usize) -> Count {
        self.shared.seen().periods.iter().rev().take(periods).copied().sum()
    }

    /// What was counted at all.
    pub(super) fn total(&self) -> Count {
        self.last(usize::MAX)
    }

    /// Why a request was lost last.
    pub(super) fn last_loss(&self) -> Option<String> {
        self.shared.seen().last_loss.clone()
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic there was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Visits until it is to stop.
    fn visit(&self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            let period = self.seen().periods.len() - 1;
            let answer = web::name(SocketAddr::V4(SERVICE), TIMEOUT);
            self.seen().add(period, answer.map_err(|error| error.to_string()));
            thread::sleep(PACE.saturating_sub(begin.elapsed()));
        }
        Ok(())
    }
}

impl Seen {
    fn add(&mut self, period: usize, answer: std::result::Result<String, String>) {
        let known = answer.and_then(|name| {
            CATS.iter().position(|cat| *cat == name).ok_or_else(|| format!("{name} answered, which is no cat"))
        });
        match known {
            Ok(cat) => self.periods[period].answered[cat] += 1,
            Err(why) => {
                self.periods.last_mut().into_iter().for_each(|now| now.lost += 1);
                self.last_loss = Some(why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_belong_to_their_request_and_losses_to_now() {
        let mut seen = Seen { periods: vec![Count::default(); 2], ..Seen::default() };
        seen.add(0, Ok("cat2".to_owned()));
        seen.add(0, Err("refused".to_owned()));
        seen.add(1, Ok("dog".to_owned()));
        assert_eq!(seen.periods, [Count { answered: [0, 1, 0], lost: 0 }, Count { answered: [0; 3], lost: 2 },]);
        assert_eq!(seen.last_loss.as_deref(), Some("dog answered, which is no cat"));
    }
}
