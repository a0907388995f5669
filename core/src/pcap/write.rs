//! Writing captures, in pcap's form with nanoseconds.

use std::io::{self, Write};

use super::{ETHERNET, LONGEST, Packet};

/// Writes a capture packet by packet.
#[derive(Debug)]
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Writes the file's header.
    ///
    /// # Errors
    /// What the output says.
    pub fn new(mut output: W) -> io::Result<Self> {
        let version_2_4 = 4u32 << 16 | 2;
        for number in [0xa1b2_3c4d, version_2_4, 0, 0, LONGEST, ETHERNET] {
            output.write_all(&number.to_le_bytes())?;
        }
        Ok(Writer(output))
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&mut self, packet: &Packet) -> io::Result<()> {
        const SECOND: u64 = 1_000_000_000;
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        let seconds = u32::try_from(packet.time / SECOND).unwrap_or(u32::MAX);
        for number in [seconds, (packet.time % SECOND) as u32, captured, packet.length] {
            self.0.write_all(&number.to_le_bytes())?;
        }
        self.0.write_all(&packet.bytes)
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}
