//! Whole frames: what an action makes of one is the frame that is built with the new value from the start, its
//! checksums computed in full.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::cond::{Cond, Width};
use crate::packet::protocol::{DESTINATION, FRAGMENT, ICMP6, SCTP, TCP, UDP};
use crate::policy::{Assignment, Limit, Unit};
use crate::rules::Rule;

/// What a frame is built from.
#[derive(Clone)]
struct Frame {
    dst_mac: [u8; 6],
    src_mac: [u8; 6],
    /// Ethertype and VLAN of each tag.
    tags: Vec<(u16, u16)>,
    ip: Ip,
    protocol: u8,
    src_port: u16,
    dst_port: u16,
    /// Over IPv4, UDP may go without a checksum.
    udp_checksum: bool,
}

#[derive(Clone)]
enum Ip {
    V4 { src: Ipv4Addr, dst: Ipv4Addr, tos: u8, ttl: u8, fragment: u16, options: Vec<u8> },
    V6 { src: Ipv6Addr, dst: Ipv6Addr, class: u8, hops: u8, extensions: Vec<(u8, Vec<u8>)> },
}

const PAYLOAD: &[u8] = b"seven b";

fn v4() -> Frame {
    let (src, dst) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 254));
    frame(Ip::V4 { src, dst, tos: 0b101, ttl: 64, fragment: 0x4000, options: Vec::new() })
}

fn v6() -> Frame {
    let (src, dst) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7));
    frame(Ip::V6 { src, dst, class: 0xfe, hops: 255, extensions: Vec::new() })
}

fn frame(ip: Ip) -> Frame {
    let (dst_mac, src_mac) = ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    Frame { dst_mac, src_mac, tags: Vec::new(), ip, protocol: TCP, src_port: 40000, dst_port: 80, udp_checksum: true }
}

impl Frame {
    fn with(&self, change: impl FnOnce(&mut Frame)) -> Frame {
        let mut frame = self.clone();
        change(&mut frame);
        frame
    }

    fn of(&self, protocol: u8) -> Frame {
        self.with(|frame| frame.protocol = protocol)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = [self.dst_mac, self.src_mac].concat();
        for (ethertype, id) in &self.tags {
            out.extend(ethertype.to_be_bytes());
            out.extend(id.to_be_bytes());
        }
        let mut transport = self.transport();
        match &self.ip {
            Ip::V4 { src, dst, tos, ttl, fragment, options } => {
                self.checksum(&mut transport, &[src.octets(), dst.octets()].concat());
                let words = 5 + options.len() / 4;
                let length = (words * 4 + transport.len()) as u16;
                let mut header = vec![0x40 | words as u8, *tos];
                header.extend([length.to_be_bytes(), [0x12, 0x34], fragment.to_be_bytes()].concat());
                header.extend([*ttl, self.protocol, 0, 0]);
                header.extend([src.octets(), dst.octets()].concat());
                header.extend(options);
                let checksum = checksum::of(&[&header]);
                header[10..12].copy_from_slice(&checksum.to_be_bytes());
                out.extend([0x08, 0x00]);
                out.extend(header);
            }
            Ip::V6 { src, dst, class, hops, extensions } => {
                self.checksum(&mut transport, &[src.octets(), dst.octets()].concat());
                let length = extensions.iter().map(|(_, body)| body.len() + 1).sum::<usize>() + transport.len();
                out.extend([0x86, 0xdd, 0x60 | class >> 4, class << 4 | 0x0a, 0xbc, 0xde]);
                out.extend((length as u16).to_be_bytes());
                let mut kinds = extensions.iter().map(|(kind, _)| *kind).chain([self.protocol]);
                out.extend([kinds.next().unwrap(), *hops]);
                out.extend([src.octets(), dst.octets()].concat());
                for ((_, body), next) in extensions.iter().zip(kinds) {
                    out.push(next);
                    out.extend(body);
                }
            }
        }
        out.extend(transport);
        out
    }

