//! Tables: one lookup instead of many comparisons.
//!
//! The rows lie in read-only data, at places given by a multiplication that was chosen so that no two meet
//! (multiplicative hashing: Dietzfelbinger et al., 1997), so that one comparison decides. For many rows there is no such
//! number: some bits of the product choose a word that the others are changed by (hash and displace: Belazzougui, Botelho,
//! Dietzfelbinger, 2009). The layouts are made in [`super::layout`].

use super::Emitter;
use super::cond::Branch;
use super::layout::Layout;
use super::node::Places;
use super::value::Goal;
use crate::asm::build::{Alu, If, Label, Size};
use crate::btf::{Btf, SectionVariable, kind};
use crate::cond::{Value, Width};
use crate::object::{Content, Data, DataId, DataSymbol, Object};
use crate::plan::{Row, Table, extent};

/// The section of all tables, and its only variable.
const SECTION: &str = ".rodata";
const VARIABLE: &str = "xdpilot_tables";
/// Bytes of a cache line.
const LINE: usize = 64;

impl Emitter<'_> {
    /// Looks up the rule; goes on to `next` where none matches. Returns how many bytes a packet has there.
    pub(super) fn table(&mut self, table: &Table, known: u32, next: Label, places: &mut Places) -> u32 {
        let mut known = known;
        let mut least = u32::MAX;
        let needed = table.keys.iter().map(extent).max().unwrap_or(0);
        for guard in &table.guards {
            let on = self.asm.label();
            let branch = Branch { yes: (on, needed), no: (next, u32::MAX), fault: next, yes_follows: true };
            let after = self.test(guard, branch, known);
            self.asm.bind(on);
            least = least.min(after.no).min(after.fault);
            known = after.yes;
        }
        if needed > known {
            self.require(needed, next);
            least = least.min(known);
            known = needed;
        }
        for (register, key) in (1..).zip(&table.keys) {
            self.key_number(key, Goal { register, aside: 0, fault: next });
        }
        self.find(table, next, places);
        least.min(known)
    }

    /// Finds the row of the keys in r1 and following.
    fn find(&mut self, table: &Table, miss: Label, ends: &mut Places) {
        let rows = &table.rows;
        let keys: Vec<Vec<u32>> = rows.iter().map(|row| in_memory(&table.keys, &row.constants)).collect();
        let layout = Layout::of(&keys);
        let (verdicts, numbers) = self.verdicts_of(rows.iter().map(|row| row.rule));
        let width = row_width(table.keys.len());
        let places = in_places(&keys, &layout);
        let offset = self.place(&keys, rows, &numbers, &places, width);
        let of_places: Vec<u32> = places.iter().map(|row| rows[*row].rule as u32).collect();
        let counters = self.counters_of_places(&of_places, &verdicts);
        self.hash(table.keys.len(), &layout);
        if let Some(first) = counters {
            self.asm.mov(9, 0);
            self.asm.alu64_imm(Alu::Add, 9, first as i32);
        }
        self.asm.alu64_imm(Alu::Lsh, 0, width.trailing_zeros() as i32);
        self.asm.load_data(5, DataId(0), offset);
        self.asm.alu64(Alu::Add, 5, 0);
        for at in 0..table.keys.len() {
            self.asm.load(Size::W, 0, 5, 4 * at as i16);
            self.asm.jump32_reg(If::Ne, 0, 1 + at as u8, miss);
        }
        let behind = 4 * table.keys.len() as i16;
        if counters.is_none() {
            self.asm.load(Size::W, 9, 5, behind);
        }
        if verdicts.len() > 1 {
            self.asm.load(Size::W, 1, 5, behind + 4);
        }
        self.by_verdict(&verdicts, ends);
    }

    /// r0 = the place of the keys in r1 and following; r5 is lost.
    fn hash(&mut self, keys: usize, layout: &Layout) {
        let [first, second] = layout.factors;
        self.asm.mov(0, 1);
        if keys > 1 {
            self.asm.alu64_imm(Alu::Lsh, 0, 32);
            self.asm.alu64(Alu::Or, 0, 2);
        }
        self.asm.mov64_wide(5, first);
        self.asm.alu64(Alu::Mul, 0, 5);
        if keys > 2 {
            // r9 is free before a match.
            self.asm.mov(9, 3);
            if keys > 3 {
                self.asm.alu64_imm(Alu::Lsh, 9, 32);
                self.asm.alu64(Alu::Or, 9, 4);
            }
            self.asm.mov64_wide(5, second);
            self.asm.alu64(Alu::Mul, 9, 5);
            self.asm.alu64(Alu::Add, 0, 9);
        }
        if !layout.displacements.is_empty() {
            self.displaced(layout);
            return;
        }
        self.asm.alu64_imm(Alu::Rsh, 0, 64 - layout.bits as i32);
    }

    /// r0, a sum of products, becomes a place; r5 and r9 are lost.
    fn displaced(&mut self, layout: &Layout) {
        let offset = self.tables.len() as u32;
        layout.displacements.iter().for_each(|word| self.tables.extend(word.to_le_bytes()));
        self.tables.resize(self.tables.len().next_multiple_of(LINE), 0);
        self.asm.mov(5, 0);
        self.asm.alu64_imm(Alu::Rsh, 5, 32);
        self.asm.alu64(Alu::Xor, 0, 5);
        self.asm.mov64_wide(5, layout.factors[1]);
        self.asm.alu64(Alu::Mul, 0, 5);
        self.asm.mov(5, 0);
        self.asm.alu64_imm(Alu::Rsh, 5, layout.bucket_shift() as i32);
        self.asm.alu64_imm(Alu::And, 5, layout.displacements.len() as i32 - 1);
        self.asm.alu64_imm(Alu::Lsh, 5, 1);
        self.asm.load_data(9, DataId(0), offset);
        self.asm.alu64(Alu::Add, 9, 5);
        self.asm.load(Size::H, 5, 9, 0);
        self.asm.alu64_imm(Alu::Rsh, 0, 64 - layout.bits as i32);
        self.asm.alu64(Alu::Xor, 0, 5);
        self.asm.alu64_imm(Alu::And, 0, (1 << layout.bits) - 1);
    }

    /// Puts the rows, of which `places` says which one is where, into the data; returns the table's offset there.
    fn place(&mut self, keys: &[Vec<u32>], rows: &[Row], numbers: &[u32], places: &[usize], width: usize) -> u32 {
        let bytes = &mut self.tables;
        let offset = bytes.len().next_multiple_of(width);
        bytes.resize(offset, 0);
        for row in places.iter().copied() {
            let start = bytes.len();
            let words = keys[row].iter().copied().chain([rows[row].rule as u32, numbers[row]]);
            words.for_each(|word| bytes.extend(word.to_le_bytes()));
            bytes.resize(start + width, 0);
        }
        offset as u32
    }
}

