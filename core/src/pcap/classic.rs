//! The form that tcpdump writes: one header, and one before each packet.

use std::io::Read;

use super::{Input, LONGEST, Packet, check_link_type, malformed};
use crate::error::Result;

/// What the file's header says.
#[derive(Debug)]
pub(super) struct Header {
    /// Nanoseconds in a unit of the second part of times.
    unit: u64,
    /// Bytes of a packet's header.
    record: usize,
    /// Packets are cut to this length.
    snapshot: u32,
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// With 8 more bytes in each packet's header (Alexey Kuznetsov's patch of old libpcaps).
const LONG_RECORDS: u32 = 0xa1b2_cd34;

impl Header {
    /// Reads the rest of the header; none where the magic number is that of another form.
    pub(super) fn read<R: Read>(magic: [u8; 4], input: &mut Input<R>) -> Result<Option<Header>> {
        let of = |number: u32| match number {
            MICROSECONDS => Some((1000, 16)),
            NANOSECONDS => Some((1, 16)),
            LONG_RECORDS => Some((1000, 24)),
            _ => None,
        };
        let big = of(u32::from_be_bytes(magic));
        input.big = big.is_some();
        let Some((unit, record)) = big.or_else(|| of(u32::from_le_bytes(magic))) else { return Ok(None) };
        let rest: [u8; 20] = input.need("file header")?;
        // The upper bits tell of a frame check sequence.
        check_link_type(input.u32_at(&rest, 16) & 0x03ff_ffff)?;
        let snapshot = match input.u32_at(&rest, 12) {
            length @ 1..=0x7fff_ffff => length,
            _ => LONGEST,
        };
        Ok(Some(Header { unit, record, snapshot }))
    }

    pub(super) fn next_packet<R: Read>(&self, input: &mut Input<R>) -> Result<Option<Packet>> {
        let Some(head) = input.array::<16>("packet header")? else { return Ok(None) };
        input.skip(self.record as u64 - 16, "packet header")?;
        let [seconds, fraction, captured, length] = [0, 4, 8, 12].map(|at| input.u32_at(&head, at));
        if captured > LONGEST {
            return Err(malformed(format!("a packet of {captured} bytes; the longest that is taken has {LONGEST}")));
        }
        let kept = captured.min(self.snapshot);
        let bytes = input.bytes(kept as usize, "packet")?;
        input.skip(u64::from(captured - kept), "packet")?;
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit;
        Ok(Some(Packet { time, length, bytes }))
    }
}
