//! What is wanted at which interface, before anything is done.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::PolicyPlace;
use xdpilot_core::rules::Rules;

use super::diff::{Key, Standing, Wanted};
use super::digest::digest;
use super::node::Node;
use super::reconcile::gone;
use super::report::Refused;
use super::wanted::{self, MadeOf, Program, Wish};
use crate::direction::Direction;
use crate::documents::{Kind, Name, Snapshot};
use crate::place::{self, Traffic};
use crate::target::Target;

/// An interface of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) key: Key,
    /// The target and the interface.
    pub(super) label: String,
    /// Whether packets of several buffers may come there.
    pub(super) frags: bool,
}

/// A wish, and where it can be fulfilled.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) wish: Wish,
    /// Its interfaces; or why nothing can be done.
    pub(super) interfaces: Location,
}

/// The interfaces of a wish, or why there are none.
pub(super) type Location = std::result::Result<Vec<Interface>, Obstacle>;

/// Why a wish cannot be fulfilled now.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The target is not there.
    NoTarget(Error),
    /// The policy is faulty.
    Faulty(Error),
}

/// What is wanted.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) wanted: BTreeMap<Key, Wanted>,
    pub(super) located: Vec<Located>,
    /// Interfaces that two policies are to be at; the second one, and why not.
    pub(super) conflicts: Vec<(Wish, Interface, String)>,
    pub(super) refused: Vec<Refused>,
    /// Policies that may be wanted anywhere, and places where a policy may be wanted.
    held: BTreeSet<(String, Option<String>)>,
}

impl Survey {
    /// Whether it is not known if what stands there is wanted.
    pub(super) fn holds(&self, standing: &Standing) -> bool {
        let policy = standing.policy.clone();
        self.held.contains(&(policy.clone(), None)) || self.held.contains(&(policy, Some(standing.place.clone())))
    }
}

/// What was found out, until it may be otherwise.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    /// Policies, or what is wrong with them, with what they are made of.
    programs: HashMap<(String, Direction), (MadeOf, Result<Program>)>,
    /// Those that were compared with the documents in this survey.
    compared: HashSet<(String, Direction)>,
    /// What they were with these interfaces around, for packets of several buffers or not.
    digests: HashMap<(String, Direction, bool), (String, String)>,
    /// The interfaces of targets.
    interfaces: HashMap<PolicyPlace, Result<Vec<Interface>>>,
    /// The interfaces of targets that policies name, in words, and their namespaces.
    named: HashMap<String, (String, Vec<u64>)>,
}

impl Surveyor {
    /// Forgets the interfaces of the targets that are `affected`, by their words and the namespaces (inodes) where their
    /// interfaces were; returns those.
    pub(super) fn forget(&mut self, affected: impl Fn(&str, &[u64]) -> bool) -> BTreeSet<u64> {
        let mut namespaces = BTreeSet::new();
        self.interfaces.retain(|place, found| {
            let found: Vec<u64> = found.iter().flatten().map(|interface| interface.key.namespace).collect();
            let stays = !affected(&place.target, &found);
            namespaces.extend(found.into_iter().filter(|_| !stays));
            stays
        });
        self.named.retain(|target, (_, found)| !affected(target, found));
        namespaces
    }

    /// The targets that are followed.
    pub(super) fn targets(&self) -> impl Iterator<Item = &str> {
        self.interfaces.keys().map(|place| place.target.as_str()).chain(self.named.keys().map(String::as_str))
    }

    /// What is wanted of this node.
    pub(super) fn survey(&mut self, snapshot: &Snapshot, node: &Node) -> Survey {
        let wishes = wanted::wishes(snapshot, node);
        let mut survey = Survey { refused: wishes.refused, ..Survey::default() };
        survey.held.extend(wishes.held.into_iter().map(|policy| (policy, None)));
        self.forget_unused(&wishes.wishes);
        self.compared.clear();
        for wish in wishes.wishes {
            let interfaces = self.locate(snapshot, &wish, &mut survey);
            survey.located.push(Located { wish, interfaces });
        }
        survey
    }

    fn forget_unused(&mut self, wishes: &[Wish]) {
        self.programs.retain(|(policy, direction), _| {
            wishes.iter().any(|wish| wish.policy == *policy && wish.direction() == *direction)
        });
        let places: BTreeSet<&PolicyPlace> = wishes.iter().map(|wish| &wish.place).collect();
        self.interfaces.retain(|place, _| places.contains(place));
    }

