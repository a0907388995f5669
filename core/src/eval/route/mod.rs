//! `route`: to which backend a packet goes, and what it is then.

mod carry;
mod connection;
mod encapsulate;
mod error;
mod icmp;
mod offload;
mod quic;
mod translate;

pub use carry::carry;
use connection::{Connection, Kind};
use translate::Record;

use crate::packet::{Ip, layers};
use crate::policy::{HashBy, Method, Pool};
use crate::route::flows::{self, Line, Slot};
use crate::route::layout::{Hop, flags};
use crate::route::{Backend, Ring, State, hash, ring_of, rings, sessions, translates};

/// What became of a packet that was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The number of its backend; none where it got none.
    pub backend: Option<u16>,
    /// Its fate.
    pub fate: Fate,
}

/// What happens to a packet that was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent by this interface; 0 is the one where it came in.
    Send(u32),
    /// It is left to the kernel's stack: as it is, or as it has become.
    Pass,
    /// It is dropped.
    Drop,
}

/// Pools at work.
#[derive(Clone, Debug)]
pub struct Router<'a> {
    pools: &'a [Pool],
    rings: Vec<Ring>,
    /// By number of the ring.
    slots: Vec<Vec<u16>>,
    lines: Vec<Line>,
    /// What is remembered of translated connections, by index of their slot.
    records: Vec<Option<Record>>,
    replies: Vec<Line>,
    /// The next hop to all clients; none where the kernel knows none.
    pub clients: Option<Hop>,
    /// Whether packets may come from senders on this machine that leave checksums to their device: they are computed
    /// before such a packet is sent.
    pub offloads: bool,
    /// The backends; whoever changes them calls [`Router::turn`].
    pub state: State,
    /// Packets, bytes and connections by number of the backend.
    pub traffic: Vec<[u64; 3]>,
}

/// A packet on its way.
struct Packet<'p> {
    bytes: &'p mut Vec<u8>,
    ip: Ip,
    /// Length of the IP packet, as it says itself; all of it is there.
    total: usize,
    connection: Connection,
    /// Its checksum is still to be computed.
    partial: bool,
}

impl<'a> Router<'a> {
    /// The pools before their first packet. Backends without an address of their own have none; all are reached by the
    /// interface where the packet came in.
    pub fn new(pools: &'a [Pool]) -> Self {
        let mut state = State::new(pools, |_| None);
        let lines = if pools.is_empty() { 0 } else { flows::lines(sessions(pools)) as usize };
        state.members.iter_mut().flatten().for_each(|member| member.backend.hop = Some(Hop::default()));
        let translated = if translates(pools) { lines } else { 0 };
        let mut router = Router {
            pools,
            rings: rings(pools),
            slots: Vec::new(),
            lines: vec![Line::default(); lines],
            records: vec![None; translated * flows::SLOTS],
            replies: vec![Line::default(); translated],
            clients: Some(Hop::default()),
            offloads: true,
            traffic: vec![[0; 3]; state.members.len()],
            state,
        };
        router.turn();
        router
    }

    /// Makes the rings anew.
    pub fn turn(&mut self) {
        self.slots = self.rings.iter().map(|ring| self.state.ring(ring)).collect();
        self.traffic.resize(self.state.members.len(), [0; 3]);
    }

    /// The table of connections.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The table of replies.
    pub fn replies(&self) -> &[Line] {
        &self.replies
    }

    /// Routes a packet; `now` is in nanoseconds.
    pub(super) fn route(&mut self, pool: usize, bytes: &mut Vec<u8>, now: u64) -> Routed {
        let none = |fate| Routed { backend: None, fate };
        let Some(pool_of) = self.pools.get(pool) else { return none(Fate::Drop) };
        let Some((ip, total)) = whole(bytes) else { return none(Fate::Pass) };
        let mut connection = match connection::of(bytes, &ip, total) {
            Kind::Connection(connection) => connection,
            Kind::Echo => return none(icmp::answer(bytes, &ip)),
            Kind::Other => return none(Fate::Pass),
        };
        let (pool, length) = (pool as u16, bytes.len() as u64);
        let translates = pool_of.method.translates();
        if translates && !translate::is_translated(bytes, &ip, &connection) {
            return none(Fate::Pass);
        }
        if pool_of.hash == HashBy::Quic {
            connection.named = self.named(pool, &connection);
        }
        let (number, new, record) = if translates {
            match self.translated(pool, &connection, now) {
                Ok((record, new)) => (record.backend(), new, Some(record)),
                Err(fate) => return none(fate),
            }
        } else {
            match self.choose(pool, pool_of.hash, &connection, now) {
                Some((number, new)) => (number, new, None),
                None => return none(Fate::Drop),
            }
        };
        let Some(backend) = self.backend(number) else { return none(Fate::Drop) };
        let hash = connection.hash(pool);
        let partial = self.is_partial(bytes, &ip, total, &connection);
        let mut packet = Packet { bytes, ip, total, connection, partial };
        let (fate, sent) = send(pool_of, &backend, &mut packet, record.as_ref(), hash);
        if sent {
            let traffic = &mut self.traffic[usize::from(number)];
            traffic[0] += 1;
            traffic[1] += length;
        }
        self.traffic[usize::from(number)][2] += u64::from(new);
        Routed { backend: Some(number), fate }
    }

    fn is_partial(&self, bytes: &[u8], ip: &Ip, total: usize, connection: &Connection) -> bool {
        self.offloads && connection.ported && connection.refreshes && offload::is_partial(bytes, ip, total)
    }

