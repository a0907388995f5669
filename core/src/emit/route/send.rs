//! The next hop, and the way there.

use super::super::Emitter;
use super::offload::Then;
use super::{Ends, Shape, TX, frame};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::route::layout::{HOP_TICK, backend, flags, hop, traffic};

/// `bpf_fib_lookup`, `bpf_redirect`.
const FIB_LOOKUP: i32 = 69;
const REDIRECT: i32 = 23;
/// Offsets in `struct bpf_fib_lookup`, and its size.
pub(super) mod fib {
    pub(in super::super) const FAMILY: i16 = 0;
    pub(in super::super) const LENGTH: i16 = 6;
    pub(in super::super) const IFINDEX: i16 = 8;
    pub(in super::super) const SOURCE: i16 = 16;
    pub(in super::super) const DESTINATION: i16 = 32;
    pub(in super::super) const SOURCE_MAC: i16 = 52;
    pub(in super::super) const DESTINATION_MAC: i16 = 58;
    pub(in super::super) const SIZE: i16 = 64;
}
pub(super) const INET: i32 = 2;
const INET6: i32 = 10;

impl Emitter<'_> {
    /// The backend's next hop at [`frame::HOP`]; to `unreachable` where the kernel knows none. r9 is its record.
    pub(super) fn next_hop(&mut self, unreachable: Label) {
        let (ask, known, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.mov(1, 9);
        self.asm.alu64_imm(Alu::Add, 1, i32::from(backend::HOP));
        self.asm.load(Size::W, 2, 9, backend::FLAGS);
        self.asm.jump_imm(If::Set, 2, flags::FIXED as i32, done);
        self.asm.load(Size::DW, 3, 10, frame::TRAFFIC);
        self.hop_tick();
        self.asm.load(Size::W, 1, 3, traffic::TICK);
        self.asm.jump32_reg(If::Ne, 1, 2, ask);
        self.asm.goto(known);
        self.asm.bind(ask);
        self.look_up_backend(unreachable);
        self.asm.bind(known);
        self.asm.mov(1, 3);
        self.asm.alu64_imm(Alu::Add, 1, i32::from(traffic::HOP));
        self.asm.bind(done);
        self.asm.store(Size::DW, 10, frame::HOP, 1);
    }

    /// r2 = until when next hops are kept, in its lower half.
    pub(super) fn hop_tick(&mut self) {
        self.asm.load(Size::DW, 2, 10, frame::NOW);
        self.asm.alu64_imm(Alu::Rsh, 2, HOP_TICK as i32);
    }

    /// Asks the kernel for the next hop and keeps it in the traffic, whose address is then in r3.
    fn look_up_backend(&mut self, unreachable: Label) {
        let (v6, found) = (self.asm.label(), self.asm.label());
        self.question();
        for (from, to) in [(backend::SOURCE, fib::SOURCE), (backend::ADDRESS, fib::DESTINATION)] {
            self.asked(9, from, to);
        }
        self.asm.load(Size::W, 2, 9, backend::FLAGS);
        self.asm.jump_imm(If::Set, 2, flags::V6 as i32, v6);
        self.asm.store_imm(Size::B, 10, frame::FIB + fib::FAMILY, INET);
        self.asm.bind(v6);
        self.ask();
        self.asm.load(Size::DW, 3, 10, frame::TRAFFIC);
        self.asm.jump_imm(If::Eq, 0, 0, found);
        self.add(3, traffic::UNREACHABLE, 1);
        self.asm.goto(unreachable);
        self.asm.bind(found);
        self.keep(traffic::HOP, traffic::TICK);
    }

    /// Begins a question for the next hop, to an IPv6 address.
    pub(super) fn question(&mut self) {
        for at in (0..fib::SIZE).step_by(8) {
            self.asm.store_imm(Size::DW, 10, frame::FIB + at, 0);
        }
        self.asm.store_imm(Size::B, 10, frame::FIB + fib::FAMILY, INET6);
        // With a length, the answer says how long packets may be.
        self.asm.store_imm(Size::H, 10, frame::FIB + fib::LENGTH, 1);
        self.asm.load(Size::W, 1, 6, self.ifindex());
        self.asm.store(Size::W, 10, frame::FIB + fib::IFINDEX, 1);
    }

    /// Puts an address of a record into the question.
    pub(super) fn asked(&mut self, record: Reg, from: i16, to: i16) {
        for at in [0, 8] {
            self.asm.load(Size::DW, 1, record, from + at);
            self.asm.store(Size::DW, 10, frame::FIB + to + at, 1);
        }
    }

    /// r0 = whether there is no answer.
    pub(super) fn ask(&mut self) {
        self.asm.mov(1, 6);
        self.stack_address(2, frame::FIB);
        self.asm.mov_imm(3, i32::from(fib::SIZE));
        self.asm.mov_imm(4, 0);
        self.asm.call(FIB_LOOKUP);
    }

    /// Keeps the kernel's answer in the record at r3.
    pub(super) fn keep(&mut self, to: i16, tick: i16) {
        self.asm.load(Size::W, 1, 10, frame::FIB + fib::IFINDEX);
        self.asm.store(Size::W, 3, to + hop::IFINDEX, 1);
        for (from, at) in [(fib::DESTINATION_MAC, 0), (fib::SOURCE_MAC, 6)] {
            for half in [0, 2, 4] {
                self.asm.load(Size::H, 1, 10, frame::FIB + from + half);
                self.asm.store(Size::H, 3, to + hop::ADDRESSES + at + half, 1);
            }
        }
        self.asm.load(Size::H, 1, 10, frame::FIB + fib::LENGTH);
        self.asm.store(Size::W, 3, to + hop::MTU, 1);
        self.hop_tick();
        self.asm.store(Size::W, 3, tick, 2);
    }

    /// Sends the packet to the backend whose record is at r9.
    pub(super) fn send(&mut self, shape: Shape<'_>, ends: Ends) {
        let wraps = shape.method.wraps();
        let (too_big, out) = (self.asm.label(), self.asm.label());
        if !wraps {
            self.fits(0, too_big);
            self.count_sent();
            if shape.translates() {
                self.translate(shape);
            }
            self.complete(Then::Sent);
        } else {
            let v6 = self.asm.label();
            self.asm.load(Size::W, 2, 9, backend::FLAGS);
            self.asm.jump_imm(If::Set, 2, flags::V6 as i32, v6);
            self.wrap(shape.method, false, too_big, ends);
            self.asm.goto(out);
            self.asm.bind(v6);
            self.wrap(shape.method, true, too_big, ends);
        }
        self.asm.bind(out);
        self.forward(ends.drop);
        self.asm.bind(too_big);
        self.too_big(ends);
    }

    /// Sends the frame to the next hop.
    pub(super) fn forward(&mut self, drop: Label) {
        self.require(14, drop);
        self.asm.load(Size::DW, 1, 10, frame::HOP);
        for at in [0, 4, 8] {
            self.asm.load(Size::W, 2, 1, hop::ADDRESSES + at);
            self.asm.store(Size::W, 7, at, 2);
        }
        self.leave();
    }

    /// Goes to `too_big` with a packet that is too long with so many bytes more; how long it may be is at [`frame::KEY`]
    /// then. r1 and r2 are lost.
    pub(super) fn fits(&mut self, more: i32, too_big: Label) {
        self.asm.load(Size::DW, 1, 10, frame::HOP);
        self.asm.load(Size::W, 2, 1, hop::MTU);
        self.asm.load(Size::W, 1, 10, frame::TOTAL);
        self.asm.alu64_imm(Alu::Add, 1, more);
        let fits = self.asm.label();
        self.asm.jump_reg(If::Le, 1, 2, fits);
        self.asm.alu64_imm(Alu::Sub, 2, more);
        self.asm.store(Size::W, 10, frame::KEY, 2);
        self.asm.goto(too_big);
        self.asm.bind(fits);
    }

    /// Counts a packet of the backend. r1 to r3 are lost.
    pub(super) fn count_sent(&mut self) {
        self.asm.load(Size::DW, 1, 10, frame::TRAFFIC);
        self.add(1, traffic::PACKETS, 1);
        self.asm.load(Size::DW, 2, 1, traffic::BYTES);
        self.asm.load(Size::DW, 3, 10, frame::LENGTH);
        self.asm.alu64(Alu::Add, 2, 3);
        self.asm.store(Size::DW, 1, traffic::BYTES, 2);
    }

    /// Out by the interface of the next hop in r1.
    fn leave(&mut self) {
        let back = self.asm.label();
        self.asm.load(Size::W, 1, 1, hop::IFINDEX);
        self.asm.jump_imm(If::Eq, 1, 0, back);
        self.asm.load(Size::W, 2, 6, self.ifindex());
        self.asm.jump_reg(If::Eq, 1, 2, back);
        self.asm.mov_imm(2, 0);
        self.asm.call(REDIRECT);
        self.asm.exit();
        self.asm.bind(back);
        self.asm.mov_imm(0, TX);
        self.asm.exit();
    }
}
