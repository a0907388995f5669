//! The pools of a policy that is loaded, in the memory that it shares with its program.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use xdpilot_core::emit::{BACKENDS, FLOWS, IDS, RINGS, SENDERS, TRAFFIC};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::route::flows::Slot;
use xdpilot_core::route::layout::{BACKEND, RECORD};
use xdpilot_core::route::{Member, Ring, State, flags, flows, senders};
use xdpilot_kernel::clock;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mapped::Mapped;

use super::fill;
use crate::direction::Direction;
use crate::place::Place;
use crate::policy::sets::{self, Loaded};
use crate::record::{PoolRecord, StoredRecord};
use crate::state::Pinned;

/// Words of a backend's record, and which of them says whether there is one.
const WORDS: usize = BACKEND / 8;
const FLAGS: usize = 5;

/// A loaded policy that routes.
#[derive(Debug)]
pub struct Live {
    /// The target, as it was named when the policy was loaded.
    pub target: String,
    /// Where it stands.
    pub pinned: Pinned,
    /// Its program's id.
    pub program: u32,
    /// What it is loaded for, where that is in a store.
    pub stored: Option<StoredRecord>,
    /// Its pools, by index.
    pub pools: Vec<PoolRecord>,
    /// The map of its backends.
    pub backends: Map,
    records: Mapped,
    rings: Mapped,
    /// None where no pool translates.
    senders: Option<Mapped>,
    /// Where a pool reads connection ids of QUIC.
    ids: Option<Map>,
    traffic: Map,
    flows: Mapped,
}

/// What a backend was sent, on all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Their bytes at arrival.
    pub bytes: u64,
    /// New connections.
    pub connections: u64,
    /// Packets that could not be sent.
    pub unreachable: u64,
}

/// Whether a backend gets packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It does.
    Up,
    /// Only those of connections that it has.
    Drains,
    /// Its checks fail.
    Down,
}

impl Condition {
    /// What its record says.
    pub fn of(member: &Member) -> Self {
        match member.backend.flags {
            bits if bits & flags::UP == 0 => Condition::Down,
            bits if bits & flags::DRAINS != 0 => Condition::Drains,
            _ => Condition::Up,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Up => "up",
            Condition::Drains => "drains",
            Condition::Down => "down",
        }
    }
}

impl Live {
    /// Opens the pools of a loaded policy; none where it has none.
    ///
    /// # Errors
    /// The program is gone, or this user may not see its maps.
    pub fn open(loaded: &mut Loaded) -> Result<Option<Self>> {
        let pools = loaded.record.policy.as_ref().map(|policy| policy.pools.clone()).unwrap_or_default();
        if pools.is_empty() {
            return Ok(None);
        }
        let mut take = |name: &str| {
            let gone = || Error::failed(format!("open map {name}")).cause("the program is gone");
            loaded.take_map(name).ok_or_else(gone)
        };
        let backends = take(BACKENDS)?;
        let (records, rings) = (Mapped::new(&backends)?, fill::mapped_rings(&take(RINGS)?)?);
        let senders = take(SENDERS).ok().map(|map| Mapped::new(&map)).transpose()?;
        let (traffic, flows) = (take(TRAFFIC)?, Mapped::new(&take(FLOWS)?)?);
        let ids = loaded.take_map(IDS);
        let (target, stored) = (loaded.record.target.clone(), loaded.record.stored.clone());
        let (pinned, program) = (loaded.pinned.clone(), loaded.program);
        Ok(Some(Live {
            target,
            pinned,
            program,
            stored,
            pools,
            backends,
            records,
            rings,
            senders,
            ids,
            traffic,
            flows,
        }))
    }

    /// Opens the pools of the policy at a place.
    ///
    /// # Errors
    /// There is none that routes.
    pub fn at(place: &Place) -> Result<Self> {
        let direction = Direction::Ingress;
        let (namespace, ifindex) = (place.namespace.inode(), place.interface.index);
        let pinned = Pinned { path: place.link_path(direction), direction, namespace, ifindex };
        Self::pinned(pinned)?
            .ok_or_else(|| Error::failed(format!("find the pools on {}", place.label)).cause("their policy is gone"))
    }

    /// Opens the pools of the policy whose link is pinned; none where it has none.
    ///
    /// # Errors
    /// This user may not see its maps.
    pub fn pinned(pinned: Pinned) -> Result<Option<Self>> {
        Ok(sets::at(pinned)?.map(|mut loaded| Live::open(&mut loaded)).transpose()?.flatten())
    }

    /// The index of a pool.
    pub fn pool(&self, name: &str) -> Option<u16> {
        self.pools.iter().position(|pool| pool.name == name).and_then(|at| u16::try_from(at).ok())
    }

    /// All backends, by number.
    pub fn state(&self) -> State {
        state(&self.records)
    }

    /// The backends of a pool, with their numbers.
    pub fn members(&self, pool: u16) -> Vec<(usize, Member)> {
        let members = self.state().members.into_iter().enumerate();
        let members = members.filter_map(|(number, member)| Some((number, member?)));
        members.filter(|(_, member)| member.backend.pool == pool).collect()
    }

    /// The backend of this name in a pool, and its number.
    pub fn find(&self, pool: u16, name: &str) -> Option<(usize, Member)> {
        self.members(pool).into_iter().find(|(_, member)| member.name == name)
    }

