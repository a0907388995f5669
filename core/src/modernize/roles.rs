//! Gives every function one role: program in an `xdp` section, or subprogram in `.text`.

use std::collections::BTreeSet;

use crate::btf::identifier;
use crate::object::{Function, FunctionId, Object, Slot, TEXT, Target};

/// Puts programs and subprograms into the sections that libbpf knows, and makes all names unique.
///
/// libbpf calls only functions of `.text`: a program that is also called becomes two functions.
pub(super) fn assign(object: &mut Object, entry: FunctionId, frags: bool) -> FunctionId {
    let programs: BTreeSet<FunctionId> = object
        .maps
        .iter()
        .flat_map(|map| &map.values)
        .filter_map(|(_, slot)| match slot {
            Slot::Program(id) => Some(*id),
            Slot::Map(_) => None,
        })
        .chain([entry])
        .collect();
    for id in &programs {
        if object.is_callee(*id) {
            let callee = object.function(*id).clone();
            let copy = FunctionId(object.functions.len());
            object.functions.push(callee);
            redirect(&mut object.functions, *id, copy);
        }
    }
    let section = if frags { "xdp.frags" } else { "xdp" };
    for (at, function) in object.functions.iter_mut().enumerate() {
        let is_program = programs.contains(&FunctionId(at));
        function.section = if is_program { section } else { TEXT }.to_string();
        if is_program {
            // libbpf looks programs up by global symbols; `static` and hidden entries are as good.
            (function.global, function.hidden) = (true, false);
        }
    }
    unique_names(object, entry);
    entry
}

/// Makes all references to `from` references to `to`.
fn redirect(functions: &mut [Function], from: FunctionId, to: FunctionId) {
    for reference in functions.iter_mut().flat_map(|f| &mut f.references) {
        if reference.target == Target::Function(from) {
            reference.target = Target::Function(to);
        }
    }
}

/// Names that libbpf and the kernel take; the entry keeps its own before others do.
fn unique_names(object: &mut Object, entry: FunctionId) {
    let mut taken = BTreeSet::new();
    let order = std::iter::once(entry.0).chain((0..object.functions.len()).filter(|at| *at != entry.0));
    for at in order.collect::<Vec<_>>() {
        let name = unique(&mut taken, &object.functions[at].name);
        object.functions[at].name = name;
    }
    for map in &mut object.maps {
        map.name = unique(&mut taken, &map.name);
    }
}

fn unique(taken: &mut BTreeSet<String>, name: &str) -> String {
    let base = identifier(name);
    let mut name = base.clone();
    for number in 1.. {
        if taken.insert(name.clone()) {
            break;
        }
        name = format!("{base}_{number}");
    }
    name
}