/// The row of each place. A free place holds the first row's keys, which only ever lead to their own place.
fn in_places(keys: &[Vec<u32>], layout: &Layout) -> Vec<usize> {
    let mut places = vec![0; 1 << layout.bits];
    keys.iter().enumerate().for_each(|(row, key)| places[layout.place(key)] = row);
    places
}

/// The size of a row in bytes: keys, rule, number of its verdict; a power of two.
fn row_width(keys: usize) -> usize {
    (4 * (keys + 2)).next_power_of_two()
}

/// Constants as loads find them in memory.
fn in_memory(keys: &[Value], constants: &[u32]) -> Vec<u32> {
    let swap = |(key, constant): (&Value, &u32)| match key {
        Value::Load(load) => match load.width {
            Width::One => *constant,
            Width::Two if *constant <= 0xffff => u32::from((*constant as u16).swap_bytes()),
            // No two bytes are that large: a number that no load gives.
            Width::Two => *constant,
            Width::Four => constant.swap_bytes(),
        },
        _ => *constant,
    };
    keys.iter().zip(constants).map(swap).collect()
}

/// Adds the data of all tables, once they are written, and describes it.
pub(super) fn add(object: &mut Object, tables: Vec<u8>) {
    if tables.is_empty() {
        return;
    }
    let size = tables.len() as u32;
    let btf = object.btf.get_or_insert_with(Btf::default);
    let byte = btf.add_int("unsigned char", 1, false);
    let index = btf.add_int("unsigned int", 4, false);
    let array = btf.add_array(byte, index, size);
    let variable = btf.add(kind::VAR, VARIABLE, 0, array, vec![1]);
    btf.set_section(None, SECTION, size, &[SectionVariable { type_id: variable, offset: 0, size }]);
    let symbol = DataSymbol { name: VARIABLE.into(), offset: 0, size: u64::from(size), global: true, visibility: 0 };
    let (name, content) = (SECTION.into(), Content::Bytes(tables));
    object.data.push(Data { name, writable: false, align: 64, content, symbols: vec![symbol] });
}
