//! [`Object`] -> ELF file, as libbpf 1.x takes it.

use std::collections::HashMap;

use super::file::{MACHINE_BPF, section_flag, section_type, symbol_type};
use crate::asm::INSN_SIZE;
use crate::btf::{Btf, BtfExt, ExtSection, SectionVariable, VAR_GLOBAL, define_map, kind};
use crate::modernize::legacy::map_type;
use crate::object::{Content, Map, Object, Pinning, Slot, Target};

const EHDR: usize = 64;
const SHDR: u16 = 64;
const SYM: u64 = 24;
const REL: u64 = 16;
const LOCAL: u8 = 0;
const GLOBAL: u8 = 1;
const WEAK: u8 = 2;
const HIDDEN: u8 = 2;

#[derive(Default)]
struct OutSection {
    name: String,
    kind: u32,
    flags: u64,
    align: u64,
    data: Vec<u8>,
    /// Size of a section without bytes.
    zero: u64,
    link: u32,
    info: u32,
    entry: u64,
}

#[derive(Default)]
struct OutSymbol {
    name: String,
    kind: u8,
    bind: u8,
    other: u8,
    section: usize,
    value: u64,
    size: u64,
}

/// A relocation to be written: where, and which symbol.
struct OutRelocation {
    offset: u64,
    symbol: usize,
    kind: u32,
}

/// `R_BPF_64_64` and `R_BPF_64_32` (Documentation/bpf/llvm_reloc.rst).
const R_LOAD: u32 = 1;
const R_CALL: u32 = 10;

#[derive(Default)]
struct Writer {
    sections: Vec<OutSection>,
    symbols: Vec<OutSymbol>,
    relocations: HashMap<usize, Vec<OutRelocation>>,
    functions: Vec<usize>,
    /// Section index -> its section symbol, of sections with code.
    code: HashMap<usize, usize>,
    /// Section index and offset of every function.
    places: Vec<(usize, usize)>,
    maps: Vec<usize>,
    data: Vec<usize>,
    externs: Vec<usize>,
}

/// Writes the object. The same object gives the same bytes.
pub fn write(object: &Object) -> Vec<u8> {
    let mut writer =
        Writer { sections: vec![OutSection::default()], symbols: vec![OutSymbol::default()], ..Writer::default() };
    let mut btf = object.btf.clone();
    writer.code(object);
    writer.data(object);
    writer.maps(object, &mut btf);
    writer.externs(object);
    writer.references(object);
    if let Some(license) = &object.license {
        let data = [license.as_bytes(), b"\0"].concat();
        writer.section("license", section_flag::ALLOC | section_flag::WRITE, 1, data);
    }
    if let Some(version) = object.version {
        writer.section("version", section_flag::ALLOC | section_flag::WRITE, 4, version.to_le_bytes().to_vec());
    }
    if let Some(mut btf) = btf {
        let ext = writer.info(object, &mut btf).encode();
        writer.section(".BTF", 0, 4, btf.encode());
        writer.section(".BTF.ext", 0, 4, ext);
    }
    writer.finish()
}

impl Writer {
    fn section(&mut self, name: &str, flags: u64, align: u64, data: Vec<u8>) -> usize {
        let kind = section_type::PROGBITS;
        self.sections.push(OutSection { name: name.to_string(), kind, flags, align, data, ..OutSection::default() });
        self.sections.len() - 1
    }

    fn symbol(&mut self, symbol: OutSymbol) -> usize {
        self.symbols.push(symbol);
        self.symbols.len() - 1
    }

