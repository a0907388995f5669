//! Hits of rules.
//!
//! Each rule has a counter, and so has the default, behind the last rule. Behind these stand the counters of places in large
//! tables (`table.rs`): where a rule's row lies is known before the row is there, so that a packet waits for the row and
//! the counter at the same time, not for one after the other. In one run 10,000 exact rules cost 17 ns where they cost 22 with
//! counters by rule, and 100,000 rules 100 where they cost 145.

use std::collections::BTreeSet;

use super::maps::Maps;
use super::{Emitter, stack};
use crate::asm::build::{Alu, If, Size};
use crate::object::Object;
use crate::policy::Verdict;
use crate::rules::Rules;

/// Words of a counter: packets and bytes.
pub const WORDS: usize = 2;
/// Bytes of a counter.
const BYTES: u32 = 8 * WORDS as u32;
/// Counters of an element, at most: an element of an array by CPU has at most 32 KiB (`PCPU_MIN_UNIT_SIZE`).
const ROW: u32 = 512;
/// Places of a table of fewer rules have no counters.
const MANY: usize = 512;

/// Packets and bytes of each rule, and last those of the default, where `sums` are all counters in their order and `counted`
/// are the rules of those behind the default's.
pub fn by_rule(sums: &[u64], rules: usize, counted: &[u32]) -> Vec<[u64; WORDS]> {
    let mut counters = sums.chunks_exact(WORDS).map(|sums| [sums[0], sums[1]]);
    let mut hits: Vec<[u64; WORDS]> = counters.by_ref().take(rules + 1).collect();
    for (rule, [packets, bytes]) in counted.iter().zip(counters) {
        if let Some(hits) = hits.get_mut(*rule as usize) {
            *hits = [hits[0].wrapping_add(packets), hits[1].wrapping_add(bytes)];
        }
    }
    hits
}

/// How many counters are in one element of [`super::RULES`]: a power of two. The kernel finds an element by a pointer to it,
/// so that few elements are fewer lines of memory.
pub(super) fn of_row(rules: &Rules) -> u32 {
    (rules.rules.len() as u32 + 1).next_power_of_two().min(ROW)
}

/// Bytes of an element, and how many there are, for the rules' counters and so many more.
pub(super) fn shape(rules: &Rules, more: usize) -> (u32, u32) {
    let of_row = of_row(rules);
    (of_row * BYTES, (rules.rules.len() as u32 + 1 + more as u32).div_ceil(of_row))
}

/// Makes room for so many counters behind those of the rules.
pub(super) fn add_room(object: &mut Object, maps: &Maps, rules: &Rules, more: usize) {
    if let Some(map) = maps.rules {
        object.maps[map.0].shape.max_entries = shape(rules, more).1;
    }
}

impl Emitter<'_> {
    /// The first counter of a table's places, which have these rules; none where their hits are counted by rule.
    pub(super) fn counters_of_places(&mut self, places: &[u32], verdicts: &[Verdict]) -> Option<u32> {
        // Where packets are routed, the rule says to which pool.
        let routes = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Route(_)));
        let distinct = places.iter().collect::<BTreeSet<_>>().len();
        if self.maps.rules.is_none() || routes || distinct < MANY || places.len() > 4 * distinct {
            return None;
        }
        let first = self.rules.rules.len() + 1 + self.counted.len();
        self.counted.extend(places);
        Some(first as u32)
    }

    /// Counts a hit of a rule that does not decide. r0 to r5 and r9 are lost.
    pub(super) fn count(&mut self, rule: usize) {
        let Some(map) = self.maps.rules else { return };
        let (of_row, none) = (of_row(self.rules), self.asm.label());
        self.length_at_arrival(9);
        self.asm.store_imm(Size::W, 10, stack::RULE, (rule as u32 / of_row) as i32);
        self.lookup(map, stack::RULE);
        self.asm.jump_imm(If::Eq, 0, 0, none);
        self.add_hit((rule as u32 % of_row * BYTES) as i16);
        self.asm.bind(none);
    }

    /// Adds a hit to the counter of r9, which stays at [`stack::VALUE`]. r0 to r5 and r9 are lost.
    pub(super) fn count_decided(&mut self) {
        let Some(map) = self.maps.rules else { return };
        let (of_row, none) = (of_row(self.rules), self.asm.label());
        self.asm.store(Size::DW, 10, stack::VALUE, 9);
        self.asm.alu64_imm(Alu::Rsh, 9, of_row.ilog2() as i32);
        self.asm.store(Size::W, 10, stack::RULE, 9);
        self.length_at_arrival(9);
        self.lookup(map, stack::RULE);
        self.asm.jump_imm(If::Eq, 0, 0, none);
        self.asm.load(Size::DW, 1, 10, stack::VALUE);
        self.asm.alu64_imm(Alu::And, 1, of_row as i32 - 1);
        self.asm.alu64_imm(Alu::Lsh, 1, BYTES.ilog2() as i32);
        self.asm.alu64(Alu::Add, 0, 1);
        self.add_hit(0);
        self.asm.bind(none);
    }

    /// Adds a packet and the bytes in r9 to the counters behind r0.
    fn add_hit(&mut self, at: i16) {
        self.asm.load(Size::DW, 1, 0, at);
        self.asm.alu64_imm(Alu::Add, 1, 1);
        self.asm.store(Size::DW, 0, at, 1);
        self.asm.load(Size::DW, 1, 0, at + 8);
        self.asm.alu64(Alu::Add, 1, 9);
        self.asm.store(Size::DW, 0, at + 8, 1);
    }
}
