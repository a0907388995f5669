//! BPF Type Format (Documentation/bpf/btf.rst) as values: types by id, and their strings.

mod ext;
mod map_definition;
mod sanitize;

pub use ext::{BtfExt, Section as ExtSection};
pub use map_definition::{Definition, define_map, read_map};
pub(crate) use sanitize::{identifier, is_identifier};

use crate::error::{Error, Result};

/// Type kinds (`BTF_KIND_*`, include/uapi/linux/btf.h).
#[allow(missing_docs, reason = "the kernel's own names")]
pub mod kind {
    pub const INT: u8 = 1;
    pub const PTR: u8 = 2;
    pub const ARRAY: u8 = 3;
    pub const STRUCT: u8 = 4;
    pub const UNION: u8 = 5;
    pub const ENUM: u8 = 6;
    pub const FWD: u8 = 7;
    pub const TYPEDEF: u8 = 8;
    pub const VOLATILE: u8 = 9;
    pub const CONST: u8 = 10;
    pub const RESTRICT: u8 = 11;
    pub const FUNC: u8 = 12;
    pub const FUNC_PROTO: u8 = 13;
    pub const VAR: u8 = 14;
    pub const DATASEC: u8 = 15;
    pub const FLOAT: u8 = 16;
    pub const DECL_TAG: u8 = 17;
    pub const TYPE_TAG: u8 = 18;
    pub const ENUM64: u8 = 19;
}

/// `BTF_FUNC_STATIC`.
pub const FUNC_STATIC: u16 = 0;
/// `BTF_FUNC_GLOBAL`.
pub const FUNC_GLOBAL: u16 = 1;
/// `BTF_VAR_GLOBAL_ALLOCATED`.
pub const VAR_GLOBAL: u32 = 1;

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
/// In bytes. Many types may share one text, which is then read for each of them.
const LONGEST_TEXT: usize = 4096;

/// One type: the common three words, and the words that follow them by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// String offset of its name; 0 is no name.
    pub name: u32,
    /// One of [`kind`].
    pub kind: u8,
    /// Number of members, parameters or variables; linkage for FUNC.
    pub vlen: u16,
    /// The kind's flag.
    pub flag: bool,
    /// Size in bytes, or the id of the type that it refers to.
    pub size_or_type: u32,
    /// What follows, in 32-bit words.
    pub tail: Vec<u32>,
}

/// A variable in a DATASEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionVariable {
    /// Id of the VAR (or of the FUNC, in `.ksyms`).
    pub type_id: u32,
    /// Offset in the section.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// All types of an object. Id 0 is `void`; id `n` is the n-th type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Btf {
    types: Vec<Type>,
    strings: Vec<u8>,
}

impl Default for Btf {
    fn default() -> Self {
        Btf { types: Vec::new(), strings: vec![0] }
    }
}

