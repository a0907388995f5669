//! Pairs of virtual Ethernet interfaces (veth(4), `drivers/net/veth.c`): making them, and finding the
//! other end of one.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage},
};
use xdpilot_core::error::{Error, Result};

use crate::{interface::Interface, link_message::link_message, namespace::Namespace, nsid, socket};

/// One end of a pair to make.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace that it is made in.
    pub namespace: &'a Namespace,
    /// Its name there, at most 15 bytes.
    pub name: &'a str,
    /// Its Ethernet address; none lets the kernel choose a random one.
    pub mac: Option<[u8; 6]>,
}

/// What both ends of a pair have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// The MTU in bytes; none is 1500.
    pub mtu: Option<u32>,
    /// The number of receive and of transmit queues; with none the kernel makes one per possible CPU
    /// and uses the first alone (`veth_init_queues`).
    pub queues: Option<u32>,
}

/// Makes a pair with its ends in these namespaces, both down, and returns them in order.
pub fn create(first: End<'_>, second: End<'_>, settings: Settings) -> Result<(Interface, Interface)> {
    let what = format!("create the veth pair {} and {}", first.name, second.name);
    let mut peer = attributes(second, settings);
    peer.push(LinkAttribute::NetNsFd(second.namespace.as_fd().as_raw_fd()));
    let mut request = attributes(first, settings);
    request.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(link_message(0, peer)))),
    ]));
    let made = first.namespace.run(|| {
        let message: LinkMessage = link_message(0, request);
        socket::change(&what, RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)?;
        Interface::by_name(first.name)
    })?;
    Ok((made, second.namespace.run(|| Interface::by_name(second.name))?))
}

fn attributes(end: End<'_>, settings: Settings) -> Vec<LinkAttribute> {
    let queues = settings.queues.map(|count| [LinkAttribute::NumTxQueues(count), LinkAttribute::NumRxQueues(count)]);
    let mut attributes = vec![LinkAttribute::IfName(end.name.to_string())];
    attributes.extend(end.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    attributes.extend(settings.mtu.map(LinkAttribute::Mtu));
    attributes.extend(queues.into_iter().flatten());
    attributes
}

/// The other end of a veth of the calling thread's namespace, and the namespace that it lies in.
///
/// Fails for interfaces of other kinds, and when the other end's namespace is not among those that
/// [`Namespace::all`] can reach.
pub fn peer(interface: &Interface) -> Result<(Namespace, Interface)> {
    let what = format!("find the other end of {}", interface.name);
    let link = interface.link.filter(|_| interface.kind.as_deref() == Some("veth")).ok_or_else(|| {
        let kind = interface.kind.as_deref().unwrap_or("physical or built-in interface");
        Error::usage(&what).cause(format!("{} is no veth: {kind}", interface.name))
    })?;
    let namespace = match interface.link_netnsid {
        None => Namespace::current()?,
        Some(id) => by_id(id)?.ok_or_else(|| {
            Error::failed(&what)
                .cause("it lies in a network namespace that no name under /run/netns and no visible process leads to")
                .mend("run xdpilot as root, in the host's process namespace")
        })?,
    };
    let peer = namespace.run(|| Interface::by_index(link)).map_err(|error| error.context(&what))?;
    Ok((namespace, peer))
}

/// The namespace that has this id in the numbering of the calling thread's namespace.
fn by_id(id: i32) -> Result<Option<Namespace>> {
    // Mostly the host's is asked for, from a container: it is not worth a walk through all processes.
    if let Ok(own) = Namespace::of_pid(std::process::id())
        && nsid::of(&own)? == Some(id)
    {
        return Ok(Some(own));
    }
    for reachable in Namespace::all() {
        if nsid::of(&reachable.namespace)? == Some(id) {
            return Ok(Some(reachable.namespace));
        }
    }
    Ok(None)
}
