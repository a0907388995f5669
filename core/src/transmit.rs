//! Whether a program may send packets, as far as its instructions tell without running them.

use std::collections::{BTreeMap, BTreeSet};

use crate::asm::{Insn, op};
use crate::object::{Content, Function, Object, Target};

/// `XDP_TX`.
const TX: i32 = 3;
/// tail_call, redirect, redirect_map.
const SENDING_HELPERS: [i32; 3] = [12, 23, 51];
const STACK: u8 = 10;

/// Whether a program of the object may send packets. It says yes where it cannot know: a verdict that is read from
/// memory or calculated.
pub fn may_transmit(object: &Object) -> bool {
    object.functions.iter().any(|function| {
        let helpers = function.code.iter().filter_map(|insn| insn.helper());
        helpers.into_iter().any(|helper| SENDING_HELPERS.contains(&helper))
            || Verdicts::of(object, function).may_be_tx()
    })
}

/// Follows what a function returns backwards to where it is made.
struct Verdicts<'a> {
    object: &'a Object,
    function: &'a Function,
    /// Instructions after which each instruction may run.
    before: BTreeMap<usize, Vec<usize>>,
    /// Registers whose value before an instruction is returned.
    open: Vec<(usize, u8)>,
    seen: BTreeSet<(usize, u8)>,
}

impl<'a> Verdicts<'a> {
    fn of(object: &'a Object, function: &'a Function) -> Self {
        let code = &function.code;
        let mut before: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, insn) in code.iter().enumerate() {
            for next in successors(at, *insn) {
                before.entry(next).or_default().push(at);
            }
        }
        let exits = code.iter().enumerate().filter(|(_, insn)| insn.opcode == op::EXIT);
        Verdicts { object, function, before, open: exits.map(|(at, _)| (at, 0)).collect(), seen: BTreeSet::new() }
    }

    fn may_be_tx(mut self) -> bool {
        while let Some((at, register)) = self.open.pop() {
            if !self.seen.insert((at, register)) {
                continue;
            }
            for previous in self.before.get(&at).cloned().unwrap_or_default() {
                if self.may_set_tx(previous, register) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether an instruction may put TX into the register. What it copies is followed further.
    fn may_set_tx(&mut self, at: usize, register: u8) -> bool {
        let insn = self.function.code[at];
        let (class, is_move) = (insn.opcode & 0x07, insn.opcode & 0xf0 == 0xb0);
        match class {
            0x05 if insn.opcode == op::CALL && register <= 5 => false,
            0x00 | 0x01 | 0x04 | 0x07 if insn.dst != register => self.follow(at, register),
            0x00 => insn.imm == TX,
            0x01 if insn.src == STACK => self.may_spill_tx(insn.off),
            0x01 => self.constant(at).is_none_or(|value| value == TX),
            0x04 | 0x07 if matches!(insn.opcode, op::MOV64_IMM | op::MOV32_IMM) => insn.imm == TX,
            0x04 | 0x07 if is_move => self.follow(at, insn.src),
            0x04 | 0x07 => true,
            _ => self.follow(at, register),
        }
    }

    fn follow(&mut self, at: usize, register: u8) -> bool {
        self.open.push((at, register));
        false
    }

    /// The 32-bit value that a load reads, where it is one of read-only data whose address was loaded just before.
    fn constant(&self, at: usize) -> Option<i32> {
        let load = self.function.code[at];
        let address = (0..at).rev().find(|before| {
            let insn = self.function.code[*before];
            insn.dst == load.src || insn.opcode == op::CALL || matches!(insn.opcode & 0x07, 0x05 | 0x06)
        })?;
        let Some(Target::Data(id, offset)) = self.function.target_of(address) else { return None };
        let data = &self.object.data[id.0];
        let Content::Bytes(bytes) = &data.content else { return None };
        let place = usize::try_from(i64::from(offset) + i64::from(load.off)).ok().filter(|_| !data.writable)?;
        Some(i32::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
    }

    /// Whether TX may be stored at this place of the stack.
    fn may_spill_tx(&mut self, off: i16) -> bool {
        let code = self.function.code.iter().enumerate();
        let stores = code.filter(|(_, insn)| insn.dst == STACK && insn.off == off);
        let mut tx = false;
        for (at, insn) in stores {
            match insn.opcode & 0x07 {
                0x02 => tx |= insn.imm == TX,
                0x03 => self.open.push((at, insn.src)),
                _ => {}
            }
        }
        tx
    }
}

/// Instructions that may run next.
fn successors(at: usize, insn: Insn) -> Vec<usize> {
    const GOTO: u8 = 0x05;
    const GOTO_LONG: u8 = 0x06;
    let jump = |distance: i64| usize::try_from(at as i64 + 1 + distance).ok();
    match insn.opcode {
        op::EXIT => Vec::new(),
        GOTO => jump(insn.off.into()).into_iter().collect(),
        GOTO_LONG => jump(insn.imm.into()).into_iter().collect(),
        op::CALL => vec![at + 1],
        opcode if matches!(opcode & 0x07, 0x05 | 0x06) => jump(insn.off.into()).into_iter().chain([at + 1]).collect(),
        _ => vec![at + 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::function;
    use crate::object::{Data, DataId};

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

    #[test]
    fn what_was_in_the_register_before_does_not_matter() {
        let count =
            [Insn::new(op::CALL, 0, 0, 0, 1), Insn::new(op::LDX_DW, 0, 0, 0, 0), Insn::new(op::ADD64_IMM, 0, 0, 0, 1)];
        assert!(!sends(&[&count[..], &[Insn::new(op::MOV64_IMM, 0, 0, 0, 2)]].concat()));
        assert!(sends(
            &[&count[..], &[Insn::new(op::JEQ_IMM, 1, 0, 1, 0), Insn::new(op::MOV64_IMM, 0, 0, 0, 2)]].concat()
        ));
    }

    #[test]
    fn read_only_data_is_what_it_says() {
        let sends = |verdict: i32, writable| {
            let mut main = function("main", "xdp", &[Target::Data(DataId(0), 0)]);
            main.code.splice(2.., [Insn::new(op::LDX_W, 0, 1, 4, 0), Insn::new(op::EXIT, 0, 0, 0, 0)]);
            let bytes = [[0; 4], verdict.to_le_bytes()].concat();
            let (name, content) = (".rodata".to_string(), Content::Bytes(bytes));
            let data = vec![Data { name, writable, align: 4, content, symbols: Vec::new() }];
            may_transmit(&Object { functions: vec![main], data, ..Object::default() })
        };
        assert!(sends(3, false));
        assert!(!sends(1, false));
        assert!(sends(1, true));
    }

    #[test]
    fn verdicts_are_followed_through_the_stack() {
        let spilled = |verdict| {
            let store = [Insn::new(op::MOV64_IMM, 6, 0, 0, verdict), Insn::new(op::STX_W, 10, 6, -4, 0)];
            sends(&[&store[..], &[Insn::new(op::LDX_W, 0, 10, -4, 0)]].concat())
        };
        assert!(spilled(3));
        assert!(!spilled(1));
    }
}
