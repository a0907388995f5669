//! Wraps a program as a subprogram of an entry of ours that counts packets and bytes by verdict.
//!
//! The entry keeps the program's name, calls the program, and returns its verdict unchanged. Tail calls
//! inside the program replace only the subprogram: their verdict returns to the entry too.

use crate::asm::{Insn, call, op};
use crate::btf::kind;
use crate::modernize::{Modern, map_type};
use crate::object::{Content, Data, DataId, DataSymbol, Declaration, FunctionId, Line, Map, MapId, Object};
use crate::object::{Pinning, Reference, Shape, TEXT, Target};

/// Name of the per-CPU array that holds the counts.
pub const COUNTS: &str = "xdpilot_counts";
/// Counted verdicts in the order of the map's keys: `enum xdp_action`, then all that is no verdict.
pub const VERDICTS: [&str; 6] = ["aborted", "drop", "pass", "tx", "redirect", "invalid"];
/// Section of the notes that travel with a program; bpftool shows them as its metadata.
pub const NOTES: &str = ".rodata.xdpilot";
/// Prefix of the variables that bpftool shows as metadata.
const METADATA: &str = "bpf_metadata_";

const INVALID: i32 = VERDICTS.len() as i32 - 1;
const MAP_LOOKUP: i32 = 1;
const XDP_GET_BUFF_LEN: i32 = 188;

/// Why a program cannot be wrapped.
///
/// An exception (`bpf_throw`) unwinds to the callback of the program's entry, which would then be ours.
pub fn obstacle(object: &Object) -> Option<&'static str> {
    object
        .externs
        .iter()
        .any(|e| e.name == "bpf_throw")
        .then_some("it throws exceptions, whose handler belongs to its entry")
}

/// Wraps the entry of an object that `modernize` made.
pub fn wrap(modern: &mut Modern) {
    let Modern { object, entry, .. } = modern;
    let FunctionId(at) = *entry;
    let frags = object.functions[at].section != "xdp";
    let counts = add_counts(object);
    let inner = add_inner(object, *entry);
    let (code, references) = entry_code(counts, inner, frags);
    let outer = &mut object.functions[at];
    let line = outer.lines.first().copied();
    (outer.code, outer.references, outer.core) = (code, references, Vec::new());
    let text = object.btf.get_or_insert_default().add_text("counts the verdict of the program");
    let outer = &mut object.functions[at];
    outer.lines = line.map(|line| Line { insn: 0, text, position: 0, ..line }).into_iter().collect();
}

fn add_counts(object: &mut Object) -> MapId {
    let shape = Shape {
        kind: map_type::PERCPU_ARRAY,
        key_size: 4,
        value_size: 16,
        max_entries: VERDICTS.len() as u32,
        ..Shape::default()
    };
    object.maps.push(Map {
        name: COUNTS.to_string(),
        shape,
        inner: None,
        values: Vec::new(),
        pinning: Pinning::None,
        declaration: Declaration::Generated,
    });
    MapId(object.maps.len() - 1)
}

/// Copies the program into `.text` as a static function `NAME__wrapped` that returns `int`.
fn add_inner(object: &mut Object, entry: FunctionId) -> FunctionId {
    let mut inner = object.function(entry).clone();
    inner.name.push_str("__wrapped");
    inner.section = TEXT.to_string();
    inner.global = false;
    let btf = object.btf.get_or_insert_default();
    // The kernel lets a subprogram tail-call only if it returns an integer; programs may say `enum` or nothing.
    let context = crate::modernize::context_pointer(btf);
    inner.func_type = Some(btf.add_function(&inner.name, &[("ctx", context)]));
    let id = FunctionId(object.functions.len());
    object.functions.push(inner);
    id
}

