//! Targets, the words that say where a program goes: `eth0`, `docker:web`, `netns:blue/veth0`, `pid:42`, `all`.
//!
//! Only the words: whether such a thing exists is found out later.

mod ifname;
mod parse;

use std::fmt;

use crate::engine::Engine;

pub use ifname::IfName;

/// Where a program goes. Prints as the words it is parsed from.
///
/// The word `all` always means [`Target::All`]; a host interface of that name can only be reached as
/// `pid:N/all`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `IFACE`: an interface in the network namespace of this process.
    Interface(IfName),
    /// `docker:NAME[/IFACE]` or `podman:NAME[/IFACE]`.
    Container {
        /// The engine that runs it.
        engine: Engine,
        /// Its name, id, or beginning of an id.
        name: String,
        /// The interface inside; none means the only one there is besides loopback.
        interface: Option<IfName>,
    },
    /// `netns:NAME/IFACE`: a namespace that `ip netns` lists.
    Netns {
        /// Its file name below `/run/netns`.
        name: String,
        /// The interface inside.
        interface: IfName,
    },
    /// `pid:N[/IFACE]`: the network namespace of a process.
    Pid {
        /// The process, from 1 to 4194304.
        pid: u32,
        /// The interface inside; none means the only one there is besides loopback.
        interface: Option<IfName>,
    },
    /// `all`: every interface of the host.
    All,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = match self {
            Target::Interface(name) => return write!(f, "{name}"),
            Target::All => return f.write_str("all"),
            Target::Container { engine, name, interface } => {
                write!(f, "{engine}:{name}")?;
                interface.as_ref()
            }
            Target::Netns { name, interface } => {
                write!(f, "netns:{name}")?;
                Some(interface)
            }
            Target::Pid { pid, interface } => {
                write!(f, "pid:{pid}")?;
                interface.as_ref()
            }
        };
        inside.map_or(Ok(()), |interface| write!(f, "/{interface}"))
    }
}
