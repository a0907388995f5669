//! Packets of every kind that a filter may ask for, and what is left of them where they are cut off.

/// Bytes one after the other.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [0x02, 0, 0, 0, 0, 2, 0xab, 0xcd, 0xef, 0, 0, 1];
    join(&[&addresses, &kind.to_be_bytes(), payload])
}

/// To a group's address.
fn group(mut frame: Vec<u8>, address: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&address);
    frame
}

fn tag(kind: u16, id: u16, next: u16, payload: &[u8]) -> (u16, Vec<u8>) {
    (kind, join(&[&(0x6000 | id).to_be_bytes(), &next.to_be_bytes(), payload]))
}

/// An IPv4 packet: protocol, options, flags and fragment offset.
fn ipv4(protocol: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let words = 5 + u8::try_from(options.len() / 4).unwrap();
    let length = u16::try_from(20 + options.len() + payload.len()).unwrap();
    let [f, g] = fragment.to_be_bytes();
    let [l, m] = length.to_be_bytes();
    let header = [0x40 | words, 0x10, l, m, 0, 7, f, g, 64, protocol, 0, 0, 10, 1, 2, 3, 192, 168, 0, 1];
    join(&[&header, options, payload])
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [l, m] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let src = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let dst = [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    join(&[&[0x60, 0, 0, 0, l, m, next, 64], &src, &dst, payload])
}

fn tcp(src: u16, dst: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports = join(&[&src.to_be_bytes(), &dst.to_be_bytes()]);
    join(&[&ports, &[0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 1, 0, 0, 0, 0, 0], payload])
}

fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload])
}

fn sctp(src: u16, dst: u16) -> Vec<u8> {
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &[0, 0, 0, 9, 0, 0, 0, 0, 1, 0, 0, 20]])
}

/// An extension header of IPv6, 8 bytes long.
fn extension(next: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&[next, 0, 1, 4, 0, 0, 0, 0], payload])
}

/// An authentication header that says to be `length + 2` words long, and is six of them.
fn authentication(next: u8, length: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&[next, length, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], payload])
}

fn arp(operation: u8, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
    let header = [0, 1, 8, 0, 6, 4, 0, operation];
    join(&[&header, &[0xab, 0xcd, 0xef, 0, 0, 1], &src, &[2, 0, 0, 0, 0, 2], &dst])
}

/// An IEEE 802.3 frame.
fn llc(payload: &[u8]) -> Vec<u8> {
    ethernet(u16::try_from(payload.len()).unwrap(), payload)
}

fn snap(organization: [u8; 3], kind: u16, payload: &[u8]) -> Vec<u8> {
    llc(&join(&[&[0xaa, 0xaa, 3], &organization, &kind.to_be_bytes(), payload]))
}

fn isis(kind: u8) -> Vec<u8> {
    llc(&[0xfe, 0xfe, 3, 0x83, 27, 1, 0, kind, 1, 0, 0, 0, 1, 2, 3, 4])
}

fn label(label: u32, bottom: bool) -> [u8; 4] {
    (label << 12 | u32::from(bottom) << 8 | 64).to_be_bytes()
}

fn pppoe(session: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap();
    let header = join(&[&[0x11, 0], &session.to_be_bytes(), &length.to_be_bytes(), &protocol.to_be_bytes()]);
    ethernet(0x8864, &join(&[&header, payload]))
}

/// A GENEVE header with words of options, and what it carries.
fn geneve(first: u8, network: u32, kind: u16, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = network.to_be_bytes();
    let options = vec![0; 4 * usize::from(first & 0x3f)];
    let header = join(&[&[first, 0], &kind.to_be_bytes(), &[a, b, c, 0], &options]);
    udp(5000, 6081, &join(&[&header, payload]))
}

fn decnet(flags: &[u8], addresses: &[u8]) -> Vec<u8> {
    ethernet(0x6003, &join(&[&[20, 0], flags, addresses, &[0; 8]]))
}

