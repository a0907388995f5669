//! Agents without kernels that follow one store, and what a change takes to be with all of them:
//! `fleet STORE AGENTS SECONDS`. `tools/measure-fleet` runs it beside an etcd.
//!
//! It begins so many agents, waits until all have reported, lets them rest for so many seconds, and changes a document once
//! a second as long. What it says on standard output is for that tool.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot::agent::node::Node;
use xdpilot::agent::simulated;
use xdpilot::documents::change::{Content, Edit, commit};
use xdpilot::documents::{Kind, Name};
use xdpilot::store::{self, Address, Store};
use xdpilot::stored::direct::reports;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often reports are looked at: a look reads all of them.
const LOOK: Duration = Duration::from_millis(100);
/// So many changes are followed until all reports tell of them, each after a rest.
const REPORTED: u32 = 5;
const REST: Duration = Duration::from_secs(5);

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, count, seconds] = words.as_slice() else { return Err("fleet STORE AGENTS SECONDS".into()) };
    let (address, count, seconds): (Address, usize, u32) = (address.parse()?, count.parse()?, seconds.parse()?);
    let store = store::open(&address)?;
    let policy = text(Kind::Policy, "policy edge {\n  drop when src in edge\n}\n");
    commit(&*store, &[set(0), policy, text(Kind::Attachment, "eth0")], "fleet")?;
    let (end, begin) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let heard = agents(&address, count, &end)?;
    until(|| Ok(reports(&*store)?.len() >= count))?;
    println!("say {count} agents have reported after {:.1} s", begin.elapsed().as_secs_f64());
    println!("begin at rest");
    thread::sleep(Duration::from_secs(seconds.into()));
    println!("end at rest");
    println!("begin with a change a second");
    let mut arrived = Vec::new();
    for number in 1..=seconds {
        let begin = Instant::now();
        let revision = change(&*store, number)?;
        arrived.extend(arrivals(&heard, revision, begin, count)?);
        thread::sleep(Duration::from_secs(1).saturating_sub(begin.elapsed()));
    }
    println!("end with a change a second");
    println!("say from the begin of a change to an agent: {}", distribution(arrived));
    let mut reported = Vec::new();
    for number in 1..=REPORTED {
        thread::sleep(REST);
        let (begin, revision) = (Instant::now(), change(&*store, seconds + number)?);
        until(|| Ok(reports(&*store)?.iter().filter(|report| report.revision >= revision).count() >= count))?;
        reported.push(begin.elapsed());
    }
    println!("say from the begin of a change to the reports of all: {}", distribution(reported));
    end.store(true, Ordering::Relaxed);
    Ok(())
}

/// Begins so many; gives the revisions that they hear of, and when.
fn agents(address: &Address, count: usize, end: &Arc<AtomicBool>) -> Outcome<Receiver<(u64, Instant)>> {
    let (tell, heard) = mpsc::channel();
    for number in 0..count {
        let (tell, node) = (tell.clone(), Node::new(&format!("node-{number}"), &[])?);
        // Nobody listens at the end.
        simulated::begin(address, node, end, move |revision| _ = tell.send((revision, Instant::now())))?;
    }
    Ok(heard)
}

fn set(number: u32) -> Edit {
    text(Kind::Set, &format!("set edge = {{ {} }}\n", Ipv4Addr::from_bits(0x0a00_0000 + number)))
}

fn text(kind: Kind, words: &str) -> Edit {
    Edit { name: Name::new(kind, "edge"), content: Some(Content::Text(words.to_string())), version: None }
}

fn change(store: &dyn Store, number: u32) -> Outcome<u64> {
    commit(store, &[set(number)], "fleet")?.revision.ok_or_else(|| "nothing changed".into())
}

/// How long it took until each agent had a revision.
fn arrivals(heard: &Receiver<(u64, Instant)>, revision: u64, begin: Instant, count: usize) -> Outcome<Vec<Duration>> {
    let mut arrivals = Vec::new();
    while arrivals.len() < count {
        let (which, when) = heard.recv_timeout(PATIENCE)?;
        arrivals.extend((which >= revision).then(|| when.duration_since(begin)));
    }
    Ok(arrivals)
}

fn until(mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let begin = Instant::now();
    while !is_so()? {
        if begin.elapsed() > PATIENCE {
            return Err("it takes too long".into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn distribution(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| {
        let index = (times.len() * share / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    format!("median {:.0} ms, 99 % {:.0} ms, most {:.0} ms", at(50), at(99), at(100))
}
