//! Network address translation: connections are remembered with all that undoing needs.

use super::connection::Connection;
use super::error::Error;
use super::{Fate, Packet, Router, address, connection, icmp, whole};
use crate::eval::rewrite::{mend_transport, overwrite_in_header, set_ttl};
use crate::packet::Ip;
use crate::policy::{HashBy, Method};
use crate::route::flows::{self, Slot};
use crate::route::layout::octets;
use crate::route::replies::{self, MARK, TRIES};
use crate::route::{Backend, hash};

/// A translated connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    client: Vec<u8>,
    service: Vec<u8>,
    /// The client's, and the service's.
    ports: [u8; 4],
    protocol: u8,
    pool: u16,
    backend: u16,
    /// The port of what is sent to the backend, where it is not the client's.
    port: Option<u16>,
    timeout: u32,
    /// The index of its slot among the replies.
    reply: usize,
}

/// What a packet's addresses and ports become.
pub(super) struct Rewrite {
    source: Vec<u8>,
    destination: Vec<u8>,
    ports: [u8; 4],
}

impl Router<'_> {
    /// The record of a packet's connection, and whether it is new; a fate where there is none. An error makes none, and
    /// does not keep one known.
    pub(super) fn translated(&mut self, pool: u16, of: &Connection, now: u64) -> Result<(Record, bool), Fate> {
        let (hash, tick) = (of.hash(pool), flows::tick(now));
        let line = flows::line(hash, self.lines.len() as u32) as usize;
        let known = flows::find(&self.lines[line], hash);
        if let Some(at) = known {
            let slot = self.lines[line][at];
            let record = self.records[line * flows::SLOTS + at].as_ref().filter(|record| record.is(pool, of));
            let serves = slot.age(tick) <= self.timeout(pool) && self.serves(slot.backend(), pool, of);
            if let Some(record) = record.filter(|_| serves) {
                let record = record.clone();
                if of.refreshes {
                    self.lines[line][at] = slot.seen(tick, of.begins, of.ends);
                }
                return Ok((record, false));
            }
        }
        if !of.refreshes {
            return Err(Fate::Pass);
        }
        let at = known.unwrap_or_else(|| flows::oldest(&self.lines[line], tick));
        let record = self.establish(pool, of, line * flows::SLOTS + at, tick)?;
        self.lines[line][at] = Slot::new(hash, record.backend, tick);
        Ok((record, true))
    }

    /// Chooses a backend, and a port, so that replies can be told from all others'. The record is at `index`.
    fn establish(&mut self, pool: u16, of: &Connection, index: usize, tick: u16) -> Result<Record, Fate> {
        let Some(pool_of) = self.pools.get(usize::from(pool)) else { return Err(Fate::Drop) };
        let full = matches!(pool_of.method, Method::FullNat(_));
        let hash = of.hash(pool);
        let mut place = if pool_of.hash == HashBy::Src { of.hash_of_source(pool) } else { hash };
        let mut named = of.named;
        for attempt in 0..TRIES {
            let number = named.or_else(|| self.by_ring(pool, of, place)).ok_or(Fate::Drop)?;
            let backend = self.backend(number).ok_or(Fate::Drop)?;
            let port = full.then(|| replies::port(hash, attempt));
            let record = Record {
                client: of.source.clone(),
                service: of.destination.clone(),
                ports: of.ports,
                protocol: of.protocol,
                pool,
                backend: number,
                port,
                timeout: self.timeout(pool),
                reply: 0,
            };
            if let Some(reply) = self.reply_slot(&record, &backend, index, tick) {
                let record = Record { reply, ..record };
                self.records[index] = Some(record.clone());
                return Ok(record);
            }
            if !full {
                named = None;
                place = hash::step(place, u64::from(attempt) + 1);
            }
        }
        Err(Fate::Drop)
    }

    /// Takes a slot among the replies for a record; none where another connection's may be meant.
    fn reply_slot(&mut self, record: &Record, backend: &Backend, index: usize, tick: u16) -> Option<usize> {
        let hash = record.reply(backend).hash(MARK);
        let line = flows::line(hash, self.replies.len() as u32) as usize;
        let found = replies::find(&self.replies[line], hash);
        if let Some(at) = found {
            let slot = self.replies[line][at];
            let other = replies::record(slot.0)? as usize;
            let owner = self.records[other].as_ref().filter(|owner| owner.reply == line * flows::SLOTS + at);
            let age = slot.age(tick);
            if other != index && owner.is_some_and(|owner| age <= owner.timeout) {
                return None;
            }
        }
        let at = found.unwrap_or_else(|| flows::oldest(&self.replies[line], tick));
        self.replies[line][at] = Slot(replies::slot(hash, index as u32, tick));
        Some(line * flows::SLOTS + at)
    }

    /// The record whose reply a packet is.
    fn replied(&self, of: &Connection, tick: u16) -> Option<(usize, usize, Record, Backend)> {
        let hash = of.hash(MARK);
        let line = flows::line(hash, self.replies.len() as u32) as usize;
        let at = replies::find(&self.replies[line], hash)?;
        let slot = self.replies[line][at];
        let index = replies::record(slot.0)? as usize;
        let record = self.records.get(index)?.clone()?;
        let backend = self.backend(record.backend)?;
        let reply = line * flows::SLOTS + at;
        let age = slot.age(tick);
        let expected = record.reply(&backend);
        let is_its = record.reply == reply
            && age <= record.timeout
            && (&expected.source, &expected.destination, expected.ports, expected.protocol)
                == (&of.source, &of.destination, of.ports, of.protocol);
        is_its.then_some((reply, index, record, backend))
    }

    /// Undoes the translation of a reply, or of an error about a packet to a backend; none where the packet is neither.
    pub(in crate::eval) fn reply(&mut self, bytes: &mut Vec<u8>, now: u64) -> Option<Fate> {
        let (ip, total) = whole(bytes)?;
        let connection::Kind::Connection(of) = connection::of(bytes, &ip, total) else { return None };
        if self.records.is_empty() || !is_translated(bytes, &ip, &of) {
            return None;
        }
        let tick = flows::tick(now);
        let (reply, index, record, backend) = self.replied(&of, tick)?;
        if of.refreshes {
            self.seen(reply, index, tick, of.resets);
        }
        let partial = self.is_partial(bytes, &ip, total, &of);
        let mut packet = Packet { bytes, ip, total, connection: of, partial };
        let Some(hop) = self.clients else {
            back(&mut packet, &record, &backend, false);
            packet.leave();
            return Some(Fate::Pass);
        };
        if total > hop.mtu as usize {
            return Some(icmp::too_big(&mut packet, hop.mtu));
        }
        back(&mut packet, &record, &backend, true);
        packet.complete();
        address(packet.bytes, &hop);
        Some(Fate::Send(hop.ifindex))
    }

    /// A connection was seen by its reply, which breaks it off or not.
    fn seen(&mut self, reply: usize, index: usize, tick: u16, resets: bool) {
        let slot = &mut self.replies[reply / flows::SLOTS][reply % flows::SLOTS];
        *slot = Slot(slot.0 & !0xffff | u64::from(tick));
        let flow = &mut self.lines[index / flows::SLOTS][index % flows::SLOTS];
        *flow = flow.seen(tick, false, resets);
    }
}