    fn code(&mut self, object: &Object) {
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for function in &object.functions {
            let section = *by_name.entry(&function.section).or_insert_with(|| {
                let flags = section_flag::ALLOC | section_flag::EXEC;
                let section = self.section(&function.section, flags, 8, Vec::new());
                let symbol = self.symbol(OutSymbol { kind: symbol_type::SECTION, section, ..OutSymbol::default() });
                self.code.insert(section, symbol);
                section
            });
            let offset = self.sections[section].data.len();
            self.sections[section].data.extend(function.code.iter().flat_map(|insn| insn.encode()));
            self.places.push((section, offset));
            let symbol = self.symbol(OutSymbol {
                name: function.name.clone(),
                kind: symbol_type::FUNC,
                bind: if function.global { GLOBAL } else { LOCAL },
                other: if function.hidden { HIDDEN } else { 0 },
                section,
                value: offset as u64,
                size: (function.code.len() * INSN_SIZE) as u64,
            });
            self.functions.push(symbol);
        }
    }

    fn data(&mut self, object: &Object) {
        for data in &object.data {
            let flags = section_flag::ALLOC | if data.writable { section_flag::WRITE } else { 0 };
            let section = match &data.content {
                Content::Bytes(bytes) => self.section(&data.name, flags, data.align, bytes.clone()),
                Content::Zero(size) => {
                    let at = self.section(&data.name, flags, data.align, Vec::new());
                    (self.sections[at].kind, self.sections[at].zero) = (section_type::NOBITS, *size);
                    at
                }
            };
            let symbol = self.symbol(OutSymbol { kind: symbol_type::SECTION, section, ..OutSymbol::default() });
            self.data.push(symbol);
            for symbol in &data.symbols {
                self.symbol(OutSymbol {
                    name: symbol.name.clone(),
                    kind: symbol_type::OBJECT,
                    bind: if symbol.global { GLOBAL } else { LOCAL },
                    other: symbol.visibility,
                    section,
                    value: symbol.offset,
                    size: symbol.size,
                });
            }
        }
    }

    fn maps(&mut self, object: &Object, btf: &mut Option<Btf>) {
        let before = btf.as_ref().and_then(|btf| btf.section(".maps")).map(|(id, _)| id);
        if object.maps.is_empty() {
            if let (Some(btf), Some(id)) = (btf, before) {
                btf.retire(id);
            }
            return;
        }
        let btf = btf.get_or_insert_default();
        let section = self.section(".maps", section_flag::ALLOC | section_flag::WRITE, 8, Vec::new());
        let mut variables = Vec::new();
        let mut values_at = Vec::new();
        for map in &object.maps {
            let (type_id, size, values) = define(btf, map);
            let var = btf.add(kind::VAR, &map.name, 0, type_id, vec![VAR_GLOBAL]);
            let offset = self.sections[section].data.len() as u64;
            self.sections[section].data.resize((offset + u64::from(size)) as usize, 0);
            variables.push(SectionVariable { type_id: var, offset: offset as u32, size });
            values_at.push(offset + u64::from(values));
            let (kind, value, size) = (symbol_type::OBJECT, offset, u64::from(size));
            let symbol =
                self.symbol(OutSymbol { name: map.name.clone(), kind, bind: GLOBAL, section, value, size, other: 0 });
            self.maps.push(symbol);
        }
        btf.set_section(before, ".maps", self.sections[section].data.len() as u32, &variables);
        for (map, at) in object.maps.iter().zip(values_at) {
            for (key, slot) in &map.values {
                let symbol = match slot {
                    Slot::Map(id) => self.maps[id.0],
                    Slot::Program(id) => self.functions[id.0],
                };
                let relocation = OutRelocation { offset: at + u64::from(*key) * 8, symbol, kind: R_LOAD };
                self.relocations.entry(section).or_default().push(relocation);
            }
        }
    }

    fn externs(&mut self, object: &Object) {
        for external in &object.externs {
            let symbol = self.symbol(OutSymbol {
                name: external.name.clone(),
                kind: external.symbol_type,
                bind: if external.weak { WEAK } else { GLOBAL },
                other: external.visibility,
                ..OutSymbol::default()
            });
            self.externs.push(symbol);
        }
    }

