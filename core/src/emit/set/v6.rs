//! IPv6 addresses in tables: a function for each, since the code is long.

use super::{Frame, WORD, decide, find_slot, line, lookup, scale, state_in_r3};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::cond::{Member, Part};
use crate::emit::cond::Branch;
use crate::emit::layers::{self, Functions, Takes};
use crate::emit::maps::Maps;
use crate::emit::{Emitter, Options, stack};
use crate::error::Result;
use crate::object::{MapId, Object};
use crate::set_table::blocks::{self, FOLD, LANES, MORE, NAME, NO_LANE, SHIFT, TAKEN, UNUSED};
use crate::set_table::buckets::FACTOR;
use crate::set_table::v6::{CHAIN, FACTORS, entry};
use crate::set_table::{Geometry, state};

/// In a function of its own.
const IN_FUNCTION: Frame = Frame { map: -8, line: -12, tag: -24 };
/// The key of the outer map, zero; 4 bytes.
const ZERO: i16 = -16;
/// Where the class word is in its line, in bytes; 8 bytes.
const CLASS: i16 = -32;
/// The upper and the lower half of an entry's key, and the number of its bit; 8 bytes each.
const HIGH: i16 = -40;
const LOW: i16 = -48;
const BIT: i16 = -56;

impl Emitter<'_> {
    /// Looks an IPv6 address up.
    pub(in crate::emit) fn v6_table(&mut self, member: &Member, branch: Branch) {
        let Some(function) = self.functions.tables.get(&member.set).copied() else { return };
        self.key(member, stack::KEY, branch.fault);
        for (half, register) in [(0, 1), (8, 2)] {
            self.asm.load(Size::DW, register, 10, stack::KEY + half);
            self.asm.swap(register, 64);
        }
        self.asm.call_function(function);
        decide(&mut self.asm, 0, branch);
    }
}

impl Functions {
    /// Adds the functions that look IPv6 addresses up.
    pub(in crate::emit) fn add_tables(&mut self, object: &mut Object, maps: &Maps, options: &Options) -> Result<()> {
        for ((set, part), table) in maps.tables.iter().filter(|((_, part), _)| *part == Part::V6) {
            let asm = v6_function(maps.sets[&(*set, *part)], *table);
            let name = format!("xdpilot_set_{set}");
            let function = layers::add(object, &name, "looks an address up in a set", asm, options, Takes::Address)?;
            self.tables.insert(*set, function);
        }
        Ok(())
    }
}

/// A function of the two halves of an address, in host byte order: 1 where the table has it, else 0.
///
/// r6 and r7 hold the halves, r8 the classes that are left to look into, four bits each.
fn v6_function(map: MapId, table: Geometry) -> Asm {
    let mut asm = Asm::default();
    let (yes, no, next, elsewhere) = (asm.label(), asm.label(), asm.label(), asm.label());
    asm.mov(6, 1);
    asm.mov(7, 2);
    asm.store_imm(Size::W, 10, ZERO, 0);
    asm.load_map(1, map);
    lookup(&mut asm, ZERO, no);
    asm.store(Size::DW, 10, IN_FUNCTION.map, 0);
    asm.mov(1, 6);
    asm.alu64_imm(Alu::Rsh, 1, 32);
    state_in_r3(&mut asm, IN_FUNCTION, no);
    asm.jump_imm(If::Eq, 3, state::NONE as i32, no);
    asm.jump_imm(If::Eq, 3, state::ALL as i32, yes);
    if table.blocks > 0 {
        asm.jump_imm(If::Ne, 3, state::BLOCKS as i32, elsewhere);
        block(&mut asm, table, (yes, no, elsewhere));
    }
    asm.bind(elsewhere);
    class_word(&mut asm, table, no);
    asm.bind(next);
    asm.jump_imm(If::Eq, 8, 0, no);
    asm.mov(4, 8);
    asm.alu64_imm(Alu::And, 4, 0xf);
    asm.alu64_imm(Alu::Rsh, 8, 4);
    entry_key(&mut asm);
    let found = asm.label();
    find_slot(&mut asm, IN_FUNCTION, table, (found, next));
    asm.bind(found);
    entry_bit(&mut asm, table, (yes, next));
    asm.bind(no);
    asm.mov_imm(0, 0);
    asm.exit();
    asm.bind(yes);
    asm.mov_imm(0, 1);
    asm.exit();
    asm
}

