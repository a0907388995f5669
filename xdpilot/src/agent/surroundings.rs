//! What happens around the agent that may lead a target elsewhere: interfaces, containers, names of namespaces. All of it
//! is told by the kernel and the engines; nothing is asked again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::monitor::{Change, Monitor, What};
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::netns_directory::Names;
use xdpilot_kernel::watch::readable_or_mounted;

use crate::engine::events::{self, Event, Told};
use crate::engine::{Client, Engine};

/// Something that may lead a target elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Interfaces of a followed namespace, by its inode number, came, went or changed: all names that they had and have.
    Links(u64, BTreeSet<String>),
    /// Any interface of a followed namespace may have changed: messages were lost.
    AnyLinks(u64),
    /// The namespace has ended, or messages about that were lost: it is not followed any more. Who finds it again
    /// follows it anew.
    Unfollowed(u64),
    /// A name below `/run/netns` leads to a namespace, to another one than before, or to none any more.
    Name(String),
    /// Something happened to a container.
    Container(Engine, Event),
    /// The engine is heard from now on: anything may have happened to its containers before. Comes first, and after each
    /// [`Happening::Away`].
    Containers(Engine),
    /// The engine is not heard, and why. It is tried again.
    Away(Engine, Error),
    /// Nothing is heard of interfaces and names any more, and why. The kernel gives no reason for it to come to this.
    Deaf(Error),
}

impl Happening {
    fn of_change(Change { namespace, what }: Change) -> Self {
        match what {
            What::Links(names) => Happening::Links(namespace, names),
            What::Anything => Happening::AnyLinks(namespace),
            What::Unfollowed => Happening::Unfollowed(namespace),
        }
    }

    fn of_told(engine: Engine, told: Told) -> Self {
        match told {
            Told::Listening => Happening::Containers(engine),
            Told::Event(event) => Happening::Container(engine, event),
            Told::Away(error) => Happening::Away(engine, error),
        }
    }
}

type Tell = Arc<dyn Fn(Happening) + Send + Sync>;
type Connect = Arc<dyn Fn(Engine) -> Result<Client> + Send + Sync>;

/// Hears of what happens, until it is dropped: one thread for the kernel, one for each engine. While nothing happens
/// they sleep.
pub struct Surroundings {
    tell: Tell,
    connect: Connect,
    heard: Arc<Mutex<Heard>>,
    kernel: Listener,
    engines: BTreeMap<Engine, Listener>,
}

/// What the kernel is heard by.
#[derive(Debug)]
struct Heard {
    monitor: Monitor,
    names: Names,
    /// Whether names are followed: mounts are common where containers are.
    with_names: bool,
}

impl Surroundings {
    /// Begins; nothing is followed yet. `tell` is called on threads of its own and should return soon; `connect` finds
    /// an engine, as [`Client::connect`] does.
    ///
    /// # Errors
    /// The kernel refuses: it takes `CAP_NET_BROADCAST`.
    pub fn begin(
        tell: impl Fn(Happening) + Send + Sync + 'static,
        connect: impl Fn(Engine) -> Result<Client> + Send + Sync + 'static,
    ) -> Result<Self> {
        let tell: Tell = Arc::new(tell);
        let heard = Heard { monitor: Monitor::new()?, names: Names::new()?, with_names: false };
        // Waiting must not hold the lock.
        let descriptors = [heard.monitor.as_fd(), heard.names.as_fd()].map(|fd| fd.try_clone_to_owned());
        let [links, mounts] = descriptors.map(|fd| fd.map_err(|error| failed(&error)));
        let (links, mounts) = (links?, mounts?);
        let heard = Arc::new(Mutex::new(heard));
        let (tell_kernel, heard_there) = (Arc::clone(&tell), Arc::clone(&heard));
        let kernel = Listener::start("links", move |stop| {
            if let Err(error) = hear(&heard_there, (&links, &mounts), stop, &tell_kernel) {
                tell_kernel(Happening::Deaf(error));
            }
        })?;
        Ok(Surroundings { tell, connect: Arc::new(connect), heard, kernel, engines: BTreeMap::new() })
    }