/// How many 32-bit words follow a type's head.
fn tail_words(kind: u8, vlen: u16) -> Option<usize> {
    let n = usize::from(vlen);
    Some(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 1,
        kind::ARRAY => 3,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 3 * n,
        kind::ENUM | kind::FUNC_PROTO => 2 * n,
        kind::PTR..=kind::TYPE_TAG => 0,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Btf {
    /// Reads the bytes of a `.BTF` section.
    ///
    /// # Errors
    /// The section is cut, or holds a kind that is not known.
    pub fn parse(bytes: &[u8]) -> Result<Btf> {
        let bad = |why: &str| Error::failed(format!("read the BTF of the object: {why}"));
        if bytes.get(..2) != Some(&MAGIC.to_le_bytes()) {
            return Err(bad("no BTF magic"));
        }
        let field = |at| word(bytes, at).map(|w| w as usize).ok_or_else(|| bad("header cut"));
        let (header, type_off, type_len, str_off, str_len) = (field(4)?, field(8)?, field(12)?, field(16)?, field(20)?);
        let part = |off: usize, len: usize| {
            let start = header.checked_add(off)?;
            bytes.get(start..start.checked_add(len)?)
        };
        let types = part(type_off, type_len).ok_or_else(|| bad("types outside of the section"))?;
        let strings = part(str_off, str_len).ok_or_else(|| bad("strings outside of the section"))?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(bad("strings do not begin and end with a zero byte"));
        }
        Ok(Btf {
            types: parse_types(types).ok_or_else(|| bad("types cut, or of an unknown kind"))?,
            strings: strings.to_vec(),
        })
    }

    /// The bytes of a `.BTF` section.
    pub fn encode(&self) -> Vec<u8> {
        let mut types = Vec::new();
        for t in &self.types {
            let info = u32::from(t.vlen) | u32::from(t.kind) << 24 | u32::from(t.flag) << 31;
            for w in [t.name, info, t.size_or_type].iter().chain(&t.tail) {
                types.extend_from_slice(&w.to_le_bytes());
            }
        }
        let mut out = Vec::with_capacity(HEADER + types.len() + self.strings.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[1, 0]);
        for w in [HEADER, 0, types.len(), types.len(), self.strings.len()] {
            out.extend_from_slice(&(w as u32).to_le_bytes());
        }
        out.extend_from_slice(&types);
        out.extend_from_slice(&self.strings);
        out
    }

    /// The type of this id; `void` (0) and unknown ids have none.
    pub fn get(&self, id: u32) -> Option<&Type> {
        self.types.get((id as usize).checked_sub(1)?)
    }

    /// The type of this id, to change it.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Type> {
        self.types.get_mut((id as usize).checked_sub(1)?)
    }

    /// All types with their ids.
    pub fn types(&self) -> impl Iterator<Item = (u32, &Type)> {
        (1u32..).zip(&self.types)
    }

    /// The text at a string offset; empty where there is none, or one longer than any compiler writes.
    pub fn text(&self, offset: u32) -> &str {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let end = rest.iter().take(LONGEST_TEXT).position(|b| *b == 0).unwrap_or(0);
        std::str::from_utf8(&rest[..end]).unwrap_or("")
    }

    /// The name of a type; empty where it has none.
    pub fn name(&self, id: u32) -> &str {
        self.get(id).map_or("", |t| self.text(t.name))
    }

    /// Adds a string and returns its offset.
    pub fn add_text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend(text.bytes().filter(|b| *b != 0));
        self.strings.push(0);
        offset
    }

    /// Adds a type and returns its id.
    pub fn add(&mut self, kind: u8, name: &str, vlen: u16, size_or_type: u32, tail: Vec<u32>) -> u32 {
        let name = self.add_text(name);
        self.types.push(Type { name, kind, vlen, flag: false, size_or_type, tail });
        self.types.len() as u32
    }

    /// Adds a signed or unsigned integer of 32 or 64 bits and returns its id.
    pub fn add_int(&mut self, name: &str, bytes: u32, signed: bool) -> u32 {
        self.add(kind::INT, name, 0, bytes, vec![(u32::from(signed) << 24) | (bytes * 8)])
    }

    /// Adds an array of `len` elements and returns its id; `index` is the id of an integer.
    pub fn add_array(&mut self, element: u32, index: u32, len: u32) -> u32 {
        self.add(kind::ARRAY, "", 0, 0, vec![element, index, len])
    }

    /// Adds `static int NAME(params)` and returns the id of the FUNC.
    pub fn add_function(&mut self, name: &str, params: &[(&str, u32)]) -> u32 {
        let proto = self.add_prototype(params);
        self.add(kind::FUNC, name, FUNC_STATIC, proto, Vec::new())
    }

    /// Adds the type of functions `int f(params)` and returns its id.
    pub fn add_prototype(&mut self, params: &[(&str, u32)]) -> u32 {
        let int = self.add_int("int", 4, true);
        let mut tail = Vec::with_capacity(params.len() * 2);
        for (name, id) in params {
            tail.extend([self.add_text(name), *id]);
        }
        self.add(kind::FUNC_PROTO, "", params.len() as u16, int, tail)
    }

    /// The DATASEC of this section and its variables.
    pub fn section(&self, name: &str) -> Option<(u32, Vec<SectionVariable>)> {
        let (id, t) = self.types().find(|(id, t)| t.kind == kind::DATASEC && self.name(*id) == name)?;
        let variables = t.tail.as_chunks::<3>().0;
        Some((id, variables.iter().map(|&[type_id, offset, size]| SectionVariable { type_id, offset, size }).collect()))
    }

    /// Adds a DATASEC, or replaces the variables of `id`.
    pub fn set_section(&mut self, id: Option<u32>, name: &str, size: u32, variables: &[SectionVariable]) {
        let tail: Vec<u32> = variables.iter().flat_map(|v| [v.type_id, v.offset, v.size]).collect();
        let vlen = variables.len() as u16;
        match id.and_then(|id| self.get_mut(id)) {
            Some(t) => (t.vlen, t.size_or_type, t.tail) = (vlen, size, tail),
            None => _ = self.add(kind::DATASEC, name, vlen, size, tail),
        }
    }

    /// Puts an unused integer in the place of a type, so that all other ids stay.
    pub fn retire(&mut self, id: u32) {
        let name = self.add_text("retired");
        if let Some(t) = self.get_mut(id) {
            *t = Type { name, kind: kind::INT, vlen: 0, flag: false, size_or_type: 4, tail: vec![32] };
        }
    }

    /// Renames a type.
    pub fn rename(&mut self, id: u32, name: &str) {
        let offset = self.add_text(name);
        if let Some(t) = self.get_mut(id) {
            t.name = offset;
        }
    }

    /// The type behind typedefs and qualifiers.
    pub fn resolve(&self, mut id: u32) -> u32 {
        for _ in 0..32 {
            match self.get(id) {
                Some(t) if matches!(t.kind, kind::TYPEDEF..=kind::RESTRICT | kind::TYPE_TAG) => id = t.size_or_type,
                _ => break,
            }
        }
        id
    }

    /// The size of a type in bytes, where a variable of it can be: sections are no types of variables.
    pub fn size_of(&self, id: u32) -> Option<u32> {
        let mut id = self.resolve(id);
        let mut count: u32 = 1;
        for _ in 0..32 {
            let t = self.get(id)?;
            match t.kind {
                kind::ARRAY => {
                    count = count.checked_mul(*t.tail.get(2)?)?;
                    id = self.resolve(*t.tail.first()?);
                }
                kind::PTR => return count.checked_mul(8),
                kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FLOAT => {
                    return count.checked_mul(t.size_or_type);
                }
                _ => return None,
            }
        }
        None
    }

    /// Members of a struct or union: name, type id, offset in bits.
    pub fn members(&self, id: u32) -> impl Iterator<Item = (&str, u32, u32)> {
        let t = self.get(id).filter(|t| matches!(t.kind, kind::STRUCT | kind::UNION));
        let flag = t.is_some_and(|t| t.flag);
        let members = t.map_or(&[][..], |t| t.tail.as_chunks::<3>().0);
        members
            .iter()
            .map(move |&[name, id, offset]| (self.text(name), id, if flag { offset & 0xff_ffff } else { offset }))
    }
}

