//! The far end of IP in IP and GUE, by this process: xdpilot's `decap` is not judged by itself, nor has every kernel tunnels.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, recv, sendto, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::net::Net;

const IPV4: usize = 20;
const UDP: usize = 8;
const GUE_PORT: u16 = 6080;
/// How often it is looked whether it is to end, in milliseconds.
const TURN: i64 = 50;

/// The running end of a tunnel; it ends with this value.
pub(crate) struct Tunnel {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// Gives what arrives in this host in an IPv4 packet to its stack, without the outer headers.
    pub(crate) fn start(net: &Net) -> Tunnel {
        let open = |family, kind, protocol| {
            net.run(move || socket(family, kind, SockFlag::SOCK_CLOEXEC, Some(protocol)).unwrap())
        };
        let arriving = open(AddressFamily::Packet, SockType::Datagram, SockProtocol::EthAll);
        setsockopt(&arriving, sockopt::ReceiveTimeout, &TimeVal::milliseconds(TURN)).unwrap();
        let stack = [AddressFamily::Inet, AddressFamily::Inet6].map(|of| open(of, SockType::Raw, SockProtocol::Raw));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                // An error is the end of a turn.
                let Ok(count) = recv(arriving.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
                if let Some(inner) = inner(&buffer[..count]) {
                    deliver(inner, &stack);
                }
            }
        });
        Tunnel { stop, thread: Some(thread) }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What is in an outer packet that a kernel would take: its length and its header's checksum are right.
fn inner(packet: &[u8]) -> Option<&[u8]> {
    let header = packet.get(..IPV4).filter(|header| header[0] == 0x45)?;
    let packet = packet.get(..usize::from(word(header, 2)))?;
    if sum(header) != 0xffff {
        return None;
    }
    match header[9] {
        4 | 41 => packet.get(IPV4..),
        17 if word(packet.get(IPV4..IPV4 + UDP)?, 2) == GUE_PORT => packet.get(IPV4 + UDP..),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The sum of all words in ones' complement (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let sum: u32 = (0..bytes.len()).step_by(2).map(|at| u32::from(word(bytes, at))).sum();
    (sum & 0xffff) + (sum >> 16)
}

/// Sends a packet as it is to this host's own address that it is for; the stack judges its checksums.
fn deliver(packet: &[u8], [v4, v6]: &[OwnedFd; 2]) {
    let none = MsgFlags::empty();
    if packet[0] >> 4 == 4 {
        let to: [u8; 4] = packet[16..20].try_into().unwrap();
        let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::from(to), 0));
        sendto(v4.as_raw_fd(), packet, &to, none).unwrap();
    } else {
        let to: [u8; 16] = packet[24..40].try_into().unwrap();
        let to = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::from(to), 0, 0, 0));
        sendto(v6.as_raw_fd(), packet, &to, none).unwrap();
    }
}
