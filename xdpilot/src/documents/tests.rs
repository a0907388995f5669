use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy;

use super::change::{Content, Edit, LAST, Outcome, commit, stage};
use super::*;
use crate::direction::Direction;
use crate::store::embedded::Embedded;
use crate::store::{Change, Committed, Entry, Expected, Limits, Listing, Store, Watch};

fn store(folder: &Path) -> Embedded {
    Embedded::open(&folder.join("store")).unwrap()
}

fn text(kind: Kind, name: &str, words: &str) -> Edit {
    Edit { name: Name::new(kind, name), content: Some(Content::Text(words.to_string())), version: None }
}

fn elements(name: &str, words: &str) -> Edit {
    let content = Content::Elements(policy::elements(words).unwrap());
    Edit { name: Name::new(Kind::Set, name), content: Some(content), version: None }
}

fn change(name: &str, add: &str, remove: &str) -> Edit {
    let [add, remove] = [add, remove].map(|words| policy::elements(words).unwrap());
    Edit { name: Name::new(Kind::Set, name), content: Some(Content::Change { add, remove }), version: None }
}

fn delete(kind: Kind, name: &str) -> Edit {
    Edit { name: Name::new(kind, name), content: None, version: None }
}

fn put(store: &dyn Store, edits: &[Edit]) -> Outcome {
    commit(store, edits, "tests").unwrap_or_else(|error| panic!("{error}"))
}

fn refused(store: &dyn Store, edits: &[Edit]) -> String {
    let before = store.list("").unwrap();
    let error = commit(store, edits, "tests").unwrap_err().to_string();
    assert_eq!(store.list("").unwrap(), before);
    error
}

/// The elements that the policy `edge` finds in its set.
fn found(store: &dyn Store) -> Vec<String> {
    let snapshot = Snapshot::read(store).unwrap();
    let mut pieces = Pieces::default();
    let policy = compose(&snapshot, "edge", Direction::Ingress, &mut |name, ids| pieces.all(store, name, ids)).unwrap();
    let mut found: Vec<String> = policy.rules.sets[0].elements.iter().map(ToString::to_string).collect();
    found.sort();
    found
}

const EDGE: &str = "policy edge { drop when src in bad }\n";

#[test]
fn documents_are_checked_before_they_are_stored() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    assert!(refused(&store, &[text(Kind::Policy, "edge", EDGE)]).contains("bad"));
    put(&store, &[elements("bad", "192.0.2.1"), text(Kind::Policy, "edge", EDGE)]);
    assert_eq!(found(&store), ["192.0.2.1"]);
    for (edits, why) in [
        (vec![delete(Kind::Set, "bad")], "bad"),
        (vec![delete(Kind::Set, "bat")], "did you mean bad?"),
        (vec![text(Kind::Attachment, "edgy", "eth0")], "no such policy"),
        (vec![text(Kind::Attachment, "edge", "eth0,")], "expected a target"),
        (vec![text(Kind::Policy, "edge", "policy edgy { pass }")], "must say policy edge"),
        (vec![text(Kind::Policy, "edge", "policy edge on eth0 { pass }")], "document of its own"),
        (vec![text(Kind::Policy, "edge", "policy edge { drp }")], "did you mean drop?"),
        (vec![text(Kind::Pool, "edge", "set edge = {}")], "must say pool edge"),
        (vec![text(Kind::Set, "bad", "set bad = file \"x\"")], "not the names of files"),
        (
            vec![text(
                Kind::Policy,
                "edge",
                "policy edge { drop when src in bad }\ntest \"t\" { udp 192.0.2.2:1 > 192.0.2.9:2 => drop }",
            )],
            "test \"t\", line 2: udp 192.0.2.2:1 > 192.0.2.9:2 => drop is expected; it is pass",
        ),
    ] {
        let error = refused(&store, &edits);
        assert!(error.contains(why), "{error}");
    }
    put(&store, &[text(Kind::Attachment, "edge", "docker:web traffic from, node role=a eth0")]);
    let outcome = put(&store, &[delete(Kind::Policy, "edge"), delete(Kind::Set, "bad")]);
    assert_eq!(outcome.deleted.len(), 3);
    assert_eq!(Snapshot::read(&store).unwrap().documents.len(), 0);
}

