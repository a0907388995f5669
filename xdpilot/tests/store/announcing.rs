//! Signs of life.

use std::time::{Duration, Instant};

use xdpilot::store::{Change, News};

use crate::place::{LONG, Place, changes_until, delete, done, next, nothing, put};

crate::for_both_stores! { announced_values_are_there, announced_values_go_with_their_store, a_commit_takes_it_over }

const TTL: Duration = Duration::from_secs(2);

fn announced_values_are_there(place: &Place) {
    let store = place.open();
    let begin = store.list("").unwrap().revision;
    let mut watch = store.watch("node/", begin).unwrap();
    store.announce("node/a", b"well", TTL).unwrap();
    let first = store.get("node/a").unwrap().unwrap();
    assert_eq!(first.value, b"well");
    assert_eq!(changes_until(&mut *watch, first.revision), [put("node/a", "well")]);
    // Kept alive for longer than it lives, without a change.
    let begin = Instant::now();
    while begin.elapsed() < TTL * 2 {
        store.announce("node/a", b"well", TTL).unwrap();
        nothing(&mut *watch);
    }
    assert_eq!(store.get("node/a").unwrap().unwrap(), first);
    store.announce("node/a", b"busy", TTL).unwrap();
    let second = store.get("node/a").unwrap().unwrap();
    assert_eq!(changes_until(&mut *watch, second.revision), [put("node/a", "busy")]);
    // Another time to live.
    store.announce("node/a", b"busy", TTL * 2).unwrap();
    assert_eq!(store.get("node/a").unwrap().unwrap().value, b"busy");
    // What somebody else removed is put back.
    done(&*store, &[delete("node/a")]);
    store.announce("node/a", b"busy", TTL * 2).unwrap();
    assert_eq!(store.get("node/a").unwrap().unwrap().value, b"busy");
}

fn announced_values_go_with_their_store(place: &Place) {
    let store = place.open();
    done(&*store, &[put("node/stays", "")]);
    store.announce("node/a", b"well", TTL).unwrap();
    store.announce("node/b", b"well", TTL).unwrap();
    drop(store);
    let store = place.open();
    let listing = store.list("node/").unwrap();
    if place.keeps_history {
        let mut watch = store.watch("node/", listing.revision).unwrap();
        let (begin, mut left) = (Instant::now(), listing.entries.len());
        while left > 1 {
            let News::Changes { changes, .. } = next(&mut *watch) else { panic!("no changes") };
            assert!(changes.iter().all(|change| matches!(change, Change::Delete { .. })));
            left -= changes.len();
        }
        assert!(begin.elapsed() < TTL * 3, "{:?}", begin.elapsed());
    }
    assert_eq!(crate::place::keys(&*store, "node/"), ["node/stays"]);
    // It can be announced anew, also where the lease before expired.
    store.announce("node/a", b"again", TTL).unwrap();
    assert_eq!(store.get("node/a").unwrap().unwrap().value, b"again");
}

/// What a commit puts there is not gone with the process that announced something there.
fn a_commit_takes_it_over(place: &Place) {
    let store = place.open();
    store.announce("a", b"announced", TTL).unwrap();
    let revision = done(&*store, &[put("a", "committed")]);
    let mut watch = store.watch("", revision).unwrap();
    if place.keeps_history {
        assert_eq!(watch.next(TTL * 3), None);
    }
    drop((watch, store));
    assert_eq!(place.open().get("a").unwrap().unwrap().value, b"committed");
}

#[test]
fn an_expired_lease_is_made_anew() {
    let place = Place::etcd();
    let store = place.open();
    store.announce("a", b"1", TTL).unwrap();
    let revision = store.get("a").unwrap().unwrap().revision;
    let mut watch = store.watch("", revision).unwrap();
    assert!(matches!(watch.next(LONG), Some(News::Changes { changes, .. }) if changes == [delete("a")]));
    store.announce("a", b"1", TTL).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().value, b"1");
}
