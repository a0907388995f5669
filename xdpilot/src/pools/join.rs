//! A backend joins a pool of a policy that is loaded.

use std::os::fd::AsFd;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Backend, Method};
use xdpilot_core::route::{self, Member, flags};

use super::live::Live;
use super::returns;
use super::ways::{self, Way};
use crate::companion;
use crate::place::Place;
use crate::policy::redirect;
use crate::record::PoolRecord;

/// What was done.
#[derive(Debug)]
pub struct Joined {
    /// In words.
    pub done: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Joined {
    /// Nothing else is to be known.
    pub fn of(done: String) -> Self {
        Joined { done, notes: Vec::new() }
    }
}

/// Adds a backend, or lets one that is there take connections again.
///
/// # Errors
/// There is no room for it, it cannot be reached, or it does not fit the pool.
pub fn add(live: &Live, pool: u16, backend: &Backend) -> Result<Joined> {
    has_own_id(live, pool, backend)?;
    if let Some((number, mut member)) = live.find(pool, &backend.label()) {
        member.backend.flags &= !flags::DRAINS;
        member.backend.id = backend.id.or(member.backend.id);
        member.weight = backend.weight;
        live.write(number, &member);
        let state = live.state();
        live.name(&state)?;
        live.turn(pool, &state);
        return Ok(Joined::of(format!("takes connections, with weight {}", member.weight)));
    }
    let record = &live.pools[usize::from(pool)];
    let method = policy::one_method(&record.method)
        .map_err(|problem| Error::usage(format!("its method {}", record.method)).cause(problem.what))?;
    fits(record, &method, backend)?;
    let place = Place::of_link(&live.pinned, &live.target)?;
    let found = ways::find(&backend.host, &place)?;
    has_ring(record, backend, found.address.is_ipv6())?;
    let mut member = route::member(pool, &method, backend, found.address);
    found.complete(&mut member, &method, &place)?;
    prepare(live, &found.way, &place)?;
    live.insert([&member])?;
    let state = live.state();
    live.name(&state)?;
    live.turn(pool, &state);
    let notes = match &found.way {
        Way::None(why) => vec![format!("backend {}: {why}", member.name)],
        Way::Asked(..) | Way::Fixed(..) => Vec::new(),
    };
    Ok(Joined { done: format!("added, with weight {}", member.weight), notes })
}

/// Whether the pool can have such a backend.
fn fits(record: &PoolRecord, method: &Method, backend: &Backend) -> Result<()> {
    if record.quic && backend.id.is_none() {
        return Err(Error::usage(format!("backend {}", backend.label()))
            .cause("hash quic needs an id for each backend")
            .mend(format!("xdpilot pool add {} {backend} id N", record.name)));
    }
    if backend.port.is_some() && !method.translates() {
        return Err(Error::usage(format!("backend {}", backend.label()))
            .cause(format!("via {method} leaves the packet's port as it is"))
            .mend("leave the port away"));
    }
    Ok(())
}

/// Whether no other backend of the pool has its id.
fn has_own_id(live: &Live, pool: u16, backend: &Backend) -> Result<()> {
    let label = backend.label();
    let has_it = |other: &Member| other.name != label && other.backend.id == backend.id;
    let other = live.members(pool).into_iter().map(|(_, member)| member).find(has_it);
    match (backend.id, other) {
        (Some(id), Some(other)) => Err(Error::usage(format!("backend {label}"))
            .cause(format!("id {id} is taken: {} has it", other.name))
            .mend("take another id, or remove that backend before")),
        _ => Ok(()),
    }
}

/// Whether the pool has backends for clients of this family.
fn has_ring(record: &PoolRecord, backend: &Backend, v6: bool) -> Result<()> {
    if record.rings[usize::from(v6)].is_none() {
        let family = if v6 { "IPv6" } else { "IPv4" };
        return Err(Error::usage(format!("backend {}", backend.label()))
            .cause(format!("the pool had no {family} backend when the policy was loaded"))
            .mend("put it into the policy and load that anew"));
    }
    Ok(())
}

/// Prepares the interface that leads to a backend.
fn prepare(live: &Live, way: &Way, place: &Place) -> Result<()> {
    let exit = match way {
        Way::None(_) => return Ok(()),
        Way::Asked(exit, host) => {
            place.namespace.run(|| xdpilot_kernel::neighbour::keep(exit, *host))?;
            exit
        }
        Way::Fixed(exit, _) => exit,
    };
    if exit.index == place.interface.index {
        return Ok(());
    }
    if let Ok(program) = returns::of(live.program) {
        returns::put(place, exit, program.as_fd())?;
        companion::accompany(place)?;
    }
    for exit in redirect::by(std::slice::from_ref(exit), place)? {
        companion::let_in(&exit, &place.target, Some(live.backends.info().id))?;
    }
    Ok(())
}
