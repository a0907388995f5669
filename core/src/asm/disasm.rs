//! Instructions as text, in the words of the kernel's verifier log and bpftool (`print_bpf_insn`,
//! kernel/bpf/disasm.c): `r0 = *(u32 *)(r1 +0)`, `if r1 > 0x4 goto pc+3`.

use super::{Insn, helpers};

/// Classes: the low three bits of an opcode (RFC 9669, section 3).
mod class {
    pub(super) const LD: u8 = 0;
    pub(super) const LDX: u8 = 1;
    pub(super) const ST: u8 = 2;
    pub(super) const STX: u8 = 3;
    pub(super) const ALU: u8 = 4;
    pub(super) const JMP: u8 = 5;
    pub(super) const JMP32: u8 = 6;
}

/// The bit that says that the operand is a register (`BPF_X`).
const REGISTER: u8 = 0x08;

/// The text of an instruction. A 64-bit load takes its second half as `next`, which has no text of its own.
///
/// `name` is what the instruction refers to, where that is known: the function it calls (`parse`), or what a
/// 64-bit load loads (`map[counts]`).
pub fn text(insn: Insn, next: Option<Insn>, name: Option<&str>) -> String {
    let text = match insn.opcode & 7 {
        class::LD => load(insn, next, name),
        class::LDX => load_register(insn),
        class::ST | class::STX => store(insn),
        class::JMP | class::JMP32 => jump(insn, name),
        _ => arithmetic(insn),
    };
    text.unwrap_or_else(|| {
        let Insn { opcode, dst, src, off, imm } = insn;
        format!("(bad opcode 0x{opcode:02x}, dst {dst}, src {src}, off {off}, imm {imm})")
    })
}

/// `r1`, or `w1` for the lower half.
fn register(insn: Insn, number: u8) -> String {
    let half = matches!(insn.opcode & 7, class::ALU | class::JMP32);
    format!("{}{number}", if half { 'w' } else { 'r' })
}

fn arithmetic(insn: Insn) -> Option<String> {
    let wide = insn.opcode & 7 != class::ALU;
    let by_register = insn.opcode & REGISTER != 0;
    let dst = register(insn, insn.dst);
    let operand = if by_register { register(insn, insn.src) } else { insn.imm.to_string() };
    let signed = match insn.off {
        0 => "",
        1 => "s",
        _ => "?",
    };
    let operator = match insn.opcode >> 4 {
        0x0 => "+=",
        0x1 => "-=",
        0x2 => "*=",
        0x3 => return (signed != "?").then(|| format!("{dst} {signed}/= {operand}")),
        0x4 => "|=",
        0x5 => "&=",
        0x6 => "<<=",
        0x7 => ">>=",
        0x8 => return Some(format!("{dst} = -{dst}")),
        0x9 => return (signed != "?").then(|| format!("{dst} {signed}%= {operand}")),
        0xa => "^=",
        0xb => return moved(insn, &dst, &operand),
        0xc => "s>>=",
        0xd => return byte_swap(insn, wide, by_register),
        _ => return None,
    };
    Some(format!("{dst} {operator} {operand}"))
}

/// `dst = operand`, sign-extended from `off` bits, or from one address space to another.
fn moved(insn: Insn, dst: &str, operand: &str) -> Option<String> {
    let wide = insn.opcode & 7 != class::ALU;
    match (insn.off, insn.opcode & REGISTER != 0) {
        (0, _) => Some(format!("{dst} = {operand}")),
        (bits @ (8 | 16), true) => Some(format!("{dst} = (s{bits}){operand}")),
        (32, true) if wide => Some(format!("{dst} = (s32){operand}")),
        (1, true) if wide => {
            Some(format!("{dst} = addr_space_cast({operand}, {}, {})", insn.imm >> 16, insn.imm & 0xffff))
        }
        _ => None,
    }
}

fn byte_swap(insn: Insn, wide: bool, to_big: bool) -> Option<String> {
    let order = match (wide, to_big) {
        (true, false) => "bswap",
        (true, true) => return None,
        (false, false) => "le",
        (false, true) => "be",
    };
    matches!(insn.imm, 16 | 32 | 64).then(|| format!("r{0} = {order}{1} r{0}", insn.dst, insn.imm))
}

