//! The functions of a classifier: which groups can have an entry for the packet's numbers, and whether they have.

use super::Tables;
use super::layout::{
    self, ASKED, BEST, COUNT_BITS, Check, DE_BRUIJN, GROUP, INDEX, Layout, MASKS, MOST_IN_PLACE, RULE, SEED, UNIT,
};
use super::signature::{FACTOR, Key, Signature};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::object::{DataId, FunctionId};
use crate::plan::{Classifier, MOST_GROUPS};

/// On the function's stack: the groups that can have an entry.
const WORDS: i16 = -8;

/// Writes the functions of a classifier.
///
/// | register | holds |
/// | --- | --- |
/// | r9 | the state: numbers, and a bit for each that the packet does not have |
/// | r8 | what was found so far |
/// | r7 | how many groups of the word may still be probed |
/// | r6 | the groups of the word that can have an entry |
/// | r5 | the group |
/// | r4 | how many entries of the place may still be looked at |
/// | r3 | the entry |
///
/// Before, while rows are combined, r1 to r4 hold their words and r5 a row's address.
pub(super) struct Finder<'a> {
    pub(super) asm: Asm,
    pub(super) classifier: &'a Classifier,
    pub(super) layout: &'a Layout,
    pub(super) tables: &'a Tables,
    /// Whether it is for packets that do not have all numbers.
    pub(super) with_absent: bool,
}

