//! The packet as a frame of bytes: where it is, how long it is, whether enough of it is there.

use super::{Direction, Emitter, Options, stack};
use crate::asm::build::{Alu, If, Label, Size};
use crate::policy::{Action, Assignment};
use crate::rules::Rules;

/// Offsets in the contexts (include/uapi/linux/bpf.h): `data`, `data_end`.
const XDP_DATA: (i16, i16) = (0, 4);
const SKB_DATA: (i16, i16) = (76, 80);
const SKB_LEN: i16 = 0;
/// `bpf_skb_pull_data`.
const SKB_PULL_DATA: i32 = 39;
/// `bpf_xdp_get_buff_len`.
const XDP_GET_BUFF_LEN: i32 = 188;
const XDP_LOAD_BYTES: i32 = 189;
const SKB_LOAD_BYTES: i32 = 26;

/// Bytes at fixed offsets up to here lie in the packet's first buffer, if the packet has them: drivers put at least
/// this much there, and on the way out the program asks for it ([`Emitter::head`]).
pub(super) const FIRST_BUFFER: u32 = 1152;

/// Whether rules change the packet's length, so that its length at arrival must be kept.
pub(super) fn growth(rules: &Rules, options: &Options) -> bool {
    use Assignment::{Decap, VlanPop, VlanPush};
    let grows = |action: &Action| matches!(action, Action::Set(VlanPush(_) | VlanPop | Decap));
    let counts = options.counters || rules.rules.iter().any(|rule| matches!(rule.action, Action::Limit(_)));
    counts && rules.rules.iter().any(|rule| grows(&rule.action))
}

impl Emitter<'_> {
    fn egress(&self) -> bool {
        self.options.direction == Direction::Egress
    }

    /// Loads r7 and r8 from the context.
    pub(super) fn locate_packet(&mut self) {
        let (data, end) = if self.egress() { SKB_DATA } else { XDP_DATA };
        self.asm.load(Size::W, 7, 6, data);
        self.asm.load(Size::W, 8, 6, end);
    }

    /// The beginning of the program: context in r1.
    pub(super) fn head(&mut self) {
        self.asm.mov(6, 1);
        self.undo_replies();
        self.locate_packet();
        if self.egress() {
            self.pull();
        }
        if self.maps.have_one_element() {
            self.asm.store_imm(Size::W, 10, stack::ZERO, 0);
        }
        self.hold_sets();
        if self.growth {
            self.length(0);
            self.asm.store(Size::DW, 10, stack::LENGTH, 0);
        }
    }

    /// Makes the headers of a socket buffer lie in its first buffer.
    fn pull(&mut self) {
        let (enough, small) = (self.asm.label(), self.asm.label());
        self.asm.mov(0, 7);
        self.asm.alu64_imm(Alu::Add, 0, FIRST_BUFFER as i32);
        self.asm.jump_reg(If::Le, 0, 8, enough);
        self.asm.load(Size::W, 2, 6, SKB_LEN);
        self.asm.jump_imm(If::Le, 2, FIRST_BUFFER as i32, small);
        self.asm.mov_imm(2, FIRST_BUFFER as i32);
        self.asm.bind(small);
        self.asm.mov(0, 8);
        self.asm.alu64(Alu::Sub, 0, 7);
        self.asm.jump_reg(If::Ge, 0, 2, enough);
        self.asm.mov(1, 6);
        self.asm.call(SKB_PULL_DATA);
        self.locate_packet();
        self.asm.bind(enough);
    }

    /// The packet's length now, in r0; r1 to r5 may be lost.
    pub(super) fn length(&mut self, into: u8) {
        if self.egress() {
            self.asm.load(Size::W, into, 6, SKB_LEN);
            return;
        }
        if !self.options.frags {
            self.asm.mov(into, 8);
            self.asm.alu64(Alu::Sub, into, 7);
            return;
        }
        // Packets of several buffers fill the first one.
        let done = self.asm.label();
        self.asm.mov(0, 8);
        self.asm.alu64(Alu::Sub, 0, 7);
        self.asm.jump_imm(If::Le, 0, FIRST_BUFFER as i32, done);
        self.asm.mov(1, 6);
        self.asm.call(XDP_GET_BUFF_LEN);
        self.asm.bind(done);
        self.asm.mov(into, 0);
    }

    /// Goes to `short` unless the packet has so many bytes (at most [`FIRST_BUFFER`]). r0 is lost.
    pub(super) fn require(&mut self, bytes: u32, short: Label) {
        self.asm.mov(0, 7);
        self.asm.alu64_imm(Alu::Add, 0, bytes as i32);
        self.asm.jump_reg(If::Gt, 0, 8, short);
    }

    /// Copies bytes of the packet, wherever they lie, to [`stack::BYTES`] (or another place): offset in r2, which must be a
    /// number below 2^31. Goes to `short` where they are not there. r0 to r5 are lost.
    pub(super) fn copy(&mut self, to: i16, size: i32, short: Label) {
        self.asm.mov(1, 6);
        self.asm.mov(3, 10);
        self.asm.alu64_imm(Alu::Add, 3, i32::from(to));
        self.asm.mov_imm(4, size);
        self.asm.call(if self.egress() { SKB_LOAD_BYTES } else { XDP_LOAD_BYTES });
        self.asm.jump_imm(If::Ne, 0, 0, short);
    }
}
