//! Brings a node's kernel to what a store's documents say: as often as it is asked, and each time all the way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};
use xdpilot_core::rules::Rules;

use super::diff::{Key, Step, Version, Wanted, diff};
use super::elements::{self, Value};
use super::node::Node;
use super::report::{Attached, Report, State};
use super::standing::{self, Found};
use super::survey::{Interface, Obstacle, Survey, Surveyor};
use super::wanted::Wish;
use crate::documents::{Pieces, Snapshot};
use crate::policy::Compiled;
use crate::store::Store;
use crate::{state, sweep};

/// The first pause after a failure, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What is known of one node, from one pass to the next.
#[derive(Debug)]
pub struct Reconciler {
    pub(super) node: Node,
    /// The id of the store that is followed.
    pub(super) store: String,
    pub(super) surveyor: Surveyor,
    pub(super) pieces: Pieces,
    /// The last policy that was compiled.
    pub(super) compiled: Option<(Arc<Version>, Compiled)>,
    /// What stands.
    pub(super) standing: BTreeMap<Key, Found>,
    /// Whether that must be looked at.
    unsure: bool,
    /// Namespaces (inodes) where something may have gone.
    suspects: BTreeSet<u64>,
    /// What the sets of programs that stand were given.
    pub(super) given: HashMap<(Key, String), Value>,
    failures: HashMap<Key, Failure>,
    /// What was to be told of programs that were loaded.
    pub(super) notes: Vec<Note>,
}

/// What a user should know of a program that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The policy.
    pub policy: String,
    /// The target and the interface.
    pub place: String,
    /// A sentence.
    pub words: String,
}

/// Something that did not work, and when it is tried again.
#[derive(Clone, Debug)]
struct Failure {
    /// What was wanted; none for taking off.
    wanted: Option<Wanted>,
    why: String,
    pause: Duration,
    next: Instant,
}

/// A step, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What is to be done.
    pub step: Step,
    /// With which policy.
    pub policy: String,
    /// Where, as the store says it.
    pub place: String,
    /// The target and the interface; empty where what stands there is to go.
    pub label: String,
}

