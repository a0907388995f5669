//! Where `redirect` leads: the words of a target to the interface that sends.

use xdpilot_core::emit::TARGETS;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::veth;

use super::Compiled;
use crate::direction::Direction;
use crate::place::{self, Place};
use crate::target::Target;

/// A way out for redirected packets.
#[derive(Debug)]
pub struct Exit {
    /// The target as the policy names it.
    pub target: String,
    /// The namespace of the interface that sends.
    namespace: Namespace,
    /// The interface that sends.
    interface: Interface,
    /// Where the packets arrive, if that is the other end of a veth pair.
    pub receiver: Option<(Namespace, Interface)>,
}

impl Exit {
    /// The receiver as records name it: the inode of its namespace and its index there.
    pub fn receiver_key(&self) -> Option<(u64, u32)> {
        self.receiver.as_ref().map(|(namespace, interface)| (namespace.inode(), interface.index))
    }

    /// The receiver's name, for messages.
    pub fn receiver_name(&self) -> &str {
        self.receiver.as_ref().map_or("", |(_, interface)| &interface.name)
    }
}

/// Finds the ways out of all targets, in the order of their indexes.
///
/// An interface is looked up where the program stands, and sends. A container or namespace gets the packets: the far
/// end of its veth pair sends them into it.
///
/// # Errors
/// There is no such target, or several interfaces are meant.
pub fn resolve(policy: &Compiled, place: &Place) -> Result<Vec<Exit>> {
    let exit = |words: &str| {
        exit(words, place, policy.direction)
            .map_err(|error| error.context(format!("{}: redirect {words}", policy.origin)))
    };
    policy.rules.targets().into_iter().map(exit).collect()
}

fn exit(words: &str, place: &Place, direction: Direction) -> Result<Exit> {
    let (namespace, interface) = match words.parse()? {
        Target::All => return Err(Error::usage("all").cause("one interface is expected")),
        Target::Interface(name) => {
            let found = place.namespace.run(|| Interface::by_name(name.as_str()));
            let interface = found.map_err(|error| place::mended_in(place.enter(), error))?;
            (place.namespace.try_clone()?, interface)
        }
        target => inside(&target, place)?,
    };
    if direction == Direction::Egress && namespace != place.namespace {
        return Err(Error::usage(words)
            .cause("packets that leave can only go to an interface beside the one that they leave")
            .mend("redirect packets that arrive, or name an interface of the same namespace"));
    }
    let receiver = namespace.run(|| veth::peer(&interface)).ok();
    Ok(Exit { target: words.to_string(), namespace, interface, receiver })
}

/// The ways out by these interfaces of a place's namespace.
pub fn by(interfaces: &[Interface], place: &Place) -> Result<Vec<Exit>> {
    let exit = |interface: &Interface| {
        let namespace = place.namespace.try_clone()?;
        let receiver = namespace.run(|| veth::peer(interface)).ok();
        Ok(Exit { target: interface.name.clone(), namespace, interface: interface.clone(), receiver })
    };
    interfaces.iter().map(exit).collect()
}

/// The interface that sends into a container or namespace.
fn inside(target: &Target, place: &Place) -> Result<(Namespace, Interface)> {
    let one = place::only(target)?;
    if one.namespace == place.namespace {
        return Ok((one.namespace, one.interface));
    }
    Ok(one.namespace.run(|| veth::peer(&one.interface)).unwrap_or((one.namespace, one.interface)))
}

/// Tells a loaded policy its ways out.
///
/// # Errors
/// The kernel refuses an interface.
pub fn fill(exits: &[Exit], loaded: &Loaded) -> Result<()> {
    for (index, exit) in (0u32..).zip(exits) {
        let map = loaded.map(TARGETS)?;
        // The kernel looks the index up where the caller is (`__dev_map_alloc_node`, kernel/bpf/devmap.c).
        let set = || map.update(&index.to_ne_bytes(), &exit.interface.index.to_ne_bytes());
        exit.namespace.run(set).map_err(|error| error.context(format!("redirect {}", exit.target)))?;
    }
    Ok(())
}
