//! The one form that every source becomes: a BPF object as a set of functions, maps and data.
//!
//! Nothing here knows ELF offsets: a reference names its target. Two objects that mean the same
//! compare equal, and every pass (`modernize`, `link`) turns one object into another.

use std::collections::HashSet;

use crate::asm::Insn;
use crate::btf::Btf;

/// Index of a function in [`Object::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub usize);

/// Index of a map in [`Object::maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapId(pub usize);

/// Index of a data section in [`Object::data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataId(pub usize);

/// Index of an extern in [`Object::externs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternId(pub usize);

/// A whole BPF object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Functions in file order: programs and subprograms alike.
    pub functions: Vec<Function>,
    /// Maps that the object defines, in file order.
    pub maps: Vec<Map>,
    /// Global data: `.data`, `.rodata`, `.bss` and their kin.
    pub data: Vec<Data>,
    /// Kernel functions, kernel variables and kernel configuration values that the object asks for.
    pub externs: Vec<Extern>,
    /// Type information.
    pub btf: Option<Btf>,
    /// The text of the `license` section.
    pub license: Option<String>,
    /// The number in the `version` section.
    pub version: Option<u32>,
}

/// A function: its instructions, and what its instructions refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Symbol name.
    pub name: String,
    /// Name of the ELF section that holds it; subprograms of a finished object are in [`TEXT`].
    pub section: String,
    /// Index of its first instruction within that section, in the file it was read from.
    pub start: usize,
    /// Whether the symbol is global or weak.
    pub global: bool,
    /// Whether a global symbol is hidden: libbpf then verifies it together with its callers.
    pub hidden: bool,
    /// Its instructions; a 64-bit load takes two.
    pub code: Vec<Insn>,
    /// References out of `code`, ascending by instruction.
    pub references: Vec<Reference>,
    /// BTF id of its FUNC type.
    pub func_type: Option<u32>,
    /// Source lines, ascending by instruction.
    pub lines: Vec<Line>,
    /// CO-RE relocations, ascending by instruction.
    pub core: Vec<CoreRelocation>,
    /// Why it cannot be used, where one of its references leads nowhere.
    pub broken: Option<String>,
}

/// The section whose functions libbpf takes for subprograms.
pub const TEXT: &str = ".text";

/// A reference of one instruction to something in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Index of the instruction within the function.
    pub insn: usize,
    /// What it refers to.
    pub target: Target,
}

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A function: called, or its address taken (callbacks).
    Function(FunctionId),
    /// A map.
    Map(MapId),
    /// A byte of global data.
    Data(DataId, u32),
    /// Something of the kernel's.
    Extern(ExternId),
}

/// A source line of an instruction, as `.BTF.ext` holds it; offsets point into the BTF strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Index of the instruction within the function.
    pub insn: usize,
    /// String offset of the file's name.
    pub file: u32,
    /// String offset of the line's text.
    pub text: u32,
    /// Line number << 10 | column.
    pub position: u32,
}

/// A CO-RE relocation, as `.BTF.ext` holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelocation {
    /// Index of the instruction within the function.
    pub insn: usize,
    /// BTF id of the root type.
    pub type_id: u32,
    /// String offset of the access path.
    pub access: u32,
    /// `enum bpf_core_relo_kind`.
    pub kind: u32,
}

/// The attributes that a map is created with, in the kernel's terms (`union bpf_attr`, `BPF_MAP_CREATE`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Key size in bytes.
    pub key_size: u32,
    /// Value size in bytes.
    pub value_size: u32,
    /// Number of elements.
    pub max_entries: u32,
    /// `BPF_F_*` creation flags.
    pub flags: u32,
    /// NUMA node, where the object names one.
    pub numa_node: Option<u32>,
    /// `map_extra`: Bloom filter hashes, arena address.
    pub extra: u64,
    /// BTF id of the key's type.
    pub key_type: Option<u32>,
    /// BTF id of the value's type.
    pub value_type: Option<u32>,
}

