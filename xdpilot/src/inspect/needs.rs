//! What an object asks of the kernel, and the Linux version that first had it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use xdpilot_core::asm::{Insn, helpers};
use xdpilot_core::map_types;
use xdpilot_core::object::{Function, FunctionId, Object, Target};

/// The helper that jumps to another program.
const TAIL_CALL: i32 = 12;

/// One thing that the kernel must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What: `map type ringbuf`, `bpf_fib_lookup`, `kernel function bpf_xdp_metadata_rx_hash`.
    pub what: String,
    /// The first Linux version that has it; none where that is not known.
    pub linux: Option<&'static str>,
}

/// What the functions and maps of an object need, newest last.
pub(super) fn needs(object: &Object) -> Vec<Need> {
    let mut found: BTreeMap<String, Option<&'static str>> = BTreeMap::new();
    let mut need = |what: &str, linux| _ = found.insert(what.to_string(), linux);
    need("XDP", Some("4.8"));
    for map in &object.maps {
        for shape in [Some(&map.shape), map.inner.as_ref()].into_iter().flatten() {
            need(&format!("map type {}", map_types::name(shape.kind)), map_types::version(shape.kind));
        }
    }
    for function in &object.functions {
        for (at, insn) in instructions(function) {
            instruction(at, insn, &mut need);
        }
        if function.section.trim_start_matches('?').starts_with("xdp.frags") {
            need("packets of several buffers (xdp.frags)", Some("5.18"));
        }
        if !function.core.is_empty() {
            need("the kernel's BTF (CO-RE relocations)", Some("5.4"));
        }
        references(object, function, &mut need);
    }
    if object.callees().into_iter().any(|id| tail_calls(object, id)) {
        need("tail calls in subprograms (arm64: 6.0)", Some("5.10"));
    }
    let mut needs: Vec<Need> = found.into_iter().map(|(what, linux)| Need { what, linux }).collect();
    needs.sort_by_key(|need| need.linux.map(numbers));
    needs
}

/// The oldest Linux that has all whose version is known.
pub(super) fn oldest(needs: &[Need]) -> &'static str {
    needs.iter().filter_map(|need| need.linux).max_by_key(|version| numbers(version)).unwrap_or("4.8")
}

fn numbers(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

/// The instructions of a function with their indexes, without the second halves of 64-bit loads.
fn instructions(function: &Function) -> impl Iterator<Item = (usize, Insn)> {
    let second = |at: usize| at.checked_sub(1).and_then(|at| function.code.get(at)).is_some_and(|i| i.is_wide_load());
    function.code.iter().copied().enumerate().filter(move |(at, _)| !second(*at))
}

fn tail_calls(object: &Object, id: FunctionId) -> bool {
    instructions(object.function(id)).any(|(_, insn)| insn.helper() == Some(TAIL_CALL))
}

/// What newer instructions, helpers and loops need.
fn instruction(at: usize, insn: Insn, need: &mut impl FnMut(&str, Option<&'static str>)) {
    let (class, operation) = (insn.opcode & 7, insn.opcode >> 4);
    if let Some(number) = insn.helper() {
        let name = helpers::name(number).unwrap_or_else(|| format!("helper {number}"));
        need(&name, helpers::version(number));
    }
    let signed_division = matches!(class, 4 | 7) && matches!(operation, 3 | 9) && insn.off == 1;
    let sign_extension = matches!(class, 4 | 7) && operation == 0xb && insn.off >= 8;
    let swap = class == 7 && operation == 0xd;
    let long_jump = insn.opcode == 0x06;
    let signed_load = class == 1 && insn.opcode >> 5 == 4;
    if signed_division || sign_extension || swap || long_jump || signed_load {
        need("instructions of -mcpu=v4", Some("6.6"));
    } else if class == 6 {
        need("32-bit comparisons (-mcpu=v3)", Some("5.1"));
    } else if insn.opcode == 0xe5 {
        need("may_goto", Some("6.9"));
    }
    if class == 3 && insn.opcode >> 5 == 6 && matches!(insn.imm, 0x100 | 0x110) {
        need("load-acquire and store-release", Some("6.15"));
    } else if class == 3 && insn.opcode >> 5 == 6 && insn.imm != 0 {
        need("atomic instructions that fetch, and, or, exchange", Some("5.12"));
    }
    let jumps = matches!(class, 5 | 6) && !matches!(operation, 8 | 9);
    let distance = if long_jump { i64::from(insn.imm) } else { i64::from(insn.off) };
    if jumps && distance < 0 && at as i64 + 1 + distance >= 0 {
        need("loops", Some("5.3"));
    }
}

fn references(object: &Object, function: &Function, need: &mut impl FnMut(&str, Option<&'static str>)) {
    let mut externs = BTreeSet::new();
    for reference in &function.references {
        match reference.target {
            Target::Function(_) if function.code.get(reference.insn).is_some_and(|insn| insn.is_wide_load()) => {
                need("callback functions", Some("5.13"));
            }
            Target::Function(_) => need("BPF-to-BPF calls", Some("4.16")),
            Target::Data(..) => need("global data", Some("5.2")),
            Target::Extern(id) => _ = externs.insert((id, reference.insn)),
            Target::Map(_) => {}
        }
    }
    for (id, insn) in externs {
        let wanted = &object.externs[id.0];
        let called = function.code.get(insn).is_some_and(|insn| insn.is_function_call());
        let kind = match (called, wanted.name.starts_with("CONFIG_") || wanted.name.starts_with("LINUX_")) {
            (true, _) => "kernel function",
            (false, true) => "kernel configuration",
            (false, false) => "kernel symbol",
        };
        let optional = if wanted.weak { " (can do without)" } else { "" };
        if called && !wanted.weak {
            need("calls of kernel functions", Some("5.18"));
        }
        need(&format!("{kind} {}{optional}", wanted.name), None);
    }
}
