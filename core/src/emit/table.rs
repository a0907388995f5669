//! Tables: one lookup instead of many comparisons.
//!
//! The rows lie in read-only data, at places given by a multiplication that was chosen so that no two meet
//! (multiplicative hashing: Dietzfelbinger et al., 1997), so that one comparison decides.

use super::Emitter;
use super::cond::Branch;
use super::node::Places;
use super::value::Goal;
use crate::asm::build::{Alu, If, Label, Size};
use crate::btf::{Btf, SectionVariable, kind};
use crate::cond::{Value, Width};
use crate::object::{Content, Data, DataId, DataSymbol, Object};
use crate::plan::{Row, Table, extent};
use crate::random::Random;

/// The section of all tables, and its only variable.
const SECTION: &str = ".rodata";
const VARIABLE: &str = "xdpilot_tables";
/// More rows than this do not find places without meeting.
const MOST: usize = 512;
/// Tries for each size of the table.
const TRIES: u32 = 2000;
/// The largest table, as a power of two.
const LARGEST: u32 = 16;

/// Where rows lie.
#[derive(Debug)]
struct Layout {
    /// The number of places, as a power of two.
    bits: u32,
    /// What the keys are multiplied with.
    factors: [u64; 2],
}

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
        let chunks: Vec<_> = table.rows.chunks(MOST).collect();
        for (at, rows) in chunks.iter().enumerate() {
            let last = at + 1 == chunks.len();
            let miss = if last { next } else { self.asm.label() };
            self.find(table, rows, miss, places);
            if !last {
                self.asm.bind(miss);
            }
        }
        least.min(known)
    }

    /// Finds the row of the keys in r1 and following.
    fn find(&mut self, table: &Table, rows: &[Row], miss: Label, places: &mut Places) {
        let keys: Vec<Vec<u32>> = rows.iter().map(|row| in_memory(&table.keys, &row.constants)).collect();
        let layout = layout(&keys);
        let (verdicts, numbers) = self.verdicts_of(rows.iter().map(|row| row.rule));
        let width = row_width(table.keys.len());
        let offset = self.place(&keys, rows, &numbers, &layout, width);
        self.hash(table.keys.len(), &layout);
        self.asm.alu64_imm(Alu::Lsh, 0, width.trailing_zeros() as i32);
        self.asm.load_data(5, DataId(0), offset);
        self.asm.alu64(Alu::Add, 5, 0);
        for at in 0..table.keys.len() {
            self.asm.load(Size::W, 0, 5, 4 * at as i16);
            self.asm.jump32_reg(If::Ne, 0, 1 + at as u8, miss);
        }
        let behind = 4 * table.keys.len() as i16;
        self.asm.load(Size::W, 9, 5, behind);
        if verdicts.len() > 1 {
            self.asm.load(Size::W, 1, 5, behind + 4);
        }
        self.by_verdict(&verdicts, places);
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
        self.asm.alu64_imm(Alu::Rsh, 0, 64 - layout.bits as i32);
    }

    /// Puts the rows into the data; returns the table's offset there.
    fn place(&mut self, keys: &[Vec<u32>], rows: &[Row], numbers: &[u32], layout: &Layout, width: usize) -> u32 {
        let bytes = &mut self.tables;
        let offset = bytes.len();
        // A free place holds the first row's keys, which only ever lead to their own place.
        let mut places: Vec<usize> = vec![0; 1 << layout.bits];
        keys.iter().enumerate().for_each(|(row, key)| places[layout.place(key)] = row);
        for row in places {
            let start = bytes.len();
            let words = keys[row].iter().copied().chain([rows[row].rule as u32, numbers[row]]);
            words.for_each(|word| bytes.extend(word.to_le_bytes()));
            bytes.resize(start + width, 0);
        }
        offset as u32
    }
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

impl Layout {
    fn place(&self, key: &[u32]) -> usize {
        let pair = |at: usize| {
            let low = |at: usize| u64::from(key.get(at).copied().unwrap_or_default());
            if key.len() > at + 1 { low(at) << 32 | low(at + 1) } else { low(at) }
        };
        let sum = pair(0).wrapping_mul(self.factors[0]).wrapping_add(pair(2).wrapping_mul(self.factors[1]));
        (sum >> (64 - self.bits)) as usize
    }
}

/// A small table in which no two keys meet.
fn layout(keys: &[Vec<u32>]) -> Layout {
    let fewest = (2 * keys.len()).next_power_of_two().trailing_zeros().max(1);
    let mut random = Random::new(0);
    for bits in fewest..LARGEST {
        for _ in 0..TRIES {
            let layout = Layout { bits, factors: [random.next() | 1, random.next() | 1] };
            if fits(&layout, keys) {
                return layout;
            }
        }
    }
    loop {
        let layout = Layout { bits: LARGEST, factors: [random.next() | 1, random.next() | 1] };
        if fits(&layout, keys) {
            return layout;
        }
    }
}

fn fits(layout: &Layout, keys: &[Vec<u32>]) -> bool {
    let mut taken = vec![0u64; (1usize << layout.bits).div_ceil(64)];
    keys.iter().all(|key| {
        let place = layout.place(key);
        let bit = 1 << (place % 64);
        let free = taken[place / 64] & bit == 0;
        taken[place / 64] |= bit;
        free
    })
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
