//! The embedded store, killed at any moment: what was acknowledged is there, and nothing is half there.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use xdpilot::store::{Change, Committed, Store};

use crate::folder::Folder;
use crate::place::{LONG, delete, done, put};

/// Where a process that is to be killed finds its store.
const WRITE: &str = "XDPILOT_TESTS_WRITE";
/// How many processes are killed.
const KILLS: &str = "XDPILOT_KILLS";
/// Keys of one transaction that always have the same value.
const SAME: usize = 6;
/// The last transactions, each with an entry of its own.
const RING: u64 = 64;
/// After so many processes the store is made anew, so that some are killed while they make it.
const FRESH: u64 = 10;

fn open(path: &str) -> Box<dyn Store> {
    xdpilot::store::open(&format!("redb:{path}").parse().unwrap()).unwrap()
}

/// The changes of a transaction: some keys get its number, one moves, one goes.
fn transaction(number: u64) -> Vec<Change> {
    let text = number.to_string();
    let mut changes: Vec<Change> = (0..SAME).map(|key| put(&format!("same/{key}"), &text)).collect();
    changes.push(put(&format!("ring/{:02}", number % RING), &text));
    // From a few bytes to many pages.
    let size = usize::try_from(number * 7919 % 60_000).unwrap();
    changes.push(put(&format!("moved/{number}"), vec![number as u8; size]));
    if number > 1 {
        changes.push(delete(&format!("moved/{}", number - 1)));
    }
    changes
}

/// What all transactions up to this one make.
fn state(number: u64) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    for number in number.saturating_sub(RING).max(1)..=number {
        for change in transaction(number) {
            match change {
                Change::Put { key, value } => _ = state.insert(key, value),
                Change::Delete { key } => _ = state.remove(&key),
            }
        }
    }
    // What the first of them removed was put there by the one before.
    state
}

/// The number of the last transaction.
fn last(store: &dyn Store) -> u64 {
    store.get("same/0").unwrap().map_or(0, |entry| String::from_utf8(entry.value).unwrap().parse().unwrap())
}

/// Commits one transaction after the other, and tells of each when it is there.
fn write(path: &str) {
    let store = open(path);
    for number in last(&*store) + 1.. {
        assert!(matches!(store.commit(&[], &transaction(number)).unwrap(), Committed::Done(_)));
        eprintln!("{number}");
    }
}

/// Numbers without a pattern, the same in each run (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Runs a writer and kills it; the last transaction that it told of.
fn killed(path: &str, random: &mut Random) -> Option<u64> {
    let mut writer = Command::new(env::current_exe().unwrap());
    writer.args(["--exact", "killed::what_was_acknowledged_outlives_kill", "--nocapture"]).env(WRITE, path);
    let mut writer = writer.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (tell, told) = mpsc::channel();
    let mut lines = BufReader::new(writer.stderr.take().unwrap()).lines().map_while(Result::ok);
    let reader = thread::spawn(move || lines.all(|line| tell.send(line).is_ok()));
    let mut acknowledged = Vec::new();
    // One of four is killed while it opens the file or makes it, the others in the midst of some commit.
    if random.below(4) > 0 {
        acknowledged.extend(told.recv_timeout(LONG));
    }
    thread::sleep(Duration::from_micros(random.below(30_000)));
    writer.kill().unwrap();
    let code = writer.wait().unwrap().code();
    reader.join().unwrap();
    acknowledged.extend(told.try_iter());
    assert_eq!(code, None, "it ended by itself: {acknowledged:?}");
    // What is no number is not from this test: a panic.
    acknowledged.iter().map(|line| line.parse().unwrap_or_else(|_| panic!("{acknowledged:?}"))).next_back()
}

#[test]
fn what_was_acknowledged_outlives_kill() {
    if let Ok(path) = env::var(WRITE) {
        return write(&path);
    }
    let kills: u64 = env::var(KILLS).map_or(60, |kills| kills.parse().unwrap());
    let mut random = Random(1);
    let (mut acknowledged, mut unacknowledged, mut silent, mut transactions) = (0, 0, 0, 0);
    let mut folder = Folder::new();
    for round in 0..kills {
        if round % FRESH == 0 {
            (folder, acknowledged) = (Folder::new(), 0);
        }
        let path = folder.path("store.redb").display().to_string();
        let before = acknowledged;
        match killed(&path, &mut random) {
            Some(number) => acknowledged = number,
            None => silent += 1,
        }
        let store = open(&path);
        let there = last(&*store);
        assert!(there >= acknowledged, "round {round}: {acknowledged} was acknowledged, {there} is there");
        assert!(there <= acknowledged + 1, "round {round}: more than one commit without an acknowledgement");
        let listing = store.list("").unwrap();
        assert_eq!(listing.revision, there, "round {round}");
        let entries: BTreeMap<_, _> = listing.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        assert!(entries == state(there), "round {round}: not what {there} transactions make");
        unacknowledged += there - acknowledged;
        transactions += there - before;
        acknowledged = there;
    }
    println!(
        "{kills} kills, {transactions} transactions; {unacknowledged} were there without an acknowledgement; {silent} \
         processes acknowledged none"
    );
    assert!(silent < kills / 2 && transactions > kills, "most were killed too early");
}

/// The store does not grow for ever with values that change.
#[test]
fn the_file_stays_small() {
    let folder = Folder::new();
    let path = folder.path("store.redb");
    let store = open(path.to_str().unwrap());
    let changes = |round: u32| put("a", [round as u8; 10_000]);
    (0..50).for_each(|round| _ = done(&*store, &[changes(round)]));
    let early = path.metadata().unwrap().len();
    (0..500).for_each(|round| _ = done(&*store, &[changes(round)]));
    let late = path.metadata().unwrap().len();
    assert!(late < early * 2, "{early} bytes grew to {late}");
}