fn parse_types(mut bytes: &[u8]) -> Option<Vec<Type>> {
    let mut types = Vec::new();
    while !bytes.is_empty() {
        let (name, info, size_or_type) = (word(bytes, 0)?, word(bytes, 4)?, word(bytes, 8)?);
        let (kind, vlen) = ((info >> 24) as u8 & 0x1f, info as u16);
        let words = tail_words(kind, vlen)?;
        let tail = bytes.get(12..12 + words * 4)?;
        types.push(Type {
            name,
            kind,
            vlen,
            flag: info >> 31 == 1,
            size_or_type,
            tail: tail.as_chunks().0.iter().map(|w| u32::from_le_bytes(*w)).collect(),
        });
        bytes = &bytes[12 + words * 4..];
    }
    Some(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_types_read_back_the_same() {
        let mut btf = Btf::default();
        let int = btf.add_int("int", 4, true);
        let array = btf.add_array(int, int, 7);
        btf.add_function("main", &[("ctx", 0)]);
        btf.set_section(None, ".data", 28, &[SectionVariable { type_id: array, offset: 0, size: 28 }]);
        let again = Btf::parse(&btf.encode()).unwrap();
        assert_eq!(again, btf);
        assert_eq!(again.size_of(array), Some(28));
        assert_eq!(again.section(".data").map(|(_, v)| v.len()), Some(1));
    }

    #[test]
    fn cut_sections_are_errors() {
        let mut btf = Btf::default();
        btf.add_function("main", &[("ctx", 0)]);
        let bytes = btf.encode();
        for len in 0..bytes.len() {
            assert!(Btf::parse(&bytes[..len]).is_err(), "{len}");
        }
    }
}
