//! Writing instructions with symbolic labels, which are resolved once, at the end.

use super::{Insn, call, op};
use crate::error::{Error, Result};
use crate::object::{DataId, FunctionId, MapId, Reference, Target};

/// A register, r0 to r10.
pub type Reg = u8;

/// A place in the code that jumps name before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(usize);

/// Sizes of memory accesses (`BPF_SIZE` of an opcode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 9669's own names")]
pub enum Size {
    W = 0x00,
    H = 0x08,
    B = 0x10,
    DW = 0x18,
}

/// Arithmetic (`BPF_OP` of an ALU opcode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 9669's own names")]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Neg = 0x80,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
}

/// Conditions of jumps (`BPF_OP` of a JMP opcode), unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 9669's own names")]
pub enum If {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Ne = 0x50,
    Lt = 0xa0,
    Le = 0xb0,
    Set = 0x40,
    /// Signed less than.
    SLt = 0xc0,
}

const IMMEDIATE: u8 = 0x00;
const REGISTER: u8 = 0x08;
const LDX_MEM: u8 = 0x61;
const ST_MEM: u8 = 0x62;
const STX_MEM: u8 = 0x63;
const STX_ATOMIC_DW: u8 = 0xdb;
const ALU64: u8 = 0x07;
const ALU32: u8 = 0x04;
const JMP64: u8 = 0x05;
const JMP32: u8 = 0x06;
const JA: u8 = 0x05;
/// `goto` with a 32-bit offset (Linux 6.6).
const JA_LONG: u8 = 0x06;
const SWAP_TO_BE: u8 = 0xdc;
/// Jumps up to here are short: half of what 16 bits can say, since the kernel puts more instructions between.
const SHORT: u64 = 1 << 14;
/// `BPF_PSEUDO_FUNC`: the address of a function, for callbacks.
const PSEUDO_FUNC: u8 = 4;
const CMPXCHG: i32 = 0xf1;

/// Instructions in the making.
#[derive(Debug, Default)]
pub struct Asm {
    code: Vec<Insn>,
    /// What instructions refer to, ascending.
    references: Vec<Reference>,
    /// Jumps by instruction, and where they go.
    jumps: Vec<(usize, Label)>,
    /// Where each label is, once it is bound.
    labels: Vec<Option<usize>>,
    /// Where the code of a source line begins: instruction and the line's index, as [`Asm::line`] was told.
    lines: Vec<(usize, usize)>,
}

/// Finished instructions.
#[derive(Debug, Default, PartialEq)]
pub struct Code {
    /// The instructions.
    pub code: Vec<Insn>,
    /// What they refer to, ascending.
    pub references: Vec<Reference>,
    /// Instruction and index of the source line that begins there, ascending.
    pub lines: Vec<(usize, usize)>,
}

impl Asm {
    /// A label that is bound later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The next instruction is where `label` is. A jump there that stands just before goes.
    pub fn bind(&mut self, label: Label) {
        let end = self.code.len();
        let jumps_here = self.jumps.last() == Some(&(end.wrapping_sub(1), label));
        if jumps_here && self.code.last().is_some_and(|insn| insn.opcode == JA) {
            self.code.pop();
            self.jumps.pop();
            self.labels.iter_mut().flatten().filter(|at| **at == end).for_each(|at| *at -= 1);
            self.lines.iter_mut().filter(|(at, _)| *at == end).for_each(|(at, _)| *at -= 1);
        }
        self.labels[label.0] = Some(self.code.len());
    }

    /// The next instruction begins source line `index`.
    pub fn line(&mut self, index: usize) {
        match self.lines.last_mut() {
            Some((at, last)) if *at == self.code.len() => *last = index,
            _ => self.lines.push((self.code.len(), index)),
        }
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    fn push(&mut self, opcode: u8, dst: Reg, src: Reg, off: i16, imm: i32) {
        self.code.push(Insn::new(opcode, dst, src, off, imm));
    }

    /// `dst = src`, 64 bits.
    pub fn mov(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.alu64(Alu::Mov, dst, src);
        }
    }

    /// `dst = imm`, sign-extended to 64 bits.
    pub fn mov_imm(&mut self, dst: Reg, imm: i32) {
        self.alu64_imm(Alu::Mov, dst, imm);
    }

    /// `dst = imm`, upper half cleared.
    pub fn mov32_imm(&mut self, dst: Reg, imm: u32) {
        self.alu32_imm(Alu::Mov, dst, imm);
    }

