//! Where the kernel sends packets (rtnetlink(7): `RTM_GETROUTE`), the addresses of interfaces, and whether it forwards.

use std::fs;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::attributes::Attributes;
use crate::configure::family;
use crate::interface::Interface;
use crate::socket;

/// `struct rtmsg`, which precedes the attributes, and the offset of the route's type in it.
const HEADER: usize = 12;
const TYPE: usize = 7;
/// `RTN_UNICAST`, `RTN_LOCAL`.
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
/// `RTA_*`.
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PREFERRED_SOURCE: u16 = 7;
/// `struct ifaddrmsg`, the interface's index in it, and `IFA_*`.
const ADDRESS_HEADER: usize = 8;
const ADDRESS_INDEX: usize = 4;
const ADDRESS: u16 = 1;
const LOCAL_ADDRESS: u16 = 2;

/// The kernel's way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The index of the interface that sends.
    pub interface: u32,
    /// The router; none where the address is on the segment.
    pub gateway: Option<IpAddr>,
    /// The source that the kernel would choose.
    pub source: Option<IpAddr>,
    /// Whether the address is this host's own.
    pub local: bool,
}

/// The way to an address from the calling thread's namespace; none where there is none.
///
/// # Errors
/// The kernel does not tell.
pub fn to(address: IpAddr) -> Result<Option<Route>> {
    let mut request = RouteMessage::default();
    request.header.address_family = family(address);
    request.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
    request.attributes = vec![RouteAttribute::Destination(address.into())];
    match socket::get(&format!("find the route to {address}"), RouteNetlinkMessage::GetRoute(request)) {
        Ok(answer) => Ok(parse(&answer)),
        Err(error) if matches!(error.errno_value(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn parse(answer: &[u8]) -> Option<Route> {
    let (header, attributes) = answer.split_at_checked(HEADER)?;
    let attributes = Attributes::new(attributes);
    let kind = header[TYPE];
    matches!(kind, UNICAST | LOCAL).then_some(())?;
    Some(Route {
        interface: attributes.u32(OIF)?,
        gateway: attributes.bytes(GATEWAY).and_then(ip),
        source: attributes.bytes(PREFERRED_SOURCE).and_then(ip),
        local: kind == LOCAL,
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The addresses of an interface of the calling thread's namespace, in the kernel's order.
///
/// # Errors
/// The kernel does not tell.
pub fn addresses(interface: &Interface) -> Result<Vec<IpAddr>> {
    let what = format!("list the addresses of {}", interface.name);
    let answers = socket::dump(&what, &RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let address = |answer: &Vec<u8>| {
        let (header, attributes) = answer.split_at_checked(ADDRESS_HEADER)?;
        let index = header.get(ADDRESS_INDEX..)?.first_chunk().copied().map(u32::from_ne_bytes)?;
        let attributes = Attributes::new(attributes);
        let bytes = attributes.bytes(LOCAL_ADDRESS).or_else(|| attributes.bytes(ADDRESS))?;
        (index == interface.index).then(|| ip(bytes)).flatten()
    };
    Ok(answers.iter().filter_map(address).collect())
}

/// Whether packets of a family that arrive at an interface of the calling thread's namespace are forwarded: without, the
/// kernel tells XDP programs no next hop (`bpf_ipv4_fib_lookup`).
///
/// # Errors
/// The kernel does not tell.
pub fn forwards(interface: &Interface, v6: bool) -> Result<bool> {
    let path = forwarding(interface, v6);
    let text = fs::read_to_string(&path);
    text.map(|text| text.trim() != "0").map_err(|error| Error::failed(format!("read {path}")).kernel(error.to_string()))
}

/// The setting that says so, as a path below `/proc/sys`.
pub fn forwarding(interface: &Interface, v6: bool) -> String {
    format!("/proc/sys/net/ipv{}/conf/{}/forwarding", if v6 { 6 } else { 4 }, interface.name)
}
