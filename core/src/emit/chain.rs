//! Chains of headers (`ip protochain`, `ip6 protochain`): a loop of the kernel's (`bpf_loop`, Linux 5.17), whose steps
//! load bytes by a helper. [`crate::eval::cond`] says what they mean.

use super::cond::Branch;
use super::frame::FIRST_BUFFER;
use super::value::Goal;
use super::{Direction, Emitter, Options, stack};
use crate::asm::build::{Alu, Asm, If, Size};
use crate::cond::{Chain, Cond, Load, Operator, Place, Value, Width};
use crate::object::FunctionId;

const LOOP: i32 = 181;
/// In the walk's last argument, beside the protocol: the header is IPv6's.
const V6: i32 = 1 << 8;
/// Where the walk has its state on the stack.
const STATE: i16 = -32;
/// Offsets in the state that steps share.
mod state {
    pub(super) const CONTEXT: i16 = 0;
    pub(super) const OFFSET: i16 = 8;
    pub(super) const PROTOCOL: i16 = 12;
    pub(super) const WANTED: i16 = 16;
    pub(super) const ANSWER: i16 = 20;
    pub(super) const V6: i16 = 24;
    pub(super) const START: i16 = 28;
}

/// Answers of the walk.
mod answer {
    pub(super) const NO: i32 = 0;
    pub(super) const YES: i32 = 1;
    pub(super) const FAULT: i32 = 2;
}

/// Whether there is a chain in the condition.
pub(super) fn occurs(cond: &Cond) -> bool {
    match cond {
        Cond::Chain(_) => true,
        Cond::Not(inner) => occurs(inner),
        Cond::And(left, right) | Cond::Or(left, right) => occurs(left) || occurs(right),
        Cond::Always(_) | Cond::Compare(..) | Cond::In(_) => false,
    }
}

impl Emitter<'_> {
    pub(super) fn chain(&mut self, chain: &Chain, branch: Branch) {
        let Some(walk) = self.functions.chain else { return };
        let at = |offset: u32| Place { offset: chain.at.offset.saturating_add(offset), ..chain.at.clone() };
        let byte = |offset: u32| Value::Load(Load { at: at(offset), width: Width::One });
        let base = chain.at.base.as_deref().cloned().unwrap_or(Value::Const(0));
        let start = base.with(Operator::Add, Value::Const(chain.at.offset));
        let (protocol, first) = match chain.v6 {
            true => (byte(6), start.clone().with(Operator::Add, Value::Const(40))),
            false => {
                let length = byte(0).with(Operator::And, Value::Const(0xf)).with(Operator::Multiply, Value::Const(4));
                (byte(9), length.with(Operator::Add, start.clone()))
            }
        };
        let goal = Goal { register: 1, aside: 0, fault: branch.fault };
        let has = if chain.v6 { 7 } else { 10 };
        let end = chain.at.offset.saturating_add(has);
        if chain.at.base.is_none() && end <= FIRST_BUFFER {
            self.require(end, branch.fault);
        }
        for (value, place) in [(&protocol, state::PROTOCOL), (&first, state::OFFSET), (&start, state::START)] {
            self.number(value, goal);
            self.asm.store(Size::W, 10, stack::CHAIN + place, 1);
        }
        for (register, place) in [(2, state::START), (3, state::OFFSET), (4, state::PROTOCOL)] {
            self.asm.load(Size::W, register, 10, stack::CHAIN + place);
        }
        self.asm.mov(1, 6);
        self.asm.mov_imm(5, i32::from(chain.protocol) | if chain.v6 { V6 } else { 0 });
        self.asm.call_function(walk);
        self.asm.jump_imm(If::Eq, 0, answer::FAULT, branch.fault);
        match branch.yes_follows {
            true => self.asm.jump_imm(If::Ne, 0, answer::YES, branch.no.0),
            false => self.asm.jump_imm(If::Eq, 0, answer::YES, branch.yes.0),
        }
    }
}

