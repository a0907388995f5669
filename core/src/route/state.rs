//! The backends of all pools, numbered, and their rings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layout::{Backend, Member, flags};
use super::ring::{self, Share};
use crate::policy::{self, HashBy, Host, Method, Pool, SESSIONS, Source};

/// What the program's maps hold: backends by number, from 1, none where a number is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By number; the first is none.
    pub members: Vec<Option<Member>>,
}

impl State {
    /// The backends of pools in order, all well. `address` tells the address of one that has a name only; it has no
    /// part in its pool where there is none.
    pub fn new(pools: &[Pool], address: impl Fn(&str) -> Option<IpAddr>) -> Self {
        let mut members = vec![None];
        for (pool, index) in pools.iter().zip(0u16..) {
            for backend in &pool.backends {
                let found = match &backend.host {
                    Host::Address(address) => Some(*address),
                    Host::Target(name) => address(name),
                };
                members.push(found.map(|address| member(index, &pool.method, backend, address)));
            }
        }
        State { members }
    }

    /// What the connection ids of QUIC lead to: keys and values of their map ([`super::quic::key`]).
    pub fn ids(&self) -> impl Iterator<Item = ([u8; 8], [u8; 4])> {
        (0u32..).zip(&self.members).filter_map(|(number, member)| {
            let Backend { pool, id, .. } = member.as_ref()?.backend;
            Some((super::quic::key(pool, id?), number.to_ne_bytes()))
        })
    }

    /// A ring: the number of a backend by slot, 0 where there is none.
    pub fn ring(&self, ring: &Ring) -> Vec<u16> {
        let takes = |member: &Member| {
            let Backend { flags, pool, address, .. } = member.backend;
            let fits = ring.v6.is_none_or(|v6| v6 == address.is_ipv6());
            pool == ring.pool && fits && flags & flags::UP != 0 && flags & flags::DRAINS == 0
        };
        let of_pool = self.members.iter().zip(0u16..);
        let (numbers, shares): (Vec<u16>, Vec<Share>) = of_pool
            .filter_map(|(member, number)| Some((number, member.as_ref().filter(|member| takes(member))?)))
            .map(|(number, member)| (number, Share { key: key(&member.backend), weight: member.weight.into() }))
            .unzip();
        ring::ring(&shares).into_iter().map(|index| index.map_or(0, |index| numbers[usize::from(index)])).collect()
    }
}

/// A backend of a pool, at this address, with the source that the method states.
pub fn member(pool: u16, method: &Method, backend: &policy::Backend, address: IpAddr) -> Member {
    let source = source(method, address);
    let bits = if source.address.is_ipv6() { 128 - source.length } else { 32 - source.length };
    let drains = if backend.drain { flags::DRAINS } else { 0 };
    let backend_of = Backend {
        address,
        source: source.address,
        source_bits: u32::MAX.checked_shr(32 - u32::from(bits.min(32))).unwrap_or(0),
        port: backend.port,
        pool,
        id: backend.id,
        flags: flags::UP | drains,
        hop: None,
    };
    Member { backend: backend_of, weight: backend.weight, name: backend.label() }
}

/// The source of what is sent to an address: the method's of its family, or none yet.
fn source(method: &Method, to: IpAddr) -> Source {
    let none = match to {
        IpAddr::V4(_) => Source { address: Ipv4Addr::UNSPECIFIED.into(), length: 32 },
        IpAddr::V6(_) => Source { address: Ipv6Addr::UNSPECIFIED.into(), length: 128 },
    };
    method.sources().iter().find(|source| source.address.is_ipv4() == to.is_ipv4()).copied().unwrap_or(none)
}

/// What tells a backend apart from others of its pool, on all nodes alike.
fn key(backend: &Backend) -> u64 {
    let address = match backend.address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let bits = address.to_bits();
    super::hash::of(&[(bits >> 64) as u64, bits as u64, backend.port.unwrap_or(0).into()])
}

/// A ring of a pool. Where packets are wrapped a backend may have an address of either family; else each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The pool's index.
    pub pool: u16,
    /// Whether it has the IPv6 backends, or the others; all where nothing is said.
    pub v6: Option<bool>,
}

/// The rings of all pools, in the order of their numbers.
pub fn rings(pools: &[Pool]) -> Vec<Ring> {
    let of_pool = |(pool, index): (&Pool, u16)| {
        let is_v6 = |backend: &policy::Backend| matches!(&backend.host, Host::Address(address) if address.is_ipv6());
        let has = |v6: &bool| pool.backends.iter().any(|one| is_v6(one) == *v6);
        let families = match pool.method.wraps() {
            true => vec![None],
            false => [false, true].into_iter().filter(has).map(Some).collect(),
        };
        families.into_iter().map(move |v6| Ring { pool: index, v6 })
    };
    pools.iter().zip(0u16..).flat_map(of_pool).collect()
}

/// The number of the ring that packets of a family to a pool look at; none where no backend fits.
pub fn ring_of(rings: &[Ring], pool: u16, v6: bool) -> Option<u16> {
    let fits = |ring: &Ring| ring.pool == pool && ring.v6.is_none_or(|of| of == v6);
    rings.iter().position(fits).and_then(|at| u16::try_from(at).ok())
}

/// Whether a pool reads connection ids of QUIC.
pub fn reads_ids(pools: &[Pool]) -> bool {
    pools.iter().any(|pool| pool.hash == HashBy::Quic)
}

/// Whether a pool translates addresses.
pub fn translates(pools: &[Pool]) -> bool {
    pools.iter().any(|pool| pool.method.translates())
}

/// How many connections the pools remember together: what they say, and for all that say nothing the default once.
pub fn sessions(pools: &[Pool]) -> u32 {
    let stated = pools.iter().map(|pool| pool.sessions).filter(|sessions| *sessions != SESSIONS);
    let default = if pools.iter().any(|pool| pool.sessions == SESSIONS) { SESSIONS } else { 0 };
    stated.fold(default, u32::saturating_add)
}
