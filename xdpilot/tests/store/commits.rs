//! Commits: all or nothing, and nobody's change is lost.

use std::thread;

use xdpilot::store::{Committed, Store};

use crate::place::{Place, delete, done, expected, keys, put};

crate::for_both_stores! {
    what_is_committed_is_there, expected_entries_are_compared, conflicts_change_nothing, revisions_grow,
    what_changes_nothing_is_no_change, values_are_bytes, the_largest_commit_is_taken, limits_are_told,
    no_update_of_eight_writers_is_lost, all_is_kept,
}

fn what_is_committed_is_there(place: &Place) {
    let store = place.open();
    assert_eq!(store.get("policy/edge").unwrap(), None);
    assert_eq!(store.list("").unwrap().entries, []);
    let revision = done(&*store, &[put("policy/edge", "drop"), put("set/bad", "10.0.0.1")]);
    let entry = store.get("policy/edge").unwrap().unwrap();
    assert_eq!((entry.key.as_str(), &entry.value[..], entry.revision), ("policy/edge", &b"drop"[..], revision));
    let second = done(&*store, &[put("policy/edge", "pass"), delete("set/bad")]);
    let listing = store.list("").unwrap();
    assert!(listing.revision >= second);
    let [entry] = &listing.entries[..] else { panic!("{listing:?}") };
    assert_eq!((entry.key.as_str(), &entry.value[..], entry.revision), ("policy/edge", &b"pass"[..], second));
    assert_eq!(store.get("set/bad").unwrap(), None);
}

fn expected_entries_are_compared(place: &Place) {
    let store = place.open();
    let conflict = |key: &str, revision, value: &str| {
        store.commit(&[expected(key, revision)], &[put(key, value)]).unwrap() == Committed::Conflict
    };
    assert!(!conflict("a", 0, "first"), "0 is a key that is not there");
    assert!(conflict("a", 0, "second"), "it is there");
    let first = store.get("a").unwrap().unwrap();
    assert_eq!(first.value, b"first");
    assert!(conflict("a", first.revision + 1, "second"));
    assert!(conflict("b", first.revision, "second"), "it is not there");
    assert!(!conflict("a", first.revision, "second"));
    assert!(conflict("a", first.revision, "third"), "the revision of before");
    done(&*store, &[delete("a")]);
    assert!(conflict("a", first.revision, "third"));
    assert!(!conflict("a", 0, "third"), "gone is as if it was never there");
    // What is expected need not be what changes.
    let a = store.get("a").unwrap().unwrap().revision;
    assert!(matches!(store.commit(&[expected("a", a)], &[put("b", "b")]).unwrap(), Committed::Done(_)));
    assert_eq!(store.commit(&[expected("a", a + 1)], &[put("b", "c")]).unwrap(), Committed::Conflict);
    assert_eq!(store.get("b").unwrap().unwrap().value, b"b");
}

fn conflicts_change_nothing(place: &Place) {
    let store = place.open();
    let revision = done(&*store, &[put("a", "1"), put("b", "1")]);
    let before = store.list("").unwrap();
    let all = [put("a", "2"), delete("b"), put("c", "2")];
    for wrong in [expected("c", revision), expected("b", 0), expected("a", revision + 7)] {
        let right = [expected("a", revision), expected("c", 0)];
        let together: Vec<_> = right.iter().filter(|entry| entry.key != wrong.key).chain([&wrong]).cloned().collect();
        assert_eq!(store.commit(&together, &all).unwrap(), Committed::Conflict);
        assert_eq!(store.list("").unwrap().entries, before.entries);
    }
    let right = [expected("a", revision), expected("b", revision), expected("c", 0)];
    let Committed::Done(after) = store.commit(&right, &all).unwrap() else { panic!("a conflict") };
    let entries = store.list("").unwrap().entries;
    assert!(entries.iter().all(|entry| entry.revision == after), "one commit is one revision: {entries:?}");
    assert_eq!(keys(&*store, ""), ["a", "c"]);
}

fn revisions_grow(place: &Place) {
    let store = place.open();
    let mut last = store.list("").unwrap().revision;
    for round in 0..20 {
        let revision = done(&*store, &[put("a", format!("{round}")), put("b", "same")]);
        assert!(revision > last);
        assert!(store.list("nothing/").unwrap().revision >= revision, "of the store, not of what is listed");
        last = revision;
    }
    assert!(done(&*store, &[delete("a")]) > last);
}

