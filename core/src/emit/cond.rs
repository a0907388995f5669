//! Conditions: jumps by what a packet holds.

use super::frame::FIRST_BUFFER;
use super::value::Goal;
use super::{Emitter, stack};
use crate::asm::build::{Alu, If, Label, Size};
use crate::cond::{Cond, Load, Member, Operator, Part, Place, Relation, Value, Width};
use crate::plan::{extent, need};

/// `bpf_map_lookup_elem`.
pub(super) const MAP_LOOKUP: i32 = 1;

/// Where a condition leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    /// Where it leads when the condition holds, and how many bytes a match needs on that way (`u32::MAX`: no match).
    pub(super) yes: (Label, u32),
    /// The same for when it does not hold.
    pub(super) no: (Label, u32),
    /// Where a fault leads.
    pub(super) fault: Label,
    /// Whether the code behind is that of `yes`, so that it can be reached without a jump; else that of `no`.
    pub(super) yes_follows: bool,
}

/// How many bytes a packet is known to have, by where a condition leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) yes: u32,
    pub(super) no: u32,
    pub(super) fault: u32,
}

impl Known {
    /// Where the ways of yes, no and fault are never taken.
    const NEVER: u32 = u32::MAX;

    fn all(known: u32) -> Self {
        Known { yes: known, no: known, fault: Self::NEVER }
    }
}

impl Emitter<'_> {
    /// Tests the condition of a packet that is known to have `known` bytes.
    pub(super) fn test(&mut self, cond: &Cond, branch: Branch, known: u32) -> Known {
        match cond {
            Cond::Always(holds) => {
                let (label, follows) =
                    if *holds { (branch.yes.0, branch.yes_follows) } else { (branch.no.0, !branch.yes_follows) };
                if !follows {
                    self.asm.goto(label);
                }
                let never = Known::NEVER;
                let (yes, no) = if *holds { (known, never) } else { (never, known) };
                Known { yes, no, fault: never }
            }
            Cond::Not(inner) => {
                let turned = Branch { yes: branch.no, no: branch.yes, yes_follows: !branch.yes_follows, ..branch };
                let Known { yes, no, fault } = self.test(inner, turned, known);
                Known { yes: no, no: yes, fault }
            }
            Cond::And(left, right) => {
                let second = self.asm.label();
                let needed = need(right, branch.yes.1, branch.no.1);
                let first = Branch { yes: (second, needed), yes_follows: true, ..branch };
                let one = self.test(left, first, known);
                self.asm.bind(second);
                let two = self.test(right, branch, one.yes);
                Known { yes: two.yes, no: one.no.min(two.no), fault: one.fault.min(two.fault) }
            }
            Cond::Or(left, right) => {
                let second = self.asm.label();
                let needed = need(right, branch.yes.1, branch.no.1);
                let first = Branch { no: (second, needed), yes_follows: false, ..branch };
                let one = self.test(left, first, known);
                self.asm.bind(second);
                let two = self.test(right, branch, one.no);
                Known { yes: one.yes.min(two.yes), no: two.no, fault: one.fault.min(two.fault) }
            }
            Cond::Compare(left, relation, right) => {
                let known = self.ensure(extent(left).max(extent(right)), branch, known);
                self.compare(left, *relation, right, branch);
                known
            }
            Cond::In(member) => {
                let extent = member.keys().map(|(at, size)| place_extent(at, size)).max().unwrap_or(0);
                let known = self.ensure(extent, branch, known);
                self.member(member, branch);
                known
            }
            Cond::Chain(chain) => {
                let known = self.ensure(place_extent(&chain.at, 1), branch, known);
                self.chain(chain, branch);
                known
            }
        }
    }

    /// Sees to it that bytes at fixed offsets may be read: `own` and all that a match needs in any case.
    fn ensure(&mut self, own: u32, branch: Branch, known: u32) -> Known {
        let needed = own.max(branch.yes.1.min(branch.no.1));
        let wanted = if needed > FIRST_BUFFER { own } else { needed }.min(FIRST_BUFFER);
        if wanted <= known || known == Known::NEVER {
            return Known { fault: known, ..Known::all(known) };
        }
        self.require(wanted, branch.fault);
        Known { fault: known, ..Known::all(wanted) }
    }

    fn compare(&mut self, left: &Value, relation: Relation, right: &Value, branch: Branch) {
        let goal = Goal { register: 1, aside: 0, fault: branch.fault };
        if let (Relation::Equal, Value::Const(constant)) = (relation, right)
            && let Some((load, mask)) = masked_load(left)
        {
            self.bytes(load, goal);
            let (in_memory, fits) = (swapped(*constant, load.width), fits(*constant, load.width));
            if let Some(mask) = mask {
                self.asm.alu32_imm(Alu::And, 1, swapped(mask, load.width));
            }
            match fits {
                true => self.decide_imm(If::Eq, in_memory, branch),
                false => self.asm.goto(branch.no.0),
            }
            return;
        }
        self.number(left, goal);
        let jump = match relation {
            Relation::Equal => If::Eq,
            Relation::Greater => If::Gt,
            Relation::GreaterEqual => If::Ge,
        };
        match right {
            Value::Const(constant) => self.decide_imm(jump, *constant, branch),
            _ => {
                self.number(right, Goal { register: 2, ..goal });
                match branch.yes_follows {
                    true => self.asm.jump32_reg(opposite(jump), 1, 2, branch.no.0),
                    false => self.asm.jump32_reg(jump, 1, 2, branch.yes.0),
                }
            }
        }
    }

    /// Jumps by comparing r1 with a constant; on to the code behind where that is meant.
    fn decide_imm(&mut self, jump: If, constant: u32, branch: Branch) {
        match branch.yes_follows {
            true => self.asm.jump32_imm(opposite(jump), 1, constant, branch.no.0),
            false => self.asm.jump32_imm(jump, 1, constant, branch.yes.0),
        }
    }

    /// Looks the key up in its set.
    fn member(&mut self, member: &Member, branch: Branch) {
        let part = member.part;
        if let Some(geometry) = self.maps.tables.get(&(member.set, part)) {
            match part {
                Part::V4 => self.v4_table(member, *geometry, branch),
                _ => self.v6_table(member, branch),
            }
            return;
        }
        let key = stack::KEY + if matches!(part, Part::V4 | Part::V6) { 4 } else { 0 };
        self.key(member, key, branch.fault);
        if part == Part::Port {
            self.port(member, key, branch);
            return;
        }
        match part {
            Part::V4 => self.asm.store_imm(Size::W, 10, stack::KEY, 32),
            Part::V6 => self.asm.store_imm(Size::W, 10, stack::KEY, 128),
            Part::Port | Part::Mac | Part::Tuple(_) => {}
        }
        self.set_in_r1(member, branch.no.0);
        self.lookup_in_r1(stack::KEY);
        match branch.yes_follows {
            true => self.asm.jump_imm(If::Eq, 0, 0, branch.no.0),
            false => self.asm.jump_imm(If::Ne, 0, 0, branch.yes.0),
        }
    }

    /// Copies a key to the stack, whose place there is a multiple of 4; one of a tuple as [`Layout::key_size`] says.
    ///
    /// [`Layout::key_size`]: crate::cond::Layout::key_size
    pub(super) fn key(&mut self, member: &Member, to: i16, fault: Label) {
        let mut end = to;
        for (at, size) in member.keys() {
            let mut done = 0;
            while done < size {
                let width = match size - done {
                    1 => Width::One,
                    4.. if end % 4 == 0 => Width::Four,
                    _ => Width::Two,
                };
                let place = Place { offset: at.offset.saturating_add(done), ..at.clone() };
                self.bytes(&Load { at: place, width }, Goal { register: 1, aside: 0, fault });
                // A single byte is stored with the zero that follows it.
                let room = if width == Width::One { Size::H } else { width.size() };
                self.asm.store(room, 10, end, 1);
                done += width as u32;
                end += (width as i16).max(2);
            }
        }
        if matches!(member.part, Part::Tuple(_)) && end % 4 != 0 {
            self.asm.store_imm(Size::H, 10, end, 0);
        }
    }

    /// Tests a bit of the set of ports.
    fn port(&mut self, member: &Member, key: i16, branch: Branch) {
        self.set_in_r1(member, branch.no.0);
        self.lookup_in_r1(stack::ZERO);
        self.asm.jump_imm(If::Eq, 0, 0, branch.no.0);
        self.asm.load(Size::H, 1, 10, key);
        self.asm.swap(1, 16);
        self.asm.mov(2, 1);
        self.asm.alu64_imm(Alu::Rsh, 2, 3);
        self.asm.alu64(Alu::Add, 0, 2);
        self.asm.load(Size::B, 2, 0, 0);
        self.asm.alu32_imm(Alu::And, 1, 7);
        self.asm.alu32(Alu::Rsh, 2, 1);
        match branch.yes_follows {
            true => {
                self.asm.alu32_imm(Alu::And, 2, 1);
                self.asm.jump32_imm(If::Eq, 2, 0, branch.no.0);
            }
            false => self.asm.jump32_imm(If::Set, 2, 1, branch.yes.0),
        }
    }

    /// r0 = the value of the key on the stack, or null.
    pub(super) fn lookup(&mut self, map: crate::object::MapId, key: i16) {
        self.asm.load_map(1, map);
        self.lookup_in_r1(key);
    }

    /// The same for the map that r1 points to.
    pub(super) fn lookup_in_r1(&mut self, key: i16) {
        self.asm.mov(2, 10);
        self.asm.alu64_imm(Alu::Add, 2, i32::from(key));
        self.asm.call(MAP_LOOKUP);
    }
}

