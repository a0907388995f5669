//! ICMP: errors about connections, echo requests, packets that are too big.

use super::super::{Emitter, stack};
use super::connection::{Addresses, addresses};
use super::{Ends, Shape, TX, frame, is};
use crate::asm::build::{Alu, If, Label, Size};
use crate::packet::protocol;

/// Kinds of messages: the request, and errors.
const ECHO: i32 = 8;
const ERRORS: [i32; 3] = [3, 11, 12];
const ECHO_V6: i32 = 128;
const ERRORS_V6: [i32; 4] = [1, 2, 3, 4];
const TTL: u8 = 64;

impl Emitter<'_> {
    /// An error is taken for a packet of the connection that it is about; an echo request is answered. r0 is the finder's
    /// result, r3 the IP header.
    pub(super) fn icmp(&mut self, shape: Shape<'_>, v6: bool, known: Label, ends: Ends) {
        let (echo, error) = (self.asm.label(), self.asm.label());
        self.transport(8, ends.pass);
        self.asm.load(Size::B, 1, 4, 0);
        self.asm.jump_imm(If::Eq, 1, if v6 { ECHO_V6 } else { ECHO }, echo);
        let errors = if v6 { &ERRORS_V6[..] } else { &ERRORS };
        errors.iter().for_each(|kind| self.asm.jump_imm(If::Eq, 1, *kind, error));
        self.asm.goto(ends.pass);
        self.asm.bind(echo);
        self.answer(v6, ends.pass);
        self.asm.bind(error);
        self.asm.store_imm(Size::W, 10, frame::IS, if v6 { is::V6 } else { 0 });
        self.returned(v6, ends.pass);
        // What came back went the other way.
        self.asm.mov(5, 2);
        self.asm.alu64_imm(Alu::Rsh, 5, 16);
        self.asm.alu32_imm(Alu::Lsh, 2, 16);
        self.asm.alu64(Alu::Or, 2, 5);
        let Addresses { source, destination } = addresses(v6);
        self.hash_connection(shape, v6, 4, Addresses { source: destination, destination: source });
        self.asm.goto(known);
    }

    /// r4 = the IP header in an ICMP message at r4, r1 = its protocol, r2 = its ports.
    fn returned(&mut self, v6: bool, pass: Label) {
        let (header, version) = if v6 { (48, 0x60) } else { (20, 0x40) };
        self.transport(8 + header, pass);
        self.asm.alu64_imm(Alu::Add, 4, 8);
        self.asm.load(Size::B, 5, 4, 0);
        self.asm.mov(1, 5);
        self.asm.alu64_imm(Alu::And, 1, 0xf0);
        self.asm.jump_imm(If::Ne, 1, version, pass);
        let ported = self.asm.label();
        self.asm.load(Size::B, 1, 4, if v6 { 6 } else { 9 });
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::TCP), ported);
        self.asm.jump_imm(If::Ne, 1, i32::from(protocol::UDP), pass);
        self.asm.bind(ported);
        if v6 {
            self.asm.load(Size::W, 2, 4, 40);
            return;
        }
        self.asm.load(Size::H, 2, 4, 6);
        self.asm.jump_imm(If::Set, 2, i32::from(0x1fffu16.swap_bytes()), pass);
        self.asm.alu64_imm(Alu::And, 5, 0xf);
        self.asm.jump_imm(If::Lt, 5, 5, pass);
        self.asm.alu64_imm(Alu::Lsh, 5, 2);
        self.behind_options(pass);
        self.asm.load(Size::B, 1, 4, 9);
    }

    /// r2 = the ports behind an IPv4 header at r4 of r5 bytes; r0 is the finder's result. r1 and r5 are lost.
    fn behind_options(&mut self, pass: Label) {
        self.asm.store(Size::W, 10, frame::KEY, 5);
        // The message's end, from its beginning.
        self.asm.load(Size::DW, 1, 10, stack::LAYERS);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::Rsh, 2, super::super::layers::TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 2, super::super::layers::FARTHEST);
        self.asm.alu64_imm(Alu::And, 1, super::super::layers::HEADER);
        self.asm.alu64(Alu::Sub, 1, 2);
        self.asm.load(Size::W, 2, 10, frame::TOTAL);
        self.asm.alu64(Alu::Add, 1, 2);
        self.asm.mov(2, 5);
        self.asm.alu64_imm(Alu::Add, 2, 16);
        self.asm.jump_reg(If::Gt, 2, 1, pass);
        self.asm.mov(2, 4);
        self.asm.alu64(Alu::Add, 2, 5);
        self.asm.mov(1, 2);
        self.asm.alu64_imm(Alu::Add, 1, 8);
        self.asm.jump_reg(If::Gt, 1, 8, pass);
        self.asm.load(Size::W, 2, 2, 0);
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

    /// Tells the client how long packets may be. r9 is the backend's record.
    pub(super) fn too_big(&mut self, ends: Ends) {
        self.asm.goto(ends.drop);
    }
}