impl Record {
    pub(super) fn backend(&self) -> u16 {
        self.backend
    }

    /// Whether it is this connection's.
    fn is(&self, pool: u16, of: &Connection) -> bool {
        (self.pool, &self.client, &self.service, self.ports, self.protocol)
            == (pool, &of.source, &of.destination, of.ports, of.protocol)
    }

    /// The connection as its replies show it.
    fn reply(&self, backend: &Backend) -> Connection {
        let rewrite = self.forward(backend);
        let [a, b, c, d] = rewrite.ports;
        let v6 = backend.address.is_ipv6();
        // A packet that comes back in an error stands for what would answer it.
        connection::of_returned(v6, &rewrite.source, &rewrite.destination, [a, b, c, d], self.protocol)
    }

    /// What a packet to the client has.
    fn back(&self) -> Rewrite {
        let [a, b, c, d] = self.ports;
        Rewrite { source: self.service.clone(), destination: self.client.clone(), ports: [c, d, a, b] }
    }

    /// What a packet to the backend has.
    fn forward(&self, backend: &Backend) -> Rewrite {
        let [a, b, c, d] = self.ports;
        let [a, b] = self.port.map_or([a, b], u16::to_be_bytes);
        let [c, d] = backend.port.map_or([c, d], u16::to_be_bytes);
        let source = if self.port.is_some() { octets(backend.source) } else { self.client.clone() };
        Rewrite { source, destination: octets(backend.address), ports: [a, b, c, d] }
    }
}

