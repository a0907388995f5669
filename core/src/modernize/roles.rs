//! Gives every function one role: program in an `xdp` section, or subprogram in `.text`.

use std::collections::{BTreeSet, HashMap};

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
    let callees = object.callees();
    let mut copies = HashMap::new();
    for id in programs.iter().filter(|id| callees.contains(id)) {
        copies.insert(*id, FunctionId(object.functions.len()));
        object.functions.push(object.function(*id).clone());
    }
    redirect(&mut object.functions, &copies);
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

/// Makes all references to programs references to their copies.
fn redirect(functions: &mut [Function], copies: &HashMap<FunctionId, FunctionId>) {
    for reference in functions.iter_mut().flat_map(|f| &mut f.references) {
        if let Target::Function(id) = &mut reference.target {
            *id = copies.get(id).copied().unwrap_or(*id);
        }
    }
}

/// Names that libbpf and the kernel take; the entry keeps its own before others do.
fn unique_names(object: &mut Object, entry: FunctionId) {
    let mut names = Names::default();
    // The wrapper's map is found by its name.
    names.unique(crate::link::COUNTS);
    let order = std::iter::once(entry.0).chain((0..object.functions.len()).filter(|at| *at != entry.0));
    for at in order.collect::<Vec<_>>() {
        let name = names.unique(&object.functions[at].name);
        object.functions[at].name = name;
    }
    for map in &mut object.maps {
        map.name = names.unique(&map.name);
    }
}

/// Names that are taken, with the number that the next one alike begins to search at.
#[derive(Default)]
struct Names(HashMap<String, u32>);

impl Names {
    fn unique(&mut self, name: &str) -> String {
        let base = identifier(name);
        let mut name = base.clone();
        let mut number = self.0.get(&base).copied().unwrap_or(0);
        while self.0.contains_key(&name) {
            number += 1;
            name = format!("{base}_{number}");
        }
        self.0.insert(base, number);
        self.0.entry(name.clone()).or_insert(0);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{function, map, object};
    use crate::modernize::map_type::{ARRAY, PROG_ARRAY};

    #[test]
    fn a_program_that_is_also_called_becomes_two_functions() {
        let target = FunctionId(1);
        let mut all =
            object(vec![function("entry", "prog", &[Target::Function(target)]), function("both", "2/1", &[])]);
        all.functions[1].global = false;
        all.maps.push(map("jumps", PROG_ARRAY, vec![(0, Slot::Program(target))]));
        assign(&mut all, FunctionId(0), false);
        let roles: Vec<_> = all.functions.iter().map(|f| (f.name.as_str(), f.section.as_str(), f.global)).collect();
        assert_eq!(roles, [("entry", "xdp", true), ("both", "xdp", true), ("both_1", TEXT, false)]);
        assert_eq!(all.functions[0].references[0].target, Target::Function(FunctionId(2)));
        assert_eq!(all.maps[0].values, [(0, Slot::Program(target))]);
    }

    #[test]
    fn names_become_unique_identifiers_and_the_entry_keeps_its_own() {
        let mut all = object(vec![
            function("x<y>", ".text", &[]),
            function("x_y_", "xdp", &[]),
            function("x_y__1", ".text", &[]),
        ]);
        all.maps.push(map(crate::link::COUNTS, ARRAY, Vec::new()));
        assign(&mut all, FunctionId(1), true);
        assert_eq!(all.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["x_y__1", "x_y_", "x_y__1_1"]);
        assert_eq!(all.functions[1].section, "xdp.frags");
        assert_ne!(all.maps[0].name, crate::link::COUNTS);
    }
}