    fn transport(&self) -> Vec<u8> {
        let mut out = [self.src_port.to_be_bytes(), self.dst_port.to_be_bytes()].concat();
        match self.protocol {
            TCP => out.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]),
            UDP => out.extend([0, 8 + PAYLOAD.len() as u8, 0, 0]),
            ICMP6 => out = vec![128, 0, 0, 0, 0, 7, 0, 1],
            _ => out.extend([0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef]),
        }
        out.extend(PAYLOAD);
        out
    }

    fn checksum(&self, transport: &mut [u8], addresses: &[u8]) {
        let Some(at) = (match self.protocol {
            TCP => Some(16),
            UDP => self.udp_checksum.then_some(6),
            ICMP6 => Some(2),
            _ => None,
        }) else {
            return;
        };
        let length = (transport.len() as u16).to_be_bytes();
        let checksum = match checksum::of(&[addresses, &length, &[0, self.protocol], transport]) {
            0 if self.protocol == UDP => 0xffff,
            checksum => checksum,
        };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[track_caller]
fn becomes(before: &Frame, assignment: Assignment, after: &Frame) {
    let mut packet = before.bytes();
    assign(&assignment, &mut packet);
    assert_eq!(packet, after.bytes(), "{assignment:?}");
}

/// The frame stays as it is, cut to each length, too.
#[track_caller]
fn stays(packet: &[u8], assignment: &Assignment) {
    for length in 0..=packet.len() {
        let mut cut = packet[..length].to_vec();
        assign(assignment, &mut cut);
        assert_eq!(cut, packet[..length], "{assignment:?}");
    }
}

const V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0xffff, 0, 0, 0x77);

fn set_src(frame: &mut Frame) {
    match &mut frame.ip {
        Ip::V4 { src, .. } => *src = V4,
        Ip::V6 { src, .. } => *src = V6,
    }
}

fn set_dst(frame: &mut Frame) {
    match &mut frame.ip {
        Ip::V4 { dst, .. } => *dst = V4,
        Ip::V6 { dst, .. } => *dst = V6,
    }
}

/// Frames whose addresses, ports, TTL and DSCP can be rewritten.
fn frames() -> Vec<Frame> {
    let mut out = Vec::new();
    for base in [v4(), v6()] {
        for tags in [vec![], vec![(0x8100, 5)], vec![(0x88a8, 7), (0x8100, 0xe00c)], vec![(0x9100, 1)]] {
            out.extend([TCP, UDP].map(|protocol| base.of(protocol).with(|frame| frame.tags = tags.clone())));
        }
    }
    out.push(v4().of(UDP).with(|frame| frame.udp_checksum = false));
    out.push(v4().with(|frame| {
        let Ip::V4 { options, fragment, .. } = &mut frame.ip else { unreachable!() };
        (*options, *fragment) = (vec![1; 40], 0x2000);
    }));
    out.push(v6().with(|frame| {
        let Ip::V6 { extensions, .. } = &mut frame.ip else { unreachable!() };
        let options = (DESTINATION, [vec![1], vec![0; 14]].concat());
        let fragment = (FRAGMENT, vec![0, 0, 1, 0, 0, 0, 9]);
        *extensions = vec![(0, vec![0; 7]), options.clone(), (51, [vec![4], vec![9; 22]].concat()), fragment, options];
    }));
    out
}

#[test]
fn fields_are_rewritten_and_checksums_follow() {
    for frame in frames() {
        let is_v6 = matches!(frame.ip, Ip::V6 { .. });
        let (src, dst) = if is_v6 {
            (Assignment::SrcV6(V6), Assignment::DstV6(V6))
        } else {
            (Assignment::SrcV4(V4), Assignment::DstV4(V4))
        };
        becomes(&frame, src, &frame.with(set_src));
        becomes(&frame, dst, &frame.with(set_dst));
        becomes(&frame, Assignment::SrcPort(1), &frame.with(|frame| frame.src_port = 1));
        becomes(&frame, Assignment::DstPort(65535), &frame.with(|frame| frame.dst_port = 65535));
        let with_ttl = frame.with(|frame| match &mut frame.ip {
            Ip::V4 { ttl, .. } => *ttl = 3,
            Ip::V6 { hops, .. } => *hops = 3,
        });
        becomes(&frame, Assignment::Ttl(3), &with_ttl);
        let with_dscp = frame.with(|frame| match &mut frame.ip {
            Ip::V4 { tos: class, .. } | Ip::V6 { class, .. } => *class = 46 << 2 | *class & 3,
        });
        becomes(&frame, Assignment::Dscp(46), &with_dscp);
        becomes(&frame, Assignment::EtherSrc([9; 6]), &frame.with(|frame| frame.src_mac = [9; 6]));
        becomes(&frame, Assignment::EtherDst([8; 6]), &frame.with(|frame| frame.dst_mac = [8; 6]));
        becomes(&frame, Assignment::VlanPush(4095), &frame.with(|frame| frame.tags.insert(0, (0x8100, 4095))));
        let popped = frame.with(|frame| frame.tags.truncate(0));
        if frame.tags.len() < 2 {
            becomes(&frame, Assignment::VlanPop, &popped);
        }
    }
}

