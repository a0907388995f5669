//! Maps: BTF-defined ones (`.maps`) and the structs of `maps` sections.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{File, Relocation, Symbol, section_flag, symbol_type, text_at};
use super::read::Layout;
use super::read_functions::FunctionTable;
use crate::btf::{kind, read_map};
use crate::modernize::legacy;
use crate::object::{Declaration, Map, MapId, Object, Pinning, Slot};

/// Maps by section index and offset, and where their `values` arrays begin.
#[derive(Default)]
pub(super) struct MapTable {
    by_place: BTreeMap<(usize, u64), Place>,
    lost: Option<String>,
}

struct Place {
    map: MapId,
    size: u64,
    /// Offset of the array `values` in the map's struct.
    values: Option<u64>,
}

impl MapTable {
    /// The map that stands at this place.
    pub(super) fn at(&self, section: usize, offset: u64) -> Option<MapId> {
        self.by_place.get(&(section, offset)).map(|place| place.map)
    }

    /// Why definitions of maps could not be read.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The map that covers this place, and the offset within it.
    fn covering(&self, section: usize, offset: u64) -> Option<(&Place, u64)> {
        let ((found, start), place) = self.by_place.range(..=(section, offset)).next_back()?;
        (*found == section && offset - start < place.size).then(|| (place, offset - start))
    }
}

/// Whether this section defines maps.
pub(super) fn is_map_section(name: &str) -> bool {
    name == ".maps" || is_legacy(name)
}

fn is_legacy(name: &str) -> bool {
    name == "maps" || name.starts_with("maps/")
}

/// Reads the definitions of all maps. One that cannot be read hurts only who uses it.
pub(super) fn read(file: &File<'_>, object: &mut Object) -> MapTable {
    let mut table = MapTable::default();
    for (index, section) in file.sections.iter().enumerate() {
        if section.data.is_empty() || section.flags & section_flag::EXEC != 0 {
            continue;
        }
        if section.name == ".maps" {
            read_btf_maps(file, index, object, &mut table);
        } else if is_legacy(section.name) {
            read_legacy_maps(file, index, object, &mut table);
        }
    }
    follow_legacy_pointers(file, object, &table);
    legacy::connect(object);
    table
}

fn named_symbols<'f>(file: &'f File<'_>, section: usize) -> impl Iterator<Item = &'f Symbol<'f>> {
    file.symbols.iter().filter(move |s| {
        s.section == section && !s.name.is_empty() && matches!(s.kind, symbol_type::NOTYPE | symbol_type::OBJECT)
    })
}

fn read_btf_maps(file: &File<'_>, index: usize, object: &mut Object, table: &mut MapTable) {
    let Some((btf, (_, variables))) = object.btf.as_ref().and_then(|btf| Some((btf, btf.section(".maps")?))) else {
        table.lost =
            Some("its definition was in the object's BTF, which is missing (compile with `-g`, do not strip)".into());
        return;
    };
    // Compilers leave the offsets of global variables to the linker: the symbols know them.
    let symbols: BTreeMap<&str, &Symbol<'_>> = named_symbols(file, index).map(|s| (s.name, s)).collect();
    for variable in variables {
        let Some(var) = btf.get(variable.type_id).filter(|t| t.kind == kind::VAR) else { continue };
        let name = btf.text(var.name);
        let definition = match read_map(btf, var.size_or_type) {
            Ok(definition) => definition,
            Err(error) => {
                table.lost = Some(format!("map {name} cannot be read ({})", error.what()));
                continue;
            }
        };
        let (offset, size) = match symbols.get(name) {
            Some(symbol) => (symbol.value, symbol.size),
            None => (u64::from(variable.offset), u64::from(variable.size)),
        };
        let place = Place { map: MapId(object.maps.len()), size, values: definition.values_offset.map(u64::from) };
        table.by_place.insert((index, offset), place);
        object.maps.push(Map {
            name: name.to_string(),
            shape: definition.shape,
            inner: definition.inner,
            values: Vec::new(),
            pinning: definition.pinning,
            declaration: Declaration::Btf,
        });
    }
}

