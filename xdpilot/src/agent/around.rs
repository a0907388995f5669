//! Which happenings matter for the targets of a node, and what they make uncertain.

use std::collections::BTreeSet;

use xdpilot_core::error::Result;
use xdpilot_kernel::namespace::Namespace;

use super::log::{Level, log};
use super::reconcile::Reconciler;
use super::surroundings::{Happening, Surroundings};
use crate::engine::events::Kind;
use crate::engine::{Client, Engine};
use crate::target::Target;

/// What is heard of the targets of a node.
pub(super) struct Around {
    surroundings: Surroundings,
    /// The targets that are followed.
    targets: BTreeSet<String>,
}

impl Around {
    /// Only the agent's own namespace is followed yet.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn begin(tell: impl Fn(Happening) + Send + Sync + 'static) -> Result<Self> {
        let mut surroundings = Surroundings::begin(tell, Client::connect)?;
        surroundings.follow(vec![Namespace::current()?], &BTreeSet::new(), false)?;
        Ok(Around { surroundings, targets: BTreeSet::new() })
    }

    /// Takes note of a happening.
    pub(super) fn take(&mut self, what: Happening, reconciler: &mut Reconciler) {
        match what {
            Happening::Links(..) | Happening::AnyLinks(_) => reconciler.forget_interfaces(),
            Happening::Unfollowed(_) | Happening::Name(_) => {
                reconciler.forget_interfaces();
                // Another namespace may have the name now.
                self.targets.clear();
            }
            Happening::Container(engine, event) => reconciler.forget_containers(engine, |name| {
                let before = matches!(&event.kind, Kind::Rename { before: Some(before) } if before == name);
                event.name == name || before || event.id.starts_with(name)
            }),
            Happening::Containers(engine) => reconciler.forget_containers(engine, |_| true),
            Happening::Away(engine, error) => {
                log(Level::Warning, "an engine is away", &[("engine", engine.word()), ("why", &error.to_string())]);
            }
            Happening::Deaf(error) => {
                log(Level::Warning, "changes of interfaces are not heard", &[("why", &error.to_string())]);
            }
        }
    }

    /// Follows what the node's targets are. Whether something was not followed before: it is to be looked at again.
    pub(super) fn follow(&mut self, reconciler: &mut Reconciler) -> bool {
        let targets: BTreeSet<String> = reconciler.targets().into_iter().collect();
        if targets == self.targets {
            return false;
        }
        self.targets = targets;
        match self.follow_targets() {
            Ok(new) if !new => false,
            Ok(_) => {
                reconciler.forget_interfaces();
                true
            }
            Err(error) => {
                log(Level::Warning, "targets are not followed", &[("why", &error.to_string())]);
                self.targets.clear();
                false
            }
        }
    }

    fn follow_targets(&mut self) -> Result<bool> {
        let mut namespaces = vec![Namespace::current()?];
        let (mut engines, mut names) = (BTreeSet::<Engine>::new(), BTreeSet::new());
        for target in self.targets.iter().filter_map(|words| words.parse().ok()) {
            match target {
                Target::Container { engine, .. } => drop(engines.insert(engine)),
                Target::Netns { name, .. } => drop(names.insert(name)),
                Target::Pid { pid, .. } => namespaces.extend(Namespace::of_pid(pid).ok()),
                Target::Interface(_) | Target::All => {}
            }
        }
        // A name that leads nowhere yet is told of when it does.
        namespaces.extend(names.iter().filter_map(|name| Namespace::named(name).ok()));
        namespaces.sort_by_key(Namespace::inode);
        namespaces.dedup_by_key(|namespace| namespace.inode());
        let new = self.surroundings.follow(namespaces, &engines, !names.is_empty())?;
        Ok(!new.is_empty())
    }
}
