//! `xdpilot agent`: the loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use xdpilot_core::error::Result;

use super::announce::announce;
use super::api::{Listen, Server, Shared};
use super::folder::Folder;
use super::follow::{self, Reach, Told};
use super::log::{Level, log};
use super::mirror::Mirror;
use super::notify::Notify;
use super::reconcile::Reconciler;
use super::report::{Attached, Report, State};
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
  xdpilot agent --store etcd://10.0.0.1,10.0.0.2,10.0.0.3 --label role=edge
  xdpilot agent --listen 0.0.0.0:9443 --tls-cert cert.pem --tls-key key.pem --tokens tokens")]
pub struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    store: StoreArgs,
}

/// What wakes the loop.
#[derive(Debug)]
pub(super) enum Wake {
    /// Something about the store.
    Store(Told),
    /// The end.
    End,
}

/// So long a store that is elsewhere may take at the begin, before the last state of it is taken.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest time without a look at whether all is as it should be.
const ROUND: Duration = Duration::from_secs(60);

/// Runs the verb.
///
/// # Errors
/// The store is of no use, or this user may not do what an agent does.
pub fn run(args: &Args) -> Result<()> {
    let config = args.store.config()?;
    let pause = Pause::new()?;
    let _folder = Folder::take(&config.state)?;
    let sources = Sources::open(&config)?;
    let store = config.store_or_default().to_string();
    let shared = Shared::new(config.node.clone(), store, sources.reach.clone());
    let server = Server::start(&config, &args.listen, shared.clone())?;
    let notify = Notify::from_environment();
    notify.ready();
    let (tell, wakes) = mpsc::channel();
    let (reports, told) = mpsc::channel();
    let end = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        let (pause, end, sources) = (&pause, &end, &sources);
        let ended = tell.clone();
        scope.spawn(move || await_signal(pause, end, &ended));
        let listen = move |what: Told| tell.send(Wake::Store(what)).is_ok();
        scope.spawn(move || follow::follow(&sources.reach, sources.mirror.as_deref(), end, &listen));
        let reach = &sources.reach;
        scope.spawn(move || announce(reach, &told));
        let mut agent = Agent::new(&config, sources, reports, shared, notify);
        let result = agent.work(&wakes);
        agent.notify.stopping();
        end.store(true, Ordering::Relaxed);
        drop(agent);
        result
    });
    drop(server);
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
    reach: Arc<Reach>,
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
            let reach = Arc::new(Reach::new(address, Some(store.clone())));
            return Ok(Sources { reach, mirror: None, near: store });
        }
        let mirror = Arc::new(Mirror::open(&config.state.join("mirror.redb"))?);
        let reach = Arc::new(Reach::new(address, None));
        Ok(Sources { reach, mirror: Some(mirror.clone()), near: mirror })
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
    /// What the API is told.
    shared: Arc<Shared>,
    notify: Notify,
    begun: Instant,
}

impl<'a> Agent<'a> {
    fn new(
        config: &Config,
        sources: &'a Sources,
        reports: Sender<Report>,
        shared: Arc<Shared>,
        notify: Notify,
    ) -> Self {
        Agent {
            reconciler: Reconciler::new(config.node.clone()),
            sources,
            snapshot: None,
            said: BTreeMap::new(),
            last: None,
            reports,
            shared,
            notify,
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
            let due = self.next(looked);
            let next = self.notify.next().map_or(due, |alive| alive.min(due)).saturating_duration_since(now);
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
            self.notify.alive();
        }
    }

    /// When something is to be done without a wake.
    fn next(&self, looked: Instant) -> Instant {
        if self.snapshot.is_none() {
            return self.begun + PATIENCE;
        }
        let round = looked + ROUND;
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
        if let Wake::Store(told) = &wake {
            self.shared.told(told);
        }
        match wake {
            Wake::End => return false,
            Wake::Store(Told::Documents(snapshot)) => self.snapshot = Some(*snapshot),
            Wake::Store(Told::Away(why)) => {
                log(Level::Warning, "the store is away; its last state stays in force", &[("why", &why)]);
            }
            Wake::Store(Told::Back) => log(Level::Info, "the store is back", &[]),
            Wake::Store(Told::Unsaved(why)) => {
                log(Level::Warning, "the last state of the store cannot be kept on disk", &[("why", &why)]);
            }
        }
        true
    }

    fn pass(&mut self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let report = self.reconciler.pass(&*self.sources.near, snapshot)?;
        self.shared.passed(&report);
        if self.last.as_ref() == Some(&report) {
            return Ok(());
        }
        self.notify.status(&report);
        self.tell(&report);
        self.last = Some(report.clone());
        // Nobody listens at the end.
        _ = self.reports.send(report);
        Ok(())
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
