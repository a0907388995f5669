//! What a node is to have, by the documents of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{Action, Host, PolicyPlace, Verdict};

use super::node::Node;
use super::report::Refused;
use crate::direction::Direction;
use crate::documents::{Kind, Meaning, Name, Snapshot, compose};
use crate::policy::Policy;
use crate::target::Target;

/// A policy that is to be at a place of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) policy: String,
    pub(super) place: PolicyPlace,
    /// The place, as the store says it.
    pub(super) words: String,
    /// Whether the place is a container's.
    pub(super) of_container: bool,
}

impl Wish {
    pub(super) fn new(policy: &str, place: &PolicyPlace) -> Self {
        let of_container = matches!(place.target.parse(), Ok(Target::Container { .. }));
        Wish { policy: policy.to_string(), place: place.clone(), words: place.to_string(), of_container }
    }

    pub(super) fn direction(&self) -> Direction {
        if self.place.egress { Direction::Egress } else { Direction::Ingress }
    }
}

/// What the documents ask of a node.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) wishes: Vec<Arc<Wish>>,
    /// Whether there are other ones than the last time.
    pub(super) changed: bool,
    /// Policies of which it is not known where they are to be: what stands of them stays.
    pub(super) held: BTreeSet<String>,
    /// Faulty documents.
    pub(super) refused: Vec<Refused>,
}

/// The wishes of attachments as they were the last time, by the policy, with the marks of the documents: a node may have
/// thousands of places, and is asked for them with everything that happens.
#[derive(Debug, Default)]
pub(super) struct Attachments(BTreeMap<String, (u64, Vec<Arc<Wish>>)>);

impl Attachments {
    /// What is asked of this node, which is the same each time.
    pub(super) fn wishes(&mut self, snapshot: &Snapshot, node: &Node) -> Wishes {
        let mut all = Wishes::default();
        let mut before = std::mem::take(&mut self.0);
        for (name, stored) in snapshot.of_kind(Kind::Attachment) {
            let Ok(Meaning::Attachment(places)) = stored.meaning.as_deref() else {
                all.held.insert(name.name.clone());
                continue;
            };
            let known = before.remove(&name.name).filter(|(mark, _)| *mark == stored.mark);
            all.changed |= known.is_none();
            let new = || places.iter().filter(|place| node.has(place)).map(|place| Wish::new(&name.name, place).into());
            let (mark, wishes) = known.unwrap_or_else(|| (stored.mark, new().collect()));
            all.wishes.extend_from_slice(&wishes);
            self.0.insert(name.name.clone(), (mark, wishes));
        }
        all.changed |= !before.is_empty();
        let told = |(document, error): (String, &Error)| Refused { document, why: error.to_string() };
        all.refused = snapshot.faulty().map(told).collect();
        all
    }
}

/// A policy as far as it is known without the elements of its long sets.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) policy: Policy,
    /// The targets that it names, whose interfaces decide what it becomes.
    pub(super) targets: Vec<String>,
}

/// The marks of the documents that a policy is made of; of sets only which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MadeOf {
    policy: u64,
    pools: Vec<(String, u64)>,
    sets: Vec<String>,
}

impl MadeOf {
    pub(super) fn of(snapshot: &Snapshot, policy: &str) -> Self {
        let mark = snapshot.documents.get(&Name::new(Kind::Policy, policy)).map_or(0, |stored| stored.mark);
        let pools = snapshot.of_kind(Kind::Pool).map(|(name, stored)| (name.name.clone(), stored.mark)).collect();
        let sound = snapshot.of_kind(Kind::Set).filter(|(_, stored)| stored.meaning.is_ok());
        MadeOf { policy: mark, pools, sets: sound.map(|(name, _)| name.name.clone()).collect() }
    }
}

/// A policy without the elements of its long sets.
///
/// # Errors
/// It is faulty, or something that it names is.
pub(super) fn program(snapshot: &Snapshot, wish: &Wish) -> Result<Program> {
    let policy = compose(snapshot, &wish.policy, wish.direction(), &mut |_, _| Ok(Vec::new()))?;
    let hosts = policy.rules.pools.iter().flat_map(|pool| &pool.backends).filter_map(|backend| match &backend.host {
        Host::Target(target) => Some(target.clone()),
        Host::Address(_) => None,
    });
    let verdicts = policy.rules.rules.iter().filter_map(|rule| match &rule.action {
        Action::Verdict(Verdict::Redirect(target)) => Some(target.clone()),
        _ => None,
    });
    let targets: BTreeSet<String> = hosts.chain(verdicts).collect();
    let targets = targets.into_iter().collect();
    Ok(Program { policy, targets })
}
