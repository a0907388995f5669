//! Long lists as functions, each of which tries some of the rules: the verifier remembers at most 8,192 jumps that it has
//! still to follow, and each rule leaves some behind. It looks at a global function by itself.

use super::layers::{self, Takes};
use super::node::Places;
use super::{Emitter, stack};
use crate::asm::build::{Alu, If, Label, Size};
use crate::cond::Cond;
use crate::error::Result;
use crate::object::FunctionId;
use crate::policy::{Action, Verdict};

/// As many rules as this in a row, and no fewer, are functions.
pub(super) const PARTS_FROM: usize = 256;
/// Rules of a function, so that no fewer than 25,000 are possible: a program has at most 256 functions.
const PART: usize = 128;
/// What a function returns beside rules: the rule in the lower half, the number of its verdict in the upper one.
const NONE: u32 = u32::MAX;
const EXCESS: u32 = u32::MAX - 1;

impl Emitter<'_> {
    /// How many of these rules, from the first on, are tried by functions.
    pub(super) fn in_parts(&self, rules: impl Iterator<Item = usize>) -> usize {
        // A function cannot take the maps of sets that the program holds, nor may it move the packet.
        if !self.maps.held.is_empty() {
            return 0;
        }
        let moves = |rule: &usize| matches!(self.rules.rules[*rule].action, Action::Set(_));
        Some(rules.take_while(|rule| !moves(rule)).count()).filter(|many| *many >= self.options.parts_from).unwrap_or(0)
    }

    /// Tries these rules by functions. Those of a classifier are tried only before what it found ([`stack::FOUND`]); `found`
    /// takes it in r0.
    pub(super) fn parts(&mut self, rules: &[(usize, &Cond)], found: Option<Label>, places: &mut Places) -> Result<()> {
        for part in rules.chunks(PART) {
            let next = self.asm.label();
            let (function, verdicts) = self.part(part, found.is_some())?;
            self.asm.mov_imm(2, 0);
            if let (Some(found), [(first, _), ..]) = (found, part) {
                self.asm.load(Size::DW, 0, 10, stack::FOUND);
                self.asm.jump32_imm(If::Lt, 0, *first as u32, found);
                self.asm.mov(2, 0);
            }
            self.asm.mov_imm(3, 0);
            if self.growth {
                self.asm.load(Size::DW, 3, 10, stack::LENGTH);
            }
            self.asm.mov(1, 6);
            self.asm.call_function(function);
            self.asm.mov(1, 0);
            self.asm.alu64_imm(Alu::Rsh, 1, 32);
            self.asm.jump32_imm(If::Eq, 1, EXCESS, places.excess);
            self.asm.mov(9, 0);
            self.asm.alu32(Alu::Mov, 9, 9);
            self.asm.jump32_imm(If::Eq, 9, NONE, next);
            self.by_verdict(&verdicts, places);
            self.asm.bind(next);
        }
        Ok(())
    }

    /// A function that tries these rules, and the verdicts that they give.
    fn part(&mut self, rules: &[(usize, &Cond)], before_found: bool) -> Result<(FunctionId, Vec<Verdict>)> {
        let program = std::mem::take(&mut self.asm);
        let verdicts = self.part_code(rules, before_found);
        let code = std::mem::replace(&mut self.asm, program);
        let name = format!("xdpilot_part_{}", self.object.functions.len());
        let takes = Takes::Context(&["found", "length"]);
        let function = layers::add(self.object, &name, "tries rules one by one", code, self.options, takes)?;
        Ok((function, verdicts))
    }

    fn part_code(&mut self, rules: &[(usize, &Cond)], before_found: bool) -> Vec<Verdict> {
        let mut places = Places::new(&mut self.asm, 0);
        let none = self.asm.label();
        self.asm.mov(6, 1);
        self.asm.store(Size::DW, 10, stack::FOUND, 2);
        if self.growth {
            self.asm.store(Size::DW, 10, stack::LENGTH, 3);
        }
        if self.maps.have_one_element() {
            self.asm.store_imm(Size::W, 10, stack::ZERO, 0);
        }
        self.locate_packet();
        let mut known = 0;
        for (rule, cond) in rules {
            known = self.forget(rules.len(), known);
            let on = self.asm.label();
            if before_found {
                self.asm.load(Size::DW, 0, 10, stack::FOUND);
                self.asm.jump32_imm(If::Lt, 0, *rule as u32, none);
            }
            known = self.rule(*rule, cond, known, on, &mut places).min(known);
            self.asm.bind(on);
        }
        self.asm.bind(none);
        self.asm.mov_imm(0, -1);
        self.asm.exit();
        self.part_ends(places)
    }

    /// Returns what was found.
    fn part_ends(&mut self, places: Places) -> Vec<Verdict> {
        self.asm.bind(places.excess);
        self.asm.mov64_wide(0, u64::from(EXCESS) << 32);
        self.asm.exit();
        let (verdicts, labels): (Vec<_>, Vec<_>) = places.into_verdicts().into_iter().unzip();
        for (number, label) in (0u64..).zip(labels) {
            self.asm.bind(label);
            self.asm.mov64_wide(0, number << 32);
            self.asm.alu64(Alu::Or, 0, 9);
            self.asm.exit();
        }
        verdicts
    }
}
