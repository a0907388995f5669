//! An interface without a wire (TUN, `drivers/net/tun.c`): what the stack sends by it this process reads, and what it
//! writes the stack gets. It is gone with its descriptor.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::bpf;
use crate::interface::Interface;

const PATH: &str = "/dev/net/tun";
/// `struct virtio_net_hdr`, which stands before each packet, and its first byte's `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const HEAD: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;
/// The longest IP packet.
const LONGEST: usize = 65_535;

/// The interface.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
}

impl Tun {
    /// Makes one in the calling thread's namespace, down and without addresses. `name` has at most 15 bytes.
    ///
    /// # Errors
    /// The kernel has no TUN, or refuses.
    pub fn new(name: &str) -> Result<Self> {
        let what = || format!("make the TUN interface {name}");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(PATH).map_err(|error| {
            let failed = Error::failed(what()).kernel(error.to_string()).errno(error.raw_os_error().unwrap_or(0));
            match error.kind() {
                ErrorKind::NotFound => failed.cause(format!("there is no {PATH}")).mend("modprobe tun"),
                _ => failed.cause(format!("{PATH} cannot be opened")),
            }
        })?;
        // SAFETY: all zeros are a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let room = request.ifr_name.len() - 1;
        request.ifr_name.iter_mut().zip(name.bytes().take(room)).for_each(|(to, from)| *to = from.cast_signed() as _);
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        // SAFETY: the descriptor is open, and the request a valid `ifreq` for the call.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
        bpf::check(if done < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }, what)?;
        Ok(Tun { file, name: name.to_string() })
    }

    /// The interface as the kernel knows it, from the namespace where it was made.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn interface(&self) -> Result<Interface> {
        Interface::by_name(&self.name)
    }

    /// The next IP packet that the stack has sent, with its checksums; none where none waits.
    pub fn read(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEAD + LONGEST];
        let count = (&self.file).read(&mut bytes).ok()?;
        bytes.truncate(count);
        (count > HEAD).then(|| bytes.split_off(HEAD))
    }

    /// Gives an IP packet over TCP to the stack, which does not look at the TCP checksum: it may have been left to a
    /// device that the packet never saw. What the stack does not take is lost, as on any wire.
    pub fn write(&self, packet: &[u8]) {
        let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        let transport = if v6 { 40 } else { packet.first().map_or(0, |first| u16::from(first & 0xf) * 4) };
        let (start, offset) = (transport.to_ne_bytes(), 16u16.to_ne_bytes());
        let head = [&[NEEDS_CHECKSUM, 0, 0, 0, 0, 0], &start[..], &offset].concat();
        _ = (&self.file).write(&[&head, packet].concat());
    }
}

impl AsFd for Tun {
    /// Readable where a packet waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