fn place_extent(at: &Place, size: u32) -> u32 {
    at.base.as_deref().map_or(at.offset.saturating_add(size), extent)
}

/// A load, or one with a mask.
pub(super) fn masked_load(value: &Value) -> Option<(&Load, Option<u32>)> {
    match value {
        Value::Load(load) => Some((load, None)),
        Value::Arithmetic(left, Operator::And, right) => match (&**left, &**right) {
            (Value::Load(load), Value::Const(mask)) => Some((load, Some(*mask))),
            _ => None,
        },
        _ => None,
    }
}

/// A number as a load of this width finds it in memory, in network byte order.
pub(super) fn swapped(number: u32, width: Width) -> u32 {
    match width {
        Width::One => number & 0xff,
        Width::Two => u32::from((number as u16).swap_bytes()),
        Width::Four => number.swap_bytes(),
    }
}

/// Whether a load of this width can give the number.
pub(super) fn fits(number: u32, width: Width) -> bool {
    match width {
        Width::One => number <= 0xff,
        Width::Two => number <= 0xffff,
        Width::Four => true,
    }
}

fn opposite(jump: If) -> If {
    match jump {
        If::Eq => If::Ne,
        If::Gt => If::Le,
        If::Ge => If::Lt,
        If::Ne => If::Eq,
        If::Le => If::Gt,
        If::Lt => If::Ge,
        other => other,
    }
}
