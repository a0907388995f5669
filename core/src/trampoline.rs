//! The program that measurements run: it puts the next packet of a trace into the buffer and tail-calls another one.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on one buffer, and each run goes on with what the last one made of it. A
//! program that always sees the same packet costs less than it does on a link, since every branch is foreseen. So the
//! trampoline is what is repeated. It undoes what the program before did to the buffer (its start, its metadata), gives
//! it the next packet's length and head, waits until they are there, and jumps. What it costs is known by letting it jump
//! to a program that does nothing.

use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::error::Result;
use crate::modernize::map_type;
use crate::object::{Declaration, Function, Map, MapId, Object, Pinning, Shape};

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
pub const STATE_SIZE: usize = 40;
/// Where in the state the number of failures stands, a `u64` in the machine's byte order: runs in which the buffer
/// could not be restored, or the jump failed.
pub const FAILURES: usize = 24;
/// So many bytes of each packet are copied: all headers, and the beginning of what they carry. What lies behind is zero,
/// or what a longer packet left there.
pub const HEAD: usize = 120;
/// The longest packet, in bytes: what a page holds beside the kernel's own data.
pub const LONGEST: usize = 3072;
/// The shortest packet, in bytes. Shorter ones, which no Ethernet carries, are filled up with zeros.
pub const SHORTEST: usize = 60;
/// A packet that is shorter than a head gets as many bytes of it as one of these says, the nearest below.
const STEPS: [usize; 3] = [80, 100, HEAD];
/// Size of the value of a packet in bytes: its head and its length, two cache lines.
const VALUE: usize = HEAD + 8;

/// Offsets in the state: the address of the packet's start at the first run, that of now, the next packet's index, and
/// what the fence works on.
const ORIGIN: i16 = 0;
const NOW: i16 = 8;
const NEXT: i16 = 16;
const FENCE: i16 = 32;
/// Offsets in the context (`struct xdp_md`).
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const DATA_META: i16 = 8;

const MAP_LOOKUP: i32 = 1;
const TAIL_CALL: i32 = 12;
const ADJUST_HEAD: i32 = 44;
const ADJUST_META: i32 = 54;
const ADJUST_TAIL: i32 = 65;

const PASS: i32 = 2;

/// The value of [`PACKETS`] for a packet: its first bytes, zeros behind its end, and its length.
pub fn packet(bytes: &[u8]) -> [u8; VALUE] {
    let mut value = [0; VALUE];
    let copied = bytes.len().min(HEAD);
    value[..copied].copy_from_slice(&bytes[..copied]);
    let length = bytes.len().clamp(SHORTEST, LONGEST) as u64;
    value[HEAD..].copy_from_slice(&length.to_ne_bytes());
    value
}