/// The C type of a memory access.
fn size(opcode: u8) -> &'static str {
    match opcode >> 3 & 3 {
        0 => "u32",
        1 => "u16",
        2 => "u8",
        _ => "u64",
    }
}

/// `(u32 *)(r1 +4)`.
fn place(insn: Insn, base: u8) -> String {
    format!("({} *)(r{base} {:+})", size(insn.opcode), insn.off)
}

fn load(insn: Insn, next: Option<Insn>, name: Option<&str>) -> Option<String> {
    match insn.opcode {
        0x18 => load_wide(insn, next?, name),
        0x20 | 0x28 | 0x30 => Some(format!("r0 = *({} *)skb[{}]", size(insn.opcode), insn.imm)),
        0x40 | 0x48 | 0x50 => Some(format!("r0 = *({} *)skb[r{} + {}]", size(insn.opcode), insn.src, insn.imm)),
        _ => None,
    }
}

/// A 64-bit load, whose source register says what its number means (`BPF_PSEUDO_*`).
fn load_wide(insn: Insn, next: Insn, name: Option<&str>) -> Option<String> {
    let (dst, low, high) = (insn.dst, insn.imm, next.imm);
    if let Some(name) = name {
        return Some(format!("r{dst} = {name}"));
    }
    Some(match insn.src {
        0 => format!("r{dst} = 0x{:x}", u64::from(high as u32) << 32 | u64::from(low as u32)),
        1 => format!("r{dst} = map[fd:{low}]"),
        2 => format!("r{dst} = map[fd:{low}][0]{high:+}"),
        3 => format!("r{dst} = variable[btf_id:{low}, fd:{high}]"),
        4 => format!("r{dst} = subprog[{low:+}]"),
        5 => format!("r{dst} = map[idx:{low}]"),
        6 => format!("r{dst} = map[idx:{low}][0]{high:+}"),
        _ => return None,
    })
}

fn load_register(insn: Insn) -> Option<String> {
    match insn.opcode >> 5 {
        3 => Some(format!("r{} = *{}", insn.dst, place(insn, insn.src))),
        // There is no wider register that a u64 could be extended to.
        4 if insn.opcode >> 3 & 3 != 3 => {
            Some(format!("r{} = *{}", insn.dst, place(insn, insn.src).replacen("(u", "(s", 1)))
        }
        _ => None,
    }
}

fn store(insn: Insn) -> Option<String> {
    let place = place(insn, insn.dst);
    match (insn.opcode & 7, insn.opcode >> 5) {
        (class::ST, 3) => Some(format!("*{place} = {}", insn.imm)),
        (class::STX, 3) => Some(format!("*{place} = r{}", insn.src)),
        (class::STX, 6) => atomic(insn, &place),
        _ => None,
    }
}

fn atomic(insn: Insn, place: &str) -> Option<String> {
    /// Bits and operations in `imm` (RFC 9669, section 5.3).
    const FETCH: i32 = 1;
    let wide = insn.opcode >> 3 & 3 == 3;
    let src = insn.src;
    match insn.imm {
        0x100 => return Some(format!("r{} = load_acquire({})", insn.dst, self::place(insn, src))),
        0x110 => return Some(format!("store_release({place}, r{src})")),
        _ if !matches!(size(insn.opcode), "u32" | "u64") => return None,
        _ => {}
    }
    let (bits, letter) = if wide { ("64", 'r') } else { ("", 'w') };
    let (operator, word) = match insn.imm & !FETCH {
        0x00 => ("+", "add"),
        0x40 => ("|", "or"),
        0x50 => ("&", "and"),
        0xa0 => ("^", "xor"),
        0xe0 if insn.imm & FETCH != 0 => {
            return Some(format!("{letter}{src} = atomic{bits}_xchg({place}, {letter}{src})"));
        }
        0xf0 if insn.imm & FETCH != 0 => {
            return Some(format!("{letter}0 = atomic{bits}_cmpxchg({place}, {letter}0, {letter}{src})"));
        }
        _ => return None,
    };
    Some(if insn.imm & FETCH == 0 {
        format!("lock *{place} {operator}= {letter}{src}")
    } else {
        format!("{letter}{src} = atomic{bits}_fetch_{word}({place}, {letter}{src})")
    })
}