#[test]
fn addresses_of_other_protocols_are_rewritten_too() {
    becomes(&v6().of(ICMP6), Assignment::SrcV6(V6), &v6().of(ICMP6).with(set_src));
    for protocol in [1, 47, SCTP] {
        becomes(&v4().of(protocol), Assignment::DstV4(V4), &v4().of(protocol).with(set_dst));
        becomes(&v6().of(protocol), Assignment::DstV6(V6), &v6().of(protocol).with(set_dst));
    }
}

#[test]
fn a_later_fragment_has_no_transport_header() {
    let later = v4().with(|frame| {
        let Ip::V4 { fragment, .. } = &mut frame.ip else { unreachable!() };
        *fragment = 1;
    });
    let (mut packet, old) = (later.bytes(), later.bytes());
    assign(&Assignment::SrcV4(V4), &mut packet);
    // The header is as if built anew; what follows is data, whatever it looks like.
    assert_eq!(packet[..34], later.with(set_src).bytes()[..34]);
    assert_eq!(packet[34..], old[34..]);
    stays(&old, &Assignment::SrcPort(1));
}

#[test]
fn what_lacks_the_field_stays_as_it_is() {
    stays(&v6().bytes(), &Assignment::SrcV4(V4));
    stays(&v4().bytes(), &Assignment::DstV6(V6));
    stays(&v4().of(SCTP).bytes(), &Assignment::SrcPort(1));
    stays(&v6().of(ICMP6).bytes(), &Assignment::DstPort(1));
    stays(&v4().bytes(), &Assignment::VlanPop);
    let three_tags = v4().with(|frame| frame.tags = vec![(0x8100, 1); 3]);
    stays(&three_tags.bytes(), &Assignment::Ttl(1));
    let no_ip_header = v4().bytes().into_iter().enumerate().map(|(at, byte)| if at == 14 { 0x44 } else { byte });
    stays(&no_ip_header.collect::<Vec<_>>(), &Assignment::Dscp(1));
    let nine_extensions = v6().with(|frame| {
        let Ip::V6 { extensions, .. } = &mut frame.ip else { unreachable!() };
        *extensions = vec![(DESTINATION, vec![0; 7]); 9];
    });
    stays(&nine_extensions.bytes(), &Assignment::SrcV6(V6));
}

#[test]
fn what_is_cut_before_its_checksum_stays_as_it_is() {
    for (frame, assignment, checksum) in [
        (v4(), Assignment::SrcV4(V4), 34 + 16),
        (v4().of(UDP), Assignment::DstPort(1), 34 + 6),
        (v6().of(ICMP6), Assignment::DstV6(V6), 54 + 2),
    ] {
        stays(&frame.bytes()[..checksum + 1], &assignment);
        let mut packet = frame.bytes()[..checksum + 2].to_vec();
        assign(&assignment, &mut packet);
        assert_ne!(packet, frame.bytes()[..checksum + 2]);
    }
    // The time to live needs the IP header alone.
    let mut packet = v4().bytes()[..34].to_vec();
    assign(&Assignment::Ttl(9), &mut packet);
    assert_eq!((packet[22], checksum::of(&[&packet[14..]])), (9, 0));
}

#[test]
fn a_wrong_checksum_stays_wrong_by_the_same_amount() {
    let mut packet = v4().bytes();
    let wrong = u16::from_be_bytes([packet[24], packet[25]]).wrapping_add(5);
    packet[24..26].copy_from_slice(&wrong.to_be_bytes());
    assign(&Assignment::Ttl(63), &mut packet);
    let right = v4().with(|frame| {
        let Ip::V4 { ttl, .. } = &mut frame.ip else { unreachable!() };
        *ttl = 63;
    });
    let right = u16::from_be_bytes([right.bytes()[24], right.bytes()[25]]);
    assert_eq!(u16::from_be_bytes([packet[24], packet[25]]), right.wrapping_add(5));
}

