//! Map attributes and sections that this kernel or machine, or libbpf, would refuse.

use std::collections::HashMap;

use crate::btf::kind;
use crate::error::{Error, Result};
use crate::modernize::legacy::{is_map_of_maps, map_type};
use crate::object::{Content, Data, Map, Object, Pinning, Shape, Slot};

/// What passes need to know of the machine that will run the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Number of possible CPUs: the size of per-CPU values and the limit of CPU maps.
    pub possible_cpus: u32,
    /// The most entries that device and AF_XDP socket maps get; lowered where memory does not allow them.
    pub interface_map_limit: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Machine { possible_cpus: 1, interface_map_limit: u32::MAX }
    }
}

const NO_PREALLOC: u32 = 1;
const RDONLY_PROG: u32 = 1 << 7;
/// What a map without a size gets where nothing of the machine tells it.
const DEFAULT_ENTRIES: u32 = 1024;
const DEFAULT_RING_BYTES: u32 = 1 << 18;
/// Static values beyond this key would make the object larger than what it describes.
const MOST_STATIC_VALUES: u32 = 4096;

/// Adapts maps and data.
pub(super) fn adapt(object: &mut Object, machine: Machine, notes: &mut Vec<String>) -> Result<()> {
    for at in 0..object.maps.len() {
        let map = &mut object.maps[at];
        let name = map.name.clone();
        let mut tell = |what: String| notes.push(format!("map {name}: {what}"));
        adapt_shape(&mut map.shape, machine, &mut tell);
        if let Some(inner) = &mut map.inner {
            adapt_shape(inner, machine, &mut |what| tell(format!("inner map: {what}")));
        }
        check_values(map)?;
        if !is_map_of_maps(map.shape.kind) {
            map.inner = None;
        }
        if is_map_of_maps(map.shape.kind) && map.inner.is_none() {
            let known = inner_of_values(object, at);
            if known.is_none() {
                notes.push(format!(
                    "map {name}: the object does not say what maps it holds; arrays of one 4-byte value assumed"
                ));
            }
            let assumed =
                || Shape { kind: map_type::ARRAY, key_size: 4, value_size: 4, max_entries: 1, ..Shape::default() };
            object.maps[at].inner = Some(known.unwrap_or_else(assumed));
        }
    }
    adapt_data(object, notes);
    Ok(())
}

/// The shape of the maps that stand in map `at`.
fn inner_of_values(object: &Object, at: usize) -> Option<Shape> {
    object.maps[at].values.iter().find_map(|(_, slot)| match slot {
        Slot::Map(id) => Some(object.maps[id.0].shape.clone()),
        Slot::Program(_) => None,
    })
}

fn check_values(map: &Map) -> Result<()> {
    let limit = map.shape.max_entries.min(MOST_STATIC_VALUES);
    match map.values.iter().map(|(key, _)| *key).find(|key| *key >= limit) {
        None => Ok(()),
        Some(key) => Err(Error::usage(format!("map {} of the object cannot be filled", map.name))
            .cause(format!("the object puts a value at key {key}, but the map holds {limit} entries"))),
    }
}

