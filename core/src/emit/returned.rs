//! The headers of the packet that an ICMP error brings back, found by one function ([`crate::packet::returned`] says the
//! same).

use super::layers::{FARTHEST, FRAGMENT, Finder, HEADER, PROTOCOL_SHIFT, TRANSPORT, TRANSPORT_SHIFT, V4, V6};
use super::{Emitter, Options};
use crate::asm::build::{Alu, Asm, If, Label, Reg, Size};
use crate::cond::Returned;
use crate::packet::{icmp, protocol};

/// Bytes of an ICMP header.
const ICMP: i32 = 8;
/// Where the offset of the IP header is in the result, and that of the byte that names the protocol; the rest is as in
/// [`super::layers`].
const AT: i32 = 40;
const NEXT: i32 = 52;

/// The function: `u64 returned(context, u64 layers)`; 0 where nothing comes back whose transport header is known.
pub(super) fn code(options: &Options) -> Asm {
    let mut asm = Asm::default();
    let (done, v6) = (asm.label(), asm.label());
    let mut finder = Finder { asm, done, returned: true };
    finder.begin(options);
    finder.asm.mov(0, 2);
    finder.asm.jump_imm(If::Set, 0, V6 as i32, v6);
    for (version, at) in [(V4, None), (V6, Some(v6))] {
        at.into_iter().for_each(|at| finder.asm.bind(at));
        finder.message(version == V6);
        if version == V6 { finder.v6() } else { finder.v4() }
    }
    finder.found();
    finder.asm
}

impl Finder {
    /// r6 = the offset of what comes back, and r3 its address; ends with a packet that is no error. r0 is what the finder of
    /// headers found.
    fn message(&mut self, v6: bool) {
        let (there, error) = (self.asm.label(), self.asm.label());
        self.asm.jump_imm(If::Set, 0, TRANSPORT as i32, there);
        self.asm.goto(self.done);
        self.asm.bind(there);
        self.asm.mov(2, 0);
        self.asm.alu64_imm(Alu::Rsh, 2, PROTOCOL_SHIFT);
        self.asm.jump_imm(If::Ne, 2, i32::from(if v6 { protocol::ICMP6 } else { protocol::ICMP }), self.done);
        if v6 {
            self.asm.jump_imm(If::Set, 0, FRAGMENT as i32, self.done);
        } else {
            self.asm.mov(3, 0);
            self.asm.alu64_imm(Alu::And, 3, HEADER);
            self.asm.alu64(Alu::Add, 3, 7);
            self.require(20, self.done);
            self.asm.load(Size::H, 2, 3, 6);
            self.asm.jump_imm(If::Set, 2, i32::from(0x3fffu16.swap_bytes()), self.done);
        }
        self.asm.mov(6, 0);
        self.asm.alu64_imm(Alu::Rsh, 6, TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 6, FARTHEST);
        self.asm.mov(3, 7);
        self.asm.alu64(Alu::Add, 3, 6);
        self.require(ICMP, self.done);
        self.asm.load(Size::B, 2, 3, 0);
        icmp::errors(v6).iter().for_each(|kind| self.asm.jump_imm(If::Eq, 2, i32::from(*kind), error));
        self.asm.goto(self.done);
        self.asm.bind(error);
        self.asm.alu64_imm(Alu::Add, 6, ICMP);
        self.asm.alu64_imm(Alu::Add, 3, ICMP);
    }

    /// r0 = the result.
    fn found(&mut self) {
        let none = self.asm.label();
        self.asm.bind(self.done);
        self.asm.mov_imm(0, 0);
        self.asm.mov(2, 9);
        self.asm.alu64_imm(Alu::And, 2, TRANSPORT as i32);
        self.asm.jump_imm(If::Eq, 2, 0, none);
        self.asm.mov(0, 9);
        for (register, shift) in [(6, AT), (1, NEXT)] {
            self.asm.alu64_imm(Alu::Lsh, register, shift);
            self.asm.alu64(Alu::Or, 0, register);
        }
        self.asm.bind(none);
        self.asm.exit();
    }
}

impl Emitter<'_> {
    /// r0 = what an ICMP error brings back, by what the finder of headers found, which is in r2. r1 to r5 are lost.
    pub(super) fn find_returned(&mut self) {
        let Some(function) = self.functions.returned else { return self.asm.mov_imm(0, 0) };
        self.asm.mov(1, 6);
        self.asm.call_function(function);
    }

    /// r0 = what is known of the packet that comes back. r1 to r5 are lost.
    pub(super) fn returned_part(&mut self, part: Returned, fault: Label) {
        let Some(function) = self.functions.layers else { return self.asm.goto(fault) };
        self.asm.mov(1, 6);
        self.asm.call_function(function);
        self.asm.mov(2, 0);
        self.find_returned();
        self.asm.jump_imm(If::Eq, 0, 0, fault);
        match part {
            Returned::Version => {
                // 4, and 2 more of IPv6.
                self.asm.alu64_imm(Alu::And, 0, V6 as i32);
                self.asm.alu64_imm(Alu::Rsh, 0, V6.trailing_zeros() as i32 - 1);
                self.asm.alu64_imm(Alu::Add, 0, 4);
            }
            Returned::Header => self.returned_offset(0, AT),
            Returned::Protocol => self.returned_offset(0, NEXT),
            Returned::Transport => self.returned_offset(0, TRANSPORT_SHIFT),
        }
    }

    fn returned_offset(&mut self, register: Reg, shift: i32) {
        self.asm.alu64_imm(Alu::Rsh, register, shift);
        self.asm.alu64_imm(Alu::And, register, FARTHEST);
    }
}