fn jump(insn: Insn, name: Option<&str>) -> Option<String> {
    let narrow = insn.opcode & 7 == class::JMP32;
    let by_register = insn.opcode & REGISTER != 0;
    let operator = match insn.opcode >> 4 {
        0x0 if by_register => return (!narrow).then(|| format!("gotox r{}", insn.dst)),
        0x0 if narrow => return Some(format!("gotol pc{:+}", insn.imm)),
        0x0 => return Some(format!("goto pc{:+}", insn.off)),
        0x8 if !narrow => return call(insn, by_register, name),
        0x9 if !narrow && !by_register => return Some("exit".to_string()),
        0xe if !narrow && !by_register => return Some(format!("may_goto pc{:+}", insn.off)),
        0x1 => "==",
        0x2 => ">",
        0x3 => ">=",
        0x4 => "&",
        0x5 => "!=",
        0x6 => "s>",
        0x7 => "s>=",
        0xa => "<",
        0xb => "<=",
        0xc => "s<",
        0xd => "s<=",
        _ => return None,
    };
    let operand = if by_register { register(insn, insn.src) } else { format!("0x{:x}", insn.imm) };
    Some(format!("if {} {operator} {operand} goto pc{:+}", register(insn, insn.dst), insn.off))
}

fn call(insn: Insn, by_register: bool, name: Option<&str>) -> Option<String> {
    match (by_register, insn.src) {
        (true, _) => Some(format!("callx r{}", insn.dst)),
        (false, 0) => {
            let helper = helpers::name(insn.imm).unwrap_or_else(|| "unknown".to_string());
            Some(format!("call {helper}#{}", insn.imm))
        }
        (false, 1) => Some(name.map_or_else(|| format!("call pc{:+}", insn.imm), |name| format!("call {name}"))),
        (false, 2) => Some(name.map_or_else(|| format!("call kfunc#{}", insn.imm), |name| format!("call {name}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_assemblers_do_not_write_is_read_too() {
        let text = |opcode, dst, src, off, imm| text(Insn::new(opcode, dst, src, off, imm), None, None);
        assert_eq!(text(0x30, 0, 0, 0, 14), "r0 = *(u8 *)skb[14]");
        assert_eq!(text(0x48, 0, 7, 0, 2), "r0 = *(u16 *)skb[r7 + 2]");
        assert_eq!(text(0xe5, 0, 0, 3, 0), "may_goto pc+3");
        assert_eq!(text(0xdb, 1, 2, 8, 0xe1), "r2 = atomic64_xchg((u64 *)(r1 +8), r2)");
        assert_eq!(text(0xc3, 1, 2, -8, 0xf1), "w0 = atomic_cmpxchg((u32 *)(r1 -8), w0, w2)");
        assert_eq!(text(0xdb, 1, 2, 8, 0x100), "r1 = load_acquire((u64 *)(r2 +8))");
        assert_eq!(text(0xd3, 1, 2, 8, 0x110), "store_release((u8 *)(r1 +8), r2)");
        assert_eq!(text(0x85, 0, 0, 0, 1), "call bpf_map_lookup_elem#1");
        assert_eq!(text(0x85, 0, 1, 0, -6), "call pc-6");
        assert_eq!(text(0xbf, 1, 2, 1, 1), "r1 = addr_space_cast(r2, 0, 1)");
    }

    #[test]
    fn any_instruction_has_a_text() {
        for opcode in 0..=u8::MAX {
            for off in [0, 1, 8, -1, i16::MIN] {
                for imm in [0, 1, 16, 0xf1, -1, i32::MIN] {
                    let insn = Insn::new(opcode, 15, 15, off, imm);
                    assert!(!text(insn, Some(insn), None).is_empty());
                    assert!(!text(insn, None, Some("x")).is_empty());
                }
            }
        }
    }
}
