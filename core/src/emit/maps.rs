//! The maps of an emitted object, and their names.

use std::collections::{BTreeMap, BTreeSet};

use super::{Clock, Direction, Options, counters};
use crate::btf::identifier;
use crate::cond::{Layout, Part};
use crate::modernize::map_type;
use crate::object::{Declaration, Map, MapId, Object, Pinning, Shape};
use crate::policy::{Action, Element, Key, Limit, MOST_BACKENDS};
use crate::route::layout::RECORD;
use crate::route::{self, flows, layout, reads_ids, ring, senders, sessions, translates};
use crate::rules::Rules;
use crate::set_table::{Geometry, LINE};

/// Hits by CPU: one counter of packets and bytes, each a `u64`, after the other; elements follow each other. Which counter is
/// of which rule [`super::counters::by_rule`] says.
pub const RULES: &str = "xdpilot_rules";
/// The interfaces that rules redirect to: key = the index in [`Rules::targets`], value = the interface's index.
pub const TARGETS: &str = "xdpilot_targets";
/// Sampled packets: a head of four `u32` (rule, length of the packet, bytes captured, zero), then the captured bytes.
pub const SAMPLES: &str = "xdpilot_samples";
/// Packets that rules with `sample` match, by CPU: key = the number of such rules before.
pub const SAMPLED: &str = "xdpilot_sampled";
/// Limits without keys: key = the number of such rules before, value = the time up to which packets are accounted for.
pub const LIMITS: &str = "xdpilot_limits";
/// The time in nanoseconds, where the program is made for tests.
pub const CLOCK: &str = "xdpilot_clock";
/// Backends by number: [`crate::route::layout::backend`].
pub const BACKENDS: &str = "xdpilot_backend";
/// Their traffic, by CPU: [`crate::route::layout::traffic`].
pub const TRAFFIC: &str = "xdpilot_traffic";
/// Rings by number: for each slot the number of a backend, 2 bytes each.
pub const RINGS: &str = "xdpilot_rings";
/// Connections: [`crate::route::flows`].
pub const FLOWS: &str = "xdpilot_flows";
/// Backends by their ids in QUIC's connection ids: [`crate::route::quic::key`].
pub const IDS: &str = "xdpilot_quic";
/// What is remembered of translated connections: [`crate::route::layout::translated`].
pub const TRANSLATED: &str = "xdpilot_nat";
/// Where it is found for replies: [`crate::route::replies`].
pub const REPLIES: &str = "xdpilot_replies";
/// The addresses that replies come from: [`crate::route::senders`].
pub const SENDERS: &str = "xdpilot_senders";
/// Next hops to clients, by CPU: [`crate::route::layout::client`].
pub const CLIENTS: &str = "xdpilot_clients";

/// The kernel keeps so many characters of a map's name.
const NAME: usize = 15;
/// The most elements of a set that is no table, unless it begins with more than half of that.
const ELEMENTS: u32 = 65_536;
/// Sets of so many addresses of a family are tables; smaller ones are the kernel's tries, which need little memory.
pub(super) const TABLES_FROM: usize = 512;
/// The most keys of a limit; the least recently used goes for a new one.
const KEYS: u32 = 65_536;
/// Where more limits are per key than this, those with keys of one length share a map, which has room for the keys of so
/// many of them.
const OWN_LIMITS: usize = 16;
/// Bytes of a bitmap of all ports.
pub(super) const PORTS: u32 = 8192;
const LRU_HASH: u32 = 9;
const NO_PREALLOC: u32 = 1;
/// The memory can be mapped into a process.
const MMAPABLE: u32 = 1 << 10;

