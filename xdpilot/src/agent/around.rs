//! Which happenings matter for the targets of a node, and what they make uncertain.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    /// The agent's own namespace.
    own: u64,
}

impl Around {
    /// Only the agent's own namespace is followed yet.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn begin(tell: impl Fn(Happening) + Send + Sync + 'static) -> Result<Self> {
        let mut surroundings = Surroundings::begin(tell, Client::connect)?;
        surroundings.follow(vec![Namespace::current()?], &BTreeSet::new(), false)?;
        Ok(Around { surroundings, targets: BTreeSet::new(), own: Namespace::current()?.inode() })
    }

    /// Takes note of a happening.
    pub(super) fn take(&mut self, what: Happening, reconciler: &mut Reconciler) {
        match what {
            Happening::Links(namespace, _) | Happening::AnyLinks(namespace) => self.forget(namespace, reconciler),
            Happening::Unfollowed(namespace) => {
                self.follow_names(|name| inode_of(name) == Some(namespace));
                self.forget(namespace, reconciler);
            }
            Happening::Name(changed) => {
                self.follow_names(|name| name == changed);
                reconciler.forget(
                    &[],
                    |target, _| matches!(target.parse(), Ok(Target::Netns { name, .. }) if name == changed),
                );
            }
            Happening::Container(engine, event) => forget_containers(reconciler, engine, |name| {
                let before = matches!(&event.kind, Kind::Rename { before: Some(before) } if before == name);
                event.name == name || before || event.id.starts_with(name)
            }),
            Happening::Containers(engine) => forget_containers(reconciler, engine, |_| true),
            Happening::Away(engine, error) => {
                log(Level::Warning, "an engine is away", &[("engine", engine.word()), ("why", &error.to_string())]);
            }
            Happening::Deaf(error) => {
                log(Level::Warning, "changes of interfaces are not heard", &[("why", &error.to_string())]);
            }
        }
    }

    /// Targets whose interfaces are, or may be, in a namespace are looked up again.
    fn forget(&self, namespace: u64, reconciler: &mut Reconciler) {
        reconciler.forget(&[namespace], |target, found| {
            found.contains(&namespace)
                || match target.parse() {
                    Ok(Target::Interface(_) | Target::All) => namespace == self.own,
                    Ok(Target::Netns { name, .. }) => inode_of(&name) == Some(namespace),
                    Ok(Target::Pid { .. }) => true,
                    _ => false,
                }
        });
    }

    /// Follows the namespaces of these names, which lead elsewhere than before.
    fn follow_names(&mut self, wanted: impl Fn(&str) -> bool) {
        for target in &self.targets {
            let Ok(Target::Netns { name, .. }) = target.parse() else { continue };
            if wanted(&name)
                && let Ok(namespace) = Namespace::named(&name)
                && let Err(error) = self.surroundings.also(&namespace)
            {
                log(Level::Warning, "a namespace is not followed", &[("name", &name), ("why", &error.to_string())]);
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
            Ok(new) if new.is_empty() => false,
            Ok(new) => {
                new.into_iter().for_each(|namespace| self.forget(namespace, reconciler));
                true
            }
            Err(error) => {
                log(Level::Warning, "targets are not followed", &[("why", &error.to_string())]);
                self.targets.clear();
                false
            }
        }
    }

    /// The namespaces that were not followed before.
    fn follow_targets(&mut self) -> Result<BTreeSet<u64>> {
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
        self.surroundings.follow(namespaces, &engines, !names.is_empty())
    }
}

/// Containers of an engine that are named so are looked up again.
fn forget_containers(reconciler: &mut Reconciler, of: Engine, is_named: impl Fn(&str) -> bool) {
    reconciler.forget(&[], |target, _| match target.parse() {
        Ok(Target::Container { engine, name, .. }) => engine == of && is_named(&name),
        _ => false,
    });
}

/// The namespace that a name leads to; none where it leads nowhere.
fn inode_of(name: &str) -> Option<u64> {
    fs::metadata(Path::new("/run/netns").join(name)).ok().map(|metadata| metadata.ino())
}
