//! Keeps of an object what one program needs, and nothing else: a sibling that cannot load does not matter.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::modernize::legacy::map_type;
use crate::object::{DataId, ExternId, FunctionId, MapId, Object, Reference, Slot, Target};

/// What is kept, with its new index.
#[derive(Default)]
struct Kept {
    functions: BTreeMap<FunctionId, FunctionId>,
    maps: BTreeMap<MapId, MapId>,
    data: BTreeMap<DataId, DataId>,
    externs: BTreeMap<ExternId, ExternId>,
}

/// The object of one program: itself, what it calls, its maps, their static values and what those need.
pub(super) fn extract(object: &Object, entry: FunctionId) -> Result<(Object, FunctionId)> {
    let mut kept = Kept::default();
    let arena = object.maps.iter().position(|m| m.shape.kind == map_type::ARENA).map(MapId);
    let mut functions = vec![entry];
    let mut maps = Vec::new();
    loop {
        if let Some(id) = functions.pop() {
            if kept.functions.insert(id, id).is_some() {
                continue;
            }
            super::broken(object, id)?;
            for reference in &object.function(id).references {
                match reference.target {
                    Target::Function(id) => functions.push(id),
                    Target::Map(id) => maps.push(id),
                    Target::Data(id, _) => {
                        kept.data.insert(id, id);
                        // Data of this section lives in the arena.
                        maps.extend(arena.filter(|_| object.data[id.0].name == ".addr_space.1"));
                    }
                    Target::Extern(id) => _ = kept.externs.insert(id, id),
                }
            }
        } else if let Some(id) = maps.pop() {
            if kept.maps.insert(id, id).is_some() {
                continue;
            }
            for (_, slot) in &object.maps[id.0].values {
                match slot {
                    Slot::Map(id) => maps.push(*id),
                    Slot::Program(id) => functions.push(*id),
                }
            }
        } else {
            break;
        }
    }
    kept.number();
    let entry = kept.functions[&entry];
    Ok((kept.apply(object), entry))
}

impl Kept {
    /// Gives what is kept its new indexes, in the old order.
    fn number(&mut self) {
        self.functions.values_mut().zip(0..).for_each(|(id, new)| id.0 = new);
        self.maps.values_mut().zip(0..).for_each(|(id, new)| id.0 = new);
        self.data.values_mut().zip(0..).for_each(|(id, new)| id.0 = new);
        self.externs.values_mut().zip(0..).for_each(|(id, new)| id.0 = new);
    }

    fn apply(&self, object: &Object) -> Object {
        let target = |target: Target| match target {
            Target::Function(id) => Target::Function(self.functions[&id]),
            Target::Map(id) => Target::Map(self.maps[&id]),
            Target::Data(id, offset) => Target::Data(self.data[&id], offset),
            Target::Extern(id) => Target::Extern(self.externs[&id]),
        };
        let slot = |slot: Slot| match slot {
            Slot::Map(id) => Slot::Map(self.maps[&id]),
            Slot::Program(id) => Slot::Program(self.functions[&id]),
        };
        let functions = self.functions.keys().map(|id| {
            let mut function = object.function(*id).clone();
            for Reference { target: to, .. } in &mut function.references {
                *to = target(*to);
            }
            function
        });
        let maps = self.maps.keys().map(|id| {
            let mut map = object.maps[id.0].clone();
            map.values.iter_mut().for_each(|(_, value)| *value = slot(*value));
            map
        });
        Object {
            functions: functions.collect(),
            maps: maps.collect(),
            data: self.data.keys().map(|id| object.data[id.0].clone()).collect(),
            externs: self.externs.keys().map(|id| object.externs[id.0].clone()).collect(),
            btf: object.btf.clone(),
            license: object.license.clone(),
            version: object.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{function, map, object};
    use crate::modernize::map_type::{ARRAY, ARRAY_OF_MAPS, PROG_ARRAY};

    #[test]
    fn only_what_the_entry_reaches_is_kept() {
        let mut all = object(vec![
            function("sibling", "tc", &[Target::Map(MapId(0))]),
            function("entry", "xdp", &[Target::Map(MapId(1)), Target::Map(MapId(2))]),
            function("reached", "xdp", &[Target::Function(FunctionId(3))]),
            function("helper", ".text", &[]),
        ]);
        all.functions[0].broken = Some("instruction 0 leads nowhere".into());
        all.maps = vec![
            map("unused", ARRAY, Vec::new()),
            map("jumps", PROG_ARRAY, vec![(0, Slot::Program(FunctionId(2)))]),
            map("outer", ARRAY_OF_MAPS, vec![(1, Slot::Map(MapId(3)))]),
            map("inner", ARRAY, Vec::new()),
        ];
        let (kept, entry) = extract(&all, FunctionId(1)).unwrap();
        assert_eq!(kept.function(entry).name, "entry");
        assert_eq!(kept.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["entry", "reached", "helper"]);
        assert_eq!(kept.maps.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["jumps", "outer", "inner"]);
        assert_eq!(kept.functions[1].references[0].target, Target::Function(FunctionId(2)));
        assert_eq!(kept.maps[0].values, [(0, Slot::Program(FunctionId(1)))]);
        assert_eq!(kept.maps[1].values, [(1, Slot::Map(MapId(2)))]);
        assert!(extract(&all, FunctionId(0)).is_err(), "what is broken matters where it is needed");
    }
}
