//! The client of the story: asks both servers, again and again, and counts what comes of it.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::{dns, web};

/// How long a request waits for its answer. Within one machine answers take far less than a millisecond.
const TIMEOUT: Duration = Duration::from_millis(300);
/// The name that is asked for.
const NAME: &str = "cat.example";

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server's answer.
    Answered,
    /// The client's own packet.
    Returned,
    /// Nothing in time.
    Lost,
}

/// How often each outcome was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Requests answered by the server.
    pub(super) answered: u32,
    /// Requests that came back themselves.
    pub(super) returned: u32,
    /// Requests that nothing came back for.
    pub(super) lost: u32,
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered => self.answered += 1,
            Outcome::Returned => self.returned += 1,
            Outcome::Lost => self.lost += 1,
        }
    }

    /// How many came back in one way or the other.
    pub(super) fn came_back(&self) -> u32 {
        self.answered + self.returned
    }
}

/// One request to each server at the same time: the outcome of HTTP, and of DNS.
///
/// `number` marks the DNS query. Runs in the calling thread's network namespace.
pub(super) fn both(server: IpAddr, number: u16) -> (Outcome, Outcome) {
    thread::scope(|scope| {
        let page = thread::Builder::new().spawn_scoped(scope, || web::get(SocketAddr::new(server, 80), TIMEOUT));
        let dns = match dns::ask(SocketAddr::new(server, 53), NAME, number, TIMEOUT) {
            Ok(dns::Reply::Address(_)) => Outcome::Answered,
            Ok(dns::Reply::OwnQuery) => Outcome::Returned,
            Err(_) => Outcome::Lost,
        };
        let http = match page.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(Ok(page))) if page == web::CAT_TEXT => Outcome::Answered,
            _ => Outcome::Lost,
        };
        (http, dns)
    })
}
