//! The program that measurements run: it puts the next packet of a trace into the buffer and tail-calls another one.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on one buffer, and each run goes on with what the last one made of it. A
//! program that always sees the same packet costs less than it does on a link, since every branch is foreseen. So the
//! trampoline is what is repeated. It undoes what the program before did to the buffer (its start, its length, its
//! metadata), copies the next packet's head into it and jumps. What it costs is known by letting it jump to a program
//! that does nothing.

use crate::asm::{Insn, call, op};
use crate::modernize::map_type;
use crate::object::{Declaration, Function, Map, MapId, Object, Pinning, Reference, Shape, Target};

/// Name of the program that is repeated.
pub const TRAMPOLINE: &str = "xdpilot_bench";
/// Name of the program that does nothing and passes the packet.
pub const EMPTY: &str = "xdpilot_empty";
/// Program array of one element: the program that is jumped to.
pub const TARGET: &str = "xdpilot_target";
/// Array of the trace's packets; a value is made by [`packet`].
pub const PACKETS: &str = "xdpilot_packets";
/// Array of one element of [`STATE_SIZE`] bytes: zeroed before each test run, since its buffer lies elsewhere.
pub const STATE: &str = "xdpilot_state";

/// Size of the state in bytes.
pub const STATE_SIZE: usize = 32;
/// Where in the state the number of failures stands, a `u64` in the machine's byte order: runs in which the buffer
/// could not be restored, or the jump failed.
pub const FAILURES: usize = 24;
/// So many bytes of each packet are copied. What lies behind is zero, or what a longer packet left there.
pub const HEAD: usize = 256;
/// The longest packet, in bytes: what one page holds beside the kernel's own data.
pub const LONGEST: usize = 3072;
/// The shortest packet, in bytes: an Ethernet header.
pub const SHORTEST: usize = 14;

/// Offsets in the state: the address of the packet's start at the first run, that of now, and the next packet's index.
const ORIGIN: i16 = 0;
const NOW: i16 = 8;
const NEXT: i16 = 16;
/// Offsets in a packet's value.
const LENGTH: i16 = 0;
const LAST: i16 = 4;
const BYTES: i32 = 8;
/// Offsets in the context (`struct xdp_md`).
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const DATA_META: i16 = 8;

const MAP_LOOKUP: i32 = 1;
const TAIL_CALL: i32 = 12;
const ADJUST_HEAD: i32 = 44;
const ADJUST_META: i32 = 54;
const ADJUST_TAIL: i32 = 65;
const STORE_BYTES: i32 = 190;

const PASS: i32 = 2;

/// The value of [`PACKETS`] for a packet: the first bytes of it, and its length, at least [`SHORTEST`] and at most
/// [`LONGEST`].
pub fn packet(head: &[u8], length: usize) -> Vec<u8> {
    let length = length.clamp(SHORTEST, LONGEST);
    let copied = head.len().min(HEAD).min(length);
    let mut value = vec![0; BYTES as usize + HEAD];
    value[..4].copy_from_slice(&(length as u32).to_ne_bytes());
    // What a packet's capture lacks is zero, and at least one byte is copied.
    let last = if head.len() < HEAD { length.min(HEAD) } else { copied } as u32 - 1;
    value[4..8].copy_from_slice(&last.to_ne_bytes());
    value[BYTES as usize..][..copied].copy_from_slice(&head[..copied]);
    value
}

/// The object of the trampoline over so many packets, and of the empty program. A program array takes programs of one
/// kind only: `frags` says whether the programs that are measured take packets of several buffers.
pub fn object(packets: u32, frags: bool) -> Object {
    let mut object = Object { license: Some("Dual MIT/GPL".into()), ..Object::default() };
    let array = |kind, value_size, max_entries| Shape { kind, key_size: 4, value_size, max_entries, ..Shape::default() };
    let maps = [
        (STATE, array(map_type::ARRAY, STATE_SIZE as u32, 1)),
        (PACKETS, array(map_type::ARRAY, BYTES as u32 + HEAD as u32, packets.max(1))),
        (TARGET, array(map_type::PROG_ARRAY, 4, 1)),
    ];
    let [state, trace, target] = maps.map(|(name, shape)| add_map(&mut object, name, shape));
    let section = if frags { "xdp.frags" } else { "xdp" };
    let mut code = Code::default();
    code.trampoline(state, trace, target, packets);
    add_function(&mut object, TRAMPOLINE, section, code);
    let empty = vec![Insn::new(op::MOV64_IMM, 0, 0, 0, PASS), Insn::new(op::EXIT, 0, 0, 0, 0)];
    add_function(&mut object, EMPTY, section, Code { insns: empty, references: Vec::new() });
    object
}

