//! Checksums that a sender on this machine left to its device, which a virtual one never computes: the field holds only
//! the sum of the pseudo header (RFC 9293, section 3.1; RFC 768; RFC 8200, section 8.1), not complemented.

use crate::eval::checksum;
use crate::packet::{Ip, protocol};

/// Segments of so many bytes and more stay as they are.
const TOO_LONG: usize = 0x4000;

/// Whether the checksum of a packet, which has a whole TCP or UDP header and is no fragment, is still to be computed: the
/// field is the pseudo header's sum, and is not right by chance.
pub(super) fn is_partial(bytes: &[u8], ip: &Ip, total: usize) -> bool {
    let Some(segment) = segment(bytes, ip, total) else { return false };
    let pseudo = pseudo(bytes, ip, segment.len());
    let is_right = checksum::of(&[&pseudo, segment]) == 0;
    ip.checksum.is_some_and(|at| bytes[at..at + 2] == (!checksum::of(&[&pseudo])).to_be_bytes()) && !is_right
}

/// Computes the checksum.
pub(super) fn complete(bytes: &mut [u8], ip: &Ip, total: usize) {
    write(bytes, ip, [0, 0]);
    let Some(segment) = segment(bytes, ip, total) else { return };
    let sum = match checksum::of(&[&pseudo(bytes, ip, segment.len()), segment]) {
        0 if ip.protocol == Some(protocol::UDP) => 0xffff,
        sum => sum,
    };
    write(bytes, ip, sum.to_be_bytes());
}

/// Leaves it to whoever gets the packet: the field becomes the sum of the pseudo header as it is now.
pub(super) fn leave(bytes: &mut [u8], ip: &Ip, total: usize) {
    let Some(segment) = segment(bytes, ip, total) else { return };
    let sum = !checksum::of(&[&pseudo(bytes, ip, segment.len())]);
    write(bytes, ip, sum.to_be_bytes());
}

fn write(bytes: &mut [u8], ip: &Ip, sum: [u8; 2]) {
    if let Some(at) = ip.checksum {
        bytes[at..at + 2].copy_from_slice(&sum);
    }
}

fn segment<'b>(bytes: &'b [u8], ip: &Ip, total: usize) -> Option<&'b [u8]> {
    bytes.get(ip.transport?..ip.at + total).filter(|segment| segment.len() < TOO_LONG)
}

/// Addresses, length, protocol.
fn pseudo(bytes: &[u8], ip: &Ip, length: usize) -> Vec<u8> {
    let numbers = [(length as u16).to_be_bytes(), [0, ip.protocol.unwrap_or_default()]].concat();
    [&bytes[ip.src()], &bytes[ip.dst()], &numbers].concat()
}
