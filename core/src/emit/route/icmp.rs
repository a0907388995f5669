//! ICMP: errors about connections, echo requests, packets that are too big.

use super::super::layers::HEADER;
use super::super::{Emitter, stack};
use super::connection::{Addresses, addresses};
use super::{Ends, Shape, TX, frame, is};
use crate::asm::build::{Alu, If, Label, Size};
use crate::packet::{icmp, protocol};
use crate::route::{RETURNED, RETURNED_V6, TTL};

/// Kinds of messages: requests.
const ECHO: i32 = 8;
const ECHO_V6: i32 = 128;
/// `bpf_xdp_adjust_tail`, `bpf_csum_diff`.
const XDP_ADJUST_TAIL: i32 = 65;
const CSUM_DIFF: i32 = 28;

impl Emitter<'_> {
    /// An error is taken for a packet of the connection that it is about; an echo request is answered. r0 is the finder's
    /// result, r3 the IP header.
    pub(super) fn icmp(&mut self, shape: Shape<'_>, v6: bool, known: Label, ends: Ends) {
        let (echo, error) = (self.asm.label(), self.asm.label());
        self.transport(8, ends.pass);
        self.asm.load(Size::B, 1, 4, 0);
        self.asm.jump_imm(If::Eq, 1, if v6 { ECHO_V6 } else { ECHO }, echo);
        self.is_error(v6, error);
        self.asm.goto(ends.pass);
        self.asm.bind(echo);
        self.answer(v6, ends.pass);
        self.asm.bind(error);
        if shape.translates() {
            self.lives_on(v6, ends.pass);
        }
        let reversed = self.returned_connection(v6, ends.pass);
        self.is_addressed(v6, ends.pass);
        if shape.translates() {
            self.tuple(v6, 4, reversed);
        }
        self.hash_connection(shape, v6, 4, reversed);
        self.asm.goto(known);
    }

    /// Goes to `error` with a message of a kind in r1 that brings a packet back.
    pub(super) fn is_error(&mut self, v6: bool, error: Label) {
        icmp::errors(v6).iter().for_each(|kind| self.asm.jump_imm(If::Eq, 1, i32::from(*kind), error));
    }

    /// The connection that the error at r4 is about: r4 = the header that came back, with the addresses there, r1 = the
    /// protocol, r2 = the ports. r0 is the finder's result, and r3 stays.
    pub(super) fn returned_connection(&mut self, v6: bool, pass: Label) -> Addresses {
        self.asm.store_imm(Size::W, 10, frame::IS, if v6 { is::V6 } else { 0 });
        self.returned(v6, pass);
        // What came back went the other way.
        self.asm.mov(5, 2);
        self.asm.alu64_imm(Alu::Rsh, 5, 16);
        self.asm.alu32_imm(Alu::Lsh, 2, 16);
        self.asm.alu64(Alu::Or, 2, 5);
        reversed(v6)
    }

    /// Goes to `pass` with an error that does not go to the host that sent what came back; r3 is the header, r4 the one
    /// that came back. r0 and r5 are lost.
    pub(super) fn is_addressed(&mut self, v6: bool, pass: Label) {
        let at = addresses(v6);
        for word in (0..if v6 { 16 } else { 4 }).step_by(4) {
            self.asm.load(Size::W, 0, 3, at.destination + word);
            self.asm.load(Size::W, 5, 4, at.source + word);
            self.asm.jump_reg(If::Ne, 0, 5, pass);
        }
    }

    /// r4 = the IP header that an ICMP error brings back, r1 = its protocol, r2 = its ports; r3 stays. r0 is the finder's
    /// result, and r5 is lost.
    fn returned(&mut self, v6: bool, pass: Label) {
        let ported = self.asm.label();
        self.asm.mov(2, 0);
        self.find_returned();
        self.asm.jump_imm(If::Eq, 0, 0, pass);
        self.protocol();
        self.asm.alu64_imm(Alu::And, 1, 0xff);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::TCP), ported);
        self.asm.jump_imm(If::Ne, 1, i32::from(protocol::UDP), pass);
        self.asm.bind(ported);
        self.transport(8, pass);
        self.asm.load(Size::W, 5, 4, 0);
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.header(v6, pass);
        self.transport_header(pass);
        self.require_transport(8 + if v6 { 40 } else { 20 }, pass);
        self.asm.alu64_imm(Alu::Add, 4, 8);
        self.asm.mov(2, 5);
        self.asm.load(Size::W, 1, 10, frame::KEY);
    }

    /// Answers an echo request at r4.
    fn answer(&mut self, v6: bool, pass: Label) {
        self.reflect();
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.transport_header(pass);
        self.require_transport(4, pass);
        // The first word's first byte is the lower one.
        self.asm.mov_imm(5, 0);
        self.asm.load(Size::H, 2, 4, 0);
        self.asm.alu64_imm(Alu::And, 2, 0xff00);
        if v6 {
            self.asm.alu64_imm(Alu::Or, 2, 129);
        }
        self.change(4, 0);
        self.asm.store(Size::H, 4, 0, 2);
        self.mend(4, 2);
        let done = self.asm.label();
        self.set_ttl(TTL, done);
        self.asm.bind(done);
        self.asm.mov_imm(0, TX);
        self.asm.exit();
    }

    /// Tells the client how long packets may be, which is at [`frame::KEY`].
    pub(super) fn too_big(&mut self, ends: Ends) {
        let (whole, v6) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::WHOLE, whole);
        self.asm.goto(ends.drop);
        self.asm.bind(whole);
        self.asm.jump_imm(If::Set, 1, is::V6, v6);
        self.room_for_answer(20 + 8, RETURNED as i32, ends.drop);
        self.too_big_v4();
        self.asm.bind(v6);
        self.room_for_answer(40 + 8, RETURNED_V6 as i32, ends.drop);
        self.too_big_v6();
    }

    /// r9 = where the answer's IP header goes, before so many bytes of the packet; its Ethernet header is there already.
    fn room_for_answer(&mut self, headers: i32, returned: i32, drop: Label) {
        self.asm.load(Size::W, 1, 10, frame::TOTAL);
        self.asm.jump_imm(If::Lt, 1, returned, drop);
        self.asm.load(Size::DW, 2, 10, stack::LAYERS);
        self.asm.alu64_imm(Alu::And, 2, HEADER);
        self.asm.alu64_imm(Alu::Add, 2, returned);
        self.asm.load(Size::DW, 1, 10, frame::LENGTH);
        self.asm.alu64(Alu::Sub, 2, 1);
        self.asm.mov(1, 6);
        self.asm.call(XDP_ADJUST_TAIL);
        self.asm.jump_imm(If::Ne, 0, 0, drop);
        self.adjust_head(-headers, drop);
        self.require((headers + returned + 14) as u32, drop);
        self.ethernet_back(headers as i16);
        self.asm.load(Size::DW, 9, 10, stack::LAYERS);
        self.asm.alu64_imm(Alu::And, 9, 0x1f);
        self.asm.alu64(Alu::Add, 9, 7);
        self.asm.mov(1, 9);
        self.asm.alu64_imm(Alu::Add, 1, headers + returned);
        self.asm.jump_reg(If::Gt, 1, 8, drop);
    }

    /// The Ethernet header from so many bytes behind, with the addresses changing sides.
    fn ethernet_back(&mut self, from: i16) {
        for (there, here) in [(0, 6), (6, 0)] {
            self.asm.load(Size::W, 1, 7, from + there);
            self.asm.load(Size::H, 2, 7, from + there + 4);
            self.asm.store(Size::W, 7, here, 1);
            self.asm.store(Size::H, 7, here + 4, 2);
        }
        let done = self.asm.label();
        self.asm.load(Size::DW, 1, 10, stack::LAYERS);
        self.asm.alu64_imm(Alu::And, 1, HEADER);
        self.asm.load(Size::H, 2, 7, from + 12);
        self.asm.store(Size::H, 7, 12, 2);
        for tagged in [18, 22] {
            self.asm.jump_imm(If::Lt, 1, i32::from(tagged), done);
            self.asm.load(Size::W, 2, 7, from + tagged - 4);
            self.asm.store(Size::W, 7, tagged - 4, 2);
        }
        self.asm.bind(done);
    }

    /// Destination unreachable: fragmentation needed.
    fn too_big_v4(&mut self) {
        let length = (20 + 8 + RETURNED) as u16;
        self.asm.mov32_imm(5, 0x45 | u32::from(length.swap_bytes()) << 16);
        self.asm.store(Size::W, 9, 0, 5);
        self.asm.store_imm(Size::W, 9, 4, 0);
        let third = i32::from(TTL) | i32::from(protocol::ICMP) << 8;
        self.asm.store_imm(Size::W, 9, 8, third);
        self.asm.alu64_imm(Alu::Add, 5, third);
        for (from, to) in [(16, 12), (12, 16)] {
            self.asm.load(Size::W, 1, 9, 28 + from);
            self.asm.store(Size::W, 9, to, 1);
            self.asm.alu64(Alu::Add, 5, 1);
        }
        self.fold(5);
        self.asm.alu64_imm(Alu::Xor, 5, 0xffff);
        self.asm.store(Size::H, 9, 10, 5);
        self.asm.store_imm(Size::W, 9, 20, 3 | 4 << 8);
        self.asm.store_imm(Size::H, 9, 24, 0);
        self.asm.load(Size::W, 1, 10, frame::KEY);
        self.asm.swap(1, 16);
        self.asm.store(Size::H, 9, 26, 1);
        self.sum(20, 8 + RETURNED as i32, 0);
        self.asm.store(Size::H, 9, 22, 0);
        self.asm.mov_imm(0, TX);
        self.asm.exit();
    }

    /// Packet too big.
    fn too_big_v6(&mut self) {
        let length = (8 + RETURNED_V6) as u16;
        self.asm.store_imm(Size::W, 9, 0, 0x60);
        let rest = i32::from(protocol::ICMP6) << 16 | i32::from(TTL) << 24;
        self.asm.store_imm(Size::W, 9, 4, i32::from(length.swap_bytes()) | rest);
        for (from, to) in [(24, 8), (8, 24)] {
            for at in [0, 4, 8, 12] {
                self.asm.load(Size::W, 1, 9, 48 + from + at);
                self.asm.store(Size::W, 9, to + at, 1);
            }
        }
        self.asm.store_imm(Size::W, 9, 40, 2);
        self.asm.load(Size::W, 1, 10, frame::KEY);
        self.asm.swap(1, 32);
        self.asm.store(Size::W, 9, 44, 1);
        // The addresses stand just before.
        let pseudo = i32::from(length.swap_bytes()) + i32::from(u16::from(protocol::ICMP6).swap_bytes());
        self.sum(8, 32 + 8 + RETURNED_V6 as i32, pseudo);
        self.asm.store(Size::H, 9, 42, 0);
        self.asm.mov_imm(0, TX);
        self.asm.exit();
    }

    /// r0 = the checksum of so many bytes from r9 + `from`, and a sum.
    fn sum(&mut self, from: i32, bytes: i32, seed: i32) {
        self.asm.mov_imm(1, 0);
        self.asm.mov_imm(2, 0);
        self.asm.mov(3, 9);
        self.asm.alu64_imm(Alu::Add, 3, from);
        self.asm.mov_imm(4, bytes);
        self.asm.mov_imm(5, seed);
        self.asm.call(CSUM_DIFF);
        self.fold(0);
        self.asm.alu64_imm(Alu::Xor, 0, 0xffff);
    }
}

/// Where the addresses are in a header that came back, seen from the other side.
pub(super) fn reversed(v6: bool) -> Addresses {
    let Addresses { source, destination } = addresses(v6);
    Addresses { source: destination, destination: source }
}