/// The maps by what they are for.
#[derive(Debug, Default)]
pub(super) struct Maps {
    pub(super) rules: Option<MapId>,
    pub(super) targets: Option<MapId>,
    pub(super) samples: Option<MapId>,
    pub(super) clock: Option<MapId>,
    pub(super) backends: Option<MapId>,
    pub(super) traffic: Option<MapId>,
    pub(super) rings: Option<MapId>,
    pub(super) flows: Option<MapId>,
    pub(super) ids: Option<MapId>,
    pub(super) translated: Option<MapId>,
    pub(super) replies: Option<MapId>,
    pub(super) senders: Option<MapId>,
    pub(super) clients: Option<MapId>,
    /// Each is an array of one map, in which the elements are: exchanging it exchanges them all at once.
    pub(super) sets: BTreeMap<(usize, Part), MapId>,
    /// Those of them that a packet may be tested for more than once, and where the map inside is held on the stack:
    /// all tests of a packet see the same elements.
    pub(super) held: BTreeMap<(usize, Part), i16>,
    /// Those of them that are tables.
    pub(super) tables: BTreeMap<(usize, Part), Geometry>,
    /// By rule: the maps of limits per key; none where it is one of the plain ones.
    pub(super) limits: BTreeMap<usize, MapId>,
    /// By rule: what tells its keys from those of other limits in the same map.
    pub(super) limit_numbers: BTreeMap<usize, u16>,
    /// Of all limits without keys, and their numbers in it by rule.
    pub(super) plain_limits: Option<MapId>,
    pub(super) plain_limit_numbers: BTreeMap<usize, u32>,
    /// Counts packets for samples, whose numbers in it are by rule.
    pub(super) sampled: Option<MapId>,
    pub(super) sample_numbers: BTreeMap<usize, u32>,
}

impl Maps {
    /// Whether there are arrays of one element, whose key is zero.
    pub(super) fn have_one_element(&self) -> bool {
        !self.sets.is_empty() || self.clock.is_some()
    }
}

/// The name of the map of a rule's limit per key, which may be one for those behind it, too.
pub fn limit_map_name(rule: usize) -> String {
    format!("limit_{rule}")
}

/// The name of the map that holds the elements of one kind of set `set`.
pub fn set_map_name(rules: &Rules, set: usize, part: Part) -> String {
    let suffix = match part {
        Part::V4 => "_v4".into(),
        Part::V6 => "_v6".into(),
        Part::Port => "_port".into(),
        Part::Mac => "_mac".into(),
        Part::Tuple(layout) => format!("_{}", layout.code()),
    };
    // The longest suffix, so that all maps of a set begin with the same words.
    let room = NAME - 1 - Layout::MOST;
    let cut = |index: usize| -> String { identifier(&rules.sets[index].name).chars().take(room).collect() };
    let name = cut(set);
    let twins = (0..rules.sets.len()).filter(|other| cut(*other) == name).count();
    if twins == 1 && !name.starts_with("xdpilot") {
        return name + &suffix;
    }
    let number = set.to_string();
    let head: String = name.chars().take(room - number.len() - 1).collect();
    format!("{head}_{number}{suffix}")
}

/// Adds the maps that the rules need.
pub(super) fn add(object: &mut Object, rules: &Rules, options: &Options) -> Maps {
    let mut maps = Maps::default();
    let shape =
        |kind, key_size, value_size, max_entries| Shape { kind, key_size, value_size, max_entries, ..Shape::default() };
    let mut add = |name: String, shape, inner| {
        object.maps.push(Map {
            name,
            shape,
            inner,
            values: Vec::new(),
            pinning: Pinning::None,
            declaration: Declaration::Generated,
        });
        MapId(object.maps.len() - 1)
    };
    if options.counters {
        let (row, rows) = counters::shape(rules, 0);
        maps.rules = Some(add(RULES.into(), shape(map_type::PERCPU_ARRAY, 4, row, rows), None));
    }
    let targets = rules.targets().len() as u32;
    if targets > 0 {
        let kind = match options.direction {
            Direction::Ingress => map_type::DEVMAP,
            Direction::Egress => map_type::ARRAY,
        };
        maps.targets = Some(add(TARGETS.into(), shape(kind, 4, 4, targets), None));
    }
    for (index, set) in rules.sets.iter().enumerate() {
        for part in set.parts.iter().collect::<BTreeSet<_>>() {
            let geometry = table(*part, &set.elements, options.tables_from);
            let inner = set_shape(*part, geometry, count_of(*part, &set.elements));
            let id = add(set_map_name(rules, index, *part), shape(map_type::ARRAY_OF_MAPS, 4, 4, 1), Some(inner));
            maps.sets.insert((index, *part), id);
            maps.tables.extend(geometry.map(|geometry| ((index, *part), geometry)));
        }
    }
    let tells_time = |rule: &crate::rules::Rule| matches!(rule.action, Action::Limit(_));
    if options.clock == Clock::Given && (!rules.pools.is_empty() || rules.rules.iter().any(tells_time)) {
        maps.clock = Some(add(CLOCK.into(), shape(map_type::ARRAY, 4, 8, 1), None));
    }
    if !rules.pools.is_empty() {
        add_routing(&mut maps, rules, &mut add);
    }
    add_actions(&mut maps, rules, &mut add);
    maps
}

