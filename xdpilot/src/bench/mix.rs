//! The built-in trace: what a busy link carries, always the same, too varied for a branch predictor to learn.

use xdpilot_core::draw;
use xdpilot_core::random::Random;

/// Number of packets.
const PACKETS: usize = 16_384;
/// Any number will do; it stays so that figures can be compared.
const SEED: u64 = 0x0078_6470_696c_6f74;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;
/// Well-known ports of the servers.
const PORTS: [u16; 12] = [443, 443, 443, 80, 53, 53, 22, 25, 123, 8080, 3306, 5060];

/// The packets. Checksums are zero: programs that look at packets on their way do
/// not check them.
pub(super) fn frames() -> Vec<Vec<u8>> {
    let mut random = Random::new(SEED);
    (0..PACKETS).map(|_| frame(&mut random)).collect()
}

fn frame(random: &mut Random) -> Vec<u8> {
    let length = draw::length(random);
    let mut bytes = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 1, random.next() as u8]].concat();
    if random.chance(5) {
        bytes.extend([0x81, 0x00, 0x00, random.next() as u8]);
    }
    match random.below(100) {
        0..2 => arp(random, &mut bytes),
        2..70 => ipv4(random, &mut bytes, length),
        _ => ipv6(random, &mut bytes, length),
    }
    bytes.resize(length, 0);
    bytes
}

fn arp(random: &mut Random, bytes: &mut Vec<u8>) {
    bytes.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 + random.below(2) as u8]);
    bytes.extend(random.bytes::<20>());
}

fn ipv4(random: &mut Random, bytes: &mut Vec<u8>, length: usize) {
    let protocol = [TCP, UDP, ICMP][pick(random)];
    let options = if random.chance(1) { 4 } else { 0 };
    let fragment: u16 = if random.chance(2) { 0x2000 | (random.below(3) as u16 * 185) } else { 0x4000 };
    let total = (length - bytes.len().min(length)) as u16;
    bytes.extend([0x08, 0x00, 0x45 + options / 4, 0]);
    bytes.extend(total.to_be_bytes());
    bytes.extend(random.bytes::<2>());
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([32 + random.below(224) as u8, protocol, 0, 0]);
    // 65,536 clients and 256 servers, either way.
    let client = [10, 1, random.next() as u8, random.next() as u8];
    let server = [10, 2, 0, random.next() as u8];
    let (source, destination) = if random.chance(50) { (client, server) } else { (server, client) };
    bytes.extend([source, destination].concat());
    bytes.extend(vec![1; options.into()]);
    transport(random, bytes, protocol, source == server);
}

fn ipv6(random: &mut Random, bytes: &mut Vec<u8>, length: usize) {
    let protocol = [TCP, UDP, ICMP6][pick(random)];
    let fragmented = random.chance(2);
    let payload = length.saturating_sub(bytes.len() + 42) as u16;
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    bytes.extend(payload.to_be_bytes());
    bytes.extend([if fragmented { 44 } else { protocol }, 64]);
    let mut address = |network: u8| {
        let mut address = [0x20, 0x01, 0x0d, 0xb8, 0, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        address[14..].copy_from_slice(&random.bytes::<2>());
        address
    };
    let (client, server) = (address(1), address(2));
    let answers = random.chance(50);
    bytes.extend(if answers { [server, client] } else { [client, server] }.concat());
    if fragmented {
        bytes.extend([protocol, 0, 0, 1]);
        bytes.extend(random.bytes::<4>());
    }
    transport(random, bytes, protocol, answers);
}

/// Of TCP, UDP and ICMP which.
fn pick(random: &mut Random) -> usize {
    match random.below(100) {
        0..65 => 0,
        65..94 => 1,
        _ => 2,
    }
}

fn transport(random: &mut Random, bytes: &mut Vec<u8>, protocol: u8, answers: bool) {
    if !matches!(protocol, TCP | UDP) {
        bytes.extend([if answers { 0 } else { 8 }, 0, 0, 0]);
        bytes.extend(random.bytes::<60>());
        return;
    }
    let (server, client) = (PORTS[random.below(PORTS.len())], 32_768 + random.below(28_000) as u16);
    let (source, destination) = if answers { (server, client) } else { (client, server) };
    bytes.extend([source.to_be_bytes(), destination.to_be_bytes()].concat());
    if protocol == TCP {
        bytes.extend(random.bytes::<8>());
        bytes.extend([0x50, if random.chance(5) { 0x02 } else { 0x10 }, 0xff, 0xff, 0, 0, 0, 0]);
    } else {
        bytes.extend([0, 40, 0, 0]);
    }
    bytes.extend(random.bytes::<160>());
}