    fn locate(&mut self, snapshot: &Snapshot, wish: &Wish, survey: &mut Survey) -> Location {
        let interfaces = self.interfaces.entry(wish.place.clone()).or_insert_with(|| look_up(&wish.place)).clone();
        let interfaces = interfaces.map_err(|error| {
            // Where an engine does not answer the container may run all the same.
            if matches!(wish.place.target.parse(), Ok(Target::Container { .. })) {
                survey.held.insert((wish.policy.clone(), Some(wish.place.to_string())));
            }
            Obstacle::NoTarget(error)
        })?;
        let program = self.program(snapshot, wish).map_err(|error| {
            // What is deleted goes; what is faulty may be mended.
            if snapshot.meaning(Kind::Policy, &wish.policy).is_some() {
                survey.held.insert((wish.policy.clone(), None));
            }
            Obstacle::Faulty(error)
        })?;
        let around = self.around(&program);
        let mut here = Vec::new();
        for interface in interfaces {
            if let Some(first) = survey.wanted.get(&interface.key) {
                let why = format!("policy {} is to be there too ({}), and comes first", first.policy, first.place);
                survey.conflicts.push((wish.clone(), interface, why));
                continue;
            }
            let digest = self.digest(&program, wish, interface.frags, &around);
            let sets = program.policy.rules.sets.iter().map(|set| (set.name.clone(), mark(snapshot, &set.name)));
            let (policy, place) = (wish.policy.clone(), wish.place.to_string());
            survey.wanted.insert(interface.key, Wanted { policy, place, digest, sets: sets.collect() });
            here.push(interface);
        }
        Ok(here)
    }

    /// The rules of a policy that was surveyed last; none where it is faulty.
    pub(super) fn rules(&self, policy: &str, direction: Direction) -> Option<&Arc<Rules>> {
        let (_, program) = self.programs.get(&(policy.to_string(), direction))?;
        program.as_ref().ok().map(|program| &program.policy.rules)
    }

    /// A policy; what it is made of is looked at in each survey, what it becomes is not.
    fn program(&mut self, snapshot: &Snapshot, wish: &Wish) -> Result<Program> {
        let key = (wish.policy.clone(), wish.direction());
        if self.compared.insert(key.clone()) {
            let made_of = MadeOf::of(snapshot, &wish.policy);
            if self.programs.get(&key).is_none_or(|(before, _)| *before != made_of) {
                self.digests.retain(|(policy, direction, _), _| (policy, *direction) != (&key.0, key.1));
                self.programs.insert(key.clone(), (made_of, wanted::program(snapshot, wish)));
            }
        }
        match self.programs.get(&key) {
            Some((_, program)) => program.clone(),
            None => Err(gone(&format!("policy {}", wish.policy))),
        }
    }

    fn digest(&mut self, program: &Program, wish: &Wish, frags: bool, around: &str) -> String {
        let key = (wish.policy.clone(), wish.direction(), frags);
        if let Some((known, digest)) = self.digests.get(&key)
            && known == around
        {
            return digest.clone();
        }
        let digest = digest(&program.policy, frags, around);
        self.digests.insert(key, (around.to_string(), digest.clone()));
        digest
    }

    /// The interfaces of the targets that a policy names, in words.
    fn around(&mut self, program: &Program) -> String {
        program
            .targets
            .iter()
            .map(|target| {
                let (found, _) = self.named.entry(target.clone()).or_insert_with(|| in_words(target));
                format!("{target} {found}\n")
            })
            .collect()
    }
}

fn mark(snapshot: &Snapshot, set: &str) -> u64 {
    snapshot.documents.get(&Name::new(Kind::Set, set)).map_or(0, |stored| stored.mark)
}

fn look_up(place: &PolicyPlace) -> Result<Vec<Interface>> {
    let interface = |found: &place::Place| Interface {
        key: Key { namespace: found.namespace.inode(), ifindex: found.interface.index, egress: place.egress },
        label: found.label.clone(),
        frags: found.interface.mtu > place::ONE_BUFFER,
    };
    Ok(place::of_policy(place, None)?.iter().map(interface).collect())
}

/// The interfaces of a target in words, empty while there are none, and their namespaces.
fn in_words(target: &str) -> (String, Vec<u64>) {
    let found = target.parse::<Target>().and_then(|target| place::resolve(&target, Traffic::To)).unwrap_or_default();
    let words = found.iter().map(|place| format!("{}/{}", place.namespace.inode(), place.interface.index));
    (words.collect::<Vec<_>>().join(" "), found.iter().map(|place| place.namespace.inode()).collect())
}
