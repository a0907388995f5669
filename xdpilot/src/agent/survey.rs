//! What is wanted at which interface, before anything is done.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::PolicyPlace;
use xdpilot_core::rules::Rules;
use xdpilot_kernel::netns_directory;

use super::diff::{Key, Standing, Version, Wanted};
use super::digest::digest;
use super::node::Node;
use super::report::Refused;
use super::silent::Silent;
use super::wanted::{self, Attachments, MadeOf, Program, Wish};
use crate::direction::Direction;
use crate::documents::{Kind, Name, Snapshot};
use crate::place::{self, Traffic};
use crate::target::Target;

/// An interface of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) key: Key,
    /// The target and the interface.
    pub(super) label: Arc<str>,
    /// Whether packets of several buffers may come there.
    frags: bool,
}

/// A wish, and where it can be fulfilled.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) wish: Arc<Wish>,
    /// Its interfaces; or why nothing can be done.
    pub(super) interfaces: Location,
}

/// The interfaces of a wish, or why there are none.
pub(super) type Location = std::result::Result<Vec<Interface>, Obstacle>;

/// The interfaces of a target, or why there are none, in words.
type Found = std::result::Result<Arc<[Interface]>, Arc<str>>;

/// Why a wish cannot be fulfilled now.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The target is not there, in words.
    NoTarget(Arc<str>),
    /// The policy is faulty.
    Faulty(Error),
}

/// What is wanted.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) wanted: BTreeMap<Key, Wanted>,
    pub(super) located: Vec<Located>,
    /// Interfaces that two policies are to be at; the second one, and why not.
    pub(super) conflicts: Vec<(Arc<Wish>, Interface, String)>,
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
    attachments: Attachments,
    programs: HashMap<(String, Direction), Known>,
    /// The interfaces of targets.
    interfaces: HashMap<PolicyPlace, LookUp<Found>>,
    /// The interfaces of targets that policies name, in words.
    named: HashMap<String, LookUp<String>>,
    targets_version: u64,
    /// Engines that did not answer since targets were looked up the last time.
    silent: Silent,
}

/// Where a target led.
#[derive(Debug)]
struct LookUp<T> {
    found: T,
    /// The namespaces (inodes) of its interfaces.
    there: Vec<u64>,
    /// Whether it may lead elsewhere since.
    doubtful: bool,
    /// Whether its engine did not answer.
    silent: bool,
}

impl<T: PartialEq> LookUp<T> {
    /// Takes over a newer one; whether something else was found.
    fn renew(&mut self, newer: Self) -> bool {
        let other = self.found != newer.found;
        *self = newer;
        other
    }
}

/// A policy as it was last.
#[derive(Debug)]
struct Known {
    made_of: MadeOf,
    /// Or what is wrong with it.
    program: Result<Arc<Program>>,
    /// What it was to be, and with which interfaces around.
    versions: Option<(String, Versions)>,
}

/// What a policy is to be where all packets are in one buffer, and where not.
type Versions = [Arc<Version>; 2];

/// The policies of one survey.
type Policies<'a> = HashMap<(&'a str, Direction), Result<Versions>>;

impl Surveyor {
    /// The interfaces of the targets that are `affected`, by their words and the namespaces (inodes) where their interfaces
    /// were, may be others; returns those namespaces.
    pub(super) fn doubt(&mut self, affected: impl Fn(&str, &[u64]) -> bool) -> BTreeSet<u64> {
        let mut namespaces = BTreeSet::new();
        for (place, known) in &mut self.interfaces {
            if affected(&place.target, &known.there) {
                known.doubtful = true;
                namespaces.extend(&known.there);
            }
        }
        for (target, known) in &mut self.named {
            known.doubtful |= affected(target, &known.there);
        }
        namespaces
    }

    /// Targets that were not found may be there: nobody tells of a fault that passed. Engines that answer tell of all
    /// containers.
    pub(super) fn doubt_missing(&mut self) {
        let is_container = |place: &PolicyPlace| matches!(place.target.parse(), Ok(Target::Container { .. }));
        for (place, known) in &mut self.interfaces {
            known.doubtful |= known.silent || known.found.is_err() && !is_container(place);
        }
        self.named.values_mut().for_each(|known| known.doubtful |= known.silent);
    }

