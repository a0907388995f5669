//! The installed tcpdump, and files that it reads and writes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// What libpcap's optimizer says where it finds that nothing can match.
const NEVER: &str = "expression rejects all packets";

/// A capture of packets of which each has its number as its time.
pub(crate) fn capture(packets: &[&[u8]]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut out = [word(0xa1b2_c3d4), [2, 0, 4, 0], word(0), word(0), word(262_144), word(1)].concat();
    for (index, packet) in packets.iter().enumerate() {
        out.extend([word(index), word(0), word(packet.len()), word(packet.len())].concat());
        out.extend_from_slice(packet);
    }
    out
}

/// The numbers of the packets of a capture for which an expression holds.
pub(crate) fn matching(expression: &str, capture: &[u8]) -> Result<BTreeSet<usize>, String> {
    let arguments = ["-n", "-r", "-", "-w", "-", "--", expression];
    let (output, error) = run(&arguments, capture);
    match error {
        Some(error) if error.contains(NEVER) => Ok(BTreeSet::new()),
        Some(error) => Err(error),
        None => Ok(records(&output).into_iter().map(|(number, _)| number).collect()),
    }
}

/// Whether an expression is taken for Ethernet.
pub(crate) fn accepts(expression: &str) -> Result<(), String> {
    match run(&["-n", "-d", "-y", "EN10MB", "--", expression], &[]).1 {
        Some(error) if !error.contains(NEVER) => Err(error),
        _ => Ok(()),
    }
}

/// What tcpdump writes, and its complaint if it fails.
fn run(arguments: &[&str], input: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut command = Command::new("tcpdump");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("tcpdump is installed");
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    thread::scope(|scope| {
        // It reads nothing of what it refuses.
        scope.spawn(move || _ = stdin.write_all(input));
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).unwrap();
        let ended = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&ended.stderr).into_owned();
        (output, (!ended.status.success()).then_some(error))
    })
}

/// Seconds and bytes of the packets of a capture in the byte order of this machine's files.
fn records(file: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let little = file.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]) || file.starts_with(&[0x4d, 0x3c, 0xb2, 0xa1]);
    let word = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = file.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    };
    let (mut at, mut records) = (24, Vec::new());
    while let (Some(seconds), Some(length)) = (word(at), word(at + 8)) {
        let Some(packet) = file.get(at + 16..at + 16 + length) else { break };
        records.push((seconds, packet.to_vec()));
        at += 16 + length;
    }
    records
}

/// The Ethernet frames of all captures in a folder.
pub(crate) fn captures(folder: &Path) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = fs::read(&path).unwrap();
        let magic = file.get(..4).unwrap_or_default();
        let link = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => file.get(20),
            [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => file.get(23),
            _ => None,
        };
        if link == Some(&1) {
            packets.extend(records(&file).into_iter().map(|(_, packet)| packet));
        } else {
            println!("{} is no capture of Ethernet frames", path.display());
        }
    }
    packets.sort();
    packets.dedup();
    packets
}