/// The object of the trampoline over so many packets, and of the empty program. A program array takes programs of one
/// kind only: `frags` says whether the programs that are measured take packets of several buffers.
///
/// # Errors
/// Never: its labels are bound.
pub fn object(packets: u32, frags: bool) -> Result<Object> {
    let mut object = Object { license: Some("Dual MIT/GPL".into()), ..Object::default() };
    let array =
        |kind, value_size, max_entries| Shape { kind, key_size: 4, value_size, max_entries, ..Shape::default() };
    let maps = [
        (STATE, array(map_type::ARRAY, STATE_SIZE as u32, 1)),
        (PACKETS, array(map_type::ARRAY, VALUE as u32, packets.max(1))),
        (TARGET, array(map_type::PROG_ARRAY, 4, 1)),
    ];
    let [state, trace, target] = maps.map(|(name, shape)| add_map(&mut object, name, shape));
    let section = if frags { "xdp.frags" } else { "xdp" };
    let mut asm = Asm::default();
    let failed = asm.label();
    let asm = Trampoline { asm, failed }.write(state, trace, target, packets);
    add_function(&mut object, TRAMPOLINE, section, asm)?;
    let mut empty = Asm::default();
    empty.mov_imm(0, PASS);
    empty.exit();
    add_function(&mut object, EMPTY, section, empty)?;
    Ok(object)
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

fn add_function(object: &mut Object, name: &str, section: &str, asm: Asm) -> Result<()> {
    let code = asm.finish()?;
    let btf = object.btf.get_or_insert_default();
    let context = crate::modernize::context_pointer(btf);
    let func_type = Some(btf.add_function(name, &[("ctx", context)]));
    object.functions.push(Function {
        name: name.into(),
        section: section.into(),
        start: 0,
        global: true,
        hidden: false,
        code: code.code,
        references: code.references,
        func_type,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    });
    Ok(())
}

/// The trampoline in the making. Registers: r6 context, r7 state.
struct Trampoline {
    asm: Asm,
    /// Where the failure is counted.
    failed: Label,
}

impl Trampoline {
    fn write(mut self, state: MapId, trace: MapId, target: MapId, packets: u32) -> Asm {
        let no_state = self.asm.label();
        self.asm.mov(6, 1);
        self.asm.store_imm(Size::W, 10, -4, 0);
        self.lookup(state, no_state);
        self.asm.mov(7, 0);
        self.reset_metadata();
        self.reset_start();
        self.next_index(packets);
        self.lookup(trace, self.failed);
        self.asm.mov(8, 0);
        self.set_length();
        self.copy_head();
        self.fence();
        self.asm.mov(1, 6);
        self.asm.load_map(2, target);
        self.asm.mov_imm(3, 0);
        self.asm.call(TAIL_CALL);
        self.asm.bind(self.failed);
        self.asm.load(Size::DW, 1, 7, FAILURES as i16);
        self.asm.alu64_imm(Alu::Add, 1, 1);
        self.asm.store(Size::DW, 7, FAILURES as i16, 1);
        self.asm.bind(no_state);
        self.asm.mov_imm(0, 0);
        self.asm.exit();
        self.asm
    }

    /// Takes off metadata that a program put before the packet.
    fn reset_metadata(&mut self) {
        self.asm.load(Size::W, 2, 6, DATA);
        self.asm.load(Size::W, 1, 6, DATA_META);
        self.asm.alu64(Alu::Sub, 2, 1);
        self.adjust(ADJUST_META);
    }

    /// Moves the packet's start to where it was at the first run. An address becomes a number by way of memory.
    fn reset_start(&mut self) {
        let known = self.asm.label();
        self.asm.load(Size::W, 1, 6, DATA);
        self.asm.store(Size::DW, 7, NOW, 1);
        self.asm.load(Size::DW, 1, 7, NOW);
        self.asm.load(Size::DW, 2, 7, ORIGIN);
        self.asm.jump_imm(If::Ne, 2, 0, known);
        self.asm.store(Size::DW, 7, ORIGIN, 1);
        self.asm.mov(2, 1);
        self.asm.bind(known);
        self.asm.alu64(Alu::Sub, 2, 1);
        self.adjust(ADJUST_HEAD);
    }

    /// Puts the packet's index on the stack, and the one after it into the state.
    fn next_index(&mut self, packets: u32) {
        let more = self.asm.label();
        self.asm.load(Size::W, 1, 7, NEXT);
        self.asm.store(Size::W, 10, -4, 1);
        self.asm.alu64_imm(Alu::Add, 1, 1);
        self.asm.jump32_imm(If::Lt, 1, packets, more);
        self.asm.mov_imm(1, 0);
        self.asm.bind(more);
        self.asm.store(Size::W, 7, NEXT, 1);
    }

    fn set_length(&mut self) {
        self.asm.load(Size::W, 1, 6, DATA_END);
        self.asm.load(Size::W, 3, 6, DATA);
        self.asm.alu64(Alu::Sub, 1, 3);
        self.asm.load(Size::DW, 2, 8, HEAD as i16);
        self.asm.alu64(Alu::Sub, 2, 1);
        self.adjust(ADJUST_TAIL);
    }

    /// Copies the head in the value at r8 over the packet's first bytes.
    fn copy_head(&mut self) {
        let done = self.asm.label();
        self.asm.load(Size::W, 1, 6, DATA);
        self.asm.load(Size::W, 2, 6, DATA_END);
        self.copy(0..SHORTEST as i16, self.failed);
        let mut from = SHORTEST;
        for to in STEPS {
            self.copy(from as i16..to as i16, done);
            from = to;
        }
        self.asm.bind(done);
    }

    fn copy(&mut self, bytes: std::ops::Range<i16>, too_short: Label) {
        self.asm.mov(3, 1);
        self.asm.alu64_imm(Alu::Add, 3, bytes.end.into());
        self.asm.jump_reg(If::Gt, 3, 2, too_short);
        for at in bytes.step_by(4) {
            self.asm.load(Size::W, 4, 8, at);
            self.asm.store(Size::W, 1, at, 4);
        }
    }

    /// Waits until the copy has reached the cache, as packets have that a card wrote: on x86-64 an atomic operation
    /// does. Else the program's first loads would wait for those stores, and the two would overlap.
    fn fence(&mut self) {
        self.asm.mov_imm(0, 0);
        self.asm.mov_imm(1, 0);
        self.asm.compare_exchange(7, FENCE, 1);
    }

    /// Calls a helper that moves an end of the packet by r2 bytes, unless that is 0.
    fn adjust(&mut self, helper: i32) {
        let nothing = self.asm.label();
        self.asm.jump_imm(If::Eq, 2, 0, nothing);
        self.asm.mov(1, 6);
        self.asm.call(helper);
        self.asm.jump_imm(If::Ne, 0, 0, self.failed);
        self.asm.bind(nothing);
    }

    /// Looks up the index that is on the stack.
    fn lookup(&mut self, map: MapId, none: Label) {
        self.asm.load_map(1, map);
        self.asm.mov(2, 10);
        self.asm.alu64_imm(Alu::Add, 2, -4);
        self.asm.call(MAP_LOOKUP);
        self.asm.jump_imm(If::Eq, 0, 0, none);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf;

    #[test]
    fn a_value_is_the_head_of_a_packet_and_its_length() {
        let length = |value: &[u8]| u64::from_ne_bytes(value[HEAD..].try_into().unwrap());
        let short = packet(&[7; 20]);
        assert_eq!((&short[..20], &short[20..HEAD], length(&short)), (&[7; 20][..], &[0; 100][..], 60));
        assert_eq!((packet(&[7; 1514])[HEAD - 1], length(&packet(&[7; 1514]))), (7, 1514));
        assert_eq!(length(&packet(&[7; 9000])), 3072);
    }

    #[test]
    fn the_object_survives_its_file() {
        for frags in [false, true] {
            let (read, _) = elf::read(&elf::write(&object(5, frags).unwrap())).unwrap();
            let names: Vec<_> = read.functions.iter().map(|f| (f.name.as_str(), f.section.as_str())).collect();
            let section = if frags { "xdp.frags" } else { "xdp" };
            assert_eq!(names, [(TRAMPOLINE, section), (EMPTY, section)]);
            assert_eq!(read.maps.iter().map(|map| map.shape.max_entries).collect::<Vec<_>>(), [1, 5, 1]);
        }
    }
}
