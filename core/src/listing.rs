//! A function's instructions as text, beside the source lines they were compiled from.

use crate::asm::{self, Insn};
use crate::object::{Data, Function, Object, Target};

/// One instruction of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedInsn {
    /// Its index within the function.
    pub index: usize,
    /// The source line that begins here: `return XDP_DROP; @ drop.c:7`.
    pub source: Option<String>,
    /// The instruction, as the kernel's verifier prints it, with the names of what it refers to.
    pub text: String,
}

/// The instructions of a function. A 64-bit load is one line, the index of its second half is left out.
pub fn list(object: &Object, function: &Function) -> Vec<ListedInsn> {
    let mut out = Vec::with_capacity(function.code.len());
    let mut index = 0;
    while let Some(insn) = function.code.get(index) {
        let next = function.code.get(index + 1).copied();
        let name = function.target_of(index).map(|target| name(object, *insn, next, target));
        let text = asm::text(*insn, next, name.as_deref());
        out.push(ListedInsn { index, source: source(object, function, index), text });
        index += if insn.is_wide_load() { 2 } else { 1 };
    }
    out
}

/// The source line of an instruction, where one begins there.
fn source(object: &Object, function: &Function, insn: usize) -> Option<String> {
    let at = function.lines.binary_search_by_key(&insn, |line| line.insn).ok()?;
    let (line, btf) = (function.lines[at], object.btf.as_ref()?);
    Some(format!("{} @ {}:{}", btf.text(line.text).trim(), btf.text(line.file), line.position >> 10))
}

/// What a reference is called in an operand.
fn name(object: &Object, insn: Insn, next: Option<Insn>, target: Target) -> String {
    match target {
        Target::Function(id) if insn.is_wide_load() => format!("subprog[{}]", object.function(id).name),
        Target::Function(id) => object.function(id).name.clone(),
        Target::Map(id) => format!("map[{}]", object.maps[id.0].name),
        Target::Data(id, offset) => data(&object.data[id.0], offset),
        Target::Extern(id) if insn.is_wide_load() => {
            let offset = next.map_or(0, |next| next.imm);
            let name = &object.externs[id.0].name;
            if offset == 0 { format!("extern[{name}]") } else { format!("extern[{name}]{offset:+}") }
        }
        Target::Extern(id) => object.externs[id.0].name.clone(),
    }
}

/// `map[.bss][0]+8 <seen>`: a place in global data as bpftool writes it, and the variable that it lies in.
fn data(data: &Data, offset: u32) -> String {
    let place = format!("map[{}][0]+{offset}", data.name);
    let at = u64::from(offset);
    let inside = |start: u64, size: u64| at == start || at > start && at - start < size;
    match data.symbols.iter().find(|symbol| inside(symbol.offset, symbol.size)) {
        Some(symbol) if symbol.offset == at => format!("{place} <{}>", symbol.name),
        Some(symbol) => format!("{place} <{}+{}>", symbol.name, at - symbol.offset),
        None => place,
    }
}
