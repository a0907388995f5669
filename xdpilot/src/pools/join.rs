//! A backend joins a pool of a policy that is loaded.

use std::os::fd::AsFd;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::Backend;
use xdpilot_core::route::{self, Member, flags};

use super::live::Live;
use super::returns;
use super::ways::{self, Way};
use crate::companion;
use crate::place::Place;
use crate::policy::redirect;

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
    if let Some((number, mut member)) = live.find(pool, &backend.label()) {
        member.backend.flags &= !flags::DRAINS;
        member.weight = backend.weight;
        live.write(number, &member);
        live.turn(pool, &live.state());
        return Ok(Joined::of(format!("takes connections, with weight {}", member.weight)));
    }
    let place = Place::of_link(&live.pinned, &live.target)?;
    fits(live, pool, backend)?;
    let found = ways::find(&backend.host, &place)?;
    let (member, notes) = member(live, pool, backend, &found, &place)?;
    prepare(live, &found.way, &place)?;
    live.insert(&member)?;
    live.turn(pool, &live.state());
    Ok(Joined { done: format!("added, with weight {}", member.weight), notes })
}

/// Whether the pool's method can have such a backend.
fn fits(live: &Live, pool: u16, backend: &Backend) -> Result<()> {
    let method = &live.pools[usize::from(pool)].method;
    if backend.port.is_some() && !translates(method) {
        return Err(Error::usage(format!("backend {}", backend.label()))
            .cause(format!("via {method} leaves the packet's port as it is"))
            .mend("leave the port away"));
    }
    Ok(())
}

fn translates(method: &str) -> bool {
    method == "nat" || method.starts_with("fullnat")
}

fn member(
    live: &Live,
    pool: u16,
    backend: &Backend,
    found: &ways::Found,
    place: &Place,
) -> Result<(Member, Vec<String>)> {
    let state = live.state();
    let record = &live.pools[usize::from(pool)];
    let v6 = found.address.is_ipv6();
    if record.rings[usize::from(v6)].is_none() {
        let family = if v6 { "IPv6" } else { "IPv4" };
        return Err(Error::usage(format!("backend {}", backend.label()))
            .cause(format!("the pool had no {family} backend when the policy was loaded"))
            .mend("put it into the policy and load that anew"));
    }
    let mut others = state.members.iter().flatten().map(|member| &member.backend);
    let like = others.find(|other| other.pool == pool && other.address.is_ipv6() == v6);
    let mut new = route::member(pool, backend, found.address, like);
    let mut notes = Vec::new();
    if new.backend.source.is_unspecified() && !translates(&record.method) && record.method != "l2" {
        new.backend.source = ways::source(found.address, place)?.unwrap_or(new.backend.source);
    }
    match &found.way {
        Way::Fixed(_, hop) => new.backend.hop = Some(*hop),
        Way::Asked(..) => {}
        Way::None(why) => notes.push(format!("backend {}: {why}", backend.label())),
    }
    Ok((new, notes))
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
    }
    for exit in redirect::by(std::slice::from_ref(exit), place)? {
        companion::let_in(&exit, &place.target, Some(live.backends.info().id))?;
    }
    Ok(())
}
