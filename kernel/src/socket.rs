//! One request to the kernel over `NETLINK_ROUTE`, and its answers (RFC 3549, `net/netlink/af_netlink.c`).
//!
//! Each request has a socket of its own: opening one costs microseconds, and no answer of an earlier
//! request can be taken for one of this. The socket belongs to the calling thread's network namespace.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_GENERIC, NETLINK_ROUTE},
};
use nix::{errno::Errno, libc};
use xdpilot_core::error::{Error, Kind, Result};

use crate::attributes::Attributes;

/// The kernel fills at most 32 KiB per datagram of a dump; a single answer is smaller than that.
const BUFFER: usize = 64 << 10;
/// `NLMSG_ERROR`, which with code 0 is the acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`, the end of a dump.
const DONE: u16 = 3;
/// `NLMSGERR_ATTR_MSG`, the text in an extended acknowledgement.
const EXTACK_TEXT: u16 = 1;
/// The sequence number of the one request that a socket of ours sends.
const SEQUENCE: u32 = 1;
/// How often a dump is begun anew when the list changed while it was read.
const DUMP_ATTEMPTS: u32 = 16;

/// What the kernel said instead of "done".
struct Refusal {
    errno: i32,
    /// The extended acknowledgement's text, else the errno's.
    words: String,
}

impl Refusal {
    fn io(error: &io::Error) -> Self {
        Refusal { errno: error.raw_os_error().unwrap_or(libc::EIO), words: error.to_string() }
    }

    fn errno(errno: Errno) -> Self {
        Refusal { errno: errno as i32, words: errno.desc().to_string() }
    }

    /// The error for a person; `what` names the action and its object.
    fn error(self, what: &str) -> Error {
        let error = Error::failed(what).kernel(self.words).errno(self.errno);
        match self.errno {
            libc::EPERM | libc::EACCES => {
                error.of_kind(Kind::NotPermitted).mend("run it as root, or with CAP_NET_ADMIN")
            }
            _ => error,
        }
    }
}

/// Sends a request that changes something and waits for the acknowledgement. `flags` are further
/// `NLM_F_*` bits; `what` names the action and its object for the error.
pub(crate) fn change(what: &str, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
    exchange(message, NLM_F_ACK | flags).map(drop).map_err(|refusal| refusal.error(what))
}

/// Asks for one object; the payload of the answer.
pub(crate) fn get(what: &str, message: RouteNetlinkMessage) -> Result<Vec<u8>> {
    let answers = exchange(message, NLM_F_ACK).map_err(|refusal| refusal.error(what))?;
    answers.into_iter().next().ok_or_else(|| Error::failed(what).cause("the kernel acknowledged but did not answer"))
}

