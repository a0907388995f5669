//! The checks of a pool at a place, shared with other nodes.

use std::collections::HashMap;
use std::sync::Arc;

use super::panel::Panel;

/// A pool's part in a panel, until this is dropped.
#[derive(Debug)]
pub(super) struct Shared {
    panel: Arc<Panel>,
    pool: String,
    /// The number of this place.
    place: u64,
    /// What was found out here: whether a backend is well, and why not.
    own: HashMap<String, (bool, Option<String>)>,
}

impl Shared {
    /// The pool takes part; nodes with the same words mean the same pool, checked in the same way.
    pub(super) fn new(panel: &Arc<Panel>, pool: &str) -> Self {
        let place = panel.join(pool);
        Shared { panel: panel.clone(), pool: pool.to_string(), place, own: HashMap::new() }
    }

    /// Whether a backend is checked here.
    pub(super) fn checks(&mut self, backend: &str) -> bool {
        let checks = self.panel.checks(&self.pool, backend);
        if !checks {
            self.own.remove(backend);
            self.panel.note(&self.pool, self.place, backend, None);
        }
        checks
    }

    /// The pool has no other backends than these.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        let Shared { panel, pool, place, own } = self;
        own.retain(|backend, _| {
            let stays = is_there(backend);
            if !stays {
                panel.note(pool, *place, backend, None);
            }
            stays
        });
    }

    /// Whether a backend was well when it was checked here last.
    pub(super) fn own(&self, backend: &str) -> Option<bool> {
        self.own.get(backend).map(|(well, _)| *well)
    }

    /// A backend was checked here.
    pub(super) fn found(&mut self, backend: &str, well: bool, why: Option<String>) {
        self.own.insert(backend.to_string(), (well, why));
        self.panel.note(&self.pool, self.place, backend, Some(well));
    }

    /// Whether a backend is well, as far as anybody says so, and why not.
    pub(super) fn verdict(&self, backend: &str) -> Option<(bool, String)> {
        let well = self.panel.verdict(&self.pool, backend)?;
        let own = self.own.get(backend).and_then(|(_, why)| why.clone());
        Some((well, own.unwrap_or_else(|| "other nodes say so".to_string())))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.panel.leave(&self.pool, self.place);
    }
}
