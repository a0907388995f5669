//! Changes of network interfaces, as the kernel tells them (`RTNLGRP_LINK`; rtnetlink(7), netlink(7)).
//!
//! One socket hears all namespaces that are followed (`NETLINK_LISTEN_ALL_NSID`). A socket inside a namespace would keep
//! it from ending, and a physical interface in it from coming back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSliceMut;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{DefaultNla, NetlinkBuffer};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, NetlinkAddr, recvmsg, setsockopt, sockopt::RcvBufForce};
use xdpilot_core::error::Result;

use crate::attributes::Attributes;
use crate::interface::{HEADER, IFLA_ALT_IFNAME, IFLA_IFNAME, IFLA_LINK, IFLA_MTU, without_statistics};
use crate::link_message::link_message;
use crate::namespace::{Namespace, failed};
use crate::{nsid, socket};

/// `RTNLGRP_LINK`, `RTNLGRP_NSID`.
const GROUP_LINK: u32 = 1;
const GROUP_NSID: u32 = 28;
/// `RTM_NEWLINK`, `RTM_DELLINK`, `RTM_NEWNSID`, `RTM_DELNSID`.
const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const NEW_NSID: u16 = 88;
const DEL_NSID: u16 = 89;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_PROP_LIST: u16 = 52;
/// Room for some thousand messages, in bytes: hundreds of containers may start at once.
const QUEUE: usize = 4 << 20;
/// One message about a link is a few KiB.
const BUFFER: usize = 64 << 10;

/// Hears what becomes of the interfaces of network namespaces.
///
/// Its descriptor is readable where something happened; it may be used on any thread.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    home: Namespace,
    /// The id that `home` has in its own numbering.
    home_id: Option<i32>,
    /// By their ids in the numbering of `home`; that itself has none.
    followed: BTreeMap<Option<i32>, Followed>,
    /// What a message is read into.
    buffer: Vec<u8>,
}

/// A namespace that is followed. No handle: that would keep it from ending.
#[derive(Debug)]
struct Followed {
    inode: u64,
    links: Links,
}

/// What happened in one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The inode number of the namespace.
    pub namespace: u64,
    /// What it was.
    pub what: What,
}

/// What may happen in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Interfaces came, went, were renamed, went up or down, have another MTU or another lower end: all names that they
    /// had and have, alternative ones too.
    Links(BTreeSet<String>),
    /// Messages were lost: any interface may have changed.
    Anything,
    /// It has ended, or messages about that were lost: it is not followed any more. Who still means it follows it anew.
    Unfollowed,
}

impl Monitor {
    /// Listens, and follows no namespace yet. It belongs to the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel refuses: hearing other namespaces takes `CAP_NET_BROADCAST`.
    pub fn new() -> Result<Self> {
        let refused = |error| failed("listen for changes of network interfaces", &error, "it takes CAP_NET_BROADCAST");
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(refused)?;
        socket.set_listen_all_namespaces(true).map_err(refused)?;
        // Without CAP_NET_ADMIN the usual room has to do.
        _ = setsockopt(&socket, RcvBufForce, &QUEUE);
        socket.bind_auto().map_err(refused)?;
        for group in [GROUP_LINK, GROUP_NSID] {
            socket.add_membership(group).map_err(refused)?;
        }
        let home = Namespace::current()?;
        let home_id = nsid::of(&home)?;
        Ok(Monitor { socket, home, home_id, followed: BTreeMap::new(), buffer: vec![0; BUFFER] })
    }

    /// Follows a namespace; whether it was not followed before. The handle is not kept.
    ///
    /// What happens from now on is told. The number of a namespace that has ended may be another's: [`Monitor::drain`]
    /// comes first.
    ///
    /// # Errors
    /// The kernel refuses to give the namespace an id (that takes `CAP_NET_ADMIN`), or to list its interfaces.
    pub fn follow(&mut self, namespace: &Namespace) -> Result<bool> {
        let inode = namespace.inode();
        if self.followed.values().any(|followed| followed.inode == inode) {
            return Ok(false);
        }
        let at_home = *namespace == self.home;
        let (id, links) = self.home.run(|| {
            let id = if at_home { None } else { Some(nsid::of_or_new(namespace)?) };
            Ok((id, Links::of(id)?))
        })?;
        self.followed.insert(id, Followed { inode, links });
        Ok(true)
    }

    /// Follows only these of the namespaces that it followed, by their inode numbers.
    pub fn retain(&mut self, wanted: impl Fn(u64) -> bool) {
        self.followed.retain(|_, followed| wanted(followed.inode));
    }

    /// The inode numbers of the namespaces that are followed.
    pub fn followed(&self) -> BTreeSet<u64> {
        self.followed.values().map(|followed| followed.inode).collect()
    }

