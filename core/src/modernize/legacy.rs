//! Legacy map definitions: what the structs of `maps` sections mean.
//!
//! Their first five words are the same everywhere; the size of the struct tells whose it is:
//! 16 to 24 bytes kernel samples and libbpf 0.x (`struct bpf_map_def`), 28 either the samples' or aya's,
//! 36 iproute2's `struct bpf_elf_map` (include/bpf_elf.h), 40 goebpf's, 280 gobpf's.

use std::collections::HashMap;

use crate::elf::Budget;
use crate::error::Result;
use crate::object::{Declaration, LegacyFields, Map, MapId, Object, Pinning, Shape, Slot};

/// Map types (`enum bpf_map_type`, include/uapi/linux/bpf.h) that passes treat apart.
#[allow(missing_docs, reason = "the kernel's own names")]
pub mod map_type {
    pub const HASH: u32 = 1;
    pub const ARRAY: u32 = 2;
    pub const PROG_ARRAY: u32 = 3;
    pub const PERF_EVENT_ARRAY: u32 = 4;
    pub const PERCPU_ARRAY: u32 = 6;
    pub const LPM_TRIE: u32 = 11;
    pub const ARRAY_OF_MAPS: u32 = 12;
    pub const HASH_OF_MAPS: u32 = 13;
    pub const DEVMAP: u32 = 14;
    pub const CPUMAP: u32 = 16;
    pub const XSKMAP: u32 = 17;
    pub const DEVMAP_HASH: u32 = 25;
    pub const RINGBUF: u32 = 27;
    pub const ARENA: u32 = 33;
}

const NUMA_NODE: u32 = 1 << 2;

/// Whether maps of this type hold maps.
pub(crate) fn is_map_of_maps(kind: u32) -> bool {
    matches!(kind, map_type::ARRAY_OF_MAPS | map_type::HASH_OF_MAPS)
}

/// Reads one struct of a `maps` section.
pub(crate) fn read(name: String, bytes: &[u8]) -> Map {
    let words: Vec<u32> = bytes.as_chunks().0.iter().take(9).map(|w| u32::from_le_bytes(*w)).collect();
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    let mut shape = Shape {
        kind: word(0),
        key_size: word(1),
        value_size: word(2),
        max_entries: word(3),
        flags: word(4),
        ..Shape::default()
    };
    let mut fields = LegacyFields { size: bytes.len() as u32, inner_index: -1, ..LegacyFields::default() };
    let mut pinning = Pinning::None;
    match bytes.len() {
        24 => fields.inner_index = word(5) as i32,
        28 if is_map_of_maps(shape.kind) || shape.flags & NUMA_NODE != 0 => {
            fields.inner_index = word(5) as i32;
            shape.numa_node = (shape.flags & NUMA_NODE != 0).then(|| word(6));
        }
        28..=36 => {
            (fields.id, fields.inner_id, fields.inner_index) = (word(5), word(7), word(8) as i32);
            pinning = match word(6) {
                1 => Pinning::Object,
                2 => Pinning::Global,
                _ => Pinning::None,
            };
        }
        280 => pinning = gobpf_pinning(&name, word(5), &bytes[24..]),
        _ => {}
    }
    let declaration = Declaration::Legacy(fields);
    Map { name, shape, inner: None, values: Vec::new(), pinning, declaration }
}

/// gobpf: pinning 2 is below `NAMESPACE/globals`, 3 below `NAMESPACE`, both in `/sys/fs/bpf`.
fn gobpf_pinning(name: &str, pinning: u32, namespace: &[u8]) -> Pinning {
    let namespace = crate::elf::text_at(namespace, 0);
    match pinning {
        2 => pinned_at(&format!("/sys/fs/bpf/{namespace}/globals/{name}")),
        3 => pinned_at(&format!("/sys/fs/bpf/{namespace}/{name}")),
        _ => Pinning::None,
    }
}

/// A path that an object names itself, where it stays below the BPF file system; none otherwise.
pub(crate) fn pinned_at(path: &str) -> Pinning {
    let inside = path.strip_prefix("/sys/fs/bpf/");
    match inside.is_some_and(|inside| inside.split('/').all(|part| !matches!(part, "" | "." | ".."))) {
        true => Pinning::Path(path.to_string()),
        false => Pinning::None,
    }
}

