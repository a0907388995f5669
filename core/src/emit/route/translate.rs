//! Network address translation, on the way to a backend.

use super::super::Emitter;
use super::connection::Addresses;
use super::error::Way;
use super::{Ends, Shape, frame, is};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::route::hash::{FACTOR, SEED};
use crate::route::layout::{backend, traffic, translated};
use crate::route::replies::{FIRST_PORT, INDEX_MASK, INDEX_SHIFT, MARK, PORT_STEP, TAG_SHIFT, TRIES};
use crate::route::{flows, sessions};

/// Bytes of a slot.
const WORD: i32 = 8;

impl Emitter<'_> {
    /// Goes to `pass` with a packet that has no hop left to live; r3 is its IP header. r1 is lost.
    pub(super) fn lives_on(&mut self, v6: bool, pass: Label) {
        self.asm.load(Size::B, 1, 3, if v6 { 7 } else { 8 });
        self.asm.jump_imm(If::Le, 1, 1, pass);
    }

    /// What tells the connection apart at [`frame::TUPLE`]: addresses at a header, ports in r2, protocol in r1. r5 is lost.
    pub(super) fn tuple(&mut self, v6: bool, header: Reg, at: Addresses) {
        for at in (0..translated::KEY).step_by(8) {
            self.asm.store_imm(Size::DW, 10, frame::TUPLE + at, 0);
        }
        for (from, to) in [(at.source, translated::CLIENT), (at.destination, translated::SERVICE)] {
            if v6 {
                for half in [0, 8] {
                    self.asm.load(Size::DW, 5, header, from + half);
                    self.asm.store(Size::DW, 10, frame::TUPLE + to + half, 5);
                }
            } else {
                self.asm.load(Size::W, 5, header, from);
                self.asm.store(Size::W, 10, frame::TUPLE + to, 5);
            }
        }
        self.asm.store(Size::W, 10, frame::TUPLE + translated::PORTS, 2);
        self.asm.store(Size::B, 10, frame::TUPLE + translated::PROTOCOL, 1);
        self.asm.store_imm(Size::B, 10, frame::TUPLE + translated::V6, i32::from(v6));
        self.asm.load(Size::W, 5, 10, frame::POOL);
        self.asm.store(Size::H, 10, frame::TUPLE + translated::POOL, 5);
    }

    /// As [`Emitter::choose`], with a record of the connection; the port to the backend at [`frame::PORT`].
    pub(super) fn choose_translated(&mut self, shape: Shape<'_>, ends: Ends) {
        let (unknown, anew, chosen) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.time();
        self.find_slot(unknown, ends.drop);
        self.slot_index(frame::INDEX);
        self.known_backend(shape, anew, ends.drop);
        self.known_record(anew, ends.drop);
        self.touch();
        self.traffic_of(ends.drop);
        self.asm.goto(chosen);

        self.asm.bind(unknown);
        self.asm.load(Size::DW, 0, 10, frame::LINE);
        self.oldest(Some(frame::INDEX));
        self.asm.load(Size::W, 5, 10, frame::INDEX);
        self.slot_index(frame::INDEX);
        self.asm.bind(anew);
        // An error begins no connection.
        let own = self.asm.label();
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::OWN, own);
        self.asm.goto(ends.pass);
        self.asm.bind(own);
        self.establish(shape, ends);
        self.asm.bind(chosen);
    }

    /// Goes to `anew` where the record is another connection's.
    fn known_record(&mut self, anew: Label, drop: Label) {
        self.value_of(self.maps.translated, frame::INDEX, drop);
        for at in (0..translated::KEY).step_by(8) {
            self.asm.load(Size::DW, 1, 0, at);
            self.asm.load(Size::DW, 2, 10, frame::TUPLE + at);
            self.asm.jump_reg(If::Ne, 1, 2, anew);
        }
        self.asm.load(Size::H, 1, 0, translated::PORT);
        self.asm.store(Size::W, 10, frame::PORT, 1);
    }

    /// A new connection, in the slot of [`frame::INDEX`]: r9 = its backend.
    fn establish(&mut self, shape: Shape<'_>, ends: Ends) {
        let (attempt, clash, taken) = (self.asm.label(), self.asm.label(), self.asm.label());
        // A hundred ways lead here, and the verifier would follow all that comes now for each.
        self.unlearn(frame::IS);
        self.unlearn(frame::INDEX);
        if shape.reads_ids() {
            self.unlearn(frame::NAMED);
        }
        self.locate_packet();
        self.asm.store_imm(Size::DW, 10, frame::ATTEMPT, 0);
        self.asm.bind(attempt);
        self.new_backend(shape, ends.drop);
        self.asm.store(Size::DW, 10, frame::BACKEND, 9);
        self.client_port(shape);
        self.reply_hash(shape);
        self.reply_slot(clash, taken, ends.drop);

        self.asm.bind(clash);
        self.asm.load(Size::DW, 1, 10, frame::ATTEMPT);
        self.asm.alu64_imm(Alu::Add, 1, 1);
        self.asm.store(Size::DW, 10, frame::ATTEMPT, 1);
        self.asm.jump_imm(If::Ge, 1, TRIES as i32, ends.drop);
        if !shape.is_full() {
            if shape.reads_ids() {
                self.names_nobody();
            }
            self.asm.load(Size::DW, 9, 10, frame::PLACE);
            self.asm.mov64_wide(5, FACTOR);
            self.step();
            self.asm.store(Size::DW, 10, frame::PLACE, 9);
        }
        self.asm.goto(attempt);

        self.asm.bind(taken);
        self.record(ends.drop);
        self.slot_at(frame::LINE, frame::INDEX);
        self.store_flow();
        self.asm.load(Size::DW, 9, 10, frame::BACKEND);
        self.traffic_of(ends.drop);
        self.add(0, traffic::CONNECTIONS, 1);
    }

    /// The port of this attempt at [`frame::PORT`] ([`crate::route::replies::port`]).
    fn client_port(&mut self, shape: Shape<'_>) {
        if !shape.is_full() {
            return self.asm.store_imm(Size::W, 10, frame::PORT, 0);
        }
        self.asm.load(Size::DW, 1, 10, frame::ATTEMPT);
        self.asm.alu64_imm(Alu::Mul, 1, PORT_STEP as i32);
        self.asm.load(Size::DW, 2, 10, frame::HASH);
        self.asm.alu64_imm(Alu::Rsh, 2, 8);
        self.asm.alu64(Alu::Add, 1, 2);
        self.asm.alu64_imm(Alu::And, 1, 0x3fff);
        self.asm.alu64_imm(Alu::Or, 1, i32::from(FIRST_PORT));
        self.asm.swap(1, 16);
        self.asm.store(Size::W, 10, frame::PORT, 1);
    }

    /// The hash of what the backend, whose record is at r9, would answer: at [`frame::REPLY_HASH`].
    fn reply_hash(&mut self, shape: Shape<'_>) {
        let (v6, ports) = (self.asm.label(), self.asm.label());
        let client = if shape.is_full() { (3, backend::SOURCE) } else { (10, frame::TUPLE + translated::CLIENT) };
        self.asm.mov(3, 9);
        self.asm.mov64_wide(5, FACTOR);
        self.asm.mov64_wide(9, SEED);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::V6, v6);
        self.asm.load(Size::W, 1, client.0, client.1);
        self.asm.alu64_imm(Alu::Lsh, 1, 32);
        self.asm.load(Size::W, 2, 3, backend::ADDRESS);
        self.asm.alu64(Alu::Or, 1, 2);
        self.step();
        self.asm.goto(ports);
        self.asm.bind(v6);
        for (from, at) in [(3, backend::ADDRESS), client] {
            for half in [0, 8] {
                self.asm.load(Size::DW, 1, from, at + half);
                self.step();
            }
        }
        self.asm.bind(ports);
        self.backend_port(3, frame::TUPLE + translated::PORTS + 2);
        let from = if shape.is_full() { frame::PORT } else { frame::TUPLE + translated::PORTS };
        self.asm.load(Size::H, 2, 10, from);
        self.asm.alu64_imm(Alu::Lsh, 2, 16);
        self.asm.alu64(Alu::Or, 1, 2);
        self.asm.load(Size::B, 2, 10, frame::TUPLE + translated::PROTOCOL);
        self.asm.alu64_imm(Alu::Lsh, 2, 32);
        self.asm.alu64(Alu::Or, 1, 2);
        self.asm.mov64_wide(2, u64::from(MARK) << 40);
        self.asm.alu64(Alu::Or, 1, 2);
        self.step();
        self.asm.store(Size::DW, 10, frame::REPLY_HASH, 9);
    }

    /// r1 = the port of the backend at a register, or the service's, which is at this place of the stack.
    fn backend_port(&mut self, backend: u8, service: i16) {
        let stated = self.asm.label();
        self.asm.load(Size::H, 1, backend, backend::PORT);
        self.asm.jump_imm(If::Ne, 1, 0, stated);
        self.asm.load(Size::H, 1, 10, service);
        self.asm.bind(stated);
    }

    /// r3 = the first slot in use of the replies' line of the hash at r9 that has its tag, r2 what is in it; the index of
    /// the slot at [`frame::REPLY`]. To `none` where there is none, with the index's upper part there. The line at r0.
    pub(super) fn find_reply(&mut self, none: Label, drop: Label) {
        let found = self.asm.label();
        let lines = flows::lines(sessions(&self.rules.pools));
        self.asm.mov(1, 9);
        self.asm.alu32_imm(Alu::And, 1, lines - 1);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.value_of(self.maps.replies, frame::KEY, drop);
        self.asm.mov(3, 0);
        self.asm.mov(1, 9);
        self.asm.alu64_imm(Alu::Rsh, 1, TAG_SHIFT as i32);
        for slot in 0..flows::SLOTS {
            let other = self.asm.label();
            self.asm.load(Size::DW, 2, 3, 0);
            self.asm.mov(4, 2);
            self.asm.alu64_imm(Alu::Rsh, 4, TAG_SHIFT as i32);
            self.asm.jump_reg(If::Ne, 4, 1, other);
            self.asm.mov_imm(5, slot as i32);
            self.asm.jump_imm(If::Ne, 2, 0, found);
            self.asm.bind(other);
            if slot + 1 < flows::SLOTS {
                self.asm.alu64_imm(Alu::Add, 3, WORD);
            }
        }
        self.asm.goto(none);
        self.asm.bind(found);
        self.slot_index(frame::REPLY);
    }

    /// Puts at this place the index of the slot whose number is in r5, in the line of [`frame::KEY`]. r1 is lost.
    fn slot_index(&mut self, at: i16) {
        self.asm.load(Size::W, 1, 10, frame::KEY);
        self.asm.alu64_imm(Alu::Lsh, 1, 3);
        self.asm.alu64(Alu::Or, 1, 5);
        self.asm.store(Size::W, 10, at, 1);
    }

    /// r3 = the slot of the line whose address is at one place, by the index at another one. r1 is lost.
    fn slot_at(&mut self, line: i16, index: i16) {
        self.asm.load(Size::DW, 3, 10, line);
        self.asm.load(Size::W, 1, 10, index);
        self.asm.alu64_imm(Alu::And, 1, flows::SLOTS as i32 - 1);
        self.asm.alu64_imm(Alu::Lsh, 1, WORD.trailing_zeros() as i32);
        self.asm.alu64(Alu::Add, 3, 1);
    }

    /// r2 = the index of the record that the slot in r2 leads to; to `nowhere` where it leads to none. r9 = the slot's
    /// age. r1 is lost.
    pub(super) fn record_of(&mut self, nowhere: Label) {
        self.tick_in_r1();
        self.asm.alu64(Alu::Sub, 1, 2);
        self.asm.alu64_imm(Alu::And, 1, 0xffff);
        self.asm.mov(9, 1);
        self.asm.alu64_imm(Alu::Rsh, 2, INDEX_SHIFT as i32);
        self.asm.alu64_imm(Alu::And, 2, INDEX_MASK as i32);
        self.asm.jump_imm(If::Eq, 2, 0, nowhere);
        self.asm.alu64_imm(Alu::Sub, 2, 1);
    }

    /// A slot for the replies whose hash is in r9, its line at [`frame::REPLY_LINE`] and its index at [`frame::REPLY`], then
    /// on to `taken`; to `clash` where they could be taken for another connection's.
    fn reply_slot(&mut self, clash: Label, taken: Label, drop: Label) {
        let none = self.asm.label();
        self.find_reply(none, drop);
        self.asm.store(Size::DW, 10, frame::REPLY_LINE, 0);
        self.record_of(taken);
        self.asm.load(Size::W, 1, 10, frame::INDEX);
        self.asm.jump_reg(If::Eq, 1, 2, taken);
        self.asm.store(Size::W, 10, frame::KEY, 2);
        self.value_of(self.maps.translated, frame::KEY, drop);
        self.asm.load(Size::W, 1, 0, translated::REPLY);
        self.asm.load(Size::W, 2, 10, frame::REPLY);
        self.asm.jump_reg(If::Ne, 1, 2, taken);
        self.asm.load(Size::W, 1, 0, translated::TIMEOUT);
        self.asm.jump_reg(If::Gt, 9, 1, taken);
        self.asm.goto(clash);

        self.asm.bind(none);
        self.asm.store(Size::DW, 10, frame::REPLY_LINE, 0);
        self.oldest(Some(frame::REPLY));
        self.asm.load(Size::W, 5, 10, frame::REPLY);
        self.slot_index(frame::REPLY);
        self.asm.goto(taken);
    }

    /// Writes the connection's record and the slot among the replies that leads there.
    fn record(&mut self, drop: Label) {
        self.unlearn(frame::REPLY);
        self.slot_at(frame::REPLY_LINE, frame::REPLY);
        self.asm.load(Size::DW, 2, 10, frame::REPLY_HASH);
        self.asm.alu64_imm(Alu::Rsh, 2, TAG_SHIFT as i32);
        self.asm.alu64_imm(Alu::Lsh, 2, TAG_SHIFT as i32);
        self.asm.load(Size::W, 1, 10, frame::INDEX);
        self.asm.alu64_imm(Alu::Add, 1, 1);
        self.asm.alu64_imm(Alu::Lsh, 1, INDEX_SHIFT as i32);
        self.asm.alu64(Alu::Or, 2, 1);
        self.tick_in_r1();
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.store(Size::DW, 3, 0, 2);
        self.value_of(self.maps.translated, frame::INDEX, drop);
        for at in (0..translated::KEY).step_by(8) {
            self.asm.load(Size::DW, 1, 10, frame::TUPLE + at);
            self.asm.store(Size::DW, 0, at, 1);
        }
        for (from, to) in [(frame::NUMBER, translated::BACKEND), (frame::PORT, translated::PORT)] {
            self.asm.load(Size::W, 1, 10, from);
            self.asm.store(Size::H, 0, to, 1);
        }
        self.asm.load(Size::H, 1, 10, frame::TIMEOUT);
        self.asm.store(Size::W, 0, translated::TIMEOUT, 1);
        self.asm.load(Size::W, 1, 10, frame::REPLY);
        self.asm.store(Size::W, 0, translated::REPLY, 1);
    }

    /// Translates the packet for the backend at r9.
    pub(super) fn translate(&mut self, shape: Shape<'_>) {
        let (own, done, short) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::OWN, own);
        self.rewrite_error(Way::There { full: shape.is_full() }, short);
        self.asm.goto(done);
        self.asm.bind(own);
        self.translate_own(shape, short);
        self.asm.goto(done);
        // The verifier cannot know that it was looked at before.
        self.asm.bind(short);
        self.asm.mov_imm(0, super::DROP);
        self.asm.exit();
        self.asm.bind(done);
    }

    /// The same, of the connection's own packet.
    fn translate_own(&mut self, shape: Shape<'_>, short: Label) {
        let (kept, v6, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        let source = shape.is_full().then_some(backend::SOURCE);
        self.asm.load(Size::DW, 0, 10, super::stack::LAYERS);
        self.transport_header(short);
        self.require_transport(8, short);
        self.asm.load(Size::W, 2, 4, 0);
        if shape.is_full() {
            self.asm.alu64_imm(Alu::Rsh, 2, 16);
            self.asm.alu64_imm(Alu::Lsh, 2, 16);
            self.asm.load(Size::W, 1, 10, frame::PORT);
            self.asm.alu64(Alu::Or, 2, 1);
        }
        self.asm.load(Size::H, 1, 9, backend::PORT);
        self.asm.jump_imm(If::Eq, 1, 0, kept);
        self.asm.alu64_imm(Alu::And, 2, 0xffff);
        self.asm.alu64_imm(Alu::Lsh, 1, 16);
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.bind(kept);
        self.asm.store(Size::W, 10, frame::KEY, 2);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::V6, v6);
        self.rewrite(false, source, Some(backend::ADDRESS), short);
        self.asm.goto(done);
        self.asm.bind(v6);
        self.rewrite(true, source, Some(backend::ADDRESS), short);
        self.asm.bind(done);
    }
}
