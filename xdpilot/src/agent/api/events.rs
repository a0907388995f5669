//! Server-sent events: what changes, and rates.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use xdpilot_core::error::Error;

use super::answer::{Answer, Refusal};
use super::caller::Peer;
use super::counters::{PolicyRates, Sampler};
use super::documents::said;
use super::serve::Api;
use super::shared::Event;
use crate::when;

const EVENTS: [&str; 3] = ["documents", "report", "rates"];
/// Between two events of rates.
const SECOND: Duration = Duration::from_secs(1);
/// A stream says something at least so often, so that a dead one is found out.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// `documents,report,rates`, or some of them.
    only: Option<String>,
}

/// That a listener was too slow.
#[derive(Serialize)]
struct Lost {
    events: u64,
}

#[derive(Serialize)]
struct Rates {
    time: String,
    interval: Option<f64>,
    policies: Vec<PolicyRates>,
}

pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    query: Result<Query<Which>, QueryRejection>,
) -> Answer {
    let only = said(query)?.only;
    let wanted: BTreeSet<String> = match only {
        Some(words) => words.split(',').map(ToString::to_string).collect(),
        None => EVENTS.iter().map(ToString::to_string).collect(),
    };
    if let Some(other) = wanted.iter().find(|word| !EVENTS.contains(&word.as_str())) {
        let cause = format!("there are {}", EVENTS.join(", "));
        return Err(Error::usage(format!("events {other:?}")).cause(cause).into());
    }
    let Ok(permit) = peer.gate.streams.clone().try_acquire_owned() else {
        let error = Error::failed("begin a stream of events").cause("as many as there may be are open");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error));
    };
    let shared = &api.shared;
    // Listening begins before the report is read, so that none is missed between.
    let news = shared.news.subscribe();
    let rates = wanted.contains("rates").then(|| shared.rates.subscribe());
    let first = shared.report().map(|report| Event::new("report", &*report));
    let news = stream::iter(first).chain(received(news));
    let news = news.filter(move |event| std::future::ready(wanted.contains(event.name) || event.name == "lost"));
    let rates = stream::iter(rates).flat_map(received);
    let all = held(stream::select(Box::pin(news), rates), permit);
    let sent = all.map(|event| Ok::<_, Infallible>(Sent::default().event(event.name).data(&*event.data)));
    Ok(Sse::new(sent).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// What a channel tells, to its end.
fn received(channel: Receiver<Event>) -> impl Stream<Item = Event> + Unpin {
    Box::pin(stream::unfold(channel, |mut channel| async move {
        let event = match channel.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(events)) => Event::new("lost", &Lost { events }),
            Err(RecvError::Closed) => return None,
        };
        Some((event, channel))
    }))
}

/// A stream that gives back its place when it ends.
fn held(events: impl Stream<Item = Event>, permit: OwnedSemaphorePermit) -> impl Stream<Item = Event> {
    events.map(move |event| {
        let _held = &permit;
        event
    })
}

/// Tells rates each second, as long as somebody listens.
pub(super) async fn rates(api: Arc<Api>) {
    let mut ticks = interval(SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sampler: Option<Sampler> = None;
    loop {
        ticks.tick().await;
        if api.shared.rates.receiver_count() == 0 {
            sampler = None;
            continue;
        }
        let Some(report) = api.shared.report() else { continue };
        let mut sampling = sampler.take().unwrap_or_default();
        let sampled = api
            .with_kernel(move || {
                let (interval, policies) = sampling.rates(&report)?;
                Ok((sampling, Rates { time: when::rfc3339(SystemTime::now()), interval, policies }))
            })
            .await;
        // What cannot be read now may be in a second.
        if let Ok((sampling, rates)) = sampled {
            sampler = Some(sampling);
            _ = api.shared.rates.send(Event::new("rates", &rates));
        }
    }
}
