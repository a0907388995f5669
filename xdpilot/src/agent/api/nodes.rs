//! How this node is, and how all nodes are.

use std::sync::Arc;

use axum::extract::State;

use super::answer::{Answer, json};
use super::forms::{Nodes, VERSION};
use super::serve::Api;
use crate::stored::direct;

pub(super) async fn status(State(api): State<Arc<Api>>) -> Answer {
    Ok(json(&api.shared.status()))
}

pub(super) async fn nodes(State(api): State<Arc<Api>>) -> Answer {
    // The reports come last: they know what was committed before.
    let (revision, nodes) = api.with_store(|store| Ok((direct::last(store)?, direct::reports(store)?))).await?;
    Ok(json(&Nodes { version: VERSION, revision, nodes }))
}
