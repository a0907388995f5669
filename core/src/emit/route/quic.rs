//! QUIC: the backend that a packet's connection id names ([`crate::route::quic`]).

use super::super::Emitter;
use super::{Shape, frame, is};
use crate::asm::build::{Alu, If, Label, Size};
use crate::route::layout::{backend, flags};
use crate::route::quic::{
    HANDSHAKE_1, HANDSHAKE_2, ID, LONG, LONG_LENGTH, LONGEST, SHORT_ID, TYPE, VERSION_1, VERSION_2,
};

/// Bytes of a UDP header.
const UDP: i32 = 8;
// Packets and records tell the IP version by the same bit.
const _: () = assert!(is::V6 as u32 == flags::V6);

impl Emitter<'_> {
    /// No connection id has been found.
    pub(super) fn no_server(&mut self) {
        self.asm.store_imm(Size::W, 10, frame::SERVER, 0);
        self.names_nobody();
    }

    /// The packet goes by its connection.
    pub(super) fn names_nobody(&mut self) {
        self.asm.store_imm(Size::W, 10, frame::NAMED, 0);
    }

    /// The server's number in the connection id of a UDP packet at [`frame::SERVER`]; [`frame::NAMED`] tells whether there
    /// is one. r0 is the finder's result, which stays, as does r3.
    pub(super) fn server(&mut self) {
        let (long, id, none) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.transport(UDP + 1, none);
        self.asm.load(Size::B, 5, 4, UDP as i16);
        self.asm.jump_imm(If::Set, 5, i32::from(LONG), long);
        self.transport(UDP + (SHORT_ID + ID) as i32, none);
        self.asm.alu64_imm(Alu::Add, 4, UDP + SHORT_ID as i32);
        self.asm.goto(id);
        self.asm.bind(long);
        self.long_header(none);
        self.asm.bind(id);
        self.server_number(none);
        self.asm.store(Size::W, 10, frame::SERVER, 1);
        self.asm.store_imm(Size::W, 10, frame::NAMED, 1);
        self.asm.bind(none);
    }

    /// r4 = the connection id that a server chose, behind a long header whose first byte is in r5.
    fn long_header(&mut self, none: Label) {
        let (first, id) = (self.asm.label(), self.asm.label());
        self.transport(UDP + (LONG_LENGTH + 1 + ID) as i32, none);
        self.asm.alu64_imm(Alu::And, 5, i32::from(TYPE));
        self.asm.load(Size::W, 1, 4, UDP as i16 + 1);
        self.asm.swap(1, 32);
        self.asm.jump_imm(If::Eq, 1, VERSION_1 as i32, first);
        self.asm.jump32_imm(If::Ne, 1, VERSION_2, none);
        self.asm.jump_imm(If::Ne, 5, i32::from(HANDSHAKE_2), none);
        self.asm.goto(id);
        self.asm.bind(first);
        self.asm.jump_imm(If::Ne, 5, i32::from(HANDSHAKE_1), none);
        self.asm.bind(id);
        self.asm.load(Size::B, 1, 4, (UDP as usize + LONG_LENGTH) as i16);
        self.asm.jump_imm(If::Lt, 1, ID as i32, none);
        self.asm.jump_imm(If::Gt, 1, i32::from(LONGEST), none);
        self.asm.alu64_imm(Alu::Add, 4, UDP + LONG_LENGTH as i32 + 1);
    }

    /// r1 = the number in the connection id at r4.
    fn server_number(&mut self, none: Label) {
        let (short, found) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::B, 2, 4, 0);
        self.asm.alu64_imm(Alu::Rsh, 2, 6);
        self.asm.jump_imm(If::Eq, 2, 0, none);
        self.asm.jump_imm(If::Eq, 2, 1, short);
        self.asm.load(Size::W, 1, 4, 1);
        self.asm.swap(1, 32);
        self.asm.jump_imm(If::Eq, 2, 3, found);
        self.asm.alu64_imm(Alu::Rsh, 1, 8);
        self.asm.goto(found);
        self.asm.bind(short);
        self.asm.load(Size::W, 1, 4, 0);
        self.asm.swap(1, 32);
        self.asm.alu32_imm(Alu::Lsh, 1, 2);
        self.asm.alu64_imm(Alu::Rsh, 1, 16);
        self.asm.bind(found);
    }

    /// The number of the backend that the packet names at [`frame::NAMED`]; 0 where none can have it.
    pub(super) fn named(&mut self, shape: Shape<'_>) {
        let done = self.asm.label();
        self.asm.load(Size::W, 1, 10, frame::NAMED);
        self.asm.jump_imm(If::Eq, 1, 0, done);
        self.names_nobody();
        for (part, at) in [(frame::POOL, 0), (frame::SERVER, 4)] {
            self.asm.load(Size::W, 1, 10, part);
            self.asm.store(Size::W, 10, frame::ID_KEY + at, 1);
        }
        self.value_of(self.maps.ids, frame::ID_KEY, done);
        self.asm.load(Size::W, 1, 0, 0);
        self.asm.store(Size::W, 10, frame::NUMBER, 1);
        self.value_of(self.maps.backends, frame::NUMBER, done);
        self.has_id(shape, done);
        self.asm.load(Size::W, 1, 10, frame::NUMBER);
        self.asm.store(Size::W, 10, frame::NAMED, 1);
        self.asm.bind(done);
    }

    /// Goes to `other` where the record at r0 is not that of the backend which the packet names, or it cannot have the
    /// packet. The number may be another backend's by now, which has its own id.
    fn has_id(&mut self, shape: Shape<'_>, other: Label) {
        self.asm.load(Size::H, 1, 0, backend::POOL);
        self.asm.load(Size::W, 2, 10, frame::POOL);
        self.asm.jump_reg(If::Ne, 1, 2, other);
        self.asm.load(Size::W, 1, 0, backend::ID);
        self.asm.load(Size::W, 2, 10, frame::SERVER);
        self.asm.jump_reg(If::Ne, 1, 2, other);
        let serves = (flags::UP | flags::NAMED) as i32;
        self.asm.load(Size::W, 1, 0, backend::FLAGS);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::And, 2, serves);
        self.asm.jump_imm(If::Ne, 2, serves, other);
        if !shape.method.wraps() {
            // It has the packet's IP version.
            self.asm.load(Size::W, 2, 10, frame::IS);
            self.asm.alu64(Alu::Xor, 1, 2);
            self.asm.jump_imm(If::Set, 1, is::V6, other);
        }
    }

    /// Goes to `anew` where the packet names another backend than the one whose number is in r4. r1 is lost.
    pub(super) fn is_named(&mut self, anew: Label) {
        let done = self.asm.label();
        self.asm.load(Size::W, 1, 10, frame::NAMED);
        self.asm.jump_imm(If::Eq, 1, 0, done);
        self.asm.jump_reg(If::Ne, 1, 4, anew);
        self.asm.bind(done);
    }

    /// r9 = the record of the backend that the packet names, then on to `known`; on where it names none.
    pub(super) fn named_backend(&mut self, known: Label, drop: Label) {
        let none = self.asm.label();
        self.asm.load(Size::W, 1, 10, frame::NAMED);
        self.asm.jump_imm(If::Eq, 1, 0, none);
        self.asm.store(Size::W, 10, frame::NUMBER, 1);
        self.value_of(self.maps.backends, frame::NUMBER, drop);
        self.asm.mov(9, 0);
        self.asm.goto(known);
        self.asm.bind(none);
    }
}