impl Reconciler {
    /// Nothing is looked at yet.
    pub fn new(node: Node) -> Self {
        Reconciler {
            node,
            store: String::new(),
            surveyor: Surveyor::default(),
            pieces: Pieces::default(),
            compiled: None,
            standing: BTreeMap::new(),
            unsure: true,
            suspects: BTreeSet::new(),
            given: HashMap::new(),
            failures: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// What is to be told of programs that were loaded since this was asked for the last time.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Programs may have been taken off, anywhere.
    pub fn look_again(&mut self) {
        self.unsure = true;
        self.surveyor.doubt_missing();
    }

    /// Interfaces in these namespaces (inodes) may have come, gone, or been renamed, and targets that are `affected` lead
    /// elsewhere: their words, and the namespaces where their interfaces were.
    pub fn doubt(&mut self, namespaces: &[u64], affected: impl Fn(&str, &[u64]) -> bool) {
        let mut doubtful = self.surveyor.doubt(affected);
        doubtful.extend(namespaces);
        let now = Instant::now();
        let there = self.failures.iter_mut().filter(|(key, _)| doubtful.contains(&key.namespace));
        there.for_each(|(_, failure)| failure.next = now);
        self.suspects.append(&mut doubtful);
    }

    /// Whether any of what is doubtful is otherwise than in the last pass, or a failure is to be tried again: else another
    /// pass would change nothing. Most of what happens around a node does not matter to it.
    pub(super) fn is_due(&mut self) -> bool {
        let suspects = std::mem::take(&mut self.suspects);
        let gone = suspects.iter().any(|namespace| self.standing_in(*namespace).any(|found| !found.stands()));
        if gone {
            self.suspects = suspects;
        }
        let now = Instant::now();
        self.surveyor.look_again() || gone || self.failures.values().any(|failure| failure.next <= now)
    }

    fn standing_in(&self, namespace: u64) -> impl Iterator<Item = &Found> {
        let there = self.standing.range(Key { namespace, ifindex: 0, egress: false }..);
        there.take_while(move |(key, _)| key.namespace == namespace).map(|(_, found)| found)
    }

    /// What failed may work now.
    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        self.failures.values_mut().for_each(|failure| failure.next = now);
    }

    /// The targets whose interfaces matter.
    pub fn targets(&self) -> Vec<String> {
        self.surveyor.targets().map(ToString::to_string).collect()
    }

    /// A number that is another one when the targets may be others.
    pub(super) fn targets_version(&self) -> u64 {
        self.surveyor.targets_version()
    }

    /// The programs that stand: policy, place as the store says it, id.
    pub fn programs(&self) -> impl Iterator<Item = (String, String, u32)> {
        let one = |found: &Found| (found.standing.policy.clone(), found.standing.place.clone(), found.program);
        self.standing.values().map(one)
    }

    /// What stands, with the rules that each policy means; without the elements of long sets.
    pub(super) fn loaded(&self) -> impl Iterator<Item = (Key, &Found, &Arc<Rules>)> {
        self.standing.iter().filter_map(|(key, found)| {
            let rules = self.surveyor.rules(&found.standing.policy, key.direction())?;
            Some((*key, found, rules))
        })
    }

    /// Whether backends are to be checked.
    pub(super) fn has_checks(&self) -> bool {
        self.surveyor.has_checks()
    }

    /// When something is to be tried again.
    pub fn next_try(&self) -> Option<Instant> {
        self.failures.values().map(|failure| failure.next).min()
    }

    /// What would be done.
    ///
    /// # Errors
    /// This user may not see what stands.
    pub fn plan(&mut self, store: &dyn Store, snapshot: &Snapshot) -> Result<Vec<Planned>> {
        self.look(snapshot)?;
        let survey = self.surveyor.survey(snapshot, &self.node);
        let interfaces = survey.located.iter().flat_map(|one| one.interfaces.iter().flatten());
        let labels: HashMap<Key, String> = interfaces.map(|one| (one.key, one.label.to_string())).collect();
        let mut steps = Vec::new();
        for (key, step) in self.steps(&survey) {
            match step {
                Step::Sets(sets) => {
                    let sets = self.unlike(store, snapshot, key, sets)?;
                    steps.extend((!sets.is_empty()).then_some((key, Step::Sets(sets))));
                }
                step => steps.push((key, step)),
            }
        }
        let planned = steps.into_iter().map(|(key, step)| {
            let found = self.standing.get(&key);
            let (policy, place) = match (survey.wanted.get(&key), found) {
                (Some(wanted), _) => (wanted.wish.policy.clone(), wanted.wish.words.clone()),
                (None, found) => {
                    found.map(|found| (found.standing.policy.clone(), found.standing.place.clone())).unwrap_or_default()
                }
            };
            Planned { step, policy, place, label: labels.get(&key).cloned().unwrap_or_default() }
        });
        Ok(planned.collect())
    }

    /// Those of these sets that have other elements than they should.
    fn unlike(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        key: Key,
        sets: BTreeSet<String>,
    ) -> Result<BTreeSet<String>> {
        let Some(found) = self.standing.get(&key) else { return Ok(sets) };
        let mut unlike = BTreeSet::new();
        for set in sets {
            let wanted = Value::of(snapshot, &set).map(|value| value.elements(store, &set, &mut self.pieces));
            // Of a change that is not stored yet the elements are not to be had.
            let differs = match wanted {
                Some(Ok(wanted)) => elements::differs(&found.pinned, &set, &wanted)?,
                _ => true,
            };
            if differs {
                unlike.insert(set);
            }
        }
        Ok(unlike)
    }

    /// Does what is to be done; what cannot be done is in the report, and everything else is done all the same.
    ///
    /// # Errors
    /// This user may not see what stands.
    pub fn pass(&mut self, store: &dyn Store, snapshot: &Snapshot) -> Result<Report> {
        self.look(snapshot)?;
        let survey = self.surveyor.survey(snapshot, &self.node);
        let steps = self.steps(&survey);
        // What is as it should be, whoever did it, has not failed.
        let open: HashSet<Key> = steps.iter().map(|(key, _)| *key).collect();
        self.failures.retain(|key, failure| open.contains(key) && failure.wanted.as_ref() == survey.wanted.get(key));
        for (key, step) in steps {
            let wanted = survey.wanted.get(&key);
            if self.waits(key) {
                continue;
            }
            let done = match (step, wanted) {
                (Step::Unload, _) | (_, None) => self.unload(key),
                (Step::Sets(sets), Some(wanted)) => self.sets((store, snapshot), key, wanted, &sets),
                (Step::Load | Step::Replace, Some(wanted)) => self.load((store, snapshot), key, wanted),
            };
            self.note(key, wanted, done);
        }
        self.forget_given();
        Ok(self.report(snapshot, &survey))
    }

    /// Looks at what stands, where that is not known for sure.
    fn look(&mut self, snapshot: &Snapshot) -> Result<()> {
        let store = snapshot.id.as_deref().unwrap_or_default();
        if self.store != store {
            self.store = store.to_string();
            self.standing.clear();
            self.unsure = true;
        }
        let suspects = std::mem::take(&mut self.suspects);
        if !self.unsure {
            self.standing.retain(|key, found| {
                let stands = !suspects.contains(&key.namespace) || found.stands();
                if !stands {
                    let _lock = state::lock();
                    sweep::at(&found.pinned.path);
                }
                stands
            });
            return Ok(());
        }
        self.standing = standing::all(&self.store, &self.node.name, std::mem::take(&mut self.standing))?;
        self.unsure = false;
        Ok(())
    }

    fn steps(&self, survey: &Survey) -> Vec<(Key, Step)> {
        diff(&survey.wanted, &self.standing, |standing| survey.holds(standing))
    }

    /// Whether it has failed a moment ago.
    fn waits(&self, key: Key) -> bool {
        self.failures.get(&key).is_some_and(|failure| Instant::now() < failure.next)
    }

    fn note(&mut self, key: Key, wanted: Option<&Wanted>, done: Result<()>) {
        let Err(error) = done else {
            self.failures.remove(&key);
            return;
        };
        let pause = self.failures.get(&key).map_or(PAUSES[0], |failure| (failure.pause * 2).min(PAUSES[1]));
        let failure = Failure { wanted: wanted.cloned(), why: error.to_string(), pause, next: Instant::now() + pause };
        self.failures.insert(key, failure);
        // Whatever it did is looked at before the next try.
        self.suspects.insert(key.namespace);
        self.surveyor.doubt(|_, namespaces| namespaces.contains(&key.namespace));
    }

    /// What programs were given that stand no more.
    fn forget_given(&mut self) {
        let standing = &self.standing;
        self.given.retain(|(key, set), _| standing.get(key).is_some_and(|one| one.standing.sets.contains_key(set)));
        let ids = |value: &'_ Value| match value {
            Value::Pieces(ids) => ids.clone(),
            Value::Listed(_) => Vec::new(),
        };
        let used: HashSet<String> = self.given.values().flat_map(ids).collect();
        self.pieces.keep(|key| key.rsplit('/').next().is_some_and(|id| used.contains(id)));
    }

