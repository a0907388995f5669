//! Objects to mutate: the examples, objects made by hand for what the examples lack, and a folder's.

use std::path::Path;

use xdpilot_core::asm::{Insn, call, op};
use xdpilot_core::btf::{Btf, SectionVariable, kind};
use xdpilot_core::elf;
use xdpilot_core::modernize::map_type;
use xdpilot_core::object::{
    Content, CoreRelocation, Data, DataId, DataSymbol, Declaration, Extern, ExternId, Function, FunctionId, Line, Map,
    MapId, Object, Pinning, Reference, Shape, Slot, Target,
};

/// Files of a folder beyond this size make inputs slow, and are left out.
const LARGEST_FILE: usize = 24 << 10;

/// All seeds.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = named().into_iter().map(|(_, bytes)| bytes).collect();
    if let Ok(folder) = std::env::var("XDPILOT_FUZZ_SEEDS") {
        collect(Path::new(&folder), &mut seeds);
    }
    seeds
}

fn collect(folder: &Path, seeds: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, seeds);
        } else if path.extension().is_some_and(|e| e == "o") {
            seeds.extend(std::fs::read(&path).ok().filter(|bytes| bytes.len() <= LARGEST_FILE));
        }
    }
}

/// The seeds of the repository; `raw` ones are parts of an object.
pub(crate) fn named() -> Vec<(String, Vec<u8>)> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut seeds: Vec<(String, Vec<u8>)> = ["bounce", "dropper", "pass", "udp"]
        .iter()
        .map(|name| (name.to_string(), std::fs::read(examples.join(format!("{name}.o"))).expect("an example")))
        .collect();
    let mut own = |name: &str, object: Object| seeds.push((name.into(), elf::write(&object)));
    own("modern", modern());
    own("legacy 36", legacy(36));
    own("legacy 28", legacy(28));
    own("legacy 20", legacy(20));
    own("legacy 280", legacy(280));
    own("several", several());
    let bounce = seeds[0].1.clone();
    let file = elf::File::parse(&bounce).expect("an object");
    for name in [".BTF", ".BTF.ext"] {
        seeds.push((format!("{name} raw"), file.section(name).expect("its types").data.to_vec()));
    }
    seeds.push(("types raw".into(), all_kinds().encode()));
    seeds
}

/// Inputs that failed once.
pub(crate) fn found() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutation/found");
    let paths = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

/// A function that returns 2 after it used all these.
pub(crate) fn function(name: &str, section: &str, references: &[(u8, Target)]) -> Function {
    let (mut code, mut placed) = (Vec::new(), Vec::new());
    for (opcode, target) in references {
        placed.push(Reference { insn: code.len(), target: *target });
        match *opcode {
            op::CALL => code.push(Insn::new(op::CALL, 0, call::FUNCTION, 0, -1)),
            _ => code.extend([Insn::new(op::LD_IMM64, 1, 0, 0, 0), Insn::default()]),
        }
    }
    code.extend([Insn::new(op::MOV64_IMM, 0, 0, 0, 2), Insn::new(op::EXIT, 0, 0, 0, 0)]);
    Function {
        name: name.into(),
        section: section.into(),
        start: 0,
        global: true,
        hidden: false,
        code,
        references: placed,
        func_type: None,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    }
}

fn shape(kind: u32, value_size: u32, max_entries: u32) -> Shape {
    Shape { kind, key_size: 4, value_size, max_entries, ..Shape::default() }
}

fn map(name: &str, shape: Shape, inner: Option<Shape>, values: Vec<(u32, Slot)>) -> Map {
    let (pinning, declaration) = (Pinning::None, Declaration::Btf);
    Map { name: name.into(), shape, inner, values, pinning, declaration }
}

/// Types of all kinds, some in circles.
fn all_kinds() -> Btf {
    let mut btf = Btf::default();
    let int = btf.add_int("int", 4, true);
    let pointer = btf.add(kind::PTR, "", 0, 3, Vec::new());
    let member = btf.add_text("next");
    btf.add(kind::STRUCT, "list", 1, 8, vec![member, pointer, 0]);
    btf.add(kind::UNION, "both", 1, 4, vec![member, int, 0]);
    btf.add(kind::ENUM, "verdict", 1, 4, vec![member, 7]);
    btf.add(kind::ENUM64, "wide", 1, 8, vec![member, 7, 1]);
    let alias = btf.add(kind::TYPEDEF, "u32", 0, int, Vec::new());
    let tag = btf.add(kind::TYPE_TAG, "kptr", 0, alias, Vec::new());
    let mut id = tag;
    for qualifier in [kind::VOLATILE, kind::CONST, kind::RESTRICT] {
        id = btf.add(qualifier, "", 0, id, Vec::new());
    }
    btf.add_array(id, int, 12);
    btf.add(kind::FWD, "Later<T>", 0, 0, Vec::new());
    btf.add(kind::FLOAT, "double", 0, 8, Vec::new());
    btf.add(kind::DECL_TAG, "ctx", 0, alias, vec![u32::MAX]);
    btf.add_function("main", &[("ctx", pointer)]);
    btf
}