/// The entry. Registers: r6 context, then the verdict; r7 the packet's bytes at arrival.
fn entry_code(counts: MapId, inner: FunctionId, frags: bool) -> (Vec<Insn>, Vec<Reference>) {
    let mut code = vec![Insn::new(op::MOV64_REG, 6, 1, 0, 0)];
    if frags {
        code.extend([Insn::new(op::CALL, 0, call::HELPER, 0, XDP_GET_BUFF_LEN), Insn::new(op::MOV64_REG, 7, 0, 0, 0)]);
        code.push(Insn::new(op::MOV64_REG, 1, 6, 0, 0));
    } else {
        code.extend([
            Insn::new(op::LDX_W, 7, 1, 4, 0), // data_end
            Insn::new(op::LDX_W, 2, 1, 0, 0), // data
            Insn::new(op::SUB64_REG, 7, 2, 0, 0),
        ]);
    }
    let mut references = vec![Reference { insn: code.len(), target: Target::Function(inner) }];
    code.extend([
        Insn::new(op::CALL, 0, call::FUNCTION, 0, -1),
        Insn::new(op::MOV64_REG, 6, 0, 0, 0),
        Insn::new(op::MOV32_REG, 1, 0, 0, 0),
        Insn::new(op::JLE_IMM, 1, 0, 1, INVALID - 1),
        Insn::new(op::MOV64_IMM, 1, 0, 0, INVALID),
        Insn::new(op::STX_W, 10, 1, -4, 0),
        Insn::new(op::MOV64_REG, 2, 10, 0, 0),
        Insn::new(op::ADD64_IMM, 2, 0, 0, -4),
    ]);
    references.push(Reference { insn: code.len(), target: Target::Map(counts) });
    code.extend([
        Insn::new(op::LD_IMM64, 1, 0, 0, 0),
        Insn::default(),
        Insn::new(op::CALL, 0, call::HELPER, 0, MAP_LOOKUP),
        Insn::new(op::JEQ_IMM, 0, 0, 6, 0),
        Insn::new(op::LDX_DW, 1, 0, 0, 0),
        Insn::new(op::ADD64_IMM, 1, 0, 0, 1),
        Insn::new(op::STX_DW, 0, 1, 0, 0),
        Insn::new(op::LDX_DW, 1, 0, 8, 0),
        Insn::new(op::ADD64_REG, 1, 7, 0, 0),
        Insn::new(op::STX_DW, 0, 1, 8, 0),
        Insn::new(op::MOV64_REG, 0, 6, 0, 0),
        Insn::new(op::EXIT, 0, 0, 0, 0),
    ]);
    (code, references)
}

/// Adds notes that travel with the program: pairs of a name and a text, in a map of their own.
///
/// They are variables `bpf_metadata_NAME`, which `bpftool prog show` prints. No instruction refers to them.
pub fn annotate(object: &mut Object, notes: &[(&str, &str)]) -> DataId {
    let btf = object.btf.get_or_insert_default();
    let char = btf.add_int("char", 1, true);
    let index = btf.add_int("int", 4, true);
    let (mut bytes, mut symbols, mut variables) = (Vec::new(), Vec::new(), Vec::new());
    for (name, text) in notes {
        let name = format!("{METADATA}{name}");
        let (offset, size) = (bytes.len() as u32, text.len() as u32 + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        let array = btf.add_array(char, index, size);
        let var = btf.add(kind::VAR, &name, 0, array, vec![0]);
        variables.push(crate::btf::SectionVariable { type_id: var, offset, size });
        symbols.push(DataSymbol {
            name,
            offset: u64::from(offset),
            size: u64::from(size),
            global: false,
            visibility: 0,
        });
    }
    btf.set_section(None, NOTES, bytes.len() as u32, &variables);
    object.data.push(Data { name: NOTES.into(), writable: false, align: 1, content: Content::Bytes(bytes), symbols });
    DataId(object.data.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{function, object};
    use crate::modernize::{Options, modernize};

    #[test]
    fn the_entry_keeps_its_name_and_calls_the_program() {
        let all = object(vec![function("main", ".text", &[])]);
        let mut modern = modernize(all, &Options::default()).unwrap();
        let program = modern.object.function(modern.entry).code.clone();
        wrap(&mut modern);
        let (outer, inner) = (modern.object.function(modern.entry), &modern.object.functions[1]);
        assert_eq!((outer.name.as_str(), outer.section.as_str()), ("main", "xdp"));
        assert_eq!((inner.name.as_str(), inner.section.as_str(), &inner.code), ("main__wrapped", TEXT, &program));
        assert_eq!(outer.references[0].target, Target::Function(FunctionId(1)));
        assert_eq!(modern.object.maps[0].name, COUNTS);
        assert!(outer.references.iter().any(|r| r.target == Target::Map(MapId(0))));
    }

    #[test]
    fn notes_are_variables_that_bpftool_shows() {
        let mut all = object(Vec::new());
        let DataId(at) = annotate(&mut all, &[("a", "xy"), ("b", "")]);
        assert_eq!(all.data[at].content, Content::Bytes(b"xy\0\0".to_vec()));
        let names: Vec<_> = all.data[at].symbols.iter().map(|s| (s.name.as_str(), s.offset, s.size)).collect();
        assert_eq!(names, [("bpf_metadata_a", 0, 3), ("bpf_metadata_b", 3, 1)]);
        assert_eq!(all.btf.unwrap().section(NOTES).map(|(_, variables)| variables.len()), Some(2));
    }
}
