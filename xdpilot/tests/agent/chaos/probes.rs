//! Packets that no half of a change lets through.
//!
//! Each is tested against two things that change together: a packet that meets both as they were before, or both as
//! they are now, passes; one that meets one of each is dropped. One more is always dropped, so that nothing passes just
//! because no program stands there.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xdpilot_kernel::namespace::Namespace;

use crate::world::{Host, run};

/// The ports of probes, each with its own rules.
pub(super) const PORTS: [u16; 5] = [9001, 9002, 9003, 9004, 9005];
/// The port of what is always dropped.
pub(super) const DROPPED: u16 = 9009;
/// The addresses of sender and host.
pub(super) const FROM: &str = "10.9.0.1";
pub(super) const TO: &str = "10.9.0.2";
/// So long a packet may be on its way, on a machine that does much else.
const WAY: Duration = Duration::from_millis(500);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(2);

/// Probes of all hosts, until the end.
pub(super) struct Probes {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    end: AtomicBool,
    sent: AtomicU64,
    /// What was not as it should be.
    wrong: Mutex<Vec<String>>,
}

impl Probes {
    /// Begins; the policy has to stand already.
    pub(super) fn begin(hosts: &[Host]) -> Self {
        let shared = Arc::new(Shared::default());
        let probe = |host: &Host| {
            let (shared, line) = (shared.clone(), Line::new(host));
            thread::spawn(move || line.probe(&shared))
        };
        let threads = hosts.iter().map(probe).collect();
        Probes { shared, threads }
    }

    /// All was as it should be until now.
    pub(super) fn check(&self) {
        let wrong = self.shared.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "packets met a half of a change ({} times):\n{}", wrong.len(), wrong.join("\n"));
        assert!(self.threads.iter().all(|thread| !thread.is_finished()));
    }

    /// Ends; how many packets were as they should be.
    pub(super) fn end(self) -> u64 {
        self.check();
        self.shared.end.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.shared.sent.load(Ordering::Relaxed)
    }
}

/// From the peer of a host to the host.
struct Line {
    host: String,
    sender: UdpSocket,
    receivers: Vec<(u16, UdpSocket)>,
}

impl Line {
    fn new(host: &Host) -> Self {
        let peer = format!("{}p", host.name);
        // No probe is lost while an address is asked for.
        let shown = run(&format!("ip -n {} -br link show e0", host.name));
        let address = shown.split_whitespace().nth(2).unwrap();
        run(&format!("ip -n {peer} neighbour replace {TO} lladdr {address} dev p0 nud permanent"));
        let bind = |namespace: &str, address: String| {
            let bound = Namespace::named(namespace).unwrap().run(|| Ok(UdpSocket::bind(address)));
            bound.unwrap().unwrap()
        };
        let receivers = PORTS.into_iter().chain([DROPPED]).map(|port| {
            let receiver = bind(&host.name, format!("{TO}:{port}"));
            receiver.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            (port, receiver)
        });
        Line { host: host.name.clone(), receivers: receivers.collect(), sender: bind(&peer, format!("{FROM}:0")) }
    }

    fn probe(self, shared: &Shared) {
        let begun = Instant::now();
        let mut number = 0u64;
        while !shared.end.load(Ordering::Relaxed) {
            number += 1;
            // What is dropped is sent first: it would arrive before the others.
            for port in [DROPPED].into_iter().chain(PORTS) {
                self.sender.send_to(&number.to_be_bytes(), (TO, port)).unwrap();
            }
            for (port, receiver) in &self.receivers {
                let wanted = *port != DROPPED;
                let arrives = if wanted { await_number(receiver, number) } else { any(receiver) };
                if arrives != wanted {
                    let what = if wanted { "is dropped" } else { "passes" };
                    let wrong = format!("{} after {:?}: what goes to port {port} {what}", self.host, begun.elapsed());
                    shared.wrong.lock().unwrap().push(wrong);
                }
            }
            shared.sent.fetch_add(1 + PORTS.len() as u64, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
    }
}

/// Whether the packet of this number arrives; earlier ones are passed over.
fn await_number(receiver: &UdpSocket, number: u64) -> bool {
    let end = Instant::now() + WAY;
    let mut bytes = [0; 8];
    while Instant::now() < end {
        match receiver.recv(&mut bytes) {
            Ok(_) if u64::from_be_bytes(bytes) == number => return true,
            Ok(_) => {}
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
    }
    false
}

/// Whether anything has arrived.
fn any(receiver: &UdpSocket) -> bool {
    receiver.set_nonblocking(true).unwrap();
    receiver.recv(&mut [0; 8]).is_ok()
}
