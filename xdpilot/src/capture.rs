//! Captures that the user names: pcap or pcapng, also compressed by gzip; `-` is the standard input.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::pcap::{Packet, Reader};

/// The first bytes of what gzip has compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes that are read from the file at once.
const CHUNK: usize = 1 << 16;

/// An open capture.
pub struct Capture {
    name: PathBuf,
    reader: Reader<Box<dyn Read>>,
}

impl Capture {
    /// Opens a capture.
    ///
    /// # Errors
    /// It cannot be read, is no capture, or has another link type than Ethernet.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: &io::Error| {
            let error_of = Error::usage(format!("read {}", path.display())).errno(error.raw_os_error().unwrap_or(0));
            error_of.kernel(error.to_string().split(" (os error").next().unwrap_or_default().to_owned())
        };
        let mut input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(|e| failed(&e))?)
        };
        let mut head = Vec::new();
        input.by_ref().take(GZIP.len() as u64).read_to_end(&mut head).map_err(|error| failed(&error))?;
        let compressed = head == GZIP;
        let whole = BufReader::with_capacity(CHUNK, io::Cursor::new(head).chain(input));
        let plain: Box<dyn Read> = match compressed {
            true => Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(whole))),
            false => Box::new(whole),
        };
        let reader = Reader::new(plain).map_err(|error| error.context(path.display()))?;
        Ok(Capture { name: path.to_owned(), reader })
    }

    /// The next packet; none at the end.
    ///
    /// # Errors
    /// The file is truncated or malformed; the packets before were sound.
    pub fn next_packet(&mut self) -> Result<Option<Packet>> {
        self.reader.next_packet().map_err(|error| error.context(self.name.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use xdpilot_core::pcap::Writer;

    #[test]
    fn compressed_captures_are_read_as_plain_ones() {
        let packet = Packet { time: 1_000_000_007, length: 3, bytes: vec![1, 2, 3] };
        let mut plain = Vec::new();
        let mut writer = Writer::new(&mut plain).unwrap();
        writer.write(&packet).unwrap();
        writer.finish().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.pcap", plain), ("a.pcap.gz", gzip.finish().unwrap())] {
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            let mut capture = Capture::open(&path).unwrap();
            assert_eq!(capture.next_packet().unwrap(), Some(packet.clone()), "{name}");
            assert_eq!(capture.next_packet().unwrap(), None);
            std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            let mut cut = Capture::open(&path).unwrap();
            assert!((0..2).any(|_| cut.next_packet().is_err()), "{name}");
        }
    }
}
