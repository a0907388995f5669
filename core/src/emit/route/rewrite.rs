//! Addresses and ports of a packet become others; checksums follow (RFC 1624, equation 3, over 32-bit words, whose sum is
//! the same as that over their halves).

use super::super::layers::{V4, V6};
use super::super::{Emitter, stack};
use super::connection::addresses;
use super::frame;
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::packet::protocol;

impl Emitter<'_> {
    /// Rewrites the packet: addresses from these offsets of the record at r9, ports from [`frame::KEY`]. With a next hop
    /// it lives one hop less. r0 to r5 are lost.
    pub(super) fn rewrite(&mut self, v6: bool, source: Option<i16>, destination: Option<i16>, short: Label) {
        let (version, header) = if v6 { (V6, 40) } else { (V4, 20) };
        let at = addresses(v6);
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.ip_header(version, header, short);
        self.transport_header(short);
        self.asm.mov_imm(5, 0);
        for (to, from) in [(at.source, source), (at.destination, destination)] {
            let Some(from) = from else { continue };
            for word in (0..if v6 { 16 } else { 4 }).step_by(4) {
                self.asm.load(Size::W, 2, 9, from + word);
                self.replace(3, to + word);
            }
        }
        self.one_hop(v6);
        self.require_transport(8, short);
        self.asm.load(Size::W, 2, 10, frame::KEY);
        self.replace(4, 0);
        self.mend_ported(v6, short);
    }

    /// The word at a place becomes r2; r5 += what changes in a checksum. r1 is lost.
    pub(super) fn replace(&mut self, at: Reg, offset: i16) {
        self.asm.load(Size::W, 1, at, offset);
        self.asm.alu32_imm(Alu::Xor, 1, u32::MAX);
        self.asm.alu64(Alu::Add, 5, 1);
        self.asm.alu64(Alu::Add, 5, 2);
        self.asm.store(Size::W, at, offset, 2);
    }

    /// Time to live, and the IPv4 header's checksum; r3 is the header, r5 what changes by the addresses, and stays.
    pub(super) fn one_hop(&mut self, v6: bool) {
        let stays = self.asm.label();
        self.asm.load(Size::DW, 1, 10, frame::HOP);
        if v6 {
            self.asm.jump_imm(If::Eq, 1, 0, stays);
            self.asm.load(Size::B, 1, 3, 7);
            self.asm.alu64_imm(Alu::Sub, 1, 1);
            self.asm.store(Size::B, 3, 7, 1);
            return self.asm.bind(stays);
        }
        self.asm.load(Size::H, 2, 3, 10);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        self.asm.alu64(Alu::Add, 2, 5);
        self.asm.jump_imm(If::Eq, 1, 0, stays);
        // Little-endian: time to live is the lower byte, and is not zero.
        self.asm.load(Size::H, 1, 3, 8);
        self.asm.mov(0, 1);
        self.asm.alu64_imm(Alu::Xor, 0, 0xffff);
        self.asm.alu64(Alu::Add, 2, 0);
        self.asm.alu64_imm(Alu::Sub, 1, 1);
        self.asm.alu64(Alu::Add, 2, 1);
        self.asm.store(Size::H, 3, 8, 1);
        self.asm.bind(stays);
        self.fold(2);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        self.asm.store(Size::H, 3, 10, 2);
    }

    /// Mends the checksum of the TCP or UDP header at r4 by r5.
    fn mend_ported(&mut self, v6: bool, short: Label) {
        let (udp, done, whole) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.protocol();
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::UDP), udp);
        self.require_transport(18, short);
        self.mend_by_words(16);
        self.asm.goto(done);
        self.asm.bind(udp);
        if !v6 {
            self.asm.load(Size::H, 1, 4, 6);
            self.asm.jump_imm(If::Eq, 1, 0, done);
        }
        self.mend_by_words(6);
        self.asm.jump_imm(If::Ne, 2, 0, whole);
        self.asm.store_imm(Size::H, 4, 6, -1);
        self.asm.bind(whole);
        self.asm.bind(done);
    }

    /// Mends the checksum at r4 + `at` by r5; r2 is the checksum then.
    pub(super) fn mend_by_words(&mut self, at: i16) {
        self.asm.load(Size::H, 2, 4, at);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        self.asm.alu64(Alu::Add, 2, 5);
        self.fold(2);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        self.asm.store(Size::H, 4, at, 2);
    }
}
