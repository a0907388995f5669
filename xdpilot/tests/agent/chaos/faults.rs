//! What breaks: agents, members of the store, the network between them, disks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::random::Random;
use crate::folder::Folder;
use crate::member::Member;
use crate::watchdog::Watchdog;
use crate::world::{Agent, Fleet, Host, run};

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// An agent is killed, and starts again with another monotonic clock.
    Agent,
    /// A member of the store is killed, and starts again.
    Member,
    /// A member hangs.
    Hang,
    /// A host reaches no member.
    Cut,
    /// A host does not reach one member.
    Route,
    /// The disk of an agent's state is full; now and then it is a new one, on which nothing is of what the agent kept.
    Disk,
    /// The store's history is compacted.
    Compaction,
    /// All members are killed, and start again.
    Store,
}

const KINDS: [Kind; 8] =
    [Kind::Agent, Kind::Member, Kind::Hang, Kind::Cut, Kind::Route, Kind::Disk, Kind::Compaction, Kind::Store];

impl Kind {
    /// Whether one of this kind cannot begin while another is at work.
    fn excludes(self, which: usize, other: &Fault) -> bool {
        let is_member = |kind| [Kind::Member, Kind::Hang].contains(&kind);
        let is_agent = |kind| [Kind::Agent, Kind::Disk].contains(&kind);
        match (self, other.kind) {
            (Kind::Store, kind) | (kind, Kind::Store) if is_member(kind) || kind == Kind::Store => true,
            (a, b) => which == other.which && (a == b || is_member(a) && is_member(b) || is_agent(a) && is_agent(b)),
        }
    }
}

/// A fault, until its end: of an agent, a member or a host, by its number.
#[derive(Debug)]
struct Fault {
    kind: Kind,
    which: usize,
    end: Instant,
}

/// Everything that can break.
pub(super) struct Faults<'a> {
    fleet: &'a Fleet,
    hosts: &'a [Host],
    random: Random,
    agents: Vec<Option<Agent>>,
    disk: Disk,
    at_work: Vec<Fault>,
    counts: BTreeMap<Kind, u64>,
}

impl<'a> Faults<'a> {
    /// Nothing is broken, and all agents run.
    pub(super) fn new(fleet: &'a Fleet, hosts: &'a [Host], random: Random) -> Self {
        let disk = Disk::new(hosts[0].state());
        let agents = hosts.iter().map(|_| None).collect();
        let mut faults = Faults { fleet, hosts, random, agents, disk, at_work: Vec::new(), counts: BTreeMap::new() };
        (0..hosts.len()).for_each(|which| faults.start(which));
        faults
    }

    /// Breaks and mends until it is over.
    pub(super) fn go_on(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50 + self.random.below(250) as u64));
            let now = Instant::now();
            let (ended, go_on) = std::mem::take(&mut self.at_work).into_iter().partition(|fault| fault.end <= now);
            self.at_work = go_on;
            ended.into_iter().for_each(|fault: Fault| self.end(&fault));
            self.begin_one();
        }
    }

    /// Everything works again.
    pub(super) fn mend(&mut self) {
        std::mem::take(&mut self.at_work).iter().for_each(|fault| self.end(fault));
    }

    pub(super) fn counts(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        counts.join(", ")
    }

    fn begin_one(&mut self) {
        let kind = KINDS[self.random.below(KINDS.len())];
        let which = match kind {
            Kind::Disk | Kind::Compaction | Kind::Store => 0,
            _ => self.random.below(self.hosts.len()),
        };
        if self.at_work.iter().any(|fault| kind.excludes(which, fault)) {
            return;
        }
        match kind {
            Kind::Agent => self.kill(which),
            Kind::Member => self.fleet.members[which].kill(),
            Kind::Store => self.fleet.members.iter().for_each(Member::kill),
            Kind::Hang => self.fleet.members[which].stop(),
            Kind::Cut => self.fleet.cut(&self.hosts[which]),
            Kind::Route => {
                drop(run(&format!("ip -n {} route add blackhole 10.8.0.{}/32", self.hosts[which].name, which + 1)))
            }
            Kind::Disk if self.random.one_of(2) => {
                self.kill(which);
                self.disk.lose();
                self.disk.fill();
                self.start(which);
            }
            Kind::Disk => self.disk.fill(),
            Kind::Compaction => self.compact(),
        }
        let longest = if kind == Kind::Compaction { 1 } else { 4_000 };
        let end = Instant::now() + Duration::from_millis(self.random.below(longest) as u64);
        self.at_work.push(Fault { kind, which, end });
        *self.counts.entry(kind).or_default() += 1;
    }

    fn end(&mut self, fault: &Fault) {
        let which = fault.which;
        match fault.kind {
            Kind::Agent => self.start(which),
            Kind::Member => self.fleet.members[which].run(),
            Kind::Store => self.fleet.members.iter().for_each(Member::run),
            Kind::Hang => self.fleet.members[which].go_on(),
            Kind::Cut => self.fleet.heal(&self.hosts[which]),
            Kind::Route => {
                drop(run(&format!("ip -n {} route delete blackhole 10.8.0.{}/32", self.hosts[which].name, which + 1)))
            }
            Kind::Disk => self.disk.empty(),
            Kind::Compaction => {}
        }
    }

    fn kill(&mut self, which: usize) {
        let mut agent = self.agents[which].take().unwrap();
        assert!(agent.runs(), "an agent ended by itself: {}", agent.log());
    }

    /// Starts an agent whose clocks are not those that it had before. (The time of day is the machine's.)
    fn start(&mut self, which: usize) {
        let offset = self.random.below(1_000_000).to_string();
        let clocks = ["unshare", "--time", "--monotonic", &offset, "--boottime", &offset];
        self.agents[which] = Some(self.hosts[which].agent_behind(&clocks, &self.fleet.store(), &[]));
    }

    /// Makes the store forget all that was before now, where it answers.
    fn compact(&self) {
        let ctl = |words: &[&str]| {
            let member = &self.fleet.members[0].client;
            let before =
                ["netns", "exec", &self.fleet.name, "etcdctl", "--command-timeout", "1s", "--endpoints", member];
            Command::new("ip").args(before).args(words).env("ETCDCTL_API", "3").output().unwrap()
        };
        let told = ctl(&["get", "x", "-w", "json"]);
        let Ok(told) = serde_json::from_slice::<Value>(&told.stdout) else { return };
        if let Some(revision) = told["header"]["revision"].as_u64() {
            ctl(&["compact", &revision.to_string()]);
        }
    }
}

/// What an agent told.
pub(super) fn log(host: &Host) -> String {
    let text = fs::read_to_string(host.folder.path().join("agent.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A disk that can be full.
struct Disk {
    path: PathBuf,
    _mounted: Watchdog,
    _folder: Folder,
}

impl Disk {
    fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let folder = Folder::new();
        let run = folder.path("run");
        fs::create_dir_all(&run).unwrap();
        let path_words = path.display();
        let start = format!("mount -t tmpfs -o size=24m none '{path_words}' && touch \"$dir/mounted\"");
        let mounted = Watchdog::start(&run, &start, &format!("umount -l '{path_words}'"));
        crate::world::until("a disk", || run.join("mounted").exists().then_some(()));
        Disk { path, _mounted: mounted, _folder: folder }
    }

    fn fill(&self) {
        let mut file = File::create(self.path.join("filler")).unwrap();
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// What was kept on it is gone.
    fn lose(&self) {
        for entry in fs::read_dir(&self.path).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}
