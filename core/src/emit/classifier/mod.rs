//! Classifiers: the first rule that matches, by probing the groups that can have it.
//!
//! The program reads the numbers and calls a function of the classifier's own: a global one, which the verifier looks at
//! once, wherever it is called. All tables lie in read-only data, whose places the code knows.

mod choose;
mod find;
mod layout;
mod signature;

use super::cond::Branch;
use super::layers::{self, Takes};
use super::node::Places;
use super::value::Goal;
use super::{Emitter, stack};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::error::Result;
use crate::object::FunctionId;
use crate::plan::{Classifier, MOST_GROUPS, extent};
use find::Finder;
use layout::{Layout, MOST_IN_PLACE, NONE, UNIT, slot};

/// The most entries that the function itself may look at, for the verifier to follow each of them.
const FEW: usize = 384;

/// Offsets in the read-only data.
#[derive(Clone, Debug)]
struct Tables {
    rows: u32,
    /// By signature.
    ids: Vec<u32>,
    /// The size of a row's number.
    id: Size,
    groups: u32,
    places: u32,
    entries: u32,
}

impl Emitter<'_> {
    /// Finds the first rule of a classifier; goes on to `next` where none matches. Returns how many bytes a packet has
    /// there.
    pub(super) fn classifier(
        &mut self,
        classifier: &Classifier,
        known: u32,
        next: Label,
        places: &mut Places,
    ) -> Result<u32> {
        let (verdicts, numbers) = self.verdicts_of(classifier.entries.iter().map(|entry| entry.rule));
        let layout = Layout::new(classifier, &numbers);
        let tables = self.tables(&layout);
        let functions = self.finders(classifier, &layout, &tables)?;
        let (nothing, found) = (self.asm.label(), self.asm.label());
        self.guards(classifier, known, nothing);
        let left_out = if layout.complete { Some(nothing) } else { None };
        self.read(classifier, known, left_out);
        self.call(classifier, functions);
        let known = self.others(classifier, known, (nothing, found, next), places)?;
        self.asm.bind(found);
        self.asm.mov(9, 0);
        self.asm.alu32(Alu::Mov, 9, 9);
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::Rsh, 1, 32);
        self.asm.alu64_imm(Alu::And, 1, 0xffff);
        self.by_verdict(&verdicts, places);
        Ok(known)
    }

    /// r0 = what is found for the numbers on the stack.
    fn call(&mut self, classifier: &Classifier, (all, short): (FunctionId, Option<FunctionId>)) {
        let (fewer, called) = (self.asm.label(), self.asm.label());
        self.asm.mov(1, 10);
        self.asm.alu64_imm(Alu::Add, 1, i32::from(stack::KEY));
        let Some(short) = short else { return self.asm.call_function(all) };
        self.asm.load(Size::W, 2, 10, stack::KEY + 4 * classifier.fields.len() as i16);
        self.asm.jump_imm(If::Ne, 2, 0, fewer);
        self.asm.call_function(all);
        self.asm.goto(called);
        self.asm.bind(fewer);
        self.asm.call_function(short);
        self.asm.bind(called);
    }

    /// Goes to `nothing` where no entry can match.
    fn guards(&mut self, classifier: &Classifier, known: u32, nothing: Label) {
        let mut known = known;
        for guard in &classifier.guards {
            let on = self.asm.label();
            let branch = Branch { yes: (on, 0), no: (nothing, u32::MAX), fault: nothing, yes_follows: true };
            known = self.test(guard, branch, known).yes;
            self.asm.bind(on);
        }
    }

    /// Reads the numbers into the state on the stack. A packet that does not have them all goes to `left_out`, or is read
    /// again, one by one.
    fn read(&mut self, classifier: &Classifier, known: u32, left_out: Option<Label>) {
        let (one_by_one, done) = (self.asm.label(), self.asm.label());
        let fault = left_out.unwrap_or(one_by_one);
        let most = classifier.fields.iter().map(|field| extent(&field.value)).max().unwrap_or(0);
        if most > known {
            self.require(most, fault);
        }
        for (at, field) in (0..).zip(&classifier.fields) {
            self.number(&field.value, Goal { register: 1, aside: 0, fault });
            self.asm.store(Size::W, 10, stack::KEY + 4 * at, 1);
        }
        self.asm.store_imm(Size::W, 10, stack::KEY + 4 * classifier.fields.len() as i16, 0);
        if left_out.is_none() {
            self.asm.goto(done);
            self.asm.bind(one_by_one);
            self.read_one_by_one(classifier, known);
        }
        self.asm.bind(done);
    }

    /// Reads the numbers that the packet has, and sets a bit for each that it does not have.
    fn read_one_by_one(&mut self, classifier: &Classifier, known: u32) {
        let flags = stack::KEY + 4 * classifier.fields.len() as i16;
        // Zero, which the verifier takes for any number: it would follow each combination of bits.
        self.asm.load(Size::W, 1, 6, self.ifindex());
        self.asm.mov(2, 1);
        self.asm.alu32(Alu::Xor, 1, 2);
        self.asm.store(Size::W, 10, flags, 1);
        for (at, field) in classifier.fields.iter().enumerate() {
            let (absent, on) = (self.asm.label(), self.asm.label());
            if extent(&field.value) > known {
                self.require(extent(&field.value), absent);
            }
            self.number(&field.value, Goal { register: 1, aside: 0, fault: absent });
            let place = stack::KEY + 4 * at as i16;
            self.asm.store(Size::W, 10, place, 1);
            self.asm.goto(on);
            self.asm.bind(absent);
            self.asm.store_imm(Size::W, 10, place, 0);
            self.asm.load(Size::W, 1, 10, flags);
            self.asm.alu32_imm(Alu::Add, 1, 1 << at);
            self.asm.store(Size::W, 10, flags, 1);
            self.asm.bind(on);
        }
    }

    /// Tries the rules that are not in the classifier but stand before what it found (in r0). Goes on behind to what was
    /// found.
    fn others(
        &mut self,
        classifier: &Classifier,
        known: u32,
        (nothing, found, next): (Label, Label, Label),
        places: &mut Places,
    ) -> Result<u32> {
        if classifier.others.is_empty() {
            let on = self.asm.label();
            self.asm.jump32_imm(If::Ne, 0, NONE, on);
            self.asm.bind(nothing);
            self.asm.goto(next);
            self.asm.bind(on);
            return Ok(known);
        }
        let store = self.asm.label();
        self.asm.goto(store);
        self.asm.bind(nothing);
        self.asm.mov_imm(0, -1);
        self.asm.bind(store);
        self.asm.store(Size::DW, 10, stack::FOUND, 0);
        let mut known = known;
        let others: Vec<_> = classifier.others.iter().map(|(rule, cond)| (*rule, cond)).collect();
        let in_parts = self.parts(&others, Some(found), places)?;
        for (rule, cond) in &others[in_parts..] {
            known = self.forget(others.len(), known);
            let on = self.asm.label();
            self.asm.load(Size::DW, 0, 10, stack::FOUND);
            self.asm.jump32_imm(If::Lt, 0, *rule as u32, found);
            known = self.rule(*rule, cond, known, on, places).min(known);
            self.asm.bind(on);
        }
        self.asm.load(Size::DW, 0, 10, stack::FOUND);
        self.asm.jump32_imm(If::Eq, 0, NONE, next);
        Ok(known)
    }

    /// Puts the tables into the data.
    fn tables(&mut self, layout: &Layout) -> Tables {
        let id = if layout.signatures.rows.len() <= 1 << 16 { Size::H } else { Size::W };
        let words = |words: &[u32], bytes: &mut Vec<u8>| words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        let mut rows: Vec<u8> = layout.signatures.rows.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        // The verifier only knows that the number of a row is below that power of two.
        rows.resize(layout.signatures.rows.len().next_power_of_two() * layout.row_bytes(), 0);
        let rows = self.append(&rows);
        let mut ids = Vec::new();
        for signature in &layout.signatures.all {
            let mut bytes = Vec::new();
            match id {
                Size::H => signature.ids.iter().for_each(|id| bytes.extend((*id as u16).to_le_bytes())),
                _ => words(&signature.ids, &mut bytes),
            }
            ids.push(self.append(&bytes));
        }
        let width = layout.groups[0].len();
        let mut slots = vec![0; MOST_GROUPS * width];
        for (at, group) in layout.groups.iter().enumerate() {
            let slot = at / 64 * 64 + slot(at as u32 % 64);
            slots[slot * width..][..width].copy_from_slice(group);
        }
        let mut bytes = Vec::new();
        words(&slots, &mut bytes);
        let groups = self.append(&bytes);
        let mut bytes = Vec::new();
        words(&layout.places, &mut bytes);
        let places = self.append(&bytes);
        let mut bytes = layout.entries.concat();
        // The verifier only knows that an entry begins at `last_unit` at most.
        bytes.resize(layout.last_unit() * UNIT + MOST_IN_PLACE as usize * layout.entry_bytes(), 0);
        let entries = self.append(&bytes);
        Tables { rows, ids, id, groups, places, entries }
    }

    /// Puts bytes into the data, where a cache line begins.
    fn append(&mut self, bytes: &[u8]) -> u32 {
        let data = &mut self.tables;
        data.resize(data.len().next_multiple_of(64), 0);
        let offset = data.len() as u32;
        data.extend_from_slice(bytes);
        offset
    }

    /// The functions that find the rule: for packets that have all numbers, and for others where there may be such.
    fn finders(
        &mut self,
        classifier: &Classifier,
        layout: &Layout,
        tables: &Tables,
    ) -> Result<(FunctionId, Option<FunctionId>)> {
        let number = self.object.functions.len();
        let size = 4 * (classifier.fields.len() as u32 + 1);
        let finder = |with_absent| Finder { asm: Asm::default(), classifier, layout, tables, with_absent };
        let mut add = |kind: &str, text, numbers: &[&str], asm| {
            let (name, takes) = (format!("xdpilot_{kind}_{number}"), Takes::Memory(size, numbers));
            layers::add(self.object, &name, text, asm, self.options, takes)
        };
        let text = "finds the first rule";
        if layout.complete || classifier.groups.len() == 1 {
            return Ok((add("find", text, &[], finder(false).find(None))?, None));
        }
        let probe = add("probe", "probes a group", &["group", "found"], finder(false).probe_function())?;
        let few = classifier.groups.len() * layout.longest as usize <= FEW;
        let find = add("find", text, &[], finder(false).find(Some(probe).filter(|_| !few)))?;
        Ok((find, Some(add("find_short", text, &[], finder(true).find(Some(probe)))?)))
    }
}