/// A generic netlink request: the family's number and the whole payload, header and attributes
/// (`struct genlmsghdr`, `include/uapi/linux/genetlink.h`).
#[derive(Clone, Debug)]
pub(crate) struct Generic {
    pub(crate) family: u16,
    pub(crate) payload: Vec<u8>,
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

/// Asks a generic netlink family for one object; the payload of the answer.
pub(crate) fn get_generic(what: &str, message: Generic) -> Result<Vec<u8>> {
    let message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
    let answers = exchange_on(NETLINK_GENERIC, message, NLM_F_ACK).map_err(|refusal| refusal.error(what))?;
    answers.into_iter().next().ok_or_else(|| Error::failed(what).cause("the kernel acknowledged but did not answer"))
}

/// Asks for all objects; the payloads of the answers. A list that changes while it is read is read again.
pub(crate) fn dump(what: &str, message: &RouteNetlinkMessage) -> Result<Vec<Vec<u8>>> {
    for _ in 1..DUMP_ATTEMPTS {
        match exchange(message.clone(), NLM_F_DUMP) {
            Err(refusal) if refusal.errno == libc::EINTR => {}
            answer => return answer.map_err(|refusal| refusal.error(what)),
        }
    }
    exchange(message.clone(), NLM_F_DUMP).map_err(|refusal| refusal.error(what))
}

/// Sends the message and collects the payloads of all answers until the kernel says that it is done.
fn exchange(message: RouteNetlinkMessage, flags: u16) -> std::result::Result<Vec<Vec<u8>>, Refusal> {
    exchange_on(NETLINK_ROUTE, message.into(), flags)
}

fn exchange_on<T: NetlinkSerializable>(
    protocol: isize,
    mut message: NetlinkMessage<T>,
    flags: u16,
) -> std::result::Result<Vec<Vec<u8>>, Refusal> {
    let socket = Socket::new(protocol).map_err(|error| Refusal::io(&error))?;
    socket.set_ext_ack(true).map_err(|error| Refusal::io(&error))?;
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = SEQUENCE;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    retry(|| socket.send_to(&bytes, &SocketAddr::new(0, 0), 0))?;

    let (mut answers, mut datagram) = (Vec::new(), Vec::with_capacity(BUFFER));
    loop {
        receive(&socket, &mut datagram)?;
        if collect(&datagram, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// The next datagram that the kernel (port 0), and nobody else, sent.
fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> std::result::Result<(), Refusal> {
    loop {
        buffer.clear();
        let (length, sender) = retry(|| socket.recv_from(buffer, libc::MSG_TRUNC))?;
        if length > buffer.len() {
            return Err(Refusal::errno(Errno::EMSGSIZE));
        }
        if sender.port_number() == 0 {
            return Ok(());
        }
    }
}

/// Repeats what a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> std::result::Result<T, Refusal> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(|error| Refusal::io(&error)),
        }
    }
}

/// Takes the messages of one datagram; true when the last one ends the exchange.
fn collect(datagram: &[u8], answers: &mut Vec<Vec<u8>>) -> std::result::Result<bool, Refusal> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest).map_err(|_| Refusal::errno(Errno::EBADMSG))?;
        let next = (message.length() as usize).next_multiple_of(4).min(rest.len());
        rest = &rest[next..];
        if message.sequence_number() != SEQUENCE {
            continue;
        }
        if message.flags() & NLM_F_DUMP_INTR != 0 {
            return Err(Refusal::errno(Errno::EINTR));
        }
        match message.message_type() {
            ERROR | DONE => return verdict(message.message_type(), message.flags(), message.payload()).map(|()| true),
            _ => answers.push(message.payload().to_vec()),
        }
    }
    Ok(false)
}

/// Reads an `NLMSG_ERROR` or `NLMSG_DONE`: a code, then (in errors) the header of the request with or
/// without its payload, then the extended acknowledgement's attributes.
fn verdict(kind: u16, flags: u16, payload: &[u8]) -> std::result::Result<(), Refusal> {
    let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    if code == 0 {
        return Ok(());
    }
    let errno = code.saturating_neg();
    let echoed = match kind {
        DONE => 0,
        _ if flags & NLM_F_CAPPED != 0 => 16,
        _ => payload.get(4..8).and_then(|length| length.try_into().ok()).map_or(16, u32::from_ne_bytes) as usize,
    };
    let start = 4_usize.saturating_add(echoed).saturating_add(3) & !3;
    let extack = payload.get(start..).filter(|_| flags & NLM_F_ACK_TLVS != 0).unwrap_or_default();
    let words = Attributes::new(extack).text(EXTACK_TEXT).filter(|text| !text.is_empty());
    Err(Refusal { errno, words: words.unwrap_or_else(|| Errno::from_raw(errno).desc().to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `NLMSG_ERROR` of -EBUSY whose extack says "taken", with `echoed` bytes of the request.
    fn refusal(flags: u16, echoed: usize) -> Vec<u8> {
        let mut payload = (-libc::EBUSY).to_ne_bytes().to_vec();
        payload.extend((echoed as u32).to_ne_bytes());
        payload.resize(4 + echoed, 0xEE);
        payload.extend([10, 0, 1, 0]);
        payload.extend(b"taken\0\0\0");
        let mut message = ((payload.len() + 16) as u32).to_ne_bytes().to_vec();
        message.extend(ERROR.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(SEQUENCE.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(payload);
        message
    }

    fn words(datagram: &[u8]) -> String {
        collect(datagram, &mut Vec::new()).map(|_| String::new()).unwrap_or_else(|refusal| refusal.words)
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn finds_the_extack_behind_the_echo() {
        assert_eq!(words(&refusal(NLM_F_ACK_TLVS, 44)), "taken");
        assert_eq!(words(&refusal(NLM_F_ACK_TLVS | NLM_F_CAPPED, 16)), "taken");
        assert_eq!(words(&refusal(0, 16)), Errno::EBUSY.desc());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn cut_datagrams_never_panic() {
        let whole = refusal(NLM_F_ACK_TLVS, 44);
        for end in 0..whole.len() {
            let _ = words(&whole[..end]);
            let mut lying = whole[..end].to_vec();
            if let Some(length) = lying.get_mut(20..24) {
                length.fill(0xFF);
            }
            let _ = words(&lying);
        }
    }
}