fn add_map(object: &mut Object, name: &str, shape: Shape) -> MapId {
    object.maps.push(Map {
        name: name.into(),
        shape,
        inner: None,
        values: Vec::new(),
        pinning: Pinning::None,
        declaration: Declaration::Generated,
    });
    MapId(object.maps.len() - 1)
}

fn add_function(object: &mut Object, name: &str, section: &str, code: Code) {
    let btf = object.btf.get_or_insert_default();
    let context = crate::modernize::context_pointer(btf);
    let func_type = Some(btf.add_function(name, &[("ctx", context)]));
    object.functions.push(Function {
        name: name.into(),
        section: section.into(),
        start: 0,
        global: true,
        hidden: false,
        code: code.insns,
        references: code.references,
        func_type,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    });
}

/// Instructions under construction. Registers: r6 context, r7 state, r8 the packet's value.
#[derive(Default)]
struct Code {
    insns: Vec<Insn>,
    references: Vec<Reference>,
}

/// A jump whose end is not known yet.
struct Jump(usize);

const JNE_IMM: u8 = 0x55;
const JLT_IMM: u8 = 0xa5;
const AND64_IMM: u8 = 0x57;
const ST_W: u8 = 0x62;

impl Code {
    fn trampoline(&mut self, state: MapId, trace: MapId, target: MapId, packets: u32) {
        self.copy(6, 1);
        self.emit(ST_W, 10, 0, -4, 0);
        let no_state = self.lookup(state);
        self.copy(7, 0);
        let mut failed = vec![self.reset_metadata()];
        failed.push(self.reset_start());
        self.next_index(packets);
        failed.push(self.lookup(trace));
        self.copy(8, 0);
        failed.push(self.set_length());
        failed.push(self.set_bytes());
        self.copy(1, 6);
        self.load_map(2, target);
        self.emit(op::MOV64_IMM, 3, 0, 0, 0);
        self.emit(op::CALL, 0, call::HELPER, 0, TAIL_CALL);
        failed.into_iter().for_each(|jump| self.land(jump));
        self.emit(op::LDX_DW, 1, 7, FAILURES as i16, 0);
        self.emit(op::ADD64_IMM, 1, 0, 0, 1);
        self.emit(op::STX_DW, 7, 1, FAILURES as i16, 0);
        self.land(no_state);
        self.emit(op::MOV64_IMM, 0, 0, 0, 0);
        self.emit(op::EXIT, 0, 0, 0, 0);
    }

    /// Takes off metadata that a program put before the packet.
    fn reset_metadata(&mut self) -> Jump {
        self.emit(op::LDX_W, 2, 6, DATA, 0);
        self.emit(op::LDX_W, 1, 6, DATA_META, 0);
        self.emit(op::SUB64_REG, 2, 1, 0, 0);
        self.adjust(ADJUST_META)
    }

    /// Moves the packet's start to where it was at the first run. An address becomes a number by way of memory.
    fn reset_start(&mut self) -> Jump {
        self.emit(op::LDX_W, 1, 6, DATA, 0);
        self.emit(op::STX_DW, 7, 1, NOW, 0);
        self.emit(op::LDX_DW, 1, 7, NOW, 0);
        self.emit(op::LDX_DW, 2, 7, ORIGIN, 0);
        let known = self.jump(JNE_IMM, 2, 0);
        self.emit(op::STX_DW, 7, 1, ORIGIN, 0);
        self.copy(2, 1);
        self.land(known);
        self.emit(op::SUB64_REG, 2, 1, 0, 0);
        self.adjust(ADJUST_HEAD)
    }

    /// Puts the packet's index on the stack and the one after it into the state.
    fn next_index(&mut self, packets: u32) {
        self.emit(op::LDX_W, 1, 7, NEXT, 0);
        self.emit(op::STX_W, 10, 1, -4, 0);
        self.emit(op::ADD64_IMM, 1, 0, 0, 1);
        let more = self.jump(JLT_IMM, 1, packets as i32);
        self.emit(op::MOV64_IMM, 1, 0, 0, 0);
        self.land(more);
        self.emit(op::STX_W, 7, 1, NEXT, 0);
    }

