//! What stands on a node's interfaces for its store, as the kernel says it.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use xdpilot_core::error::Result;
use xdpilot_kernel::link::Link;

use super::diff::{Key, Standing};
use crate::direction::Direction;
use crate::policy::sets;
use crate::state::{self, Pinned};

/// A program of the store's, where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) standing: Standing,
    /// Its id.
    pub(super) program: u32,
    /// Its link.
    pub(super) pinned: Pinned,
    /// The target as it was named.
    pub(super) target: String,
}

impl Found {
    /// Whether it stands there still.
    pub(super) fn stands(&self) -> bool {
        let link = Link::open_pinned(&self.pinned.path).and_then(|link| link.info());
        link.is_ok_and(|link| link.is_alive() && link.program_id == self.program)
    }
}

impl Borrow<Standing> for Found {
    fn borrow(&self) -> &Standing {
        &self.standing
    }
}

/// Where a link stands.
pub(super) fn key(pinned: &Pinned) -> Key {
    let egress = pinned.direction == Direction::Egress;
    Key { namespace: pinned.namespace, ifindex: pinned.ifindex, egress }
}

/// What stands for a store on this node. The elements of its sets are not known, but for those that are `known` to have
/// stood there before.
///
/// # Errors
/// This user may not see it.
pub(super) fn all(store: &str, node: &str, mut known: BTreeMap<Key, Found>) -> Result<BTreeMap<Key, Found>> {
    let mut all = BTreeMap::new();
    for pinned in state::links()? {
        let found = match known.remove(&key(&pinned)).filter(Found::stands) {
            Some(found) => Some(found),
            // One that goes away meanwhile does not stand there.
            None => at(pinned, store, node).ok().flatten(),
        };
        all.extend(found.map(|found| (key(&found.pinned), found)));
    }
    Ok(all)
}

/// What stands behind a link for a store on this node; none where it is another's.
///
/// # Errors
/// The link is gone.
fn at(pinned: Pinned, store: &str, node: &str) -> Result<Option<Found>> {
    let Some(loaded) = sets::at(pinned)? else { return Ok(None) };
    let Some(stored) = loaded.record.stored.filter(|stored| stored.store == store && stored.node == node) else {
        return Ok(None);
    };
    let sets = loaded.record.policy.iter().flat_map(|policy| &policy.sets).map(|set| (set.name.clone(), 0)).collect();
    let standing = Standing { policy: stored.policy, place: stored.place, digest: stored.digest, sets };
    let (program, target) = (loaded.program, loaded.record.target);
    Ok(Some(Found { standing, program, pinned: loaded.pinned, target }))
}
