//! A DNS server that has one answer to everything, and a client that knows its own packets.
//!
//! The messages are those of RFC 1035, section 4, over UDP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a message's header.
const HEADER: usize = 12;
/// A datagram longer than this is cut: no question is that long.
const MESSAGE_LIMIT: usize = 1500;
/// How often a waiting server looks whether it is to stop.
const TURN: Duration = Duration::from_millis(50);

/// The first byte of the flags: this is a response, the kind of query, recursion desired.
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const AUTHORITATIVE: u8 = 0x04;
const RECURSION_DESIRED: u8 = 0x01;
/// Response codes.
const FORMAT_ERROR: u8 = 1;
const NOT_IMPLEMENTED: u8 = 4;
/// QTYPE A and QCLASS IN, as they follow the name in a question.
const TYPE_A_CLASS_IN: [u8; 4] = [0, 1, 0, 1];

/// A running DNS server; dropping it stops it.
pub(super) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Answers every A query on this socket with `address`, in a thread of its own.
    ///
    /// Errors: the socket takes no timeout, the thread cannot be started.
    pub(super) fn start(socket: UdpSocket, address: Ipv4Addr) -> io::Result<Server> {
        socket.set_read_timeout(Some(TURN))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("dns".into()).spawn(move || {
            let mut buffer = [0; MESSAGE_LIMIT];
            while !stopped.load(Ordering::Relaxed) {
                // An error is the end of a turn, or an ICMP error about an earlier answer: both pass.
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some(answer) = respond(&buffer[..length], address) {
                    // Who does not get it asks again.
                    let _ = socket.send_to(&answer, from);
                }
            }
        })?;
        Ok(Server { stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The response to a message; `None` for what is no query: two servers must not talk for ever.
fn respond(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let header = query.get(..HEADER)?;
    if header[2] & RESPONSE != 0 {
        return None;
    }
    let flags = RESPONSE | AUTHORITATIVE | header[2] & (OPCODE | RECURSION_DESIRED);
    let refused = |code| Some(vec![header[0], header[1], flags, code, 0, 0, 0, 0, 0, 0, 0, 0]);
    if header[2] & OPCODE != 0 {
        return refused(NOT_IMPLEMENTED);
    }
    let Some(question) = question(query) else { return refused(FORMAT_ERROR) };
    let known = question.ends_with(&TYPE_A_CLASS_IN);
    let mut answer = vec![header[0], header[1], flags, 0, 0, 1, 0, u8::from(known), 0, 0, 0, 0];
    answer.extend_from_slice(question);
    if known {
        // The name is a pointer to the question's.
        answer.extend_from_slice(&[0xc0, HEADER as u8]);
        answer.extend_from_slice(&TYPE_A_CLASS_IN);
        // To be remembered for 0 seconds; 4 bytes of address.
        answer.extend_from_slice(&[0, 0, 0, 0, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    Some(answer)
}

/// The only question of a message: name, type, class.
fn question(message: &[u8]) -> Option<&[u8]> {
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = HEADER;
    loop {
        match usize::from(*message.get(at)?) {
            0 => break,
            label @ 1..=63 => at += 1 + label,
            // A pointer or a reserved form: neither stands in a question.
            _ => return None,
        }
    }
    // A name has 255 bytes at most, the final zero among them.
    if at + 1 - HEADER > 255 {
        return None;
    }
    message.get(HEADER..at + 5)
}

/// What came back for a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The server's answer.
    Address(Ipv4Addr),
    /// The query itself, byte for byte.
    OwnQuery,
}

/// Asks this server for the A record of `name`; `id` marks the query.
///
/// Errors: nothing that belongs to the query came back within `timeout`.
pub(super) fn ask(server: SocketAddr, name: &str, id: u16, timeout: Duration) -> io::Result<Reply> {
    let deadline = Instant::now() + timeout;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    let query = query(name, id);
    socket.send(&query)?;
    let mut buffer = [0; MESSAGE_LIMIT];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut buffer)?;
        if let Some(reply) = understand(&query, &buffer[..length]) {
            return Ok(reply);
        }
    }
}

/// A query for the A record of a name.
fn query(name: &str, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut query = vec![high, low, RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        query.push(label.len() as u8);
        query.extend_from_slice(label);
    }
    query.push(0);
    query.extend_from_slice(&TYPE_A_CLASS_IN);
    query
}

/// What a message says about our query; `None` when it is about something else.
fn understand(query: &[u8], message: &[u8]) -> Option<Reply> {
    if message == query {
        return Some(Reply::OwnQuery);
    }
    let answers = message.get(..2)? == &query[..2] && message.get(2)? & RESPONSE != 0;
    // Our server writes one answer, right behind the question, and its address at the very end.
    let rest = message.get(query.len()..)?;
    let address: [u8; 4] = rest.get(12..16)?.try_into().ok()?;
    (answers && message.get(6..8)? == [0, 1] && rest[2..6] == TYPE_A_CLASS_IN).then(|| Reply::Address(address.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    #[test]
    fn a_query_is_answered_with_the_address() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let server = Server::start(socket, CAT).unwrap();
        assert_eq!(ask(address, "cat.example", 7, Duration::from_secs(5)).unwrap(), Reply::Address(CAT));
        drop(server);
        assert!(ask(address, "cat.example", 8, Duration::from_secs(5)).is_err());
        UdpSocket::bind(address).unwrap();
    }

    #[test]
    fn garbage_does_not_stop_the_server() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let _server = Server::start(socket, CAT).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for garbage in [&b""[..], b"x", &[0; 12], &[0xff; 1400], &[0; 9000]] {
            sender.send_to(garbage, address).unwrap();
        }
        assert_eq!(ask(address, "cat.example", 9, Duration::from_secs(5)).unwrap(), Reply::Address(CAT));
    }

    #[test]
    fn a_mirror_is_recognised() {
        let mirror = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = mirror.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let mut buffer = [0; MESSAGE_LIMIT];
            let (length, from) = mirror.recv_from(&mut buffer).unwrap();
            mirror.send_to(&buffer[..length], from).unwrap();
        });
        assert_eq!(ask(address, "cat.example", 1, Duration::from_secs(5)).unwrap(), Reply::OwnQuery);
        thread.join().unwrap();
    }

    #[test]
    fn silence_is_given_up_on_time() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let started = Instant::now();
        assert!(ask(silent.local_addr().unwrap(), "cat.example", 1, Duration::from_millis(100)).is_err());
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn what_is_no_plain_question_is_refused() {
        let good = query("cat.example", 1);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            respond(&bytes, CAT)
        };
        assert_eq!(changed(2, RESPONSE), None);
        assert_eq!(changed(2, 0x28).unwrap()[3], NOT_IMPLEMENTED);
        assert_eq!(changed(5, 2).unwrap()[3], FORMAT_ERROR);
        assert_eq!(changed(HEADER, 0xc0).unwrap()[3], FORMAT_ERROR);
        // AAAA: the name exists, the record does not.
        let aaaa = changed(good.len() - 3, 28).unwrap();
        assert_eq!((aaaa[3], aaaa[7], aaaa.len()), (0, 0, good.len()));
        let endless = [&good[..HEADER], &[1; 600][..], &[0, 0, 1, 0, 1]].concat();
        assert_eq!(respond(&endless, CAT).unwrap()[3], FORMAT_ERROR);
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_response_or_silence(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(answer) = respond(&bytes, CAT) {
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert!(answer[2] & RESPONSE != 0);
                prop_assert_eq!(respond(&answer, CAT), None);
            }
            understand(&query("cat.example", 1), &bytes);
        }

        #[test]
        fn any_name_is_answered(name in "[a-z]{1,63}(\\.[a-z]{1,20}){0,5}", id: u16) {
            let query = query(&name, id);
            let answer = respond(&query, CAT).unwrap();
            prop_assert_eq!(understand(&query, &answer), Some(Reply::Address(CAT)));
        }
    }
}