/// The walk: `int walk(context, u32 start, u32 first, u32 protocol, u32 wanted)`, an answer. It is a global function: the
/// verifier looks at it once, not at each call.
pub(super) fn walk(step: FunctionId) -> Asm {
    let mut asm = Asm::default();
    let at = |place: i16| STATE + place;
    asm.store(Size::DW, 10, at(state::CONTEXT), 1);
    for (register, place) in [(2, state::START), (3, state::OFFSET), (4, state::PROTOCOL)] {
        asm.store(Size::W, 10, at(place), register);
    }
    asm.mov(1, 5);
    asm.alu64_imm(Alu::And, 1, 0xff);
    asm.store(Size::W, 10, at(state::WANTED), 1);
    asm.alu64_imm(Alu::And, 5, V6);
    asm.store(Size::W, 10, at(state::V6), 5);
    asm.store_imm(Size::W, 10, at(state::ANSWER), answer::NO);
    asm.mov_imm(1, Chain::HEADERS as i32);
    asm.load_function(2, step);
    asm.mov(3, 10);
    asm.alu64_imm(Alu::Add, 3, i32::from(STATE));
    asm.mov_imm(4, 0);
    asm.call(LOOP);
    asm.load(Size::W, 0, 10, at(state::ANSWER));
    asm.exit();
    asm
}

/// One step: `static int step(u32 index, struct state *)`; 1 ends the loop.
pub(super) fn step(options: &Options) -> Asm {
    let mut asm = Asm::default();
    let load_bytes = match options.direction {
        Direction::Ingress => 189,
        Direction::Egress => 26,
    };
    let (found, end, fault, authentication, on) = (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
    let walk = asm.label();
    asm.mov(6, 2);
    asm.load(Size::W, 7, 6, state::PROTOCOL);
    asm.load(Size::W, 1, 6, state::WANTED);
    asm.jump_reg(If::Eq, 7, 1, found);
    asm.jump_imm(If::Eq, 7, 51, walk);
    asm.load(Size::W, 1, 6, state::V6);
    asm.jump_imm(If::Eq, 1, 0, end);
    for kind in [0, 43, 44, 60] {
        asm.jump_imm(If::Eq, 7, kind, walk);
    }
    asm.goto(end);
    asm.bind(walk);
    asm.load(Size::DW, 1, 6, state::CONTEXT);
    asm.load(Size::W, 2, 6, state::OFFSET);
    asm.mov(3, 10);
    asm.alu64_imm(Alu::Add, 3, -8);
    asm.mov_imm(4, 2);
    asm.call(load_bytes);
    asm.jump_imm(If::Ne, 0, 0, fault);
    asm.load(Size::B, 1, 10, -8);
    asm.store(Size::W, 6, state::PROTOCOL, 1);
    asm.load(Size::B, 1, 10, -7);
    asm.jump_imm(If::Eq, 7, 51, authentication);
    asm.alu64_imm(Alu::Add, 1, 1);
    asm.alu64_imm(Alu::Lsh, 1, 3);
    asm.load(Size::W, 2, 6, state::OFFSET);
    asm.goto(on);
    asm.bind(authentication);
    // From the first header on, wherever this one is.
    asm.alu64_imm(Alu::Add, 1, 2);
    asm.alu64_imm(Alu::Lsh, 1, 2);
    asm.load(Size::W, 2, 6, state::START);
    asm.bind(on);
    asm.alu64(Alu::Add, 2, 1);
    asm.store(Size::W, 6, state::OFFSET, 2);
    asm.mov_imm(0, 0);
    asm.exit();
    asm.bind(found);
    asm.store_imm(Size::W, 6, state::ANSWER, answer::YES);
    asm.goto(end);
    asm.bind(fault);
    asm.store_imm(Size::W, 6, state::ANSWER, answer::FAULT);
    asm.bind(end);
    asm.mov_imm(0, 1);
    asm.exit();
    asm
}