#[test]
fn versions_go_on_and_are_kept() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    let name = Name::new(Kind::Policy, "edge");
    for port in 1..=30 {
        let outcome = put(&store, &[text(Kind::Policy, "edge", &format!("policy edge {{ drop when port {port} }}\n"))]);
        assert_eq!(outcome.written, [(name.clone(), port)]);
    }
    let again = put(&store, &[text(Kind::Policy, "edge", "policy edge { drop when port 30 }\n")]);
    assert_eq!((again.revision, again.unchanged), (None, vec![name.clone()]));
    let versions: Vec<u64> = history::versions(&store, &name).unwrap().iter().map(|one| one.version).collect();
    assert_eq!(versions, (10..=30).collect::<Vec<u64>>());
    assert!(history::version(&store, &name, 9).unwrap_err().to_string().contains("versions 10, 11"));
    let stale = Edit { version: Some(29), ..text(Kind::Policy, "edge", "policy edge { pass }") };
    assert!(refused(&store, &[stale]).contains("it has version 30 now, not 29"));
    put(&store, &[delete(Kind::Policy, "edge")]);
    let outcome = put(&store, &[text(Kind::Policy, "edge", "policy edge { pass }")]);
    assert_eq!(outcome.written, [(name, 31)]);
}

#[test]
fn one_element_of_a_long_set_is_one_piece() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    let address = |n: u32| std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
    let long: String = (0..20_000).map(|n| address(n) + "\n").collect();
    put(&store, &[elements("bad", &long), text(Kind::Policy, "edge", EDGE)]);
    let keys = || -> Vec<String> { store.list("pieces/").unwrap().entries.into_iter().map(|e| e.key).collect() };
    let before = keys();
    assert_eq!(before.len(), 16);
    put(&store, &[change("bad", "192.0.2.1", &address(7))]);
    let new: Vec<String> = keys().into_iter().filter(|key| !before.contains(key)).collect();
    assert!((1..=2).contains(&new.len()), "{new:?}");
    let mut expected: Vec<String> = (0..20_000).filter(|n| *n != 7).map(address).collect();
    expected.push("192.0.2.1".into());
    expected.sort();
    assert_eq!(found(&store), expected);
    let same = put(&store, &[change("bad", "192.0.2.1", &address(7))]);
    assert_eq!((same.revision, same.written.len()), (None, 0));
    // The same elements in one go: nothing is written.
    let all = expected.join("\n");
    assert_eq!(put(&store, &[elements("bad", &all)]).revision, None);
    // What no version has any more is gone.
    for n in 0..30 {
        put(&store, &[change("bad", &address(50_000 + n), "")]);
    }
    assert!(keys().len() <= 16 + 22, "{}", keys().len());
    put(&store, &[elements("bad", "192.0.2.9")]);
    assert_eq!(found(&store), ["192.0.2.9"]);
}

/// A store whose commits of documents do not get through, as long as it is cut off: an error says that.
struct Cut<'a> {
    store: &'a Embedded,
    is_off: AtomicBool,
}

impl Store for Cut<'_> {
    fn commit(&self, expected: &[Expected], changes: &[Change]) -> Result<Committed> {
        if self.is_off.load(Ordering::Relaxed) && changes.iter().any(|change| change.key() == LAST) {
            return Err(Error::failed("change the store").cause("it is away"));
        }
        self.store.commit(expected, changes)
    }

    fn list(&self, prefix: &str) -> Result<Listing> {
        self.store.list(prefix)
    }

    fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.store.get(key)
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Box<dyn Watch>> {
        self.store.watch(prefix, after)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn announce(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        self.store.announce(key, value, ttl)
    }

    fn name(&self) -> String {
        self.store.name()
    }
}

