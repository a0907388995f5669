//! The program that takes answers to health checks out of what arrives at an interface, and gives them to who checks.
//!
//! Checks that are carried to a backend by the data plane ask at the address of its service, so that the answers come
//! from there: from a connection that this host's stack does not know, and would break off.

use std::net::{IpAddr, SocketAddr};

use super::{Direction, function, layers};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::elf;
use crate::error::Result;
use crate::modernize::map_type;
use crate::object::{Declaration, Line, Map, MapId, Object, Pinning, Shape};
use crate::packet::{ethertype, protocol};
use crate::route::layout::octets;

/// Its name.
pub const NAME: &str = "xdpilot_answers";
/// The connections of checks that are under way, by [`key`].
pub const CHECKS: &str = "xdpilot_checks";
/// What was taken out: frames, without VLAN tags.
pub const TAKEN: &str = "xdpilot_taken";
/// Bytes of a key.
pub const KEY: usize = 40;

/// The most connections of checks at one time.
const MOST: u32 = 65_536;
const NO_PREALLOC: u32 = 1;
/// Verdicts of TCX: the next program's turn, and the end.
const NEXT: i32 = -1;
const DROP: i32 = 2;
/// Helpers: `bpf_map_lookup_elem`, `bpf_perf_event_output`, `bpf_skb_load_bytes_relative`, which counts from the network
/// header.
const LOOKUP: i32 = 1;
const PERF_EVENT_OUTPUT: i32 = 25;
const LOAD_BYTES: i32 = 68;
const FROM_NETWORK: i32 = 1;
/// `BPF_F_CURRENT_CPU`.
const CURRENT_CPU: u64 = 0xffff_ffff;
/// Offsets in `struct __sk_buff`.
const LENGTH: i16 = 0;
const PROTOCOL: i16 = 16;
/// On the stack: the key, of which the answer's source comes first, and the IP header.
const KEY_AT: i16 = -40;
const DESTINATION_AT: i16 = KEY_AT + 16;
const PORTS_AT: i16 = KEY_AT + 32;
const HEADER_AT: i16 = -80;

/// What the program looks for: addresses and ports of what answers, and of who asked.
pub fn key(answers: SocketAddr, asked: SocketAddr) -> [u8; KEY] {
    let mut key = [0; KEY];
    let mut put = |at: usize, bytes: &[u8]| key[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &octets(answers.ip()));
    put(16, &octets(asked.ip()));
    put(32, &answers.port().to_be_bytes());
    put(34, &asked.port().to_be_bytes());
    key
}

/// The connection of an IP packet over TCP: its source and destination; none where it is none, or a fragment.
pub fn ends(packet: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let v6 = packet.first()? >> 4 == 6;
    let (at, next) = if v6 { (40, *packet.get(6)?) } else { (usize::from(packet[0] & 0xf) * 4, *packet.get(9)?) };
    let is_fragment = !v6 && u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
    if next != protocol::TCP || is_fragment {
        return None;
    }
    let four = |at: usize| packet.get(at..at + 4)?.first_chunk::<4>().copied();
    let sixteen = |at: usize| packet.get(at..at + 16)?.first_chunk::<16>().copied();
    let address = |v4: usize, of_v6: usize| match v6 {
        true => sixteen(of_v6).map(IpAddr::from),
        false => four(v4).map(IpAddr::from),
    };
    let [a, b, c, d] = four(at)?;
    let source = SocketAddr::new(address(12, 8)?, u16::from_be_bytes([a, b]));
    Some((source, SocketAddr::new(address(16, 24)?, u16::from_be_bytes([c, d]))))
}

/// The object's file.
///
/// # Errors
/// None that is known.
pub fn elf() -> Result<Vec<u8>> {
    let mut object = Object { license: Some("Dual MIT/GPL".into()), ..Object::default() };
    let mut add = |name: &str, shape| {
        let (values, pinning, declaration) = (Vec::new(), Pinning::None, Declaration::Generated);
        object.maps.push(Map { name: name.into(), shape, inner: None, values, pinning, declaration });
        MapId(object.maps.len() - 1)
    };
    let (kind, key_size, flags) = (map_type::HASH, KEY as u32, NO_PREALLOC);
    let checks = add(CHECKS, Shape { kind, key_size, value_size: 4, max_entries: MOST, flags, ..Shape::default() });
    let kind = map_type::PERF_EVENT_ARRAY;
    let taken = add(TAKEN, Shape { kind, key_size: 4, value_size: 4, ..Shape::default() });
    let code = code(checks, taken).finish()?;
    let mut function = function(NAME, "tc");
    let btf = object.btf.get_or_insert_default();
    let context = layers::context_pointer(btf, Direction::Egress);
    function.func_type = Some(btf.add_function(NAME, &[("ctx", context)]));
    let (file, text) = (btf.add_text("xdpilot"), btf.add_text("takes answers to health checks out"));
    function.lines.push(Line { insn: 0, file, text, position: 0 });
    (function.code, function.references) = (code.code, code.references);
    object.functions.push(function);
    Ok(elf::write(&object))
}

