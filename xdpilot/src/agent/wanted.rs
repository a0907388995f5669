//! What a node is to have, by the documents of a store.

use std::collections::BTreeSet;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{Action, Host, PolicyPlace, Verdict};

use super::node::Node;
use super::report::Refused;
use crate::direction::Direction;
use crate::documents::{Kind, Meaning, Name, Snapshot, compose};
use crate::policy::Policy;

/// A policy that is to be at a place of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) policy: String,
    pub(super) place: PolicyPlace,
}

impl Wish {
    pub(super) fn direction(&self) -> Direction {
        if self.place.egress { Direction::Egress } else { Direction::Ingress }
    }
}

/// What the documents ask of a node.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) wishes: Vec<Wish>,
    /// Policies of which it is not known where they are to be: what stands of them stays.
    pub(super) held: BTreeSet<String>,
    /// Faulty documents.
    pub(super) refused: Vec<Refused>,
}

/// What is asked of this node.
pub(super) fn wishes(snapshot: &Snapshot, node: &Node) -> Wishes {
    let mut all = Wishes::default();
    for (name, stored) in snapshot.of_kind(Kind::Attachment) {
        match stored.meaning.as_deref() {
            Ok(Meaning::Attachment(places)) => {
                let here = places.iter().filter(|place| node.has(place));
                all.wishes.extend(here.map(|place| Wish { policy: name.name.clone(), place: place.clone() }));
            }
            _ => drop(all.held.insert(name.name.clone())),
        }
    }
    let told = |(document, error): (String, &Error)| Refused { document, why: error.to_string() };
    all.refused = snapshot.faulty().map(told).collect();
    all
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
