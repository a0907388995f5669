//! How this node is, and how all nodes are.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use xdpilot_core::error::Result;

use super::answer::{Answer, json};
use super::forms::{Nodes, VERSION};
use super::serve::Api;
use crate::agent::report::Report;
use crate::store::Store;
use crate::stored::direct;

/// Who asks for the nodes waits so long for the first pass of this one.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The reports of all nodes, with the node's own, which may be on its way to the store.
///
/// # Errors
/// The store cannot be read.
pub(super) fn reports(store: &dyn Store, own: Option<&Report>) -> Result<Vec<Report>> {
    let mut reports = direct::reports(store)?;
    if let Some(own) = own.filter(|own| reports.iter().all(|report| report.node != own.node)) {
        reports.push(own.clone());
    }
    Ok(reports)
}

pub(super) async fn status(State(api): State<Arc<Api>>) -> Answer {
    Ok(json(&api.shared.status()))
}

pub(super) async fn nodes(State(api): State<Arc<Api>>) -> Answer {
    let own = api.shared.first_report(PATIENCE).await;
    // The reports come last: they know what was committed before.
    let reports = move |store: &dyn Store| Ok((direct::last(store)?, reports(store, own.as_deref())?));
    let (revision, nodes) = api.with_store(reports).await?;
    Ok(json(&Nodes { version: VERSION, revision, nodes }))
}