#[test]
fn pieces_of_a_commit_that_failed_go_with_the_next_one() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    let cut = Cut { store: &store, is_off: AtomicBool::new(false) };
    let keys = |prefix: &str| store.list(prefix).unwrap().entries.len();
    let all: String = (0..20_000).map(|n| format!("10.0.{}.{}\n", n / 250, n % 250)).collect();
    put(&cut, &[elements("bad", &all), text(Kind::Policy, "edge", EDGE)]);
    let pieces = keys("pieces/");
    assert!(pieces > 1 && keys("pending/") == 0);
    cut.is_off.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        commit(&cut, &[elements("worse", &all)], "tests").unwrap_err();
    }
    assert_eq!((keys("pieces/"), keys("pending/")), (3 * pieces, 2));
    cut.is_off.store(false, Ordering::Relaxed);
    put(&cut, &[text(Kind::Set, "small", "set small = {}")]);
    assert_eq!((keys("pieces/"), keys("pending/")), (pieces, 0));
    // A rollout is no commit of documents: what another one at work has written before it may still be stored.
    cut.is_off.store(true, Ordering::Relaxed);
    commit(&cut, &[elements("worse", &all)], "tests").unwrap_err();
    cut.is_off.store(false, Ordering::Relaxed);
    let bake = Duration::from_secs(1);
    stage(&cut, &[elements("bad", all.split_once('\n').unwrap().1)], bake, "tests", |_, _| Ok(vec!["a".to_string()]))
        .unwrap();
    assert_eq!(keys("pending/"), 1);
    put(&cut, &[text(Kind::Set, "small", "set small = { 10.0.0.1 }")]);
    assert_eq!((keys("pieces/"), keys("pending/")), (pieces + 1, 0));
    assert_eq!(found(&store).len(), 20_000);
}

#[test]
fn long_policies_are_in_pieces() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    let rules: String = (0..10_000).map(|n| format!("  drop when src host 10.0.{}.{}\n", n / 250, n % 250)).collect();
    let words = format!("policy edge {{\n{rules}}}\n");
    put(&store, &[text(Kind::Policy, "edge", &words)]);
    let name = Name::new(Kind::Policy, "edge");
    let snapshot = Snapshot::read(&store).unwrap();
    let document = snapshot.documents[&name].document.clone().unwrap();
    assert!(matches!(&document.body, Body::Pieces { elements: None, pieces } if pieces.len() > 1));
    assert_eq!(whole(&store, &name, &document).unwrap(), words);
    assert_eq!(put(&store, &[text(Kind::Policy, "edge", &words)]).revision, None);
}

#[test]
fn garbage_is_told_and_harms_nothing_else() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    put(&store, &[elements("bad", "192.0.2.1"), text(Kind::Policy, "edge", EDGE)]);
    let values: [(&str, &[u8]); 6] = [
        ("documents/policy/a", b"\xff\xfe"),
        ("documents/policy/b", b"{}"),
        ("documents/pool/c", b"{\"schema\":1,\"version\":1,\"changed\":1,\"by\":\"\",\"pieces\":[\"x\"]}"),
        ("documents/what/d", b""),
        ("documents/set/e", b"{\"schema\":1,\"version\":1,\"changed\":1,\"by\":\"\",\"text\":\"set f = {}\"}"),
        ("documents/policy/f", b"policy f { drop when udp }"),
    ];
    for (key, value) in values {
        let change = Change::Put { key: key.to_string(), value: value.to_vec() };
        store.commit(&[], &[change]).unwrap();
    }
    let snapshot = Snapshot::read(&store).unwrap();
    let faulty: Vec<String> = snapshot.faulty().map(|(name, _)| name).collect();
    assert_eq!(faulty, ["set e", "pool c", "policy a", "policy b", "documents/what/d"]);
    assert_eq!(found(&store), ["192.0.2.1"]);
    // What was written by hand is a document, and what is faulty can be mended.
    put(&store, &[text(Kind::Policy, "f", "policy f { pass }"), text(Kind::Policy, "a", "policy a { pass }")]);
    put(&store, &[delete(Kind::Policy, "b")]);
    assert_eq!(Snapshot::read(&store).unwrap().faulty().count(), 3);
}
