//! What rules do: sampling, verdicts.

use super::frame::growth;
use super::node::Places;
use super::{Direction, Emitter, stack};
use crate::asm::build::{Alu, If, Size};
use crate::policy::{Action, Verdict};

/// `enum xdp_action`.
mod xdp {
    pub(super) const ABORTED: i32 = 0;
    pub(super) const DROP: i32 = 1;
    pub(super) const PASS: i32 = 2;
    pub(super) const TX: i32 = 3;
}

/// `TC_ACT_*`: on with the next program, drop.
mod tc {
    pub(super) const NEXT: i32 = -1;
    pub(super) const SHOT: i32 = 2;
}

const REDIRECT: i32 = 23;
const PERF_EVENT_OUTPUT: i32 = 25;
const REDIRECT_MAP: i32 = 51;
/// `BPF_F_INGRESS`: into the stack rather than out.
const F_INGRESS: i32 = 1;
const SKB_IFINDEX: i16 = 40;
/// `BPF_F_CURRENT_CPU`.
const F_CURRENT_CPU: u64 = 0xffff_ffff;

impl Emitter<'_> {
    /// Whether the length at arrival lies on the stack.
    fn kept_length(&self) -> bool {
        growth(self.rules, self.options)
    }

    /// What a rule does that does not decide. r0 to r5 and r9 are lost.
    pub(super) fn act(&mut self, rule: usize, places: &mut Places) {
        let rules = self.rules;
        match &rules.rules[rule].action {
            Action::Verdict(_) | Action::Count(_) => {}
            Action::Sample { one_in, snap } => self.sample(rule, *one_in, *snap),
            Action::Limit(limit) => self.limit(rule, limit, places.excess),
            Action::Set(assignment) => self.assign(assignment, places.failed),
        }
    }

    /// The packet's length at arrival in `into`; r0 to r5 are lost.
    pub(super) fn length_at_arrival(&mut self, into: u8) {
        if self.kept_length() {
            self.asm.load(Size::DW, into, 10, stack::LENGTH);
        } else {
            self.length(into);
        }
    }

    /// Gives the verdict.
    pub(super) fn give(&mut self, verdict: &Verdict) {
        match (self.options.direction, verdict) {
            (_, Verdict::Redirect(target)) => return self.redirect(target),
            (_, Verdict::Route(pool)) => return self.route(pool),
            (_, Verdict::Reflect) => {
                self.reflect();
                return self.give(&Verdict::Tx);
            }
            (Direction::Ingress, Verdict::Abort) => self.asm.mov_imm(0, xdp::ABORTED),
            (Direction::Ingress, Verdict::Drop) => self.asm.mov_imm(0, xdp::DROP),
            (Direction::Ingress, Verdict::Pass) => self.asm.mov_imm(0, xdp::PASS),
            (Direction::Ingress, Verdict::Tx) => self.asm.mov_imm(0, xdp::TX),
            (Direction::Egress, Verdict::Pass) => self.asm.mov_imm(0, tc::NEXT),
            (Direction::Egress, Verdict::Abort | Verdict::Drop) => self.asm.mov_imm(0, tc::SHOT),
            (Direction::Egress, Verdict::Tx) => {
                // Back to who sent it: this host.
                self.asm.load(Size::W, 1, 6, SKB_IFINDEX);
                self.asm.mov_imm(2, F_INGRESS);
                self.asm.call(REDIRECT);
            }
        }
        self.asm.exit();
    }

    /// Where the interface is not known (yet), the packet is aborted.
    fn redirect(&mut self, target: &str) {
        let index = self.rules.targets().iter().position(|known| *known == target).unwrap_or_default() as i32;
        let Some(map) = self.maps.targets else { return };
        if self.options.direction == Direction::Ingress {
            self.asm.load_map(1, map);
            self.asm.mov_imm(2, index);
            self.asm.mov_imm(3, xdp::ABORTED);
            self.asm.call(REDIRECT_MAP);
            self.asm.exit();
            return;
        }
        let unknown = self.asm.label();
        self.asm.store_imm(Size::W, 10, stack::RULE, index);
        self.lookup(map, stack::RULE);
        self.asm.jump_imm(If::Eq, 0, 0, unknown);
        self.asm.load(Size::W, 1, 0, 0);
        self.asm.jump_imm(If::Eq, 1, 0, unknown);
        self.asm.mov_imm(2, 0);
        self.asm.call(REDIRECT);
        self.asm.exit();
        self.asm.bind(unknown);
        self.asm.mov_imm(0, tc::SHOT);
        self.asm.exit();
    }

    fn sample(&mut self, rule: usize, one_in: u32, snap: Option<u32>) {
        let (Some(events), Some(counts)) = (self.maps.samples, self.maps.sampled) else { return };
        let Some(number) = self.maps.sample_numbers.get(&rule) else { return };
        let (skip, whole) = (self.asm.label(), self.asm.label());
        self.asm.store_imm(Size::W, 10, stack::RULE, *number as i32);
        self.lookup(counts, stack::RULE);
        self.asm.jump_imm(If::Eq, 0, 0, skip);
        self.asm.load(Size::DW, 1, 0, 0);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::Add, 2, 1);
        self.asm.store(Size::DW, 0, 0, 2);
        if one_in > 1 {
            self.asm.mov32_imm(2, one_in);
            self.asm.alu64(Alu::Mod, 1, 2);
            self.asm.jump_imm(If::Ne, 1, 0, skip);
        }
        self.length(9);
        let head = stack::KEY;
        self.asm.store_imm(Size::W, 10, head, rule as i32);
        self.asm.store(Size::W, 10, head + 4, 9);
        if let Some(snap) = snap {
            self.asm.mov32_imm(1, snap);
            self.asm.jump_reg(If::Le, 9, 1, whole);
            self.asm.mov(9, 1);
            self.asm.bind(whole);
        }
        self.asm.store(Size::W, 10, head + 8, 9);
        self.asm.store_imm(Size::W, 10, head + 12, 0);
        // The upper half of the flags says how much of the packet follows.
        self.asm.mov64_wide(3, F_CURRENT_CPU);
        self.asm.alu64_imm(Alu::Lsh, 9, 32);
        self.asm.alu64(Alu::Or, 3, 9);
        self.asm.mov(1, 6);
        self.asm.load_map(2, events);
        self.asm.mov(4, 10);
        self.asm.alu64_imm(Alu::Add, 4, i32::from(head));
        self.asm.mov_imm(5, 16);
        self.asm.call(PERF_EVENT_OUTPUT);
        self.asm.bind(skip);
    }
}