    fn set_length(&mut self) -> Jump {
        self.emit(op::LDX_W, 1, 6, DATA_END, 0);
        self.emit(op::LDX_W, 3, 6, DATA, 0);
        self.emit(op::SUB64_REG, 1, 3, 0, 0);
        self.emit(op::LDX_W, 2, 8, LENGTH, 0);
        self.emit(op::SUB64_REG, 2, 1, 0, 0);
        self.adjust(ADJUST_TAIL)
    }

    fn set_bytes(&mut self) -> Jump {
        self.copy(1, 6);
        self.emit(op::MOV64_IMM, 2, 0, 0, 0);
        self.copy(3, 8);
        self.emit(op::ADD64_IMM, 3, 0, 0, BYTES);
        // So that the verifier sees 1 to HEAD bytes.
        self.emit(op::LDX_W, 4, 8, LAST, 0);
        self.emit(AND64_IMM, 4, 0, 0, HEAD as i32 - 1);
        self.emit(op::ADD64_IMM, 4, 0, 0, 1);
        self.emit(op::CALL, 0, call::HELPER, 0, STORE_BYTES);
        self.jump(JNE_IMM, 0, 0)
    }

    /// Calls a helper that moves an end of the packet by r2 bytes, unless that is 0; jumps where it fails.
    fn adjust(&mut self, helper: i32) -> Jump {
        self.emit(op::MOV64_IMM, 0, 0, 0, 0);
        let nothing = self.jump(op::JEQ_IMM, 2, 0);
        self.copy(1, 6);
        self.emit(op::CALL, 0, call::HELPER, 0, helper);
        self.land(nothing);
        self.jump(JNE_IMM, 0, 0)
    }

    /// Looks up the index that is on the stack; jumps where there is none.
    fn lookup(&mut self, map: MapId) -> Jump {
        self.load_map(1, map);
        self.copy(2, 10);
        self.emit(op::ADD64_IMM, 2, 0, 0, -4);
        self.emit(op::CALL, 0, call::HELPER, 0, MAP_LOOKUP);
        self.jump(op::JEQ_IMM, 0, 0)
    }

    fn load_map(&mut self, register: u8, map: MapId) {
        self.references.push(Reference { insn: self.insns.len(), target: Target::Map(map) });
        self.emit(op::LD_IMM64, register, 0, 0, 0);
        self.insns.push(Insn::default());
    }

    fn copy(&mut self, dst: u8, src: u8) {
        self.emit(op::MOV64_REG, dst, src, 0, 0);
    }

    fn emit(&mut self, opcode: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.insns.push(Insn::new(opcode, dst, src, off, imm));
    }

    fn jump(&mut self, opcode: u8, dst: u8, imm: i32) -> Jump {
        self.emit(opcode, dst, 0, 0, imm);
        Jump(self.insns.len() - 1)
    }

    /// Makes the jump end here.
    fn land(&mut self, Jump(at): Jump) {
        self.insns[at].off = (self.insns.len() - at - 1) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf;

    #[test]
    fn a_value_says_how_much_is_copied() {
        let numbers = |value: &[u8]| [0, 4].map(|at| u32::from_ne_bytes(value[at..at + 4].try_into().unwrap()));
        let short = packet(&[7; 20], 60);
        assert_eq!((numbers(&short), short.len()), ([60, 59], 264));
        assert_eq!((&short[8..28], &short[28..]), (&[7; 20][..], &[0; 236][..]));
        assert_eq!(numbers(&packet(&[7; 1514], 1514)), [1514, 255]);
        assert_eq!(numbers(&packet(&[7; 9000], 9000)), [3072, 255]);
        assert_eq!(numbers(&packet(&[], 0)), [14, 13]);
    }

    #[test]
    fn the_object_survives_its_file() {
        for frags in [false, true] {
            let (read, _) = elf::read(&elf::write(&object(5, frags))).unwrap();
            let names: Vec<_> = read.functions.iter().map(|f| (f.name.as_str(), f.section.as_str())).collect();
            let section = if frags { "xdp.frags" } else { "xdp" };
            assert_eq!(names, [(TRAMPOLINE, section), (EMPTY, section)]);
            assert_eq!(read.maps.iter().map(|map| map.shape.max_entries).collect::<Vec<_>>(), [1, 5, 1]);
        }
    }
}
