//! Maps: BTF-defined ones (`.maps`) and the structs of `maps` sections.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::budget::Budget;
use super::file::{File, Relocation, Symbol, section_flag, symbol_type, text_at};
use super::read::Layout;
use super::read_functions::FunctionTable;
use crate::btf::{kind, read_map};
use crate::error::{Error, Result};
use crate::modernize::legacy;
use crate::object::{Declaration, Map, MapId, Object, Pinning, Slot};

/// The most variables that a BTF section lists.
const MOST_MAPS: usize = u16::MAX as usize;
/// The longest path of a pin that a definition may name, in bytes.
const LONGEST_PATH: usize = 256;

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
///
/// # Errors
/// There are more maps than BTF can list or the file has room for.
pub(super) fn read(file: &File<'_>, object: &mut Object, budget: &mut Budget) -> Result<MapTable> {
    let mut table = MapTable::default();
    let referenced = referenced_offsets(file);
    // BTF has one list of maps: a second `.maps` section would define the same ones again.
    let defined = file.sections.iter().position(|s| s.name == ".maps" && !s.data.is_empty());
    for (index, section) in file.sections.iter().enumerate() {
        if section.data.is_empty() || section.flags & section_flag::EXEC != 0 {
            continue;
        }
        if defined == Some(index) {
            read_btf_maps(file, index, object, &mut table, budget)?;
        } else if is_legacy(section.name) {
            let used = referenced.get(&index).map_or(&[][..], Vec::as_slice);
            read_legacy_maps(file, index, used, object, &mut table, budget)?;
        }
    }
    if object.maps.len() > MOST_MAPS {
        return Err(Error::usage(format!("the object defines {} maps: BTF lists {MOST_MAPS}", object.maps.len())));
    }
    follow_legacy_pointers(file, object, &table);
    legacy::connect(object, budget)?;
    Ok(table)
}

fn named_symbols<'f>(file: &'f File<'_>, section: usize) -> impl Iterator<Item = &'f Symbol<'f>> {
    file.symbols_of(section).filter(|s| matches!(s.kind, symbol_type::NOTYPE | symbol_type::OBJECT))
}

fn read_btf_maps(
    file: &File<'_>,
    index: usize,
    object: &mut Object,
    table: &mut MapTable,
    budget: &mut Budget,
) -> Result<()> {
    let Some((btf, (_, variables))) = object.btf.as_ref().and_then(|btf| Some((btf, btf.section(".maps")?))) else {
        table.lost =
            Some("its definition was in the object's BTF, which is missing (compile with `-g`, do not strip)".into());
        return Ok(());
    };
    // Compilers leave the offsets of global variables to the linker: the symbols know them.
    let symbols: BTreeMap<&str, &Symbol<'_>> = named_symbols(file, index).map(|s| (s.name, s)).collect();
    for variable in variables {
        let Some(var) = btf.get(variable.type_id).filter(|t| t.kind == kind::VAR) else { continue };
        let name = btf.text(var.name);
        budget.take(size_of::<Map>() + name.len())?;
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
    Ok(())
}

fn read_legacy_maps(
    file: &File<'_>,
    index: usize,
    referenced: &[u64],
    object: &mut Object,
    table: &mut MapTable,
    budget: &mut Budget,
) -> Result<()> {
    let section = &file.sections[index];
    let symbols: BTreeMap<u64, &Symbol<'_>> = named_symbols(file, index).map(|s| (s.value, s)).collect();
    // Static maps have no symbol of their own: the code that uses them shows where they begin.
    let mut starts: BTreeSet<u64> = symbols.keys().copied().collect();
    starts.extend(referenced);
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
        budget.take(size_of::<Map>() + name.len())?;
        table.by_place.insert((index, *start), Place { map: MapId(object.maps.len()), size, values: None });
        object.maps.push(legacy::read(name, bytes));
    }
    Ok(())
}

/// Offsets in legacy sections that wide loads of the code refer to through section symbols.
fn referenced_offsets(file: &File<'_>) -> HashMap<usize, Vec<u64>> {
    let mut out: HashMap<usize, Vec<u64>> = HashMap::new();
    let is_legacy = |section: usize| file.sections.get(section).is_some_and(|s| is_legacy(s.name));
    let code = file.sections.iter().enumerate().filter(|(_, s)| s.flags & section_flag::EXEC != 0);
    for (index, section) in code {
        for relocation in file.relocations(index) {
            let Some(symbol) = file.symbols.get(relocation.symbol) else { continue };
            if is_legacy(symbol.section) && symbol.kind == symbol_type::SECTION {
                let imm = usize::try_from(relocation.offset).ok().and_then(|at| section.data.get(at..)?.get(4..));
                let imm = imm.and_then(|b| b.first_chunk()).map(|imm| u64::from(u32::from_le_bytes(*imm)));
                let offset = imm.and_then(|imm| symbol.value.checked_add(imm));
                out.entry(symbol.section).or_default().extend(offset);
            }
        }
    }
    out
}

/// What the pointers in legacy structs mean: an inner map's definition, a path to pin at (goebpf's 40 bytes).
fn follow_legacy_pointers(file: &File<'_>, object: &mut Object, table: &MapTable) {
    for index in (0..file.sections.len()).filter(|index| is_legacy(file.sections[*index].name)) {
        for relocation in file.relocations(index) {
            let Some((place, _)) = table.covering(index, relocation.offset) else { continue };
            let Some((section, offset)) = pointee(file, index, &relocation) else { continue };
            if let Some(inner) = table.at(section, offset) {
                object.maps[place.map.0].inner = Some(object.maps[inner.0].shape.clone());
            } else if let Some(path) = file.sections.get(section).map(|s| path_at(s.data, offset))
                && let pinning @ Pinning::Path(_) = legacy::pinned_at(path)
            {
                object.maps[place.map.0].pinning = pinning;
            }
        }
    }
}

/// The path at an offset of a data section; empty where it is longer than a pin's can be.
fn path_at(data: &[u8], offset: u64) -> &str {
    let rest = usize::try_from(offset).ok().and_then(|at| data.get(at..)).unwrap_or_default();
    let rest = &rest[..rest.len().min(LONGEST_PATH)];
    if rest.contains(&0) { text_at(rest, 0) } else { "" }
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
            let map = &mut object.maps[place.map.0];
            let fits = |value: &Slot| match value {
                Slot::Map(_) => legacy::is_map_of_maps(map.shape.kind),
                Slot::Program(_) => map.shape.kind == legacy::map_type::PROG_ARRAY,
            };
            if let (Ok(slot), Some(value)) = (u32::try_from(slot), value.filter(fits)) {
                map.values.push((slot, value));
            }
        }
    }
}
