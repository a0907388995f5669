//! An ELF file as its tables say: sections, symbols, relocations. Bytes are borrowed, never copied.

use std::collections::HashMap;

use super::budget::Budget;
use crate::error::{Error, Result};

/// Section types (`SHT_*`).
pub mod section_type {
    /// Program data.
    pub const PROGBITS: u32 = 1;
    /// Symbols.
    pub const SYMTAB: u32 = 2;
    /// Strings.
    pub const STRTAB: u32 = 3;
    /// Relocations with addends.
    pub const RELA: u32 = 4;
    /// Zero bytes.
    pub const NOBITS: u32 = 8;
    /// Relocations without addends.
    pub const REL: u32 = 9;
}

/// Section flags (`SHF_*`).
pub mod section_flag {
    /// Writable.
    pub const WRITE: u64 = 1;
    /// Part of the program's memory.
    pub const ALLOC: u64 = 2;
    /// Instructions.
    pub const EXEC: u64 = 4;
}

/// Symbol types (`STT_*`).
pub mod symbol_type {
    /// No type: what old LLVM gives functions, and labels.
    pub const NOTYPE: u8 = 0;
    /// A variable.
    pub const OBJECT: u8 = 1;
    /// A function.
    pub const FUNC: u8 = 2;
    /// A section as a whole.
    pub const SECTION: u8 = 3;
}

/// `EM_BPF`.
pub(super) const MACHINE_BPF: u16 = 247;
const EHDR: usize = 64;
const SHDR: usize = 64;
const SYM: usize = 24;
/// `SHN_LORESERVE`: section indexes from here on mean something else.
const RESERVED: u16 = 0xff00;

/// A section.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// Its name.
    pub name: &'a str,
    /// `SHT_*`.
    pub kind: u32,
    /// `SHF_*`.
    pub flags: u64,
    /// Size in bytes, also where there are no bytes in the file.
    pub size: u64,
    /// Index of a section that it refers to.
    pub link: u32,
    /// For relocations: the section that they patch.
    pub info: u32,
    /// Alignment in bytes.
    pub align: u64,
    /// Its bytes.
    pub data: &'a [u8],
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// `STT_*`.
    pub kind: u8,
    /// `STB_*`: 0 local, 1 global, 2 weak.
    pub bind: u8,
    /// `st_other`: visibility.
    pub other: u8,
    /// Index of the section it stands in; 0 if undefined.
    pub section: usize,
    /// Offset in the section.
    pub value: u64,
    /// Size in bytes; 0 if unknown.
    pub size: u64,
}

impl Symbol<'_> {
    /// Whether other files may see it.
    pub fn is_global(&self) -> bool {
        self.bind != 0
    }
}

/// A relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Offset of the patched bytes in the section.
    pub offset: u64,
    /// Index of the symbol.
    pub symbol: usize,
}

/// An ELF file.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Its sections by index; the first is empty.
    pub sections: Vec<Section<'a>>,
    /// Its symbols by index; the first is empty.
    pub symbols: Vec<Symbol<'a>>,
    /// Which sections hold the relocations of a section.
    relocation_tables: HashMap<u32, Vec<usize>>,
    /// Which symbols stand in a section.
    symbols_of: HashMap<usize, Vec<usize>>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

/// The string at an offset of a string table; empty where it is cut or not UTF-8.
pub(crate) fn text_at(table: &[u8], offset: usize) -> &str {
    let rest = table.get(offset..).unwrap_or_default();
    let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
    std::str::from_utf8(&rest[..end]).unwrap_or("")
}

