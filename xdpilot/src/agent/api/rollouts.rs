//! The change that some nodes have before the others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use xdpilot_core::error::Error;

use super::answer::{Answer, json};
use super::body;
use super::caller::{Caller, Peer};
use super::documents::edits;
use super::forms::{Edits, RolloutForm, Rollouts, Staging, VERSION};
use super::nodes::{PATIENCE, reports};
use super::serve::Api;
use crate::documents::rollout::Rollout;
use crate::store::Store;
use crate::stored::direct;

/// A rollout takes a day at most.
const LONGEST: u64 = 86_400;

pub(super) async fn show(State(api): State<Arc<Api>>) -> Answer {
    Ok(answer(api.with_store(direct::rollout).await?.as_ref()))
}

pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(peer): Extension<Peer>,
    content: Body,
) -> Answer {
    // This node is one of those that are chosen from.
    let own = api.shared.first_report(PATIENCE).await;
    let _gate = peer.gate.bodies.acquire().await;
    let Staging { edits: forms, share, bake_seconds } = body::parse(&body::bytes(content).await?)?;
    if !(1..=100).contains(&share) || !(1..=LONGEST).contains(&bake_seconds) {
        let cause = format!("share is 1 to 100, bake_seconds 1 to {LONGEST}");
        return Err(Error::usage("begin a rollout").cause(cause).into());
    }
    let edits = edits(Edits { edits: forms })?;
    let bake = Duration::from_secs(bake_seconds);
    let stage = move |store: &dyn Store| {
        let reports = reports(store, own.as_deref())?;
        direct::stage(store, &reports, &edits, (share, bake), &caller.name)
    };
    let begun = api.with_store(stage).await?;
    Ok(answer(Some(&begun)))
}

pub(super) async fn halt(State(api): State<Arc<Api>>, Extension(caller): Extension<Caller>) -> Answer {
    Ok(answer(api.with_store(move |store| direct::halt(store, &caller.name)).await?.as_ref()))
}

fn answer(rollout: Option<&Rollout>) -> axum::response::Response {
    json(&Rollouts { version: VERSION, rollout: rollout.map(RolloutForm::of) })
}
