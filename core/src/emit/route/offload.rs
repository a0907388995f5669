//! Checksums that a sender on this machine left to its device: the field holds the sum of the pseudo header.

use super::super::layers::{self, FARTHEST, HEADER, TRANSPORT_SHIFT, Takes, V6};
use super::super::{Emitter, stack};
use super::{connection::addresses, frame, is};
use crate::asm::build::{Alu, If, Label, Size};
use crate::error::Result;
use crate::object::FunctionId;
use crate::packet::protocol;

/// `bpf_csum_diff`: before Linux 6.12 of at most 512 bytes, and of whole words.
const CSUM_DIFF: i32 = 28;
const CHUNK: i32 = 512;
/// Segments of so many bytes and more stay as they are.
const TOO_LONG: i32 = 0x4000;

/// The function's own stack, which must be small: it is the last of three.
mod own {
    /// The sum so far; 8 bytes.
    pub(super) const SUM: i16 = -8;
    /// Bytes that were summed by chunks; 8 bytes, so that the verifier can count too.
    pub(super) const CHUNKS: i16 = -16;
    /// The pseudo header's sum; 4 bytes.
    pub(super) const PSEUDO: i16 = -20;
    /// The protocol; 4 bytes.
    pub(super) const PROTOCOL: i16 = -24;
    /// Whether the packet is left to the kernel's stack; 4 bytes.
    pub(super) const PASSED: i16 = -28;
}

/// What becomes of a packet.
#[derive(Clone, Copy)]
pub(super) enum Then {
    Sent,
    Passed,
}

