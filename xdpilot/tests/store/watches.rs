//! Watches: every commit, whole, once, in order; or the word that something is lost.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use xdpilot::store::{Change, News, Store, Watch};

use crate::member::Member;
use crate::place::{LONG, Over, Place, Until, changes_until, delete, done, next, nothing, put};

crate::for_both_stores! {
    commits_are_told_in_order, watchers_are_told_what_they_watch, what_was_before_is_told_or_lost,
    a_watch_of_the_future_is_lost, a_listing_and_its_watch_miss_nothing, who_does_not_read_loses_nothing_unseen,
}

fn commits_are_told_in_order(place: &Place) {
    let store = place.open();
    let begin = done(&*store, &[put("a", "0")]);
    let mut watch = store.watch("", begin).unwrap();
    nothing(&mut *watch);
    let commits = [
        vec![put("b", "1"), put("a", "1"), delete("none")],
        vec![delete("a")],
        vec![put("a", "2")],
        vec![put("a", "2"), delete("b"), put("c", "2")],
    ];
    let mut all = Vec::new();
    let mut last = begin;
    for commit in &commits {
        last = done(&*store, commit);
        all.extend(commit.iter().filter(|change| **change != delete("none")).cloned());
    }
    assert_eq!(changes_until(&mut *watch, last), all);
    nothing(&mut *watch);
}

fn watchers_are_told_what_they_watch(place: &Place) {
    let store = place.open();
    let begin = store.list("").unwrap().revision;
    let mut watches: Vec<_> = ["", "a/", "ab/", "a"].map(|prefix| store.watch(prefix, begin).unwrap()).into();
    drop(store.watch("a/", begin).unwrap());
    done(&*store, &[put("a/x", "1"), put("ab/x", "1")]);
    done(&*store, &[put("b/x", "2")]);
    let last = done(&*store, &[delete("a/x"), put("ab/y", "3"), put("b/x", "3")]);
    let all = [put("a/x", "1"), put("ab/x", "1"), put("b/x", "2"), delete("a/x"), put("ab/y", "3"), put("b/x", "3")];
    for (watch, prefix) in watches.iter_mut().zip(["", "a/", "ab/", "a"]) {
        let of_it: Vec<Change> = all.iter().filter(|change| change.key().starts_with(prefix)).cloned().collect();
        assert_eq!(changes_until(&mut **watch, last), of_it, "{prefix:?}");
    }
    // Who watches nothing that changes is told nothing.
    let mut watch = store.watch("none/", last).unwrap();
    done(&*store, &[put("no", ""), put("none", "")]);
    nothing(&mut *watch);
}

fn what_was_before_is_told_or_lost(place: &Place) {
    let store = place.open();
    let begin = done(&*store, &[put("a", "0")]);
    let commits: Vec<Change> = (0..300).map(|number| put("a", number.to_string())).collect();
    let last = commits.iter().map(|change| done(&*store, std::slice::from_ref(change))).last().unwrap();
    let mut watch = store.watch("", begin).unwrap();
    if place.keeps_history {
        assert_eq!(changes_until(&mut *watch, last), commits);
    } else {
        assert_eq!(next(&mut *watch), News::Lost);
    }
}

fn a_watch_of_the_future_is_lost(place: &Place) {
    let store = place.open();
    let last = done(&*store, &[put("a", "0")]);
    // A store that was put back to an earlier state: its revisions will come again, with other commits. (Other tests
    // let the revision of the same etcd grow.)
    let mut watch = store.watch("", last + 1_000_000_000).unwrap();
    assert_eq!(next(&mut *watch), News::Lost);
    done(&*store, &[put("a", "1")]);
    nothing(&mut *watch);
}

/// Makes of a listing what a watch told; whether nothing is lost.
fn follow(entries: &mut BTreeMap<String, Vec<u8>>, watch: &mut dyn Watch, timeout: Duration) -> bool {
    match watch.next(timeout) {
        Some(News::Changes { changes, .. }) => {
            for change in changes {
                match change {
                    Change::Put { key, value } => _ = entries.insert(key, value),
                    Change::Delete { key } => assert!(entries.remove(&key).is_some(), "{key} was not there"),
                }
            }
            // One commit moves the hand.
            assert_eq!(entries.keys().filter(|key| key.starts_with("hand/")).count(), 1, "half a commit");
            true
        }
        Some(News::Lost) => false,
        Some(news) => panic!("{news:?}"),
        None => true,
    }
}