/// r6: the context.
fn code(checks: MapId, taken: MapId) -> Asm {
    let mut asm = Asm::default();
    let (v6, ports, next) = (asm.label(), asm.label(), asm.label());
    asm.mov(6, 1);
    (0..5).for_each(|word| asm.store_imm(Size::DW, 10, KEY_AT + 8 * word, 0));
    asm.load(Size::W, 1, 6, PROTOCOL);
    asm.jump_imm(If::Eq, 1, i32::from(ethertype::IPV6.swap_bytes()), v6);
    asm.jump_imm(If::Ne, 1, i32::from(ethertype::IPV4.swap_bytes()), next);
    load(&mut asm, 0, HEADER_AT, 20, next);
    asm.load(Size::B, 1, 10, HEADER_AT);
    asm.jump_imm(If::Ne, 1, 0x45, next);
    asm.load(Size::H, 1, 10, HEADER_AT + 6);
    asm.jump_imm(If::Set, 1, i32::from(0x3fffu16.swap_bytes()), next);
    asm.load(Size::B, 1, 10, HEADER_AT + 9);
    asm.jump_imm(If::Ne, 1, i32::from(protocol::TCP), next);
    copy(&mut asm, Size::W, HEADER_AT + 12, KEY_AT);
    copy(&mut asm, Size::W, HEADER_AT + 16, DESTINATION_AT);
    load(&mut asm, 20, PORTS_AT, 4, next);
    asm.goto(ports);

    asm.bind(v6);
    load(&mut asm, 0, HEADER_AT, 40, next);
    asm.load(Size::B, 1, 10, HEADER_AT + 6);
    asm.jump_imm(If::Ne, 1, i32::from(protocol::TCP), next);
    (0..4).for_each(|word| copy(&mut asm, Size::DW, HEADER_AT + 8 + 8 * word, KEY_AT + 8 * word));
    load(&mut asm, 40, PORTS_AT, 4, next);

    asm.bind(ports);
    asm.load_map(1, checks);
    asm.mov(2, 10);
    asm.alu64_imm(Alu::Add, 2, i32::from(KEY_AT));
    asm.call(LOOKUP);
    asm.jump_imm(If::Eq, 0, 0, next);
    // The upper half of the flags says how much of the packet is copied: all of it.
    asm.load(Size::W, 1, 6, LENGTH);
    asm.alu64_imm(Alu::Lsh, 1, 32);
    asm.mov64_wide(3, CURRENT_CPU);
    asm.alu64(Alu::Or, 3, 1);
    asm.mov(1, 6);
    asm.load_map(2, taken);
    asm.mov(4, 10);
    asm.alu64_imm(Alu::Add, 4, i32::from(KEY_AT));
    asm.mov_imm(5, 0);
    asm.call(PERF_EVENT_OUTPUT);
    asm.mov_imm(0, DROP);
    asm.exit();

    asm.bind(next);
    asm.mov_imm(0, NEXT);
    asm.exit();
    asm
}

/// Loads so many bytes behind the network header to the stack.
fn load(asm: &mut Asm, from: i32, to: i16, count: i32, short: Label) {
    asm.mov(1, 6);
    asm.mov_imm(2, from);
    asm.mov(3, 10);
    asm.alu64_imm(Alu::Add, 3, i32::from(to));
    asm.mov_imm(4, count);
    asm.mov_imm(5, FROM_NETWORK);
    asm.call(LOAD_BYTES);
    asm.jump_imm(If::Ne, 0, 0, short);
}

fn copy(asm: &mut Asm, size: Size, from: i16, to: i16) {
    asm.load(size, 1, 10, from);
    asm.store(size, 10, to, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet;

    #[test]
    fn ends_of_packets_are_those_of_their_connections() {
        for (words, is_one) in [
            ("tcp 192.0.2.1:1 > 192.0.2.2:80 syn", true),
            ("tcp 192.0.2.1:1 > 192.0.2.2:80 options 8", true),
            ("tcp [2001:db8::1]:1 > [2001:db8::2]:80", true),
            ("udp 192.0.2.1:1 > 192.0.2.2:80", false),
            ("tcp 192.0.2.1:1 > 192.0.2.2:80 frag 100", false),
        ] {
            let packet = &packet::parse(words).unwrap()[14..];
            let mut ends = words.split_whitespace().skip(1);
            let (from, to) = (ends.next().unwrap().parse().unwrap(), ends.nth(1).unwrap().parse().unwrap());
            assert_eq!(super::ends(packet), is_one.then_some((from, to)), "{words}");
            // What is cut off has none.
            (0..24)
                .for_each(|end| assert_eq!(super::ends(&packet[..end.min(packet.len())]).filter(|_| end < 20), None));
        }
    }

    #[test]
    fn it_is_a_program() {
        assert!(elf().unwrap().starts_with(b"\x7fELF"));
    }
}
