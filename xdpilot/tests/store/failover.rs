//! Members that end, hang, come back, or lose the others.

use std::env;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use xdpilot::store::{self, Committed, News, Store, Watch};
use xdpilot_core::error::Result;

use crate::member::Member;
use crate::place::{LONG, changes_until, done, eventually, next, nothing, put};

/// A few seconds: a hanging member was given up by then. (This machine may be busy.)
const SOON: Duration = Duration::from_secs(12);

fn open(members: &[Member]) -> Box<dyn Store> {
    let hosts: Vec<&str> = members.iter().map(|member| member.client.as_str()).collect();
    let store = store::open(&format!("etcd://{}/fleet", hosts.join(",")).parse().unwrap()).unwrap();
    eventually(|| store.list(""));
    store
}

/// The next news but for [`News::Away`] and [`News::Back`], which have to come in turn.
fn changes_through_failures(watch: &mut dyn Watch, end: u64) -> (Vec<store::Change>, usize) {
    let (mut all, mut away, mut times) = (Vec::new(), false, 0);
    loop {
        match next(watch) {
            News::Away(why) => {
                assert!(!away && !why.is_empty());
                away = true;
                times += 1;
            }
            News::Back => {
                assert!(away);
                away = false;
            }
            News::Changes { revision, changes } => {
                assert!(!away, "changes from a store that is away");
                all.extend(changes);
                if revision == end {
                    return (all, times);
                }
            }
            News::Lost => panic!("nothing is lost"),
        }
    }
}

#[test]
fn a_member_that_restarts_is_away_and_back() {
    let members = [Member::start(&[])];
    let store = open(&members);
    let begin = done(&*store, &[put("a", "0")]);
    let mut watch = store.watch("", begin).unwrap();
    let one = done(&*store, &[put("a", "1")]);
    assert_eq!(changes_until(&mut *watch, one), [put("a", "1")]);
    members[0].kill();
    let News::Away(why) = next(&mut *watch) else { panic!("not away") };
    assert!(why.contains("Connection refused") && why.contains(&members[0].client), "{why}");
    let error = store.get("a").unwrap_err().to_string();
    assert!(error.contains("Connection refused") && error.contains("endpoint health"), "{error}");
    let refused = store.watch("", begin).map(drop).unwrap_err().to_string();
    assert!(refused.contains("Connection refused"), "{refused}");
    nothing(&mut *watch);
    members[0].run();
    assert_eq!(next(&mut *watch), News::Back);
    let two = eventually(|| store.commit(&[], &[put("a", "2")]));
    let Committed::Done(two) = two else { panic!("a conflict") };
    // Nothing is told twice, nothing is missing.
    assert_eq!(changes_until(&mut *watch, two), [put("a", "2")]);
}

#[test]
fn a_cluster_goes_on_without_any_one_of_its_members() {
    let members = Member::three();
    let store = open(&members);
    let begin = done(&*store, &[put("count", "0")]);
    let mut watch = store.watch("", begin).unwrap();
    let mut all = Vec::new();
    let mut last = begin;
    for (round, member) in members.iter().enumerate() {
        member.kill();
        let killed = Instant::now();
        let change = put("count", format!("{round}"));
        last = match eventually(|| store.commit(&[], std::slice::from_ref(&change))) {
            Committed::Done(revision) => revision,
            Committed::Conflict => panic!("a conflict"),
        };
        all.push(change);
        assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
        member.run();
        eventually(|| store.list(""));
        eventually(|| all_healthy(&members));
    }
    // A commit whose answer was lost may be there twice, with the same content.
    let (mut seen, _) = changes_through_failures(&mut *watch, last);
    seen.dedup();
    assert_eq!(seen, all);
}

fn all_healthy(members: &[Member]) -> Result<()> {
    for member in members {
        store::open(&format!("etcd://{}/fleet", member.client).parse()?)?.list("")?;
    }
    Ok(())
}

#[test]
fn a_member_that_hangs_is_given_up() {
    let members = Member::three();
    let store = open(&members);
    let begin = done(&*store, &[put("count", "0")]);
    let mut watch = store.watch("", begin).unwrap();
    let mut last = begin;
    // The one that is asked is among them.
    for (round, member) in members.iter().enumerate() {
        member.stop();
        let stopped = Instant::now();
        eventually(|| store.list(""));
        let change = put("count", format!("{round}"));
        last = match eventually(|| store.commit(&[], std::slice::from_ref(&change))) {
            Committed::Done(revision) => revision,
            Committed::Conflict => panic!("a conflict"),
        };
        changes_through_failures(&mut *watch, last);
        assert!(stopped.elapsed() < SOON, "{:?}", stopped.elapsed());
        member.go_on();
        eventually(|| all_healthy(&members));
    }
    assert_eq!(store.get("count").unwrap().unwrap().revision, last);
}

