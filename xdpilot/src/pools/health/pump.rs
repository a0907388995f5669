//! Carries the packets of checks to their backends, and the answers back.

use std::collections::HashMap;
use std::io::{PipeWriter, pipe};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xdpilot_core::emit::answers;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::eval;
use xdpilot_core::packet::ethertype;
use xdpilot_core::route::Backend;
use xdpilot_core::rules::Rules;
use xdpilot_kernel::frames::Sender;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::perf_buffer::PerfBuffer;
use xdpilot_kernel::tun::Tun;
use xdpilot_kernel::watch::readable;

/// Bytes of the Ethernet header, and of its addresses.
const ETHERNET: usize = 14;
const ADDRESSES: usize = 12;
/// So long a connection that has ended is still known: packets of it may be on their way.
const AFTER: Duration = Duration::from_secs(1);

/// The connections of checks, by who asks and who is asked.
#[derive(Debug)]
pub(super) struct Table {
    known: Mutex<HashMap<(SocketAddr, SocketAddr), Known>>,
    /// The same for the program that takes answers out.
    checks: Map,
}

#[derive(Debug)]
struct Known {
    pool: u16,
    /// With its next hop.
    backend: Backend,
    ended: Option<Instant>,
}

impl Table {
    pub(super) fn new(checks: Map) -> Self {
        Table { known: Mutex::default(), checks }
    }

    /// From now on packets of this connection go to a backend of a pool, and its answers come back.
    pub(super) fn begin(&self, asks: SocketAddr, asked: SocketAddr, pool: u16, backend: Backend) -> Result<()> {
        let mut known = self.known();
        let is_over = |one: &Known| one.ended.is_some_and(|ended| ended.elapsed() > AFTER);
        for ((asks, asked), _) in known.extract_if(|_, one| is_over(one)) {
            self.checks.delete(&answers::key(asked, asks))?;
        }
        self.checks.update(&answers::key(asked, asks), &[0; 4])?;
        known.insert((asks, asked), Known { pool, backend, ended: None });
        Ok(())
    }

    /// It has ended.
    pub(super) fn end(&self, asks: SocketAddr, asked: SocketAddr) {
        if let Some(one) = self.known().get_mut(&(asks, asked)) {
            one.ended = Some(Instant::now());
        }
    }

    fn backend(&self, packet: &[u8]) -> Option<(u16, Backend)> {
        let ends = answers::ends(packet)?;
        self.known().get(&ends).map(|one| (one.pool, one.backend))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(SocketAddr, SocketAddr), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that carries, until this is dropped.
#[derive(Debug)]
pub(super) struct Pump {
    /// Its other end is readable when this one is closed.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Begins to carry: what connections send by `tun` by `sender`, and what was `taken` back.
    pub(super) fn start(
        rules: &Arc<Rules>,
        table: &Arc<Table>,
        tun: Tun,
        sender: Sender,
        mut taken: PerfBuffer,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| Error::failed("begin to carry checks").kernel(error.to_string());
        let (end, stop) = pipe().map_err(failed)?;
        let (rules, table) = (Arc::clone(rules), Arc::clone(table));
        let run = move || {
            while let Ok(ready) = readable(&[end.as_fd(), tun.as_fd(), taken.as_fd()])
                && !ready[0]
            {
                while let Some(packet) = tun.read() {
                    // What cannot be sent is lost, as it would be for clients: the check says so.
                    if let Some((interface, frame)) = frame(&rules, &table, &packet) {
                        _ = sender.send(interface, &frame);
                    }
                }
                for frame in taken.take().map(|taken| taken.records).unwrap_or_default() {
                    if let Some(packet) = packet(&frame) {
                        tun.write(packet);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("checks".into()).spawn(run).map_err(failed)?;
        Ok(Pump { stop: Some(stop), thread: Some(thread) })
    }
}

impl Pump {
    /// Whether it carries: it ends where the kernel does not let it wait any more.
    pub(super) fn works(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop = None;
        _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the backend of a packet's connection gets, and the interface that sends it; none where nobody knows it.
fn frame(rules: &Rules, table: &Table, packet: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (pool, backend) = table.backend(packet)?;
    let kind = if packet.first()? >> 4 == 6 { ethertype::IPV6 } else { ethertype::IPV4 };
    let mut frame = [&[0; ADDRESSES], &kind.to_be_bytes()[..], packet].concat();
    let interface = eval::carry(rules.pools.get(usize::from(pool))?, pool, &backend, &mut frame)?;
    Some((interface, frame))
}

/// The IP packet in a frame, without what stands behind it.
fn packet(frame: &[u8]) -> Option<&[u8]> {
    let packet = frame.get(ETHERNET..)?;
    let word = |at: usize| Some(usize::from(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?])));
    let length = if packet.first()? >> 4 == 6 { word(4)? + 40 } else { word(2)? };
    packet.get(..length)
}
