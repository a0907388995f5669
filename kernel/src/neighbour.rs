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
/// `NDA_LLADDR`, `NDA_FLAGS_EXT`.
const ADDRESS: u16 = 2;
const FLAGS: u16 = 15;
/// `NUD_VALID`: permanent, without ARP, reachable, being probed, stale or delayed.
const VALID: u16 = STATIC | 0x02 | 0x10 | 0x04 | 0x08;
/// `NUD_PERMANENT` and `NUD_NOARP`: somebody said what the address is, and the kernel asks nobody.
const STATIC: u16 = 0x80 | 0x40;
/// `NTF_EXT_MANAGED`.
const MANAGED: u32 = 1;

/// What the kernel knows of a neighbour.
#[derive(Debug)]
struct Entry {
    state: u16,
    address: Option<[u8; 6]>,
    managed: bool,
}

/// The Ethernet address of a neighbour of an interface of the calling thread's namespace; none where it is not known.
///
/// # Errors
/// The kernel does not tell.
pub fn find(interface: &Interface, address: IpAddr) -> Result<Option<[u8; 6]>> {
    let entry = entry(interface, address)?.filter(|entry| entry.state & VALID != 0);
    Ok(entry.and_then(|entry| entry.address))
}

fn entry(interface: &Interface, address: IpAddr) -> Result<Option<Entry>> {
    let what = format!("find the neighbour {address} on {}", interface.name);
    match socket::get(&what, RouteNetlinkMessage::GetNeighbour(message(interface, address))) {
        Ok(answer) => Ok(parse(&answer)),
        Err(error) if error.errno_value() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(answer: &[u8]) -> Option<Entry> {
    let (header, attributes) = answer.split_at_checked(HEADER)?;
    let state = header.get(STATE..)?.first_chunk().copied().map(u16::from_ne_bytes)?;
    let attributes = Attributes::new(attributes);
    let address = attributes.bytes(ADDRESS).and_then(|bytes| bytes.try_into().ok());
    let flags = attributes.bytes(FLAGS).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
    Some(Entry { state, address, managed: flags & MANAGED != 0 })
}

/// Makes the kernel find out a neighbour's Ethernet address, and keep it known (`NTF_EXT_MANAGED`, Linux 5.16). One whose
/// address somebody stated stays as it is.
///
/// # Errors
/// The kernel refuses.
pub fn keep(interface: &Interface, address: IpAddr) -> Result<()> {
    if entry(interface, address)?.is_some_and(|entry| entry.state & STATIC != 0) {
        return Ok(());
    }
    let mut request = message(interface, address);
    request.header.flags = NeighbourFlags::Use;
    request.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    let what = format!("keep the neighbour {address} of {} known", interface.name);
    socket::change(&what, RouteNetlinkMessage::NewNeighbour(request), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Forgets a neighbour that was kept known: the kernel finds it out anew when it needs it. Others stay.
///
/// # Errors
/// The kernel refuses.
pub fn forget(interface: &Interface, address: IpAddr) -> Result<()> {
    if !entry(interface, address)?.is_some_and(|entry| entry.managed) {
        return Ok(());
    }
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
