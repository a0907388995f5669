//! Captures: files of packets in pcap's and pcapng's forms, read and written.
//!
//! What is read is what libpcap reads: a packet longer than the file's snapshot is cut to it, one longer than
//! [`LONGEST`] is an error, and so is a file that ends in the middle of a packet.
//! Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, libpcap's `sf-pcap.c` and `sf-pcapng.c`.

mod classic;
mod ng;
mod write;

use std::io::{ErrorKind, Read};

pub use write::Writer;

use crate::error::{Error, Result};

/// The longest packet that a capture may hold, in bytes (`MAXIMUM_SNAPLEN`).
pub const LONGEST: u32 = 262_144;
/// The link type of Ethernet.
const ETHERNET: u32 = 1;

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When it was seen, in nanoseconds since 1970; 0 where the file does not tell.
    pub time: u64,
    /// Its length on the wire, in bytes; the capture may have cut it.
    pub length: u32,
    /// What was captured of it, from its Ethernet header on.
    pub bytes: Vec<u8>,
}

/// Reads a capture packet by packet.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Classic(classic::Header),
    Ng(ng::State),
}

impl<R: Read> Reader<R> {
    /// Reads the head of the file, which tells its form.
    ///
    /// # Errors
    /// It is no capture, or one of another link type than Ethernet.
    pub fn new(input: R) -> Result<Self> {
        let mut input = Input { input, big: false };
        let magic: [u8; 4] = match input.array("file header")? {
            Some(magic) => magic,
            None => return Err(Error::usage("read the capture").cause("the file is empty")),
        };
        let form = if magic == ng::SECTION.to_be_bytes() {
            Form::Ng(ng::State::start(&mut input)?)
        } else if let Some(header) = classic::Header::read(magic, &mut input)? {
            Form::Classic(header)
        } else {
            let [a, b, c, d] = magic;
            let cause = format!("it begins with {a:02x} {b:02x} {c:02x} {d:02x}: neither pcap nor pcapng");
            return Err(Error::usage("read the capture").cause(cause));
        };
        Ok(Reader { input, form })
    }

    /// The next packet; none at the end of the file.
    ///
    /// # Errors
    /// The file ends in the middle of a packet or cannot be read, or what stands there makes no sense.
    pub fn next_packet(&mut self) -> Result<Option<Packet>> {
        match &mut self.form {
            Form::Classic(header) => header.next_packet(&mut self.input),
            Form::Ng(state) => state.next_packet(&mut self.input),
        }
    }
}

/// Numbers and bytes of the file.
#[derive(Debug)]
struct Input<R> {
    input: R,
    /// Whether numbers stand with their high byte first.
    big: bool,
}

impl<R: Read> Input<R> {
    /// The next bytes; none where the file ends before the first of them.
    fn array<const N: usize>(&mut self, what: &str) -> Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        let got = self.fill(&mut bytes)?;
        if got == 0 {
            return Ok(None);
        }
        if got < N {
            return Err(truncated(what, N, got));
        }
        Ok(Some(bytes))
    }

    /// The next bytes, which have to be there.
    fn need<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        self.array(what)?.ok_or_else(|| truncated(what, N, 0))
    }

    fn bytes(&mut self, length: usize, what: &str) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let got = self.fill(&mut bytes)?;
        if got < length { Err(truncated(what, length, got)) } else { Ok(bytes) }
    }

    fn skip(&mut self, length: u64, what: &str) -> Result<()> {
        let got = std::io::copy(&mut (&mut self.input).take(length), &mut std::io::sink()).map_err(unreadable)?;
        let as_size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        if got < length { Err(truncated(what, as_size(length), as_size(got))) } else { Ok(()) }
    }

    /// Reads until the bytes are full or the file ends; how many there were.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let mut got = 0;
        while got < bytes.len() {
            match self.input.read(&mut bytes[got..]) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(got)
    }

    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The number at an offset of these bytes, which are long enough.
    fn u32_at(&self, bytes: &[u8], at: usize) -> u32 {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        self.u32(four.unwrap_or_default())
    }
}

fn truncated(what: &str, wanted: usize, got: usize) -> Error {
    Error::failed("read the capture")
        .cause(format!("the file is truncated: {wanted} bytes of a {what} were expected, {got} are there"))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::failed("read the capture").kernel(error.to_string())
}

fn malformed(cause: String) -> Error {
    Error::failed("read the capture").cause(cause)
}

fn check_link_type(link_type: u32) -> Result<()> {
    if link_type == ETHERNET {
        return Ok(());
    }
    let known = [
        (0, "BSD loopback"),
        (101, "raw IP"),
        (105, "802.11"),
        (113, "Linux cooked, of a capture on \"any\""),
        (127, "802.11 with radiotap"),
        (228, "raw IPv4"),
        (229, "raw IPv6"),
        (276, "Linux cooked v2, of a capture on \"any\""),
    ];
    let name = known.iter().find(|(number, _)| *number == link_type).map_or("unknown here", |(_, name)| name);
    Err(Error::usage("read the capture")
        .cause(format!("its link type is {link_type} ({name}); XDP sees Ethernet frames (1)"))
        .mend("capture on one Ethernet interface: tcpdump -i eth0 -w FILE"))
}

#[cfg(test)]
mod tests;