    fn references(&mut self, object: &Object) {
        for (function, (section, offset)) in object.functions.iter().zip(&self.places) {
            for reference in &function.references {
                let at = offset + reference.insn * INSN_SIZE;
                let call = function.code[reference.insn].is_function_call();
                let symbol = match reference.target {
                    Target::Function(id) if call => self.functions[id.0],
                    Target::Function(id) => {
                        // libbpf takes a static function's address only from its section's symbol.
                        let (home, place) = self.places[id.0];
                        let addend = (place as u32).to_le_bytes();
                        self.sections[*section].data[at + 4..at + 8].copy_from_slice(&addend);
                        self.code[&home]
                    }
                    Target::Map(id) => self.maps[id.0],
                    Target::Extern(id) => self.externs[id.0],
                    Target::Data(id, addend) => {
                        self.sections[*section].data[at + 4..at + 8].copy_from_slice(&addend.to_le_bytes());
                        self.data[id.0]
                    }
                };
                let kind = if call { R_CALL } else { R_LOAD };
                self.relocations.entry(*section).or_default().push(OutRelocation { offset: at as u64, symbol, kind });
            }
        }
    }

    /// `.BTF.ext`: records by section, ascending by instruction.
    fn info(&self, object: &Object, btf: &mut Btf) -> BtfExt {
        let mut names: HashMap<usize, u32> = HashMap::new();
        let mut order = Vec::new();
        for (section, _) in &self.places {
            names.entry(*section).or_insert_with(|| {
                order.push(*section);
                btf.add_text(&self.sections[*section].name)
            });
        }
        let mut ext = BtfExt::default();
        for section in order {
            let own = || object.functions.iter().zip(&self.places).filter(move |(_, place)| place.0 == section);
            let at = |offset: &usize, insn: usize| (offset + insn * INSN_SIZE) as u32;
            let name = names[&section];
            let functions = own().filter_map(|(f, (_, offset))| Some([at(offset, 0), f.func_type?])).collect();
            let lines = own()
                .flat_map(|(f, (_, offset))| {
                    f.lines.iter().map(move |l| [at(offset, l.insn), l.file, l.text, l.position])
                })
                .collect();
            let core = own()
                .flat_map(|(f, (_, offset))| {
                    f.core.iter().map(move |r| [at(offset, r.insn), r.type_id, r.access, r.kind])
                })
                .collect();
            ext.functions.push(ExtSection { name, records: functions });
            ext.lines.push(ExtSection { name, records: lines });
            ext.core.push(ExtSection { name, records: core });
        }
        ext
    }

    /// Sorts symbols (local ones first, as ELF wants), adds the tables, lays everything out.
    fn finish(mut self) -> Vec<u8> {
        let mut order: Vec<usize> = (0..self.symbols.len()).collect();
        order.sort_by_key(|at| self.symbols[*at].bind != LOCAL);
        let locals = self.symbols.iter().filter(|s| s.bind == LOCAL).count();
        let mut new_index = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            new_index[*old] = new;
        }
        let (mut table, mut strings) = (Vec::new(), vec![0u8]);
        for at in order {
            encode_symbol(&self.symbols[at], &mut table, &mut strings);
        }
        let symtab = self.sections.len();
        let (link, info) = (symtab as u32 + 1, locals as u32);
        let name = ".symtab".to_string();
        self.sections.push(OutSection {
            name,
            kind: section_type::SYMTAB,
            align: 8,
            data: table,
            link,
            info,
            entry: SYM,
            ..OutSection::default()
        });
        let name = ".strtab".to_string();
        self.sections.push(OutSection {
            name,
            kind: section_type::STRTAB,
            align: 1,
            data: strings,
            ..OutSection::default()
        });
        let mut relocations: Vec<_> = std::mem::take(&mut self.relocations).into_iter().collect();
        relocations.sort_by_key(|(section, _)| *section);
        for (section, mut list) in relocations {
            list.sort_by_key(|r| r.offset);
            let encode = |r: &OutRelocation| [r.offset, (new_index[r.symbol] as u64) << 32 | u64::from(r.kind)];
            let data = list.iter().flat_map(encode).flat_map(u64::to_le_bytes).collect();
            let name = format!(".rel{}", self.sections[section].name);
            let (link, info) = (symtab as u32, section as u32);
            self.sections.push(OutSection {
                name,
                kind: section_type::REL,
                align: 8,
                data,
                link,
                info,
                entry: REL,
                ..OutSection::default()
            });
        }
        lay_out(self.sections)
    }
}

