//! Which happenings matter for the targets of a node, and what they make uncertain.

use std::collections::{BTreeMap, BTreeSet};

use xdpilot_core::error::Result;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::netns_directory;

use super::log::{Level, log};
use super::reconcile::Reconciler;
use super::surroundings::{Happening, Surroundings};
use crate::engine::events::Kind;
use crate::engine::{Client, Engine};
use crate::target::Target;

/// What is heard of the targets of a node.
pub(super) struct Around {
    surroundings: Surroundings,
    /// The targets that are followed, by their words.
    targets: BTreeMap<String, Followed>,
    /// [`Reconciler::targets_version`] when they were those.
    version: Option<u64>,
}

struct Followed {
    target: Target,
    /// The namespace (inode) that its words lead to; none where they lead to none, or that is not told by them.
    namespace: Option<u64>,
}

impl Around {
    /// Only the agent's own namespace is followed yet.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn begin(tell: impl Fn(Happening) + Send + Sync + 'static) -> Result<Self> {
        let mut surroundings = Surroundings::begin(tell, Client::connect)?;
        surroundings.follow(vec![Namespace::current()?], &BTreeSet::new(), false)?;
        Ok(Around { surroundings, targets: BTreeMap::new(), version: None })
    }

    /// Takes note of a happening.
    pub(super) fn take(&mut self, what: Happening, reconciler: &mut Reconciler) {
        match what {
            Happening::Links(namespace, names) => self.doubt(namespace, Some(&names), reconciler),
            Happening::AnyLinks(namespace) => self.doubt(namespace, None, reconciler),
            Happening::Unfollowed(namespace) => {
                let led = self.targets.values().filter(|one| one.namespace == Some(namespace));
                let names: BTreeSet<String> = led.filter_map(|one| one.name().map(str::to_owned)).collect();
                names.iter().for_each(|name| self.follow_name(name));
                self.doubt(namespace, None, reconciler);
            }
            Happening::Name(changed) => {
                let named = self.targets.iter().filter(|(_, one)| one.name() == Some(&changed));
                let words: BTreeSet<String> = named.map(|(words, _)| words.clone()).collect();
                if !words.is_empty() {
                    self.follow_name(&changed);
                }
                reconciler.doubt(&[], |target, _| words.contains(target));
            }
            Happening::Container(engine, event) => doubt_containers(reconciler, engine, |name| {
                let before = matches!(&event.kind, Kind::Rename { before: Some(before) } if before == name);
                event.name == name || before || event.id.starts_with(name)
            }),
            Happening::Containers(engine) => doubt_containers(reconciler, engine, |_| true),
            Happening::Away(engine, error) => {
                log(Level::Warning, "an engine is away", &[("engine", engine.word()), ("why", &error.to_string())]);
            }
            Happening::Deaf(error) => {
                log(Level::Warning, "changes of interfaces are not heard", &[("why", &error.to_string())]);
            }
        }
    }

    /// Targets whose interfaces are, or may be, in a namespace are looked up again; of those that found none there only
    /// the ones that mean interfaces of these names, where only those have changed.
    fn doubt(&self, namespace: u64, names: Option<&BTreeSet<String>>, reconciler: &mut Reconciler) {
        let means = |target: &Target| match target {
            Target::Interface(name) | Target::Netns { interface: name, .. } => {
                names.is_none_or(|names| names.contains(name.as_str()))
            }
            _ => true,
        };
        let leads = |one: &Followed| one.namespace == Some(namespace) || matches!(one.target, Target::Pid { .. });
        let led = self.targets.iter().filter(|(_, one)| leads(one) && means(&one.target));
        let words: BTreeSet<&str> = led.map(|(words, _)| words.as_str()).collect();
        reconciler.doubt(&[namespace], |target, found| found.contains(&namespace) || words.contains(target));
    }

    /// Follows the namespace of a name, which leads elsewhere than before.
    fn follow_name(&mut self, name: &str) {
        // Most lead nowhere any more: the error would list names like it.
        let namespace = netns_directory::has(name).then(|| Namespace::named(name).ok()).flatten();
        let inode = namespace.as_ref().map(Namespace::inode);
        self.targets.values_mut().filter(|one| one.name() == Some(name)).for_each(|one| one.namespace = inode);
        if let Some(Err(error)) = namespace.map(|namespace| self.surroundings.also(&namespace)) {
            log(Level::Warning, "a namespace is not followed", &[("name", name), ("why", &error.to_string())]);
        }
    }

    /// Follows what the node's targets are. Whether something was not followed before: it is to be looked at again.
    pub(super) fn follow(&mut self, reconciler: &mut Reconciler) -> bool {
        let version = Some(reconciler.targets_version());
        if self.version == version {
            return false;
        }
        match self.follow_targets(reconciler.targets()) {
            Ok(new) => {
                self.version = version;
                new.iter().for_each(|namespace| self.doubt(*namespace, None, reconciler));
                !new.is_empty()
            }
            Err(error) => {
                log(Level::Warning, "targets are not followed", &[("why", &error.to_string())]);
                false
            }
        }
    }

    /// The namespaces that were not followed before.
    fn follow_targets(&mut self, words: Vec<String>) -> Result<BTreeSet<u64>> {
        let own = Namespace::current()?;
        let mut namespaces = Vec::new();
        let mut engines = BTreeSet::<Engine>::new();
        self.targets.clear();
        for words in words {
            let Ok(target) = words.parse() else { continue };
            let mut followed = Followed { target, namespace: None };
            match &followed.target {
                Target::Container { engine, .. } => drop(engines.insert(*engine)),
                Target::Pid { pid, .. } => namespaces.extend(Namespace::of_pid(*pid).ok()),
                Target::Interface(_) | Target::All => followed.namespace = Some(own.inode()),
                // A name that leads nowhere yet is told of when it does.
                Target::Netns { name, .. } if netns_directory::has(name) => {
                    let namespace = Namespace::named(name).ok();
                    followed.namespace = namespace.as_ref().map(Namespace::inode);
                    namespaces.extend(namespace);
                }
                Target::Netns { .. } => {}
            }
            self.targets.insert(words, followed);
        }
        namespaces.push(own);
        namespaces.sort_by_key(Namespace::inode);
        namespaces.dedup_by_key(|namespace| namespace.inode());
        let names = self.targets.values().any(|one| one.name().is_some());
        self.surroundings.follow(namespaces, &engines, names)
    }
}

impl Followed {
    /// The name of the namespace that is meant.
    fn name(&self) -> Option<&str> {
        match &self.target {
            Target::Netns { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// Containers of an engine that are named so are looked up again.
fn doubt_containers(reconciler: &mut Reconciler, of: Engine, is_named: impl Fn(&str) -> bool) {
    reconciler.doubt(&[], |target, _| match target.parse() {
        Ok(Target::Container { engine, name, .. }) => engine == of && is_named(&name),
        _ => false,
    });
}