/// Adds the maps of limits and samples. A program has at most 64 maps, so that one is for all where that can be.
fn add_actions(maps: &mut Maps, rules: &Rules, add: &mut impl FnMut(String, Shape, Option<Shape>) -> MapId) {
    let shape =
        |kind, key_size, value_size, max_entries| Shape { kind, key_size, value_size, max_entries, ..Shape::default() };
    let mut keyed: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        match &rule.action {
            Action::Limit(limit) if limit.per.is_empty() => {
                maps.plain_limit_numbers.insert(index, maps.plain_limit_numbers.len() as u32);
            }
            Action::Limit(limit) => keyed.entry(key_size(limit)).or_default().push(index),
            Action::Sample { .. } => {
                maps.sample_numbers.insert(index, maps.sample_numbers.len() as u32);
            }
            Action::Verdict(_) | Action::Count(_) | Action::Set(_) => {}
        }
    }
    let many = keyed.values().map(Vec::len).sum::<usize>() > OWN_LIMITS;
    for (size, limits) in keyed {
        for limits in limits.chunks(if many { usize::from(u16::MAX) } else { 1 }) {
            let keys = KEYS * limits.len().min(OWN_LIMITS) as u32;
            let id = add(limit_map_name(limits[0]), shape(LRU_HASH, size, 8, keys), None);
            maps.limits.extend(limits.iter().map(|rule| (*rule, id)));
            maps.limit_numbers.extend(limits.iter().zip(0..).map(|(rule, number)| (*rule, number)));
        }
    }
    let (limits, samples) = (maps.plain_limit_numbers.len() as u32, maps.sample_numbers.len() as u32);
    if limits > 0 {
        maps.plain_limits = Some(add(LIMITS.into(), shape(map_type::ARRAY, 4, 8, limits), None));
    }
    if samples > 0 {
        maps.sampled = Some(add(SAMPLED.into(), shape(map_type::PERCPU_ARRAY, 4, 8, samples), None));
        maps.samples = Some(add(SAMPLES.into(), shape(map_type::PERF_EVENT_ARRAY, 4, 4, 0), None));
    }
}

/// Adds the maps of pools.
fn add_routing(maps: &mut Maps, rules: &Rules, add: &mut impl FnMut(String, Shape, Option<Shape>) -> MapId) {
    let array = |kind, value_size, max_entries, flags| Shape {
        kind,
        key_size: 4,
        value_size,
        max_entries,
        flags,
        ..Shape::default()
    };
    let mapped = |value_size, max_entries| array(map_type::ARRAY, value_size, max_entries, MMAPABLE);
    let (backends, record) = (room_for_backends(rules), RECORD as u32);
    let ring = (2 * ring::SLOTS as u32).next_multiple_of(8);
    maps.backends = Some(add(BACKENDS.into(), mapped(layout::BACKEND as u32, backends), None));
    maps.traffic = Some(add(TRAFFIC.into(), array(map_type::PERCPU_ARRAY, record, backends, 0), None));
    maps.rings = Some(add(RINGS.into(), mapped(ring, route::rings(&rules.pools).len().max(1) as u32), None));
    let lines = flows::lines(sessions(&rules.pools));
    maps.flows = Some(add(FLOWS.into(), mapped(64, lines), None));
    if reads_ids(&rules.pools) {
        let ids = Shape { kind: map_type::HASH, key_size: 8, value_size: 4, max_entries: backends, ..Shape::default() };
        maps.ids = Some(add(IDS.into(), ids, None));
    }
    if translates(&rules.pools) {
        maps.translated = Some(add(TRANSLATED.into(), mapped(record, lines * flows::SLOTS as u32), None));
        maps.replies = Some(add(REPLIES.into(), mapped(64, lines), None));
        maps.senders = Some(add(SENDERS.into(), mapped(8, senders::WORDS), None));
        let clients = array(map_type::PERCPU_ARRAY, record, layout::CLIENTS, 0);
        maps.clients = Some(add(CLIENTS.into(), clients, None));
    }
}

