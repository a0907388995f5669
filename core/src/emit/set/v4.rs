//! IPv4 addresses in tables.

use super::{Frame, WORD, decide, find_slot, line, state_in_r3};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::cond::{Load, Member, Width};
use crate::emit::cond::Branch;
use crate::emit::value::Goal;
use crate::emit::{Emitter, stack};
use crate::set_table::buckets::FACTOR;
use crate::set_table::lanes::FIRST;
use crate::set_table::{Geometry, LINE, NARROW, WIDE, state};

/// In the program: the address of IPv4 stands at [`stack::KEY`].
const IN_PROGRAM: Frame = Frame { map: stack::KEY + 8, line: stack::KEY + 4, tag: stack::KEY + 16 };
/// In the program: where a bucket of lanes is in its line, in bytes; 8 bytes.
const IN_LINE: i16 = stack::KEY + 24;

impl Emitter<'_> {
    /// Looks an IPv4 address up.
    pub(in crate::emit) fn v4_table(&mut self, member: &Member, table: Geometry, branch: Branch) {
        let (yes, no) = (branch.yes.0, branch.no.0);
        let goal = Goal { register: 1, aside: 0, fault: branch.fault };
        self.bytes(&Load { at: member.at.clone(), width: Width::Four }, goal);
        self.asm.swap(1, 32);
        self.asm.store(Size::W, 10, stack::KEY, 1);
        self.set_in_r1(member, no);
        let asm = &mut self.asm;
        asm.store(Size::DW, 10, IN_PROGRAM.map, 1);
        if table.lanes > 0 {
            lanes(asm, table, (yes, no));
        }
        let slots = asm.label();
        asm.mov32_imm(2, table.end());
        line(asm, IN_PROGRAM, 2, no);
        asm.load(Size::DW, 3, 0, (WIDE as i32 * WORD) as i16);
        asm.load(Size::W, 1, 10, stack::KEY);
        asm.jump_imm(If::Eq, 3, 0, slots);
        state_in_r3(asm, IN_PROGRAM, no);
        asm.jump_imm(If::Eq, 3, state::NONE as i32, no);
        asm.jump_imm(If::Eq, 3, state::ALL as i32, yes);
        asm.bind(slots);
        asm.mov(2, 1);
        asm.alu64_imm(Alu::Rsh, 2, 5);
        asm.mov(3, 2);
        asm.alu32_imm(Alu::Mul, 3, FACTOR);
        asm.alu32_imm(Alu::Or, 2, 1 << 27);
        asm.store(Size::DW, 10, IN_PROGRAM.tag, 2);
        let found = asm.label();
        find_slot(asm, IN_PROGRAM, table, (found, no));
        asm.bind(found);
        asm.load(Size::DW, 3, 0, 0);
        // The slot may have been given away since its tag was read.
        asm.mov(2, 3);
        asm.alu64_imm(Alu::Rsh, 2, 32);
        asm.jump32_reg(If::Ne, 2, 1, no);
        asm.load(Size::W, 1, 10, stack::KEY);
        asm.alu32_imm(Alu::And, 1, 31);
        asm.alu32(Alu::Rsh, 3, 1);
        asm.alu32_imm(Alu::And, 3, 1);
        decide(asm, 3, branch);
    }
}

/// Looks an address that is on the stack up among single ones; where it may be elsewhere, it goes on behind.
fn lanes(asm: &mut Asm, table: Geometry, (yes, no): (Label, Label)) {
    let elsewhere = asm.label();
    let (words, of_line) = (table.lanes as i32, LINE as i32 / table.lanes as i32);
    asm.load(Size::W, 2, 10, stack::KEY);
    asm.alu32_imm(Alu::Mul, 2, FACTOR);
    asm.mov(3, 2);
    asm.alu64_imm(Alu::And, 3, 0xffff);
    asm.jump32_imm(If::Lt, 3, u32::from(FIRST), elsewhere);
    asm.store(Size::DW, 10, IN_PROGRAM.tag, 3);
    asm.alu64_imm(Alu::Rsh, 2, 16);
    if of_line > 1 {
        asm.mov(3, 2);
        asm.alu64_imm(Alu::And, 3, of_line - 1);
        asm.alu64_imm(Alu::Lsh, 3, (words * WORD).ilog2() as i32);
        asm.store(Size::DW, 10, IN_LINE, 3);
        asm.alu64_imm(Alu::Rsh, 2, of_line.ilog2() as i32);
    }
    asm.alu64_imm(Alu::Add, 2, table.lane_lines().start as i32);
    line(asm, IN_PROGRAM, 2, no);
    if of_line > 1 {
        asm.load(Size::DW, 1, 10, IN_LINE);
        asm.alu64(Alu::Add, 0, 1);
    }
    asm.load(Size::DW, 3, 10, IN_PROGRAM.tag);
    any_lane(asm, words);
    asm.jump_imm(If::Ne, 1, 0, yes);
    // The last lane, which is taken last.
    asm.jump_imm(If::Ne, 2, 0, elsewhere);
    asm.mov32_imm(2, table.end());
    line(asm, IN_PROGRAM, 2, no);
    asm.load(Size::DW, 1, 0, (WIDE as i32 * WORD) as i16);
    asm.load(Size::DW, 2, 0, (NARROW as i32 * WORD) as i16);
    asm.alu64(Alu::Or, 1, 2);
    asm.jump_imm(If::Eq, 1, 0, no);
    asm.bind(elsewhere);
}

/// r1 = whether one of the lanes at r0 is what r3 holds: not zero then; r2 = the last one of them.
///
/// Without branches, all lanes of a word at once: of x, a word whose lanes are zero where they are what is looked for,
/// `(x - 0x0001…) & !x` has the highest bit of such a lane set, and of no word that has none (Mycroft, 1987).
fn any_lane(asm: &mut Asm, words: i32) {
    asm.mov64_wide(5, 0x0001_0001_0001_0001);
    asm.alu64(Alu::Mul, 3, 5);
    asm.mov_imm(1, 0);
    for word in 0..words {
        asm.load(Size::DW, 2, 0, (word * WORD) as i16);
        asm.alu64(Alu::Xor, 2, 3);
        asm.mov(4, 2);
        asm.alu64(Alu::Sub, 4, 5);
        asm.alu64_imm(Alu::Xor, 2, -1);
        asm.alu64(Alu::And, 4, 2);
        asm.alu64(Alu::Or, 1, 4);
    }
    asm.mov64_wide(4, 0x8000_8000_8000_8000);
    asm.alu64(Alu::And, 1, 4);
    asm.load(Size::DW, 2, 0, ((words - 1) * WORD) as i16);
    asm.alu64_imm(Alu::Rsh, 2, 48);
}
