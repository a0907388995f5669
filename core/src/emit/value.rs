//! Numbers: arithmetic and loads.

use super::frame::FIRST_BUFFER;
use super::{Emitter, stack};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::cond::{Load, Operator, Place, Value, Width};

/// The last register that expressions use.
const LAST: Reg = 5;
/// Registers r1 up to here hold numbers that are needed later, when a number is computed into the next one.
const FIRST: Reg = 1;
/// Gets the end of what is read: it is free before a match.
const END: Reg = 9;
/// Packets are shorter than this.
const LONGEST: u32 = 1 << 20;

/// A number that is being computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// The register that gets it; r0 and all above are free, those from r1 up to it are not.
    pub(super) register: Reg,
    /// How many numbers are put aside on the stack.
    pub(super) aside: i16,
    /// Where a fault leads.
    pub(super) fault: Label,
}

impl Width {
    /// The size of the access.
    pub(super) fn size(self) -> Size {
        match self {
            Width::One => Size::B,
            Width::Two => Size::H,
            Width::Four => Size::W,
        }
    }
}

impl Emitter<'_> {
    /// Computes a number. The packet must have all bytes that it asks for at fixed offsets below [`FIRST_BUFFER`].
    pub(super) fn number(&mut self, value: &Value, goal: Goal) {
        match value {
            Value::Const(constant) => self.asm.mov32_imm(goal.register, *constant),
            Value::Length => self.keeping(goal, |emitter| emitter.length(0)),
            Value::Returned(part) => self.keeping(goal, |emitter| emitter.returned_part(*part, goal.fault)),
            Value::Ifindex => self.asm.load(Size::W, goal.register, 6, self.ifindex()),
            Value::Load(load) => {
                self.bytes(load, goal);
                match load.width {
                    Width::One => {}
                    Width::Two => self.asm.swap(goal.register, 16),
                    Width::Four => self.asm.swap(goal.register, 32),
                }
            }
            Value::Negative(inner) => {
                self.number(inner, goal);
                self.asm.alu32_imm(Alu::Neg, goal.register, 0);
            }
            Value::Arithmetic(left, operator, right) => {
                self.number(left, goal);
                match **right {
                    Value::Const(constant) => self.compute_constant(*operator, constant, goal),
                    _ => self.compute_number(*operator, right, goal),
                }
            }
        }
    }

    /// Where in the context the index of the interface is.
    pub(super) fn ifindex(&self) -> i16 {
        const XDP_INGRESS_IFINDEX: i16 = 12;
        const SKB_IFINDEX: i16 = 40;
        match self.options.direction {
            super::Direction::Ingress => XDP_INGRESS_IFINDEX,
            super::Direction::Egress => SKB_IFINDEX,
        }
    }

    /// Where the stack has room for a number that is put aside: as near as can be, since functions share the stack's size.
    fn spill(&self, aside: i16) -> i16 {
        let first = if self.maps.held.is_empty() { stack::SPILL_NEAR } else { stack::SPILL };
        first - 8 * aside
    }

    fn compute_constant(&mut self, operator: Operator, constant: u32, goal: Goal) {
        let into = goal.register;
        match (operator, constant) {
            (Operator::Divide | Operator::Modulo, 0) => self.asm.goto(goal.fault),
            (Operator::ShiftLeft | Operator::ShiftRight, 32..) => self.asm.mov32_imm(into, 0),
            _ => self.asm.alu32_imm(alu(operator), into, constant),
        }
    }

    fn compute_number(&mut self, operator: Operator, right: &Value, goal: Goal) {
        if goal.register < LAST {
            let other = goal.register + 1;
            self.number(right, Goal { register: other, ..goal });
            self.compute(operator, goal.register, other, goal.fault);
            return;
        }
        let slot = self.spill(goal.aside);
        self.asm.store(Size::DW, 10, slot, LAST);
        self.number(right, Goal { aside: goal.aside + 1, ..goal });
        self.asm.mov(0, LAST);
        self.asm.load(Size::DW, LAST, 10, slot);
        self.compute(operator, LAST, 0, goal.fault);
    }

    fn compute(&mut self, operator: Operator, into: Reg, by: Reg, fault: Label) {
        let (zero, done) = (self.asm.label(), self.asm.label());
        match operator {
            Operator::Divide | Operator::Modulo => self.asm.jump32_imm(If::Eq, by, 0, fault),
            Operator::ShiftLeft | Operator::ShiftRight => self.asm.jump32_imm(If::Gt, by, 31, zero),
            _ => {}
        }
        self.asm.alu32(alu(operator), into, by);
        if matches!(operator, Operator::ShiftLeft | Operator::ShiftRight) {
            self.asm.goto(done);
            self.asm.bind(zero);
            self.asm.mov32_imm(into, 0);
            self.asm.bind(done);
        }
    }

    /// Loads bytes as they are in memory.
    pub(super) fn bytes(&mut self, load: &Load, goal: Goal) {
        let (size, width) = (load.width.size(), load.width as u32);
        match &load.at.base {
            None if load.at.offset.saturating_add(width) <= FIRST_BUFFER => {
                self.asm.load(size, goal.register, 7, load.at.offset as i16);
            }
            None if load.at.offset >= LONGEST => self.asm.goto(goal.fault),
            None => self.far(|emitter| emitter.asm.mov32_imm(2, load.at.offset), width, goal),
            Some(base) => {
                self.number(base, goal);
                self.variable(&load.at, width, goal);
            }
        }
    }

    /// Loads bytes behind a base that lies in the goal's register.
    fn variable(&mut self, at: &Place, width: u32, goal: Goal) {
        let into = goal.register;
        let most = at.base.as_deref().map_or(0, Value::most).saturating_add(at.offset).saturating_add(width);
        if at.offset >= LONGEST {
            self.asm.goto(goal.fault);
            return;
        }
        if most <= FIRST_BUFFER {
            self.at_base(at.offset, width, into, goal.fault);
            self.asm.load(size(width), into, 0, at.offset as i16);
            return;
        }
        // The verifier does not see by itself that the result of every 32-bit operation has a clear upper half.
        self.asm.alu32(Alu::Mov, into, into);
        let (far, done) = (self.asm.label(), self.asm.label());
        if at.offset.saturating_add(width) <= FIRST_BUFFER {
            self.asm.jump32_imm(If::Gt, into, FIRST_BUFFER, far);
            self.at_base(at.offset, width, into, far);
            self.asm.load(size(width), into, 0, at.offset as i16);
            self.asm.goto(done);
        }
        self.asm.bind(far);
        self.asm.jump32_imm(If::Gt, into, LONGEST, goal.fault);
        let offset = at.offset;
        self.far(
            |emitter| {
                emitter.asm.mov(2, into);
                emitter.asm.alu64_imm(Alu::Add, 2, offset as i32);
            },
            width,
            goal,
        );
        self.asm.bind(done);
    }

    /// r0 = packet + base, with `offset + width` bytes there that may be read; else goes to `short`.
    fn at_base(&mut self, offset: u32, width: u32, base: Reg, short: Label) {
        self.asm.mov(0, 7);
        self.asm.alu64(Alu::Add, 0, base);
        // The base is not needed any more where the bytes are there; where they are not, `short` needs it.
        let end = END;
        self.asm.mov(end, 0);
        self.asm.alu64_imm(Alu::Add, end, (offset + width) as i32);
        self.asm.jump_reg(If::Gt, end, 8, short);
    }

    /// Loads bytes by a helper, from any buffer. `offset` puts the offset into r2.
    fn far(&mut self, offset: impl FnOnce(&mut Self), width: u32, goal: Goal) {
        let into = goal.register;
        let live = FIRST..into;
        // r2 may be live: it is saved before the offset is put there.
        for (at, register) in live.clone().enumerate() {
            let slot = self.spill(goal.aside + at as i16);
            self.asm.store(Size::DW, 10, slot, register);
        }
        offset(self);
        self.copy(stack::BYTES, width as i32, goal.fault);
        for (at, register) in live.enumerate() {
            let slot = self.spill(goal.aside + at as i16);
            self.asm.load(Size::DW, register, 10, slot);
        }
        self.asm.load(size(width), into, 10, stack::BYTES);
    }

    /// Runs code that leaves a number in r0 and loses r1 to r5, without losing those that are needed.
    fn keeping(&mut self, goal: Goal, code: impl FnOnce(&mut Self)) {
        let live = FIRST..goal.register;
        for (at, register) in live.clone().enumerate() {
            let slot = self.spill(goal.aside + at as i16);
            self.asm.store(Size::DW, 10, slot, register);
        }
        code(self);
        for (at, register) in live.enumerate() {
            let slot = self.spill(goal.aside + at as i16);
            self.asm.load(Size::DW, register, 10, slot);
        }
        self.asm.mov(goal.register, 0);
    }
}

fn size(width: u32) -> Size {
    match width {
        1 => Size::B,
        2 => Size::H,
        _ => Size::W,
    }
}

fn alu(operator: Operator) -> Alu {
    match operator {
        Operator::Add => Alu::Add,
        Operator::Subtract => Alu::Sub,
        Operator::Multiply => Alu::Mul,
        Operator::Divide => Alu::Div,
        Operator::Modulo => Alu::Mod,
        Operator::And => Alu::And,
        Operator::Or => Alu::Or,
        Operator::Xor => Alu::Xor,
        Operator::ShiftLeft => Alu::Lsh,
        Operator::ShiftRight => Alu::Rsh,
    }
}