impl Emitter<'_> {
    /// Notes whether the checksum in r5 is the pseudo header's sum. r0 is the finder's result, r3 the IP header, and r4
    /// the transport's; they stay. r1, r2, r5 and r9 are lost.
    pub(super) fn partial(&mut self, v6: bool) {
        if self.completes.is_none() {
            return;
        }
        self.end_in_r1();
        self.asm.mov(2, 0);
        self.asm.alu64_imm(Alu::Rsh, 2, TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 2, FARTHEST);
        self.asm.alu64(Alu::Sub, 1, 2);
        self.asm.swap(1, 16);
        self.asm.mov(9, 1);
        self.protocol();
        self.asm.alu64_imm(Alu::Lsh, 1, 8);
        self.asm.alu64(Alu::Add, 9, 1);
        self.add_addresses(v6);
        self.fold(9);
        // Without a jump: two ways from here on are twice the verifier's work. 0 becomes all ones, the others stay small.
        self.asm.alu64(Alu::Xor, 9, 5);
        self.asm.alu64_imm(Alu::Sub, 9, 1);
        self.asm.alu64_imm(Alu::Rsh, 9, 32);
        self.asm.alu64_imm(Alu::And, 9, is::PARTIAL);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.alu64(Alu::Or, 1, 9);
        self.asm.store(Size::W, 10, frame::IS, 1);
    }

    /// r9 += the addresses of the header at r3. r1 is lost.
    fn add_addresses(&mut self, v6: bool) {
        let at = addresses(v6);
        for from in [at.source, at.destination] {
            for word in (0..if v6 { 16 } else { 4 }).step_by(4) {
                self.asm.load(Size::W, 1, 3, from + word);
                self.asm.alu64(Alu::Add, 9, 1);
            }
        }
    }

    /// Computes the packet's checksum where that is still to be done. r0 to r5 are lost.
    pub(super) fn complete(&mut self, then: Then) {
        let Some(function) = self.completes else { return };
        let (partial, done) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::PARTIAL, partial);
        self.asm.goto(done);
        self.asm.bind(partial);
        self.asm.mov(1, 6);
        self.asm.load(Size::DW, 2, 10, stack::LAYERS);
        self.asm.mov(3, 2);
        self.asm.alu64_imm(Alu::Rsh, 3, 32);
        self.asm.alu32(Alu::Mov, 2, 2);
        self.asm.load(Size::W, 4, 10, frame::TOTAL);
        self.asm.mov_imm(5, i32::from(matches!(then, Then::Passed)));
        self.asm.call_function(function);
        self.asm.bind(done);
    }

    pub(super) fn complete_function(&mut self) -> Result<FunctionId> {
        let code = self.apart(Self::complete_code);
        let takes = Takes::Context(&["layers", "protocol", "total", "passed"]);
        layers::add(self.object, "xdpilot_complete", "computes a checksum", code, self.options, takes)
    }

    /// r6 = the transport header's offset, r7 and r8 the packet, r9 = the segment's length.
    fn complete_code(&mut self) {
        let out = self.asm.label();
        self.asm.store(Size::W, 10, own::PROTOCOL, 3);
        self.asm.store(Size::W, 10, own::PASSED, 5);
        self.asm.mov(6, 1);
        self.locate_packet();
        self.asm.mov(6, 2);
        self.asm.alu64_imm(Alu::Rsh, 6, TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 6, FARTHEST);
        self.asm.mov(3, 2);
        self.asm.alu64_imm(Alu::And, 3, HEADER);
        self.asm.alu64(Alu::Add, 4, 3);
        self.asm.alu64(Alu::Sub, 4, 6);
        self.asm.jump_imm(If::Ge, 4, TOO_LONG, out);
        self.pseudo(out);
        self.asm.mov(1, 7);
        self.asm.alu64(Alu::Add, 1, 6);
        self.asm.alu64(Alu::Add, 1, 9);
        self.asm.jump_reg(If::Gt, 1, 8, out);
        self.chunks(out);
        self.rest(out);
        self.write_checksum(out);
        self.asm.bind(out);
        self.asm.mov_imm(0, 0);
        self.asm.exit();
    }

    /// The pseudo header's sum, folded; r9 = the length, which is in r4 before. r2 is the finder's result, r3 the IP
    /// header's offset.
    fn pseudo(&mut self, out: Label) {
        let (v6, known) = (self.asm.label(), self.asm.label());
        self.asm.mov(9, 4);
        self.asm.swap(9, 16);
        self.asm.load(Size::W, 1, 10, own::PROTOCOL);
        self.asm.alu64_imm(Alu::Lsh, 1, 8);
        self.asm.alu64(Alu::Add, 9, 1);
        self.asm.alu64(Alu::Add, 3, 7);
        self.asm.mov(1, 3);
        self.asm.jump_imm(If::Set, 2, V6 as i32, v6);
        self.asm.alu64_imm(Alu::Add, 1, 20);
        self.asm.jump_reg(If::Gt, 1, 8, out);
        self.add_addresses(false);
        self.asm.goto(known);
        self.asm.bind(v6);
        self.asm.alu64_imm(Alu::Add, 1, 40);
        self.asm.jump_reg(If::Gt, 1, 8, out);
        self.add_addresses(true);
        self.asm.bind(known);
        self.fold(9);
        self.asm.store(Size::W, 10, own::PSEUDO, 9);
        self.asm.store(Size::DW, 10, own::SUM, 9);
        self.asm.mov(9, 4);
    }

    /// Adds the whole chunks.
    fn chunks(&mut self, out: Label) {
        let (again, done) = (self.asm.label(), self.asm.label());
        self.asm.store_imm(Size::DW, 10, own::CHUNKS, 0);
        self.asm.bind(again);
        self.asm.load(Size::DW, 3, 10, own::CHUNKS);
        self.asm.jump_imm(If::Ge, 3, TOO_LONG - CHUNK, done);
        self.asm.mov(1, 3);
        self.asm.alu64_imm(Alu::Add, 1, CHUNK);
        self.asm.jump_reg(If::Gt, 1, 9, done);
        self.asm.store(Size::DW, 10, own::CHUNKS, 1);
        self.add_chunk(CHUNK, out);
        self.asm.goto(again);
        self.asm.bind(done);
    }

    /// Adds what is left, by ever smaller chunks. Where each begins the length says, not what was done before: to the
    /// verifier all ways are one. (`If::Set` would tell it the length's bits, and make each way another.)
    fn rest(&mut self, out: Label) {
        for size in [256, 128, 64, 32, 16, 8, 4, 2, 1] {
            let none = self.asm.label();
            self.asm.mov(1, 9);
            self.asm.alu64_imm(Alu::And, 1, size);
            self.asm.jump_imm(If::Eq, 1, 0, none);
            self.asm.mov(3, 9);
            self.asm.alu64_imm(Alu::And, 3, (TOO_LONG - 1) & !(2 * size - 1));
            self.add_chunk(size, out);
            self.asm.bind(none);
        }
    }

    /// Adds so many bytes of the segment, from the offset in r3.
    fn add_chunk(&mut self, size: i32, out: Label) {
        self.asm.alu64(Alu::Add, 3, 6);
        self.asm.alu64(Alu::Add, 3, 7);
        self.asm.mov(1, 3);
        self.asm.alu64_imm(Alu::Add, 1, size);
        self.asm.jump_reg(If::Gt, 1, 8, out);
        self.asm.load(Size::DW, 5, 10, own::SUM);
        if size < 4 {
            // Little-endian: the last byte is its word's first one, and so the lower.
            self.asm.load(if size == 2 { Size::H } else { Size::B }, 0, 3, 0);
            self.asm.alu64(Alu::Add, 0, 5);
        } else {
            self.asm.mov_imm(1, 0);
            self.asm.mov_imm(2, 0);
            self.asm.mov_imm(4, size);
            self.asm.call(CSUM_DIFF);
        }
        self.asm.store(Size::DW, 10, own::SUM, 0);
    }

    /// Writes the checksum, unless that which is there is right by chance.
    fn write_checksum(&mut self, out: Label) {
        let udp = self.asm.label();
        self.asm.load(Size::DW, 9, 10, own::SUM);
        self.fold(9);
        self.asm.jump_imm(If::Eq, 9, 0xffff, out);
        self.asm.mov(4, 7);
        self.asm.alu64(Alu::Add, 4, 6);
        self.asm.load(Size::W, 1, 10, own::PROTOCOL);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::UDP), udp);
        self.write_sum(16, false, out);
        self.asm.goto(out);
        self.asm.bind(udp);
        self.write_sum(6, true, out);
    }

    /// Writes the checksum at r4 + `at`; the sum of all with what is there now is in r9.
    fn write_sum(&mut self, at: i16, udp: bool, out: Label) {
        let (sent, known) = (self.asm.label(), self.asm.label());
        self.require_transport(i32::from(at) + 2, out);
        self.asm.load(Size::W, 2, 10, own::PSEUDO);
        self.asm.load(Size::W, 1, 10, own::PASSED);
        self.asm.jump_imm(If::Eq, 1, 0, sent);
        self.asm.goto(known);
        self.asm.bind(sent);
        self.asm.load(Size::H, 2, 4, at);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        self.asm.alu64(Alu::Add, 2, 9);
        self.fold(2);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        if udp {
            self.asm.jump_imm(If::Ne, 2, 0, known);
            self.asm.mov32_imm(2, 0xffff);
        }
        self.asm.bind(known);
        self.asm.store(Size::H, 4, at, 2);
    }
}