    fn report(&self, snapshot: &Snapshot, survey: &Survey) -> Report {
        let mut attached = Vec::new();
        for located in &survey.located {
            let Wish { policy, words, .. } = &*located.wish;
            let one = |interface: Option<&Interface>, state, program, why| Attached {
                policy: policy.clone(),
                place: words.clone(),
                interface: interface.map(|one| one.label.to_string()),
                state,
                program,
                why,
            };
            match &located.interfaces {
                Err(Obstacle::NoTarget(error)) => {
                    attached.push(one(None, State::Waiting, None, Some(error.to_string())));
                }
                Err(Obstacle::Faulty(error)) => attached.push(one(None, State::Failed, None, Some(error.to_string()))),
                Ok(interfaces) => attached.extend(interfaces.iter().map(|interface| {
                    let found = self.standing.get(&interface.key).filter(|found| found.standing.policy == *policy);
                    let failure = self.failures.get(&interface.key).map(|failure| failure.why.clone());
                    let state = if failure.is_none() && found.is_some() { State::Ok } else { State::Failed };
                    one(Some(interface), state, found.map(|found| found.program), failure)
                })),
            }
        }
        for (wish, interface, why) in &survey.conflicts {
            let (policy, place) = (wish.policy.clone(), wish.words.clone());
            let (interface, why) = (Some(interface.label.to_string()), Some(why.clone()));
            attached.push(Attached { policy, place, interface, state: State::Failed, program: None, why });
        }
        Report::new(&self.node, snapshot.revision, attached, survey.refused.clone())
    }
}

/// What is missing where a step finds nothing.
pub(super) fn gone(what: &str) -> Error {
    Error::failed(what).cause("it went away meanwhile")
}