/// Looks for the block of an address, whose first 32 bits are in r1, and for a prefix in it.
fn block(asm: &mut Asm, table: Geometry, (yes, no, elsewhere): (Label, Label, Label)) {
    asm.alu32_imm(Alu::And, 1, NAME);
    asm.mov(3, 1);
    asm.alu32_imm(Alu::Or, 1, TAKEN);
    asm.store(Size::DW, 10, IN_FUNCTION.tag, 1);
    asm.alu32_imm(Alu::Mul, 3, FACTOR);
    asm.mov(2, 3);
    asm.alu64_imm(Alu::Rsh, 2, FOLD as i32);
    asm.alu64(Alu::Xor, 3, 2);
    asm.alu32_imm(Alu::Mul, 3, FACTOR);
    scale(asm, 3, table.blocks, table.block_lines().start);
    let found = asm.label();
    for probe in 0..blocks::PROBES {
        if probe > 0 {
            asm.load(Size::W, 3, 10, IN_FUNCTION.line);
            asm.alu64_imm(Alu::Add, 3, 1);
        }
        line(asm, IN_FUNCTION, 3, no);
        asm.load(Size::W, 2, 0, 0);
        asm.mov(3, 2);
        asm.alu32_imm(Alu::And, 3, !MORE);
        asm.load(Size::DW, 1, 10, IN_FUNCTION.tag);
        asm.jump_reg(If::Eq, 3, 1, found);
        asm.jump_imm(If::Eq, 2, 0, elsewhere);
    }
    asm.goto(elsewhere);
    asm.bind(found);
    any_prefix(asm);
    asm.jump_imm(If::Ne, 5, 0, yes);
    asm.alu32_imm(Alu::And, 2, MORE);
    asm.jump_imm(If::Eq, 2, 0, no);
}

/// r5 = whether a lane of the block at r0 holds the address whose upper half is in r6: not zero then. r2 stays.
///
/// Without branches: of a difference that is zero, and of no other of 32 bits, one less has the highest of 64 bits.
fn any_prefix(asm: &mut Asm) {
    asm.mov(1, 6);
    asm.alu64_imm(Alu::Rsh, 1, UNUSED as i32);
    asm.alu32_imm(Alu::Lsh, 1, SHIFT);
    asm.alu32_imm(Alu::Or, 1, NO_LANE);
    asm.mov_imm(5, 0);
    for lane in 1..=LANES {
        asm.load(Size::W, 3, 0, (4 * lane) as i16);
        asm.mov(4, 3);
        asm.alu32(Alu::Xor, 4, 1);
        asm.alu32(Alu::Rsh, 4, 3);
        asm.alu64_imm(Alu::Sub, 4, 1);
        asm.alu64(Alu::Or, 5, 4);
    }
    asm.alu64_imm(Alu::Rsh, 5, 63);
}

/// r8 = the class word of the address whose upper half is in r6.
fn class_word(asm: &mut Asm, table: Geometry, missing: Label) {
    asm.mov(1, 6);
    asm.alu64_imm(Alu::Rsh, 1, 32);
    asm.alu32_imm(Alu::Mul, 1, FACTOR);
    scale(asm, 1, table.classes, 0);
    asm.mov(2, 1);
    asm.alu64_imm(Alu::And, 2, 7);
    asm.alu64_imm(Alu::Lsh, 2, 3);
    asm.store(Size::DW, 10, CLASS, 2);
    asm.alu64_imm(Alu::Rsh, 1, 3);
    asm.alu64_imm(Alu::Add, 1, table.class_lines().start as i32);
    asm.mov(2, 1);
    line(asm, IN_FUNCTION, 2, missing);
    asm.load(Size::DW, 2, 10, CLASS);
    asm.alu64(Alu::Add, 0, 2);
    asm.load(Size::DW, 8, 0, 0);
}

