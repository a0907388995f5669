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
