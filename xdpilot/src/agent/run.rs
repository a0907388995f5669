//! `xdpilot agent`: the loop.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

use super::announce::announce;
use super::around::Around;
use super::canary::Canary;
use super::checks::Checks;
use super::conduct::{Ask, conduct};
use super::follow::{self, Reach, Told};
use super::log::{Level, log};
use super::mirror::Mirror;
use super::reconcile::Reconciler;
use super::report::{Attached, Report, State};
use super::surroundings::Happening;
use crate::documents::{DOCUMENTS, Snapshot};
use crate::pause::Pause;
use crate::store::embedded::Embedded;
use crate::store::{Address, Store};
use crate::stored::config::{Config, StoreArgs};

/// Keep what is attached equal to what the store says, until a signal ends it. What is attached then stays.
///
/// When the store is away the last state stays in force, also through restarts of the agent.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot agent                                            # the store of this machine
  xdpilot agent --store etcd://10.0.0.1,10.0.0.2,10.0.0.3 --label role=edge")]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

/// What wakes the loop.
#[derive(Debug)]
pub(super) enum Wake {
    /// Something about the store.
    Store(Told),
    /// Something about targets.
    Happened(Happening),
    /// The end.
    End,
}

/// So long a store that is elsewhere may take at the begin, before the last state of it is taken.
const PATIENCE: Duration = Duration::from_secs(3);
/// So long the agent waits at its end for what is at work.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often a node is looked at that has a rollout.
const TICK: Duration = Duration::from_millis(500);
/// The longest time without a look at whether all is as it should be.
const ROUND: Duration = Duration::from_secs(60);

/// Runs the verb.
///
/// # Errors
/// The store is of no use, or this user may not do what an agent does.
pub fn run(args: &Args) -> Result<()> {
    let config = args.store.config()?;
    let pause = Pause::new()?;
    fs::create_dir_all(&config.state)
        .map_err(|error| Error::failed(format!("make folder {}", config.state.display())).kernel(error.to_string()))?;
    let sources = Arc::new(Sources::open(&config)?);
    let (tell, wakes) = mpsc::channel();
    let (reports, told) = mpsc::channel();
    let (asks, asked) = mpsc::channel();
    let end = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    let mut begin = |run: Box<dyn FnOnce(&Sources, &AtomicBool) + Send>| {
        let (sources, end) = (sources.clone(), end.clone());
        threads.push(thread::spawn(move || run(&sources, &end)));
    };
    let happened = Mutex::new(tell.clone());
    let hear = move |what: Happening| {
        // Nobody listens at the end.
        _ = happened.lock().unwrap_or_else(PoisonError::into_inner).send(Wake::Happened(what));
    };
    let around = Around::begin(hear)?;
    let ended = tell.clone();
    begin(Box::new(move |_, end| await_signal(&pause, end, &ended)));
    let listen = move |what: Told| tell.send(Wake::Store(what)).is_ok();
    begin(Box::new(move |sources, end| follow::follow(&sources.reach, sources.mirror.as_deref(), end, &listen)));
    begin(Box::new(move |sources, _| announce(&sources.reach, &told)));
    begin(Box::new(move |sources, _| conduct(&sources.reach, &asked)));
    let checks = Checks::begin()?;
    let result = Agent::new(&config, &sources, (checks, around), (reports, asks)).work(&wakes);
    end.store(true, Ordering::Relaxed);
    // Who waits for an answer of the store is not waited for.
    let begun = Instant::now();
    while begun.elapsed() < FAREWELL && !threads.iter().all(JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(10));
    }
    result
}

/// Waits for a signal, or that the loop ends by itself.
fn await_signal(pause: &Pause, end: &AtomicBool, tell: &Sender<Wake>) {
    while !end.load(Ordering::Relaxed) {
        if pause.interrupted(Duration::from_millis(200)).unwrap_or(true) {
            _ = tell.send(Wake::End);
            return;
        }
    }
}