#[test]
fn reflecting_swaps_all_addresses_and_ports() {
    for frame in frames() {
        let reflected = frame.with(|frame| {
            (frame.src_mac, frame.dst_mac) = (frame.dst_mac, frame.src_mac);
            (frame.src_port, frame.dst_port) = (frame.dst_port, frame.src_port);
            match &mut frame.ip {
                Ip::V4 { src, dst, .. } => (*src, *dst) = (*dst, *src),
                Ip::V6 { src, dst, .. } => (*src, *dst) = (*dst, *src),
            }
        });
        let mut packet = frame.bytes();
        reflect(&mut packet);
        assert_eq!(packet, reflected.bytes());
    }
}

fn rules(rules: Vec<(Action, Cond)>, default: Verdict) -> Rules {
    let rule = |(line, (action, cond))| Rule { cond, action, line, text: String::new() };
    let rules = (1..).zip(rules).map(rule).collect();
    Rules {
        name: "policy".into(),
        file: "f.xdp".into(),
        rules,
        default,
        default_line: 0,
        sets: Vec::new(),
        pools: Vec::new(),
    }
}

#[test]
fn the_first_verdict_wins_and_sees_what_was_rewritten() {
    let tagged = Cond::equals(12, Width::Two, 0x8100);
    let rules = rules(
        vec![
            (Action::Verdict(Verdict::Abort), tagged.clone()),
            (Action::Set(Assignment::VlanPush(3)), Cond::Always(true)),
            (Action::Count("tagged".into()), tagged.clone()),
            (Action::Verdict(Verdict::Tx), tagged),
            (Action::Verdict(Verdict::Drop), Cond::Always(true)),
        ],
        Verdict::Pass,
    );
    let mut machine = Machine::new(&rules);
    let mut packet = v4().bytes();
    let length = packet.len() as u64;
    let outcome = machine.run(&mut packet, 0, None);
    assert_eq!((outcome.verdict, outcome.rule), (Verdict::Tx, Some(3)));
    assert_eq!(packet, v4().with(|frame| frame.tags = vec![(0x8100, 3)]).bytes());
    let hits: Vec<_> = (0..6).map(|rule| machine.hits(rule)).collect();
    // The length is that of the arrival.
    assert_eq!(hits, [(0, 0), (1, length), (1, length), (1, length), (0, 0), (0, 0)]);
}

#[test]
fn what_no_rule_decides_is_the_defaults() {
    let rules = rules(vec![(Action::Verdict(Verdict::Drop), Cond::Always(false))], Verdict::Redirect("eth1".into()));
    let mut machine = Machine::new(&rules);
    let outcome = machine.run(&mut Vec::new(), 0, None);
    assert_eq!((outcome.verdict, outcome.rule), (Verdict::Redirect("eth1".into()), None));
    assert_eq!((machine.hits(0), machine.hits(1)), ((0, 0), (1, 0)));
}

#[test]
fn each_nth_packet_is_sampled_as_it_is_then() {
    let sample = Action::Sample { one_in: 3, snap: Some(16) };
    let push = Action::Set(Assignment::VlanPush(1));
    let rules = rules(vec![(push, Cond::Always(true)), (sample, Cond::Always(true))], Verdict::Pass);
    let mut machine = Machine::new(&rules);
    let samples: Vec<Vec<Sample>> = (0..7).map(|_| machine.run(&mut v4().bytes(), 0, None).samples).collect();
    assert_eq!(samples.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0, 1, 0, 0, 1]);
    let sample = &samples[3][0];
    assert_eq!((sample.rule, sample.length, sample.bytes.len()), (1, v4().bytes().len() + 4, 16));
    assert_eq!(sample.bytes[12..], [0x81, 0, 0, 1]);
}

#[test]
fn what_exceeds_a_limit_is_dropped_by_its_rule() {
    let limit = Limit { rate: 1, unit: Unit::Packets, burst: 2, per: vec![crate::policy::Key::Src] };
    let rules = rules(vec![(Action::Limit(limit), Cond::Always(true))], Verdict::Pass);
    let mut machine = Machine::new(&rules);
    let now = 1_000_000_000;
    let mut run = |frame: &Frame| machine.run(&mut frame.bytes(), now, None);
    for (frame, verdict, rule) in [
        (v4(), Verdict::Pass, None),
        (v4(), Verdict::Pass, None),
        (v4(), Verdict::Drop, Some(0)),
        (v6(), Verdict::Pass, None),
        (v4().with(set_dst), Verdict::Drop, Some(0)),
        (v4().with(set_src), Verdict::Pass, None),
    ] {
        let outcome = run(&frame);
        assert_eq!((outcome.verdict, outcome.rule), (verdict, rule));
    }
    assert_eq!(machine.hits(0).0, 6);
}