#[test]
fn no_request_hangs_for_ever() {
    let members = [Member::start(&[])];
    let store = open(&members);
    let begin = done(&*store, &[put("a", "0")]);
    let mut watch = store.watch("", begin).unwrap();
    members[0].stop();
    type Request = Box<dyn Fn(&dyn Store) -> Result<()> + Send>;
    let requests: [(&str, Request); 5] = [
        ("get", Box::new(|store| store.get("a").map(drop))),
        ("list", Box::new(|store| store.list("").map(drop))),
        ("commit", Box::new(|store| store.commit(&[], &[put("a", "1")]).map(drop))),
        ("watch", Box::new(|store| store.watch("", 0).map(drop))),
        ("announce", Box::new(|store| store.announce("n", b"", Duration::from_secs(9)))),
    ];
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let store = &*store;
        for (name, request) in requests {
            let tell = tell.clone();
            scope.spawn(move || tell.send((name, request(store))));
        }
        for _ in 0..5 {
            let (name, result) = told.recv_timeout(SOON).unwrap();
            let error = result.unwrap_err().to_string();
            assert!(error.contains("no answer in") && error.contains(&members[0].client), "{name}: {error}");
            // A commit went to it where it had answered just before.
            assert!(name == "commit" || !error.contains("not known whether"), "{name}: {error}");
        }
    });
    let News::Away(why) = next(&mut *watch) else { panic!("not away") };
    assert!(why.contains("no answer in"), "{why}");
    members[0].go_on();
    assert_eq!(next(&mut *watch), News::Back);
    // What timed out may be stored all the same.
    done(&*store, &[put("a", "2")]);
    loop {
        let News::Changes { changes, .. } = next(&mut *watch) else { panic!("no changes") };
        if changes.contains(&put("a", "2")) {
            break;
        }
    }
}

#[test]
fn without_a_leader_the_store_is_away() {
    let members = Member::three();
    let store = open(&members[..1]);
    let begin = done(&*store, &[put("a", "0")]);
    let mut watch = store.watch("", begin).unwrap();
    members[1].kill();
    members[2].kill();
    // The connection to the first member stands, but it knows nothing of the others.
    let News::Away(why) = next(&mut *watch) else { panic!("not away") };
    assert!(why.contains("no leader"), "{why}");
    let error = store.get("a").unwrap_err().to_string();
    assert!(error.contains("no leader") && error.contains("endpoint status"), "{error}");
    assert!(store.commit(&[], &[put("a", "1")]).is_err());
    members[1].run();
    assert_eq!(next(&mut *watch), News::Back);
    let Committed::Done(last) = eventually(|| store.commit(&[], &[put("a", "2")])) else { panic!("a conflict") };
    let (changes, _) = changes_through_failures(&mut *watch, last);
    assert_eq!(changes.last(), Some(&put("a", "2")));
}

/// Where this process has a network of its own.
const NETWORK: &str = "XDPILOT_TESTS_NETWORK";

/// In a network namespace of its own, where packets to members can be dropped.
#[test]
fn root_a_cut_network_is_survived() {
    if env::var_os(NETWORK).is_some() {
        return cut_network();
    }
    let script = "ip link set lo up && exec \"$1\" --exact --nocapture failover::root_a_cut_network_is_survived";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, "sh"]).arg(env::current_exe().unwrap()).env(NETWORK, "1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn iptables(words: &[&str]) {
    let output = Command::new("iptables").args(words).output().unwrap();
    assert!(output.status.success(), "iptables {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn cut_network() {
    let members = Member::three();
    let store = open(&members);
    let begin = done(&*store, &[put("count", "begin")]);
    let mut watch = store.watch("", begin).unwrap();
    // One after the other; the one that is asked is among them.
    for (round, member) in members.iter().enumerate() {
        let host = member.client.split(':').next().unwrap();
        iptables(&["-A", "INPUT", "-d", host, "-p", "tcp", "--dport", "2379", "-j", "DROP"]);
        let cut = Instant::now();
        let change = put("count", format!("{round}"));
        let Committed::Done(last) = eventually(|| store.commit(&[], std::slice::from_ref(&change))) else {
            panic!("a conflict")
        };
        changes_through_failures(&mut *watch, last);
        assert!(cut.elapsed() < SOON, "{:?}", cut.elapsed());
        iptables(&["-F", "INPUT"]);
    }
    iptables(&["-A", "INPUT", "-p", "tcp", "--dport", "2379", "-j", "DROP"]);
    let cut = Instant::now();
    assert!(matches!(next(&mut *watch), News::Away(_)));
    assert!(store.get("count").is_err());
    assert!(store.commit(&[], &[put("count", "lost")]).is_err());
    assert!(cut.elapsed() < SOON * 3, "{:?}", cut.elapsed());
    iptables(&["-F", "INPUT"]);
    assert_eq!(next(&mut *watch), News::Back);
    let Committed::Done(last) = eventually(|| store.commit(&[], &[put("count", "end")])) else { panic!("a conflict") };
    let (changes, _) = changes_through_failures(&mut *watch, last);
    assert_eq!(changes.last(), Some(&put("count", "end")));
}

/// Whoever puts an empty cluster in the place of one that was lost has other revisions.
#[test]
fn another_cluster_at_the_same_address_is_another_history() {
    let members = [Member::start(&[])];
    let store = open(&members);
    let begin = (0..20).map(|number| done(&*store, &[put("a", number.to_string())])).last().unwrap();
    let mut watch = store.watch("", begin).unwrap();
    members[0].forget();
    assert!(matches!(next(&mut *watch), News::Away(_)));
    members[0].run();
    assert_eq!(next(&mut *watch), News::Lost);
    assert_eq!(store.list("").unwrap().entries, []);
}

/// A process may have many stores: they share two threads.
#[test]
fn stores_share_their_threads() {
    let members = [Member::start(&[])];
    let first = open(&members);
    let address = format!("etcd://{}/fleet", members[0].client).parse().unwrap();
    let begin = first.list("").unwrap().revision;
    let mut stores = Vec::new();
    for _ in 0..100 {
        let store = store::open(&address).unwrap();
        let watch = eventually(|| store.watch("", begin));
        stores.push((store, watch));
    }
    let threads = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "etcd"));
    assert_eq!(threads.count(), 2);
    let last = done(&*first, &[put("a", "1")]);
    for (_, watch) in &mut stores {
        assert_eq!(changes_until(&mut **watch, last), [put("a", "1")]);
    }
    let closing = Instant::now();
    drop(stores);
    assert!(closing.elapsed() < LONG);
}
