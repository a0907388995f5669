//! Headers of their own around packets.

use super::super::layers::{HEADER, V6};
use super::super::{Emitter, stack};
use super::offload::Then;
use super::{Ends, frame};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::packet::{ethertype, protocol};
use crate::policy::Method;
use crate::route::TTL;
use crate::route::layout::backend;

const UDP: i32 = 8;
/// Don't fragment.
const DONT_FRAGMENT: i32 = 0x40;
/// The longest Ethernet header with tags.
const FARTHEST_NETWORK: i32 = 22;

impl Emitter<'_> {
    /// Wraps the packet for the backend at r9, whose address is of this family.
    pub(super) fn wrap(&mut self, method: &Method, v6: bool, too_big: Label, ends: Ends) {
        let udp = matches!(method, Method::Gue { .. });
        let ip = if v6 { 40 } else { 20 };
        let overhead = ip + if udp { UDP } else { 0 };
        self.fits(overhead, too_big);
        self.count_sent();
        self.complete(Then::Sent);
        self.class(ends.drop);
        self.grow(overhead, v6, ends.drop);
        self.asm.load(Size::DW, 3, 10, stack::LAYERS);
        self.asm.alu64_imm(Alu::And, 3, 0x1f);
        self.asm.alu64(Alu::Add, 3, 7);
        self.asm.mov(2, 3);
        self.asm.alu64_imm(Alu::Add, 2, overhead);
        self.asm.jump_reg(If::Gt, 2, 8, ends.drop);
        self.payload(udp);
        if v6 {
            self.outer_v6(overhead - ip)
        } else {
            self.outer_v4(overhead)
        }
        if udp {
            self.udp(ip as i16);
        }
    }

    /// Traffic class and don't fragment of the packet at [`frame::CLASS`].
    fn class(&mut self, drop: Label) {
        let (v6, known) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::And, 1, HEADER);
        self.asm.mov(3, 7);
        self.asm.alu64(Alu::Add, 3, 1);
        self.asm.mov(2, 3);
        self.asm.alu64_imm(Alu::Add, 2, 20);
        self.asm.jump_reg(If::Gt, 2, 8, drop);
        self.asm.jump_imm(If::Set, 0, V6 as i32, v6);
        self.asm.load(Size::B, 1, 3, 6);
        self.asm.alu64_imm(Alu::And, 1, DONT_FRAGMENT);
        self.asm.alu64_imm(Alu::Lsh, 1, 8);
        self.asm.load(Size::B, 2, 3, 1);
        self.asm.alu64(Alu::Or, 1, 2);
        self.asm.goto(known);
        self.asm.bind(v6);
        self.asm.load(Size::H, 1, 3, 0);
        self.asm.swap(1, 16);
        self.asm.alu64_imm(Alu::Rsh, 1, 4);
        self.asm.alu64_imm(Alu::And, 1, 0xff);
        self.asm.bind(known);
        self.asm.store(Size::W, 10, frame::CLASS, 1);
    }

    /// Makes room for so many bytes behind the Ethernet header, which says then that this kind of header follows.
    fn grow(&mut self, bytes: i32, v6: bool, drop: Label) {
        let kind = if v6 { ethertype::IPV6 } else { ethertype::IPV4 };
        let kind = i32::from(kind.swap_bytes() as i16);
        self.adjust_head(-bytes, drop);
        self.require((bytes + FARTHEST_NETWORK) as u32, drop);
        let (untagged, one, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        let from = bytes as i16;
        self.asm.load(Size::DW, 1, 10, stack::LAYERS);
        self.asm.alu64_imm(Alu::And, 1, HEADER);
        self.asm.load(Size::H, 2, 7, from + 12);
        self.asm.store(Size::H, 7, 12, 2);
        self.asm.jump_imm(If::Eq, 1, 14, untagged);
        self.asm.load(Size::W, 2, 7, from + 14);
        self.asm.store(Size::W, 7, 14, 2);
        self.asm.jump_imm(If::Eq, 1, 18, one);
        self.asm.load(Size::H, 2, 7, from + 18);
        self.asm.store(Size::H, 7, 18, 2);
        self.asm.store_imm(Size::H, 7, 20, kind);
        self.asm.goto(done);
        self.asm.bind(one);
        self.asm.store_imm(Size::H, 7, 16, kind);
        self.asm.goto(done);
        self.asm.bind(untagged);
        self.asm.store_imm(Size::H, 7, 12, kind);
        self.asm.bind(done);
    }

    /// r4 = the protocol of what follows the outer IP header.
    fn payload(&mut self, udp: bool) {
        if udp {
            return self.asm.mov_imm(4, i32::from(protocol::UDP));
        }
        let v6 = self.asm.label();
        self.asm.mov_imm(4, i32::from(protocol::IPV6));
        self.asm.load(Size::DW, 1, 10, stack::LAYERS);
        self.asm.jump_imm(If::Set, 1, V6 as i32, v6);
        self.asm.mov_imm(4, i32::from(protocol::IPIP));
        self.asm.bind(v6);
    }

    /// The IPv4 header at r3, of a packet that is so much longer than the inner one; the protocol in r4.
    fn outer_v4(&mut self, overhead: i32) {
        self.asm.load(Size::W, 1, 10, frame::TOTAL);
        self.asm.alu64_imm(Alu::Add, 1, overhead);
        self.asm.swap(1, 16);
        self.asm.alu64_imm(Alu::Lsh, 1, 16);
        self.asm.load(Size::W, 2, 10, frame::CLASS);
        self.asm.mov(5, 2);
        self.asm.alu64_imm(Alu::And, 2, 0xff);
        self.asm.alu64_imm(Alu::Lsh, 2, 8);
        self.asm.alu64(Alu::Or, 1, 2);
        self.asm.alu64_imm(Alu::Or, 1, 0x45);
        self.asm.store(Size::W, 3, 0, 1);
        self.asm.alu64_imm(Alu::Rsh, 5, 8);
        self.asm.alu64_imm(Alu::Lsh, 5, 16);
        self.asm.store(Size::W, 3, 4, 5);
        self.asm.alu64(Alu::Add, 5, 1);
        self.asm.alu64_imm(Alu::Lsh, 4, 8);
        self.asm.alu64_imm(Alu::Or, 4, i32::from(TTL));
        self.asm.store(Size::W, 3, 8, 4);
        self.asm.alu64(Alu::Add, 5, 4);
        self.hashed_source(backend::SOURCE, 1);
        self.asm.store(Size::W, 3, 12, 1);
        self.asm.alu64(Alu::Add, 5, 1);
        self.asm.load(Size::W, 1, 9, backend::ADDRESS);
        self.asm.store(Size::W, 3, 16, 1);
        self.asm.alu64(Alu::Add, 5, 1);
        self.fold(5);
        self.asm.alu64_imm(Alu::Xor, 5, 0xffff);
        self.asm.store(Size::H, 3, 10, 5);
    }

    /// The IPv6 header at r3, of a packet with so many bytes between it and the inner one; the protocol in r4.
    fn outer_v6(&mut self, more: i32) {
        self.asm.load(Size::W, 2, 10, frame::CLASS);
        self.asm.alu64_imm(Alu::And, 2, 0xff);
        self.asm.alu64_imm(Alu::Lsh, 2, 4);
        self.asm.alu64_imm(Alu::Or, 2, 0x6000);
        self.asm.swap(2, 16);
        self.asm.store(Size::W, 3, 0, 2);
        self.asm.load(Size::W, 1, 10, frame::TOTAL);
        self.asm.alu64_imm(Alu::Add, 1, more);
        self.asm.swap(1, 16);
        self.asm.alu64_imm(Alu::Lsh, 4, 16);
        self.asm.alu64(Alu::Or, 1, 4);
        self.asm.store(Size::W, 3, 4, 1);
        self.asm.store_imm(Size::B, 3, 7, i32::from(TTL));
        for at in [0, 4, 8] {
            self.asm.load(Size::W, 1, 9, backend::SOURCE + at);
            self.asm.store(Size::W, 3, 8 + at, 1);
        }
        self.hashed_source(backend::SOURCE + 12, 1);
        self.asm.store(Size::W, 3, 20, 1);
        for at in [0, 4, 8, 12] {
            self.asm.load(Size::W, 1, 9, backend::ADDRESS + at);
            self.asm.store(Size::W, 3, 24 + at, 1);
        }
    }

    /// The last four bytes of the source, some of which are the connection's hash. r2 is lost.
    fn hashed_source(&mut self, at: i16, into: Reg) {
        self.asm.load(Size::W, into, 10, frame::HASH);
        self.asm.load(Size::W, 2, 9, backend::SOURCE_BITS);
        self.asm.alu64(Alu::And, into, 2);
        self.asm.load(Size::W, 2, 9, at);
        self.asm.alu64(Alu::Or, into, 2);
    }

    /// A sum of 32-bit words as one of 16 bits; r1 is lost.
    pub(super) fn fold(&mut self, sum: Reg) {
        for bits in [32, 16, 16] {
            self.asm.mov(1, sum);
            self.asm.alu64_imm(Alu::Rsh, 1, bits);
            if bits == 32 {
                self.asm.alu32(Alu::Mov, sum, sum);
            } else {
                self.asm.alu64_imm(Alu::And, sum, 0xffff);
            }
            self.asm.alu64(Alu::Add, sum, 1);
        }
        // Two carries may be left of a sum that was longer than 32 bits.
        self.asm.mov(1, sum);
        self.asm.alu64_imm(Alu::Rsh, 1, 16);
        self.asm.alu64_imm(Alu::And, sum, 0xffff);
        self.asm.alu64(Alu::Add, sum, 1);
    }

    /// The UDP header behind an IP header of so many bytes at r3.
    fn udp(&mut self, at: i16) {
        self.asm.load(Size::W, 1, 10, frame::HASH);
        self.asm.alu64_imm(Alu::Or, 1, 0xc000);
        self.asm.swap(1, 16);
        self.asm.store(Size::H, 3, at, 1);
        self.asm.load(Size::H, 1, 10, frame::GUE_PORT);
        self.asm.store(Size::H, 3, at + 2, 1);
        self.asm.load(Size::W, 1, 10, frame::TOTAL);
        self.asm.alu64_imm(Alu::Add, 1, UDP);
        self.asm.swap(1, 16);
        self.asm.store(Size::W, 3, at + 4, 1);
    }
}
