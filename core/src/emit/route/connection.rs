//! Which connection a packet belongs to: its hash.

use super::super::layers::{FARTHEST, FRAGMENT, HEADER, TRANSPORT, TRANSPORT_SHIFT, V4, V6};
use super::super::{Emitter, stack};
use super::{Ends, Shape, frame, is};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::packet::protocol;
use crate::policy::HashBy;
use crate::route::hash::{FACTOR, SEED};

/// Where the addresses of a header are: source and destination.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) source: i16,
    pub(super) destination: i16,
}

/// TCP's flags.
const SYN: i32 = 0x02;
const SYN_ACK: i32 = 0x12;
const FIN: i32 = 0x01;
pub(super) const RST: i32 = 0x04;

impl Emitter<'_> {
    /// r9 and [`frame::HASH`] = the hash of the packet's connection, then on to `known`. r0 is the finder's result.
    pub(super) fn connection(&mut self, shape: Shape<'_>, v6: bool, known: Label, ends: Ends) {
        let (fragment, tcp, udp, icmp, other) =
            (self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label());
        self.total(v6, ends.pass);
        self.asm.store_imm(Size::W, 10, frame::IS, is::OWN | if v6 { is::V6 } else { 0 });
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.header(v6, ends.pass);
        self.is_fragment(v6, if shape.translates() { ends.pass } else { fragment });
        self.protocol();
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::TCP), tcp);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::UDP), udp);
        self.asm.jump_imm(If::Eq, 1, i32::from(if v6 { protocol::ICMP6 } else { protocol::ICMP }), icmp);
        self.asm.goto(if shape.translates() { ends.pass } else { other });

        let addresses = addresses(v6);
        let ported = self.asm.label();
        self.asm.bind(tcp);
        self.transport(20, ends.pass);
        let (begins, ending) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::B, 1, 4, 13);
        self.asm.load(Size::H, 5, 4, 16);
        let flags = is::OWN | is::WHOLE | if v6 { is::V6 } else { 0 };
        self.asm.store_imm(Size::W, 10, frame::IS, flags);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::And, 2, SYN_ACK);
        self.asm.jump_imm(If::Eq, 2, SYN, begins);
        self.asm.jump_imm(If::Set, 1, FIN | RST, ending);
        self.asm.goto(ported);
        self.asm.bind(begins);
        self.asm.store_imm(Size::W, 10, frame::IS, flags | is::BEGINS | is::REMEMBERED);
        self.asm.goto(ported);
        self.asm.bind(ending);
        self.asm.store_imm(Size::W, 10, frame::IS, flags | is::ENDS);
        self.asm.goto(ported);

        self.asm.bind(udp);
        if shape.reads_ids() {
            self.server();
        }
        self.transport(8, ends.pass);
        self.asm.load(Size::H, 5, 4, 6);
        self.asm.store_imm(Size::W, 10, frame::IS, flags | is::REMEMBERED);
        self.asm.bind(ported);
        self.partial(v6);
        if shape.translates() {
            self.lives_on(v6, ends.pass);
        }
        self.asm.load(Size::W, 2, 4, 0);
        self.protocol();
        if shape.translates() {
            self.tuple(v6, 3, addresses);
        }
        self.hash_connection(shape, v6, 3, addresses);
        self.asm.goto(known);

        self.asm.bind(icmp);
        self.icmp(shape, v6, known, ends);
        if shape.translates() {
            return;
        }

        self.asm.bind(other);
        self.asm.store_imm(Size::W, 10, frame::IS, flags);
        self.asm.bind(fragment);
        self.asm.mov_imm(2, 0);
        self.protocol();
        self.hash_connection(shape, v6, 3, addresses);
        self.asm.goto(known);
    }

    /// The length of the IP packet at [`frame::TOTAL`]; to `pass` where not all of it is there.
    pub(super) fn total(&mut self, v6: bool, pass: Label) {
        self.header(v6, pass);
        if v6 {
            self.asm.load(Size::H, 1, 3, 4);
            self.asm.swap(1, 16);
            self.asm.alu64_imm(Alu::Add, 1, 40);
        } else {
            self.asm.load(Size::H, 1, 3, 2);
            self.asm.swap(1, 16);
            self.asm.load(Size::B, 2, 3, 0);
            self.asm.alu64_imm(Alu::And, 2, 0xf);
            self.asm.alu64_imm(Alu::Lsh, 2, 2);
            self.asm.jump_reg(If::Lt, 1, 2, pass);
        }
        self.asm.store(Size::W, 10, frame::TOTAL, 1);
        self.end_in_r1();
        self.asm.load(Size::DW, 2, 10, frame::LENGTH);
        self.asm.jump_reg(If::Gt, 1, 2, pass);
    }

    /// r3 = the IP header; r0 is the finder's result.
    pub(super) fn header(&mut self, v6: bool, pass: Label) {
        self.ip_header(if v6 { V6 } else { V4 }, if v6 { 40 } else { 20 }, pass);
    }

    /// r1 = the offset of the IP packet's end. r2 is lost.
    pub(super) fn end_in_r1(&mut self) {
        self.asm.load(Size::DW, 1, 10, stack::LAYERS);
        self.asm.alu64_imm(Alu::And, 1, HEADER);
        self.asm.load(Size::W, 2, 10, frame::TOTAL);
        self.asm.alu64(Alu::Add, 1, 2);
    }

    /// Goes to `fragment` with one of several parts.
    pub(super) fn is_fragment(&mut self, v6: bool, fragment: Label) {
        if v6 {
            let first = self.asm.label();
            self.asm.jump_imm(If::Set, 0, TRANSPORT as i32, first);
            self.asm.goto(fragment);
            self.asm.bind(first);
            self.asm.jump_imm(If::Set, 0, FRAGMENT as i32, fragment);
        } else {
            self.asm.load(Size::H, 1, 3, 6);
            self.asm.jump_imm(If::Set, 1, i32::from(0x3fffu16.swap_bytes()), fragment);
        }
    }

    /// r4 = the transport header, of which so many bytes are in the IP packet; r0 is the finder's result, and r3 stays.
    pub(super) fn transport(&mut self, size: i32, short: Label) {
        self.end_in_r1();
        self.asm.mov(4, 0);
        self.asm.alu64_imm(Alu::Rsh, 4, TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 4, FARTHEST);
        self.asm.mov(2, 4);
        self.asm.alu64_imm(Alu::Add, 2, size);
        self.asm.jump_reg(If::Gt, 2, 1, short);
        self.transport_header(short);
        self.require_transport(size, short);
    }

    /// r9, [`frame::HASH`] and [`frame::PLACE`] = the hash of the addresses at a header, the ports in r2, the protocol in
    /// r1, and the pool. r1 to r5 are lost.
    pub(super) fn hash_connection(&mut self, shape: Shape<'_>, v6: bool, header: Reg, addresses: Addresses) {
        self.asm.alu64_imm(Alu::Lsh, 1, 32);
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.load(Size::W, 1, 10, frame::POOL);
        self.asm.alu64_imm(Alu::Lsh, 1, 40);
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.mov64_wide(5, FACTOR);
        if shape.hash == HashBy::Src {
            self.asm.mov64_wide(9, SEED);
            self.source_words(v6, header, addresses.source);
            self.asm.load(Size::W, 1, 10, frame::POOL);
            self.asm.alu64_imm(Alu::Lsh, 1, 40);
            self.step();
            self.asm.store(Size::DW, 10, frame::PLACE, 9);
        }
        self.asm.mov64_wide(9, SEED);
        if v6 {
            for at in [addresses.source, addresses.destination] {
                self.word(header, at);
                self.word(header, at + 8);
            }
        } else {
            self.asm.load(Size::W, 1, header, addresses.destination);
            self.asm.alu64_imm(Alu::Lsh, 1, 32);
            self.asm.load(Size::W, 4, header, addresses.source);
            self.asm.alu64(Alu::Or, 1, 4);
            self.step();
        }
        self.asm.mov(1, 2);
        self.step();
        self.asm.store(Size::DW, 10, frame::HASH, 9);
        if shape.hash != HashBy::Src {
            self.asm.store(Size::DW, 10, frame::PLACE, 9);
        }
    }

    /// The source, and zeros for the destination.
    fn source_words(&mut self, v6: bool, header: Reg, source: i16) {
        if v6 {
            self.word(header, source);
            self.word(header, source + 8);
            for _ in 0..2 {
                self.asm.mov_imm(1, 0);
                self.step();
            }
        } else {
            self.asm.load(Size::W, 1, header, source);
            self.step();
        }
    }

    fn word(&mut self, header: Reg, at: i16) {
        self.asm.load(Size::DW, 1, header, at);
        self.step();
    }

    /// r9 = r9 with the word in r1 ([`crate::route::hash::step`]); r5 is the factor, r1 is lost.
    pub(super) fn step(&mut self) {
        self.asm.alu64(Alu::Xor, 9, 1);
        self.asm.alu64(Alu::Mul, 9, 5);
        self.asm.mov(1, 9);
        self.asm.alu64_imm(Alu::Rsh, 1, 32);
        self.asm.alu64(Alu::Xor, 9, 1);
    }
}

/// Where the addresses are in a header.
pub(super) fn addresses(v6: bool) -> Addresses {
    if v6 { Addresses { source: 8, destination: 24 } } else { Addresses { source: 12, destination: 16 } }
}
