//! ELF file -> [`Object`].

use std::collections::HashMap;

use super::budget::Budget;
use super::file::{File, Section, section_flag, section_type, symbol_type, text_at};
use super::{read_functions, read_maps};
use crate::btf::{Btf, BtfExt};
use crate::error::Result;
use crate::object::{Content, Data, DataId, DataSymbol, Extern, ExternId, Object};

/// Where the parts of a file went in the object.
#[derive(Default)]
pub(super) struct Layout {
    /// Section index -> data.
    pub data: HashMap<usize, DataId>,
    /// Symbol index -> place of a variable that the compiler left to the linker.
    pub common: HashMap<usize, (DataId, u32)>,
    /// Symbol index -> extern.
    pub externs: HashMap<usize, ExternId>,
    /// Maps by section index and offset.
    pub maps: read_maps::MapTable,
}

/// Reads a BPF object. The second value tells what was left out because it is malformed.
///
/// # Errors
/// The file is no BPF ELF file, or describes more than it has room for.
pub fn read(bytes: &[u8]) -> Result<(Object, Vec<String>)> {
    let file = File::parse(bytes)?;
    let mut notes = Vec::new();
    let mut object = Object { license: license(&file), version: version(&file), ..Object::default() };
    object.btf = file.section(".BTF").filter(|s| !s.data.is_empty()).and_then(|s| match Btf::parse(s.data) {
        Ok(btf) => Some(btf),
        Err(error) => {
            notes.push(format!("the BTF section is malformed and left out ({})", error.what()));
            None
        }
    });
    let mut layout = Layout::default();
    read_data(&file, &mut object, &mut layout);
    read_common(&file, &mut object, &mut layout);
    read_externs(&file, &mut object, &mut layout);
    let mut budget = Budget::of_file(bytes.len());
    layout.maps = read_maps::read(&file, &mut object, &mut budget)?;
    let table = read_functions::read(&file, &mut object, &layout, &mut budget)?;
    read_maps::read_values(&file, &mut object, &layout, &table);
    if let (Some(_), Some(ext)) = (&object.btf, file.section(".BTF.ext")) {
        table.attach_info(&file, &mut object, &BtfExt::parse(ext.data));
    }
    Ok((object, notes))
}

fn license(file: &File<'_>) -> Option<String> {
    let section = file.section("license")?;
    Some(text_at(section.data, 0).to_string()).filter(|text| !text.is_empty())
}

fn version(file: &File<'_>) -> Option<u32> {
    Some(u32::from_le_bytes(*file.section("version")?.data.first_chunk()?))
}

/// Whether a section holds global data of programs.
fn is_data(section: &Section<'_>) -> bool {
    matches!(section.kind, section_type::PROGBITS | section_type::NOBITS)
        && section.flags & section_flag::ALLOC != 0
        && section.flags & section_flag::EXEC == 0
        && section.size > 0
        && !read_maps::is_map_section(section.name)
        && !matches!(section.name, "license" | "version" | ".BTF" | ".BTF.ext" | ".eh_frame")
        && ![".struct_ops", ".debug", ".llvm"].iter().any(|prefix| section.name.starts_with(prefix))
}

fn read_data(file: &File<'_>, object: &mut Object, layout: &mut Layout) {
    for (index, section) in file.sections.iter().enumerate().filter(|(_, s)| is_data(s)) {
        layout.data.insert(index, DataId(object.data.len()));
        let content = match section.kind {
            section_type::NOBITS => Content::Zero(section.size),
            _ => Content::Bytes(section.data.to_vec()),
        };
        object.data.push(Data {
            name: section.name.to_string(),
            writable: section.flags & section_flag::WRITE != 0,
            align: section.align,
            content,
            symbols: Vec::new(),
        });
    }
    for symbol in &file.symbols {
        let named = !symbol.name.is_empty() && matches!(symbol.kind, symbol_type::NOTYPE | symbol_type::OBJECT);
        if let (true, Some(DataId(at))) = (named, layout.data.get(&symbol.section)) {
            object.data[*at].symbols.push(DataSymbol {
                name: symbol.name.to_string(),
                offset: symbol.value,
                size: symbol.size,
                global: symbol.is_global(),
                visibility: symbol.other,
            });
        }
    }
}

/// Variables without a place (`SHN_COMMON`, from `-fcommon`) get one in a section of zero bytes.
fn read_common(file: &File<'_>, object: &mut Object, layout: &mut Layout) {
    const SHN_COMMON: usize = 0xfff2;
    let id = DataId(object.data.len());
    let mut end = 0u64;
    for (index, symbol) in file.symbols.iter().enumerate().filter(|(_, s)| s.section == SHN_COMMON) {
        // The value of such a symbol is its alignment.
        let offset = end.next_multiple_of(symbol.value.clamp(1, 4096));
        if let Ok(at) = u32::try_from(offset) {
            layout.common.insert(index, (id, at));
            end = offset.saturating_add(symbol.size.min(u64::from(u32::MAX)));
        }
    }
    if !layout.common.is_empty() {
        let name = ".bss.common".to_string();
        object.data.push(Data { name, writable: true, align: 8, content: Content::Zero(end), symbols: Vec::new() });
    }
}

fn read_externs(file: &File<'_>, object: &mut Object, layout: &mut Layout) {
    for (index, symbol) in file.symbols.iter().enumerate() {
        if symbol.section == 0 && !symbol.name.is_empty() {
            layout.externs.insert(index, ExternId(object.externs.len()));
            object.externs.push(Extern {
                name: symbol.name.to_string(),
                weak: symbol.bind == 2,
                visibility: symbol.other,
                symbol_type: symbol.kind,
            });
        }
    }
}
