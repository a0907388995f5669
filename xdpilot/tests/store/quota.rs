//! A database that has reached its quota.

use xdpilot::store::{self, News};

use crate::member::Member;
use crate::place::{changes_until, done, eventually, put};

#[test]
fn a_full_database_is_told_and_read_from() {
    // 16 MB; a page is 4 KB.
    let member = Member::start(&["--quota-backend-bytes", "16777216"]);
    let store = store::open(&format!("etcd://{}", member.client).parse().unwrap()).unwrap();
    eventually(|| store.list(""));
    let value = vec![1; 1_000_000];
    let mut last = 0;
    let error = loop {
        match store.commit(&[], &[put("a", &value)]) {
            Ok(store::Committed::Done(revision)) => last = revision,
            Ok(committed) => panic!("{committed:?}"),
            Err(error) => break error.to_string(),
        }
        assert!(last < 100, "no quota");
    };
    assert!(error.contains("database space exceeded") && error.contains("alarm disarm"), "{error}");
    // What is there is read and watched.
    assert_eq!(store.get("a").unwrap().unwrap().revision, last);
    let mut watch = store.watch("", last).unwrap();
    assert!(store.announce("n", b"", std::time::Duration::from_secs(9)).is_err());
    member.ctl(&["compact", &last.to_string()]);
    member.ctl(&["defrag"]);
    member.ctl(&["alarm", "disarm"]);
    let last = done(&*store, &[put("b", "1")]);
    assert_eq!(changes_until(&mut *watch, last), [put("b", "1")]);
    assert_ne!(watch.next(std::time::Duration::ZERO), Some(News::Lost));
}