    /// Writes a backend; the word that says that it is there comes last.
    pub fn write(&self, number: usize, member: &Member) {
        self.senders.iter().for_each(|map| senders::note(map.words(), member.backend.address));
        let record = member.record();
        let words = self.records.words().get(number * WORDS..).unwrap_or_default();
        let new = record.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_ne_bytes));
        let pairs: Vec<_> = words.iter().zip(new).enumerate().collect();
        for (at, (word, new)) in &pairs {
            if *at != FLAGS {
                word.store(*new, Ordering::Relaxed);
            }
        }
        if let Some((_, (word, new))) = pairs.get(FLAGS) {
            word.store(*new, Ordering::Release);
        }
    }

    /// Puts new backends under free numbers: first those that no connection has, since it would be theirs.
    ///
    /// # Errors
    /// There is no room for one.
    pub fn insert<'m>(&self, new: impl IntoIterator<Item = &'m Member>) -> Result<()> {
        let members = self.state().members;
        let known = self.known();
        let mut free: Vec<usize> = (1..members.len()).filter(|number| members[*number].is_none()).collect();
        free.sort_by_key(|number| known[*number]);
        let mut free = free.into_iter();
        for member in new {
            let number = free.next().ok_or_else(|| {
                Error::failed(format!("add backend {}", member.name))
                    .cause(format!("the policy has room for {} backends since it was loaded", members.len() - 1))
                    .mend("load it anew: xdpilot load … --replace")
            })?;
            self.traffic.set_per_cpu(u32::try_from(number).unwrap_or(u32::MAX), &[0; RECORD / 8])?;
            self.write(number, member);
        }
        Ok(())
    }

    /// Whether a connection that is not forgotten yet has each number, of a backend that is gone too.
    fn known(&self) -> Vec<bool> {
        let timeout = self.pools.iter().map(|pool| pool.timeout.min(0xffff)).max().unwrap_or(0);
        let mut known = vec![false; self.records.words().len() / WORDS];
        for (slot, age) in self.slots() {
            if let Some(known) = known.get_mut(usize::from(slot.backend())) {
                *known |= age <= timeout;
            }
        }
        known
    }

    /// The slots of connections, with their ages.
    fn slots(&self) -> impl Iterator<Item = (Slot, u32)> {
        let now = flows::tick(clock::monotonic());
        let slots = self.flows.words().iter().map(|word| Slot(word.load(Ordering::Relaxed)));
        slots.map(move |slot| (slot, slot.age(now)))
    }

    /// Takes a backend away. Its ring must have been turned without it.
    pub fn clear(&self, number: usize) {
        if let Some(word) = self.records.words().get(number * WORDS + FLAGS) {
            word.store(0, Ordering::Release);
        }
    }

    /// Makes the rings of a pool what its backends say.
    pub fn turn(&self, pool: u16, state: &State) {
        let Some(record) = self.pools.get(usize::from(pool)) else { return };
        let [v4, v6] = record.rings;
        // One ring for both families, or one for each.
        let all = match (v4, v6) {
            (Some(one), Some(other)) if one == other => vec![(one, None)],
            _ => [(v4, false), (v6, true)].into_iter().filter_map(|(ring, v6)| Some((ring?, Some(v6)))).collect(),
        };
        for (number, v6) in all {
            fill::turn(&self.rings, usize::from(number), &state.ring(&Ring { pool, v6 }));
        }
    }

    /// Makes the connection ids of QUIC lead to the backends that have them.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn name(&self, state: &State) -> Result<()> {
        self.ids.as_ref().map_or(Ok(()), |ids| fill::ids(ids, state))
    }

    /// What a backend was sent.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn traffic(&self, number: usize) -> Result<Traffic> {
        let sums = self.traffic.sum_per_cpu(u32::try_from(number).unwrap_or(u32::MAX))?;
        let at = |index: usize| sums.get(index).copied().unwrap_or(0);
        Ok(Traffic { packets: at(0), bytes: at(1), connections: at(2), unreachable: at(3) })
    }

    /// How many connections each backend has now, by its number. Those that have ended are none.
    pub fn active(&self) -> Vec<u64> {
        let state = self.state();
        let timeout = |number: usize| {
            let member = state.members.get(number)?.as_ref()?;
            self.pools.get(usize::from(member.backend.pool)).map(|pool| pool.timeout.min(0xffff))
        };
        let timeouts: Vec<Option<u32>> = (0..state.members.len()).map(timeout).collect();
        let mut active = vec![0; state.members.len()];
        for (slot, age) in self.slots() {
            let number = usize::from(slot.backend());
            let stays = timeouts.get(number).copied().flatten().is_some_and(|timeout| age <= timeout);
            if stays && !slot.ended() {
                active[number] += 1;
            }
        }
        active
    }
}

/// The backends in the map of a loaded policy.
///
/// # Errors
/// The map is not such a one.
pub fn backends(map: &Map) -> Result<State> {
    Mapped::new(map).map(|records| state(&records))
}

fn state(records: &Mapped) -> State {
    let member = |words: &[AtomicU64]| {
        let mut bytes = [0; BACKEND];
        let words = words.iter().map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        words.zip(bytes.chunks_exact_mut(8)).for_each(|(word, at)| at.copy_from_slice(&word));
        Member::of_record(&bytes)
    };
    let mut members: Vec<Option<Member>> = records.words().chunks_exact(WORDS).map(member).collect();
    if let Some(none) = members.first_mut() {
        *none = None;
    }
    State { members }
}