impl Finder<'_> {
    /// `u64 find(state *)`: the rule in the lower half, the number of its verdict in the upper one; all ones where there
    /// is none.
    pub(super) fn find(mut self, probe: Option<FunctionId>) -> Asm {
        let done = self.asm.label();
        self.asm.mov(9, 1);
        self.asm.mov_imm(8, -1);
        self.asm.jump_imm(If::Eq, 9, 0, done);
        match &self.layout.groups[..] {
            [_] => self.probe(),
            groups => {
                self.candidates();
                for (word, groups) in (0..).zip(groups.chunks(64)) {
                    self.word(word, groups, probe, done);
                }
            }
        }
        self.end(done)
    }

    /// Returns what was found.
    fn end(mut self, done: Label) -> Asm {
        self.asm.bind(done);
        self.asm.mov(0, 8);
        self.asm.exit();
        self.asm
    }

    /// Probes the groups of a word of the rows.
    fn word(&mut self, word: usize, groups: &[Vec<u32>], probe: Option<FunctionId>, done: Label) {
        let (again, next) = (self.asm.label(), self.asm.label());
        if word > 0 {
            self.asm.jump32_imm(If::Lt, 8, groups[0][0], done);
        }
        match (self.layout.signatures.all.is_empty(), self.layout.words) {
            (true, _) => self.asm.mov64_wide(6, u64::MAX >> (64 - groups.len())),
            (false, 1) => self.asm.mov(6, 0),
            (false, _) => self.asm.load(Size::DW, 6, 10, WORDS - 8 * word as i16),
        }
        self.asm.mov_imm(7, groups.len() as i32);
        self.asm.jump_imm(If::Eq, 6, 0, next);
        self.asm.bind(again);
        self.first();
        self.asm.alu64_imm(Alu::Add, 1, 64 * word as i32);
        self.address();
        self.asm.load(Size::W, 2, 5, BEST);
        self.asm.jump32_reg(If::Ge, 2, 8, done);
        match probe {
            Some(probe) => {
                self.asm.mov(3, 8);
                self.asm.mov(2, 1);
                self.asm.mov(1, 9);
                self.asm.call_function(probe);
                self.asm.mov(8, 0);
            }
            None => self.probe(),
        }
        self.asm.alu64_imm(Alu::Sub, 7, 1);
        self.asm.jump_imm(If::Eq, 7, 0, next);
        self.asm.jump_imm(If::Ne, 6, 0, again);
        self.asm.bind(next);
    }

    /// `u64 probe(state *, u64 group, u64 found)`: what is found if the group is looked at, too.
    pub(super) fn probe_function(mut self) -> Asm {
        let done = self.asm.label();
        self.asm.mov(9, 1);
        self.asm.mov(8, 3);
        self.asm.mov(1, 2);
        self.asm.jump_imm(If::Eq, 9, 0, done);
        self.asm.alu64_imm(Alu::And, 1, MOST_GROUPS as i32 - 1);
        self.address();
        self.probe();
        self.end(done)
    }

    fn number(&mut self, into: u8, field: usize) {
        self.asm.load(Size::W, into, 9, 4 * field as i16);
    }

    /// r1 = the bits of a number that the group in r5 asks for.
    fn masked(&mut self, field: usize) {
        self.number(1, field);
        match &self.classifier.groups[..] {
            [only] if only.masks[field] & self.classifier.fields[field].most == self.classifier.fields[field].most => {}
            [only] => self.asm.alu32_imm(Alu::And, 1, only.masks[field]),
            _ => {
                self.asm.load(Size::W, 2, 5, MASKS + 4 * field as i16);
                self.asm.alu32(Alu::And, 1, 2);
            }
        }
    }

    /// Keeps the words of the groups that can have an entry: those of all rows, combined. A single word stays in r0. Without
    /// signatures all groups can have one.
    fn candidates(&mut self) {
        let layout = self.layout;
        if layout.signatures.all.is_empty() {
            return;
        }
        // So many words are combined in registers at a time.
        let words: Vec<i16> = (0..layout.words as i16).collect();
        for words in words.chunks(4) {
            for (at, signature) in layout.signatures.all.iter().enumerate() {
                self.row(signature, at);
                for (into, word) in (1..).zip(words) {
                    self.asm.load(Size::DW, 6, 5, 8 * word);
                    if at == 0 { self.asm.mov(into, 6) } else { self.asm.alu64(Alu::And, into, 6) }
                }
            }
            for (register, word) in (1..).zip(words) {
                match layout.words {
                    1 => self.asm.mov(0, register),
                    _ => self.asm.store(Size::DW, 10, WORDS - 8 * word, register),
                }
            }
        }
    }

    /// r5 = the address of a row; r0, r6 and r7 are lost.
    fn row(&mut self, signature: &Signature, at: usize) {
        let rows = &self.layout.signatures.rows;
        self.row_number(signature.key, at);
        if self.with_absent {
            self.unless_absent(5, signature.key.field, signature.absent);
        }
        self.asm.alu64_imm(Alu::And, 5, rows.len().next_power_of_two() as i32 - 1);
        match self.layout.row_bytes() as i32 {
            bytes if bytes.count_ones() == 1 => self.asm.alu64_imm(Alu::Lsh, 5, bytes.trailing_zeros() as i32),
            bytes => self.asm.alu64_imm(Alu::Mul, 5, bytes),
        }
        self.asm.load_data(0, DataId(0), self.tables.rows);
        self.asm.alu64(Alu::Add, 5, 0);
    }

    /// r5 = the number of a row; r0 is lost.
    fn row_number(&mut self, key: Key, at: usize) {
        self.number(5, key.field);
        if key.shift > 0 {
            self.asm.alu32_imm(Alu::Rsh, 5, key.shift);
        }
        if key.hashed {
            self.asm.alu32_imm(Alu::Mul, 5, FACTOR);
            self.asm.alu32_imm(Alu::Rsh, 5, 32 - key.bits);
        } else {
            self.asm.alu64_imm(Alu::And, 5, (1 << key.bits) - 1);
        }
        let shift = if self.tables.id == Size::H { 1 } else { 2 };
        self.asm.alu64_imm(Alu::Lsh, 5, shift);
        self.asm.load_data(0, DataId(0), self.tables.ids[at]);
        self.asm.alu64(Alu::Add, 0, 5);
        self.asm.load(self.tables.id, 5, 0, 0);
    }

    /// The number of a row stays where the packet has the field; else it becomes `absent`. Without a branch: the verifier
    /// would follow each combination of them.
    fn unless_absent(&mut self, row: u8, field: usize, absent: u32) {
        self.asm.load(Size::W, 6, 9, 4 * self.classifier.fields.len() as i16);
        self.asm.alu32_imm(Alu::Rsh, 6, field as u32);
        self.asm.alu32_imm(Alu::And, 6, 1);
        self.asm.mov32_imm(7, absent);
        self.asm.alu32(Alu::Sub, 7, row);
        self.asm.alu32(Alu::Mul, 7, 6);
        self.asm.alu32(Alu::Add, row, 7);
    }

    /// r1 = the [`layout::slot`] of the lowest bit of r6, which is cleared there.
    fn first(&mut self) {
        self.asm.mov(1, 6);
        self.asm.alu64_imm(Alu::Neg, 1, 0);
        self.asm.alu64(Alu::And, 1, 6);
        self.asm.alu64(Alu::Xor, 6, 1);
        self.asm.mov64_wide(2, DE_BRUIJN);
        self.asm.alu64(Alu::Mul, 1, 2);
        self.asm.alu64_imm(Alu::Rsh, 1, 58);
    }

    /// r5 = the address of the group whose slot is in r1.
    fn address(&mut self) {
        let width = 4 * self.layout.groups[0].len() as u32;
        self.asm.load_data(5, DataId(0), self.tables.groups);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::Lsh, 2, width.trailing_zeros() as i32);
        self.asm.alu64(Alu::Add, 5, 2);
    }

    /// Looks for an entry of the group in r5.
    fn probe(&mut self) {
        let probed = self.asm.label();
        self.place();
        self.entries(probed);
        self.asm.bind(probed);
    }

    /// r0 = the place of the packet's key in the group.
    fn place(&mut self) {
        match self.layout.groups.len() {
            1 => self.asm.mov64_wide(0, layout::seed(0)),
            _ => self.asm.load(Size::DW, 0, 5, SEED),
        }
        for field in 0..self.classifier.fields.len() {
            if self.classifier.groups.iter().all(|group| group.masks[field] == 0) {
                continue;
            }
            self.masked(field);
            self.asm.mov64_wide(2, self.layout.factors[field]);
            self.asm.alu64(Alu::Mul, 1, 2);
            self.asm.alu64(Alu::Add, 0, 1);
        }
        self.asm.alu64_imm(Alu::Rsh, 0, 64 - self.layout.places.len().trailing_zeros() as i32);
    }

    /// Looks for the first entry of the place in r0 that matches; goes to `probed`.
    fn entries(&mut self, probed: Label) {
        let (again, advance) = (self.asm.label(), self.asm.label());
        self.asm.alu64_imm(Alu::Lsh, 0, 2);
        self.asm.load_data(3, DataId(0), self.tables.places);
        self.asm.alu64(Alu::Add, 3, 0);
        self.asm.load(Size::W, 0, 3, 0);
        self.asm.mov(4, 0);
        self.asm.alu64_imm(Alu::And, 4, MOST_IN_PLACE as i32);
        self.asm.jump_imm(If::Eq, 4, 0, probed);
        // No place has more: the verifier need not follow them.
        self.asm.jump_imm(If::Gt, 4, self.layout.longest as i32, probed);
        self.asm.alu64_imm(Alu::Rsh, 0, COUNT_BITS as i32);
        self.asm.alu64_imm(Alu::And, 0, self.layout.last_unit() as i32);
        self.asm.alu64_imm(Alu::Lsh, 0, UNIT.trailing_zeros() as i32);
        self.asm.load_data(3, DataId(0), self.tables.entries);
        self.asm.alu64(Alu::Add, 3, 0);
        self.asm.bind(again);
        self.asm.load(Size::W, 1, 3, RULE);
        self.asm.jump32_reg(If::Ge, 1, 8, probed);
        self.checks(advance);
        self.asm.load(Size::DW, 8, 3, RULE);
        self.asm.goto(probed);
        self.asm.bind(advance);
        self.asm.alu64_imm(Alu::Add, 3, self.layout.entry_bytes() as i32);
        self.asm.alu64_imm(Alu::Sub, 4, 1);
        self.asm.jump_imm(If::Ne, 4, 0, again);
        self.asm.goto(probed);
    }

    /// Goes to `other` unless the entry in r3 is one of the group in r5 and matches.
    fn checks(&mut self, other: Label) {
        if self.layout.groups.len() > 1 {
            self.asm.load(Size::H, 1, 3, GROUP);
            self.asm.load(Size::W, 2, 5, INDEX);
            self.asm.jump32_reg(If::Ne, 1, 2, other);
        }
        // Wide numbers first: they differ most often.
        let is_wide = |field: &usize| self.classifier.fields[*field].most > 0xffff;
        let (wide, short): (Vec<usize>, Vec<usize>) = (0..self.layout.checks.len()).partition(is_wide);
        for field in wide.into_iter().chain(short) {
            let (check, at) = (self.layout.checks[field], self.layout.offset(field));
            match check {
                Check::Bits => {
                    self.masked(field);
                    self.asm.load(Size::W, 2, 3, at);
                    self.asm.jump32_reg(If::Ne, 1, 2, other);
                }
                Check::Range | Check::ShortRange => {
                    let (size, span) = if check == Check::Range { (Size::W, 4) } else { (Size::H, 2) };
                    self.number(1, field);
                    self.asm.load(size, 2, 3, at);
                    self.asm.alu32(Alu::Sub, 1, 2);
                    self.asm.load(size, 2, 3, at + span);
                    self.asm.jump32_reg(If::Gt, 1, 2, other);
                }
            }
        }
        if !self.layout.complete {
            // What the packet does not have was read as zero.
            self.asm.load(Size::W, 1, 9, 4 * self.classifier.fields.len() as i16);
            self.asm.load(Size::H, 2, 3, ASKED);
            self.asm.jump32_reg(If::Set, 1, 2, other);
        }
    }
}