/// Connects legacy maps of maps with the definitions of what is in them, and fills them where iproute2 would.
///
/// # Errors
/// The maps inside maps are more than the file has room for.
pub(crate) fn connect(object: &mut Object, budget: &mut Budget) -> Result<()> {
    let legacy: Vec<(usize, LegacyFields)> = object
        .maps
        .iter()
        .enumerate()
        .filter_map(|(at, map)| match map.declaration {
            Declaration::Legacy(fields) => Some((at, fields)),
            _ => None,
        })
        .collect();
    let mut by_id: HashMap<u32, Vec<(usize, LegacyFields)>> = HashMap::new();
    for (at, fields) in legacy.iter().filter(|(_, f)| f.inner_id == 0) {
        by_id.entry(fields.id).or_default().push((*at, *fields));
    }
    for (outer, fields) in &legacy {
        if !is_map_of_maps(object.maps[*outer].shape.kind) || object.maps[*outer].inner.is_some() {
            continue;
        }
        let inner: Vec<(usize, LegacyFields)> = match fields.inner_id {
            0 => usize::try_from(fields.inner_index).ok().and_then(|at| legacy.get(at)).copied().into_iter().collect(),
            id => by_id.get(&id).cloned().unwrap_or_default(),
        };
        let definition = inner.iter().map(|(at, _)| &object.maps[*at].shape).find(|shape| !is_map_of_maps(shape.kind));
        let definition = definition.cloned();
        budget.take(size_of_val(&inner[..]))?;
        if fields.inner_id != 0 {
            let values =
                inner.iter().filter_map(|(at, f)| Some((u32::try_from(f.inner_index).ok()?, Slot::Map(MapId(*at)))));
            object.maps[*outer].values.extend(values);
        }
        object.maps[*outer].inner = definition;
    }
    Ok(())
}

/// iproute2's tail-call sections: the function of section `ID/KEY` goes into the program array of that id.
pub fn fill_program_arrays(object: &mut Object) {
    // The first map of an id is meant.
    let arrays: HashMap<u32, usize> = (object.maps.iter().enumerate().rev())
        .filter_map(|(at, map)| match map.declaration {
            Declaration::Legacy(fields) if map.shape.kind == map_type::PROG_ARRAY => Some((fields.id, at)),
            _ => None,
        })
        .collect();
    for id in object.function_ids() {
        let function = object.function(id);
        let Some((map_id, key)) = tail_call_section(&function.section).filter(|_| function.start == 0) else {
            continue;
        };
        if let Some(at) = arrays.get(&map_id) {
            object.maps[*at].values.push((key, Slot::Program(id)));
        }
    }
}

/// Map id and key of a section named `ID/KEY`, in C's notation of numbers.
pub(crate) fn tail_call_section(name: &str) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let (id, key) = name.split_once('/')?;
    Some((number(id)?, number(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{function, legacy_map, object};

    fn words(words: &[u32], size: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.resize(size, 0);
        bytes
    }

    #[test]
    fn the_size_of_a_struct_tells_whose_it_is() {
        let read = |list: &[u32], size| read("m".into(), &words(list, size));
        assert_eq!(read(&[1, 4, 8, 16], 16).shape.max_entries, 16);
        let samples = read(&[12, 4, 4, 8, NUMA_NODE, 3, 1], 28);
        assert_eq!(samples.shape.numa_node, Some(1));
        assert!(matches!(samples.declaration, Declaration::Legacy(f) if f.inner_index == 3));
        let iproute2 = read(&[3, 4, 4, 8, 0, 2, 2, 5, u32::MAX], 36);
        assert_eq!(iproute2.pinning, Pinning::Global);
        assert!(
            matches!(iproute2.declaration, Declaration::Legacy(f) if (f.id, f.inner_id, f.inner_index) == (2, 5, -1))
        );
    }

    #[test]
    fn maps_of_an_id_fill_the_map_that_holds_it() {
        let mut all = object(Vec::new());
        all.maps = vec![
            legacy_map(map_type::ARRAY_OF_MAPS, 0, 5, -1),
            legacy_map(map_type::HASH, 5, 0, -1),
            legacy_map(map_type::HASH, 5, 0, 3),
            legacy_map(map_type::HASH, 6, 0, 1),
        ];
        connect(&mut all, &mut Budget::of_file(0)).unwrap();
        assert_eq!(all.maps[0].values, [(3, Slot::Map(MapId(2)))]);
        assert_eq!(all.maps[0].inner.as_ref().map(|shape| shape.kind), Some(map_type::HASH));
    }

    #[test]
    fn a_path_of_the_object_s_own_stays_below_the_bpf_file_system() {
        assert_eq!(pinned_at("/sys/fs/bpf/tool/map"), Pinning::Path("/sys/fs/bpf/tool/map".into()));
        for path in ["/sys/fs/bpf/../../../etc/passwd", "/sys/fs/bpf/", "/sys/fs/bpf//map", "/etc/passwd", ""] {
            assert_eq!(pinned_at(path), Pinning::None, "{path}");
        }
    }

    #[test]
    fn tail_call_sections_fill_program_arrays() {
        let mut all = object(vec![function("a", "2/0x10", &[]), function("b", "9/1", &[]), function("c", "2/x", &[])]);
        all.maps = vec![legacy_map(map_type::HASH, 2, 0, -1), legacy_map(map_type::PROG_ARRAY, 2, 0, -1)];
        fill_program_arrays(&mut all);
        assert_eq!(all.maps[1].values, [(16, Slot::Program(crate::object::FunctionId(0)))]);
        assert_eq!(all.maps[0].values, []);
    }
}
