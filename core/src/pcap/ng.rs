//! pcapng: blocks, of which sections, interfaces and packets matter here.

use std::io::Read;

use super::{Input, LONGEST, Packet, check_link_type, malformed};
use crate::error::Result;

/// The type of the block that begins a section, the same in both byte orders.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// A block's type and its length, before and after it.
const FRAME: u32 = 12;
/// A block may hold a packet and what was said about it; larger ones that matter are taken for nonsense.
const LARGEST_BLOCK: u32 = 16 << 20;

/// What the blocks so far have said.
#[derive(Debug)]
pub(super) struct State {
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u32,
    /// Packets are cut to this length.
    snapshot: u32,
    /// Units of time in a second.
    resolution: u64,
    /// Seconds that are added to all times.
    offset: i64,
}

impl State {
    /// Reads the first section's block, whose type has been read.
    pub(super) fn start<R: Read>(input: &mut Input<R>) -> Result<State> {
        section(input)?;
        Ok(State { interfaces: Vec::new() })
    }

    pub(super) fn next_packet<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>> {
        loop {
            let Some(kind) = input.array::<4>("block")? else { return Ok(None) };
            if kind == SECTION.to_be_bytes() {
                section(input)?;
                self.interfaces.clear();
                continue;
            }
            let kind = input.u32(kind);
            let length = input.need::<4>("block")?;
            let length = input.u32(length);
            if length < FRAME || !length.is_multiple_of(4) {
                return Err(malformed(format!("a block of {length} bytes")));
            }
            let matters = matches!(kind, INTERFACE | OLD_PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
            if !matters {
                input.skip(u64::from(length) - 8, "block")?;
                continue;
            }
            if length > LARGEST_BLOCK {
                return Err(malformed(format!("a block of {length} bytes; the largest that is taken is 16 MiB")));
            }
            let body = input.bytes((length - FRAME) as usize, "block")?;
            input.skip(4, "block")?;
            if kind == INTERFACE {
                self.interfaces.push(interface(input, &body)?);
            } else {
                return self.packet(input, kind, &body).map(Some);
            }
        }
    }

    fn packet<R: Read>(&self, input: &Input<R>, kind: u32, body: &[u8]) -> Result<Packet> {
        let (head, index) = match kind {
            ENHANCED_PACKET => (20, input.u32_at(body, 0) as usize),
            OLD_PACKET => (20, usize::from(input.u16([byte(body, 0), byte(body, 1)]))),
            _ => (4, 0),
        };
        if body.len() < head {
            return Err(malformed("a packet's block that is too short".into()));
        }
        let Some(interface) = self.interfaces.get(index) else {
            return Err(malformed(format!("a packet of interface {index}, which the file does not describe")));
        };
        check_link_type(interface.link_type)?;
        let (time, captured, length) = if kind == SIMPLE_PACKET {
            let length = input.u32_at(body, 0);
            (0, length.min(interface.snapshot), length)
        } else {
            let units = u64::from(input.u32_at(body, 4)) << 32 | u64::from(input.u32_at(body, 8));
            (interface.nanoseconds(units), input.u32_at(body, 12), input.u32_at(body, 16))
        };
        if captured > LONGEST {
            return Err(malformed(format!("a packet of {captured} bytes; the longest that is taken has {LONGEST}")));
        }
        let Some(bytes) = body.get(head..head + captured as usize) else {
            return Err(malformed(format!("a packet of {captured} bytes in a block of {}", body.len())));
        };
        let kept = bytes.len().min(interface.snapshot as usize);
        Ok(Packet { time, length, bytes: bytes[..kept].to_vec() })
    }
}

impl Interface {
    fn nanoseconds(self, units: u64) -> u64 {
        let nanoseconds = u128::from(units) * 1_000_000_000 / u128::from(self.resolution);
        let shifted = i128::try_from(nanoseconds).unwrap_or(i128::MAX) + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(shifted).unwrap_or(0)
    }
}

/// Reads a section's block behind its type, and learns its byte order.
fn section<R: Read>(input: &mut Input<R>) -> Result<()> {
    let length = input.need::<4>("section header")?;
    let order: [u8; 4] = input.need("section header")?;
    input.big = match order {
        order if order == BYTE_ORDER.to_be_bytes() => true,
        order if order == BYTE_ORDER.to_le_bytes() => false,
        _ => return Err(malformed("a section without pcapng's byte-order mark".into())),
    };
    let length = input.u32(length);
    let version = input.need::<4>("section header")?;
    let major = input.u16([version[0], version[1]]);
    if major != 1 || length < 28 || !length.is_multiple_of(4) {
        return Err(malformed(format!("a section of {length} bytes in version {major} of pcapng")));
    }
    input.skip(u64::from(length) - 16, "section header")
}

fn interface<R: Read>(input: &Input<R>, body: &[u8]) -> Result<Interface> {
    if body.len() < 8 {
        return Err(malformed("an interface's block that is too short".into()));
    }
    let link_type = u32::from(input.u16([body[0], body[1]]));
    let snapshot = match input.u32_at(body, 4) {
        length @ 1..=0x7fff_ffff => length,
        _ => LONGEST,
    };
    let mut interface = Interface { link_type, snapshot, resolution: 1_000_000, offset: 0 };
    let mut options = &body[8..];
    while let [a, b, c, d, rest @ ..] = options {
        const END: u16 = 0;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let (code, length) = (input.u16([*a, *b]), usize::from(input.u16([*c, *d])));
        let Some(value) = rest.get(..length).filter(|_| code != END) else { break };
        match (code, value) {
            (RESOLUTION, [power, ..]) => interface.resolution = resolution(*power)?,
            (OFFSET, [high_or_low @ .., _]) if high_or_low.len() == 7 => {
                let (first, second) = (input.u32_at(value, 0), input.u32_at(value, 4));
                let (high, low) = if input.big { (first, second) } else { (second, first) };
                interface.offset = (u64::from(high) << 32 | u64::from(low)).cast_signed();
            }
            _ => {}
        }
        options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(interface)
}

/// Units in a second: a power of 2 where the highest bit is set, else of 10.
fn resolution(power: u8) -> Result<u64> {
    let base = if power & 0x80 == 0 { 10u64 } else { 2 };
    let units = base.checked_pow(u32::from(power & 0x7f));
    units.ok_or_else(|| malformed(format!("times in units of {base}^-{} seconds", power & 0x7f)))
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}
