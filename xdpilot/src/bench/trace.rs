//! What a program is measured on.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use xdpilot_core::draw;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::pcap::Reader;
use xdpilot_core::rules::Rules;

use super::mix;

/// So many packets are drawn, and of a capture are taken at most.
const MOST: usize = 65_536;
/// Below that a branch predictor learns the trace.
const FEW: usize = 1024;
/// What the kernel runs a program on, in bytes: at least an Ethernet header, at most what a page holds beside the
/// kernel's own data.
const LENGTHS: std::ops::RangeInclusive<usize> = 14..=3072;

/// Of a hundred packets that are drawn, so many are strangers to all rules.
const STRANGERS: usize = 10;
/// Any number will do; it stays so that figures can be compared.
const SEED: u64 = 0x6472_6177;

/// Packets in their order, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// The packets.
    pub(super) packets: Vec<Vec<u8>>,
    /// Where they come from, for people.
    pub(super) name: String,
    /// What was left out or changed, a sentence each.
    pub(super) notes: Vec<String>,
}

impl Trace {
    /// The built-in mix: always the same packets.
    pub(super) fn mix() -> Self {
        Trace { packets: mix::frames(), name: "the built-in mix".into(), notes: Vec::new() }
    }

    /// Packets drawn from the rules of a policy: always the same.
    pub(super) fn drawn(rules: &Rules) -> Self {
        let draw::Drawn { packets, given_up } = draw::packets(rules, MOST, STRANGERS, SEED);
        let mut notes = Vec::new();
        if let Some(first) = given_up.first().and_then(|rule| rules.rules.get(*rule)) {
            notes.push(format!(
                "for {} of {} rules no packet was found that they match, the first of them in line {}",
                given_up.len(),
                rules.rules.len(),
                first.line
            ));
        }
        Trace { packets, name: format!("drawn from {}, {STRANGERS} % strangers", rules.file), notes }
    }

    /// The packets of a capture.
    ///
    /// # Errors
    /// It cannot be read, or has no packet that a program can run on.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let what = || format!("read {}", path.display());
        let file = File::open(path).map_err(|error| Error::usage(what()).kernel(error.to_string()))?;
        let mut reader = Reader::new(BufReader::new(file)).map_err(|error| error.context(path.display()))?;
        let (mut packets, mut notes, mut left_out) = (Vec::new(), Vec::new(), 0usize);
        while let Some(packet) = reader.next_packet().map_err(|error| error.context(path.display()))? {
            if packets.len() == MOST {
                notes.push(format!("only the first {MOST} packets are taken"));
                break;
            }
            if LENGTHS.contains(&packet.bytes.len()) {
                packets.push(packet.bytes);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            notes.push(format!("{left_out} packets are left out: a program runs on {least} to {most} bytes"));
        }
        if packets.is_empty() {
            return Err(Error::usage(what()).cause("it has no packet that a program can be run on"));
        }
        if packets.len() < FEW {
            notes.push(format!("{} packets are soon foreseen: on a link the program costs more", packets.len()));
        }
        Ok(Trace { packets, name: path.display().to_string(), notes })
    }
}