    /// Follows these from now on, and nothing else: interfaces of namespaces, containers of engines, names of
    /// namespaces. The namespaces that were not followed before: what happened there until now is told by nobody, so
    /// they are to be looked at after this.
    ///
    /// No handle is kept, so that namespaces can end.
    ///
    /// # Errors
    /// The kernel refuses, or there are too many threads. What could be followed is.
    pub fn follow(
        &mut self,
        namespaces: Vec<Namespace>,
        engines: &BTreeSet<Engine>,
        names: bool,
    ) -> Result<BTreeSet<u64>> {
        let wanted: BTreeSet<u64> = namespaces.iter().map(Namespace::inode).collect();
        self.drained()?.monitor.retain(|namespace| wanted.contains(&namespace));
        let mut new = BTreeSet::new();
        for namespace in &namespaces {
            if self.also(namespace)? {
                new.insert(namespace.inode());
            }
        }
        self.follow_names(names)?;
        self.engines.retain(|engine, _| engines.contains(engine));
        for engine in engines {
            self.follow_engine(*engine)?;
        }
        Ok(new)
    }

    /// Follows one namespace more, in as little time as it takes to list its interfaces; whether it was not followed
    /// before.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn also(&mut self, namespace: &Namespace) -> Result<bool> {
        self.drained()?.monitor.follow(namespace)
    }

    /// The lock, with everything told that the kernel has said: a namespace that has ended is no longer followed then,
    /// and its number can be another's.
    fn drained(&self) -> Result<MutexGuard<'_, Heard>> {
        loop {
            let mut heard = lock(&self.heard);
            let changes = heard.monitor.drain()?;
            if changes.is_empty() {
                return Ok(heard);
            }
            drop(heard);
            changes.into_iter().map(Happening::of_change).for_each(&*self.tell);
        }
    }

    fn follow_names(&self, wanted: bool) -> Result<()> {
        let mut heard = lock(&self.heard);
        if heard.with_names != wanted {
            heard.names.changed();
            heard.with_names = wanted;
            self.kernel.wake()?;
        }
        Ok(())
    }

    fn follow_engine(&mut self, engine: Engine) -> Result<()> {
        if !self.engines.contains_key(&engine) {
            let (tell, connect) = (Arc::clone(&self.tell), Arc::clone(&self.connect));
            let listener = Listener::start(engine.word(), move |stop| {
                let tell = |told| tell(Happening::of_told(engine, told));
                events::follow(|| connect(engine), stop.as_fd(), tell);
            })?;
            self.engines.insert(engine, listener);
        }
        Ok(())
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells what the kernel says until `stop` is closed at its other end; a byte from there says that what is followed has
/// changed.
fn hear(heard: &Mutex<Heard>, (links, mounts): (&OwnedFd, &OwnedFd), mut stop: PipeReader, tell: &Tell) -> Result<()> {
    loop {
        let (with_names, due) = {
            let heard = lock(heard);
            (heard.with_names, heard.names.due().filter(|_| heard.with_names))
        };
        let mounts = with_names.then_some(mounts.as_fd());
        let ready = readable_or_mounted(&[links.as_fd(), stop.as_fd()], mounts, due)?;
        if ready[1] && stop.read(&mut [0]).map_err(|error| failed(&error))? == 0 {
            return Ok(());
        }
        let mut happened = Vec::new();
        if ready[0] {
            happened.extend(lock(heard).monitor.drain()?.into_iter().map(Happening::of_change));
        }
        if ready[2] || with_names && lock(heard).names.due() == Some(Duration::ZERO) {
            happened.extend(lock(heard).names.changed().into_iter().map(Happening::Name));
        }
        // The lock is free here: who is told may follow something.
        happened.into_iter().for_each(&**tell);
    }
}

/// A thread that ends when this is dropped.
#[derive(Debug)]
struct Listener {
    /// Wakes it; none only while it is dropped.
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn wake(&self) -> Result<()> {
        let Some(mut wake) = self.wake.as_ref() else { return Ok(()) };
        wake.write_all(&[0]).map_err(|error| failed(&error))
    }

    /// Starts it; the end of the pipe tells it to end.
    fn start(name: &str, work: impl FnOnce(PipeReader) + Send + 'static) -> Result<Self> {
        let (stop, wake) = io::pipe().map_err(|error| failed(&error))?;
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(stop));
        Ok(Listener { wake: Some(wake), thread: Some(thread.map_err(|error| failed(&error))?) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.wake = None;
        // A thread that panicked has ended too.
        self.thread.take().map(JoinHandle::join);
    }
}

fn failed(error: &io::Error) -> Error {
    Error::failed("listen for what happens to targets").kernel(error.to_string())
}
