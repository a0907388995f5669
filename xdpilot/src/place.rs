//! From the words of a target to interfaces in their namespaces.

use std::path::PathBuf;

use clap::ValueEnum;
use xdpilot_core::diagnose::Facts;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::{machine, offload, veth};

use crate::engine;
use crate::state;
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
    /// A process that lives in the namespace, where the target names one.
    pid: Option<u32>,
}

impl Place {
    /// Where xdpilot pins the link of this interface's program.
    pub fn link_path(&self) -> PathBuf {
        state::link_path(self.namespace.inode(), self.interface.index)
    }

    /// The other end of a veth pair, and its namespace; none for other interfaces and where it cannot be reached.
    pub fn peer(&self) -> Option<(Namespace, Interface)> {
        self.namespace.run(|| veth::peer(&self.interface)).ok()
    }

    /// Whether frames sent out of this interface are lost, since the other end of the veth pair has neither a program
    /// nor GRO (`veth_xdp_xmit`, drivers/net/veth.c).
    pub fn peer_lacks_gro(&self) -> bool {
        let Some((namespace, peer)) = self.peer() else { return false };
        peer.xdp.native.is_none() && namespace.run(|| offload::gro(&peer)).is_ok_and(|on| !on)
    }

    /// Turns GRO at the other end of the veth pair on or off.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set_peer_gro(&self, on: bool) -> Result<()> {
        match self.peer() {
            Some((namespace, peer)) => namespace.run(|| offload::set_gro(&peer, on)),
            None => Ok(()),
        }
    }

    /// What messages about this place can say. An empty `source` is none.
    pub fn facts(&self, mode: Option<Mode>, source: &str) -> Facts {
        let peer = self.peer();
        let peer_enter = peer.as_ref().and_then(|(namespace, _)| enter(namespace));
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
        match (self.target.strip_prefix("netns:").and_then(|rest| rest.split_once('/')), self.pid) {
            (Some((name, _)), _) => Some(format!("ip netns exec {name}")),
            (None, Some(pid)) => Some(format!("nsenter --net --target {pid}")),
            (None, None) => None,
        }
    }
}

/// The words that run a command in a network namespace; none for this one, and where no name and no process leads.
pub fn enter(namespace: &Namespace) -> Option<String> {
    if Namespace::current().is_ok_and(|current| current == *namespace) {
        return None;
    }
    let found = Namespace::all().into_iter().find(|reachable| reachable.namespace == *namespace)?;
    match (found.names.first(), found.pid) {
        (Some(name), _) => Some(format!("ip netns exec {name}")),
        (None, pid) => pid.map(|pid| format!("nsenter --net --target {pid}")),
    }
}

/// Finds the interfaces of a target.
///
/// # Errors
/// There is no such interface, container, namespace or process; names like it are listed.
pub fn resolve(target: &Target, traffic: Traffic) -> Result<Vec<Place>> {
    let words = target.to_string();
    match target {
        Target::Interface(name) => {
            let interface = Interface::by_name(name.as_str())?;
            Ok(vec![Place {
                namespace: Namespace::current()?,
                label: words.clone(),
                target: words,
                interface,
                pid: None,
            }])
        }
        Target::All => Interface::list()?
            .into_iter()
            .filter(|interface| interface.name != "lo")
            .map(|interface| {
                let target = interface.name.clone();
                Ok(Place { namespace: Namespace::current()?, label: target.clone(), target, interface, pid: None })
            })
            .collect(),
        Target::Netns { name, interface } => inside(Namespace::named(name)?, None, Some(interface), words, Traffic::To),
        Target::Pid { pid, interface } => {
            inside(Namespace::of_pid(*pid)?, Some(*pid), interface.as_ref(), words, traffic)
        }
        Target::Container { engine, name, interface } => {
            let container = engine::find(*engine, name)?;
            inside(Namespace::of_pid(container.pid)?, Some(container.pid), interface.as_ref(), words, traffic)
        }
    }
}

/// The named interface of a namespace, or all that are not the loopback.
fn inside(
    namespace: Namespace,
    pid: Option<u32>,
    wanted: Option<&IfName>,
    target: String,
    traffic: Traffic,
) -> Result<Vec<Place>> {
    let host = Namespace::current()?;
    if namespace.inode() == host.inode() && wanted.is_none() {
        return Err(Error::usage(format!("find the interface of {target}"))
            .cause("it shares the host's network: it has no interface of its own")
            .mend("name an interface of the host instead"));
    }
    let interfaces = match wanted {
        Some(name) => vec![namespace.run(|| Interface::by_name(name.as_str()))?],
        None => namespace.run(Interface::list)?.into_iter().filter(|interface| interface.name != "lo").collect(),
    };
    if interfaces.is_empty() {
        return Err(Error::usage(format!("find the interface of {target}")).cause("it has only the loopback interface"));
    }
    let place = |interface: Interface| {
        let (namespace, interface, pid) = match traffic {
            Traffic::To => (namespace.try_clone()?, interface, pid),
            Traffic::From => {
                let (namespace, peer) = namespace.run(|| veth::peer(&interface))?;
                (namespace, peer, None)
            }
        };
        let label = if target.ends_with(&format!("/{}", interface.name)) {
            target.clone()
        } else {
            format!("{target} ({})", interface.name)
        };
        Ok(Place { namespace, interface, target: target.clone(), label, pid })
    };
    interfaces.into_iter().map(place).collect()
}
