//! The first contents of the maps of a policy's pools.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::thread;

use xdpilot_core::emit::{BACKENDS, IDS, RINGS, SENDERS};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::eval::Router;
use xdpilot_core::policy::Pool;
use xdpilot_core::route::{Backend, Member, Ring, State, reads_ids, ring, rings, senders, translates};
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mapped::Mapped;

/// Words of a ring in its map.
const WORDS: usize = (2 * ring::SLOTS).div_ceil(8);

/// Puts the backends and their rings into the maps of a loaded policy.
///
/// # Errors
/// The kernel refuses.
pub fn fill(pools: &[Pool], state: &State, loaded: &Loaded) -> Result<()> {
    if pools.is_empty() {
        return Ok(());
    }
    if translates(pools) {
        let map = Mapped::new(&loaded.map(SENDERS)?)?;
        let members = state.members.iter().flatten();
        members.for_each(|member| senders::note(map.words(), member.backend.address));
    }
    let backends = loaded.map(BACKENDS)?;
    for (number, member) in (0u32..).zip(&state.members) {
        if let Some(record) = member.as_ref().map(Member::record) {
            backends.update(&number.to_ne_bytes(), &record)?;
        }
    }
    if reads_ids(pools) {
        ids(&loaded.map(IDS)?, state)?;
    }
    let mapped = Mapped::new(&loaded.map(RINGS)?)?;
    let all: Vec<(usize, Ring)> = rings(pools).into_iter().enumerate().collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(workers).max(1)) {
            let mapped = &mapped;
            scope.spawn(move || part.iter().for_each(|(number, ring)| turn(mapped, *number, &state.ring(ring))));
        }
    });
    Ok(())
}

/// Puts into the maps what the evaluator goes by: its backends and next hops.
///
/// # Errors
/// The kernel refuses.
pub fn as_evaluated(pools: &[Pool], loaded: &Loaded) -> Result<()> {
    if pools.is_empty() {
        return Ok(());
    }
    let router = Router::new(pools);
    fill(pools, &router.state, loaded)?;
    // Number 0 is no backend; in tests it has the next hop to clients.
    let none = Ipv4Addr::UNSPECIFIED.into();
    let backend = Backend {
        address: none,
        source: none,
        source_bits: 0,
        port: None,
        pool: 0,
        id: None,
        flags: 0,
        hop: router.clients,
    };
    let record = Member { backend, weight: 0, name: String::new() }.record();
    loaded.map(BACKENDS)?.update(&0u32.to_ne_bytes(), &record)
}

/// Makes the connection ids of QUIC lead to the backends that have them. Those that lead there already do so all the time.
///
/// # Errors
/// The kernel refuses.
pub fn ids(map: &Map, state: &State) -> Result<()> {
    let wanted: BTreeMap<[u8; 8], [u8; 4]> = state.ids().collect();
    let keys = map.keys()?;
    // First those that go, since there is room for one id of each backend.
    map.delete_all(keys.iter().filter(|key| !wanted.contains_key(&key[..])).map(Vec::as_slice))?;
    for (key, number) in &wanted {
        if map.lookup(key)?.as_deref() != Some(number) {
            map.update(key, number)?;
        }
    }
    Ok(())
}

/// Puts a ring in the place of the one of this number. Slots that stay the same are not touched, and each word changes
/// at once.
pub fn turn(mapped: &Mapped, number: usize, ring: &[u16]) {
    let words = mapped.words().get(number * WORDS..).unwrap_or_default();
    for (word, slots) in words.iter().zip(ring.chunks(4)) {
        let mut bytes = [0; 8];
        slots.iter().zip(bytes.chunks_exact_mut(2)).for_each(|(slot, at)| at.copy_from_slice(&slot.to_ne_bytes()));
        let new = u64::from_ne_bytes(bytes);
        if word.load(Ordering::Relaxed) != new {
            word.store(new, Ordering::Relaxed);
        }
    }
}

/// The memory of the rings of a policy that is loaded.
///
/// # Errors
/// The map is not such a one.
pub fn mapped_rings(map: &Map) -> Result<Mapped> {
    let info = map.info();
    if info.value_size as usize != 8 * WORDS {
        return Err(Error::failed(format!("read map {} (id {})", info.name, info.id)).cause("it holds no rings"));
    }
    Mapped::new(map)
}
