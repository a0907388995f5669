//! The health checks of the policies that stand.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use xdpilot_core::error::Result;

use super::diff::Key;
use super::log::{Level, log};
use super::reconcile::Reconciler;
use crate::place::Place;
use crate::pools::health::panel::Panel;
use crate::pools::health::{Checker, Findings, Health, checker};

/// Checks at work, until this is dropped.
#[derive(Debug)]
pub(super) struct Checks {
    checker: Checker,
    /// With the digest of the policy that they are of.
    running: HashMap<Key, (String, Health)>,
}

impl Checks {
    /// Nothing is checked yet; what is shared is so with this panel.
    ///
    /// # Errors
    /// The kernel gives no pipe.
    pub(super) fn begin(panel: Arc<Panel>) -> Result<Self> {
        let (checker, findings) = checker(Some(panel))?;
        thread::spawn(|| tell(findings));
        Ok(Checks { checker, running: HashMap::new() })
    }

    /// Checks the pools of what stands now, and nothing else.
    pub(super) fn follow(&mut self, reconciler: &Reconciler) {
        if self.running.is_empty() && !reconciler.has_checks() {
            return;
        }
        let mut running = std::mem::take(&mut self.running);
        let mut over = Vec::new();
        for (key, found, rules) in reconciler.loaded() {
            if !rules.has_checks() {
                continue;
            }
            let digest = &found.standing.digest;
            match running.remove(&key) {
                Some(one) if one.0 == *digest => drop(self.running.insert(key, one)),
                other => {
                    over.extend(other);
                    let begun = Place::of_link(&found.pinned, &found.target)
                        .and_then(|place| self.checker.check(rules, &[place]));
                    match begun {
                        Ok(health) => {
                            health.notes().iter().for_each(|note| log(Level::Info, note, &[("place", &found.target)]));
                            self.running.insert(key, (digest.clone(), health));
                        }
                        Err(error) => log(Level::Warning, "health checks", &[("why", &error.to_string())]),
                    }
                }
            }
        }
        over.extend(running.into_values());
        // A check that is at work comes to its end first, which nothing else waits for.
        if !over.is_empty() {
            thread::spawn(move || drop(over));
        }
    }
}

/// Tells what checks find out, until there are none.
fn tell(mut findings: Findings) {
    while let Ok(lines) = findings.take() {
        if lines.is_empty() {
            return;
        }
        lines.iter().for_each(|line| log(Level::Info, line, &[]));
    }
}
