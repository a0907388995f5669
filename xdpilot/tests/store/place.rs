//! Stores to test, and short words for what is done with them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot::store::{self, Address, Change, Committed, Expected, News, Store, Watch};

use crate::folder::Folder;
use crate::member::Member;

/// How long anything may take that is awaited.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Where a store is that nobody else uses.
pub(crate) struct Place {
    pub(crate) address: Address,
    /// Whether a watch can begin at a revision of the past.
    pub(crate) keeps_history: bool,
    _folder: Folder,
}

impl Place {
    pub(crate) fn embedded() -> Self {
        let folder = Folder::new();
        let address = format!("redb:{}", folder.path("deep/store.redb").display()).parse().unwrap();
        Place { address, keeps_history: false, _folder: folder }
    }

    /// A prefix of its own, in an etcd that ends with this process.
    pub(crate) fn etcd() -> Self {
        static SHARED: OnceLock<Member> = OnceLock::new();
        static PREFIXES: AtomicUsize = AtomicUsize::new(0);
        let member = SHARED.get_or_init(|| Member::start(&[]));
        let prefix = PREFIXES.fetch_add(1, Ordering::Relaxed);
        let address = format!("etcd://{}/tests/{prefix}", member.client).parse().unwrap();
        let place = Place { address, keeps_history: true, _folder: Folder::new() };
        let store = place.open();
        eventually(|| store.list(""));
        place
    }

    pub(crate) fn open(&self) -> Box<dyn Store> {
        store::open(&self.address).unwrap()
    }
}

pub(crate) fn put(key: &str, value: impl AsRef<[u8]>) -> Change {
    Change::Put { key: key.into(), value: value.as_ref().to_vec() }
}

pub(crate) fn delete(key: &str) -> Change {
    Change::Delete { key: key.into() }
}

pub(crate) fn expected(key: &str, revision: u64) -> Expected {
    Expected { key: key.into(), revision }
}

/// Makes changes that nothing stands against; their revision.
pub(crate) fn done(store: &dyn Store, changes: &[Change]) -> u64 {
    match store.commit(&[], changes).unwrap() {
        Committed::Done(revision) => revision,
        Committed::Conflict => panic!("a conflict where nothing is expected"),
    }
}

/// Tries until it works: a member that was started takes a moment.
pub(crate) fn eventually<T>(mut run: impl FnMut() -> xdpilot_core::error::Result<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        match run() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        // Nothing tells when a process begins to listen.
        thread::sleep(Duration::from_millis(20));
    }
}

/// Tells other threads that it is over, also when a test fails.
#[derive(Default)]
pub(crate) struct Over(AtomicBool);

impl Over {
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// It is over when this goes.
pub(crate) struct Until<'o>(pub(crate) &'o Over);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

/// The keys of a listing.
pub(crate) fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    store.list(prefix).unwrap().entries.into_iter().map(|entry| entry.key).collect()
}

/// The next news.
pub(crate) fn next(watch: &mut dyn Watch) -> News {
    watch.next(LONG).unwrap()
}

/// That there are no more news.
pub(crate) fn nothing(watch: &mut dyn Watch) {
    assert_eq!(watch.next(Duration::from_millis(100)), None);
}

/// Changes up to a revision, whatever commits come together. All else is an error.
pub(crate) fn changes_until(watch: &mut dyn Watch, end: u64) -> Vec<Change> {
    let mut all = Vec::new();
    loop {
        match next(watch) {
            News::Changes { revision, changes } => {
                assert!(revision <= end, "{revision} > {end}");
                all.extend(changes);
                if revision == end {
                    return all;
                }
            }
            news => panic!("{news:?}"),
        }
    }
}