fn read_legacy_maps(file: &File<'_>, index: usize, object: &mut Object, table: &mut MapTable) {
    let section = &file.sections[index];
    let symbols: BTreeMap<u64, &Symbol<'_>> = named_symbols(file, index).map(|s| (s.value, s)).collect();
    // Static maps have no symbol of their own: the code that uses them shows where they begin.
    let mut starts: BTreeSet<u64> = symbols.keys().copied().collect();
    starts.extend(referenced_offsets(file, index));
    let end = section.data.len() as u64;
    let starts: Vec<u64> = starts.into_iter().filter(|at| *at < end).collect();
    for (at, start) in starts.iter().enumerate() {
        let symbol = symbols.get(start);
        let room = starts.get(at + 1).copied().unwrap_or(end) - start;
        let size = symbol.map(|s| s.size).filter(|size| *size > 0 && *size <= room).unwrap_or(room);
        let bytes = &section.data[*start as usize..(*start + size) as usize];
        let name = match (symbol, section.name.strip_prefix("maps/")) {
            (Some(symbol), _) => symbol.name.to_string(),
            (None, Some(name)) if *start == 0 => name.to_string(),
            (None, _) => format!("map_{start}"),
        };
        table.by_place.insert((index, *start), Place { map: MapId(object.maps.len()), size, values: None });
        object.maps.push(legacy::read(name, bytes));
    }
}

/// Offsets in section `target` that wide loads of the code refer to through its section symbol.
fn referenced_offsets(file: &File<'_>, target: usize) -> Vec<u64> {
    let mut out = Vec::new();
    let code = file.sections.iter().enumerate().filter(|(_, s)| s.flags & section_flag::EXEC != 0);
    for (index, section) in code {
        for relocation in file.relocations(index) {
            let Some(symbol) = file.symbols.get(relocation.symbol) else { continue };
            if symbol.section == target && symbol.kind == symbol_type::SECTION {
                let imm = section.data.get(relocation.offset as usize + 4..).and_then(|b| b.first_chunk());
                out.extend(imm.map(|imm| symbol.value + u64::from(u32::from_le_bytes(*imm))));
            }
        }
    }
    out
}

/// What the pointers in legacy structs mean: an inner map's definition, a path to pin at (goebpf's 40 bytes).
fn follow_legacy_pointers(file: &File<'_>, object: &mut Object, table: &MapTable) {
    for index in 0..file.sections.len() {
        if !is_legacy(file.sections[index].name) {
            continue;
        }
        for relocation in file.relocations(index) {
            let Some((place, _)) = table.covering(index, relocation.offset) else { continue };
            let Some((section, offset)) = pointee(file, index, &relocation) else { continue };
            if let Some(inner) = table.at(section, offset) {
                object.maps[place.map.0].inner = Some(object.maps[inner.0].shape.clone());
            } else if let Some(path) = file.sections.get(section).map(|s| text_at(s.data, offset as usize))
                && path.starts_with("/sys/fs/bpf/")
            {
                object.maps[place.map.0].pinning = Pinning::Path(path.to_string());
            }
        }
    }
}

/// Section and offset that a data relocation points to; the addend stands in the patched bytes.
fn pointee(file: &File<'_>, section: usize, relocation: &Relocation) -> Option<(usize, u64)> {
    let symbol = file.symbols.get(relocation.symbol)?;
    let at = usize::try_from(relocation.offset).ok()?;
    let addend = file.sections.get(section)?.data.get(at..)?.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    Some((symbol.section, symbol.value.wrapping_add(if symbol.kind == symbol_type::SECTION { addend } else { 0 })))
}

/// Reads the static values of BTF-defined maps: relocations in the array `values`.
pub(super) fn read_values(file: &File<'_>, object: &mut Object, layout: &Layout, functions: &FunctionTable) {
    for index in (0..file.sections.len()).filter(|i| file.sections[*i].name == ".maps") {
        for relocation in file.relocations(index) {
            let Some((place, offset)) = layout.maps.covering(index, relocation.offset) else { continue };
            let Some(slot) = place.values.and_then(|values| offset.checked_sub(values)).map(|bytes| bytes / 8) else {
                continue;
            };
            let Some((section, target)) = pointee(file, index, &relocation) else { continue };
            let value = match layout.maps.at(section, target) {
                Some(map) => Some(Slot::Map(map)),
                None => functions.at(section, (target / 8) as usize).map(Slot::Program),
            };
            object.maps[place.map.0].values.extend(value.map(|value| (slot as u32, value)));
        }
    }
}
