//! From what is wanted and what stands to the steps between: pure.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::wanted::Wish;
use crate::direction::Direction;

/// An interface, and which of its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// The inode of its network namespace.
    pub(super) namespace: u64,
    /// Its index there.
    pub(super) ifindex: u32,
    /// Packets that leave.
    pub(super) egress: bool,
}

impl Key {
    pub(super) fn direction(self) -> Direction {
        if self.egress { Direction::Egress } else { Direction::Ingress }
    }
}

/// What is wanted at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) wish: Arc<Wish>,
    pub(super) version: Arc<Version>,
}

/// What a policy is to be at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) digest: String,
    /// Whether packets of several buffers may come there.
    pub(super) frags: bool,
    /// Its sets, with the marks of their documents: revisions of a store and of its copy on a node are not comparable.
    pub(super) sets: BTreeMap<String, u64>,
}

/// What stands at an interface, for this node's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) policy: String,
    pub(super) place: String,
    pub(super) digest: String,
    /// Its sets, with the marks of the documents whose elements they have; 0 where that is not known.
    pub(super) sets: BTreeMap<String, u64>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Load the policy where none stands.
    Load,
    /// Load it in the place of what stands there.
    Replace,
    /// Give these sets other elements.
    Sets(BTreeSet<String>),
    /// Take off what stands there.
    Unload,
}

/// The steps, in the order in which they are to be done: nothing is taken off before what is new stands. What is `held`
/// stays as it is: it is not known whether it is wanted.
pub(super) fn diff<S: Borrow<Standing>>(
    wanted: &BTreeMap<Key, Wanted>,
    standing: &BTreeMap<Key, S>,
    held: impl Fn(&Standing) -> bool,
) -> Vec<(Key, Step)> {
    let mut steps = Vec::new();
    for (key, Wanted { wish, version }) in wanted {
        let step = match standing.get(key).map(Borrow::borrow) {
            None => Some(Step::Load),
            Some(is) if (&is.policy, &is.place, &is.digest) != (&wish.policy, &wish.words, &version.digest) => {
                Some(Step::Replace)
            }
            Some(is) => {
                let other = version.sets.iter().filter(|(name, mark)| is.sets.get(*name) != Some(mark));
                let other: BTreeSet<String> = other.map(|(name, _)| name.clone()).collect();
                (!other.is_empty()).then_some(Step::Sets(other))
            }
        };
        steps.extend(step.map(|step| (*key, step)));
    }
    let gone = standing.iter().filter(|(key, is)| !wanted.contains_key(key) && !held((*is).borrow()));
    steps.extend(gone.map(|(key, _)| (*key, Step::Unload)));
    steps
}

#[cfg(test)]
mod tests {
    use xdpilot_core::policy::some_places;

    use super::*;

    fn key(ifindex: u32) -> Key {
        Key { namespace: 1, ifindex, egress: false }
    }

    fn wanted(policy: &str, digest: &str, revision: u64) -> Wanted {
        let sets = BTreeMap::from([("bad".to_string(), revision)]);
        let wish = Wish::new(policy, &some_places("eth0").unwrap()[0]);
        let version = Version { digest: digest.into(), frags: false, sets };
        Wanted { wish: wish.into(), version: version.into() }
    }

    fn standing(policy: &str, digest: &str, revision: u64) -> Standing {
        let Version { digest, sets, .. } = (*wanted(policy, digest, revision).version).clone();
        Standing { policy: policy.into(), place: "eth0".into(), digest, sets }
    }

    #[test]
    fn steps_lead_from_one_to_the_other() {
        let want = BTreeMap::from([
            (key(1), wanted("a", "x", 1)),
            (key(2), wanted("a", "x", 1)),
            (key(3), wanted("a", "x", 2)),
            (key(4), wanted("a", "y", 2)),
            (key(5), wanted("b", "x", 1)),
        ]);
        let is = BTreeMap::from([
            (key(1), standing("a", "x", 1)),
            (key(3), standing("a", "x", 0)),
            (key(4), standing("a", "x", 1)),
            (key(5), standing("a", "x", 1)),
            (key(6), standing("a", "x", 1)),
            (key(7), standing("c", "x", 1)),
        ]);
        let steps = diff(&want, &is, |standing| standing.policy == "c");
        let expected = [
            (key(2), Step::Load),
            (key(3), Step::Sets(BTreeSet::from(["bad".to_string()]))),
            (key(4), Step::Replace),
            (key(5), Step::Replace),
            (key(6), Step::Unload),
        ];
        assert_eq!(steps, expected);
        assert_eq!(diff::<Standing>(&BTreeMap::new(), &BTreeMap::new(), |_| false), []);
    }
}
