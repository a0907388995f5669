//! BTF-defined maps: the struct of a `.maps` variable, read and made
//! (`parse_btf_map_def`, tools/lib/bpf/libbpf.c).

use super::{Btf, kind};
use crate::error::{Error, Result};
use crate::object::{Pinning, Shape};

/// libbpf knows twelve members; a struct with very many would be read for each of very many maps.
const MOST_MEMBERS: usize = 32;

/// What the struct of a map variable says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// How the map is created.
    pub shape: Shape,
    /// What maps inside are created like.
    pub inner: Option<Shape>,
    /// Where it stays.
    pub pinning: Pinning,
    /// Offset in bytes of the array `values`.
    pub values_offset: Option<u32>,
}

/// Reads the map definition in struct `id`.
///
/// # Errors
/// The type is not a struct, or a member has a form that no compiler makes.
pub fn read_map(btf: &Btf, id: u32) -> Result<Definition> {
    read(btf, btf.resolve(id), true)
}

fn read(btf: &Btf, id: u32, outer: bool) -> Result<Definition> {
    let bad = |what: &str| Error::failed(format!("read the map definition in BTF: {what}"));
    if btf.get(id).is_none_or(|t| t.kind != kind::STRUCT) {
        return Err(bad("not a struct"));
    }
    if btf.members(id).count() > MOST_MEMBERS {
        return Err(bad("too many members"));
    }
    let mut out = Definition::default();
    let (mut key_size, mut value_size) = (None, None);
    for (name, member, bits) in btf.members(id) {
        let number = || number(btf, member).ok_or_else(|| bad(&format!("member {name} holds no number")));
        let pointee = || {
            btf.get(btf.resolve(member))
                .filter(|t| t.kind == kind::PTR)
                .map(|t| t.size_or_type)
                .ok_or_else(|| bad(&format!("member {name} is no pointer")))
        };
        let shape = &mut out.shape;
        match name {
            "type" => shape.kind = number()?,
            "max_entries" => shape.max_entries = number()?,
            "map_flags" => shape.flags = number()?,
            "numa_node" => shape.numa_node = Some(number()?),
            "key_size" => key_size = Some(number()?),
            "value_size" => value_size = Some(number()?),
            "key" => (shape.key_type, shape.key_size) = sized(btf, pointee()?),
            "value" => (shape.value_type, shape.value_size) = sized(btf, pointee()?),
            "map_extra" => shape.extra = long(btf, member).ok_or_else(|| bad("member map_extra holds no number"))?,
            // Other values than 0 and 1 belong to other loaders; libbpf refuses them.
            "pinning" => out.pinning = if number()? == 1 { Pinning::ByName } else { Pinning::None },
            "values" if outer => {
                out.values_offset = Some(bits / 8);
                out.inner = inner(btf, member)?;
            }
            _ => {}
        }
    }
    let shape = &mut out.shape;
    shape.key_size = same_size(key_size, shape.key_type, shape.key_size).ok_or_else(|| bad("two sizes of the key"))?;
    shape.value_size =
        same_size(value_size, shape.value_type, shape.value_size).ok_or_else(|| bad("two sizes of the value"))?;
    Ok(out)
}

/// A type and its size; a pointer to `void` (from a macro) has neither.
fn sized(btf: &Btf, id: u32) -> (Option<u32>, u32) {
    btf.size_of(id).map_or((None, 0), |size| (Some(id), size))
}

/// The size that a definition gives by a number, by a type, or by both if they agree.
fn same_size(number: Option<u32>, type_id: Option<u32>, of_type: u32) -> Option<u32> {
    match (number, type_id) {
        (Some(number), Some(_)) => (number == of_type).then_some(number),
        (Some(number), None) => Some(number),
        (None, _) => Some(of_type),
    }
}

/// `int (*name)[N]` means N.
fn number(btf: &Btf, id: u32) -> Option<u32> {
    let pointer = btf.get(btf.resolve(id)).filter(|t| t.kind == kind::PTR)?;
    btf.get(pointer.size_or_type).filter(|t| t.kind == kind::ARRAY)?.tail.get(2).copied()
}

/// A number, or an enum64 whose first value is the number (`__ulong`).
fn long(btf: &Btf, id: u32) -> Option<u64> {
    if let Some(number) = number(btf, id) {
        return Some(u64::from(number));
    }
    let t = btf.get(btf.resolve(id))?;
    let wide = t.kind == kind::ENUM64;
    let narrow = t.kind == kind::ENUM;
    let low = u64::from(*t.tail.get(1)?);
    (wide || narrow).then(|| if wide { low | u64::from(t.tail.get(2).copied().unwrap_or(0)) << 32 } else { low })
}

