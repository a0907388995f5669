//! Attaching, replacing and detaching XDP programs by netlink: `RTM_SETLINK` with `IFLA_XDP`
//! (`do_setlink` in `net/core/rtnetlink.c`, `dev_xdp_attach` in `net/core/dev.c`).
//!
//! What is attached so stays until it is detached or the interface goes; programs that a bpf_link
//! holds cannot be replaced or detached this way (EBUSY).

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkXdp},
};
use xdpilot_core::error::Result;

use crate::{link_message::link_message, mode::Mode, socket};

/// `XDP_FLAGS_UPDATE_IF_NOEXIST` and `XDP_FLAGS_REPLACE` of `include/uapi/linux/if_link.h`.
const UPDATE_IF_NOEXIST: u32 = 1 << 0;
const REPLACE: u32 = 1 << 4;

/// What must stand on the interface for the request to be carried out; checked by the kernel
/// atomically with the change.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// Anything: whatever stands there is replaced.
    Anything,
    /// No program (else EBUSY).
    Nothing,
    /// This very program (else EEXIST).
    Program(BorrowedFd<'a>),
}

/// A change of the program on an interface of the calling thread's namespace.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// The interface's index.
    pub index: u32,
    /// The interface's name, for the error.
    pub name: &'a str,
    /// The mode to attach in or detach from; none leaves the choice to the kernel: native where the
    /// driver can, else generic.
    pub mode: Option<Mode>,
    /// The program to attach; none detaches.
    pub program: Option<BorrowedFd<'a>>,
    /// What must stand there.
    pub expected: Expected<'a>,
}

impl Attachment<'_> {
    /// Asks the kernel for the change. The error carries the kernel's own words (extack) and errno.
    pub fn apply(&self) -> Result<()> {
        let mut flags = self.mode.map_or(0, Mode::flag);
        let mut xdp = vec![LinkXdp::Fd(self.program.map_or(-1, |program| program.as_raw_fd()))];
        match self.expected {
            Expected::Anything => {}
            Expected::Nothing => flags |= UPDATE_IF_NOEXIST,
            Expected::Program(program) => {
                flags |= REPLACE;
                // A descriptor is never negative, so the bits are the same.
                xdp.push(LinkXdp::ExpectedFd(program.as_raw_fd() as u32));
            }
        }
        xdp.push(LinkXdp::Flags(flags));
        let request = link_message(self.index, vec![LinkAttribute::Xdp(xdp)]);
        socket::change(&self.what(), RouteNetlinkMessage::SetLink(request), 0)
    }

    fn what(&self) -> String {
        let mode = self.mode.map_or(String::new(), |mode| format!(" ({mode})"));
        match self.program {
            Some(_) => format!("attach an XDP program to {}{mode}", self.name),
            None => format!("detach the XDP program from {}{mode}", self.name),
        }
    }
}
