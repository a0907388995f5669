//! ICMP errors about translated packets: the packet that comes back in one is translated as well (RFC 5508, section 4.2).

use super::super::layers::{FARTHEST, PROTOCOL_SHIFT, TRANSPORT_SHIFT, V4, V6};
use super::super::{Emitter, stack};
use super::connection::addresses;
use super::{frame, is};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::packet::protocol;
use crate::route::layout::{backend, translated};

/// Bytes of an ICMP header.
const HEADER: i16 = 8;

/// Where an error goes, and whose record is at r9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the backend, by its record; `full` where packets to it have another source than the client.
    There { full: bool },
    /// To the client, by the connection's record.
    Back,
}

impl Emitter<'_> {
    /// Rewrites an error by the record at r9. With a next hop it lives one hop less. r0 to r5 are lost.
    pub(super) fn rewrite_error(&mut self, way: Way, short: Label) {
        let (v6, done) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::V6, v6);
        self.rewrite_message(false, way, short);
        self.asm.goto(done);
        self.asm.bind(v6);
        self.rewrite_message(true, way, short);
        self.asm.bind(done);
    }

    /// r3 = the ICMP header and r4 = the ports that came back, once the outer header is done; r5 is what changes in
    /// addresses and ports, r0 what else changes in the sum of the message.
    fn rewrite_message(&mut self, v6: bool, way: Way, short: Label) {
        let (version, header) = if v6 { (V6, 40) } else { (V4, 20) };
        self.asm.load(Size::DW, 2, 10, stack::LAYERS);
        self.find_returned();
        self.asm.jump_imm(If::Eq, 0, 0, short);
        self.asm.store(Size::DW, 10, frame::RETURNED, 0);
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.ip_header(version, header, short);
        self.transport_header(short);
        self.rewrite_outer(v6, way);
        self.require_transport(i32::from(HEADER) + header, short);
        self.asm.mov(3, 4);
        self.asm.mov_imm(5, 0);
        self.rewrite_returned(v6, way);
        self.returned_ports(short);
        self.ports_of(way);
        self.replace(4, 0);
        self.mend_returned(v6, short);
        self.asm.alu64(Alu::Add, 5, 0);
        self.asm.mov(4, 3);
        self.mend_by_words(2);
    }

    /// The header at r3; r0 = what changes in the sum of a message whose checksum covers addresses (RFC 4443, section 2.3).
    fn rewrite_outer(&mut self, v6: bool, way: Way) {
        let at = addresses(v6);
        self.asm.mov_imm(5, 0);
        match way {
            Way::There { .. } => self.replace_address(v6, backend::ADDRESS, 3, at.destination),
            Way::Back => {
                let by_router = self.asm.label();
                self.asm.load(Size::W, 1, 10, frame::IS);
                self.asm.alu64_imm(Alu::And, 1, is::BY_BACKEND);
                self.asm.jump_imm(If::Eq, 1, 0, by_router);
                self.replace_address(v6, translated::SERVICE, 3, at.source);
                self.asm.bind(by_router);
                self.replace_address(v6, translated::CLIENT, 3, at.destination);
            }
        }
        self.one_hop(v6);
        if v6 {
            self.asm.mov(0, 5);
        } else {
            self.asm.mov_imm(0, 0);
        }
    }

    /// The IP header that came back.
    fn rewrite_returned(&mut self, v6: bool, way: Way) {
        let at = addresses(v6);
        let (source, destination) = match way {
            Way::There { full } => (backend::ADDRESS, full.then_some(backend::SOURCE)),
            Way::Back => (translated::CLIENT, Some(translated::SERVICE)),
        };
        self.replace_address(v6, source, 3, HEADER + at.source);
        destination.iter().for_each(|from| self.replace_address(v6, *from, 3, HEADER + at.destination));
        if !v6 {
            self.mend_within(3, HEADER + 10, false);
        }
    }

    /// The address at a place becomes that of the record at r9; r5 += what changes. r1 and r2 are lost.
    fn replace_address(&mut self, v6: bool, from: i16, at: Reg, to: i16) {
        for word in (0..if v6 { 16 } else { 4 }).step_by(4) {
            self.asm.load(Size::W, 2, 9, from + word);
            self.replace(at, to + word);
        }
    }

    /// r4 = the transport header that came back.
    fn returned_ports(&mut self, short: Label) {
        self.asm.load(Size::DW, 1, 10, frame::RETURNED);
        self.asm.alu64_imm(Alu::Rsh, 1, TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 1, FARTHEST);
        self.asm.mov(4, 7);
        self.asm.alu64(Alu::Add, 4, 1);
        self.require_transport(8, short);
    }

    /// r2 = what the ports at r4 become. r1 is lost.
    fn ports_of(&mut self, way: Way) {
        let Way::There { full } = way else { return self.asm.load(Size::W, 2, 9, translated::PORTS) };
        let kept = self.asm.label();
        self.asm.load(Size::W, 2, 4, 0);
        if full {
            self.asm.alu64_imm(Alu::And, 2, 0xffff);
            self.asm.load(Size::W, 1, 10, frame::PORT);
            self.asm.alu64_imm(Alu::Lsh, 1, 16);
            self.asm.alu64(Alu::Or, 2, 1);
        }
        self.asm.load(Size::H, 1, 9, backend::PORT);
        self.asm.jump_imm(If::Eq, 1, 0, kept);
        self.asm.alu64_imm(Alu::Rsh, 2, 16);
        self.asm.alu64_imm(Alu::Lsh, 2, 16);
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.bind(kept);
    }

    /// The checksum of TCP or UDP that came back, if it did.
    fn mend_returned(&mut self, v6: bool, short: Label) {
        let (udp, done) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 1, 10, frame::RETURNED);
        self.asm.alu64_imm(Alu::Rsh, 1, PROTOCOL_SHIFT);
        self.asm.alu64_imm(Alu::And, 1, 0xff);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::UDP), udp);
        self.end_in_r1();
        self.asm.mov(2, 4);
        self.asm.alu64(Alu::Sub, 2, 7);
        self.asm.alu64_imm(Alu::Add, 2, 18);
        self.asm.jump_reg(If::Gt, 2, 1, done);
        self.require_transport(18, short);
        self.mend_within(4, 16, false);
        self.asm.goto(done);
        self.asm.bind(udp);
        if !v6 {
            self.asm.load(Size::H, 1, 4, 6);
            self.asm.jump_imm(If::Eq, 1, 0, done);
        }
        self.mend_within(4, 6, true);
        self.asm.bind(done);
    }

    /// Mends a checksum within the message by r5; r0 += what changes. r1 and r2 are lost.
    fn mend_within(&mut self, at: Reg, offset: i16, udp: bool) {
        self.asm.load(Size::H, 2, at, offset);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        self.asm.alu64(Alu::Add, 0, 2);
        self.asm.alu64(Alu::Add, 2, 5);
        self.fold(2);
        self.asm.alu64_imm(Alu::Xor, 2, 0xffff);
        if udp {
            let whole = self.asm.label();
            self.asm.jump_imm(If::Ne, 2, 0, whole);
            self.asm.mov32_imm(2, 0xffff);
            self.asm.bind(whole);
        }
        self.asm.store(Size::H, at, offset, 2);
        self.asm.alu64(Alu::Add, 0, 2);
    }
}
