//! Whether the agent is alive.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::answer::{Answer, json};
use super::serve::Api;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// `reached`, or `away`: the last state is in force then.
    store: &'static str,
}

pub(super) async fn health(State(api): State<Arc<Api>>) -> Answer {
    let store = if api.shared.is_away() { "away" } else { "reached" };
    Ok(json(&Health { status: "ok", store }))
}
