//! What is known of an object. Its JSON form is documented in `docs/json.md`.

use serde::Serialize;
use xdpilot_core::elf::{self, File};
use xdpilot_core::error::Result;
use xdpilot_core::modernize::{self, Choice, Machine, Options, pin_path};
use xdpilot_core::object::{Declaration, Function, FunctionId, Map, Object, Slot};
use xdpilot_core::{listing, map_types};
use xdpilot_kernel::machine;

use super::needs::{self, Need};
use super::tables::{self, SectionFact, SymbolFact};

/// The report of one object.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the JSON form.
    pub version: u32,
    /// The file, as the user named it.
    pub file: String,
    /// The license that it declares.
    pub license: Option<String>,
    /// Whether it has type information.
    pub btf: bool,
    /// Whether it has CO-RE relocations.
    pub core: bool,
    /// The sections of the file.
    pub sections: Vec<SectionFact>,
    /// The symbols of the file.
    pub symbols: Vec<SymbolFact>,
    /// The functions that may be meant as XDP programs, most likely first.
    pub programs: Vec<ProgramFact>,
    /// Why `load` cannot choose or use a program without being told more; none where it can.
    pub obstacle: Option<String>,
    /// The maps.
    pub maps: Vec<MapFact>,
    /// The oldest Linux that has all whose version is known.
    pub linux: &'static str,
    /// What the kernel must have: for the chosen program, or for all where none is chosen.
    pub needs: Vec<Need>,
    /// What reading left out and what loading will change, a sentence each.
    pub notes: Vec<String>,
    /// The instructions, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<Vec<FunctionListing>>,
}

/// A program.
#[derive(Clone, Debug, Serialize)]
pub struct ProgramFact {
    /// The function's name.
    pub name: String,
    /// The section it stands in.
    pub section: String,
    /// Its instructions; a 64-bit load counts as two.
    pub instructions: usize,
    /// Whether `load` takes it where nothing else is named.
    pub chosen: bool,
}

/// A map.
#[derive(Clone, Debug, Serialize)]
pub struct MapFact {
    /// Its name.
    pub name: String,
    /// Its type, as bpftool prints it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The size of a key in bytes.
    pub key_size: u32,
    /// The size of a value in bytes.
    pub value_size: u32,
    /// The number of elements that the object asks for.
    pub max_entries: u32,
    /// `BPF_F_*` of its creation.
    pub flags: u32,
    /// Where it is pinned; iproute2's "object" pinning has the object's hash in its path.
    pub pin: Option<String>,
    /// How the source wrote it: `BTF`, or `struct of N bytes`.
    pub declared: String,
    /// Static values: key and the name of a map or program.
    pub values: Vec<(u32, String)>,
}

/// The instructions of one function.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionListing {
    /// Its name.
    pub name: String,
    /// Its section.
    pub section: String,
    /// Its instructions.
    pub code: Vec<ListedLine>,
}

/// One instruction.
#[derive(Clone, Debug, Serialize)]
pub struct ListedLine {
    /// Its index within the function.
    pub index: usize,
    /// The source line that begins here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The instruction, as the kernel's verifier prints it.
    pub text: String,
}

/// Inspects an object.
///
/// # Errors
/// It is no BPF object.
pub fn inspect(name: &str, elf: &[u8], disasm: bool) -> Result<Report> {
    let file = File::parse(elf).map_err(|error| error.context(name))?;
    let (object, mut notes) = elf::read(elf).map_err(|error| error.context(name))?;
    let chosen = modernize::chosen(object.clone(), &Choice::default());
    let possible_cpus = u32::try_from(machine::possible_cpus()?).unwrap_or(u32::MAX);
    let options = Options { machine: Machine { possible_cpus, ..Machine::default() }, ..Options::default() };
    let modern = modernize::modernize(object.clone(), &options);
    // Without a choice, all of the object's functions count.
    let needs = needs::needs(modern.as_ref().map_or(&object, |modern| &modern.object));
    let obstacle = modern.as_ref().err().map(ToString::to_string);
    if let Ok(modern) = modern {
        notes.extend(modern.notes);
    }
    Ok(Report {
        version: 1,
        file: name.to_string(),
        license: object.license.clone(),
        btf: object.btf.is_some(),
        core: object.functions.iter().any(|function| !function.core.is_empty()),
        sections: tables::sections(&file),
        symbols: tables::symbols(&file),
        programs: programs(&object, chosen.ok()),
        obstacle,
        maps: object.maps.iter().map(|one| map(&object, one)).collect(),
        linux: needs::oldest(&needs),
        needs,
        notes,
        functions: disasm.then(|| object.functions.iter().map(|function| code(&object, function)).collect()),
    })
}

fn programs(object: &Object, chosen: Option<FunctionId>) -> Vec<ProgramFact> {
    let fact = |id: FunctionId| {
        let Function { name, section, code, .. } = object.function(id);
        let (name, section) = (name.clone(), section.clone());
        ProgramFact { name, section, instructions: code.len(), chosen: chosen == Some(id) }
    };
    modernize::programs(object).into_iter().map(fact).collect()
}

fn map(object: &Object, map: &Map) -> MapFact {
    let value = |slot: &Slot| match slot {
        Slot::Map(id) => object.maps[id.0].name.clone(),
        Slot::Program(id) => object.function(*id).name.clone(),
    };
    MapFact {
        name: map.name.clone(),
        kind: map_types::name(map.shape.kind),
        key_size: map.shape.key_size,
        value_size: map.shape.value_size,
        max_entries: map.shape.max_entries,
        flags: map.shape.flags,
        pin: pin_path(map, "HASH"),
        declared: match map.declaration {
            Declaration::Btf => "BTF".to_string(),
            Declaration::Legacy(fields) => format!("struct of {} bytes", fields.size),
            Declaration::Generated => "by a section".to_string(),
        },
        values: map.values.iter().map(|(key, slot)| (*key, value(slot))).collect(),
    }
}

/// The instructions of a function.
pub fn code(object: &Object, function: &Function) -> FunctionListing {
    let lines = listing::list(object, function).into_iter();
    let code = lines.map(|line| ListedLine { index: line.index, source: line.source, text: line.text }).collect();
    FunctionListing { name: function.name.clone(), section: function.section.clone(), code }
}