fn adapt_shape(shape: &mut Shape, machine: Machine, tell: &mut impl FnMut(String)) {
    let cpus = machine.possible_cpus.max(1);
    if shape.kind == map_type::LPM_TRIE && shape.flags & NO_PREALLOC == 0 {
        shape.flags |= NO_PREALLOC;
        tell("created without preallocation, which the kernel demands of prefix tries".into());
    }
    let handles = [map_type::PROG_ARRAY, map_type::PERF_EVENT_ARRAY, map_type::ARRAY_OF_MAPS, map_type::XSKMAP];
    if handles.contains(&shape.kind) {
        (shape.key_size, shape.value_size) = (4, 4);
        (shape.key_type, shape.value_type) = (None, None);
    }
    // Their values are an interface or a queue size, alone or with a program's descriptor.
    let with_program = [map_type::DEVMAP, map_type::DEVMAP_HASH, map_type::CPUMAP];
    if with_program.contains(&shape.kind) && shape.flags & RDONLY_PROG != 0 {
        shape.flags &= !RDONLY_PROG;
        tell("created without BPF_F_RDONLY_PROG: programs cannot write to such maps anyway, and the kernel refuses the flag".into());
    }
    if with_program.contains(&shape.kind) && (shape.key_size != 4 || !matches!(shape.value_size, 4 | 8)) {
        tell(format!(
            "keys of {} and values of {} bytes are none that the kernel takes; created with 4 and 4",
            shape.key_size, shape.value_size
        ));
        (shape.key_size, shape.value_size, shape.key_type, shape.value_type) = (4, 4, None, None);
    }
    if shape.max_entries == 0 {
        shape.max_entries = default_entries(shape.kind, cpus);
        if shape.max_entries != 0 {
            tell(format!("the object gives it no size; created with {} entries", shape.max_entries));
        }
    }
    let limit = match shape.kind {
        map_type::CPUMAP => cpus,
        map_type::DEVMAP | map_type::DEVMAP_HASH | map_type::XSKMAP => machine.interface_map_limit,
        _ => u32::MAX,
    };
    if shape.max_entries > limit {
        tell(format!("{} entries are more than this machine takes; created with {limit}", shape.max_entries));
        shape.max_entries = limit;
    }
}

/// The size of a map that has none; 0 where none is needed.
fn default_entries(kind: u32, cpus: u32) -> u32 {
    // Types whose entries live in the kernel's objects: sk, task, inode, cgroup storages, queues without size.
    const WITHOUT_SIZE: &[u32] = &[19, 21, 24, 28, 29, 32];
    match kind {
        map_type::PERF_EVENT_ARRAY | map_type::CPUMAP => cpus,
        map_type::RINGBUF => DEFAULT_RING_BYTES,
        kind if WITHOUT_SIZE.contains(&kind) => 0,
        _ => DEFAULT_ENTRIES,
    }
}

/// libbpf takes data sections by name; others are renamed by what they are.
fn adapt_data(object: &mut Object, notes: &mut Vec<String>) {
    let foreign: Vec<usize> = (0..object.data.len()).filter(|at| !is_known(&object.data[*at])).collect();
    if foreign.is_empty() {
        return;
    }
    let mut types: HashMap<String, u32> = HashMap::new();
    if let Some(btf) = &object.btf {
        for (id, _) in btf.types().filter(|(_, t)| t.kind == kind::DATASEC) {
            types.entry(btf.name(id).to_string()).or_insert(id);
        }
    }
    for at in foreign {
        let data = &mut object.data[at];
        let prefix = match data.content {
            Content::Zero(_) => ".bss",
            Content::Bytes(_) if data.writable => ".data",
            Content::Bytes(_) => ".rodata",
        };
        let name = format!("{prefix}.{}", crate::btf::identifier(data.name.trim_matches('.')));
        if let (Some(btf), Some(id)) = (&mut object.btf, types.get(&data.name)) {
            btf.rename(*id, &name);
        }
        notes.push(format!("data section {} loaded as {name}", data.name));
        data.name = name;
    }
}

/// Whether libbpf takes a data section of this name: it looks for zeros in `.bss` alone, for bytes in the others.
fn is_known(data: &Data) -> bool {
    let prefixes: &[&str] = match data.content {
        Content::Zero(_) => &[".bss"],
        Content::Bytes(_) => &[".data", ".rodata"],
    };
    let has = |prefix: &&str| data.name.strip_prefix(*prefix).is_some_and(|r| r.is_empty() || r.starts_with('.'));
    data.name == ".addr_space.1" || prefixes.iter().any(has)
}

/// Where a map of the object is to be pinned: libbpf pins by name itself, the others need a path.
pub fn pin_path(map: &Map, object_hash: &str) -> Option<String> {
    match &map.pinning {
        Pinning::None => None,
        Pinning::ByName => Some(format!("/sys/fs/bpf/{}", map.name)),
        Pinning::Object => Some(format!("/sys/fs/bpf/tc/{object_hash}/{}", map.name)),
        Pinning::Global => Some(format!("/sys/fs/bpf/tc/globals/{}", map.name)),
        Pinning::Path(path) => Some(path.clone()),
    }
}
