//! What the nodes that share checks say of backends.
//!
//! Of the nodes that have a pool three check each of its backends: those that come first by a hash of node and backend, so
//! that no node has to be asked (rendezvous hashing: Thaler, Ravishankar, 1998). All nodes go by what most of the three
//! say, those three too. A node that hears nothing of the others is the only one it knows of, and checks all by itself.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fnv;

/// So many nodes check each backend.
const CHECKERS: usize = 3;
/// The form of what a node says.
const SCHEMA: u32 = 1;

/// What this node says, and what it has heard of others.
#[derive(Debug)]
pub struct Panel {
    node: String,
    heard: Mutex<Heard>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    /// Of this node, by pool and place.
    own: BTreeMap<String, BTreeMap<u64, BTreeMap<String, bool>>>,
    /// The number of the next place.
    next: u64,
    others: BTreeMap<String, Opinions>,
    /// The nodes that have a pool, with a hash of both, until others are heard.
    nodes: HashMap<String, Vec<(u64, String)>>,
    /// Whether what this node says is other than it was told.
    untold: bool,
}

/// What a node says: the pools that it has, and which of the backends that it checks are well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinions {
    schema: u32,
    pools: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Default for Opinions {
    fn default() -> Self {
        Opinions { schema: SCHEMA, pools: BTreeMap::new() }
    }
}

impl Panel {
    /// Nothing is shared yet.
    pub fn new(node: &str) -> Self {
        Panel { node: node.to_string(), heard: Mutex::default(), news: Condvar::new() }
    }

    /// A pool is checked at one place more; the number of the place.
    pub(super) fn join(&self, pool: &str) -> u64 {
        let mut heard = self.lock();
        let place = heard.next;
        heard.next += 1;
        heard.own.entry(pool.to_string()).or_default().insert(place, BTreeMap::new());
        self.tell(heard);
        place
    }

    /// It is not any more.
    pub(super) fn leave(&self, pool: &str, place: u64) {
        let mut heard = self.lock();
        if let Some(places) = heard.own.get_mut(pool) {
            places.remove(&place);
            if places.is_empty() {
                heard.own.remove(pool);
            }
        }
        self.tell(heard);
    }

    /// Whether this node checks a backend.
    pub(super) fn checks(&self, pool: &str, backend: &str) -> bool {
        self.lock().first(&self.node, pool, backend).contains(&self.node)
    }

    /// It was found out at a place whether a backend is well, or it is not checked there any more.
    pub(super) fn note(&self, pool: &str, place: u64, backend: &str, well: Option<bool>) {
        let mut heard = self.lock();
        let Some(backends) = heard.own.get_mut(pool).and_then(|places| places.get_mut(&place)) else { return };
        let before = match well {
            Some(well) => backends.insert(backend.to_string(), well),
            None => backends.remove(backend),
        };
        if before != well {
            self.tell(heard);
        }
    }

    /// Whether a backend is well, as far as those say that check it.
    pub(super) fn verdict(&self, pool: &str, backend: &str) -> Option<bool> {
        let mut heard = self.lock();
        let first = heard.first(&self.node, pool, backend);
        let says = |node: &String| match heard.others.get(node) {
            Some(said) => said.pools.get(pool)?.get(backend).copied(),
            None => heard.says(pool, backend),
        };
        let said: Vec<bool> = first.iter().filter_map(says).collect();
        let well = said.iter().filter(|well| **well).count();
        match (2 * well).cmp(&said.len()) {
            Ordering::Greater => Some(true),
            Ordering::Less => Some(false),
            // Of two the first one, of none nothing.
            Ordering::Equal => said.first().copied(),
        }
    }

    /// What another node says now; none where it is gone.
    pub fn hear(&self, node: &str, said: Option<Opinions>) {
        let mut heard = self.lock();
        match said.filter(|said| said.schema == SCHEMA && node != self.node) {
            Some(said) => drop(heard.others.insert(node.to_string(), said)),
            None => drop(heard.others.remove(node)),
        }
        heard.nodes.clear();
    }

    /// What all others say; nothing is known any more of those that are left out.
    pub fn hear_all(&self, said: BTreeMap<String, Opinions>) {
        let mut heard = self.lock();
        heard.others = said;
        heard.others.retain(|node, said| said.schema == SCHEMA && *node != self.node);
        heard.nodes.clear();
    }

    /// Whether anything is shared.
    pub fn is_used(&self) -> bool {
        !self.lock().own.is_empty()
    }

