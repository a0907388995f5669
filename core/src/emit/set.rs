//! Lookups in the tables of large sets; [`crate::set_table`] says what is in them.
//!
//! The kernel's verifier makes of each lookup in an array a few instructions, without a call.

use std::collections::BTreeMap;

use super::cond::{Branch, MAP_LOOKUP};
use super::layers::{self, Functions, Takes};
use super::maps::Maps;
use super::value::Goal;
use super::{Emitter, Options, stack};
use crate::asm::build::{Alu, Asm, If, Label, Reg, Size};
use crate::cond::{Cond, Load, Member, Part, Width};
use crate::error::Result;
use crate::object::{MapId, Object};
use crate::rules::Rules;
use crate::set_table::buckets::{FACTOR, PROBES, SLOTS};
use crate::set_table::lanes::FIRST;
use crate::set_table::v6::{CHAIN, FACTORS, entry};
use crate::set_table::{Geometry, LINE, NARROW, WIDE, state};

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

/// In the program: the address of IPv4 stands at [`stack::KEY`].
const IN_PROGRAM: Frame = Frame { map: stack::KEY + 8, line: stack::KEY + 4, tag: stack::KEY + 16 };
/// In a function of its own.
const IN_FUNCTION: Frame = Frame { map: -8, line: -12, tag: -24 };
/// In the program: where a bucket of lanes is in its line, in bytes; 8 bytes.
const IN_LINE: i16 = stack::KEY + 24;
/// The key of the outer map, zero; 4 bytes.
const ZERO: i16 = -16;
/// Where the class word is in its line, in bytes; 8 bytes.
const CLASS: i16 = -32;
/// The upper and the lower half of an entry's key, and the number of its bit; 8 bytes each.
const HIGH: i16 = -40;
const LOW: i16 = -48;
const BIT: i16 = -56;

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

    /// Looks an IPv4 address up.
    pub(super) fn v4_table(&mut self, member: &Member, table: Geometry, branch: Branch) {
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

    /// Looks an IPv6 address up.
    pub(super) fn v6_table(&mut self, member: &Member, branch: Branch) {
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

impl Functions {
    /// Adds the functions that look IPv6 addresses up.
    pub(super) fn add_tables(&mut self, object: &mut Object, maps: &Maps, options: &Options) -> Result<()> {
        for ((set, part), table) in maps.tables.iter().filter(|((_, part), _)| *part == Part::V6) {
            let asm = v6_function(maps.sets[&(*set, *part)], *table);
            let name = format!("xdpilot_set_{set}");
            let function = layers::add(object, &name, "looks an address up in a set", asm, options, Takes::Address)?;
            self.tables.insert(*set, function);
        }
        Ok(())
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

/// A function of the two halves of an address, in host byte order: 1 where the table has it, else 0.
///
/// r6 and r7 hold the halves, r8 the classes that are left to look into, four bits each; r9 is 1 as long as the class word
/// was not read.
fn v6_function(map: MapId, table: Geometry) -> Asm {
    let mut asm = Asm::default();
    let (yes, no, next) = (asm.label(), asm.label(), asm.label());
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
    // Class 1 first: a processor looks for it while the class word is still on its way.
    let probe = asm.label();
    asm.mov_imm(8, 0);
    asm.mov_imm(9, 1);
    asm.jump_imm(If::Ne, 3, state::SHORT as i32, next);
    asm.mov_imm(8, 1);
    asm.bind(next);
    asm.jump_imm(If::Ne, 8, 0, probe);
    asm.jump_imm(If::Eq, 9, 0, no);
    asm.mov_imm(9, 0);
    class_word(&mut asm, table, no);
    asm.goto(next);
    asm.bind(probe);
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
