//! What the nodes that share checks say of backends.
//!
//! Of the nodes that have a pool three check each of its backends: those that come first by a hash of node and backend, so
//! that no node has to be asked (rendezvous hashing: Thaler, Ravishankar, 1998). All nodes go by what most of the three
//! say, those three too. A node that hears nothing of the others is the only one it knows of, and checks all by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    own: Opinions,
    others: HashMap<String, Opinions>,
    /// How many places have each pool.
    places: HashMap<String, usize>,
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

    /// A pool is checked at one place more.
    pub(super) fn join(&self, pool: &str) {
        let mut heard = self.lock();
        *heard.places.entry(pool.to_string()).or_default() += 1;
        heard.own.pools.entry(pool.to_string()).or_default();
        self.tell(heard);
    }

    /// It is not any more.
    pub(super) fn leave(&self, pool: &str) {
        let mut heard = self.lock();
        let left = heard.places.get_mut(pool).map_or(0, |places| {
            *places = places.saturating_sub(1);
            *places
        });
        if left == 0 {
            heard.places.remove(pool);
            heard.own.pools.remove(pool);
        }
        self.tell(heard);
    }

    /// Whether this node checks a backend.
    pub(super) fn checks(&self, pool: &str, backend: &str) -> bool {
        let heard = self.lock();
        heard.first(&self.node, pool, backend).contains(&self.node.as_str())
    }

    /// This node has found out whether a backend is well, or does not check it any more.
    pub(super) fn note(&self, pool: &str, backend: &str, well: Option<bool>) {
        let mut heard = self.lock();
        let Some(backends) = heard.own.pools.get_mut(pool) else { return };
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
        let heard = self.lock();
        let says = |node: &str| {
            let opinions = if node == self.node { Some(&heard.own) } else { heard.others.get(node) };
            opinions?.pools.get(pool)?.get(backend).copied()
        };
        let said: Vec<bool> = heard.first(&self.node, pool, backend).into_iter().filter_map(says).collect();
        let well = said.iter().filter(|well| **well).count();
        match (2 * well).cmp(&said.len()) {
            std::cmp::Ordering::Greater => Some(true),
            std::cmp::Ordering::Less => Some(false),
            // Of two the first one, of none nothing.
            std::cmp::Ordering::Equal => said.first().copied(),
        }
    }

    /// What another node says now; none where it is gone.
    pub fn hear(&self, node: &str, said: Option<Opinions>) {
        let mut heard = self.lock();
        match said.filter(|said| said.schema == SCHEMA && node != self.node) {
            Some(said) => drop(heard.others.insert(node.to_string(), said)),
            None => drop(heard.others.remove(node)),
        }
    }

    /// Nothing is heard of others.
    pub fn alone(&self) {
        self.lock().others.clear();
    }

    /// Whether anything is shared.
    pub fn is_used(&self) -> bool {
        !self.lock().places.is_empty()
    }

    /// What this node says, as soon as it says something else, or so much time has gone by.
    pub fn says(&self, within: Duration) -> Opinions {
        let heard = self.lock();
        let waited = self.news.wait_timeout_while(heard, within, |heard| !heard.untold);
        let (mut heard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        heard.untold = false;
        heard.own.clone()
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
    fn first<'a>(&'a self, own: &'a str, pool: &str, backend: &str) -> Vec<&'a str> {
        let others = self.others.iter().filter(|(_, said)| said.pools.contains_key(pool));
        let mut nodes: Vec<&str> = others.map(|(node, _)| node.as_str()).chain([own]).collect();
        nodes.sort_by_cached_key(|node| (weight(&[node, pool, backend]), (*node).to_string()));
        nodes.truncate(CHECKERS);
        nodes
    }
}

/// A hash that is the same on all nodes (FNV-1a, and the end of MurmurHash3).
fn weight(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panels that hear each other.
    fn exchange(panels: &[Panel]) {
        let said: Vec<Opinions> = panels.iter().map(|panel| panel.lock().own.clone()).collect();
        for panel in panels {
            panels.iter().zip(&said).for_each(|(other, said)| panel.hear(&other.node, Some(said.clone())));
        }
    }

    #[test]
    fn three_of_many_check_a_backend_and_most_of_them_decide() {
        let panels: Vec<Panel> = (0..10).map(|at| Panel::new(&format!("n{at}"))).collect();
        panels.iter().for_each(|panel| panel.join("p"));
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
            checkers.iter().zip(said).for_each(|(at, well)| panels[*at].note("p", "b", Some(well)));
            exchange(&panels);
            assert!(all(Some(wanted)));
        }
    }

    #[test]
    fn a_node_that_is_alone_checks_all() {
        let panels: Vec<Panel> = (0..9).map(|at| Panel::new(&format!("n{at}"))).collect();
        panels.iter().for_each(|panel| panel.join("p"));
        exchange(&panels);
        let idle = panels.iter().find(|panel| !panel.checks("p", "b")).expect("six of nine");
        idle.alone();
        assert!(idle.checks("p", "b"));
        idle.note("p", "b", Some(false));
        assert_eq!(idle.verdict("p", "b"), Some(false));
        idle.leave("p");
        assert!(!idle.is_used() && idle.says(Duration::ZERO) == Opinions::default());
    }
}
