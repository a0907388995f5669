//! Large objects in which everything repeats: what is quadratic takes minutes here, what shares bytes explodes.

use xdpilot_core::asm::{Insn, call, op};
use xdpilot_core::btf::{Btf, SectionVariable, define_map, kind};
use xdpilot_core::elf;
use xdpilot_core::modernize::map_type;
use xdpilot_core::object::{Content, Data, DataSymbol, FunctionId, Object, Reference, Shape, Target};

use crate::seeds::function;

/// The objects.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    [
        ("calls to everywhere", calls_to_everywhere()),
        ("functions of one name", functions_of_one_name()),
        ("maps of one id", maps_of_one_id()),
        ("variables of one type", variables_of_one_type()),
        ("data sections of one name", data_sections_of_one_name()),
    ]
    .map(|(name, object)| (name.to_string(), as_maps(elf::write(&object))))
    .into()
}

/// Gives the section `-maps` its true name, under which the writer would have made the definitions anew.
fn as_maps(mut bytes: Vec<u8>) -> Vec<u8> {
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"-maps")).collect();
    places.into_iter().for_each(|at| bytes[at] = b'.');
    bytes
}

/// Each instruction calls the next one: each could begin a function.
fn calls_to_everywhere() -> Object {
    let mut all = function("main", "xdp", &[]);
    all.code = vec![Insn::new(op::CALL, 0, call::FUNCTION, 0, 0); 100_000];
    Object { functions: vec![all], ..Object::default() }
}

/// Each calls the next one, in sections that are to be moved.
fn functions_of_one_name() -> Object {
    let count = 30_000;
    let all = (0..count).map(|at| {
        let next = (op::CALL, Target::Function(FunctionId((at + 1) % count)));
        function("same", if at % 2 == 0 { "2/1" } else { "xdp" }, &[next])
    });
    let mut object = Object { functions: all.collect(), ..Object::default() };
    object.functions.push(function("entry", "xdp", &[(op::CALL, Target::Function(FunctionId(0)))]));
    object
}

/// Half of the maps hold the other half.
fn maps_of_one_id() -> Object {
    let (mut bytes, mut symbols) = (Vec::new(), Vec::new());
    for at in 0..6000u32 {
        let (kind, inner) = if at % 2 == 0 { (map_type::HASH_OF_MAPS, 7) } else { (map_type::HASH, 0) };
        let offset = bytes.len() as u64;
        bytes.extend([kind, 4, 4, 8, 0, 7 * (at % 2), 0, inner, at].iter().flat_map(|word| word.to_le_bytes()));
        symbols.push(DataSymbol { name: "m".into(), offset, size: 36, global: true, visibility: 0 });
    }
    let data = Data { name: "maps".into(), writable: true, align: 4, content: Content::Bytes(bytes), symbols };
    Object { functions: vec![function("main", "xdp", &[])], data: vec![data], ..Object::default() }
}

/// One struct of many members, with a long name, is the definition of very many maps.
fn variables_of_one_type() -> Object {
    let mut btf = Btf::default();
    let (id, ..) = define_map(&mut btf, &Shape { kind: 1, ..Shape::default() }, None, false, false, 0);
    let var = btf.add(kind::VAR, &"v".repeat(4000), 0, id, vec![1]);
    let variable = SectionVariable { type_id: var, offset: 0, size: 8 };
    btf.set_section(None, "-maps", 0, &vec![variable; 60_000]);
    let mut object = Object { functions: vec![function("main", "xdp", &[])], btf: Some(btf), ..Object::default() };
    let content = Content::Bytes(vec![0; 8]);
    object.data.push(Data { name: "-maps".into(), writable: true, align: 8, content, symbols: Vec::new() });
    object
}

/// All are to be renamed, with as many types.
fn data_sections_of_one_name() -> Object {
    let mut btf = Btf::default();
    let mut entry = function("main", "xdp", &[]);
    entry.code = vec![Insn::default(); 20_000];
    let mut data = Vec::new();
    for at in 0..8000 {
        let name = format!("free{at}");
        btf.set_section(None, &name, 8, &[]);
        entry.code[at * 2] = Insn::new(op::LD_IMM64, 1, 0, 0, 0);
        let target = Target::Data(xdpilot_core::object::DataId(at), 0);
        entry.references.push(Reference { insn: at * 2, target });
        data.push(Data { name, writable: true, align: 8, content: Content::Zero(8), symbols: Vec::new() });
    }
    Object { functions: vec![entry], data, btf: Some(btf), ..Object::default() }
}
