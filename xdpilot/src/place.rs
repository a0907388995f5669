//! From the words of a target to interfaces in their namespaces.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use xdpilot_core::diagnose::Facts;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::PolicyPlace;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::{machine, veth};

use crate::direction::Direction;
use crate::engine;
use crate::state::{self, Pinned};
use crate::target::{IfName, Target};

/// Which packets of a container are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Traffic {
    /// Those that go to it: its own interface, inside its namespace.
    #[default]
    To,
    /// Those that come from it: the other end of its veth pair.
    From,
}

/// The largest MTU, in bytes, whose packets every driver that can do XDP puts into one buffer.
pub const ONE_BUFFER: u32 = 1500;

/// Whether packets of several buffers may come to one of these places.
pub fn may_have_frags(places: &[Place]) -> bool {
    places.iter().any(|place| place.interface.mtu > ONE_BUFFER)
}

/// An interface that a program can be put on.
#[derive(Debug)]
pub struct Place {
    /// The network namespace that it is in.
    pub namespace: Namespace,
    /// The interface as it was when the target was resolved.
    pub interface: Interface,
    /// The target, as the user names it.
    pub target: String,
    /// The target and the interface, for messages: `docker:web (eth0)`.
    pub label: String,
    /// Which end of it is meant, where it is a container or a namespace.
    traffic: Traffic,
    /// The words that run a command in the namespace; none for that of this process.
    enter: Option<String>,
}

impl Place {
    /// Where a link stands that xdpilot pinned for this target.
    ///
    /// # Errors
    /// Its namespace or its interface cannot be reached any more.
    pub fn of_link(pinned: &Pinned, target: &str) -> Result<Self> {
        let found = Namespace::all().into_iter().find(|found| found.namespace.inode() == pinned.namespace);
        let gone = || Error::failed(format!("find the namespace of {target}")).cause("nothing leads there any more");
        let namespace = found.ok_or_else(gone)?.namespace;
        let interface = namespace.run(|| Interface::by_index(pinned.ifindex))?;
        let (enter, target, label) = (way_into(&namespace)?, target.to_string(), target.to_string());
        Ok(Place { namespace, interface, target, label, traffic: Traffic::To, enter })
    }

    /// The same place.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Place {
            namespace: self.namespace.try_clone()?,
            interface: self.interface.clone(),
            target: self.target.clone(),
            label: self.label.clone(),
            traffic: self.traffic,
            enter: self.enter.clone(),
        })
    }

    /// Where xdpilot pins the link of this interface's program.
    pub fn link_path(&self, direction: Direction) -> PathBuf {
        state::link_path(direction, self.namespace.inode(), self.interface.index)
    }

    /// The other end of a veth pair, and its namespace; none for other interfaces and where it cannot be reached.
    pub fn peer(&self) -> Option<(Namespace, Interface)> {
        self.namespace.run(|| veth::peer(&self.interface)).ok()
    }

    /// What messages about this place can say. An empty `source` is none.
    pub fn facts(&self, mode: Option<Mode>, source: &str) -> Facts {
        let peer = self.peer();
        let peer_enter = peer.as_ref().and_then(|(namespace, _)| way_into(namespace).ok().flatten());
        let peer = peer.map(|(_, peer)| peer);
        Facts {
            iface: Some(self.interface.name.clone()),
            target: Some(self.target.clone()),
            enter: self.enter(),
            peer: peer.as_ref().map(|peer| peer.name.clone()),
            peer_enter,
            driver: self.interface.kind.clone(),
            mtu: Some(peer.as_ref().map_or(self.interface.mtu, |peer| peer.mtu)),
            mode: mode.map(|mode| mode.to_string()),
            kernel: machine::kernel_release().ok().map(|(major, minor, _)| (major, minor)),
            source: (!source.is_empty()).then(|| source.to_string()),
        }
    }

    /// The words that run a command where the interface is; none for this namespace.
    pub fn enter(&self) -> Option<String> {
        self.enter.clone()
    }

    /// The target that names another interface of this namespace.
    pub fn beside(&self, interface: &Interface) -> String {
        let namespace = self.target.split('/').next().filter(|_| self.enter.is_some() && self.traffic == Traffic::To);
        namespace.map_or_else(|| interface.name.clone(), |words| format!("{words}/{}", interface.name))
    }

    /// The options that name this place to `xdpilot load` and `unload`.
    pub fn options(&self) -> String {
        match self.traffic {
            Traffic::To => format!("--on {}", self.target),
            Traffic::From => format!("--on {} --traffic from", self.target),
        }
    }
}

/// Finds the interfaces of all targets, each once.
///
/// # Errors
/// There is no such interface, container, namespace or process; names like it are listed.
pub fn resolve_all(targets: &[Target], traffic: Traffic) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for target in targets {
        places.extend(resolve(target, traffic)?);
    }
    Ok(each_once(places))
}

/// Places without those that are the same interface as one before.
pub fn each_once(mut places: Vec<Place>) -> Vec<Place> {
    let mut seen = BTreeSet::new();
    places.retain(|place| seen.insert((place.namespace.inode(), place.interface.index)));
    places
}

/// The interfaces where a policy says that it lives; `traffic` is what a command says about it.
///
/// # Errors
/// As [`resolve_all`].
pub fn of_policy(place: &PolicyPlace, traffic: Option<Traffic>) -> Result<Vec<Place>> {
    let said = if place.from { Traffic::From } else { Traffic::To };
    resolve(&place.target.parse()?, traffic.unwrap_or(said))
}

