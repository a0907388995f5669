//! Files made by hand from the specifications; `xdpilot/tests` compares with tcpdump.

use super::*;

fn packets(file: &[u8]) -> (Vec<Packet>, Option<Error>) {
    let mut out = Vec::new();
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (out, Some(error)),
    };
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => out.push(packet),
            Ok(None) => return (out, None),
            Err(error) => return (out, Some(error)),
        }
    }
}

fn words(big: bool, words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| if big { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
}

fn version(big: bool, major: u16, minor: u16) -> u32 {
    let (major, minor) = (u32::from(major), u32::from(minor));
    if big { major << 16 | minor } else { minor << 16 | major }
}

#[test]
fn both_byte_orders_and_units_of_time_are_read() {
    for big in [false, true] {
        for (magic, nanoseconds) in [(0xa1b2_c3d4, 7000), (0xa1b2_3c4d, 7)] {
            let mut file = words(big, &[magic, version(big, 2, 4), 0, 0, 65535, 1, 3, 7, 2, 60]);
            file.extend([0xaa, 0xbb]);
            let expected = Packet { time: 3_000_000_000 + nanoseconds, length: 60, bytes: vec![0xaa, 0xbb] };
            assert_eq!(packets(&file), (vec![expected], None));
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    let written = vec![
        Packet { time: 1_700_000_000_123_456_789, length: 4, bytes: vec![1, 2, 3, 4] },
        Packet { time: 0, length: 9000, bytes: Vec::new() },
    ];
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    written.iter().for_each(|packet| writer.write(packet).unwrap());
    writer.finish().unwrap();
    assert_eq!(packets(&file), (written, None));
}

#[test]
fn a_truncated_file_gives_what_is_whole() {
    let mut file = words(false, &[0xa1b2_c3d4, version(false, 2, 4), 0, 0, 0, 1]);
    for _ in 0..2 {
        file.extend(words(false, &[0, 0, 4, 4, 0xffff_ffff]));
    }
    for length in 0..=file.len() {
        let (packets, error) = packets(&file[..length]);
        assert_eq!(packets.len(), length.saturating_sub(24) / 20, "{length}");
        assert_eq!(error.is_none(), matches!(length, 24 | 44 | 64), "{length}");
    }
}

#[test]
fn a_packet_longer_than_the_snapshot_is_cut_to_it() {
    let mut file = words(true, &[0xa1b2_c3d4, version(true, 2, 4), 0, 0, 2, 1]);
    for _ in 0..2 {
        file.extend(words(true, &[0, 0, 4, 4, 0x0102_0304]));
    }
    let packet = Packet { time: 0, length: 4, bytes: vec![1, 2] };
    assert_eq!(packets(&file), (vec![packet.clone(), packet], None));
}

#[test]
fn other_link_types_and_other_files_are_told() {
    let cooked = words(true, &[0xa1b2_c3d4, version(true, 2, 4), 0, 0, 2, 113]);
    let error = packets(&cooked).1.unwrap();
    assert!(error.cause_text().unwrap().contains("113 (Linux cooked"), "{error}");
    let error = packets(b"#!/bin/sh\n").1.unwrap();
    assert!(error.cause_text().unwrap().contains("neither pcap nor pcapng"), "{error}");
    assert!(packets(b"").1.unwrap().cause_text().unwrap().contains("empty"));
}

/// A block with its length at both ends.
fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len().next_multiple_of(4) as u32 + 12;
    let mut out = words(big, &[kind, length]);
    out.extend(body);
    out.resize(length as usize - 4, 0);
    out.extend(words(big, &[length]));
    out
}

fn option(big: bool, code: u16, value: &[u8]) -> Vec<u8> {
    let numbers = [code, value.len() as u16];
    let mut out: Vec<u8> =
        numbers.iter().flat_map(|number| if big { number.to_be_bytes() } else { number.to_le_bytes() }).collect();
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn ng(big: bool, options: &[u8], blocks: &[Vec<u8>]) -> Vec<u8> {
    let section = words(big, &[0x1a2b_3c4d, version(big, 1, 0), u32::MAX, u32::MAX]);
    let link = if big { 1u32 << 16 } else { 1 };
    let interface = [words(big, &[link, 0]), options.to_vec()].concat();
    let mut out = [block(big, 0x0a0d_0d0a, &section), block(big, 1, &interface)].concat();
    out.extend(blocks.concat());
    out
}

#[test]
fn the_blocks_of_pcapng_are_read() {
    for big in [false, true] {
        let enhanced = [words(big, &[0, 1, 5, 3, 60]), vec![1, 2, 3]].concat();
        let simple = [words(big, &[2]), vec![8, 9]].concat();
        let statistics = words(big, &[0, 0, 0]);
        let blocks = [block(big, 5, &statistics), block(big, 6, &enhanced), block(big, 3, &simple)];
        let units = (1 << 32) + 5;
        for (options, time) in [
            (Vec::new(), units * 1000),
            (option(big, 9, &[9]), units),
            (option(big, 9, &[0x80 | 10]), (u128::from(units) * 1_000_000_000 / 1024) as u64),
            ([option(big, 2, b"eth0"), option(big, 9, &[3]), option(big, 0, &[])].concat(), units * 1_000_000),
            (option(big, 14, &words(big, if big { &[0, 100] } else { &[100, 0] })), units * 1000 + 100_000_000_000),
        ] {
            let expected =
                [Packet { time, length: 60, bytes: vec![1, 2, 3] }, Packet { time: 0, length: 2, bytes: vec![8, 9] }];
            // A second section has interfaces of its own, and may be in the other order.
            let file = [ng(big, &options, &blocks), ng(!big, &[], &[])].concat();
            assert_eq!(packets(&file), (expected.to_vec(), None), "{options:?}");
        }
    }
}

#[test]
fn nonsense_is_an_error() {
    let packet = words(false, &[0, 0, 0, 100, 100]);
    let (_, error) = packets(&ng(false, &[], &[block(false, 6, &packet)]));
    assert!(error.unwrap().cause_text().unwrap().contains("a packet of 100 bytes in a block of 20"));
    let other = words(false, &[1, 0, 0, 0, 0]);
    let (_, error) = packets(&ng(false, &[], &[block(false, 6, &other)]));
    assert!(error.unwrap().cause_text().unwrap().contains("interface 1"));
    let whole = ng(false, &option(false, 9, &[9]), &[block(false, 6, &words(false, &[0, 0, 0, 0, 0]))]);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut file = whole.clone();
            file[at] = value;
            packets(&file);
            packets(&file[..at]);
        }
    }
}
