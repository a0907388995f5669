//! Who changes documents, and knows what the store acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use xdpilot::documents::change::{Content, Edit, commit};
use xdpilot::documents::{Kind, Meaning, Name, Pieces, Snapshot, whole};
use xdpilot::store::{self, Store};
use xdpilot_core::error::Kind as ErrorKind;
use xdpilot_core::policy::{self, Element};
use xdpilot_kernel::namespace::Namespace;

use super::probes::{DROPPED, FROM, PORTS, TO};
use super::random::Random;
use crate::world::{Fleet, Host};

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Elements(BTreeSet<String>),
}

/// Documents and what they are to say; none for those that go.
type Wanted = Vec<(Name, Option<Said>)>;

/// Elements of the set that is stored in pieces; and so many as there is no room for in the maps of a policy that was
/// loaded with fewer.
const LONG: usize = 6_000;
const LONGER: usize = 67_000;
/// So long the store may be away.
const PATIENCE: Duration = Duration::from_secs(120);

/// The driver.
pub(super) struct Driver {
    store: Box<dyn Store>,
    random: Random,
    nodes: Vec<String>,
    /// What each document may say: one thing where that was acknowledged, several after errors.
    known: BTreeMap<Name, Vec<Option<Said>>>,
    /// Which of two things each probe's documents say, in the order of their ports.
    sides: [bool; 5],
    /// The elements of the long set that are on no side.
    long: BTreeSet<String>,
    /// The node of each of the other policies; none while there is no such policy.
    places: Vec<Option<usize>>,
    acknowledged: u64,
    errors: u64,
}

impl Driver {
    pub(super) fn new(fleet: &Fleet, hosts: &[Host], random: Random) -> Self {
        let address = fleet.store().parse().unwrap();
        // The threads that speak to etcd are begun there.
        let opened = Namespace::named(&fleet.name).unwrap().run(|| {
            let store = store::open(&address)?;
            store.list("")?;
            Ok(store)
        });
        let mut driver = Driver {
            store: opened.unwrap(),
            random,
            nodes: hosts.iter().map(|host| host.name.clone()).collect(),
            known: BTreeMap::new(),
            sides: [false; 5],
            long: BTreeSet::new(),
            places: (0..hosts.len()).map(Some).collect(),
            acknowledged: 0,
            errors: 0,
        };
        driver.long = driver.addresses(LONG);
        driver
    }

    /// The documents that all begins with.
    pub(super) fn begin(&mut self) {
        let mut wanted = vec![text(Kind::Attachment, "marker", "e0".to_string()), self.small_set("bad")];
        wanted.extend((1..=5).flat_map(|probe| self.flipped(probe)));
        wanted.extend(["cats", "dogs"].map(|name| self.pool(name)));
        wanted.extend((0..self.places.len()).flat_map(|which| [self.policy(which), self.attachment(which)]));
        // The marker is there twice: with the third probe's documents, and with all.
        let mut seen = BTreeSet::new();
        wanted.retain(|(name, _)| seen.insert(name.clone()));
        self.make(wanted);
    }

    /// Makes a change, whatever the store does meanwhile.
    pub(super) fn change(&mut self) {
        let wanted = match self.random.below(16) {
            0..5 => {
                let probes = [1, 1, 2, 3, 4, 5];
                let which = self.random.below(probes.len());
                self.flipped(probes[which])
            }
            5 => (1..=5).flat_map(|probe| self.flipped(probe)).collect(),
            6 => {
                let size = if self.random.one_of(4) { LONGER } else { LONG };
                self.long = self.addresses(size);
                vec![self.long_set()]
            }
            7 | 8 => {
                let new = self.random.address();
                if !self.long.remove(&new) {
                    self.long.insert(new);
                }
                vec![self.long_set()]
            }
            9 | 10 => vec![self.small_set("bad")],
            11 => vec![self.pool("cats")],
            12 => vec![self.pool("dogs"), self.small_set("spare")],
            13 => self.moved(),
            14 => self.gone_or_back(),
            _ => {
                let which = self.random.below(self.places.len());
                if self.is_there(which) { vec![self.policy(which)] } else { vec![self.pool("birds")] }
            }
        };
        self.make(wanted);
        thread::sleep(Duration::from_millis(self.random.below(200) as u64));
    }