    /// `dst = imm`, all 64 bits.
    pub fn mov64_wide(&mut self, dst: Reg, imm: u64) {
        self.push(op::LD_IMM64, dst, 0, 0, imm as i32);
        self.push(0, 0, 0, 0, (imm >> 32) as i32);
    }

    /// `dst op= src`, 64 bits.
    pub fn alu64(&mut self, alu: Alu, dst: Reg, src: Reg) {
        self.push(ALU64 | REGISTER | alu as u8, dst, src, 0, 0);
    }

    /// `dst op= imm`, 64 bits.
    pub fn alu64_imm(&mut self, alu: Alu, dst: Reg, imm: i32) {
        self.push(ALU64 | IMMEDIATE | alu as u8, dst, 0, 0, imm);
    }

    /// `dst op= src`, 32 bits, upper half cleared.
    pub fn alu32(&mut self, alu: Alu, dst: Reg, src: Reg) {
        self.push(ALU32 | REGISTER | alu as u8, dst, src, 0, 0);
    }

    /// `dst op= imm`, 32 bits, upper half cleared.
    pub fn alu32_imm(&mut self, alu: Alu, dst: Reg, imm: u32) {
        self.push(ALU32 | IMMEDIATE | alu as u8, dst, 0, 0, imm as i32);
    }

    /// Between host and network byte order, the lower `bits` (16, 32, 64) of `dst`; the rest is cleared.
    pub fn swap(&mut self, dst: Reg, bits: i32) {
        self.push(SWAP_TO_BE, dst, 0, 0, bits);
    }

    /// `dst = *(size *)(src + off)`.
    pub fn load(&mut self, size: Size, dst: Reg, src: Reg, off: i16) {
        self.push(LDX_MEM | size as u8, dst, src, off, 0);
    }

    /// `*(size *)(dst + off) = src`.
    pub fn store(&mut self, size: Size, dst: Reg, off: i16, src: Reg) {
        self.push(STX_MEM | size as u8, dst, src, off, 0);
    }

    /// `*(size *)(dst + off) = imm`.
    pub fn store_imm(&mut self, size: Size, dst: Reg, off: i16, imm: i32) {
        self.push(ST_MEM | size as u8, dst, 0, off, imm);
    }

    /// Compares `*(u64 *)(dst + off)` with r0 and stores `src` there if they are equal; r0 becomes what was there.
    pub fn compare_exchange(&mut self, dst: Reg, off: i16, src: Reg) {
        self.push(STX_ATOMIC_DW, dst, src, off, CMPXCHG);
    }

    /// Jumps if `dst cond imm`, 64 bits.
    pub fn jump_imm(&mut self, cond: If, dst: Reg, imm: i32, to: Label) {
        self.jump(JMP64 | IMMEDIATE | cond as u8, dst, 0, imm, to);
    }

    /// Jumps if `dst cond src`, 64 bits.
    pub fn jump_reg(&mut self, cond: If, dst: Reg, src: Reg, to: Label) {
        self.jump(JMP64 | REGISTER | cond as u8, dst, src, 0, to);
    }

    /// Jumps if the lower halves fulfil `dst cond imm`.
    pub fn jump32_imm(&mut self, cond: If, dst: Reg, imm: u32, to: Label) {
        self.jump(JMP32 | IMMEDIATE | cond as u8, dst, 0, imm as i32, to);
    }

    /// Jumps if the lower halves fulfil `dst cond src`.
    pub fn jump32_reg(&mut self, cond: If, dst: Reg, src: Reg, to: Label) {
        self.jump(JMP32 | REGISTER | cond as u8, dst, src, 0, to);
    }

    /// Jumps.
    pub fn goto(&mut self, to: Label) {
        self.jump(JA, 0, 0, 0, to);
    }

    fn jump(&mut self, opcode: u8, dst: Reg, src: Reg, imm: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(opcode, dst, src, 0, imm);
    }

    /// Calls a helper by number: arguments in r1 to r5, which are lost; result in r0.
    pub fn call(&mut self, helper: i32) {
        self.push(op::CALL, 0, call::HELPER, 0, helper);
    }

    /// Calls a function of the object.
    pub fn call_function(&mut self, function: FunctionId) {
        self.refer(Target::Function(function));
        self.push(op::CALL, 0, call::FUNCTION, 0, -1);
    }

    /// `dst = &map`.
    pub fn load_map(&mut self, dst: Reg, map: MapId) {
        self.refer(Target::Map(map));
        self.mov64_wide(dst, 0);
    }