/// Where documents come from.
struct Sources {
    reach: Reach,
    /// The last state of a store that is elsewhere.
    mirror: Option<Arc<Mirror>>,
    /// What documents and their pieces are read from: on this machine.
    near: Arc<dyn Store>,
}

impl Sources {
    fn open(config: &Config) -> Result<Self> {
        let address = config.store_or_default();
        if let Address::Embedded(path) = &address {
            let store: Arc<dyn Store> = Arc::new(Embedded::open(path)?);
            return Ok(Sources { reach: Reach::new(address, Some(store.clone())), mirror: None, near: store });
        }
        let mirror = Arc::new(Mirror::open(&config.state.join("mirror.redb"))?);
        Ok(Sources { reach: Reach::new(address, None), mirror: Some(mirror.clone()), near: mirror })
    }
}

/// The loop's state.
struct Agent<'a> {
    reconciler: Reconciler,
    sources: &'a Sources,
    snapshot: Option<Snapshot>,
    /// What was told last of each place, so that only changes are.
    said: BTreeMap<(String, String, Option<String>), (State, Option<u32>, Option<String>)>,
    last: Option<Report>,
    reports: Sender<Report>,
    checks: Checks,
    around: Around,
    /// The rollout that this node has before others.
    canary: Option<Canary>,
    asks: Sender<Ask>,
    begun: Instant,
}

impl<'a> Agent<'a> {
    fn new(
        config: &Config,
        sources: &'a Sources,
        (checks, around): (Checks, Around),
        (reports, asks): (Sender<Report>, Sender<Ask>),
    ) -> Self {
        Agent {
            reconciler: Reconciler::new(config.node.clone()),
            sources,
            snapshot: None,
            said: BTreeMap::new(),
            last: None,
            reports,
            checks,
            around,
            canary: None,
            asks,
            begun: Instant::now(),
        }
    }

