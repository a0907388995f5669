//! Objects made by hand, for unit tests.

use crate::asm::{Insn, call, op};
use crate::object::{Declaration, Function, LegacyFields, Map, Object, Pinning, Reference, Shape, Slot, Target};

/// A function that calls or loads each of these, then returns.
pub(crate) fn function(name: &str, section: &str, targets: &[Target]) -> Function {
    let (mut code, mut references) = (Vec::new(), Vec::new());
    for target in targets {
        references.push(Reference { insn: code.len(), target: *target });
        match target {
            Target::Function(_) => code.push(Insn::new(op::CALL, 0, call::FUNCTION, 0, -1)),
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
        references,
        func_type: None,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    }
}

/// A map of this type with static values.
pub(crate) fn map(name: &str, kind: u32, values: Vec<(u32, Slot)>) -> Map {
    let shape = Shape { kind, key_size: 4, value_size: 4, max_entries: 8, ..Shape::default() };
    let (pinning, declaration) = (Pinning::None, Declaration::Btf);
    Map { name: name.into(), shape, inner: None, values, pinning, declaration }
}

/// A map of iproute2's `maps` section.
pub(crate) fn legacy_map(kind: u32, id: u32, inner_id: u32, inner_index: i32) -> Map {
    let fields = LegacyFields { size: 36, id, inner_id, inner_index };
    Map { declaration: Declaration::Legacy(fields), ..map("legacy", kind, Vec::new()) }
}

/// An object of functions.
pub(crate) fn object(functions: Vec<Function>) -> Object {
    Object { functions, ..Object::default() }
}
