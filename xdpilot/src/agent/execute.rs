//! The steps of a pass, done.

use std::collections::BTreeSet;

use xdpilot_core::error::Result;
use xdpilot_core::modernize::Choice;

use super::diff::{Key, Standing, Version, Wanted};
use super::elements::{self, Pending, Value};
use super::reconcile::{Note, Reconciler, gone};
use super::standing::Found;
use super::wanted::Wish;
use crate::attach::Wish as Manner;
use crate::documents::{Snapshot, compose};
use crate::place::{self, Place};
use crate::policy::Compiled;
use crate::policy::elements::is_full;
use crate::policy::sets;
use crate::put::{self, Order};
use crate::record::StoredRecord;
use crate::source::Input;
use crate::state::{self, Pinned};
use crate::store::Store;
use crate::{sweep, unload};

/// Compiled policies with more elements than this are not kept for the next interface.
const KEPT_ELEMENTS: usize = 65_536;

/// Where documents and their pieces come from.
pub(super) type Source<'a> = (&'a dyn Store, &'a Snapshot);

impl Reconciler {
    /// Puts a policy at an interface, in the place of what stands there for this store.
    pub(super) fn load(&mut self, source: Source<'_>, key: Key, wanted: &Wanted) -> Result<()> {
        let Wanted { wish, version } = wanted;
        let place = interface_of(wish, key)?;
        let mut compiled = self.compile(source, wanted)?;
        let digest = version.digest.clone();
        let (store, node) = (self.store.clone(), self.node.name.clone());
        let (policy, words) = (wish.policy.clone(), wish.words.clone());
        compiled.stored = Some(StoredRecord { store, node, policy: policy.clone(), place: words, digest });
        let manner = Manner {
            mode: None,
            replace: self.standing.contains_key(&key),
            netlink: false,
            direction: key.direction(),
        };
        let order = Order { choice: Choice::default(), wish: manner, bare: false, verbose: false, carry: true };
        let path = place.link_path(key.direction());
        let target = place.target.clone();
        // What stands is found by its pin: the next pass would not know it without one.
        state::make_folder(&state::folder())?;
        let outcomes = put::load_unswept(&Input::Policy(Box::new(compiled)), &[place], &order);
        let outcomes = outcomes.inspect_err(|_| state::remove_folder())?;
        let outcome = outcomes.first().ok_or_else(|| gone("load a policy"))?;
        let program = outcome.id;
        let note = |words: &String| Note { policy: policy.clone(), place: outcome.label.clone(), words: words.clone() };
        self.notes.extend(outcome.notes.iter().map(note));
        let pinned = Pinned { path, direction: key.direction(), namespace: key.namespace, ifindex: key.ifindex };
        for set in version.sets.keys() {
            if let Some(value) = Value::of(source.1, set) {
                self.given.insert((key, set.clone()), value);
            }
        }
        let Version { digest, sets, .. } = (**version).clone();
        let standing = Standing { policy, place: wish.words.clone(), digest, sets };
        self.standing.insert(key, Found { standing, program, pinned, target });
        Ok(())
    }

    /// The policy with all elements, compiled.
    fn compile(&mut self, (store, snapshot): Source<'_>, Wanted { wish, version }: &Wanted) -> Result<Compiled> {
        if let Some((known, compiled)) = &self.compiled
            && known == version
        {
            return Ok(compiled.clone());
        }
        let pieces = &mut self.pieces;
        let mut elements = |name: &crate::documents::Name, ids: &[String]| pieces.all(store, name, ids);
        let policy = compose(snapshot, &wish.policy, wish.direction(), &mut elements)?;
        let compiled = policy.compile(version.frags)?;
        let count: usize = policy.rules.sets.iter().map(|set| set.elements.len()).sum();
        self.compiled = (count <= KEPT_ELEMENTS).then(|| (version.clone(), compiled.clone()));
        Ok(compiled)
    }

    /// Gives sets of a program that stands other elements. Where there is no room, or one map could not be changed at
    /// the same moment as another, the policy is loaded anew.
    pub(super) fn sets(
        &mut self,
        source: Source<'_>,
        key: Key,
        wanted: &Wanted,
        sets: &BTreeSet<String>,
    ) -> Result<()> {
        let lock = state::lock();
        let pending = self.pending(source, key, sets)?;
        if pending.iter().map(|(_, _, pending)| pending.maps()).sum::<usize>() > 1 {
            drop((pending, lock));
            return self.load(source, key, wanted);
        }
        for (set, value, pending) in pending {
            // What a change leaves that fails is not known.
            self.given.remove(&(key, set.clone()));
            let pieces = &mut self.pieces;
            match pending.apply(&mut || value.elements(source.0, &set, pieces)) {
                Ok(()) => {}
                Err(error) if is_full(&error) => {
                    drop(lock);
                    return self.load(source, key, wanted);
                }
                Err(error) => return Err(error),
            }
            self.given.insert((key, set.clone()), value);
            if let (Some(found), Some(mark)) = (self.standing.get_mut(&key), wanted.version.sets.get(&set)) {
                found.standing.sets.insert(set, *mark);
            }
        }
        Ok(())
    }

    /// What is to be changed of sets of a program that stands, with what they are to have.
    fn pending(
        &mut self,
        (store, snapshot): Source<'_>,
        key: Key,
        sets: &BTreeSet<String>,
    ) -> Result<Vec<(String, Value, Pending)>> {
        let found = self.standing.get(&key).ok_or_else(|| gone("change a set"))?;
        let mut loaded = sets::at(found.pinned.clone())?.ok_or_else(|| gone("change a set"))?;
        let pieces = &mut self.pieces;
        let mut all = Vec::new();
        for set in sets {
            let after = Value::of(snapshot, set).ok_or_else(|| gone(&format!("set {set}")))?;
            // Pieces of what it was may be gone: then it is found out from what is there.
            let before = self.given.get(&(key, set.clone()));
            let change = before.and_then(|before| elements::change(store, set, (before, &after), pieces).ok());
            let pending = Pending::find(&mut loaded, set, change, &mut || after.elements(store, set, pieces))?;
            all.push((set.clone(), after, pending));
        }
        Ok(all)
    }

    /// Takes off what stands at an interface.
    pub(super) fn unload(&mut self, key: Key) -> Result<()> {
        let Some(found) = self.standing.get(&key) else { return Ok(()) };
        let _lock = state::lock();
        if found.stands() {
            let place = Place::of_link(&found.pinned, &found.target)?;
            unload::unload(&place, |standing| standing.program.id == found.program)?;
        } else {
            // Its interface is gone: what is left of it is the pin.
            sweep::at(&found.pinned.path);
        }
        self.standing.remove(&key);
        Ok(())
    }
}

/// The interface of a target, as it is now.
fn interface_of(wish: &Wish, key: Key) -> Result<Place> {
    let found = place::of_policy(&wish.place, None)?;
    let is_it = |place: &Place| (place.namespace.inode(), place.interface.index) == (key.namespace, key.ifindex);
    found.into_iter().find(is_it).ok_or_else(|| gone(&format!("find {}", wish.place)))
}
