//! Building and changing a small network in the calling thread's namespace: what `ip link`,
//! `ip address`, `ip route` and `ip neighbour` do (rtnetlink(7)).

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo},
    neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use xdpilot_core::error::Result;

use crate::{interface::Interface, link_message::link_message, socket};

/// Sets an interface administratively up.
pub fn set_up(interface: &Interface) -> Result<()> {
    set_flags(interface, "up", LinkFlags::Up)
}

/// Sets an interface administratively down.
pub fn set_down(interface: &Interface) -> Result<()> {
    set_flags(interface, "down", LinkFlags::empty())
}

fn set_flags(interface: &Interface, word: &str, flags: LinkFlags) -> Result<()> {
    let mut request = link_message(interface.index, Vec::new());
    request.header.flags = flags;
    request.header.change_mask = LinkFlags::Up;
    socket::change(&format!("set {} {word}", interface.name), RouteNetlinkMessage::SetLink(request), 0)
}

/// Sets the MTU, in bytes without the Ethernet header.
pub fn set_mtu(interface: &Interface, mtu: u32) -> Result<()> {
    set(interface, &format!("set the MTU of {} to {mtu}", interface.name), LinkAttribute::Mtu(mtu))
}

/// Sets the Ethernet address.
pub fn set_mac(interface: &Interface, mac: [u8; 6]) -> Result<()> {
    set(interface, &format!("set the address of {}", interface.name), LinkAttribute::Address(mac.to_vec()))
}

/// Gives an interface another name, at most 15 bytes.
pub fn rename(interface: &Interface, name: &str) -> Result<()> {
    set(interface, &format!("rename {} to {name}", interface.name), LinkAttribute::IfName(name.to_string()))
}

/// Makes an interface a port of a bridge or bond.
pub fn enslave(interface: &Interface, master: &Interface) -> Result<()> {
    let what = format!("make {} a port of {}", interface.name, master.name);
    set(interface, &what, LinkAttribute::Controller(master.index))
}

fn set(interface: &Interface, what: &str, attribute: LinkAttribute) -> Result<()> {
    let request = link_message(interface.index, vec![attribute]);
    socket::change(what, RouteNetlinkMessage::SetLink(request), 0)
}

/// Deletes an interface; a veth takes its other end with it.
pub fn delete(interface: &Interface) -> Result<()> {
    let request = link_message(interface.index, Vec::new());
    socket::change(&format!("delete the interface {}", interface.name), RouteNetlinkMessage::DelLink(request), 0)
}

/// Makes a bridge of this name, down and without ports.
pub fn create_bridge(name: &str) -> Result<Interface> {
    let kind = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]);
    let request = link_message(0, vec![LinkAttribute::IfName(name.to_string()), kind]);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    socket::change(&format!("create the bridge {name}"), RouteNetlinkMessage::NewLink(request), flags)?;
    Interface::by_name(name)
}

/// Sets the namespace's loopback up.
pub fn loopback_up() -> Result<()> {
    set_up(&Interface::by_name("lo")?)
}

/// Adds an address with the length of its prefix in bits. IPv6 duplicate detection is skipped, so
/// that the address serves at once.
pub fn add_address(interface: &Interface, address: IpAddr, prefix: u8) -> Result<()> {
    let mut request = AddressMessage::default();
    request.header.family = family(address);
    request.header.prefix_len = prefix;
    request.header.index = interface.index;
    request.header.flags = if address.is_ipv6() { AddressHeaderFlags::Nodad } else { AddressHeaderFlags::empty() };
    request.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    let what = format!("add the address {address}/{prefix} to {}", interface.name);
    socket::change(&what, RouteNetlinkMessage::NewAddress(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Sends what has no other route to this gateway, which must be reachable directly already.
pub fn add_default_route(gateway: IpAddr) -> Result<()> {
    let mut request = RouteMessage::default();
    request.header.address_family = family(gateway);
    request.header.table = RouteHeader::RT_TABLE_MAIN;
    request.header.protocol = RouteProtocol::Static;
    request.header.scope = RouteScope::Universe;
    request.header.kind = RouteType::Unicast;
    request.attributes = vec![RouteAttribute::Gateway(gateway.into())];
    let what = format!("add the default route by {gateway}");
    socket::change(&what, RouteNetlinkMessage::NewRoute(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Sends what has no other route by an interface, to whom it may concern: a point-to-point one.
pub fn add_default_route_by(interface: &Interface, v6: bool) -> Result<()> {
    let mut request = RouteMessage::default();
    request.header.address_family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    request.header.table = RouteHeader::RT_TABLE_MAIN;
    request.header.protocol = RouteProtocol::Static;
    request.header.scope = if v6 { RouteScope::Universe } else { RouteScope::Link };
    request.header.kind = RouteType::Unicast;
    request.attributes = vec![RouteAttribute::Oif(interface.index)];
    let what = format!("add the default route by {}", interface.name);
    socket::change(&what, RouteNetlinkMessage::NewRoute(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Binds a neighbour's IP address to its Ethernet address for good, so that neither ARP nor neighbour
/// discovery is needed to reach it.
pub fn add_neighbour(interface: &Interface, address: IpAddr, mac: [u8; 6]) -> Result<()> {
    let mut request = NeighbourMessage::default();
    request.header.family = family(address);
    request.header.ifindex = interface.index;
    request.header.state = NeighbourState::Permanent;
    request.attributes =
        vec![NeighbourAttribute::Destination(address.into()), NeighbourAttribute::LinkLayerAddress(mac.to_vec())];
    let what = format!("add the neighbour {address} to {}", interface.name);
    socket::change(&what, RouteNetlinkMessage::NewNeighbour(request), NLM_F_CREATE | NLM_F_REPLACE)
}

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