/// IPv4 and what it carries.
fn over_ipv4() -> Vec<Vec<u8>> {
    let request = b"GET / HTTP/1.1\r\n";
    let v4 = |protocol, payload: &[u8]| ethernet(0x800, &ipv4(protocol, &[], 0, payload));
    vec![
        v4(6, &tcp(43210, 80, 0x18, request)),
        v4(6, &tcp(22, 50000, 0x02, &[])),
        ethernet(0x800, &ipv4(6, &[1; 12], 0x4000, &tcp(80, 80, 0x12, request))),
        ethernet(0x800, &ipv4(6, &[], 0x2000, &tcp(1, 443, 0x10, &[1, 2, 3]))),
        ethernet(0x800, &ipv4(6, &[], 0x2005, &tcp(80, 443, 0x10, &[1, 2, 3]))),
        v4(17, &udp(53, 53, &[1, 0, 0, 0, 5])),
        v4(17, &udp(68, 67, &[1; 9])),
        ethernet(0x800, &ipv4(17, &[1; 4], 1, &udp(53, 53, &[]))),
        v4(132, &sctp(5672, 1023)),
        v4(1, &[8, 0, 1, 2, 3, 4, 5, 6]),
        v4(1, &[3, 1, 1, 2, 3, 4, 5, 6, 7, 8]),
        v4(2, &[0x16, 0, 1, 2, 224, 0, 0, 9]),
        v4(9, &[1; 12]),
        v4(50, &[1; 8]),
        v4(51, &authentication(6, 4, &tcp(80, 80, 2, &[]))),
        v4(51, &authentication(51, 9, &authentication(17, 4, &udp(7, 7, &[])))),
        v4(103, &[0x20, 0, 1, 2]),
        v4(112, &[0x21, 1, 100, 1]),
        v4(88, &[2; 8]),
        group(ethernet(0x800, &ipv4(17, &[], 0, &udp(1, 2, &[]))), [1, 0, 0x5e, 0, 0, 1]),
        // A header shorter than it can be, and another version.
        ethernet(0x800, &[0x42, 0, 0, 40, 0, 0, 0, 0, 9, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 0, 80, 1, 2, 3]),
        ethernet(0x800, &[0x40, 0, 0, 40, 0, 0, 0, 0, 9, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 0, 80, 1, 2, 3]),
    ]
}

/// IPv6 and what it carries.
fn over_ipv6() -> Vec<Vec<u8>> {
    let v6 = |next, payload: &[u8]| ethernet(0x86dd, &ipv6(next, payload));
    vec![
        v6(6, &tcp(43210, 80, 0x02, b"GET /")),
        v6(17, &udp(53, 5353, &[0, 1, 2])),
        v6(58, &[128, 0, 1, 2, 3, 4, 5, 6]),
        v6(58, &[135, 0, 0, 0, 0, 0, 0, 0]),
        v6(132, &sctp(7, 80)),
        v6(0, &extension(6, &tcp(80, 80, 2, &[]))),
        v6(44, &extension(17, &udp(53, 53, &[]))),
        v6(44, &extension(6, &tcp(53, 53, 0x10, &[]))),
        v6(0, &extension(43, &extension(60, &extension(44, &extension(51, &authentication(58, 4, &[1; 8])))))),
        v6(51, &authentication(59, 12, &[0; 4])),
        v6(59, &[]),
        v6(103, &[0x20, 0, 1, 2]),
        group(v6(17, &udp(547, 546, &[])), [0x33, 0x33, 0, 0, 0, 1]),
    ]
}