    /// Commits until the store acknowledges it; or gives up after an error, now and then.
    fn make(&mut self, wanted: Wanted) {
        let end = Instant::now() + PATIENCE;
        loop {
            let edits: Vec<Edit> = wanted.iter().map(|(name, said)| self.edit(name, said.as_ref())).collect();
            match commit(&*self.store, &edits, "chaos") {
                Ok(_) => {
                    self.acknowledged += 1;
                    self.known.extend(wanted.into_iter().map(|(name, said)| (name, vec![said])));
                    return;
                }
                Err(error) => {
                    assert!(error.kind() != ErrorKind::Usage, "{error}");
                    assert!(Instant::now() < end, "the store stays away: {error}");
                    self.errors += 1;
                    thread::sleep(Duration::from_millis(300));
                    for (name, said) in &wanted {
                        let known = self.known.entry(name.clone()).or_insert_with(|| vec![None]);
                        if !known.contains(said) {
                            known.push(said.clone());
                        }
                    }
                }
            }
            // A document that may be gone already cannot be deleted once more.
            if self.random.one_of(5) || wanted.iter().any(|(_, said)| said.is_none()) {
                return;
            }
        }
    }

    /// An edit that makes a document say that, by what comes and goes where it is known what it says now.
    fn edit(&mut self, name: &Name, said: Option<&Said>) -> Edit {
        let before = match self.known.get(name).map(Vec::as_slice) {
            Some([Some(Said::Elements(before))]) => Some(before),
            _ => None,
        };
        let content = said.map(|said| match (said, before) {
            (Said::Text(text), _) => Content::Text(text.clone()),
            (Said::Elements(now), Some(before)) => {
                Content::Change { add: elements(now.difference(before)), remove: elements(before.difference(now)) }
            }
            (Said::Elements(now), None) => Content::Elements(elements(now.iter())),
        });
        Edit { name: name.clone(), content, version: None }
    }

    /// The store has what it acknowledged; what ended with an error is known from now on.
    pub(super) fn check(&mut self) {
        let snapshot = Snapshot::read(&*self.store).unwrap();
        let mut pieces = Pieces::default();
        let names: BTreeSet<Name> = self.known.keys().chain(snapshot.documents.keys()).cloned().collect();
        for name in names {
            let said = snapshot.documents.get(&name).map(|stored| match &**stored.meaning.as_ref().unwrap() {
                Meaning::Set(elements) => Said::Elements(elements.iter().map(ToString::to_string).collect()),
                Meaning::SetPieces(ids) => {
                    let all = pieces.all(&*self.store, &name, ids).unwrap();
                    Said::Elements(all.iter().map(ToString::to_string).collect())
                }
                _ => Said::Text(whole(&*self.store, &name, stored.document.as_ref().unwrap()).unwrap()),
            });
            let known = self.known.get(&name).cloned().unwrap_or_default();
            assert!(
                known.contains(&said),
                "{name} says {}, not {}",
                short(&said),
                known.iter().map(short).collect::<String>()
            );
            self.known.insert(name, vec![said]);
        }
        for (which, place) in self.places.iter_mut().enumerate() {
            let there = snapshot.documents.contains_key(&Name::new(Kind::Policy, format!("other{which}")));
            *place = there.then(|| place.unwrap_or(which));
        }
    }

    pub(super) fn counts(&self) -> String {
        format!("{} acknowledged, {} errors", self.acknowledged, self.errors)
    }

    fn addresses(&mut self, count: usize) -> BTreeSet<String> {
        (0..count).map(|_| self.random.address()).collect()
    }

    /// The documents of a probe, saying the other of two things.
    fn flipped(&mut self, probe: usize) -> Wanted {
        let side = !self.sides[probe - 1];
        self.sides[probe - 1] = side;
        let one = |is: bool, word: &str| if is { vec![word.to_string()] } else { Vec::new() };
        match probe {
            1 => vec![self.set("left", one(side, FROM)), self.set("right", one(!side, FROM))],
            2 => vec![self.set("many", vec![if side { FROM } else { TO }.to_string()])],
            3 => vec![self.set("gate", one(side, FROM)), self.marker()],
            4 => vec![self.set("mixed", vec![if side { FROM.to_string() } else { PORTS[3].to_string() }])],
            _ => vec![self.long_set()],
        }
    }

    /// A set of these words, with others beside them or without.
    fn set(&mut self, name: &str, words: Vec<String>) -> (Name, Option<Said>) {
        let more = if self.random.one_of(2) { self.random.below(20) } else { 0 };
        let elements = self.addresses(more).into_iter().chain(words).collect();
        (Name::new(Kind::Set, name), Some(Said::Elements(elements)))
    }

    fn small_set(&mut self, name: &str) -> (Name, Option<Said>) {
        let words = vec![self.random.address(), format!("2001:db8::{:x}", self.random.below(0xffff))];
        self.set(name, words)
    }

