//! Offloads and channels of an interface of the calling thread's namespace, by ethtool's
//! ioctl (`include/uapi/linux/ethtool.h`, `net/ethtool/ioctl.c`).

use std::os::fd::{AsRawFd, OwnedFd};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use xdpilot_core::error::{Error, Result};

use crate::{interface::Interface, namespace::failed};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// The numbers of an interface's channels (queues with their interrupt), in use and possible
/// (`struct ethtool_channels`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Possible receive-only channels.
    pub max_rx: u32,
    /// Possible transmit-only channels.
    pub max_tx: u32,
    /// Possible channels for both.
    pub max_combined: u32,
    /// Receive-only channels in use.
    pub rx: u32,
    /// Transmit-only channels in use.
    pub tx: u32,
    /// Channels for both in use.
    pub combined: u32,
}

/// Whether generic receive offload is on. On a veth it turns NAPI on, which lets the other end's
/// XDP_REDIRECT (not its XDP_TX) deliver without a program here.
pub fn gro(interface: &Interface) -> Result<bool> {
    let mut value = [ETHTOOL_GGRO, 0];
    ethtool(interface, "read the GRO setting of", &mut value)?;
    Ok(value[1] != 0)
}

/// Whether the sender leaves checksums to the device (`tx-checksumming`). On a veth nobody fills them in before the
/// other end's XDP program sees the packet.
pub fn tx_checksum(interface: &Interface) -> Result<bool> {
    let mut value = [ETHTOOL_GTXCSUM, 0];
    ethtool(interface, "read the checksum setting of", &mut value)?;
    Ok(value[1] != 0)
}

/// Whether the sender leaves it to the device to cut long TCP segments (`tcp-segmentation-offload`). On a veth nobody does
/// before the other end's program of generic mode sees them.
pub fn segmentation(interface: &Interface) -> Result<bool> {
    let mut value = [ETHTOOL_GTSO, 0];
    ethtool(interface, "read the segmentation setting of", &mut value)?;
    Ok(value[1] != 0)
}

/// The channels; EOPNOTSUPP where the driver has no notion of them.
pub fn channels(interface: &Interface) -> Result<Channels> {
    let mut value = [ETHTOOL_GCHANNELS, 0, 0, 0, 0, 0, 0, 0, 0];
    ethtool(interface, "read the channels of", &mut value)?;
    let [_, max_rx, max_tx, _, max_combined, rx, tx, _, combined] = value;
    Ok(Channels { max_rx, max_tx, max_combined, rx, tx, combined })
}

/// Carries out the command in `value[0]`, whose kernel structure is exactly these `N` words. (An
/// ioctl that wants more words must not be passed here.)
fn ethtool<const N: usize>(interface: &Interface, what: &str, value: &mut [u32; N]) -> Result<()> {
    let what = format!("{what} {}", interface.name);
    let refused =
        |errno: Errno| failed(&what, &errno.into(), "the driver does not offer this, or the interface is gone");
    let mut request = request(&interface.name)
        .ok_or_else(|| Error::usage(&what).cause("a name of an interface has 1 to 15 bytes"))?;
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    let socket: OwnedFd =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(refused)?;
    // SAFETY: `request` is a whole ifreq whose name ends with a NUL and whose data pointer leads to
    // `value`, which outlives the call and is as large as the structure of the command in it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &mut request) };
    Errno::result(result).map(drop).map_err(refused)
}

/// An ifreq for the interface of this name; none when the name does not fit.
fn request(name: &str) -> Option<libc::ifreq> {
    // SAFETY: ifreq is made of integers, byte arrays and a pointer, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Some(request)
}
