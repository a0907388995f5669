//! What must hold for any bytes.

use xdpilot_core::btf::{Btf, BtfExt, read_map};
use xdpilot_core::modernize::{Choice, Machine, Modern, Options, modernize, programs};
use xdpilot_core::object::{Data, Declaration, Function, Map, Object, Pinning, Slot, Target};
use xdpilot_core::{elf, link};

use crate::random::Random;

/// Runs the whole pipeline in one way that `random` chooses; panics where a property does not hold.
pub(crate) fn pipeline(bytes: &[u8], mut random: Random) {
    types(bytes);
    let Ok((object, _)) = elf::read(bytes) else { return };
    _ = programs(&object);
    let options = options(&object, &mut random);
    let Ok(mut modern) = modernize(object, &options) else { return };
    reads_back(&modern.object);
    if link::obstacle(&modern.object).is_none() {
        wrapped(&mut modern);
        link::annotate(&mut modern.object, &[("note", "text"), ("other", "")]);
        reads_back(&modern.object);
    }
}

/// Whether some program of the object is taken.
pub(crate) fn accepted(bytes: &[u8]) -> bool {
    let Ok((object, _)) = elf::read(bytes) else { return false };
    programs(&object).iter().any(|id| {
        let choice = Choice { program: Some(object.function(*id).name.clone()), ..Choice::default() };
        modernize(object.clone(), &Options { choice, ..Options::default() }).is_ok()
    })
}

fn types(bytes: &[u8]) {
    _ = BtfExt::parse(bytes);
    let Ok(mut btf) = Btf::parse(bytes) else { return };
    assert_eq!(Btf::parse(&btf.encode()).as_ref(), Ok(&btf));
    for id in (0..).take(btf.types().count().min(1000) + 2) {
        _ = (btf.size_of(id), btf.name(id), read_map(&btf, id));
    }
    btf.sanitize_names();
}

fn options(object: &Object, random: &mut Random) -> Options {
    let mut choice = Choice::default();
    if let Some(function) = random.pick(&object.functions).filter(|_| !random_is_even(random.0)) {
        match random.below(3) {
            0 => choice.section = Some(function.section.clone()),
            1 => choice.program = Some(function.name.clone()),
            _ => {
                (choice.section, choice.program) = (Some(function.section.clone()), Some(function.name.clone()));
            }
        }
    }
    choice.first = random.one_in(2);
    Options {
        choice,
        machine: Machine { possible_cpus: random.below(5) as u32, interface_map_limit: 1 << random.below(32) },
        license: random.one_in(2).then(|| "GPL".to_string()),
        rebuild_btf: random.one_in(4),
        without: Vec::new(),
    }
}

fn random_is_even(state: u64) -> bool {
    state.is_multiple_of(2)
}

/// What is written reads back the same, and is written the same again.
fn reads_back(object: &Object) {
    let bytes = elf::write(object);
    assert_eq!(bytes, elf::write(object), "writing is not deterministic");
    let (again, notes) = elf::read(&bytes).expect("reads what was written");
    assert_eq!(notes, [] as [String; 0]);
    assert_eq!(functions(&again), functions(object));
    assert_eq!(maps(&again), maps(object));
    assert_eq!(data(&again), data(object));
    assert_eq!(again.externs, object.externs);
    assert_eq!((&again.license, again.version), (&object.license, object.version));
}

/// Functions by name, references by name: the order in the file follows the sections.
fn functions(object: &Object) -> Vec<(Function, Vec<String>)> {
    let name = |target: Target| match target {
        Target::Function(id) => format!("function {}", object.function(id).name),
        Target::Map(id) => format!("map {}", object.maps[id.0].name),
        other => format!("{other:?}"),
    };
    let mut out: Vec<_> = object
        .functions
        .iter()
        .map(|function| {
            let references = function.references.iter().map(|r| format!("{} {}", r.insn, name(r.target))).collect();
            (Function { start: 0, references: Vec::new(), ..function.clone() }, references)
        })
        .collect();
    out.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    out
}

/// Data with the symbols in ELF's order: local ones first.
fn data(object: &Object) -> Vec<Data> {
    let mut out = object.data.clone();
    out.iter_mut().for_each(|data| data.symbols.sort_by_key(|symbol| symbol.global));
    out
}

/// Maps, their values by name; only pinning by name is written into a file.
fn maps(object: &Object) -> Vec<(Map, Vec<String>)> {
    let value = |slot: &Slot| match slot {
        Slot::Map(id) => format!("map {}", object.maps[id.0].name),
        Slot::Program(id) => format!("program {}", object.function(*id).name),
    };
    object
        .maps
        .iter()
        .map(|map| {
            let mut values: Vec<String> =
                map.values.iter().map(|(key, slot)| format!("{key} {}", value(slot))).collect();
            values.sort();
            let pinning = if map.pinning == Pinning::ByName { Pinning::ByName } else { Pinning::None };
            (Map { values: Vec::new(), pinning, declaration: Declaration::Generated, ..map.clone() }, values)
        })
        .collect()
}

/// Wrapping leaves all but the entry as it was; the entry lives on as a subprogram.
fn wrapped(modern: &mut Modern) {
    let before = modern.object.clone();
    link::wrap(modern);
    let (after, entry) = (&modern.object, modern.entry);
    for (id, function) in before.function_ids().zip(&before.functions).filter(|(id, _)| *id != entry) {
        assert_eq!(after.function(id), function);
    }
    let (old, inner) = (before.function(entry), &after.functions[before.functions.len()]);
    assert_eq!((&inner.code, &inner.references, &inner.core), (&old.code, &old.references, &old.core));
    assert_eq!(after.function(entry).name, old.name);
    assert_eq!(after.maps[..before.maps.len()], before.maps[..]);
    assert_eq!((&after.data, &after.externs), (&before.data, &before.externs));
}