/// The definition of inner maps: `values` is an array of pointers to it; program arrays point to functions.
fn inner(btf: &Btf, values: u32) -> Result<Option<Shape>> {
    let element = btf.get(btf.resolve(values)).filter(|t| t.kind == kind::ARRAY).and_then(|t| t.tail.first().copied());
    let pointee = element.and_then(|id| btf.get(btf.resolve(id))).filter(|t| t.kind == kind::PTR);
    let Some(id) = pointee.map(|t| btf.resolve(t.size_or_type)) else { return Ok(None) };
    if btf.get(id).is_none_or(|t| t.kind != kind::STRUCT) {
        return Ok(None);
    }
    Ok(Some(read(btf, id, false)?.shape))
}

/// Makes the struct of a map variable and returns its id, its size in bytes and the offset of `values`.
///
/// libbpf wants `values` to be an array of no elements; the struct is made so large that it covers
/// the `slots` pointers whose relocations fill it.
pub fn define_map(
    btf: &mut Btf,
    shape: &Shape,
    inner: Option<&Shape>,
    by_name: bool,
    programs: bool,
    slots: u32,
) -> (u32, u32, u32) {
    let mut maker = Maker { int: btf.add_int("int", 4, true), btf, members: Vec::new() };
    maker.shape(shape);
    if by_name {
        maker.number("pinning", 1);
    }
    let values_offset = maker.members.len() as u32 / 3 * 8;
    let pointee = match inner {
        Some(shape) => {
            let mut maker = Maker { int: maker.int, btf: &mut *maker.btf, members: Vec::new() };
            maker.shape(shape);
            Some(maker.finish(0))
        }
        None => programs.then(|| maker.btf.add(kind::FUNC_PROTO, "", 0, maker.int, Vec::new())),
    };
    if let Some(pointee) = pointee {
        let pointer = maker.btf.add(kind::PTR, "", 0, pointee, Vec::new());
        let array = maker.btf.add_array(pointer, maker.int, 0);
        maker.member("values", array);
    }
    let size = values_offset + if pointee.is_some() { slots * 8 } else { 0 };
    (maker.finish(size), size, values_offset)
}

/// Makes one struct member after another, each of eight bytes.
struct Maker<'a> {
    btf: &'a mut Btf,
    int: u32,
    members: Vec<u32>,
}

impl Maker<'_> {
    fn shape(&mut self, shape: &Shape) {
        self.number("type", shape.kind);
        for (typed, sized, id, size) in [
            ("key", "key_size", shape.key_type, shape.key_size),
            ("value", "value_size", shape.value_type, shape.value_size),
        ] {
            match id {
                Some(id) => {
                    let pointer = self.btf.add(kind::PTR, "", 0, id, Vec::new());
                    self.member(typed, pointer);
                }
                None if size != 0 => self.number(sized, size),
                None => {}
            }
        }
        self.number("max_entries", shape.max_entries);
        if shape.flags != 0 {
            self.number("map_flags", shape.flags);
        }
        if let Some(node) = shape.numa_node {
            self.number("numa_node", node);
        }
        match u32::try_from(shape.extra) {
            Ok(0) => {}
            Ok(extra) => self.number("map_extra", extra),
            Err(_) => self.long("map_extra", shape.extra),
        }
    }

    fn number(&mut self, name: &str, value: u32) {
        let array = self.btf.add_array(self.int, self.int, value);
        let pointer = self.btf.add(kind::PTR, "", 0, array, Vec::new());
        self.member(name, pointer);
    }

    fn long(&mut self, name: &str, value: u64) {
        let constant = self.btf.add_text(&format!("__{name}"));
        let id = self.btf.add(kind::ENUM64, "", 1, 8, vec![constant, value as u32, (value >> 32) as u32]);
        self.member(name, id);
    }

    fn member(&mut self, name: &str, id: u32) {
        let name = self.btf.add_text(name);
        self.members.extend([name, id, self.members.len() as u32 / 3 * 64]);
    }

    fn finish(self, size: u32) -> u32 {
        let count = self.members.len() / 3;
        let size = if size == 0 { count as u32 * 8 } else { size };
        self.btf.add(kind::STRUCT, "", count as u16, size, self.members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_definition_reads_back_the_same() {
        let mut btf = Btf::default();
        let inner = Shape { kind: 2, key_size: 4, value_size: 8, max_entries: 3, ..Shape::default() };
        let shape = Shape {
            kind: 12,
            key_size: 4,
            value_size: 4,
            max_entries: 9,
            flags: 1,
            extra: 1 << 40,
            ..Shape::default()
        };
        let (id, size, offset) = define_map(&mut btf, &shape, Some(&inner), true, false, 9);
        let read = read_map(&btf, id).unwrap();
        assert_eq!((&read.shape, read.inner.as_ref(), &read.pinning), (&shape, Some(&inner), &Pinning::ByName));
        assert_eq!((read.values_offset, size), (Some(offset), offset + 72));
    }
}