    /// `dst = &data[offset]`.
    pub fn load_data(&mut self, dst: Reg, data: DataId, offset: u32) {
        self.refer(Target::Data(data, offset));
        self.mov64_wide(dst, 0);
    }

    /// `dst = &function`, for a callback.
    pub fn load_function(&mut self, dst: Reg, function: FunctionId) {
        self.refer(Target::Function(function));
        self.push(op::LD_IMM64, dst, PSEUDO_FUNC, 0, 0);
        self.push(0, 0, 0, 0, 0);
    }

    /// Returns r0.
    pub fn exit(&mut self) {
        self.push(op::EXIT, 0, 0, 0, 0);
    }

    fn refer(&mut self, target: Target) {
        self.references.push(Reference { insn: self.code.len(), target });
    }

    /// Resolves the labels. Jumps that are too far for 16 bits become a short jump over a long one.
    ///
    /// # Errors
    /// A label is jumped to but not bound.
    pub fn finish(mut self) -> Result<Code> {
        self.straighten();
        self.drop_unreachable()?;
        while let Some(far) = self.far_jumps()? {
            self.lengthen(&far);
        }
        for (at, label) in &self.jumps {
            let distance = self.distance(*at, *label)?;
            let insn = &mut self.code[*at];
            if insn.opcode == JA_LONG {
                insn.imm = distance as i32;
            } else {
                insn.off = distance as i16;
            }
        }
        Ok(Code { code: self.code, references: self.references, lines: self.lines })
    }

    /// Makes jumps to jumps go where those go, and `if c goto near; goto far; near:` to `if not c goto far`.
    fn straighten(&mut self) {
        let mut jump_at: Vec<Option<usize>> = vec![None; self.code.len()];
        self.jumps.iter().enumerate().for_each(|(index, (at, _))| jump_at[*at] = Some(index));
        let place = |labels: &[Option<usize>], label: Label| labels.get(label.0).copied().flatten();
        for index in 0..self.jumps.len() {
            // A chain is never longer than the code, unless it is a circle.
            for _ in 0..self.code.len() {
                let Some(to) = place(&self.labels, self.jumps[index].1) else { break };
                let Some(next) = jump_at.get(to).copied().flatten() else { break };
                if self.code[to].opcode != JA || next == index {
                    break;
                }
                self.jumps[index].1 = self.jumps[next].1;
            }
        }
        for index in 0..self.jumps.len() {
            let (at, near) = self.jumps[index];
            let Some(behind) = jump_at.get(at + 1).copied().flatten() else { continue };
            let over = self.code[at + 1].opcode == JA && place(&self.labels, near) == Some(at + 2);
            if let Some(opposite) = opposite(self.code[at].opcode).filter(|_| over) {
                self.code[at].opcode = opposite;
                self.jumps[index].1 = self.jumps[behind].1;
                self.jumps[behind].1 = near;
            }
        }
    }

