//! Actions that rewrite a packet; [`crate::eval`] says what they mean, to the last bit.

use std::net::IpAddr;

use super::layers::{PROTOCOL, V4, V6};
use super::{Direction, Emitter};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::packet::{ethertype, protocol};
use crate::policy::Assignment;

const SKB_VLAN_PUSH: i32 = 18;
const SKB_VLAN_POP: i32 = 19;
const XDP_ADJUST_HEAD: i32 = 44;
const TAG: i32 = 4;

impl Emitter<'_> {
    /// `set FIELD VALUE`. Goes to `failed` where the kernel refuses to make the packet longer.
    pub(super) fn assign(&mut self, assignment: &Assignment, failed: Label) {
        let done = self.asm.label();
        match assignment {
            Assignment::EtherDst(address) => self.set_mac(0, address, done),
            Assignment::EtherSrc(address) => self.set_mac(6, address, done),
            Assignment::SrcV4(address) => self.set_address((*address).into(), true, done),
            Assignment::DstV4(address) => self.set_address((*address).into(), false, done),
            Assignment::SrcV6(address) => self.set_address((*address).into(), true, done),
            Assignment::DstV6(address) => self.set_address((*address).into(), false, done),
            Assignment::SrcPort(port) => self.set_port(0, *port, done),
            Assignment::DstPort(port) => self.set_port(2, *port, done),
            Assignment::Ttl(ttl) => self.set_ttl(*ttl, done),
            Assignment::Dscp(dscp) => self.set_dscp(*dscp, done),
            Assignment::VlanPush(id) => self.vlan_push(*id, failed),
            Assignment::VlanPop => self.vlan_pop(done, failed),
            Assignment::Decap => self.decap(done, failed),
        }
        self.asm.bind(done);
    }

    fn set_mac(&mut self, offset: i16, address: &[u8; 6], short: Label) {
        let [a, b, c, d, e, f] = *address;
        self.require(14, short);
        self.asm.mov32_imm(1, u32::from_le_bytes([a, b, c, d]));
        self.asm.store(Size::H, 7, offset, 1);
        self.asm.alu64_imm(Alu::Rsh, 1, 16);
        self.asm.store(Size::H, 7, offset + 2, 1);
        self.asm.store_imm(Size::H, 7, offset + 4, i32::from(u16::from_le_bytes([e, f])));
    }

    /// r5 += what changes in a checksum when the word at `at` + `offset` becomes r2. r1 is lost.
    pub(super) fn change(&mut self, at: Reg, offset: i16) {
        self.asm.load(Size::H, 1, at, offset);
        self.asm.alu64_imm(Alu::Xor, 1, 0xffff);
        self.asm.alu64(Alu::Add, 5, 1);
        self.asm.alu64(Alu::Add, 5, 2);
    }

    /// Mends the checksum at `at` + `offset` by r5 (RFC 1624, equation 3). r1 and r2 are lost; r1 is the checksum.
    pub(super) fn mend(&mut self, at: Reg, offset: i16) {
        self.asm.load(Size::H, 1, at, offset);
        self.asm.alu64_imm(Alu::Xor, 1, 0xffff);
        self.asm.alu64(Alu::Add, 1, 5);
        for _ in 0..2 {
            self.asm.mov(2, 1);
            self.asm.alu64_imm(Alu::Rsh, 2, 16);
            self.asm.alu64_imm(Alu::And, 1, 0xffff);
            self.asm.alu64(Alu::Add, 1, 2);
        }
        self.asm.alu64_imm(Alu::Xor, 1, 0xffff);
        self.asm.store(Size::H, at, offset, 1);
    }

    /// Mends the transport's checksum by r5, where it has one; r0 is the finder's result, r4 the transport header.
    /// Goes to `short`, with nothing changed, where it has one that is not in the packet; on to `none` where it has none.
    fn mend_transport(&mut self, short: Label, none: Label) {
        let (tcp, udp, icmp6, done) = (self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label());
        self.protocol();
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::TCP), tcp);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::UDP), udp);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::ICMP6), icmp6);
        self.asm.goto(none);

        self.asm.bind(tcp);
        self.require_transport(18, short);
        self.mend(4, 16);
        self.asm.goto(done);

        self.asm.bind(icmp6);
        self.require_transport(4, short);
        self.mend(4, 2);
        self.asm.goto(done);

        self.asm.bind(udp);
        self.require_transport(8, short);
        let summed = self.asm.label();
        self.asm.jump_imm(If::Set, 0, V6 as i32, summed);
        self.asm.load(Size::H, 1, 4, 6);
        self.asm.jump_imm(If::Eq, 1, 0, done);
        self.asm.bind(summed);
        self.mend(4, 6);
        self.asm.jump_imm(If::Ne, 1, 0, done);
        self.asm.store_imm(Size::H, 4, 6, -1);
        self.asm.bind(done);
    }

    fn set_address(&mut self, address: IpAddr, source: bool, done: Label) {
        let (version, header, offset, bytes) = match address {
            IpAddr::V4(address) => (V4, 20, if source { 12 } else { 16 }, address.octets().to_vec()),
            IpAddr::V6(address) => (V6, 40, if source { 8 } else { 24 }, address.octets().to_vec()),
        };
        let words: Vec<_> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        self.find_layers();
        let known = self.asm.label();
        self.asm.jump_imm(If::Set, 0, PROTOCOL as i32, known);
        self.asm.goto(done);
        self.asm.bind(known);
        self.ip_header(version, header, done);
        self.asm.mov_imm(5, 0);
        for (at, word) in (0i16..).zip(&words) {
            self.asm.mov32_imm(2, u32::from(*word));
            self.change(3, offset + 2 * at);
        }
        let header_only = self.asm.label();
        self.transport_header(header_only);
        self.mend_transport(done, header_only);
        self.asm.bind(header_only);
        if version == V4 {
            self.mend(3, 10);
        }
        for (at, word) in (0i16..).zip(&words) {
            self.asm.store_imm(Size::H, 3, offset + 2 * at, i32::from(*word));
        }
    }

    fn set_port(&mut self, offset: i16, port: u16, done: Label) {
        self.find_layers();
        self.transport_header(done);
        self.protocol();
        let has_ports = self.asm.label();
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::TCP), has_ports);
        self.asm.jump_imm(If::Ne, 1, i32::from(protocol::UDP), done);
        self.asm.bind(has_ports);
        self.require_transport(4, done);
        self.asm.mov_imm(5, 0);
        self.asm.mov32_imm(2, u32::from(port.swap_bytes()));
        self.change(4, offset);
        self.mend_transport(done, done);
        self.asm.store_imm(Size::H, 4, offset, i32::from(port.swap_bytes()));
    }

    pub(super) fn set_ttl(&mut self, ttl: u8, done: Label) {
        let v4 = self.asm.label();
        self.find_layers();
        self.asm.jump_imm(If::Set, 0, V4 as i32, v4);
        self.ip_header(V6, 40, done);
        self.asm.store_imm(Size::B, 3, 7, i32::from(ttl));
        self.asm.goto(done);
        self.asm.bind(v4);
        self.ip_header(V4, 20, done);
        self.asm.mov_imm(5, 0);
        self.asm.load(Size::H, 2, 3, 8);
        // Little-endian: the first byte is the lower one.
        self.asm.alu64_imm(Alu::And, 2, 0xff00);
        self.asm.alu64_imm(Alu::Or, 2, i32::from(ttl));
        self.change(3, 8);
        self.asm.store(Size::H, 3, 8, 2);
        self.mend(3, 10);
    }

    fn set_dscp(&mut self, dscp: u8, done: Label) {
        let v4 = self.asm.label();
        self.find_layers();
        self.asm.jump_imm(If::Set, 0, V4 as i32, v4);
        self.ip_header(V6, 40, done);
        self.asm.load(Size::H, 2, 3, 0);
        self.asm.alu64_imm(Alu::And, 2, 0x3ff0);
        self.asm.alu64_imm(Alu::Or, 2, i32::from(u16::from_le_bytes([dscp >> 2, dscp << 6])));
        self.asm.store(Size::H, 3, 0, 2);
        self.asm.goto(done);
        self.asm.bind(v4);
        self.ip_header(V4, 20, done);
        self.asm.mov_imm(5, 0);
        self.asm.load(Size::H, 2, 3, 0);
        self.asm.alu64_imm(Alu::And, 2, 0x03ff);
        self.asm.alu64_imm(Alu::Or, 2, i32::from(dscp << 2) << 8);
        self.change(3, 0);
        self.asm.store(Size::H, 3, 0, 2);
        self.mend(3, 10);
    }

    pub(super) fn adjust_head(&mut self, by: i32, failed: Label) {
        self.asm.mov_imm(2, by);
        self.cut_head(failed);
    }

    /// Takes as many bytes off the packet's beginning as r2 says.
    pub(super) fn cut_head(&mut self, failed: Label) {
        self.asm.mov(1, 6);
        self.asm.call(XDP_ADJUST_HEAD);
        self.asm.jump_imm(If::Ne, 0, 0, failed);
        self.locate_packet();
    }

    fn vlan_push(&mut self, id: u16, failed: Label) {
        let id = id & 0xfff;
        if self.options.direction == Direction::Egress {
            self.asm.mov(1, 6);
            self.asm.mov_imm(2, i32::from(ethertype::VLAN.swap_bytes()));
            self.asm.mov_imm(3, i32::from(id));
            self.asm.call(SKB_VLAN_PUSH);
            self.asm.jump_imm(If::Ne, 0, 0, failed);
            self.locate_packet();
            return;
        }
        self.adjust_head(-TAG, failed);
        self.require(18, failed);
        for at in [0, 4, 8] {
            self.asm.load(Size::W, 1, 7, at + 4);
            self.asm.store(Size::W, 7, at, 1);
        }
        self.asm.store_imm(Size::H, 7, 12, i32::from(ethertype::VLAN.swap_bytes()));
        self.asm.store_imm(Size::H, 7, 14, i32::from(id.swap_bytes()));
    }

    fn vlan_pop(&mut self, done: Label, failed: Label) {
        if self.options.direction == Direction::Egress {
            self.asm.mov(1, 6);
            self.asm.call(SKB_VLAN_POP);
            self.asm.jump_imm(If::Ne, 0, 0, failed);
            self.locate_packet();
            return;
        }
        self.require(18, done);
        self.asm.load(Size::H, 1, 7, 12);
        let tagged = self.asm.label();
        for kind in [ethertype::VLAN, ethertype::QINQ, ethertype::QINQ_OLD] {
            self.asm.jump32_imm(If::Eq, 1, u32::from(kind.swap_bytes()), tagged);
        }
        self.asm.goto(done);
        self.asm.bind(tagged);
        for at in [8, 4, 0] {
            self.asm.load(Size::W, 1, 7, at);
            self.asm.store(Size::W, 7, at + 4, 1);
        }
        self.adjust_head(TAG, failed);
    }

    /// Swaps addresses and ports.
    pub(super) fn reflect(&mut self) {
        let (done, v6, ports, has_ports) = (self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label());
        self.find_layers();
        self.require(14, done);
        for (left, right, size) in [(0, 6, Size::W), (4, 10, Size::H)] {
            self.swap_fields(7, left, right, size);
        }
        self.asm.load(Size::DW, 0, 10, super::stack::LAYERS);
        self.asm.jump_imm(If::Set, 0, V6 as i32, v6);
        self.ip_header(V4, 20, done);
        self.swap_fields(3, 12, 16, Size::W);
        self.asm.goto(ports);
        self.asm.bind(v6);
        self.ip_header(V6, 40, done);
        for at in 0..4 {
            self.swap_fields(3, 8 + 4 * at, 24 + 4 * at, Size::W);
        }
        self.asm.bind(ports);
        self.transport_header(done);
        self.protocol();
        for kind in [protocol::TCP, protocol::UDP, protocol::SCTP] {
            self.asm.jump_imm(If::Eq, 1, i32::from(kind), has_ports);
        }
        self.asm.goto(done);
        self.asm.bind(has_ports);
        self.require_transport(4, done);
        self.swap_fields(4, 0, 2, Size::H);
        self.asm.bind(done);
    }

    fn swap_fields(&mut self, at: Reg, left: i16, right: i16, size: Size) {
        self.asm.load(size, 1, at, left);
        self.asm.load(size, 2, at, right);
        self.asm.store(size, at, left, 2);
        self.asm.store(size, at, right, 1);
    }
}
