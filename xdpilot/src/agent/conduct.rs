//! The end of a rollout: all nodes get it, or none keeps it. Each of its nodes sees to that.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use xdpilot_core::error::Result;

use super::follow::Reach;
use super::log::{Level, log};
use super::report::{Report, RolloutState};
use crate::documents::change;
use crate::documents::rollout::Rollout;
use crate::store::Store;
use crate::stored::direct::NODES;

/// A node whose agent is gone for so long when this one is through does not come back in time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a node asks for.
#[derive(Debug)]
pub(super) enum Ask {
    /// It is not well with the rollout: why.
    Halt(Rollout, String),
    /// It is well with it, and has been for its time, since then.
    Promote(Rollout, Instant),
}

/// Does what is asked for, until nobody asks any more. What fails is asked for again.
pub(super) fn conduct(reach: &Reach, asks: &Receiver<Ask>) {
    while let Ok(ask) = asks.recv() {
        let done = reach.store().and_then(|store| match &ask {
            Ask::Halt(rollout, why) => halt(&*store, rollout, why),
            Ask::Promote(rollout, since) => promote(&*store, rollout, *since),
        });
        if let Err(error) = done {
            log(Level::Warning, "a rollout cannot be ended", &[("why", &error.to_string())]);
        }
    }
}

fn halt(store: &dyn Store, rollout: &Rollout, why: &str) -> Result<()> {
    if Rollout::halt(store, Some(&rollout.id), why)?.is_some() {
        log(Level::Warning, "rollout halted", &[("rollout", &rollout.id), ("why", why)]);
    }
    Ok(())
}

/// Gives the rollout to all nodes if all that have it are well.
fn promote(store: &dyn Store, rollout: &Rollout, since: Instant) -> Result<()> {
    let entries = store.list(NODES)?.entries;
    let reports: Vec<Report> = entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect();
    for node in &rollout.nodes {
        let report = reports.iter().find(|report| report.node == *node);
        let state = report.and_then(|report| report.rollout.as_ref()).filter(|one| one.id == rollout.id);
        match (report, state.map(|state| state.state)) {
            (_, Some(RolloutState::Baked)) => {}
            (None, _) if since.elapsed() > PATIENCE => {
                return halt(store, rollout, &format!("node {node} is gone"));
            }
            _ => return Ok(()),
        }
    }
    match change::promote(store, rollout) {
        Ok(_) => log(Level::Info, "rollout is for all nodes now", &[("rollout", &rollout.id)]),
        // Another node did it, or its documents are other ones now.
        Err(error) => halt(store, rollout, &format!("it cannot be given to all nodes: {error}"))?,
    }
    Ok(())
}
