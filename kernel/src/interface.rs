//! Network interfaces of the calling thread's namespace, as rtnetlink reports them (rtnetlink(7),
//! `net/core/rtnetlink.c`).

use netlink_packet_core::DefaultNla;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkExtentMask},
};
use nix::libc;
use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_core::near::suggestion;

use crate::{attributes::Attributes, link_message::link_message, mode::Attached, socket};

/// `struct ifinfomsg`, which precedes the attributes.
pub(crate) const HEADER: usize = 16;
/// Numbers of `include/uapi/linux/if_link.h`.
const IFLA_ADDRESS: u16 = 1;
pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
pub(crate) const IFLA_ALT_IFNAME: u16 = 53;
/// A main name has at most 15 bytes, an alternative name at most 127.
const LONGEST_MAIN: usize = 15;
const LONGEST_NAME: usize = 127;

/// An interface as it was when it was asked for. The index stays its own in its namespace until it is
/// deleted or moved; everything else may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The index, unique in its namespace.
    pub index: u32,
    /// The main name.
    pub name: String,
    /// The Ethernet address; none for devices without one (tun, IP tunnels).
    pub mac: Option<[u8; 6]>,
    /// The largest packet, in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// The driver's kind where it was made by software: `veth`, `bridge`, `bond`, `vlan`, ….
    pub kind: Option<String>,
    /// The index of the interface below it, or of a veth's other end.
    pub link: Option<u32>,
    /// The id, in this namespace's numbering, of the namespace that `link` lies in; none when it is this one.
    pub link_netnsid: Option<i32>,
    /// The index of the bridge, bond or VRF that it is a port of.
    pub master: Option<u32>,
    /// The number of receive queues that exist; [`crate::offload::channels`] tells how many are in use.
    pub rx_queues: u32,
    /// The number of transmit queues that exist.
    pub tx_queues: u32,
    /// The XDP programs on it.
    pub xdp: Attached,
}

impl Interface {
    /// All interfaces, in the kernel's order (by index).
    pub fn list() -> Result<Vec<Interface>> {
        let request = link_message(0, vec![without_statistics()]);
        let answers = socket::dump("list the network interfaces", &RouteNetlinkMessage::GetLink(request))?;
        Ok(answers.iter().filter_map(|answer| parse(answer)).collect())
    }

    /// The interface of this name or alternative name. A wrong name is a usage error that lists near ones.
    pub fn by_name(name: &str) -> Result<Interface> {
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(no_such_name(name));
        }
        let attribute = if name.len() <= LONGEST_MAIN {
            LinkAttribute::IfName(name.to_string())
        } else {
            LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, [name.as_bytes(), b"\0"].concat()))
        };
        let found = get(&format!("find the interface {name}"), 0, vec![attribute, without_statistics()]);
        found.map_err(|error| if missing(&error) { no_such_name(name) } else { error })
    }

    /// The interface with this index.
    pub fn by_index(index: u32) -> Result<Interface> {
        let found = get(&format!("find the interface with index {index}"), index, vec![without_statistics()]);
        found.map_err(|error| if missing(&error) { error.of_kind(Kind::Usage) } else { error })
    }

    /// The main names of all interfaces.
    pub fn names() -> Result<Vec<String>> {
        Ok(Self::list()?.into_iter().map(|interface| interface.name).collect())
    }
}

/// Asks the kernel to leave the counters out, which make most of an answer.
pub(crate) fn without_statistics() -> LinkAttribute {
    LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])
}

fn get(what: &str, index: u32, attributes: Vec<LinkAttribute>) -> Result<Interface> {
    let answer = socket::get(what, RouteNetlinkMessage::GetLink(link_message(index, attributes)))?;
    parse(&answer).ok_or_else(|| Error::failed(what).cause("the kernel's answer lacks the name"))
}

fn missing(error: &Error) -> bool {
    error.errno_value() == Some(libc::ENODEV)
}

fn no_such_name(name: &str) -> Error {
    // Without the list the name is still wrong; only the hint is lost.
    let names = Interface::names().unwrap_or_default();
    Error::usage(format!("no interface is called {name}"))
        .errno(libc::ENODEV)
        .cause(suggestion(name, "interfaces", &names))
        .mend("ip -brief link")
}

/// Reads the payload of an `RTM_NEWLINK`; none when it is cut short or nameless.
fn parse(payload: &[u8]) -> Option<Interface> {
    let (header, attributes) = payload.split_at_checked(HEADER)?;
    let number = |at: usize| header[at..].first_chunk().copied().map(u32::from_ne_bytes);
    let attributes = Attributes::new(attributes);
    let program = |kind| attributes.nested(IFLA_XDP).and_then(|xdp| xdp.u32(kind)).filter(|&id| id != 0);
    Some(Interface {
        index: number(4)?,
        name: attributes.text(IFLA_IFNAME)?,
        mac: attributes.bytes(IFLA_ADDRESS).and_then(|address| address.try_into().ok()),
        mtu: attributes.u32(IFLA_MTU).unwrap_or(0),
        up: number(8)? & libc::IFF_UP as u32 != 0,
        kind: attributes.nested(IFLA_LINKINFO).and_then(|info| info.text(IFLA_INFO_KIND)),
        link: attributes.u32(IFLA_LINK).filter(|&index| index != 0),
        link_netnsid: attributes.i32(IFLA_LINK_NETNSID),
        master: attributes.u32(IFLA_MASTER),
        rx_queues: attributes.u32(IFLA_NUM_RX_QUEUES).unwrap_or(1),
        tx_queues: attributes.u32(IFLA_NUM_TX_QUEUES).unwrap_or(1),
        xdp: Attached {
            native: program(IFLA_XDP_DRV_PROG_ID),
            generic: program(IFLA_XDP_SKB_PROG_ID),
            offload: program(IFLA_XDP_HW_PROG_ID),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_found_without_privilege() {
        let loopback = Interface::by_name("lo").unwrap();
        assert_eq!(Interface::by_index(loopback.index).unwrap().name, "lo");
        assert!(Interface::names().unwrap().contains(&"lo".to_string()));
    }

    #[test]
    fn a_wrong_name_is_answered_with_near_ones() {
        let error = Interface::by_name("lo0").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.cause_text().unwrap().contains("lo"), "{error}");
        for strange in ["", "a\0b", &"x".repeat(100), &"x".repeat(1000), "../../x", "lo:1 x"] {
            assert_eq!(Interface::by_name(strange).unwrap_err().kind(), Kind::Usage, "{strange:?}");
        }
        assert_eq!(Interface::by_index(0x7FFF_FFFF).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn cut_answers_are_no_interface() {
        for length in 0..HEADER + 4 {
            assert_eq!(parse(&vec![0; length]), None);
        }
    }
}
