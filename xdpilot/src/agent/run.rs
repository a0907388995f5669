//! `xdpilot agent`: the threads of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use xdpilot_core::error::Result;

use super::announce::announce;
use super::api::{Listen, Server, Shared};
use super::around::Around;
use super::checks::Checks;
use super::conduct::conduct;
use super::folder::Folder;
use super::follow::{self, Reach, Told};
use super::mirror::Mirror;
use super::notify::Notify;
use super::share;
use super::surroundings::Happening;
use super::work::{Agent, Hands, Wake};
use crate::pause::Pause;
use crate::pools::health::panel::Panel;
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

/// So long the agent waits at its end for what is at work.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs the verb.
///
/// # Errors
/// The store is of no use, or this user may not do what an agent does.
pub fn run(args: &Args) -> Result<()> {
    let config = args.store.config()?;
    let pause = Pause::new()?;
    let _folder = Folder::take(&config.state)?;
    let sources = Arc::new(Sources::open(&config)?);
    let store = config.store_or_default().to_string();
    let shared = Shared::new(config.node.clone(), store, sources.reach.clone());
    let server = Server::start(&config, &args.listen, shared.clone())?;
    let notify = Notify::from_environment();
    let (tell, wakes) = mpsc::channel();
    let (reports, told) = mpsc::channel();
    let (asks, asked) = mpsc::channel();
    let mut threads = Threads::new(sources.clone());
    let happened = Mutex::new(tell.clone());
    let hear = move |what: Happening| {
        // Nobody listens at the end.
        _ = happened.lock().unwrap_or_else(PoisonError::into_inner).send(Wake::Happened(what));
    };
    let around = Around::begin(hear)?;
    let ended = tell.clone();
    threads.begin(move |_, end| await_signal(&pause, end, &ended));
    let listen = move |what: Told| tell.send(Wake::Store(what)).is_ok();
    threads.begin(move |sources, end| follow::follow(&sources.reach, sources.mirror.as_deref(), end, &listen));
    threads.begin(move |sources, _| announce(&sources.reach, &told));
    threads.begin(move |sources, _| conduct(&sources.reach, &asked));
    let panel = Arc::new(Panel::new(&config.node.name));
    let (teller, hearer, node) = (panel.clone(), panel.clone(), config.node.name.clone());
    threads.begin(move |sources, end| share::tell(&sources.reach, &node, &teller, end));
    threads.begin(move |sources, end| share::hear(&sources.reach, &hearer, end));
    let hands = Hands { reports, asks, checks: Checks::begin(panel)?, around, shared, notify };
    let result = Agent::new(config.node.clone(), sources.near.clone(), hands).work(&wakes);
    threads.end();
    drop(server);
    result
}

/// What runs beside the loop.
struct Threads {
    sources: Arc<Sources>,
    end: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    fn new(sources: Arc<Sources>) -> Self {
        Threads { sources, end: Arc::default(), running: Vec::new() }
    }

    fn begin(&mut self, run: impl FnOnce(&Sources, &AtomicBool) + Send + 'static) {
        let (sources, end) = (self.sources.clone(), self.end.clone());
        self.running.push(thread::spawn(move || run(&sources, &end)));
    }

    /// Ends them; who waits for an answer of the store is not waited for.
    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        while begun.elapsed() < FAREWELL && !self.running.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits for a signal, or that the loop ends by itself.
fn await_signal(pause: &Pause, end: &AtomicBool, tell: &mpsc::Sender<Wake>) {
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