/// Frames that carry neither, and frames with more headers before it.
fn others() -> Vec<Vec<u8>> {
    let inner = ipv4(6, &[], 0, &tcp(43210, 80, 0x18, b"GET"));
    let inner6 = ipv6(17, &udp(53, 53, &[]));
    let tagged = |(kind, payload): (u16, Vec<u8>)| ethernet(kind, &payload);
    let stacked = |outer, kind, (next, payload): (u16, Vec<u8>)| tagged(tag(outer, kind, next, &payload));
    let mpls = |labels: &[[u8; 4]], payload: &[u8]| ethernet(0x8847, &join(&[&labels.concat(), payload]));
    vec![
        group(ethernet(0x806, &arp(1, [10, 1, 2, 3], [192, 168, 0, 1])), [0xff; 6]),
        ethernet(0x8035, &arp(3, [10, 1, 2, 3], [1, 2, 3, 4])),
        tagged(tag(0x8100, 10, 0x800, &inner)),
        tagged(tag(0x8100, 10, 0x806, &arp(2, [10, 1, 2, 3], [192, 168, 0, 1]))),
        stacked(0x88a8, 300, tag(0x8100, 10, 0x86dd, &inner6)),
        stacked(0x9100, 10, tag(0x8100, 20, 0x800, &inner)),
        mpls(&[label(100, true)], &inner),
        mpls(&[label(100_000, false), label(100, true)], &inner6),
        mpls(&[label(100, false), label(3, false), label(4, true)], &inner),
        tagged(tag(0x8100, 10, 0x8847, &join(&[&label(100, true), &inner]))),
        ethernet(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0]),
        pppoe(5, 0x21, &inner),
        pppoe(0x0021, 0x57, &inner6),
        pppoe(7, 0xc021, &[1, 1, 0, 4]),
        isis(15),
        isis(17),
        isis(18),
        isis(20),
        isis(24),
        isis(27),
        llc(&[0xfe, 0xfe, 3, 0x82, 1, 2, 3]),
        llc(&[0xfe, 0xfe, 3, 0x81, 1, 2, 3]),
        group(llc(&[0x42, 0x42, 3, 0, 0, 0, 0, 0, 1, 2, 3]), [1, 0x80, 0xc2, 0, 0, 0]),
        llc(&[0xf0, 0xf0, 0, 1, 2, 3]),
        llc(&[0xf0, 0xf0, 5, 1, 2, 3]),
        llc(&[0xe0, 0xe0, 3, 0xff, 0xff, 1]),
        llc(&[0xff, 0xff, 0, 30, 1, 2]),
        llc(&[0x06, 0x06, 0xe3, 1, 2]),
        llc(&[0, 0, 0xaf, 1]),
        llc(&[0, 1, 0x87, 1]),
        llc(&[4, 4, 0x1f, 1]),
        snap([0, 0, 0], 0x8137, &[1, 2, 3]),
        snap([8, 0, 7], 0x809b, &[1, 2, 3]),
        snap([0, 0, 0], 0x80f3, &[1, 2, 3]),
        snap([0, 0, 0], 0x800, &inner),
        ethernet(0x8137, &[0xff, 0xff, 1, 2]),
        ethernet(0x809b, &[1, 2, 3, 4]),
        ethernet(0x80f3, &[1, 2, 3, 4]),
        ethernet(0x9000, &[0; 6]),
        ethernet(0x6001, &[1, 2, 3]),
        ethernet(0x6002, &[1, 2, 3]),
        ethernet(0x6004, &[1, 2, 3]),
        ethernet(0x6007, &[1, 2, 3]),
        decnet(&[0x02], &[1, 4, 0xfc, 0xca]),
        decnet(&[0x81, 0x02], &[1, 4, 0xfc, 0xca]),
        decnet(&[0x06], &[0, 0, 0xaa, 0, 4, 0, 1, 4, 0, 0, 0xaa, 0, 4, 0, 0xfc, 0xca]),
        decnet(&[0x81, 0x06], &[0, 0, 0xaa, 0, 4, 0, 1, 4, 0, 0, 0xaa, 0, 4, 0, 0xfc, 0xca]),
        ethernet(1500, &[0xfe, 0xfe, 3]),
        ethernet(1501, &[0xfe, 0xfe, 3]),
    ]
}

/// GENEVE tunnels.
fn tunnels() -> Vec<Vec<u8>> {
    let inner = ipv4(6, &[], 0, &tcp(43210, 80, 0x18, b"GET"));
    let inner6 = ipv6(17, &udp(53, 53, &[]));
    let frame = ethernet(0x800, &inner);
    let in_frame = geneve(1, 12345, 0x6558, &frame);
    let twice = geneve(0, 1, 0x6558, &ethernet(0x800, &ipv4(17, &[], 0, &in_frame)));
    vec![
        ethernet(0x800, &ipv4(17, &[], 0, &in_frame)),
        ethernet(0x800, &ipv4(17, &[1; 8], 0, &geneve(0, 12345, 0x800, &inner))),
        ethernet(0x86dd, &ipv6(17, &geneve(2, 7, 0x86dd, &inner6))),
        ethernet(0x86dd, &ipv6(17, &geneve(0, 7, 0x6558, &group(frame, [0xff; 6])))),
        ethernet(0x800, &ipv4(17, &[], 0, &geneve(0x40, 7, 0x800, &inner))),
        ethernet(0x800, &ipv4(17, &[], 0, &twice)),
    ]
}

/// All of them.
pub(crate) fn all() -> Vec<Vec<u8>> {
    [over_ipv4(), over_ipv6(), others(), tunnels()].concat()
}

/// Beyond so many bytes packets are not cut off: of packets of 64 KiB that would be gigabytes.
const CUT: usize = 2048;

/// What is left of packets cut off behind each of their bytes, the whole packets included.
pub(crate) fn prefixes(packets: &[Vec<u8>]) -> Vec<&[u8]> {
    let cut = |packet: &'_ [u8]| (0..=packet.len().min(CUT)).chain([packet.len()]);
    let mut all: Vec<&[u8]> = packets.iter().flat_map(|packet| cut(packet).map(|end| &packet[..end])).collect();
    all.sort_unstable();
    all.dedup();
    all
}
