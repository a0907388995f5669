//! Long programs, written with care for the kernel's verifier. It follows a million instructions in all, and remembers at
//! most 8,192 jumps that it has still to follow; each rule leaves some behind. A place that it reaches with something
//! else known of registers or the stack is another way to follow (`docs/planner.md`). Hence in a long program
//!
//! - rules that are tried one by one are functions, each of which the verifier looks at by itself;
//! - before each rule it is forgotten how many bytes the packet has ([`Emitter::forget`]);
//! - no maps of sets are held: each is there or not, and both are known from the first test on.

use super::layers::{self, Takes};
use super::node::Places;
use super::{Emitter, Options, stack};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::cond::Cond;
use crate::error::Result;
use crate::policy::{Action, Verdict};

/// A program of more instructions than this is long, and a function is full.
pub(super) const PART: usize = 8192;
/// Each map of a set that is held doubles what a program counts for; of so many functions' instructions it is long, too.
const WAYS: usize = 4;
/// A function is worth its call from this share of [`PART`] on.
const SHARE: usize = 32;
/// No functions are added to so many: a program has at most 256, and those of classifiers come too.
const MOST_FUNCTIONS: usize = 192;
/// What a function returns beside rules: the rule in the lower half, the number of its verdict in the upper one.
const NONE: u32 = u32::MAX;
const EXCESS: u32 = u32::MAX - 1;
const FAILED: u32 = u32::MAX - 2;

/// Whether a program of so many instructions, which holds so many maps of sets, must be written with care.
pub(super) fn is_long(length: usize, held: usize, options: &Options) -> bool {
    length > options.part || length << held > options.part.saturating_mul(WAYS)
}

/// A function in the making.
struct Part {
    code: Asm,
    /// How many rules it tries.
    rules: usize,
    /// The verdicts that they give.
    verdicts: Vec<Verdict>,
    /// Whether the packet may lie elsewhere afterwards.
    moves: bool,
}

impl Emitter<'_> {
    /// In a long program, tries these rules by functions, from the first on; returns how many. What is left is not worth a
    /// call. Those of a classifier are tried only before what it found ([`stack::FOUND`]); `found` takes it in r0.
    pub(super) fn parts(
        &mut self,
        rules: &[(usize, &Cond)],
        found: Option<Label>,
        places: &mut Places,
    ) -> Result<usize> {
        let mut tried = 0;
        while self.careful && tried < rules.len() && self.object.functions.len() < MOST_FUNCTIONS {
            let part = self.part(&rules[tried..], found.is_some());
            if part.code.len() < self.options.part / SHARE {
                break;
            }
            let found = found.map(|found| (rules[tried].0, found));
            tried += part.rules;
            self.call_part(part, found, places)?;
        }
        Ok(tried)
    }

    /// Calls a function; before that, goes to where `found` says unless its first rule stands before what was found.
    fn call_part(&mut self, part: Part, found: Option<(usize, Label)>, places: &mut Places) -> Result<()> {
        let name = format!("xdpilot_part_{}", self.object.functions.len());
        let takes = Takes::Context(&["found", "length"]);
        let function = layers::add(self.object, &name, "tries rules one by one", part.code, self.options, takes)?;
        let next = self.asm.label();
        self.asm.mov_imm(2, 0);
        if let Some((first, found)) = found {
            self.asm.load(Size::DW, 0, 10, stack::FOUND);
            self.asm.jump32_imm(If::Lt, 0, first as u32, found);
            self.asm.mov(2, 0);
        }
        self.asm.mov_imm(3, 0);
        if self.growth {
            self.asm.load(Size::DW, 3, 10, stack::LENGTH);
        }
        self.asm.mov(1, 6);
        self.asm.call_function(function);
        if part.moves {
            self.locate_packet();
        }
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::Rsh, 1, 32);
        self.asm.jump32_imm(If::Eq, 1, EXCESS, places.excess);
        self.asm.jump32_imm(If::Eq, 1, FAILED, places.failed);
        self.asm.mov(9, 0);
        self.asm.alu32(Alu::Mov, 9, 9);
        self.asm.jump32_imm(If::Eq, 9, NONE, next);
        self.by_verdict(&part.verdicts, places);
        self.asm.bind(next);
        Ok(())
    }

    /// A function that tries these rules until it is full.
    fn part(&mut self, rules: &[(usize, &Cond)], before_found: bool) -> Part {
        let program = std::mem::take(&mut self.asm);
        let (tried, verdicts) = self.part_code(rules, before_found);
        let code = std::mem::replace(&mut self.asm, program);
        let moves = |(rule, _): &(usize, &Cond)| matches!(self.rules.rules[*rule].action, Action::Set(_));
        Part { code, rules: tried, verdicts, moves: rules[..tried].iter().any(moves) }
    }

    fn part_code(&mut self, rules: &[(usize, &Cond)], before_found: bool) -> (usize, Vec<Verdict>) {
        let mut places = Places::new(&mut self.asm, 0);
        let none = self.asm.label();
        self.asm.mov(6, 1);
        if before_found {
            self.asm.store(Size::DW, 10, stack::FOUND, 2);
        }
        if self.growth {
            self.asm.store(Size::DW, 10, stack::LENGTH, 3);
        }
        if self.maps.have_one_element() {
            self.asm.store_imm(Size::W, 10, stack::ZERO, 0);
        }
        let mut tried = 0;
        for (rule, cond) in rules {
            if self.asm.len() >= self.options.part {
                break;
            }
            let known = self.forget(rules.len(), 0);
            let on = self.asm.label();
            if before_found {
                self.asm.load(Size::DW, 0, 10, stack::FOUND);
                self.asm.jump32_imm(If::Lt, 0, *rule as u32, none);
            }
            self.rule(*rule, cond, known, on, &mut places);
            self.asm.bind(on);
            tried += 1;
        }
        self.asm.bind(none);
        self.asm.mov_imm(0, -1);
        self.asm.exit();
        (tried, self.part_ends(places))
    }

    /// Returns what was found.
    fn part_ends(&mut self, places: Places) -> Vec<Verdict> {
        for (label, what) in [(places.excess, EXCESS), (places.failed, FAILED)] {
            self.asm.bind(label);
            self.asm.mov64_wide(0, u64::from(what) << 32);
            self.asm.exit();
        }
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