/// BTF-defined maps of all forms, data, externs, CO-RE, lines, callbacks.
fn modern() -> Object {
    let mut btf = all_kinds();
    let value = btf.add(kind::VAR, "limit", 0, 1, vec![1]);
    let variable = |type_id| SectionVariable { type_id, offset: 0, size: 4 };
    btf.set_section(None, ".data", 4, &[variable(value)]);
    let asked = btf.add(kind::VAR, "CONFIG_HZ", 0, 1, vec![2]);
    btf.set_section(None, ".kconfig", 0, &[variable(asked)]);
    let kernel = btf.add(kind::FUNC, "bpf_xdp_metadata_rx_hash", 2, 17, Vec::new());
    btf.set_section(None, ".ksyms", 0, &[variable(kernel)]);
    let (text, path) = (btf.add_text("return 2;"), btf.add_text("0:1"));
    let external = |name: &str, weak| Extern { name: name.into(), weak, visibility: 0, symbol_type: 0 };
    let mut entry = function(
        "entry",
        "xdp",
        &[
            (op::CALL, Target::Function(FunctionId(1))),
            (op::LD_IMM64, Target::Map(MapId(0))),
            (op::LD_IMM64, Target::Map(MapId(1))),
            (op::LD_IMM64, Target::Map(MapId(2))),
            (op::LD_IMM64, Target::Data(DataId(0), 4)),
            (op::LD_IMM64, Target::Data(DataId(1), 0)),
            (op::LD_IMM64, Target::Extern(ExternId(0))),
            (op::CALL, Target::Extern(ExternId(1))),
            (op::LD_IMM64, Target::Function(FunctionId(1))),
        ],
    );
    entry.lines = vec![Line { insn: 0, file: text, text, position: 1 << 10 }];
    entry.core = vec![CoreRelocation { insn: 1, type_id: 3, access: path, kind: 0 }];
    let inner = shape(map_type::ARRAY, 8, 3);
    let bloom = Shape { extra: 1 << 40, numa_node: Some(0), ..shape(30, 8, 64) };
    let outer = vec![(0, Slot::Map(MapId(3))), (2, Slot::Map(MapId(3)))];
    Object {
        functions: vec![entry, function("helper", ".text", &[]), function("tail", "xdp/tail", &[])],
        maps: vec![
            map("outer", shape(map_type::ARRAY_OF_MAPS, 4, 4), Some(inner.clone()), outer),
            map("programs", shape(map_type::PROG_ARRAY, 4, 9), None, vec![(8, Slot::Program(FunctionId(2)))]),
            Map { pinning: Pinning::ByName, ..map("bloom", bloom, None, Vec::new()) },
            map("inner", Shape { key_type: Some(1), value_type: Some(4), value_size: 4, ..inner }, None, Vec::new()),
        ],
        data: vec![
            data(".data", true, Content::Bytes(vec![1, 2, 3, 4, 5, 6, 7, 8])),
            data(".bss.more", true, Content::Zero(64)),
        ],
        externs: vec![external("CONFIG_HZ", true), external("bpf_xdp_metadata_rx_hash", false)],
        btf: Some(btf),
        license: Some("GPL".into()),
        version: Some(7),
    }
}

fn data(name: &str, writable: bool, content: Content) -> Data {
    let symbol = |name: &str, offset| DataSymbol { name: name.into(), offset, size: 4, global: true, visibility: 0 };
    Data { name: name.into(), writable, align: 8, content, symbols: vec![symbol("limit", 0), symbol("other", 4)] }
}

/// A `maps` section of structs of this size: a tail-call array, a map of maps, what is in it.
fn legacy(size: usize) -> Object {
    let structs: [[u32; 9]; 4] = [
        [map_type::PROG_ARRAY, 4, 4, 4, 0, 2, 2, 0, u32::MAX],
        [map_type::HASH_OF_MAPS, 4, 4, 4, 0, 3, 0, 5, u32::MAX],
        [map_type::HASH, 4, 8, 16, 0, 5, 1, 0, 1],
        [map_type::PERF_EVENT_ARRAY, 4, 4, 0, 0, 0, 0, 0, u32::MAX],
    ];
    let mut bytes = vec![0u8; size * structs.len()];
    let mut symbols = Vec::new();
    for (at, words) in structs.iter().enumerate() {
        let raw: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).take(size).collect();
        bytes[at * size..at * size + raw.len()].copy_from_slice(&raw);
        let (name, offset, size) = (format!("map{at}"), (at * size) as u64, size as u64);
        symbols.push(DataSymbol { name, offset, size, global: true, visibility: 0 });
    }
    // A static map has no symbol of its own.
    symbols.pop();
    let uses: Vec<_> =
        (0..structs.len()).map(|at| (op::LD_IMM64, Target::Data(DataId(0), (at * size) as u32))).collect();
    Object {
        functions: vec![
            function("main", ".text", &uses),
            function("first", "2/1", &uses[..1]),
            function("second", "2/0x2", &[(op::CALL, Target::Function(FunctionId(1)))]),
        ],
        data: vec![Data { symbols, ..data("maps", true, Content::Bytes(bytes)) }],
        license: Some("GPL".into()),
        ..Object::default()
    }
}

/// Programs of several sections and types that call each other, names that collide.
fn several() -> Object {
    let calls = [(op::CALL, Target::Function(FunctionId(1))), (op::CALL, Target::Function(FunctionId(0)))];
    let free = [(op::LD_IMM64, Target::Data(DataId(0), 4))];
    Object {
        functions: vec![
            function("same", "prog", &calls),
            function("same", ".text", &calls[1..]),
            function("x<y>", "xdp.frags/devmap", &free),
            function("other", "tc", &[]),
            function("z", "dropper_main", &free),
        ],
        data: vec![data("constants", false, Content::Bytes(vec![7; 16]))],
        ..Object::default()
    }
}
