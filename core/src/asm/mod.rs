//! BPF instructions (RFC 9669) as values.

pub mod build;
mod disasm;
pub mod helpers;
pub mod registers;

pub use disasm::text;

/// Size of an encoded instruction in bytes.
pub const INSN_SIZE: usize = 8;

/// Opcodes by RFC 9669.
pub mod op {
    /// 64-bit immediate load; takes two instructions.
    pub const LD_IMM64: u8 = 0x18;
    /// Call of a helper, a function or a kernel function, by source register.
    pub const CALL: u8 = 0x85;
    /// Return.
    pub const EXIT: u8 = 0x95;
    /// `dst = src`, 64 bits.
    pub const MOV64_REG: u8 = 0xbf;
    /// `dst = imm`, 64 bits.
    pub const MOV64_IMM: u8 = 0xb7;
    /// `dst = src`, lower 32 bits, upper cleared.
    pub const MOV32_REG: u8 = 0xbc;
    /// `dst = imm`, 32 bits, upper cleared.
    pub const MOV32_IMM: u8 = 0xb4;
    /// `dst += src`, 64 bits.
    pub const ADD64_REG: u8 = 0x0f;
    /// `dst += imm`, 64 bits.
    pub const ADD64_IMM: u8 = 0x07;
    /// `dst -= src`, 64 bits.
    pub const SUB64_REG: u8 = 0x1f;
    /// `dst <<= imm`, 64 bits.
    pub const LSH64_IMM: u8 = 0x67;
    /// Jump if `dst == imm`, 64 bits.
    pub const JEQ_IMM: u8 = 0x15;
    /// Jump if `dst <= imm` unsigned, 64 bits.
    pub const JLE_IMM: u8 = 0xb5;
    /// `dst = *(u32 *)(src + off)`.
    pub const LDX_W: u8 = 0x61;
    /// `dst = *(u64 *)(src + off)`.
    pub const LDX_DW: u8 = 0x79;
    /// `*(u64 *)(dst + off) = src`.
    pub const STX_DW: u8 = 0x7b;
    /// `*(u32 *)(dst + off) = src`.
    pub const STX_W: u8 = 0x63;
}

/// Source-register values of a call (`BPF_PSEUDO_*`, include/uapi/linux/bpf.h).
pub mod call {
    /// A helper, by number.
    pub const HELPER: u8 = 0;
    /// A function of the same program.
    pub const FUNCTION: u8 = 1;
}

/// One instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insn {
    /// Opcode.
    pub opcode: u8,
    /// Destination register, 0 to 15 (valid programs use 0 to 10).
    pub dst: u8,
    /// Source register, or what a call or load means.
    pub src: u8,
    /// Offset of a jump (in instructions) or of a memory access (in bytes).
    pub off: i16,
    /// Immediate value.
    pub imm: i32,
}

impl Insn {
    /// An instruction from its parts.
    pub const fn new(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        Insn { opcode, dst, src, off, imm }
    }

    /// From eight little-endian bytes.
    pub fn decode(bytes: [u8; INSN_SIZE]) -> Self {
        Insn {
            opcode: bytes[0],
            dst: bytes[1] & 0xf,
            src: bytes[1] >> 4,
            off: i16::from_le_bytes([bytes[2], bytes[3]]),
            imm: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }

    /// To eight little-endian bytes.
    pub fn encode(self) -> [u8; INSN_SIZE] {
        let (off, imm) = (self.off.to_le_bytes(), self.imm.to_le_bytes());
        [self.opcode, self.src << 4 | self.dst & 0xf, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }

    /// Whether this is the first half of a 64-bit immediate load.
    pub fn is_wide_load(self) -> bool {
        self.opcode == op::LD_IMM64
    }

    /// Whether this calls a function of the object or of the kernel (not a helper).
    pub fn is_function_call(self) -> bool {
        self.opcode == op::CALL && self.src == call::FUNCTION
    }

    /// The number of the helper that this calls.
    pub fn helper(self) -> Option<i32> {
        (self.opcode == op::CALL && self.src == call::HELPER).then_some(self.imm)
    }
}

/// Instructions from the bytes of a section; a trailing part of an instruction is left out.
pub fn decode_all(bytes: &[u8]) -> Vec<Insn> {
    bytes.as_chunks::<INSN_SIZE>().0.iter().map(|chunk| Insn::decode(*chunk)).collect()
}