    fn long_set(&mut self) -> (Name, Option<Said>) {
        let word = if self.sides[4] { FROM } else { TO };
        let elements = self.long.iter().cloned().chain([word.to_string()]).collect();
        (Name::new(Kind::Set, "long"), Some(Said::Elements(elements)))
    }

    /// The policy of the probes.
    fn marker(&mut self) -> (Name, Option<Said>) {
        let [pair, many, gate, mixed, long] = PORTS;
        let not = if self.sides[2] { "not " } else { "" };
        let mut rules = format!(
            "  drop when udp dst port {DROPPED}\n  drop when udp dst port {gate} and {not}src in gate\n  \
             drop when udp dst port {}\n",
            20_000 + self.random.below(10_000)
        );
        for (port, first, second) in [
            (pair, "src in left", "src in right"),
            (many, "src in many", "dst in many"),
            (mixed, "src in mixed", "dst port in mixed"),
            (long, "src in long", "dst in long"),
        ] {
            for both in [format!("{first} and {second}"), format!("not {first} and not {second}")] {
                // Writing to a string does not fail.
                _ = writeln!(rules, "  drop when udp dst port {port} and {both}");
            }
        }
        text(Kind::Policy, "marker", format!("policy marker {{\n{rules}}}\n"))
    }

    /// Another policy, with random rules.
    fn policy(&mut self, which: usize) -> (Name, Option<Said>) {
        let mut rules = String::new();
        for _ in 0..1 + self.random.below(5) {
            let number = 1 + self.random.below(60_000);
            rules += &match self.random.below(5) {
                0 => "  drop when src in bad\n".to_string(),
                1 => format!("  route cats when dst host 10.10.0.80 and udp dst port {number}\n"),
                2 => format!("  route dogs when dst host 10.10.0.81 and tcp dst port {number}\n"),
                3 => format!("  count some when tcp dst port {number}\n"),
                _ => format!("  drop when udp src port {number}\n"),
            };
        }
        text(Kind::Policy, &format!("other{which}"), format!("policy other{which} {{\n{rules}}}\n"))
    }

    fn attachment(&self, which: usize) -> (Name, Option<Said>) {
        let node = &self.nodes[self.places[which].unwrap_or(which)];
        text(Kind::Attachment, &format!("other{which}"), format!("node name={node} e1"))
    }

    fn pool(&mut self, name: &str) -> (Name, Option<Said>) {
        let mut backends = String::new();
        for host in 3..4 + self.random.below(4) {
            let weight = 1 + self.random.below(9);
            // Writing to a string does not fail.
            _ = writeln!(backends, "  10.10.0.{host}:80 weight {weight}");
        }
        text(Kind::Pool, name, format!("pool {name} via nat {{\n{backends}}}\n"))
    }

    /// Whether another policy is in the store, and not just may be.
    fn is_there(&self, which: usize) -> bool {
        let known = self.known.get(&Name::new(Kind::Policy, format!("other{which}")));
        matches!(known.map(Vec::as_slice), Some([Some(_)]))
    }

    /// Two policies change places.
    fn moved(&mut self) -> Wanted {
        let there: Vec<usize> = (0..self.places.len()).filter(|which| self.is_there(*which)).collect();
        let [a, b] = [self.random.below(there.len()), self.random.below(there.len())];
        let (Some(a), Some(b)) = (there.get(a).copied(), there.get(b).copied()) else { return self.gone_or_back() };
        self.places.swap(a, b);
        let mut moved = vec![self.attachment(a)];
        moved.extend((a != b).then(|| self.attachment(b)));
        moved
    }

    /// A policy that is there goes, with its place; one that is not comes.
    fn gone_or_back(&mut self) -> Wanted {
        let which = self.random.below(self.places.len());
        if self.is_there(which) {
            let name = format!("other{which}");
            self.places[which] = None;
            return [Kind::Policy, Kind::Attachment].map(|kind| (Name::new(kind, name.clone()), None)).to_vec();
        }
        let free = (0..self.nodes.len()).find(|node| !self.places.contains(&Some(*node)));
        self.places[which] = self.places[which].or(free);
        vec![self.policy(which), self.attachment(which)]
    }
}

fn text(kind: Kind, name: &str, words: String) -> (Name, Option<Said>) {
    (Name::new(kind, name), Some(Said::Text(words)))
}

fn elements<'w>(words: impl Iterator<Item = &'w String>) -> Vec<Element> {
    policy::elements(&words.cloned().collect::<Vec<_>>().join("\n")).unwrap()
}

/// The begin of what a document says.
fn short(said: &Option<Said>) -> String {
    format!("{said:?}").chars().take(300).collect()
}