impl<'a> File<'a> {
    /// Reads the tables of a 64-bit little-endian BPF ELF file.
    ///
    /// # Errors
    /// The file is not such a file, or a table lies outside of it.
    pub fn parse(bytes: &'a [u8]) -> Result<File<'a>> {
        check_head(bytes)?;
        let cut =
            || Error::usage("the ELF file is cut: a table lies outside of it").cause("the file was not copied whole");
        let table = u64_at(bytes, 40).ok_or_else(cut)?;
        let (count, names) = (u16_at(bytes, 60).ok_or_else(cut)?, u16_at(bytes, 62).ok_or_else(cut)?);
        if u16_at(bytes, 58) != Some(SHDR as u16) {
            return Err(Error::usage("the ELF file has section headers of an unknown size"));
        }
        if count >= RESERVED {
            return Err(Error::usage(format!("the ELF file has {count} sections, more than symbols can name")));
        }
        let headers = slice(bytes, table, u64::from(count) * SHDR as u64).ok_or_else(cut)?;
        let headers = headers.as_chunks::<SHDR>().0;
        let mut sections = Vec::with_capacity(headers.len());
        for header in headers {
            sections.push(section(bytes, header).ok_or_else(cut)?);
        }
        let table = sections.get(usize::from(names)).map_or(&[][..], |s: &Section<'_>| s.data);
        let mut budget = Budget::of_file(bytes.len());
        for (section, header) in sections.iter_mut().zip(headers) {
            section.name = text_at(table, u32_at(header, 0).unwrap_or(0) as usize);
            budget.take(section.name.len())?;
        }
        // Sections of a real file do not overlap; without this, a small file could claim gigabytes.
        if sections.iter().map(|s| s.data.len()).sum::<usize>() > bytes.len() {
            return Err(Error::usage("the ELF file is malformed: its sections overlap"));
        }
        let mut relocation_tables: HashMap<u32, Vec<usize>> = HashMap::new();
        for (index, section) in sections.iter().enumerate() {
            if matches!(section.kind, section_type::REL | section_type::RELA) {
                relocation_tables.entry(section.info).or_default().push(index);
            }
        }
        let symbols = symbols(&sections, &mut budget)?;
        let mut symbols_of: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, symbol) in symbols.iter().enumerate() {
            symbols_of.entry(symbol.section).or_default().push(index);
        }
        Ok(File { sections, symbols, relocation_tables, symbols_of })
    }

    /// The first section of this name.
    pub fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// The named symbols that stand in section `index`, in the order of the table.
    pub fn symbols_of(&self, index: usize) -> impl Iterator<Item = &Symbol<'a>> {
        let own = self.symbols_of.get(&index).map_or(&[][..], Vec::as_slice);
        own.iter().map(|at| &self.symbols[*at]).filter(|symbol| !symbol.name.is_empty())
    }

    /// All relocations that patch section `index`, ascending by offset.
    pub fn relocations(&self, index: usize) -> Vec<Relocation> {
        let tables = self.relocation_tables.get(&(index as u32)).map_or(&[][..], Vec::as_slice);
        let mut out = Vec::new();
        for table in tables.iter().map(|at| &self.sections[*at]) {
            let size = if table.kind == section_type::RELA { 24 } else { 16 };
            out.extend(
                table
                    .data
                    .chunks_exact(size)
                    .filter_map(|r| Some(Relocation { offset: u64_at(r, 0)?, symbol: (u64_at(r, 8)? >> 32) as usize })),
            );
        }
        out.sort_by_key(|r| r.offset);
        out
    }
}

fn check_head(bytes: &[u8]) -> Result<()> {
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(Error::usage("not an ELF file").cause("an object made by `clang -target bpf -c` is expected"));
    }
    match (bytes.get(4), bytes.get(5)) {
        (Some(2), Some(1)) if bytes.len() >= EHDR => {}
        (Some(2), Some(2)) => {
            return Err(Error::usage("the object is big-endian")
                .cause("it was made for other machines")
                .mend("clang -target bpfel …"));
        }
        _ => return Err(Error::usage("not a 64-bit ELF file").cause("BPF objects are 64-bit little-endian ELF files")),
    }
    match u16_at(bytes, 18) {
        // Compilers before LLVM 3.9 wrote no machine.
        Some(MACHINE_BPF | 0) => Ok(()),
        machine => Err(Error::usage(format!("an ELF file for another machine (e_machine {})", machine.unwrap_or(0)))
            .cause("it was compiled for a processor, not for BPF")
            .mend("clang -O2 -g -target bpf -c prog.c -o prog.o")),
    }
}

fn section<'a>(bytes: &'a [u8], header: &[u8]) -> Option<Section<'a>> {
    let (kind, offset, size) = (u32_at(header, 4)?, u64_at(header, 24)?, u64_at(header, 32)?);
    let data = if kind == section_type::NOBITS || kind == 0 { &[] } else { slice(bytes, offset, size)? };
    Some(Section {
        name: "",
        kind,
        flags: u64_at(header, 8)?,
        size,
        link: u32_at(header, 40)?,
        info: u32_at(header, 44)?,
        align: u64_at(header, 48)?,
        data,
    })
}

fn symbols<'a>(sections: &[Section<'a>], budget: &mut Budget) -> Result<Vec<Symbol<'a>>> {
    let Some(table) = sections.iter().find(|s| s.kind == section_type::SYMTAB) else { return Ok(Vec::new()) };
    let names = sections.get(table.link as usize).map_or(&[][..], |s| s.data);
    let mut out = Vec::with_capacity(table.data.len() / SYM);
    for raw in table.data.as_chunks::<SYM>().0 {
        let name = text_at(names, u32_at(raw, 0).unwrap_or(0) as usize);
        budget.take(name.len())?;
        out.push(Symbol {
            name,
            kind: raw[4] & 0xf,
            bind: raw[4] >> 4,
            other: raw[5],
            section: usize::from(u16_at(raw, 6).unwrap_or(0)),
            value: u64_at(raw, 8).unwrap_or(0),
            size: u64_at(raw, 16).unwrap_or(0),
        });
    }
    Ok(out)
}