    /// Ticks after which a pool forgets a connection.
    fn timeout(&self, pool: u16) -> u32 {
        self.pools[usize::from(pool)].timeout.min(0xffff)
    }

    /// Whether a backend still serves a pool's connection.
    fn serves(&self, number: u16, pool: u16, of: &Connection) -> bool {
        let is_named = of.named.is_none_or(|named| named == number);
        self.backend(number).is_some_and(|backend| {
            let leaves = of.begins && backend.flags & flags::DRAINS != 0;
            backend.pool == pool && backend.flags & flags::UP != 0 && !leaves && is_named
        })
    }

    /// The backend of a pool that a packet's connection id of QUIC names, where that can have the packet.
    fn named(&self, pool: u16, of: &Connection) -> Option<u16> {
        let (server, wraps) = (of.server?, self.pools[usize::from(pool)].method.wraps());
        let is_it = |backend: &Backend| {
            let fits = wraps || backend.address.is_ipv6() == of.v6;
            backend.pool == pool && backend.id == Some(server) && backend.flags & flags::UP != 0 && fits
        };
        let found = self.state.members.iter().position(|member| member.as_ref().is_some_and(|one| is_it(&one.backend)));
        found.and_then(|number| u16::try_from(number).ok())
    }

    fn backend(&self, number: u16) -> Option<Backend> {
        Some(self.state.members.get(usize::from(number))?.as_ref()?.backend)
    }

    /// The backend of a connection, and whether that is new.
    fn choose(&mut self, pool: u16, by: HashBy, connection: &Connection, now: u64) -> Option<(u16, bool)> {
        let (hash, tick) = (connection.hash(pool), flows::tick(now));
        let line = flows::line(hash, self.lines.len() as u32) as usize;
        let known = flows::find(&self.lines[line], hash);
        if let Some(at) = known {
            let slot = self.lines[line][at];
            if slot.age(tick) <= self.timeout(pool) && self.serves(slot.backend(), pool, connection) {
                if connection.refreshes {
                    self.lines[line][at] = slot.seen(tick, connection.begins, connection.ends);
                }
                return Some((slot.backend(), false));
            }
        }
        let place = match by {
            HashBy::Src => connection.hash_of_source(pool),
            HashBy::Tuple | HashBy::Quic => hash,
        };
        let number = connection.named.or_else(|| self.by_ring(pool, connection, place))?;
        if connection.remembered || known.is_some() && connection.refreshes {
            let at = known.unwrap_or_else(|| flows::oldest(&self.lines[line], tick));
            self.lines[line][at] = Slot::new(hash, number, tick);
            return Some((number, true));
        }
        Some((number, false))
    }

    /// The backend at a connection's place in its ring.
    fn by_ring(&self, pool: u16, of: &Connection, place: u64) -> Option<u16> {
        let ring = ring_of(&self.rings, pool, of.v6)?;
        Some(self.slots[usize::from(ring)][hash::slot(place)]).filter(|number| *number != 0)
    }
}

impl Packet<'_> {
    /// Before it is sent.
    fn complete(&mut self) {
        if self.partial {
            offload::complete(self.bytes, &self.ip, self.total);
        }
    }

    /// Before it is left to the kernel's stack, with other addresses.
    fn leave(&mut self) {
        if self.partial {
            offload::leave(self.bytes, &self.ip, self.total);
        }
    }
}

/// The IP header and the length of the packet that it begins; none where not all of it is there.
fn whole(bytes: &[u8]) -> Option<(Ip, usize)> {
    let ip = layers(bytes).ip.filter(|ip| ip.protocol.is_some())?;
    let word = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let total = if ip.v6 { word(ip.at + 4) + 40 } else { word(ip.at + 2) };
    let header = if ip.v6 { 40 } else { usize::from(bytes[ip.at] & 0xf) * 4 };
    (total >= header && ip.at + total <= bytes.len()).then_some((ip, total))
}

/// Sends a packet to a backend; its fate, and whether it goes there.
fn send(pool: &Pool, backend: &Backend, packet: &mut Packet<'_>, record: Option<&Record>, hash: u64) -> (Fate, bool) {
    let Some(hop) = backend.hop else {
        return (unreachable(backend, packet, record), false);
    };
    let overhead = encapsulate::overhead(&pool.method, backend);
    if packet.total + overhead > hop.mtu as usize {
        return (icmp::too_big(packet, hop.mtu.wrapping_sub(overhead as u32)), false);
    }
    record.iter().for_each(|record| translate::forward(packet, record, backend, true));
    packet.complete();
    match &pool.method {
        Method::Ipip(_) => encapsulate::ipip(packet, backend, hash),
        Method::Gue { port, .. } => encapsulate::gue(packet, backend, *port, hash),
        Method::L2 | Method::Nat | Method::FullNat(_) => {}
    }
    address(packet.bytes, &hop);
    (Fate::Send(hop.ifindex), true)
}

/// The kernel knows no next hop, or it is the kernel itself: its stack gets what was translated.
fn unreachable(backend: &Backend, packet: &mut Packet<'_>, record: Option<&Record>) -> Fate {
    let Some(record) = record else { return Fate::Drop };
    translate::forward(packet, record, backend, false);
    packet.leave();
    Fate::Pass
}

/// Addresses the frame to the next hop.
fn address(bytes: &mut [u8], hop: &Hop) {
    bytes[..6].copy_from_slice(&hop.destination);
    bytes[6..12].copy_from_slice(&hop.source);
}