    /// What happened since the last time, at most one change for each namespace. It does not wait.
    ///
    /// Programs that are attached or detached, addresses, counters and carriers are no changes.
    ///
    /// # Errors
    /// The kernel refuses to be heard.
    pub fn drain(&mut self) -> Result<Vec<Change>> {
        let mut changes = BTreeMap::new();
        let mut buffer = mem::take(&mut self.buffer);
        let heard = self.read_all(&mut buffer, &mut changes);
        self.buffer = buffer;
        heard?;
        Ok(changes.into_iter().map(|(namespace, what)| Change { namespace, what }).collect())
    }

    fn read_all(&mut self, buffer: &mut [u8], changes: &mut BTreeMap<u64, What>) -> Result<()> {
        loop {
            match receive(&self.socket, buffer) {
                Ok(Some((length, id))) => self.read(&buffer[..length], id, changes)?,
                Ok(None) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::ENOBUFS) => self.lose(changes)?,
                Err(errno) => return Err(failed("hear of network interfaces", &errno.into(), "the socket is broken")),
            }
        }
    }

    /// Takes the messages of one datagram from the namespace with this id.
    fn read(&mut self, datagram: &[u8], id: Option<i32>, changes: &mut BTreeMap<u64, What>) -> Result<()> {
        let id = id.filter(|_| id != self.home_id);
        let mut rest = datagram;
        while let Ok(message) = NetlinkBuffer::new_checked(rest) {
            rest = &rest[(message.length() as usize).next_multiple_of(4).min(rest.len())..];
            match (message.message_type(), id) {
                (kind @ (NEW_LINK | DEL_LINK), _) => {
                    let Some(followed) = self.followed.get_mut(&id) else { continue };
                    let names = followed.links.take(kind == NEW_LINK, message.payload());
                    add_names(changes, followed.inode, names);
                }
                // The one that is new may be that of `home` itself.
                (NEW_NSID, None) if self.home_id.is_none() => self.home_id = self.home.run(|| nsid::of(&self.home))?,
                (DEL_NSID, None) => {
                    let ended = nsid::parse(message.payload()).and_then(|id| self.followed.remove(&Some(id)));
                    changes.extend(ended.map(|ended| (ended.inode, What::Unfollowed)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Messages were lost. An id may be another namespace's by now, if one ended meanwhile.
    fn lose(&mut self, changes: &mut BTreeMap<u64, What>) -> Result<()> {
        for (id, followed) in mem::take(&mut self.followed) {
            if id.is_some() {
                changes.insert(followed.inode, What::Unfollowed);
            } else {
                changes.insert(followed.inode, What::Anything);
                let links = self.home.run(|| Links::of(None))?;
                self.followed.insert(None, Followed { links, ..followed });
            }
        }
        self.home_id = self.home.run(|| nsid::of(&self.home))?;
        Ok(())
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn add_names(changes: &mut BTreeMap<u64, What>, namespace: u64, names: BTreeSet<String>) {
    if names.is_empty() {
        return;
    }
    if let What::Links(all) = changes.entry(namespace).or_insert_with(|| What::Links(BTreeSet::new())) {
        all.extend(names);
    }
}

/// The next datagram: its length, and the id of the namespace that it is about, if that is not the socket's own. None
/// where it does not come from the kernel.
fn receive(socket: &Socket, buffer: &mut [u8]) -> nix::Result<Option<(usize, Option<i32>)>> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut control = nix::cmsg_space!(i32);
    let message = recvmsg::<NetlinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let id = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Unknown(control)
            if (control.cmsg_header.cmsg_level, control.cmsg_header.cmsg_type)
                == (libc::SOL_NETLINK, libc::NETLINK_LISTEN_ALL_NSID) =>
        {
            control.data_bytes.first_chunk().copied().map(i32::from_ne_bytes)
        }
        _ => None,
    });
    let by_kernel = message.address.is_some_and(|address| address.pid() == 0);
    Ok(by_kernel.then_some((message.bytes, id)))
}

/// What is known of the interfaces of a namespace, by their indexes.
#[derive(Debug, Default)]
struct Links(BTreeMap<u32, Link>);

/// What a change of an interface is told by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Link {
    name: String,
    alternative: BTreeSet<String>,
    up: bool,
    mtu: u32,
    /// The index of the interface below it, or of a veth's other end.
    link: Option<u32>,
}

impl Links {
    /// Those of the namespace with this id in the numbering of the calling thread's namespace; none is that itself.
    fn of(id: Option<i32>) -> Result<Self> {
        // Asked to leave something out, the kernel measures all interfaces of the calling thread's namespace first
        // (`rtnl_calcit`), which may be many more than the other has.
        let which = id.map_or_else(without_statistics, |id| {
            LinkAttribute::Other(DefaultNla::new(IFLA_TARGET_NETNSID, id.to_ne_bytes().to_vec()))
        });
        let request = link_message(0, vec![which]);
        let answers = socket::dump("list the network interfaces", &RouteNetlinkMessage::GetLink(request))?;
        let mut links = Links::default();
        for answer in answers {
            links.take(true, &answer);
        }
        Ok(links)
    }

    /// Takes a message that an interface is there, or that it is gone: all names that it had and has, if that changes
    /// what is known.
    fn take(&mut self, there: bool, payload: &[u8]) -> BTreeSet<String> {
        let Some((index, header, attributes)) = split(payload) else { return BTreeSet::new() };
        let before = self.0.remove(&index);
        let after = Link::read(header, attributes).or_else(|| before.clone()).filter(|_| there);
        self.0.extend(after.clone().map(|after| (index, after)));
        if before == after {
            return BTreeSet::new();
        }
        let names = |link: Link| link.alternative.into_iter().chain([link.name]);
        before.into_iter().chain(after).flat_map(names).collect()
    }
}

impl Link {
    /// What a message says; none where it says something else, as the short ones of wireless drivers do.
    fn read(header: [u8; HEADER], attributes: Attributes<'_>) -> Option<Self> {
        let alternative = attributes.nested(IFLA_PROP_LIST).map(|list| list.texts(IFLA_ALT_IFNAME).collect());
        let flags = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        Some(Link {
            name: attributes.text(IFLA_IFNAME)?,
            alternative: alternative.unwrap_or_default(),
            up: flags & libc::IFF_UP as u32 != 0,
            mtu: attributes.u32(IFLA_MTU)?,
            link: attributes.u32(IFLA_LINK),
        })
    }
}

/// The index, the header (`struct ifinfomsg`) and the attributes of a message about a link; none where it is about a
/// bridge's port, which other families tell.
fn split(payload: &[u8]) -> Option<(u32, [u8; HEADER], Attributes<'_>)> {
    let (header, attributes) = payload.split_first_chunk::<HEADER>()?;
    let index = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    (i32::from(header[0]) == libc::AF_UNSPEC).then(|| (index, *header, Attributes::new(attributes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::tests::attribute;

    fn message(family: u8, index: u32, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![family, 0, 0, 0];
        for number in [index, flags, 0xFFFF_FFFF] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(attributes.concat());
        bytes
    }

    fn named(name: &str, mtu: u32) -> Vec<Vec<u8>> {
        vec![attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()), attribute(IFLA_MTU, &mtu.to_ne_bytes())]
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_is_told_when_it_comes_changes_and_goes() {
        let mut links = Links::default();
        let mut take = |there, bytes: &[u8]| links.take(there, bytes);
        let eth0 = message(0, 2, 0, &named("eth0", 1500));
        assert_eq!(take(true, &eth0), names(&["eth0"]));
        assert_eq!(take(true, &message(0, 2, 1, &named("eth0", 1500))), names(&["eth0"]));
        assert_eq!(take(true, &message(0, 2, 1, &named("eth0", 9000))), names(&["eth0"]));
        assert_eq!(take(true, &message(0, 2, 1, &named("wan", 9000))), names(&["eth0", "wan"]));
        let list = attribute(IFLA_PROP_LIST | 1 << 15, &attribute(IFLA_ALT_IFNAME, b"uplink\0"));
        let alternative = message(0, 2, 1, &[named("wan", 9000), vec![list]].concat());
        assert_eq!(take(true, &alternative), names(&["uplink", "wan"]));
        assert_eq!(take(false, &alternative), names(&["uplink", "wan"]));
        assert_eq!(take(false, &alternative), names(&[]));
    }

    #[test]
    fn what_says_nothing_new_is_no_change() {
        let mut links = Links::default();
        let eth0 = |more: Vec<u8>| message(0, 2, 1, &[named("eth0", 1500), vec![more]].concat());
        links.take(true, &eth0(Vec::new()));
        // A program (IFLA_XDP), a carrier (IFLA_CARRIER; IFF_RUNNING), a bridge's word, a wireless driver's.
        assert_eq!(links.take(true, &eth0(attribute(43 | 1 << 15, &attribute(2, &[1])))), names(&[]));
        assert_eq!(links.take(true, &eth0(attribute(33, &[1]))), names(&[]));
        assert_eq!(links.take(true, &message(0, 2, 0x41, &named("eth0", 1500))), names(&[]));
        let family = libc::AF_BRIDGE as u8;
        assert_eq!(links.take(false, &message(family, 2, 1, &named("eth0", 1500))), names(&[]));
        assert_eq!(links.take(true, &message(0, 2, 0, &[attribute(11, &[0; 8])])), names(&[]));
        assert_eq!(links.take(false, &message(0, 2, 1, &named("eth0", 1500))), names(&["eth0"]));
    }

    #[test]
    fn cut_messages_are_survived() {
        let whole = message(0, 2, 1, &named("eth0", 1500));
        for end in 0..whole.len() {
            assert_eq!(Links::default().take(true, &whole[..end]), names(&[]), "{end}");
        }
    }
}