    /// Takes out what is never executed, which the verifier refuses.
    fn drop_unreachable(&mut self) -> Result<()> {
        let mut targets = vec![None; self.code.len()];
        for (at, label) in &self.jumps {
            targets[*at] = usize::try_from(*at as i64 + 1 + self.distance(*at, *label)?).ok();
        }
        let mut reached = vec![false; self.code.len()];
        let nothing = |at: usize, insn: &Insn| insn.opcode == JA && targets[at] == Some(at + 1);
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let Some(insn) = self.code.get(at).filter(|_| !reached[at]) else { continue };
            reached[at] = true;
            let mut next = at + 1;
            if insn.is_wide_load() {
                reached[next] = true;
                next += 1;
            }
            open.extend(targets[at]);
            if insn.opcode != JA && insn.opcode != op::EXIT {
                open.push(next);
            }
        }
        // Nor is a jump to the next instruction of any use.
        for (at, insn) in self.code.iter().enumerate() {
            reached[at] &= !nothing(at, insn);
        }
        // How many are kept before each.
        let mut kept = Vec::with_capacity(reached.len() + 1);
        kept.push(0);
        reached.iter().for_each(|is| kept.push(kept[kept.len() - 1] + usize::from(*is)));
        let mut index = 0..;
        self.code.retain(|_| index.next().is_some_and(|at| reached[at]));
        self.jumps.retain(|(at, _)| reached[*at]);
        self.references.retain(|reference| reached[reference.insn]);
        self.lines.retain(|(at, _)| reached.get(*at) == Some(&true));
        self.jumps.iter_mut().for_each(|(at, _)| *at = kept[*at]);
        self.references.iter_mut().for_each(|reference| reference.insn = kept[reference.insn]);
        self.lines.iter_mut().for_each(|(at, _)| *at = kept[*at]);
        self.labels.iter_mut().flatten().for_each(|at| *at = kept[*at]);
        Ok(())
    }

    fn distance(&self, at: usize, label: Label) -> Result<i64> {
        let to = self.labels.get(label.0).copied().flatten();
        let to = to.ok_or_else(|| Error::failed("generate code").cause(format!("label {} is not bound", label.0)))?;
        Ok(to as i64 - at as i64 - 1)
    }

    /// The jumps of 16 bits that do not reach, by their index in `jumps`; none where all do.
    fn far_jumps(&self) -> Result<Option<Vec<usize>>> {
        let mut far = Vec::new();
        for (index, (at, label)) in self.jumps.iter().enumerate() {
            let distance = self.distance(*at, *label)?;
            if self.code[*at].opcode != JA_LONG && distance.unsigned_abs() > SHORT {
                far.push(index);
            }
        }
        Ok((!far.is_empty()).then_some(far))
    }

    /// Makes these jumps long: `if c goto far` becomes `if c goto +1; goto +1; gotol far`.
    fn lengthen(&mut self, far: &[usize]) {
        let mut places: Vec<usize> = far.iter().map(|index| self.jumps[*index].0).collect();
        places.sort_unstable();
        let conditional: Vec<usize> = places.iter().copied().filter(|at| self.code[*at].opcode != JA).collect();
        let moved = |at: usize| at + 2 * conditional.partition_point(|place| *place < at);
        let mut code = Vec::with_capacity(self.code.len() + 2 * conditional.len());
        for (at, insn) in self.code.iter().enumerate() {
            match places.binary_search(&at) {
                Err(_) => code.push(*insn),
                Ok(_) if insn.opcode == JA => code.push(Insn::new(JA_LONG, 0, 0, 0, 0)),
                Ok(_) => {
                    code.push(Insn { off: 1, ..*insn });
                    code.push(Insn::new(JA, 0, 0, 1, 0));
                    code.push(Insn::new(JA_LONG, 0, 0, 0, 0));
                }
            }
        }
        let is_far = |at: &usize| conditional.binary_search(at).is_ok();
        self.jumps.iter_mut().for_each(|(at, _)| *at = moved(*at) + if is_far(at) { 2 } else { 0 });
        self.references.iter_mut().for_each(|reference| reference.insn = moved(reference.insn));
        self.lines.iter_mut().for_each(|(at, _)| *at = moved(*at));
        self.labels.iter_mut().flatten().for_each(|at| *at = moved(*at));
        self.code = code;
    }
}

/// The opcode of the jump that is taken where this one is not; none where there is no such.
fn opposite(opcode: u8) -> Option<u8> {
    const PAIRS: [(If, If); 3] = [(If::Eq, If::Ne), (If::Gt, If::Le), (If::Ge, If::Lt)];
    if opcode == JA || opcode == JA_LONG {
        return None;
    }
    let (cond, rest) = (opcode & 0xf0, opcode & 0x0f);
    PAIRS.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]).find(|(a, _)| *a as u8 == cond).map(|(_, b)| rest | b as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_reach_their_labels_over_any_distance() {
        let mut asm = Asm::default();
        let (near, far) = (asm.label(), asm.label());
        asm.jump_imm(If::Eq, 1, 7, far);
        asm.jump_imm(If::Eq, 1, 8, near);
        asm.goto(far);
        asm.bind(near);
        for _ in 0..40_000 {
            asm.mov_imm(0, 1);
        }
        asm.bind(far);
        asm.exit();
        let code = asm.finish().unwrap().code;
        // `if r1 == 7 goto far`: over one jump to a long one, and on behind it.
        assert_eq!((code[0].off, code[1].off, code[1].opcode), (1, 1, JA));
        assert_eq!(code[2].opcode, JA_LONG);
        assert_eq!(code[(3 + code[2].imm) as usize].opcode, op::EXIT);
        // `if r1 == 8 goto near; goto far`: the other way round.
        assert_eq!(code[3].opcode, JMP64 | If::Ne as u8);
        assert_eq!(code[(6 + code[5].imm) as usize].opcode, op::EXIT);
    }

    #[test]
    fn an_unbound_label_is_an_error() {
        let mut asm = Asm::default();
        let nowhere = asm.label();
        asm.goto(nowhere);
        assert!(asm.finish().is_err());
    }
}