    /// Looks again at what is doubtful; whether it is otherwise.
    pub(super) fn look_again(&mut self) -> bool {
        let mut other = false;
        self.silent = Silent::default();
        for (place, known) in self.interfaces.iter_mut().filter(|(_, known)| known.doubtful) {
            let newer = interfaces_of(place, &mut self.silent);
            // That it is not there for another reason than before changes nothing: the next pass tells, whatever it is for.
            let is_there = known.found.is_ok() || newer.found.is_ok();
            other |= known.renew(newer) && is_there;
        }
        for (target, known) in self.named.iter_mut().filter(|(_, known)| known.doubtful) {
            other |= known.renew(in_words(target, &mut self.silent));
        }
        other
    }

    /// The targets that are followed.
    pub(super) fn targets(&self) -> impl Iterator<Item = &str> {
        self.interfaces.keys().map(|place| place.target.as_str()).chain(self.named.keys().map(String::as_str))
    }

    /// A number that is another one when [`Self::targets`] may be others.
    pub(super) fn targets_version(&self) -> u64 {
        self.targets_version
    }

    /// What is wanted of this node.
    pub(super) fn survey(&mut self, snapshot: &Snapshot, node: &Node) -> Survey {
        self.look_again();
        let version = self.targets_version;
        let wishes = self.attachments.wishes(snapshot, node);
        let mut survey = Survey { refused: wishes.refused, ..Survey::default() };
        survey.held.extend(wishes.held.into_iter().map(|policy| (policy, None)));
        if wishes.changed {
            self.forget_unused(&wishes.wishes);
        }
        let mut policies = Policies::new();
        for wish in &wishes.wishes {
            let interfaces = self.locate(snapshot, wish, &mut policies, &mut survey);
            survey.located.push(Located { wish: wish.clone(), interfaces });
        }
        if self.targets_version != version {
            let programs = self.programs.values().flat_map(|known| &known.program);
            let targets: HashSet<&str> = programs.flat_map(|one| &one.targets).map(String::as_str).collect();
            self.named.retain(|target, _| targets.contains(target.as_str()));
        }
        survey
    }

    fn forget_unused(&mut self, wishes: &[Arc<Wish>]) {
        self.targets_version += 1;
        let policies: HashSet<_> = wishes.iter().map(|wish| (wish.policy.as_str(), wish.direction())).collect();
        let is_used = |policy: &str, direction| policies.contains(&(policy, direction));
        self.programs.retain(|(policy, direction), _| is_used(policy, *direction));
        let places: HashSet<&PolicyPlace> = wishes.iter().map(|wish| &wish.place).collect();
        self.interfaces.retain(|place, _| places.contains(place));
    }

