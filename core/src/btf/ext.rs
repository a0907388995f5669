//! `.BTF.ext`: per section, which instruction has which function type, source line or CO-RE relocation.

use super::word;

const MAGIC: u16 = 0xeb9f;

/// The records of one kind for one ELF section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<const WORDS: usize> {
    /// String offset of the ELF section's name, in the object's BTF.
    pub name: u32,
    /// Records; the first word is an offset in bytes into the section.
    pub records: Vec<[u32; WORDS]>,
}

/// A whole `.BTF.ext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BtfExt {
    /// Instruction offset, type id.
    pub functions: Vec<Section<2>>,
    /// Instruction offset, file name, line text, line << 10 | column.
    pub lines: Vec<Section<4>>,
    /// Instruction offset, type id, access string, kind.
    pub core: Vec<Section<4>>,
}

impl BtfExt {
    /// Reads the section; what is malformed is left out, since all of it is optional to the kernel.
    pub fn parse(bytes: &[u8]) -> BtfExt {
        if bytes.get(..2) != Some(&MAGIC.to_le_bytes()) {
            return BtfExt::default();
        }
        let header = word(bytes, 4).unwrap_or(0) as usize;
        let part = |at: usize| -> Option<&[u8]> {
            if at + 8 > header {
                return None;
            }
            let start = header.checked_add(word(bytes, at)? as usize)?;
            bytes.get(start..start.checked_add(word(bytes, at + 4)? as usize)?)
        };
        BtfExt {
            functions: part(8).map(sections).unwrap_or_default(),
            lines: part(16).map(sections).unwrap_or_default(),
            core: part(24).map(sections).unwrap_or_default(),
        }
    }

    /// The bytes of the section.
    pub fn encode(&self) -> Vec<u8> {
        let parts = [encode(&self.functions), encode(&self.lines), encode(&self.core)];
        let header = 8 + parts.len() * 8;
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[1, 0]);
        out.extend_from_slice(&(header as u32).to_le_bytes());
        let mut offset = 0;
        for part in &parts {
            out.extend_from_slice(&(offset as u32).to_le_bytes());
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            offset += part.len();
        }
        out.extend(parts.iter().flatten());
        out
    }
}

fn sections<const WORDS: usize>(bytes: &[u8]) -> Vec<Section<WORDS>> {
    let mut out = Vec::new();
    let Some(size) = word(bytes, 0).map(|w| w as usize).filter(|size| *size >= WORDS * 4) else { return out };
    let mut at = 4;
    while let (Some(name), Some(count)) = (word(bytes, at), word(bytes, at + 4)) {
        at += 8;
        let Some(records) = size.checked_mul(count as usize).and_then(|len| bytes.get(at..at.checked_add(len)?)) else {
            break;
        };
        at += records.len();
        let records = records.chunks_exact(size).map(|r| std::array::from_fn(|i| word(r, i * 4).unwrap_or(0)));
        out.push(Section { name, records: records.collect() });
    }
    out
}

fn encode<const WORDS: usize>(sections: &[Section<WORDS>]) -> Vec<u8> {
    let mut out = Vec::new();
    if sections.iter().all(|s| s.records.is_empty()) {
        return out;
    }
    out.extend_from_slice(&(WORDS as u32 * 4).to_le_bytes());
    for section in sections.iter().filter(|s| !s.records.is_empty()) {
        out.extend_from_slice(&section.name.to_le_bytes());
        out.extend_from_slice(&(section.records.len() as u32).to_le_bytes());
        out.extend(section.records.iter().flatten().flat_map(|w| w.to_le_bytes()));
    }
    out
}
