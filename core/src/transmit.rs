//! Whether a program may send packets, as far as its instructions tell without running them.

use std::collections::BTreeSet;

use crate::asm::{Insn, op};
use crate::object::{Function, Object};

/// `XDP_TX`.
const TX: i32 = 3;
/// tail_call, redirect, redirect_map.
const SENDING_HELPERS: [i32; 3] = [12, 23, 51];

/// Whether a program of the object may send packets. It says yes where it cannot know: a verdict that is read from
/// memory or calculated.
pub fn may_transmit(object: &Object) -> bool {
    object.functions.iter().any(function_may)
}

fn function_may(function: &Function) -> bool {
    let verdicts = verdict_registers(&function.code);
    function.code.iter().any(|insn| {
        let constant = matches!(insn.opcode, op::MOV64_IMM | op::MOV32_IMM);
        let unknown = verdicts.contains(&insn.dst) && (is_load(*insn) || is_arithmetic(*insn));
        unknown || (constant && insn.imm == TX) || insn.helper().is_some_and(|h| SENDING_HELPERS.contains(&h))
    })
}

/// r0, and the registers that are moved into it, directly or by others.
fn verdict_registers(code: &[Insn]) -> BTreeSet<u8> {
    let mut registers = BTreeSet::from([0]);
    loop {
        let moved =
            code.iter().filter(|i| matches!(i.opcode, op::MOV64_REG | op::MOV32_REG) && registers.contains(&i.dst));
        let more: Vec<u8> = moved.map(|i| i.src).filter(|src| !registers.contains(src)).collect();
        if more.is_empty() {
            return registers;
        }
        registers.extend(more);
    }
}

/// A load from memory (class LDX).
fn is_load(insn: Insn) -> bool {
    insn.opcode & 0x07 == 0x01
}

/// Arithmetic other than a move (classes ALU and ALU64).
fn is_arithmetic(insn: Insn) -> bool {
    matches!(insn.opcode & 0x07, 0x04 | 0x07) && insn.opcode & 0xf0 != 0xb0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::function;

    fn sends(code: &[Insn]) -> bool {
        let mut function = function("main", "xdp", &[]);
        function.code = [code, &[Insn::new(op::EXIT, 0, 0, 0, 0)]].concat();
        may_transmit(&Object { functions: vec![function], ..Object::default() })
    }

    #[test]
    fn constant_verdicts_are_known() {
        assert!(!sends(&[Insn::new(op::MOV64_IMM, 0, 0, 0, 1)]));
        assert!(sends(&[Insn::new(op::MOV64_IMM, 6, 0, 0, 3), Insn::new(op::MOV64_REG, 0, 6, 0, 0)]));
        assert!(!sends(&[Insn::new(op::LDX_W, 2, 1, 0, 0), Insn::new(op::MOV32_IMM, 0, 0, 0, 2)]));
    }

    #[test]
    fn what_is_read_or_calculated_may_be_anything() {
        assert!(sends(&[Insn::new(op::LDX_W, 6, 1, 0, 0), Insn::new(op::MOV64_REG, 0, 6, 0, 0)]));
        assert!(sends(&[Insn::new(op::MOV64_IMM, 0, 0, 0, 2), Insn::new(op::ADD64_IMM, 0, 0, 0, 1)]));
        assert!(sends(&[Insn::new(op::CALL, 0, 0, 0, 51)]));
    }
}
