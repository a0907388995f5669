//! The tables of an ELF file in the words of readelf and objdump.

use serde::Serialize;
use xdpilot_core::elf::{File, section_type, symbol_type};

/// A section, as `readelf -S` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct SectionFact {
    /// Its index.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// `PROGBITS`, `SYMTAB`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// Letters: `W` writable, `A` in memory, `X` instructions, ….
    pub flags: String,
    /// Bytes.
    pub size: u64,
}

/// A symbol, as `objdump -t` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct SymbolFact {
    /// Offset in its section, in bytes.
    pub value: u64,
    /// Bytes; 0 where unknown.
    pub size: u64,
    /// `FUNC`, `OBJECT`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// `LOCAL`, `GLOBAL` or `WEAK`.
    pub binding: String,
    /// The section's name, `UND` for what is not here, `ABS` for numbers.
    pub section: String,
    /// Its name.
    pub name: String,
}

/// All sections.
pub(super) fn sections(file: &File<'_>) -> Vec<SectionFact> {
    let fact = |(index, section): (usize, &xdpilot_core::elf::Section<'_>)| SectionFact {
        index,
        name: section.name.to_string(),
        kind: section_kind(section.kind),
        flags: section_flags(section.flags),
        size: section.size,
    };
    file.sections.iter().enumerate().map(fact).collect()
}

/// All symbols but the empty first one.
pub(super) fn symbols(file: &File<'_>) -> Vec<SymbolFact> {
    let section = |index: usize| match index {
        0 => "UND".to_string(),
        0xfff1 => "ABS".to_string(),
        0xfff2 => "COMMON".to_string(),
        index => file.sections.get(index).map_or_else(|| format!("section {index}"), |s| s.name.to_string()),
    };
    file.symbols
        .iter()
        .skip(1)
        .map(|symbol| SymbolFact {
            value: symbol.value,
            size: symbol.size,
            kind: symbol_kind(symbol.kind),
            binding: match symbol.bind {
                0 => "LOCAL".to_string(),
                1 => "GLOBAL".to_string(),
                2 => "WEAK".to_string(),
                other => other.to_string(),
            },
            section: section(symbol.section),
            // objdump names a section's symbol by the section.
            name: if symbol.kind == symbol_type::SECTION && symbol.name.is_empty() {
                section(symbol.section)
            } else {
                symbol.name.to_string()
            },
        })
        .collect()
}

fn section_kind(kind: u32) -> String {
    match kind {
        0 => "NULL".to_string(),
        section_type::PROGBITS => "PROGBITS".to_string(),
        section_type::SYMTAB => "SYMTAB".to_string(),
        section_type::STRTAB => "STRTAB".to_string(),
        section_type::RELA => "RELA".to_string(),
        7 => "NOTE".to_string(),
        section_type::NOBITS => "NOBITS".to_string(),
        section_type::REL => "REL".to_string(),
        0x6fff_4c03 => "LLVM_ADDRSIG".to_string(),
        other => format!("0x{other:x}"),
    }
}

fn symbol_kind(kind: u8) -> String {
    match kind {
        symbol_type::NOTYPE => "NOTYPE".to_string(),
        symbol_type::OBJECT => "OBJECT".to_string(),
        symbol_type::FUNC => "FUNC".to_string(),
        symbol_type::SECTION => "SECTION".to_string(),
        4 => "FILE".to_string(),
        other => other.to_string(),
    }
}

/// The letters of readelf, in the order of the bits.
fn section_flags(flags: u64) -> String {
    const LETTERS: [(u64, char); 10] = [
        (0x1, 'W'),
        (0x2, 'A'),
        (0x4, 'X'),
        (0x10, 'M'),
        (0x20, 'S'),
        (0x40, 'I'),
        (0x80, 'L'),
        (0x200, 'G'),
        (0x400, 'T'),
        (0x8000_0000, 'E'),
    ];
    LETTERS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| letter).collect()
}
