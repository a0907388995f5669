//! `decap`: a packet loses its outer headers; [`crate::eval`] says which, to the last bit.

use super::layers::{HEADER, V4, V6};
use super::{Direction, Emitter};
use crate::asm::build::{Alu, If, Label, Size};
use crate::packet::{ethertype, protocol};
use crate::route::GUE_PORTS;

const IPV4: i32 = 20;
const IPV6: i32 = 40;
const UDP: i32 = 8;

impl Emitter<'_> {
    /// `decap`. Goes to `done` with a packet that stays as it is, to `failed` where the kernel refuses to cut it. r9 is
    /// lost.
    pub(super) fn decap(&mut self, done: Label, failed: Label) {
        if self.options.direction == Direction::Egress {
            return;
        }
        let (v4, unwrap) = (self.asm.label(), self.asm.label());
        self.find_layers();
        self.asm.jump_imm(If::Set, 0, V4 as i32, v4);
        self.ip_header(V6, IPV6, done);
        self.asm.load(Size::B, 1, 3, 6);
        self.inner(IPV6, unwrap, done);

        self.asm.bind(v4);
        self.ip_header(V4, IPV4, done);
        self.asm.load(Size::B, 1, 3, 0);
        self.asm.jump_imm(If::Ne, 1, 0x45, done);
        self.asm.load(Size::H, 1, 3, 6);
        self.asm.jump_imm(If::Set, 1, i32::from(0x3fffu16.swap_bytes()), done);
        self.asm.load(Size::B, 1, 3, 9);
        self.inner(IPV4, unwrap, done);

        self.asm.bind(unwrap);
        self.unwrap(done, failed);
    }

    /// Goes to `unwrap` where an IP header is behind the outer one of so many bytes at r3, and perhaps UDP: r9 = how many
    /// bytes are before it, r5 = its ethertype. r1 is the protocol.
    fn inner(&mut self, outer: i32, unwrap: Label, done: Label) {
        let (v4, v6, udp, gue) = (self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::IPIP), v4);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::IPV6), v6);
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::UDP), udp);
        self.asm.goto(done);
        self.asm.bind(v4);
        self.version(outer, false, unwrap, done);
        self.asm.bind(v6);
        self.version(outer, true, unwrap, done);

        self.asm.bind(udp);
        self.require_outer(outer + UDP, done);
        self.asm.load(Size::H, 1, 3, outer as i16 + 2);
        for port in GUE_PORTS {
            self.asm.jump_imm(If::Eq, 1, i32::from(port.swap_bytes()), gue);
        }
        self.asm.goto(done);
        self.asm.bind(gue);
        let other = self.asm.label();
        self.version(outer + UDP, false, unwrap, other);
        self.asm.bind(other);
        self.version(outer + UDP, true, unwrap, done);
    }

    /// Goes to `unwrap` where a whole IP header of this version is so many bytes behind r3, else to `other`. r1 and r2
    /// are lost.
    fn version(&mut self, before: i32, v6: bool, unwrap: Label, other: Label) {
        let (size, version, kind) = if v6 { (IPV6, 0x60, ethertype::IPV6) } else { (IPV4, 0x40, ethertype::IPV4) };
        self.require_outer(before + size, other);
        self.asm.load(Size::B, 1, 3, before as i16);
        self.asm.alu64_imm(Alu::And, 1, 0xf0);
        self.asm.jump_imm(If::Ne, 1, version, other);
        self.asm.mov_imm(9, before);
        self.asm.mov32_imm(5, u32::from(kind.swap_bytes()));
        self.asm.goto(unwrap);
    }

    /// Goes to `short` unless so many bytes lie behind r3. r2 is lost.
    fn require_outer(&mut self, bytes: i32, short: Label) {
        self.asm.mov(2, 3);
        self.asm.alu64_imm(Alu::Add, 2, bytes);
        self.asm.jump_reg(If::Gt, 2, 8, short);
    }

    /// Takes r9 bytes out behind the Ethernet header and tags, whose ethertype becomes r5; r0 is the finder's result.
    fn unwrap(&mut self, done: Label, failed: Label) {
        let (untagged, one, tagged) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.mov(4, 7);
        self.asm.alu64(Alu::Add, 4, 9);
        self.asm.mov(1, 4);
        self.asm.alu64_imm(Alu::Add, 1, 22);
        self.asm.jump_reg(If::Gt, 1, 8, done);
        self.asm.alu64_imm(Alu::And, 0, HEADER);
        self.asm.jump_imm(If::Eq, 0, 14, untagged);
        self.asm.jump_imm(If::Eq, 0, 18, one);
        self.asm.store(Size::H, 4, 20, 5);
        self.copy_word(16);
        self.copy_word(12);
        self.asm.goto(tagged);
        self.asm.bind(one);
        self.asm.store(Size::H, 4, 16, 5);
        self.copy_word(12);
        self.asm.goto(tagged);
        self.asm.bind(untagged);
        self.asm.store(Size::H, 4, 12, 5);
        self.asm.bind(tagged);
        [8, 4, 0].into_iter().for_each(|at| self.copy_word(at));
        self.asm.mov(2, 9);
        self.cut_head(failed);
    }

    /// From r7 to r4; r1 is lost.
    fn copy_word(&mut self, at: i16) {
        self.asm.load(Size::W, 1, 7, at);
        self.asm.store(Size::W, 4, at, 1);
    }
}
