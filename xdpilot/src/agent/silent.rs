//! Engines that do not answer: the containers of one are not asked for one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xdpilot_core::error::Result;

use crate::engine::{self, Engine};
use crate::target::Target;

/// The engines that were silent when targets were looked up, and what was said of that.
///
/// At the begin of a machine a service manager listens for an engine that is not there yet, and each question waits.
#[derive(Debug)]
pub(super) struct Silent {
    engines: BTreeMap<Engine, Arc<str>>,
    /// Who needs as long for an error may be silent.
    patience: Duration,
    /// Whether an engine answers at all: what hangs may be one container.
    answers: fn(Engine) -> bool,
}

impl Default for Silent {
    fn default() -> Self {
        Silent { engines: BTreeMap::new(), patience: engine::PATIENCE, answers: engine::answers }
    }
}

impl Silent {
    /// Whether it is a container of an engine that is silent.
    pub(super) fn is(&self, target: &str) -> bool {
        engine_of(target).is_some_and(|engine| self.engines.contains_key(&engine))
    }

    /// Looks a target up, unless it is a container of an engine that is silent. Errors are in words.
    pub(super) fn unless<T>(
        &mut self,
        target: &str,
        look_up: impl FnOnce() -> Result<T>,
    ) -> std::result::Result<T, Arc<str>> {
        let engine = engine_of(target);
        if let Some(words) = engine.and_then(|engine| self.engines.get(&engine)) {
            return Err(words.clone());
        }
        let begun = Instant::now();
        let found = look_up().map_err(|error| Arc::from(error.to_string()));
        if let (Some(engine), Err(words)) = (engine, &found)
            && begun.elapsed() >= self.patience
            && !(self.answers)(engine)
        {
            self.engines.insert(engine, Arc::clone(words));
        }
        found
    }
}

/// The engine of a container's words.
fn engine_of(target: &str) -> Option<Engine> {
    match target.parse() {
        Ok(Target::Container { engine, .. }) => Some(engine),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use xdpilot_core::error::Error;

    use super::*;

    #[test]
    fn a_silent_engine_is_asked_once() {
        let asked = std::cell::Cell::new(0);
        let fails = || -> Result<()> {
            asked.set(asked.get() + 1);
            Err(Error::failed("ask"))
        };
        let mut silent = Silent { patience: Duration::ZERO, answers: |_| false, ..Silent::default() };
        for target in ["docker:a", "docker:b", "podman:a", "podman:a", "eth0", "eth0"] {
            silent.unless(target, fails).unwrap_err();
        }
        assert_eq!(asked.get(), 4, "each engine once, and what is no container each time");
        assert!(silent.is("docker:c/eth0") && !silent.is("eth0"));
        // One container that hangs is not the engine.
        let mut slow = Silent { patience: Duration::ZERO, answers: |_| true, ..Silent::default() };
        for _ in 0..2 {
            slow.unless("docker:a", fails).unwrap_err();
        }
        assert_eq!(asked.get(), 6);
        // An error that comes at once is the container's, not the engine's.
        let mut quick = Silent::default();
        for _ in 0..2 {
            quick.unless("docker:a", fails).unwrap_err();
        }
        assert_eq!(asked.get(), 8);
    }
}