/// How many numbers there are for backends: twice as many as are used, so that more can come.
fn room_for_backends(rules: &Rules) -> u32 {
    let count: usize = rules.pools.iter().map(|pool| pool.backends.len()).sum();
    (2 * count as u32 + 2).next_power_of_two().clamp(64, MOST_BACKENDS as u32 + 1)
}

/// The sets whose elements of a kind are tables, by index.
pub fn set_tables(rules: &Rules, options: &Options) -> Vec<(usize, Part, Geometry)> {
    let parts = rules.sets.iter().enumerate().flat_map(|(index, set)| set.parts.iter().map(move |part| (index, *part)));
    let measured = |(index, part): (usize, Part)| {
        table(part, &rules.sets[index].elements, options.tables_from).map(|geometry| (index, part, geometry))
    };
    parts.filter_map(measured).collect()
}

/// The maps of tuples that sets begin with, by index: their number, and the map's shape.
pub fn set_hashes(rules: &Rules) -> Vec<(usize, Part, u32, Shape)> {
    let mut hashes = Vec::new();
    for (index, set) in rules.sets.iter().enumerate() {
        for part in set.parts.iter().filter(|part| matches!(part, Part::Tuple(_))) {
            let count = count_of(*part, &set.elements);
            hashes.push((index, *part, count, set_shape(*part, None, count)));
        }
    }
    hashes
}

/// How many elements of a kind there are.
fn count_of(part: Part, elements: &[Element]) -> u32 {
    elements.iter().filter(|element| element.part() == part).count() as u32
}

/// The measures of the table for a set's elements of one kind; none where they are few.
fn table(part: Part, elements: &[Element], from: usize) -> Option<Geometry> {
    (matches!(part, Part::V4 | Part::V6) && count_of(part, elements) as usize >= from)
        .then(|| Geometry::of(part, elements))
}

fn set_shape(part: Part, table: Option<Geometry>, elements: u32) -> Shape {
    let max_entries = ELEMENTS.max(elements.saturating_mul(2));
    let shape = Shape { value_size: 4, max_entries, ..Shape::default() };
    if let Some(table) = table {
        let (value_size, max_entries) = (8 * LINE as u32, table.lines());
        return Shape { kind: map_type::ARRAY, key_size: 4, value_size, max_entries, flags: MMAPABLE, ..shape };
    }
    match part {
        Part::V4 => Shape { kind: map_type::LPM_TRIE, key_size: 8, flags: NO_PREALLOC, ..shape },
        Part::V6 => Shape { kind: map_type::LPM_TRIE, key_size: 20, flags: NO_PREALLOC, ..shape },
        Part::Mac => Shape { kind: map_type::HASH, key_size: 6, flags: NO_PREALLOC, ..shape },
        Part::Tuple(layout) => Shape { kind: map_type::HASH, key_size: layout.key_size(), flags: NO_PREALLOC, ..shape },
        Part::Port => Shape { kind: map_type::ARRAY, key_size: 4, value_size: PORTS, max_entries: 1, ..shape },
    }
}

/// The length of a limit's key in bytes: the family and the limit's number in its map in 4 bytes, then the parts, padded to a multiple of 4.
pub(super) fn key_size(limit: &Limit) -> u32 {
    let parts: u32 = limit.per.iter().map(|key| u32::from(part_size(*key))).sum();
    (4 + parts).next_multiple_of(4)
}

/// The length of a part of a limit's key in bytes.
pub(super) fn part_size(key: Key) -> u16 {
    match key {
        Key::Src | Key::Dst => 16,
        Key::SrcPort | Key::DstPort => 2,
        Key::Protocol => 1,
    }
}
