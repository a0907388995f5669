//! Lookups in the tables of large sets; [`crate::set_table`] says what is in them.
//!
//! The kernel's verifier makes of each lookup in an array a few instructions, without a call.

mod v4;
mod v6;

use std::collections::BTreeMap;

use super::cond::{Branch, MAP_LOOKUP};
use super::{Emitter, stack};
use crate::asm::build::{Alu, Asm, If, Label, Reg, Size};
use crate::cond::{Cond, Member, Part};
use crate::rules::Rules;
use crate::set_table::Geometry;
use crate::set_table::buckets::{PROBES, SLOTS};

/// Bytes of a slot, and of a word.
const WORD: i32 = 8;

/// Where a lookup in a table keeps what it needs on the stack: offsets from r10.
#[derive(Clone, Copy)]
struct Frame {
    /// The table's map; 8 bytes.
    map: i16,
    /// The index of a line, as a key; 4 bytes.
    line: i16,
    /// The tag that is looked for, 8 bytes.
    tag: i16,
}

impl Emitter<'_> {
    /// Holds the maps of sets that are asked for more than once.
    pub(super) fn hold_sets(&mut self) {
        let maps = self.maps;
        for (key, place) in &maps.held {
            // The test for null is made where it is used: here it would double the verifier's ways.
            self.lookup(maps.sets[key], stack::ZERO);
            self.asm.store(Size::DW, 10, *place, 0);
        }
    }

    /// r1 = the map that holds the elements that are meant; where there is none, to `missing`.
    pub(super) fn set_in_r1(&mut self, member: &Member, missing: Label) {
        let key = (member.set, member.part);
        match self.maps.held.get(&key) {
            Some(place) => self.asm.load(Size::DW, 0, 10, *place),
            None => self.lookup(self.maps.sets[&key], stack::ZERO),
        }
        self.asm.jump_imm(If::Eq, 0, 0, missing);
        self.asm.mov(1, 0);
    }
}

/// The maps of sets that a packet may be tested for more than once, each with its place on the stack. Not those of
/// `tables` of IPv6: the verifier would look at their function once for each test.
pub(super) fn held(rules: &Rules, tables: &BTreeMap<(usize, Part), Geometry>) -> BTreeMap<(usize, Part), i16> {
    let mut uses = BTreeMap::new();
    rules.rules.iter().for_each(|rule| count_uses(&rule.cond, &mut uses));
    let can = |key: &(usize, Part)| key.1 != Part::V6 || !tables.contains_key(key);
    let twice = uses.into_iter().filter(|(key, count)| *count > 1 && can(key)).take(stack::HELD_MOST);
    (0..).zip(twice).map(|(at, (key, _))| (key, stack::HELD + 8 * at)).collect()
}

fn count_uses(cond: &Cond, uses: &mut BTreeMap<(usize, Part), usize>) {
    match cond {
        Cond::In(member) => *uses.entry((member.set, member.part)).or_default() += 1,
        Cond::Not(inner) => count_uses(inner, uses),
        Cond::And(left, right) | Cond::Or(left, right) => {
            count_uses(left, uses);
            count_uses(right, uses);
        }
        Cond::Always(_) | Cond::Compare(..) | Cond::Chain(_) => {}
    }
}

/// Jumps by a register that is zero for no.
fn decide(asm: &mut Asm, register: Reg, branch: Branch) {
    match branch.yes_follows {
        true => asm.jump32_imm(If::Eq, register, 0, branch.no.0),
        false => asm.jump32_imm(If::Ne, register, 0, branch.yes.0),
    }
}

/// r0 = the value of a key on the stack, in the map that r1 points to.
fn lookup(asm: &mut Asm, key: i16, missing: Label) {
    asm.mov(2, 10);
    asm.alu64_imm(Alu::Add, 2, i32::from(key));
    asm.call(MAP_LOOKUP);
    asm.jump_imm(If::Eq, 0, 0, missing);
}

/// r0 = the table's line whose index is in a register.
fn line(asm: &mut Asm, frame: Frame, index: Reg, missing: Label) {
    asm.store(Size::W, 10, frame.line, index);
    asm.load(Size::DW, 1, 10, frame.map);
    lookup(asm, frame.line, missing);
}

/// r3 = the state of an address, whose first 32 bits are in r1 and stay there.
fn state_in_r3(asm: &mut Asm, frame: Frame, missing: Label) {
    asm.store(Size::DW, 10, frame.tag, 1);
    asm.mov(2, 1);
    asm.alu64_imm(Alu::Rsh, 2, 16);
    line(asm, frame, 2, missing);
    asm.load(Size::DW, 1, 10, frame.tag);
    // Of the first 24 bits the last eight: three for the word, five for the state in it.
    asm.mov(2, 1);
    asm.alu64_imm(Alu::Rsh, 2, 10);
    asm.alu64_imm(Alu::And, 2, 7 * WORD);
    asm.alu64(Alu::Add, 0, 2);
    asm.load(Size::DW, 3, 0, 0);
    asm.mov(2, 1);
    asm.alu64_imm(Alu::Rsh, 2, 7);
    asm.alu64_imm(Alu::And, 2, 2 * 31);
    asm.alu64(Alu::Rsh, 3, 2);
    asm.alu64_imm(Alu::And, 3, 3);
}

/// Looks for the slot of the tag on the stack, from the hash in r3 on: r0 = the slot and r1 = the tag at `found`.
fn find_slot(asm: &mut Asm, frame: Frame, table: Geometry, (found, missing): (Label, Label)) {
    scale(asm, 3, table.buckets, table.bucket_lines().start);
    for probe in 0..PROBES {
        if probe > 0 {
            asm.load(Size::W, 3, 10, frame.line);
            asm.alu64_imm(Alu::Add, 3, 1);
        }
        line(asm, frame, 3, missing);
        asm.load(Size::DW, 1, 10, frame.tag);
        for slot in 0..SLOTS {
            if slot > 0 {
                asm.alu64_imm(Alu::Add, 0, WORD);
            }
            asm.load(Size::W, 2, 0, 4);
            asm.jump32_reg(If::Eq, 2, 1, found);
        }
        // A bucket whose last slot is free is where the search ends.
        asm.jump32_imm(If::Eq, 2, 0, missing);
    }
    asm.goto(missing);
}

/// A hash of 32 bits becomes one of `count` indexes from `start` on.
fn scale(asm: &mut Asm, register: Reg, count: u32, start: u32) {
    asm.alu64_imm(Alu::Mul, register, count as i32);
    asm.alu64_imm(Alu::Rsh, register, 32);
    asm.alu64_imm(Alu::Add, register, start as i32);
}
