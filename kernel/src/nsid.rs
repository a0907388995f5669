//! The ids by which one network namespace knows others (`RTM_*NSID`, `net/core/net_namespace.c`). An id holds nothing:
//! it ends with the namespace that it stands for.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::attributes::Attributes;
use crate::namespace::Namespace;
use crate::socket;

/// `struct rtgenmsg` padded, which precedes the attributes; then `NETNSA_NSID`.
const HEADER: usize = 4;
const NETNSA_NSID: u16 = 1;

/// The id of a namespace in the numbering of the calling thread's namespace; none when it was never given one.
pub(crate) fn of(namespace: &Namespace) -> Result<Option<i32>> {
    let what = format!("ask for the id of the network namespace net:[{}]", namespace.inode());
    let answer = socket::get(&what, RouteNetlinkMessage::GetNsId(message(vec![named(namespace)])))?;
    Ok(parse(&answer))
}

/// The same; one that has none is given the first that is free.
pub(crate) fn of_or_new(namespace: &Namespace) -> Result<i32> {
    if let Some(id) = of(namespace)? {
        return Ok(id);
    }
    let what = format!("give an id to the network namespace net:[{}]", namespace.inode());
    let request = message(vec![named(namespace), NsidAttribute::Id(-1)]);
    match socket::change(&what, RouteNetlinkMessage::NewNsId(request), 0) {
        // Another gave it one meanwhile.
        Err(error) if error.errno_value() != Some(libc::EEXIST) => Err(error),
        _ => of(namespace)?.ok_or_else(|| Error::failed(what).cause("the kernel took the id back at once")),
    }
}

/// The id that a message about one tells.
pub(crate) fn parse(payload: &[u8]) -> Option<i32> {
    let attributes = Attributes::new(payload.get(HEADER..)?);
    attributes.i32(NETNSA_NSID).filter(|&id| id >= 0)
}

fn named(namespace: &Namespace) -> NsidAttribute {
    NsidAttribute::Fd(namespace.as_fd().as_raw_fd() as u32)
}

fn message(attributes: Vec<NsidAttribute>) -> NsidMessage {
    let mut message = NsidMessage::default();
    message.attributes = attributes;
    message
}
