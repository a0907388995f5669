//! What an interface's driver can do with XDP, asked without attaching anything: generic netlink family `netdev`
//! (`Documentation/netlink/specs/netdev.yaml`, Linux 6.3).

use xdpilot_core::error::{Error, Result};

use crate::attributes::Attributes;
use crate::interface::Interface;
use crate::socket::{self, Generic};

/// `GENL_ID_CTRL`, which knows the families' numbers, and what is asked of it (`include/uapi/linux/genetlink.h`).
const CONTROL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// `include/uapi/linux/netdev.h`.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// `struct genlmsghdr`, which precedes the attributes.
const HEADER: usize = 4;

/// What the driver can do, as it says itself (`enum netdev_xdp_act`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// Native mode with the verdicts ABORTED, DROP, PASS and TX.
    pub native: bool,
    /// The verdict REDIRECT.
    pub redirect: bool,
    /// Frames can be redirected to it, at this moment.
    pub transmit: bool,
    /// Offload to the card.
    pub offload: bool,
    /// Packets of several buffers, for programs of section `xdp.frags`.
    pub frags: bool,
}

impl XdpFeatures {
    fn of_bits(bits: u64) -> Self {
        let has = |bit: u32| bits & (1 << bit) != 0;
        XdpFeatures { native: has(0), redirect: has(1), transmit: has(2), offload: has(4), frags: has(5) }
    }
}

/// Asks the driver of an interface of the calling thread's namespace. Fails on kernels before 6.3 (ENOENT).
pub fn of(interface: &Interface) -> Result<XdpFeatures> {
    let what = format!("ask what {} can do with XDP", interface.name);
    let name = attribute(CTRL_ATTR_FAMILY_NAME, b"netdev\0");
    let answer = socket::get_generic(&what, Generic { family: CONTROL, payload: request(CTRL_CMD_GETFAMILY, &name) })?;
    let unreadable = || Error::failed(&what).cause("the kernel's answer lacks what was asked for");
    let id = attributes(&answer).bytes(CTRL_ATTR_FAMILY_ID).and_then(|id| id.try_into().ok());
    let family = u16::from_ne_bytes(id.ok_or_else(unreadable)?);
    let index = attribute(NETDEV_A_DEV_IFINDEX, &interface.index.to_ne_bytes());
    let answer = socket::get_generic(&what, Generic { family, payload: request(NETDEV_CMD_DEV_GET, &index) })?;
    let bits = attributes(&answer).bytes(NETDEV_A_DEV_XDP_FEATURES).and_then(|bits| bits.try_into().ok());
    Ok(XdpFeatures::of_bits(u64::from_ne_bytes(bits.ok_or_else(unreadable)?)))
}

fn attributes(answer: &[u8]) -> Attributes<'_> {
    Attributes::new(answer.get(HEADER..).unwrap_or_default())
}

/// `struct genlmsghdr` of version 1 with attributes behind it.
fn request(command: u8, attributes: &[u8]) -> Vec<u8> {
    [&[command, 1, 0, 0], attributes].concat()
}

/// `struct nlattr` with a value of few bytes, padded to four.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (value.len() + 4) as u16;
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_no_native_mode() {
        let loopback = Interface::by_name("lo").unwrap();
        let nothing = XdpFeatures { native: false, redirect: false, transmit: false, offload: false, frags: false };
        assert_eq!(of(&loopback), Ok(nothing));
    }
}