/// Where a map stays between loads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Nowhere.
    #[default]
    None,
    /// libbpf's `LIBBPF_PIN_BY_NAME`: `/sys/fs/bpf/NAME`.
    ByName,
    /// iproute2's `PIN_OBJECT_NS`: a folder of the object's own, named by its hash.
    Object,
    /// iproute2's `PIN_GLOBAL_NS`: `/sys/fs/bpf/tc/globals/NAME`.
    Global,
    /// A path that the object names itself.
    Path(String),
}

/// How the source wrote a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declaration {
    /// A BTF-defined map of section `.maps`.
    Btf,
    /// A struct in a `maps` section.
    Legacy(LegacyFields),
    /// Made by a pass.
    Generated,
}

/// What the struct of a `maps` section says beyond the map's shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyFields {
    /// Size of the struct in bytes, which tells its kind.
    pub size: u32,
    /// iproute2's map id, by which tail-call sections `ID/KEY` name it; 0 is none.
    pub id: u32,
    /// iproute2: id of the map that is the definition of the maps inside; 0 is none.
    pub inner_id: u32,
    /// iproute2: key under which this map stands in the outer one, -1 for none.
    /// Kernel samples: index of the map that is the definition of the maps inside.
    pub inner_index: i32,
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// How it is created.
    pub shape: Shape,
    /// What the maps inside a map of maps are created like.
    pub inner: Option<Shape>,
    /// Static values by key: maps of a map of maps, programs of a program array.
    pub values: Vec<(u32, Slot)>,
    /// Where it stays.
    pub pinning: Pinning,
    /// How the source wrote it.
    pub declaration: Declaration,
}

/// A static value of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A map inside a map of maps.
    Map(MapId),
    /// A program of a program array.
    Program(FunctionId),
}

/// A section of global data; libbpf makes one single-element array map of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Section name.
    pub name: String,
    /// Whether programs may write to it.
    pub writable: bool,
    /// Alignment in bytes, a power of two.
    pub align: u64,
    /// Its bytes.
    pub content: Content,
    /// Its variables.
    pub symbols: Vec<DataSymbol>,
}

/// The bytes of a data section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Initial bytes.
    Bytes(Vec<u8>),
    /// So many zero bytes (`.bss`).
    Zero(u64),
}

/// A variable in a data section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSymbol {
    /// Its name.
    pub name: String,
    /// Its offset in the section, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the symbol is global or weak.
    pub global: bool,
    /// `st_other`: ELF visibility.
    pub visibility: u8,
}

/// Something of the kernel's that the object asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extern {
    /// Its name.
    pub name: String,
    /// Whether the object can do without it.
    pub weak: bool,
    /// `st_other`: ELF visibility.
    pub visibility: u8,
    /// ELF symbol type.
    pub symbol_type: u8,
}

impl Object {
    /// The function behind `id`. Ids are only made by the reader and by passes, which keep them valid.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.0]
    }

    /// Ids of all functions, in order.
    pub fn function_ids(&self) -> impl Iterator<Item = FunctionId> + use<> {
        (0..self.functions.len()).map(FunctionId)
    }

    /// The functions that some function calls or takes the address of.
    pub fn callees(&self) -> HashSet<FunctionId> {
        let targets = self.functions.iter().flat_map(|f| &f.references).map(|r| r.target);
        targets.filter_map(|t| if let Target::Function(id) = t { Some(id) } else { None }).collect()
    }

    /// The functions that are static values of a program array.
    pub fn tail_call_targets(&self) -> HashSet<FunctionId> {
        let slots = self.maps.iter().flat_map(|m| &m.values).map(|(_, slot)| *slot);
        slots.filter_map(|s| if let Slot::Program(id) = s { Some(id) } else { None }).collect()
    }
}

impl Function {
    /// What instruction `insn` refers to.
    pub fn target_of(&self, insn: usize) -> Option<Target> {
        self.references.binary_search_by_key(&insn, |r| r.insn).ok().map(|at| self.references[at].target)
    }
}