/// Finds the interfaces of a target.
///
/// # Errors
/// As [`resolve_all`].
pub fn resolve(target: &Target, traffic: Traffic) -> Result<Vec<Place>> {
    let words = target.to_string();
    match target {
        Target::Interface(_) | Target::All if traffic == Traffic::From => {
            Err(Error::usage(format!("find the traffic from {words}"))
                .cause("a program sees what arrives at an interface; only containers and namespaces have another end")
                .mend("leave --traffic out, or name the container"))
        }
        Target::Interface(name) => Ok(vec![here(Interface::by_name(name.as_str())?)?]),
        Target::All => Interface::list()?.into_iter().filter(|interface| interface.name != "lo").map(here).collect(),
        Target::Netns { name, interface } => {
            let enter = format!("ip netns exec {name}");
            inside(Inside { namespace: Namespace::named(name)?, enter, target: words, traffic }, Some(interface))
        }
        Target::Pid { pid, interface } => inside(of_pid(*pid, words, traffic)?, interface.as_ref()),
        Target::Container { engine, name, interface } => {
            let container = engine::find(*engine, name)?;
            inside(of_pid(container.pid, words, traffic)?, interface.as_ref())
        }
    }
}

/// The one interface of a target.
///
/// # Errors
/// As [`resolve_all`], and where it has several.
pub fn only(target: &Target) -> Result<Place> {
    let mut found = resolve(target, Traffic::To)?;
    let names: Vec<String> = found.iter().map(|place| place.interface.name.clone()).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Error::usage(target.to_string())
            .cause(format!("it has several interfaces: {}", names.join(", ")))
            .mend(format!("name one: {target}/{}", names.first().map_or("IFACE", String::as_str)))),
    }
}

/// An interface of this namespace.
fn here(interface: Interface) -> Result<Place> {
    let target = interface.name.clone();
    let namespace = Namespace::current()?;
    Ok(Place { namespace, interface, label: target.clone(), target, traffic: Traffic::To, enter: None })
}

/// A namespace that a target names.
struct Inside {
    namespace: Namespace,
    /// The words that run a command in it.
    enter: String,
    target: String,
    traffic: Traffic,
}

fn of_pid(pid: u32, target: String, traffic: Traffic) -> Result<Inside> {
    let enter = format!("nsenter --net --target {pid}");
    Ok(Inside { namespace: Namespace::of_pid(pid)?, enter, target, traffic })
}

/// The error of something that was tried in a namespace: what mends it is run there.
pub fn mended_in(enter: Option<String>, error: Error) -> Error {
    match (enter, error.mend_text()) {
        (Some(enter), Some(mend)) => {
            let mend = format!("{enter} {mend}");
            error.mend(mend)
        }
        _ => error,
    }
}

/// The named interface of a namespace, or all that are not the loopback.
fn inside(inside: Inside, wanted: Option<&IfName>) -> Result<Vec<Place>> {
    let Inside { namespace, target, .. } = &inside;
    if wanted.is_none() && namespace.inode() == Namespace::current()?.inode() {
        return Err(Error::usage(format!("find the interface of {target}"))
            .cause("it shares the host's network: it has no interface of its own")
            .mend("name an interface of the host instead"));
    }
    let interfaces = match wanted {
        Some(name) => {
            let found = namespace.run(|| Interface::by_name(name.as_str()));
            vec![found.map_err(|error| mended_in(Some(inside.enter.clone()), error))?]
        }
        None => namespace.run(Interface::list)?.into_iter().filter(|interface| interface.name != "lo").collect(),
    };
    if interfaces.is_empty() {
        return Err(Error::usage(format!("find the interface of {target}")).cause("it has only the loopback interface"));
    }
    interfaces.into_iter().map(|interface| inside.place(interface)).collect()
}

impl Inside {
    /// The interface itself, or the other end of its veth pair.
    fn place(&self, interface: Interface) -> Result<Place> {
        let Inside { namespace, enter, target, traffic } = self;
        let (namespace, interface, enter) = match traffic {
            Traffic::To => (namespace.try_clone()?, interface, Some(enter.clone())),
            Traffic::From => {
                let (namespace, peer) = namespace.run(|| veth::peer(&interface))?;
                let enter = way_into(&namespace)?;
                (namespace, peer, enter)
            }
        };
        let named = *traffic == Traffic::To && target.ends_with(&format!("/{}", interface.name));
        let label = if named { target.clone() } else { format!("{target} ({})", interface.name) };
        Ok(Place { namespace, interface, target: target.clone(), label, traffic: *traffic, enter })
    }
}

/// The words that run a command in a namespace; none for this process's, whichever the calling thread is in, and where
/// nothing leads to it.
pub fn way_into(namespace: &Namespace) -> Result<Option<String>> {
    if *namespace == Namespace::of_pid(std::process::id())? {
        return Ok(None);
    }
    let found = Namespace::all().into_iter().find(|reachable| reachable.namespace == *namespace);
    Ok(found.and_then(|found| match (found.names.first(), found.pid) {
        (Some(name), _) => Some(format!("ip netns exec {name}")),
        (None, Some(pid)) => Some(format!("nsenter --net --target {pid}")),
        (None, None) => None,
    }))
}