/// Of the class in r4: the key on the stack, the tag there, the hash in r3, and which bit of an entry is asked for.
fn entry_key(asm: &mut Asm) {
    let (lower, done) = (asm.label(), asm.label());
    // A class has 8 * class + 16 bits in common; the next 8 number the bit.
    asm.mov(1, 4);
    asm.alu64_imm(Alu::Lsh, 1, 3);
    asm.jump_imm(If::Gt, 4, 5, lower);
    asm.mov_imm(2, 40);
    asm.alu64(Alu::Sub, 2, 1);
    asm.mov(3, 6);
    bit_number(asm);
    asm.store(Size::DW, 10, HIGH, 3);
    asm.store(Size::DW, 10, LOW, 4);
    asm.mov(2, 4);
    asm.goto(done);
    asm.bind(lower);
    asm.mov_imm(2, 104);
    asm.alu64(Alu::Sub, 2, 1);
    asm.mov(3, 7);
    bit_number(asm);
    asm.alu64(Alu::Or, 3, 4);
    asm.mov(2, 3);
    asm.mov(3, 6);
    asm.store(Size::DW, 10, HIGH, 3);
    asm.store(Size::DW, 10, LOW, 2);
    asm.bind(done);
    for (at, factor) in FACTORS.into_iter().enumerate() {
        asm.mov64_wide(5, factor);
        asm.alu64(Alu::Mul, 3, 5);
        if at == 0 {
            asm.mov(1, 3);
            asm.alu64_imm(Alu::Rsh, 1, 32);
            asm.alu64(Alu::Xor, 3, 1);
            asm.alu64(Alu::Add, 3, 2);
        }
    }
    asm.mov(1, 3);
    asm.alu32_imm(Alu::Or, 1, 1);
    asm.store(Size::DW, 10, IN_FUNCTION.tag, 1);
    asm.alu64_imm(Alu::Rsh, 3, 32);
}

/// Of a half in r3 and the shift in r2 that leads to the bit's number: stores the number, and leaves the common bits in
/// r3. r1 and r2 are lost.
fn bit_number(asm: &mut Asm) {
    asm.alu64(Alu::Rsh, 3, 2);
    asm.mov(1, 3);
    asm.alu64_imm(Alu::And, 1, 0xff);
    asm.store(Size::DW, 10, BIT, 1);
    // In two steps: where the half has no common bits the sum is 64.
    asm.alu64_imm(Alu::Rsh, 3, 8);
    asm.alu64_imm(Alu::Lsh, 3, 8);
    asm.alu64(Alu::Lsh, 3, 2);
}

/// Behind a slot in r0: looks for the key among the entries of its tag, and at the bit.
fn entry_bit(asm: &mut Asm, table: Geometry, (yes, next): (Label, Label)) {
    let hit = asm.label();
    asm.load(Size::W, 1, 0, 0);
    for step in 0..CHAIN {
        if step > 0 {
            asm.load(Size::DW, 1, 0, (entry::NEXT as i32 * WORD) as i16);
        }
        asm.jump_imm(If::Eq, 1, 0, next);
        asm.alu64_imm(Alu::Add, 1, table.pool_lines().start as i32 - 1);
        asm.mov(2, 1);
        line(asm, IN_FUNCTION, 2, next);
        let other = asm.label();
        for (word, place) in [(entry::LOW, LOW), (entry::HIGH, HIGH)] {
            asm.load(Size::DW, 1, 0, (word as i32 * WORD) as i16);
            asm.load(Size::DW, 2, 10, place);
            asm.jump_reg(If::Ne, 1, 2, other);
        }
        asm.goto(hit);
        asm.bind(other);
    }
    asm.goto(next);
    asm.bind(hit);
    asm.load(Size::DW, 1, 10, BIT);
    asm.mov(2, 1);
    asm.alu64_imm(Alu::Rsh, 2, 3);
    asm.alu64_imm(Alu::And, 2, 3 * WORD);
    asm.alu64(Alu::Add, 0, 2);
    asm.load(Size::DW, 3, 0, (entry::BITS as i32 * WORD) as i16);
    asm.alu64_imm(Alu::And, 1, 63);
    asm.alu64(Alu::Rsh, 3, 1);
    asm.alu64_imm(Alu::And, 3, 1);
    asm.jump_imm(If::Ne, 3, 0, yes);
    asm.goto(next);
}
