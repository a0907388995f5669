use super::*;

fn made(words: &str) -> Vec<u8> {
    parse(words).unwrap_or_else(|problem| panic!("{}", problem.show("words", words)))
}

#[test]
fn descriptions_are_read_again() {
    for words in [
        "tcp 10.0.0.1:1 > 10.0.0.2:80 syn",
        "tcp [2001:db8::1]:53 > [2001:db8::2]:99 syn,ack",
        "udp 1.2.3.4:999 > 10.0.0.80:69",
        "udp 1.2.3.4:999 > 10.0.0.80:69 frag 0+",
        "sctp 1.2.3.4:999 > 10.0.0.80:69",
        "icmp 10.0.0.1 > 10.0.0.2 echo-request",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable code 3",
        "icmp 10.0.0.1 > 10.0.0.2 type 77",
        "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicitation",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        "arp reply 10.0.0.1 is-at 02:00:00:00:00:07",
        "ip proto 89 1.2.3.4 > 5.6.7.8",
        "ip proto 17 1.2.3.4 > 5.6.7.8 frag 100+",
        "ip6 proto 6 2001:db8::1 > 2001:db8::2 frag 100",
        "tcp 10.0.0.1:1 > 10.0.0.2:80 none vlan 10 vlan 20",
        "ether type 0x88cc",
    ] {
        let frame = made(words);
        assert_eq!(describe(&frame), format!("{words}, {} bytes", frame.len()));
    }
}

/// Lengths and checksums added up by hand: 4500 + 001f + 4011 + 0a00 + 0001 + 0a00 + 0002 = 9933, whose complement is
/// 66cc; 2 * 0a00 + 1 + 2 + 11 + b of the pseudo header, 1 + 35 + b of the header, and 6162 + 6300 are d8c2, and 273d.
#[test]
fn a_whole_frame() {
    let expected =
        made("hex \"020000000002 020000000001 0800 4500001f00000000401166cc0a0000010a000002 00010035000b273d616263\"");
    assert_eq!(made("udp 10.0.0.1:1 > 10.0.0.2:53 payload \"abc\""), expected);
}

/// What a receiver checks: the sum over header, pseudo header and payload, its checksum among them, is all ones.
#[test]
fn checksums_are_right() {
    for words in [
        "tcp 10.0.0.1:1 > 10.0.0.2:80 syn payload \"odd\"",
        "tcp [2001:db8::1]:53 > [2001:db8::2]:99 ext 0,60 dscp 46",
        "udp 1.2.3.4:999 > 10.0.0.80:69 options 8 len 101",
        "udp [2001:db8::1]:53 > [2001:db8::2]:99 vlan 7 payload \"x\"",
        "icmp 10.0.0.1 > 10.0.0.2 ttl 3",
        "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicitation",
    ] {
        let frame = made(words);
        let ip = layers(&frame).ip.unwrap();
        let transport = ip.transport.unwrap();
        let protocol = ip.protocol.unwrap();
        let mut covered = Vec::new();
        if protocol != protocol::ICMP {
            covered.extend_from_slice(&frame[ip.src()]);
            covered.extend_from_slice(&frame[ip.dst()]);
            covered.extend([0, protocol]);
            covered.extend(u16::try_from(frame.len() - transport).unwrap().to_be_bytes());
        }
        covered.extend_from_slice(&frame[transport..]);
        assert_eq!(checksum::ones_complement(&[&covered]), 0, "{words}");
        if !ip.v6 {
            let header = &frame[ip.at..transport];
            assert_eq!(checksum::ones_complement(&[header]), 0, "{words}");
            assert_eq!(usize::from(u16::from_be_bytes([header[2], header[3]])), frame.len() - ip.at, "{words}");
        } else {
            let length = u16::from_be_bytes([frame[ip.at + 4], frame[ip.at + 5]]);
            assert_eq!(usize::from(length), frame.len() - ip.at - 40, "{words}");
        }
    }
}

#[test]
fn headers_end_where_bytes_end() {
    let whole = made("tcp [2001:db8::1]:53 > [2001:db8::2]:99 vlan 5 vlan 6 ext 0,60");
    let ip = |bytes: &[u8]| layers(bytes).ip;
    assert_eq!((layers(&whole).tags, layers(&whole).ethertype), (2, Some(ethertype::IPV6)));
    let full = ip(&whole).unwrap();
    assert_eq!((full.transport, full.ports, full.checksum), (Some(78), Some(78), Some(94)));
    assert_eq!(ip(&whole[..61]), None);
    assert_eq!(ip(&whole[..62]).unwrap().protocol, None);
    assert_eq!(ip(&whole[..77]).unwrap().protocol, None);
    let bare = ip(&whole[..78]).unwrap();
    assert_eq!((bare.protocol, bare.transport, bare.ports), (Some(6), Some(78), None));
    assert!(!bare.can_rewrite());
    assert_eq!(ip(&whole[..82]).unwrap().ports, Some(78));
    assert_eq!(ip(&whole[..95]).unwrap().checksum, None);
    assert!(ip(&whole[..96]).unwrap().can_rewrite());
    let third_tag = made("tcp 1.2.3.4:5 > 1.2.3.4:6 vlan 1 vlan 2 vlan 3");
    assert_eq!(layers(&third_tag), Layers { tags: 2, ethertype: Some(ethertype::VLAN), ip: None });
    let many = |count: usize| made(&format!("udp [::1]:1 > [::2]:2 ext {}", vec!["60"; count].join(",")));
    assert_eq!(ip(&many(8)).unwrap().protocol, Some(protocol::UDP));
    assert_eq!(ip(&many(9)).unwrap().protocol, None);
    let later = ip(&made("ip proto 6 1.2.3.4 > 5.6.7.8 frag 1 payload \"12345678\"")).unwrap();
    assert_eq!((later.later_fragment, later.transport, later.protocol), (true, None, Some(6)));
    assert!(later.can_rewrite());
}

#[test]
fn any_bytes_are_described() {
    let whole = made("tcp [2001:db8::1]:53 > [2001:db8::2]:99 vlan 5 ext 0,44 frag 0+");
    for end in 0..=whole.len() {
        assert!(describe(&whole[..end]).ends_with(&format!(", {end} bytes")));
    }
}

#[test]
fn wrong_words_are_told() {
    for (words, at, what) in [
        ("", 0..0, "the packet ends here"),
        ("tpc 1.2.3.4:5 > 1.2.3.4:6", 0..3, "unexpected tpc"),
        ("tcp 1.2.3.4:5 > [::1]:6", 16..23, "source and destination are of different families"),
        ("tcp 1.2.3.4:5 > 1.2.3.4:6 sny", 26..29, "unexpected sny"),
        ("arp who-has 1.2.3.4 tell 1.2.3.5 ttl 5", 33..36, "this packet takes no ttl"),
        ("udp 1.2.3.4:5 > 1.2.3.4:6 len 10", 26..29, "the packet has 42 bytes"),
        ("hex \"0\"", 4..7, "these are not bytes"),
    ] {
        let problem = parse(words).unwrap_err();
        assert_eq!((problem.span, problem.what.as_str()), (at, what), "{words}");
    }
}