fn listed(store: &dyn Store) -> (BTreeMap<String, Vec<u8>>, u64) {
    let listing = store.list("").unwrap();
    (listing.entries.into_iter().map(|entry| (entry.key, entry.value)).collect(), listing.revision)
}

fn a_listing_and_its_watch_miss_nothing(place: &Place) {
    let store = place.open();
    done(&*store, &[put("hand/0", "")]);
    let over = Over::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _until = Until(&over);
            for round in 0_u32..400 {
                let (from, to) = (format!("hand/{}", round % 12), format!("hand/{}", (round + 1) % 12));
                done(&*store, &[delete(&from), put(&to, round.to_string()), put("count", round.to_string())]);
            }
        });
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.is() {
                    let (mut entries, revision) = listed(&*store);
                    let mut watch = store.watch("", revision).unwrap();
                    let mut whole = true;
                    while whole && !over.is() {
                        whole = follow(&mut entries, &mut *watch, Duration::from_millis(20));
                    }
                    let end = listed(&*store).0;
                    while whole && entries != end {
                        let before = entries.clone();
                        whole = follow(&mut entries, &mut *watch, LONG);
                        assert!(!whole || entries != before, "the watch ends at {before:?}, the store at {end:?}");
                    }
                }
            });
        }
    });
}

fn who_does_not_read_loses_nothing_unseen(place: &Place) {
    let store = place.open();
    let begin = store.list("").unwrap().revision;
    let mut watch = store.watch("", begin).unwrap();
    let value = vec![1; 1_000_000];
    let mut last = begin;
    for number in 0..40 {
        last = done(&*store, &[put(&format!("{number:02}"), &value)]);
    }
    let mut seen = 0;
    loop {
        match next(&mut *watch) {
            News::Changes { revision, changes } => {
                for change in changes {
                    assert_eq!(change, put(&format!("{seen:02}"), &value));
                    seen += 1;
                }
                if revision == last {
                    assert_eq!(seen, 40);
                    break;
                }
            }
            News::Lost => {
                assert!(!place.keeps_history && seen < 40);
                nothing(&mut *watch);
                break;
            }
            news => panic!("{news:?}"),
        }
    }
}

/// etcd cuts what it tells into messages of 1.5 MB, which are no commits.
#[test]
fn commits_come_whole_from_a_long_history() {
    let place = Place::etcd();
    let store = place.open();
    let begin = store.list("").unwrap().revision;
    let commits = 24;
    for commit in 0..commits {
        let changes: Vec<Change> =
            (0..100).map(|key| put(&format!("{key:03}"), [&[commit], &[0; 9_000][..]].concat())).collect();
        done(&*store, &changes);
    }
    let mut watch = store.watch("", begin).unwrap();
    let (mut seen, mut messages) = (0, 0);
    while seen < commits {
        let News::Changes { changes, .. } = next(&mut *watch) else { panic!("no changes") };
        assert_eq!(changes.len() % 100, 0, "a commit is split");
        for (at, change) in changes.iter().enumerate() {
            let Change::Put { key, value } = change else { panic!("{change:?}") };
            assert_eq!((key.as_str(), value[0]), (format!("{:03}", at % 100).as_str(), seen + (at / 100) as u8));
        }
        seen += (changes.len() / 100) as u8;
        messages += 1;
    }
    assert!(messages > 5, "etcd told all at once: {messages}");
}

#[test]
fn compacted_history_is_lost() {
    let member = Member::start(&[]);
    let store = xdpilot::store::open(&format!("etcd://{}", member.client).parse().unwrap()).unwrap();
    crate::place::eventually(|| store.list(""));
    let begin = done(&*store, &[put("a", "0")]);
    let last = (0..10).map(|number| done(&*store, &[put("a", number.to_string())])).last().unwrap();
    // One that is up to date goes on.
    let mut watch = store.watch("", last).unwrap();
    member.ctl(&["compact", &last.to_string()]);
    assert_eq!(next(&mut *store.watch("", begin).unwrap()), News::Lost);
    let mut late = store.watch("", begin).unwrap();
    assert_eq!(next(&mut *late), News::Lost);
    nothing(&mut *late);
    let last = done(&*store, &[put("a", "new")]);
    assert_eq!(changes_until(&mut *watch, last), [put("a", "new")]);
}
