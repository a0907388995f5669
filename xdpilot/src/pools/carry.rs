//! A policy takes the place of another that has the same pools: connections stay with their backends.

use std::collections::{HashMap, HashSet};

use xdpilot_core::emit::{BACKENDS, CLIENTS, FLOWS, IDS, REPLIES, RINGS, SENDERS, TRAFFIC, TRANSLATED};
use xdpilot_core::error::Result;
use xdpilot_core::object::Shape;
use xdpilot_core::route::{Member, State, flags};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::program::ProgramInfo;

use super::live::Live;
use crate::policy::Compiled;
use crate::record::{self, PoolRecord, Record};

const MAPS: [&str; 9] = [BACKENDS, TRAFFIC, RINGS, FLOWS, IDS, TRANSLATED, REPLIES, SENDERS, CLIENTS];

/// The maps of a loaded policy with which another can go on in its place; none where their pools are not the same ones,
/// or have no room for it.
///
/// # Errors
/// The kernel does not let this user see them.
pub fn shared(old: &ProgramInfo, policy: &Compiled) -> Result<Vec<Map>> {
    let before = Record::of(old)?.and_then(|record| record.policy).map(|policy| policy.pools).unwrap_or_default();
    let alike = |(old, new): (&PoolRecord, &PoolRecord)| {
        (&old.name, &old.method, old.rings) == (&new.name, &new.method, new.rings)
    };
    let now = policy.record().pools;
    if now.is_empty() || now.len() != before.len() || !before.iter().zip(&now).all(alike) {
        return Ok(Vec::new());
    }
    let mut shared = Vec::new();
    for map in policy.object.maps.iter().filter(|map| MAPS.contains(&map.name.as_str())) {
        match record::map_named(old, &map.name)? {
            Some(there) if has_shape(&there, &map.shape) => shared.push(there),
            // No pool read ids until now: they lead somewhere once the backends are merged.
            None if map.name == IDS => {}
            _ => return Ok(Vec::new()),
        }
    }
    Ok(shared)
}

fn has_shape(map: &Map, shape: &Shape) -> bool {
    let info = map.info();
    (info.map_type, info.key_size, info.value_size, info.max_entries, info.flags)
        == (shape.kind, shape.key_size, shape.value_size, shape.max_entries, shape.flags)
}

/// Makes the backends of a loaded policy what they are to be: those that stay keep their numbers and their health.
/// Returns those that are gone.
///
/// # Errors
/// There is no room for one.
pub fn merge(live: &Live, wanted: &State) -> Result<State> {
    let key = |member: &Member| (member.backend.pool, member.name.clone());
    let members = |state: State| {
        let members = state.members.into_iter().enumerate();
        members.filter_map(|(number, member)| member.map(|member| (key(&member), (number, member))))
    };
    let before: HashMap<_, _> = members(live.state()).collect();
    let (stay, come): (Vec<&Member>, Vec<&Member>) =
        wanted.members.iter().flatten().partition(|member| before.contains_key(&key(member)));
    for member in &stay {
        if let Some((number, before)) = before.get(&key(member)) {
            let mut member = (*member).clone();
            member.backend.flags &= before.backend.flags | !flags::UP;
            live.write(*number, &member);
        }
    }
    if !come.is_empty() {
        live.insert(come)?;
    }
    let mut state = live.state();
    let stay: HashSet<_> = stay.into_iter().map(key).collect();
    let gone: Vec<usize> =
        before.into_iter().filter(|(key, _)| !stay.contains(key)).map(|(_, (number, _))| number).collect();
    let taken = gone.iter().map(|number| state.members[*number].take()).collect();
    live.name(&state)?;
    for pool in 0..live.pools.len() {
        live.turn(u16::try_from(pool).unwrap_or(u16::MAX), &state);
    }
    gone.into_iter().for_each(|number| live.clear(number));
    Ok(State { members: taken })
}