fn what_changes_nothing_is_no_change(place: &Place) {
    let store = place.open();
    let revision = done(&*store, &[put("a", "1")]);
    let mut watch = store.watch("", revision).unwrap();
    done(&*store, &[delete("b")]);
    done(&*store, &[]);
    let after = done(&*store, &[delete("c"), put("a", "2")]);
    assert_eq!(crate::place::changes_until(&mut *watch, after), [put("a", "2")]);
    // Beside the prefix, etcd's revision may have grown.
    if !place.keeps_history {
        assert_eq!(after, revision + 1);
    }
}

fn values_are_bytes(place: &Place) {
    let store = place.open();
    let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let values = [("zero", &b"\0"[..]), ("none", b""), ("line", b"\r\n"), ("no utf-8", &[0xff, 0xfe]), ("all", &all)];
    let changes: Vec<_> = values.iter().map(|(key, value)| put(key, value)).collect();
    let revision = store.list("").unwrap().revision;
    let mut watch = store.watch("", revision).unwrap();
    let revision = done(&*store, &changes);
    for (key, value) in values {
        assert_eq!(store.get(key).unwrap().unwrap().value, value, "{key}");
    }
    assert_eq!(crate::place::changes_until(&mut *watch, revision), changes);
}

fn the_largest_commit_is_taken(place: &Place) {
    let store = place.open();
    let limits = store.limits();
    let (count, bytes) = (limits.changes.min(2000), limits.bytes.min(8 << 20));
    let names: Vec<String> = (0..count).map(|number| format!("{number:08}")).collect();
    let expected: Vec<_> = names.iter().map(|name| expected(name, 0)).collect();
    // Keys count as they are changed and as they are expected.
    let value = vec![7; bytes / count - 16];
    let changes: Vec<_> = names.iter().map(|name| put(name, &value)).collect();
    assert!(matches!(store.commit(&expected, &changes).unwrap(), Committed::Done(_)));
    let one = vec![7; bytes - 3];
    done(&*store, &[put("one", &one)]);
    assert_eq!(store.get("one").unwrap().unwrap().value, one);
    assert_eq!(keys(&*store, "0").len(), count);
}

fn limits_are_told(place: &Place) {
    let store = place.open();
    let limits = store.limits();
    let told = |result: xdpilot_core::error::Result<Committed>| result.unwrap_err().to_string();
    let many: Vec<_> = (0..=limits.changes).map(|number| delete(&number.to_string())).collect();
    assert!(told(store.commit(&[], &many)).contains(&format!("at most {} changes", limits.changes)));
    if limits.bytes < 16 << 20 {
        let error = told(store.commit(&[], &[put("k", vec![0; limits.bytes])]));
        assert!(error.contains(&format!("of {} bytes", limits.bytes)), "{error}");
    }
    let error = told(store.commit(&[], &[put("same", "1"), delete("same")]));
    assert!(error.contains("\"same\" changes twice"), "{error}");
    assert_eq!(store.list("").unwrap().entries, []);
}

fn no_update_of_eight_writers_is_lost(place: &Place) {
    let store = place.open();
    let add = |store: &dyn Store| loop {
        let entry = store.get("counter").unwrap();
        let (revision, value) = entry
            .map_or((0, 0), |entry| (entry.revision, String::from_utf8(entry.value).unwrap().parse::<u64>().unwrap()));
        let change = put("counter", (value + 1).to_string());
        if store.commit(&[expected("counter", revision)], &[change]).unwrap() != Committed::Conflict {
            break;
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| add(&*store)));
        }
    });
    assert_eq!(store.get("counter").unwrap().unwrap().value, b"400");
}

fn all_is_kept(place: &Place) {
    let store = place.open();
    done(&*store, &[put("a", "1"), put("b", "2"), put("gone", "3")]);
    done(&*store, &[put("a", "4"), delete("gone")]);
    let before = store.list("").unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.list("").unwrap().entries, before.entries);
    assert!(done(&*store, &[put("a", "5")]) > before.revision);
}