/// Whether a packet may be one of a translated connection, or an error about one: it has ports, and lives on.
pub(super) fn is_translated(bytes: &[u8], ip: &Ip, of: &Connection) -> bool {
    of.ported && ttl(bytes, ip) > 1
}

/// Translates a packet on its way to a backend, or an error about one on its way to the client.
pub(super) fn forward(packet: &mut Packet<'_>, record: &Record, backend: &Backend, sent: bool) {
    let rewrite = record.forward(backend);
    if packet.connection.refreshes {
        return rewrite.apply(packet.bytes, &packet.ip, sent);
    }
    let error = Error { source: None, destination: rewrite.destination.clone(), returned: rewrite.reversed() };
    error.apply(packet.bytes, &packet.ip, packet.ip.at + packet.total, sent);
}

/// Undoes the translation of a packet on its way to the client, or of an error about one on its way to the backend.
fn back(packet: &mut Packet<'_>, record: &Record, backend: &Backend, sent: bool) {
    let rewrite = record.back();
    if packet.connection.refreshes {
        return rewrite.apply(packet.bytes, &packet.ip, sent);
    }
    // A router on the way keeps its own address.
    let by_backend = packet.bytes[packet.ip.src()] == octets(backend.address);
    let source = by_backend.then(|| rewrite.source.clone());
    let error = Error { source, destination: rewrite.destination.clone(), returned: rewrite.reversed() };
    error.apply(packet.bytes, &packet.ip, packet.ip.at + packet.total, sent);
}

/// Time to live, or hop limit.
fn ttl(bytes: &[u8], ip: &Ip) -> u8 {
    if ip.v6 { bytes[ip.at + 7] } else { bytes[ip.at + 8] }
}

/// One hop less to live.
pub(super) fn one_hop(bytes: &mut [u8], ip: &Ip) {
    set_ttl(bytes, ip, ttl(bytes, ip) - 1);
}

impl Rewrite {
    /// Rewrites a packet that has ports; with one hop less to live where it is `sent`.
    pub(super) fn apply(&self, bytes: &mut [u8], ip: &Ip, sent: bool) {
        let Some(ports) = ip.ports else { return };
        for (field, new) in [(ip.src(), &self.source), (ip.dst(), &self.destination)] {
            mend_transport(bytes, ip, field.clone(), new);
            overwrite_in_header(bytes, ip, field, new);
        }
        mend_transport(bytes, ip, ports..ports + 4, &self.ports);
        bytes[ports..ports + 4].copy_from_slice(&self.ports);
        if sent {
            one_hop(bytes, ip);
        }
    }

    /// What a packet on the way back has.
    fn reversed(self) -> Self {
        let [a, b, c, d] = self.ports;
        Rewrite { source: self.destination, destination: self.source, ports: [c, d, a, b] }
    }
}