/// Makes the BTF struct of a map: its id, its size, the offset of `values`.
fn define(btf: &mut Btf, map: &Map) -> (u32, u32, u32) {
    let slots = map.values.iter().map(|(key, _)| key + 1).max().unwrap_or(0);
    let programs = map.shape.kind == map_type::PROG_ARRAY && slots > 0;
    define_map(btf, &map.shape, map.inner.as_ref(), map.pinning == Pinning::ByName, programs, slots)
}

fn encode_symbol(symbol: &OutSymbol, table: &mut Vec<u8>, strings: &mut Vec<u8>) {
    let name = if symbol.name.is_empty() { 0 } else { strings.len() as u32 };
    if name != 0 {
        strings.extend_from_slice(symbol.name.as_bytes());
        strings.push(0);
    }
    table.extend_from_slice(&name.to_le_bytes());
    table.extend_from_slice(&[symbol.bind << 4 | symbol.kind, symbol.other]);
    table.extend_from_slice(&(symbol.section as u16).to_le_bytes());
    table.extend_from_slice(&symbol.value.to_le_bytes());
    table.extend_from_slice(&symbol.size.to_le_bytes());
}

fn lay_out(mut sections: Vec<OutSection>) -> Vec<u8> {
    let name = ".shstrtab".to_string();
    sections.push(OutSection { name, kind: section_type::STRTAB, align: 1, ..OutSection::default() });
    let mut names = vec![0u8];
    let mut name_at = Vec::new();
    for section in &sections {
        name_at.push(if section.name.is_empty() { 0 } else { names.len() as u32 });
        if !section.name.is_empty() {
            names.extend_from_slice(section.name.as_bytes());
            names.push(0);
        }
    }
    let count = sections.len() as u16;
    if let Some(last) = sections.last_mut() {
        last.data = names;
    }
    let mut out = vec![0u8; EHDR];
    let mut headers = Vec::new();
    for (section, name) in sections.iter().zip(name_at) {
        out.resize(out.len().next_multiple_of(8), 0);
        let offset = if section.kind == 0 { 0 } else { out.len() as u64 };
        out.extend_from_slice(&section.data);
        let size = section.data.len() as u64 + section.zero;
        headers.extend_from_slice(&name.to_le_bytes());
        headers.extend_from_slice(&section.kind.to_le_bytes());
        headers.extend([section.flags, 0, offset, size].iter().flat_map(|w| w.to_le_bytes()));
        headers.extend([section.link, section.info].iter().flat_map(|w| w.to_le_bytes()));
        headers.extend([section.align, section.entry].iter().flat_map(|w| w.to_le_bytes()));
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = out.len() as u64;
    out.extend_from_slice(&headers);
    out[..EHDR].copy_from_slice(&header(table, count));
    out
}

fn header(table: u64, count: u16) -> [u8; EHDR] {
    let mut head = [0u8; EHDR];
    head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    head[16..18].copy_from_slice(&1u16.to_le_bytes());
    head[18..20].copy_from_slice(&MACHINE_BPF.to_le_bytes());
    head[20..24].copy_from_slice(&1u32.to_le_bytes());
    head[40..48].copy_from_slice(&table.to_le_bytes());
    for (at, value) in [(52, EHDR as u16), (58, SHDR), (60, count), (62, count.saturating_sub(1))] {
        head[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    head
}
