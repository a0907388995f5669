//! Neighbours: the Ethernet addresses of hosts on a segment (rtnetlink(7): `RTM_*NEIGH`).

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use nix::libc;
use xdpilot_core::error::Result;

use crate::attributes::Attributes;
use crate::configure::family;
use crate::interface::Interface;
use crate::socket;

/// `struct ndmsg`, which precedes the attributes, and the offset of the state in it.
const HEADER: usize = 12;
const STATE: usize = 8;
/// `NDA_LLADDR`.
const ADDRESS: u16 = 2;
/// `NUD_VALID`: permanent, without ARP, reachable, being probed, stale or delayed.
const VALID: u16 = 0x80 | 0x40 | 0x02 | 0x10 | 0x04 | 0x08;

/// The Ethernet address of a neighbour of an interface of the calling thread's namespace; none where it is not known.
///
/// # Errors
/// The kernel does not tell.
pub fn find(interface: &Interface, address: IpAddr) -> Result<Option<[u8; 6]>> {
    let what = format!("find the neighbour {address} on {}", interface.name);
    match socket::get(&what, RouteNetlinkMessage::GetNeighbour(message(interface, address))) {
        Ok(answer) => Ok(parse(&answer)),
        Err(error) if error.errno_value() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(answer: &[u8]) -> Option<[u8; 6]> {
    let (header, attributes) = answer.split_at_checked(HEADER)?;
    let state = header.get(STATE..)?.first_chunk().copied().map(u16::from_ne_bytes)?;
    let address = Attributes::new(attributes).bytes(ADDRESS)?.try_into().ok()?;
    (state & VALID != 0).then_some(address)
}

/// Makes the kernel find out a neighbour's Ethernet address, and keep it known (`NTF_EXT_MANAGED`, Linux 5.16).
///
/// # Errors
/// The kernel refuses.
pub fn keep(interface: &Interface, address: IpAddr) -> Result<()> {
    let mut request = message(interface, address);
    request.header.flags = NeighbourFlags::Use;
    request.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    let what = format!("keep the neighbour {address} of {} known", interface.name);
    socket::change(&what, RouteNetlinkMessage::NewNeighbour(request), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Forgets a neighbour: the kernel finds it out anew when it needs it. It is no error if it is not known.
///
/// # Errors
/// The kernel refuses.
pub fn forget(interface: &Interface, address: IpAddr) -> Result<()> {
    let what = format!("forget the neighbour {address} of {}", interface.name);
    match socket::change(&what, RouteNetlinkMessage::DelNeighbour(message(interface, address)), 0) {
        Err(error) if error.errno_value() == Some(libc::ENOENT) => Ok(()),
        done => done,
    }
}

fn message(interface: &Interface, address: IpAddr) -> NeighbourMessage {
    let mut request = NeighbourMessage::default();
    request.header.family = family(address);
    request.header.ifindex = interface.index;
    request.header.state = NeighbourState::None;
    request.attributes = vec![NeighbourAttribute::Destination(address.into())];
    request
}
