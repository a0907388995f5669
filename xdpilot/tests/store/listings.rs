//! Listings: which keys, how many, all of one moment.

use std::thread;

use crate::place::{Over, Place, Until, done, keys, put};

crate::for_both_stores! {
    prefixes_end_where_they_do, keys_are_in_order, two_thousand_keys_are_listed, megabytes_are_listed,
    a_listing_is_of_one_moment,
}

fn prefixes_end_where_they_do(place: &Place) {
    let store = place.open();
    done(&*store, &["a", "a/x", "a/y", "a0", "ab/x", "b/x", "é/x", "é"].map(|key| put(key, key)));
    assert_eq!(keys(&*store, "a/"), ["a/x", "a/y"]);
    assert_eq!(keys(&*store, "a"), ["a", "a/x", "a/y", "a0", "ab/x"]);
    assert_eq!(keys(&*store, "ab/"), ["ab/x"]);
    assert_eq!(keys(&*store, "é"), ["é", "é/x"]);
    assert_eq!(keys(&*store, "c"), [""; 0]);
    assert_eq!(keys(&*store, "").len(), 8);
    assert_eq!(store.get("a/").unwrap(), None);
}

fn keys_are_in_order(place: &Place) {
    let store = place.open();
    let mut names = ["\u{10ffff}", "z", "0", "~", "a b", "é", "-", "A", "\u{1}"];
    done(&*store, &names.map(|key| put(key, key)));
    names.sort_unstable();
    assert_eq!(keys(&*store, ""), names);
}

fn two_thousand_keys_are_listed(place: &Place) {
    let store = place.open();
    let names: Vec<String> = (0..2000).map(|number| format!("set/{number:05}")).collect();
    for names in names.chunks(store.limits().changes) {
        done(&*store, &names.iter().map(|name| put(name, name)).collect::<Vec<_>>());
    }
    done(&*store, &[put("other", "")]);
    let listing = store.list("set/").unwrap();
    assert!(listing.entries.iter().all(|entry| entry.key.as_bytes() == entry.value));
    assert_eq!(listing.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), names);
}

/// More than one message of gRPC takes, with entries of very different sizes.
fn megabytes_are_listed(place: &Place) {
    let store = place.open();
    let size = |number: usize| if number % 4 == 3 { 1_000_000 } else { number };
    for number in 0..100 {
        done(&*store, &[put(&format!("chunk/{number:03}"), vec![number as u8; size(number)])]);
    }
    let entries = store.list("chunk/").unwrap().entries;
    assert_eq!(entries.len(), 100);
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(entry.value, vec![number as u8; size(number)], "{number}");
    }
}

fn a_listing_is_of_one_moment(place: &Place) {
    let store = place.open();
    let names: Vec<String> = (0..600).map(|number| format!("k/{number:05}")).collect();
    for names in names.chunks(store.limits().changes) {
        done(&*store, &names.iter().map(|name| put(name, "0")).collect::<Vec<_>>());
    }
    let (first, last) = (&names[0], &names[names.len() - 1]);
    done(&*store, &[put(first, "0"), put(last, "0")]);
    let over = Over::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in (0_u32..).take_while(|_| !over.is()) {
                done(&*store, &[put(first, round.to_string()), put(last, round.to_string())]);
            }
        });
        let _until = Until(&over);
        for _ in 0..30 {
            let listing = store.list("k/").unwrap();
            let [first, .., last] = &listing.entries[..] else { panic!("{listing:?}") };
            assert_eq!((&first.value, first.revision), (&last.value, last.revision));
            assert!(listing.revision >= first.revision);
        }
    });
}
