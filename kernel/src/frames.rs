//! Sending Ethernet frames by interfaces, past the stack (packet(7)).

use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use xdpilot_core::error::Result;

use crate::bpf;

/// What sends by the interfaces of one namespace. It receives nothing.
#[derive(Debug)]
pub struct Sender(OwnedFd);

impl Sender {
    /// Sends by the interfaces of the calling thread's namespace.
    ///
    /// # Errors
    /// It takes `CAP_NET_RAW`.
    pub fn new() -> Result<Self> {
        let opened =
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None);
        opened.map(Sender).map_err(|errno| bpf::error(errno as i32, "open a packet socket"))
    }

    /// Sends a frame by the interface with this index.
    ///
    /// # Errors
    /// The interface is down or gone, or takes no frame of that length.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> Result<()> {
        // SAFETY: all zeros are a valid `sockaddr_ll`.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = i32::try_from(ifindex).unwrap_or(-1);
        let kind = frame.get(12..14).and_then(|kind| kind.try_into().ok()).unwrap_or_default();
        to.sll_protocol = u16::from_ne_bytes(kind);
        let (address, length) = ((&raw const to).cast(), size_of::<libc::sockaddr_ll>() as u32);
        // SAFETY: the frame and the address are valid for the call, with these lengths.
        let sent = unsafe { libc::sendto(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, address, length) };
        let errno = if sent < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 };
        bpf::check(-errno, || format!("send a frame by interface {ifindex}")).map(drop)
    }
}
