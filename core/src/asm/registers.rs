//! Which registers code uses: those that calls keep (r6 to r9) cost a push and a pop each (the x86-64 JIT saves those
//! that a program names), so that what no call comes across is better elsewhere.

use super::{Insn, op};

const KEPT: [u8; 4] = [6, 7, 8, 9];
/// r0 and r1 have uses of their own: results, and the context at the beginning.
const LOST: [u8; 4] = [5, 4, 3, 2];

/// Classes, the bit for a register operand, and operations (RFC 9669).
const CLASS: u8 = 7;
const ALU32: u8 = 4;
const ALU64: u8 = 7;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const JMP: u8 = 5;
const JMP32: u8 = 6;
const BY_REGISTER: u8 = 0x08;
const OPERATION: u8 = 0xf0;
const MOV: u8 = 0xb0;
const NEG: u8 = 0x80;
const SWAP: u8 = 0xd0;
const JA: u8 = 0x05;
const JA_LONG: u8 = 0x06;

/// What an instruction does with its two register fields.
#[derive(Clone, Copy, Default)]
struct Uses {
    reads_dst: bool,
    writes_dst: bool,
    reads_src: bool,
}

fn uses(insn: Insn) -> Uses {
    let by_register = insn.opcode & BY_REGISTER != 0;
    match insn.opcode {
        op::CALL | op::EXIT | JA | JA_LONG => return Uses::default(),
        op::LD_IMM64 => return Uses { writes_dst: true, ..Uses::default() },
        _ => {}
    }
    match insn.opcode & CLASS {
        ALU32 | ALU64 => {
            let operation = insn.opcode & OPERATION;
            let reads_src = by_register && operation != NEG && operation != SWAP;
            Uses { reads_dst: operation != MOV, writes_dst: true, reads_src }
        }
        LDX => Uses { writes_dst: true, reads_src: true, reads_dst: false },
        ST => Uses { reads_dst: true, ..Uses::default() },
        STX => Uses { reads_dst: true, reads_src: true, writes_dst: false },
        JMP | JMP32 => Uses { reads_dst: true, reads_src: by_register, writes_dst: false },
        _ => Uses::default(),
    }
}

/// Renames registers that calls keep to free ones that calls lose, where no call comes while they are needed. The code
/// must only jump forwards; other code stays as it is.
pub fn relieve(code: &mut [Insn]) {
    let Some(across) = across_calls(code) else { return };
    let mut named = 0u16;
    for insn in instructions(code) {
        let Uses { reads_dst, writes_dst, reads_src } = uses(*insn);
        named |= u16::from(reads_dst || writes_dst) << insn.dst | u16::from(reads_src) << insn.src;
    }
    let mut free = LOST.into_iter().filter(|register| named & 1 << register == 0);
    let mut renamed: [u8; 16] = std::array::from_fn(|register| register as u8);
    for register in KEPT.into_iter().filter(|register| named & 1 << register != 0 && across & 1 << register == 0) {
        let Some(other) = free.next() else { break };
        renamed[usize::from(register)] = other;
    }
    let mut second_half = false;
    for insn in code {
        if !std::mem::replace(&mut second_half, insn.is_wide_load()) {
            let Uses { reads_dst, writes_dst, reads_src } = uses(*insn);
            if reads_dst || writes_dst {
                insn.dst = renamed[usize::from(insn.dst & 0xf)];
            }
            if reads_src {
                insn.src = renamed[usize::from(insn.src & 0xf)];
            }
        }
    }
}

/// All instructions but second halves.
fn instructions(code: &[Insn]) -> impl Iterator<Item = &Insn> {
    let mut second_half = false;
    code.iter().filter(move |insn| !std::mem::replace(&mut second_half, insn.is_wide_load()))
}

/// The registers that are needed behind a call that comes after they were set, as bits; none where the code jumps
/// backwards.
fn across_calls(code: &[Insn]) -> Option<u16> {
    let mut needed = vec![0u16; code.len() + 1];
    let mut across = 0;
    let starts: Vec<usize> = {
        let mut second_half = false;
        (0..code.len()).filter(|at| !std::mem::replace(&mut second_half, code[*at].is_wide_load())).collect()
    };
    for at in starts.into_iter().rev() {
        let insn = code[at];
        let next = at + if insn.is_wide_load() { 2 } else { 1 };
        let distance = match insn.opcode {
            JA_LONG => Some(insn.imm),
            op::CALL | op::EXIT => None,
            _ if matches!(insn.opcode & CLASS, JMP | JMP32) => Some(i32::from(insn.off)),
            _ => None,
        };
        let falls = !matches!(insn.opcode, JA | JA_LONG | op::EXIT);
        let mut live = if falls { *needed.get(next)? } else { 0 };
        if let Some(distance) = distance {
            let to = (at + 1).checked_add_signed(distance as isize).filter(|to| *to > at)?;
            live |= *needed.get(to)?;
        }
        if insn.opcode == op::CALL {
            across |= live;
        }
        let Uses { reads_dst, writes_dst, reads_src } = uses(insn);
        if writes_dst {
            live &= !(1 << insn.dst);
        }
        live |= u16::from(reads_dst) << insn.dst | u16::from(reads_src) << insn.src;
        needed[at] = live;
    }
    Some(across)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::build::{Asm, Size};

    #[test]
    fn what_a_call_comes_across_stays() {
        let mut asm = Asm::default();
        asm.mov(6, 1);
        asm.load(Size::W, 7, 6, 0);
        asm.mov(8, 7);
        asm.mov(1, 6);
        asm.call(1);
        asm.mov(0, 8);
        asm.exit();
        let mut code = asm.finish().unwrap().code;
        relieve(&mut code);
        let registers: Vec<_> = code.iter().map(|insn| (insn.dst, insn.src)).collect();
        assert_eq!(registers[..4], [(5, 1), (4, 5), (8, 4), (1, 5)]);
        assert_eq!(registers[5], (0, 8));
    }
}