    fn work(&mut self, wakes: &Receiver<Wake>) -> Result<()> {
        log(
            Level::Info,
            "agent begins",
            &[
                ("node", &self.reconciler.node().name),
                ("version", env!("CARGO_PKG_VERSION")),
                ("store", &self.sources.near.name()),
            ],
        );
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            let next = self.next(looked).saturating_duration_since(now);
            match wakes.recv_timeout(next) {
                Ok(wake) => {
                    let mut go_on = self.take(wake);
                    // Of several states only the last one counts.
                    while let Ok(wake) = wakes.try_recv() {
                        go_on &= self.take(wake);
                    }
                    if !go_on {
                        log(Level::Info, "agent ends; what is attached stays", &[]);
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look_again(&mut looked),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.pass()?;
        }
    }

    /// When something is to be done without a wake.
    fn next(&self, looked: Instant) -> Instant {
        if self.snapshot.is_none() {
            return self.begun + PATIENCE;
        }
        let round = if self.canary.is_some() { Instant::now() + TICK } else { looked + ROUND };
        self.reconciler.next_try().map_or(round, |next| next.min(round))
    }

    fn look_again(&mut self, looked: &mut Instant) {
        if self.snapshot.is_none() {
            self.take_last_state();
        }
        if looked.elapsed() >= ROUND {
            self.reconciler.forget_interfaces();
            *looked = Instant::now();
        }
    }

    /// The store is not there at the begin: its last state is.
    fn take_last_state(&mut self) {
        let listing = self.sources.near.list(DOCUMENTS).unwrap_or_default();
        if listing.entries.is_empty() {
            // A store that was never seen: nothing is known of what should be.
            self.begun = Instant::now();
            return;
        }
        log(Level::Warning, "the last state of the store is in force", &[]);
        let mut snapshot = Snapshot::of(&*self.sources.near, listing);
        snapshot.revision = 0;
        self.snapshot = Some(snapshot);
    }

    /// Takes note of a wake; whether it goes on.
    fn take(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::End => return false,
            Wake::Happened(what) => self.around.take(what, &mut self.reconciler),
            Wake::Store(Told::Documents(snapshot)) => self.snapshot = Some(*snapshot),
            Wake::Store(Told::Away(why)) => {
                log(Level::Warning, "the store is away; its last state stays in force", &[("why", &why)]);
            }
            Wake::Store(Told::Back) => {
                log(Level::Info, "the store is back", &[]);
                self.reconciler.try_again();
            }
            Wake::Store(Told::Unsaved(why)) => {
                log(Level::Warning, "the last state of the store cannot be kept on disk", &[("why", &why)]);
            }
        }
        true
    }

    fn pass(&mut self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let near = &*self.sources.near;
        let mine = snapshot.rollout.as_ref().filter(|rollout| rollout.is_for(&self.reconciler.node().name));
        if self.canary.as_ref().map(|canary| &canary.rollout().id) != mine.map(|rollout| &rollout.id) {
            self.canary = mine.map(|rollout| Canary::new(rollout.clone(), &self.reconciler));
        }
        if let Some(canary) = &mut self.canary {
            canary.look(self.last.as_ref(), &self.reconciler);
        }
        let mut report = match self.canary.as_ref().filter(|canary| canary.has_it()) {
            Some(_) => self.reconciler.pass(near, &snapshot.rolled_out(near))?,
            None => self.reconciler.pass(near, snapshot)?,
        };
        self.checks.follow(&self.reconciler);
        // What happened before a target was followed is seen at once.
        if self.around.follow(&mut self.reconciler) {
            report = match self.canary.as_ref().filter(|canary| canary.has_it()) {
                Some(_) => self.reconciler.pass(near, &snapshot.rolled_out(near))?,
                None => self.reconciler.pass(near, snapshot)?,
            };
        }
        report.rollout = self.canary.as_ref().map(Canary::report);
        self.ask();
        if self.last.as_ref() == Some(&report) {
            return Ok(());
        }
        self.tell(&report);
        self.last = Some(report.clone());
        // Nobody listens at the end.
        _ = self.reports.send(report);
        Ok(())
    }

    /// Sees to the end of the rollout.
    fn ask(&self) {
        let Some(canary) = &self.canary else { return };
        // Nobody listens at the end.
        _ = canary.ask().map(|ask| self.asks.send(ask));
    }

    /// Tells what is other than it was.
    fn tell(&mut self, report: &Report) {
        let mut said = BTreeMap::new();
        for one in &report.attached {
            let Attached { policy, place, interface, state, program, why } = one;
            let key = (policy.clone(), place.clone(), interface.clone());
            let now = (*state, *program, why.clone());
            if self.said.get(&key) != Some(&now) {
                tell_one(one);
            }
            said.insert(key, now);
        }
        for (policy, place, _) in self.said.keys().filter(|key| !said.contains_key(*key)) {
            log(Level::Info, "taken off", &[("policy", policy), ("place", place)]);
        }
        self.said = said;
        let before = self.last.as_ref().map(|last| last.refused.as_slice()).unwrap_or_default();
        for one in report.refused.iter().filter(|one| !before.contains(one)) {
            log(Level::Warning, "document refused", &[("document", &one.document), ("why", &one.why)]);
        }
    }
}

fn tell_one(one: &Attached) {
    let place = one.interface.as_ref().unwrap_or(&one.place);
    let id = one.program.map(|id| id.to_string()).unwrap_or_default();
    let why = one.why.clone().unwrap_or_default();
    match one.state {
        State::Ok => log(Level::Info, "in force", &[("policy", &one.policy), ("place", place), ("program", &id)]),
        State::Waiting => {
            log(Level::Info, "waits for its target", &[("policy", &one.policy), ("place", place), ("why", &why)]);
        }
        State::Failed => {
            log(Level::Warning, "failed", &[("policy", &one.policy), ("place", place), ("why", &why)]);
        }
    }
}