    /// What this node says, as soon as it says something else, or so much time has gone by.
    pub fn says(&self, within: Duration) -> Opinions {
        let waited = self.news.wait_timeout_while(self.lock(), within, |heard| !heard.untold);
        let (mut heard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        heard.untold = false;
        heard.opinions()
    }

    fn tell(&self, mut heard: MutexGuard<'_, Heard>) {
        heard.untold = true;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// The nodes that check a backend.
    fn first(&mut self, own: &str, pool: &str, backend: &str) -> Vec<String> {
        let others = &self.others;
        let nodes = self.nodes.entry(pool.to_string()).or_insert_with(|| {
            let others = others.iter().filter(|(_, said)| said.pools.contains_key(pool)).map(|(node, _)| node.as_str());
            let both = |node: &str| fnv::hash(fnv::NOTHING, [node, pool].join("\0").bytes());
            others.chain([own]).map(|node| (both(node), node.to_string())).collect()
        });
        let mut first: Vec<(u64, &String)> = Vec::new();
        for (both, node) in nodes {
            let one = (mixed(fnv::hash(*both, backend.bytes())), &*node);
            let at = first.partition_point(|other| *other < one);
            if at < CHECKERS {
                first.insert(at, one);
                first.truncate(CHECKERS);
            }
        }
        first.into_iter().map(|(_, node)| node.clone()).collect()
    }

    /// What this node says of a backend: it is well where no place says otherwise.
    fn says(&self, pool: &str, backend: &str) -> Option<bool> {
        let said = self.own.get(pool)?.values().filter_map(|backends| backends.get(backend));
        said.copied().reduce(|all, one| all && one)
    }

    fn opinions(&self) -> Opinions {
        let of_pool = |(pool, places): (&String, &BTreeMap<u64, BTreeMap<String, bool>>)| {
            let backends: BTreeSet<&String> = places.values().flat_map(BTreeMap::keys).collect();
            let said = backends.into_iter().filter_map(|backend| Some((backend.clone(), self.says(pool, backend)?)));
            (pool.clone(), said.collect())
        };
        Opinions { schema: SCHEMA, pools: self.own.iter().map(of_pool).collect() }
    }
}

/// Each bit of the result depends on all bits of a hash (the end of MurmurHash3).
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panels that hear each other.
    fn exchange(panels: &[Panel]) {
        let said: Vec<Opinions> = panels.iter().map(|panel| panel.lock().opinions()).collect();
        for panel in panels {
            panels.iter().zip(&said).for_each(|(other, said)| panel.hear(&other.node, Some(said.clone())));
        }
    }

    #[test]
    fn three_of_many_check_a_backend_and_most_of_them_decide() {
        let panels: Vec<Panel> = (0..10).map(|at| Panel::new(&format!("n{at}"))).collect();
        panels.iter().for_each(|panel| assert_eq!(panel.join("p"), 0));
        exchange(&panels);
        let mut work = [0; 10];
        for backend in (0..1000).map(|at| format!("b{at}")) {
            let checkers: Vec<usize> = (0..10).filter(|at| panels[*at].checks("p", &backend)).collect();
            assert_eq!(checkers.len(), 3);
            checkers.iter().for_each(|at| work[*at] += 1);
        }
        assert!(work.iter().all(|share| (200..400).contains(share)), "{work:?}");
        let checkers: Vec<usize> = (0..10).filter(|at| panels[*at].checks("p", "b")).collect();
        let all = |wanted| panels.iter().all(|panel| panel.verdict("p", "b") == wanted);
        assert!(all(None));
        for (said, wanted) in [([true, true, false], true), ([false, true, false], false), ([false; 3], false)] {
            checkers.iter().zip(said).for_each(|(at, well)| panels[*at].note("p", 0, "b", Some(well)));
            exchange(&panels);
            assert!(all(Some(wanted)));
        }
    }

    #[test]
    fn a_node_that_is_alone_checks_all() {
        let panels: Vec<Panel> = (0..9).map(|at| Panel::new(&format!("n{at}"))).collect();
        panels.iter().for_each(|panel| assert_eq!(panel.join("p"), 0));
        exchange(&panels);
        let idle = panels.iter().find(|panel| !panel.checks("p", "b")).expect("six of nine");
        idle.hear_all(BTreeMap::new());
        assert!(idle.checks("p", "b"));
        idle.note("p", 0, "b", Some(false));
        assert_eq!(idle.verdict("p", "b"), Some(false));
        // Of two places that disagree the one counts that says no.
        let place = idle.join("p");
        idle.note("p", place, "b", Some(true));
        assert_eq!(idle.verdict("p", "b"), Some(false));
        idle.leave("p", 0);
        assert_eq!(idle.verdict("p", "b"), Some(true));
        idle.leave("p", place);
        assert!(!idle.is_used() && idle.says(Duration::ZERO) == Opinions::default());
    }
}
