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
    let own = api.shared.first_report().await;
    // The reports come last: they know what was committed before.
    let (revision, mut nodes) = api.with_store(|store| Ok((direct::last(store)?, direct::reports(store)?))).await?;
    // The first one is on its way to the store.
    if let Some(own) = own.filter(|own| nodes.iter().all(|node| node.node != own.node)) {
        nodes.push((*own).clone());
    }
    Ok(json(&Nodes { version: VERSION, revision, nodes }))
}
