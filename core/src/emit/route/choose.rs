//! The backend of a connection.

use super::super::Emitter;
use super::{Ends, NO_RING, Shape, frame, is};
use crate::asm::build::{Alu, If, Label, Size};
use crate::emit::Clock;
use crate::route::flows::{SLOTS, TICK};
use crate::route::layout::{backend, flags, traffic};
use crate::route::{flows, ring, sessions};

/// `bpf_ktime_get_coarse_ns` (Linux 5.11): a load, where the exact time is a call of the clock's driver.
const KTIME_GET_COARSE_NS: i32 = 160;
/// Bytes of a slot.
const WORD: i32 = 8;
/// The bits of a backend's number, and [`flows::ENDED`] beside them.
const NUMBER: i32 = flows::NUMBER as i32;
const ENDED: i32 = (flows::ENDED >> 16) as i32;

impl Emitter<'_> {
    /// r9 = the record of the connection's backend, its number at [`frame::NUMBER`] and its traffic at
    /// [`frame::TRAFFIC`]. r9 is the connection's hash before.
    pub(super) fn choose(&mut self, shape: Shape<'_>, ends: Ends) {
        let (unknown, anew, chosen) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.time();
        self.find_slot(unknown, ends.drop);
        self.known_backend(shape, anew, ends.drop);
        self.touch();
        self.traffic_of(ends.drop);
        self.asm.goto(chosen);

        self.asm.bind(unknown);
        self.asm.store_imm(Size::DW, 10, frame::SLOT, 0);
        self.asm.bind(anew);
        self.new_backend(shape, ends.drop);
        self.traffic_of(ends.drop);
        self.remember();
        self.asm.bind(chosen);
    }

    /// The time at [`frame::NOW`].
    pub(super) fn time(&mut self) {
        let unknown = self.asm.label();
        match (self.options.clock, self.maps.clock) {
            (Clock::Given, Some(map)) => {
                self.lookup(map, super::stack::ZERO);
                self.asm.jump_imm(If::Eq, 0, 0, unknown);
                self.asm.load(Size::DW, 0, 0, 0);
            }
            _ => self.asm.call(KTIME_GET_COARSE_NS),
        }
        self.asm.bind(unknown);
        self.asm.store(Size::DW, 10, frame::NOW, 0);
    }

    /// r3 and [`frame::SLOT`] = the connection's slot, r5 its number in the line, r4 = the backend's number in it.
    pub(super) fn find_slot(&mut self, unknown: Label, drop: Label) {
        let found = self.asm.label();
        let lines = flows::lines(sessions(&self.rules.pools));
        self.asm.mov(1, 9);
        self.asm.alu32_imm(Alu::And, 1, lines - 1);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.value_of(self.maps.flows, frame::KEY, drop);
        self.asm.store(Size::DW, 10, frame::LINE, 0);
        self.asm.mov(3, 0);
        self.asm.mov(1, 9);
        self.asm.alu64_imm(Alu::Rsh, 1, 32);
        for slot in 0..SLOTS {
            let other = self.asm.label();
            self.asm.load(Size::W, 2, 3, 4);
            self.asm.jump_reg(If::Ne, 2, 1, other);
            self.asm.load(Size::H, 4, 3, 2);
            self.asm.mov_imm(5, slot as i32);
            self.asm.jump_imm(If::Ne, 4, 0, found);
            self.asm.bind(other);
            if slot + 1 < SLOTS {
                self.asm.alu64_imm(Alu::Add, 3, WORD);
            }
        }
        self.asm.goto(unknown);
        self.asm.bind(found);
        self.asm.alu64_imm(Alu::And, 4, NUMBER);
        self.asm.store(Size::DW, 10, frame::SLOT, 3);
    }

    /// r9 = the record of the backend whose number is in r4, if it still serves the connection whose slot is at r3; else
    /// to `anew`.
    pub(super) fn known_backend(&mut self, shape: Shape<'_>, anew: Label, drop: Label) {
        self.tick_in_r1();
        self.asm.load(Size::H, 2, 3, 0);
        self.asm.alu64(Alu::Sub, 1, 2);
        self.asm.alu64_imm(Alu::And, 1, 0xffff);
        self.asm.load(Size::H, 2, 10, frame::TIMEOUT);
        self.asm.jump_reg(If::Gt, 1, 2, anew);
        if shape.reads_ids() {
            self.is_named(anew);
        }
        self.asm.store(Size::W, 10, frame::NUMBER, 4);
        self.value_of(self.maps.backends, frame::NUMBER, drop);
        let serves = self.asm.label();
        self.asm.load(Size::H, 1, 0, backend::POOL);
        self.asm.load(Size::W, 2, 10, frame::POOL);
        self.asm.jump_reg(If::Ne, 1, 2, anew);
        self.asm.load(Size::W, 1, 0, backend::FLAGS);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::And, 2, flags::UP as i32);
        self.asm.jump_imm(If::Eq, 2, 0, anew);
        self.asm.alu64_imm(Alu::And, 1, flags::DRAINS as i32);
        self.asm.jump_imm(If::Eq, 1, 0, serves);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::BEGINS, anew);
        self.asm.bind(serves);
        self.asm.mov(9, 0);
    }

    /// r1 = the tick of now.
    pub(super) fn tick_in_r1(&mut self) {
        self.asm.load(Size::DW, 1, 10, frame::NOW);
        self.asm.alu64_imm(Alu::Rsh, 1, TICK as i32);
        self.asm.alu64_imm(Alu::And, 1, 0xffff);
    }

    /// The connection of this slot was seen now. A store only where that is news: the line stays clean.
    pub(super) fn touch(&mut self) {
        let (own, turns, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::OWN, own);
        self.asm.goto(done);
        self.asm.bind(own);
        self.asm.load(Size::DW, 3, 10, frame::SLOT);
        self.asm.jump_imm(If::Set, 1, is::BEGINS | is::ENDS, turns);
        self.tick_in_r1();
        self.asm.load(Size::H, 2, 3, 0);
        self.asm.jump_reg(If::Eq, 1, 2, done);
        self.asm.store(Size::H, 3, 0, 1);
        self.asm.goto(done);
        self.asm.bind(turns);
        self.turn();
        self.asm.bind(done);
    }

    /// The connection whose slot is at r3 begins anew, or ends, as [`frame::IS`] says. Another CPU's word stays.
    pub(super) fn turn(&mut self) {
        let begins = self.asm.label();
        self.asm.load(Size::DW, 0, 3, 0);
        self.asm.mov(4, 0);
        self.asm.alu64_imm(Alu::Rsh, 4, 16);
        self.asm.alu64_imm(Alu::And, 4, NUMBER);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::BEGINS, begins);
        self.asm.alu64_imm(Alu::Or, 4, ENDED);
        self.asm.bind(begins);
        self.asm.alu64_imm(Alu::Lsh, 4, 16);
        self.asm.mov(2, 0);
        self.asm.alu64_imm(Alu::Rsh, 2, 32);
        self.asm.alu64_imm(Alu::Lsh, 2, 32);
        self.asm.alu64(Alu::Or, 2, 4);
        self.tick_in_r1();
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.compare_exchange(3, 0, 2);
    }

    /// The backend's traffic at [`frame::TRAFFIC`].
    pub(super) fn traffic_of(&mut self, drop: Label) {
        self.value_of(self.maps.traffic, frame::NUMBER, drop);
        self.asm.store(Size::DW, 10, frame::TRAFFIC, 0);
    }

    /// r9 = the record of the backend of a new connection.
    pub(super) fn new_backend(&mut self, shape: Shape<'_>, drop: Label) {
        let known = self.asm.label();
        if shape.reads_ids() {
            self.named_backend(known, drop);
        }
        self.ring_backend(drop);
        self.asm.bind(known);
    }

    /// r9 = the record of the backend that stands at the connection's place in the ring.
    fn ring_backend(&mut self, drop: Label) {
        let (v4, known) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::RINGS);
        self.asm.load(Size::W, 2, 10, frame::IS);
        self.asm.alu64_imm(Alu::And, 2, is::V6);
        self.asm.jump_imm(If::Eq, 2, 0, v4);
        self.asm.alu64_imm(Alu::Rsh, 1, 16);
        self.asm.goto(known);
        self.asm.bind(v4);
        self.asm.alu64_imm(Alu::And, 1, NO_RING as i32);
        self.asm.bind(known);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.value_of(self.maps.rings, frame::KEY, drop);
        self.asm.load(Size::DW, 1, 10, frame::PLACE);
        self.asm.alu64_imm(Alu::Rsh, 1, 32);
        self.asm.alu64_imm(Alu::Mul, 1, ring::SLOTS as i32);
        self.asm.alu64_imm(Alu::Rsh, 1, 32);
        self.asm.alu64_imm(Alu::Lsh, 1, 1);
        self.asm.alu64(Alu::Add, 0, 1);
        self.asm.load(Size::H, 1, 0, 0);
        self.asm.jump_imm(If::Eq, 1, 0, drop);
        self.asm.store(Size::W, 10, frame::NUMBER, 1);
        self.value_of(self.maps.backends, frame::NUMBER, drop);
        self.asm.mov(9, 0);
    }

    /// Remembers a connection whose backend was chosen, if it is to be remembered.
    fn remember(&mut self) {
        let (remembered, slot, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 3, 10, frame::SLOT);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::REMEMBERED, remembered);
        self.asm.alu64_imm(Alu::And, 1, is::OWN);
        self.asm.jump_imm(If::Eq, 1, 0, done);
        self.asm.jump_imm(If::Eq, 3, 0, done);
        self.asm.bind(remembered);
        self.asm.jump_imm(If::Ne, 3, 0, slot);
        self.asm.load(Size::DW, 0, 10, frame::LINE);
        self.oldest(None);
        self.asm.bind(slot);
        self.store_flow();
        self.asm.load(Size::DW, 1, 10, frame::TRAFFIC);
        self.add(1, traffic::CONNECTIONS, 1);
        self.asm.bind(done);
    }

    /// Writes the slot at r3: the connection goes to the backend of [`frame::NUMBER`].
    pub(super) fn store_flow(&mut self) {
        self.asm.load(Size::DW, 2, 10, frame::HASH);
        self.asm.alu64_imm(Alu::Rsh, 2, 32);
        self.asm.alu64_imm(Alu::Lsh, 2, 32);
        self.asm.load(Size::W, 4, 10, frame::NUMBER);
        self.asm.alu64_imm(Alu::Lsh, 4, 16);
        self.asm.alu64(Alu::Or, 2, 4);
        self.tick_in_r1();
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.store(Size::DW, 3, 0, 2);
    }

    /// r3 = the first of the oldest slots of the line at r0; its number is put at this place.
    pub(super) fn oldest(&mut self, number: Option<i16>) {
        let found = self.asm.label();
        self.tick_in_r1();
        self.asm.mov(3, 0);
        number.iter().for_each(|at| self.asm.store_imm(Size::W, 10, *at, 0));
        self.asm.mov_imm(5, 0);
        for slot in 0..SLOTS {
            let (younger, taken) = (self.asm.label(), self.asm.label());
            let best = |emitter: &mut Self| {
                emitter.asm.mov(3, 0);
                number.iter().for_each(|at| emitter.asm.store_imm(Size::W, 10, *at, slot as i32));
            };
            self.asm.load(Size::DW, 2, 0, 0);
            self.asm.jump_imm(If::Ne, 2, 0, taken);
            best(self);
            self.asm.goto(found);
            self.asm.bind(taken);
            self.asm.load(Size::H, 2, 0, 0);
            self.asm.mov(4, 1);
            self.asm.alu64(Alu::Sub, 4, 2);
            self.asm.alu64_imm(Alu::And, 4, 0xffff);
            self.asm.jump_reg(If::Le, 4, 5, younger);
            self.asm.mov(5, 4);
            best(self);
            self.asm.bind(younger);
            if slot + 1 < SLOTS {
                self.asm.alu64_imm(Alu::Add, 0, WORD);
            }
        }
        self.asm.bind(found);
    }

    /// Adds to a number in memory that no other CPU writes; r2 is lost.
    pub(super) fn add(&mut self, at: u8, offset: i16, by: i32) {
        self.asm.load(Size::DW, 2, at, offset);
        self.asm.alu64_imm(Alu::Add, 2, by);
        self.asm.store(Size::DW, at, offset, 2);
    }
}