    fn locate<'a>(
        &mut self,
        snapshot: &Snapshot,
        wish: &'a Arc<Wish>,
        policies: &mut Policies<'a>,
        survey: &mut Survey,
    ) -> Location {
        let known = match self.interfaces.get(&wish.place) {
            Some(known) => known,
            None => {
                let found = interfaces_of(&wish.place, &mut self.silent);
                self.interfaces.entry(wish.place.clone()).or_insert(found)
            }
        };
        let interfaces = known.found.clone().map_err(|error| {
            // Where an engine does not answer the container may run all the same.
            if wish.of_container {
                survey.held.insert((wish.policy.clone(), Some(wish.words.clone())));
            }
            Obstacle::NoTarget(error)
        })?;
        let versions = policies.entry((&wish.policy, wish.direction()));
        let versions = versions.or_insert_with(|| self.versions(snapshot, wish)).as_ref().map_err(|error| {
            // What is deleted goes; what is faulty may be mended.
            if snapshot.meaning(Kind::Policy, &wish.policy).is_some() {
                survey.held.insert((wish.policy.clone(), None));
            }
            Obstacle::Faulty(error.clone())
        })?;
        let mut here = Vec::new();
        for interface in &*interfaces {
            if let Some(Wanted { wish: first, .. }) = survey.wanted.get(&interface.key) {
                let why = format!("policy {} is to be there too ({}), and comes first", first.policy, first.words);
                survey.conflicts.push((wish.clone(), interface.clone(), why));
                continue;
            }
            let version = versions[usize::from(interface.frags)].clone();
            survey.wanted.insert(interface.key, Wanted { wish: wish.clone(), version });
            here.push(interface.clone());
        }
        Ok(here)
    }

    /// The rules of a policy that was surveyed last; none where it is faulty.
    pub(super) fn rules(&self, policy: &str, direction: Direction) -> Option<&Arc<Rules>> {
        let known = self.programs.get(&(policy.to_string(), direction))?;
        known.program.as_ref().ok().map(|program| &program.policy.rules)
    }

    /// Whether the backends of a policy are to be checked.
    pub(super) fn has_checks(&self) -> bool {
        self.programs.values().flat_map(|known| &known.program).any(|program| program.policy.rules.has_checks())
    }

    /// A policy; what it is made of is looked at in each survey, what it becomes is not.
    fn program(&mut self, snapshot: &Snapshot, wish: &Wish) -> Result<Arc<Program>> {
        let key = (wish.policy.clone(), wish.direction());
        let made_of = MadeOf::of(snapshot, &wish.policy);
        if let Some(known) = self.programs.get(&key).filter(|known| known.made_of == made_of) {
            return known.program.clone();
        }
        self.targets_version += 1;
        let program = wanted::program(snapshot, wish).map(Arc::new);
        self.programs.insert(key, Known { made_of, program: program.clone(), versions: None });
        program
    }

    /// What a policy is to be; the same as in the survey before where nothing is otherwise.
    fn versions(&mut self, snapshot: &Snapshot, wish: &Wish) -> Result<Versions> {
        let program = self.program(snapshot, wish)?;
        let around = self.around(&program);
        let marks = program.policy.rules.sets.iter().map(|set| (set.name.clone(), mark(snapshot, &set.name)));
        let sets: BTreeMap<String, u64> = marks.collect();
        let mut known = self.programs.get_mut(&(wish.policy.clone(), wish.direction()));
        let before = known.as_mut().and_then(|known| known.versions.take());
        let versions = match before.filter(|(before, _)| *before == around) {
            Some((_, versions)) if versions[0].sets == sets => versions,
            Some((_, versions)) => versions.map(|one| Version { sets: sets.clone(), ..(*one).clone() }.into()),
            None => [false, true].map(|frags| {
                let digest = digest(&program.policy, frags, &around);
                Version { digest, frags, sets: sets.clone() }.into()
            }),
        };
        if let Some(known) = known {
            known.versions = Some((around, versions.clone()));
        }
        Ok(versions)
    }

    /// The interfaces of the targets that a policy names, in words.
    fn around(&mut self, program: &Program) -> String {
        program
            .targets
            .iter()
            .map(|target| {
                let known = self.named.entry(target.clone());
                let known = known.or_insert_with(|| in_words(target, &mut self.silent));
                format!("{target} {}\n", known.found)
            })
            .collect()
    }
}

fn mark(snapshot: &Snapshot, set: &str) -> u64 {
    snapshot.documents.get(&Name::new(Kind::Set, set)).map_or(0, |stored| stored.mark)
}

fn interfaces_of(place: &PolicyPlace, silent: &mut Silent) -> LookUp<Found> {
    let interface = |found: &place::Place| Interface {
        key: Key { namespace: found.namespace.inode(), ifindex: found.interface.index, egress: place.egress },
        label: found.label.as_str().into(),
        frags: found.interface.mtu > place::ONE_BUFFER,
    };
    let found = match to_come(&place.target) {
        Some(words) => Err(words.into()),
        None => silent
            .unless(&place.target, || place::of_policy(place, None))
            .map(|found| found.iter().map(interface).collect::<Arc<[_]>>()),
    };
    let there = found.iter().flat_map(|found| found.iter()).map(|interface| interface.key.namespace).collect();
    LookUp { found, there, doubtful: false, silent: silent.is(&place.target) }
}

/// That a namespace is not there (yet), in words; none where it is, or where no namespace is named. Hundreds may be to come,
/// and an error would look for names like each of them among all others.
fn to_come(target: &str) -> Option<String> {
    let Ok(Target::Netns { name, .. }) = target.parse() else { return None };
    (!netns_directory::has(&name)).then(|| format!("there is no network namespace {name} yet"))
}

/// The interfaces of a target in words, empty while there are none.
fn in_words(target: &str, silent: &mut Silent) -> LookUp<String> {
    let resolve = |target: Target| place::resolve(&target, Traffic::To);
    let found = match to_come(target) {
        Some(_) => Vec::new(),
        None => silent.unless(target, || target.parse().and_then(resolve)).unwrap_or_default(),
    };
    let words = found.iter().map(|place| format!("{}/{}", place.namespace.inode(), place.interface.index));
    let there = found.iter().map(|place| place.namespace.inode()).collect();
    LookUp { found: words.collect::<Vec<_>>().join(" "), there, doubtful: false, silent: silent.is(target) }
}
