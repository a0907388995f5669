use std::fmt::Write;

use super::*;

#[test]
fn a_line_of_classbench_is_a_rule() {
    let text = "@10.1.2.3/8\t1.2.3.4/32\t1024 : 65535\t80 : 80\t0x06/0xFF\t0x1000/0x1000\t\r\n\
                @0.0.0.0/0  10.0.0.0/9  0 : 65535  0 : 65535  0x11/0xff\r\n\
                @0.0.0.0/0  0.0.0.0/0  53 : 53  0 : 65535  0x00/0x00 0x0000/0x0000 extra\n\
                @0.0.0.0/0 0.0.0.0/0 0:65535 0:65535 0x2F/0xFF\n\
                @0.0.0.0/0 0.0.0.0/0 0:65535 7:8 0x84/0xFF\n\
                @0.0.0.0/0 0.0.0.0/0 0:65535 0:65535 0x00/0x00";
    let imported = imported(text, &REQUEST);
    assert_eq!(
        imported.policy,
        "drop when ip src net 10.0.0.0/8 and ip dst host 1.2.3.4 and tcp src portrange 1024-65535 and tcp dst port 80\n\
         drop when ip dst net 10.0.0.0/9 and ip proto 17\n\
         drop when ip and src port 53\n\
         drop when ip proto 47\n\
         drop when ip and sctp dst portrange 7-8\n\
         drop when ip\n"
    );
    assert_eq!((imported.format, imported.rules, imported.left_out.len()), (Format::Classbench, 6, 0));
}

#[test]
fn what_classbench_says_in_vain_is_left_out() {
    let text = "@1.2.3.4/32 5.6.7.8/32 0 : 65535 80 : 80 0x01/0xFF\n\
                @1.2.3.4/32 5.6.7.8/32 0 : 65535 9 : 8 0x06/0xFF\n\
                @1.2.3.4/33 5.6.7.8/32 0 : 65535 0 : 65535 0x06/0xFF\n\
                @1.2.3.4/32 5.6.7.8/32 0 : 65535 0 : 65535 0x06/0xF0\n\
                @1.2.3.4/32 5.6.7.8/32 0 : 65535\n";
    let imported = imported(text, &REQUEST);
    assert_eq!(
        reasons(&imported),
        [
            (Some(1), "packets of protocol 1 have no ports"),
            (Some(2), "9 : 8 is no range of ports"),
            (Some(3), "1.2.3.4/33 is no IPv4 prefix"),
            (Some(4), "0x06/0xF0 is several protocols"),
            (Some(5), "there is no destination port"),
        ]
    );
}

/// One of few, so that rules overlap and packets hit.
fn address(random: &mut Random) -> u32 {
    0x0a00_0000 | random.between(0, 3) << 22 | random.between(0, 3)
}

fn port(random: &mut Random) -> u16 {
    [0, 22, 53, 80, 443, 1023, 1024, 65535][random.below(8)]
}

struct Line {
    prefixes: [(u32, u32); 2],
    ports: [(u16, u16); 2],
    protocol: Option<u8>,
}

impl Line {
    fn draw(random: &mut Random) -> Self {
        let lengths = [0, 8, 10, 30, 31, 32];
        let prefixes = [(); 2].map(|()| (address(random), lengths[random.below(6)]));
        let protocol = [None, Some(6), Some(17), Some(1), Some(132)][random.below(5)];
        let ports = [(); 2].map(|()| match random.below(2) {
            0 => (0, 65535),
            _ if protocol == Some(1) => (0, 65535),
            _ => {
                let (one, other) = (port(random), port(random));
                (one.min(other), one.max(other))
            }
        });
        Line { prefixes, ports, protocol }
    }

    fn write(&self, out: &mut String) {
        let [source, destination] =
            self.prefixes.map(|(address, length)| format!("{}/{length}", std::net::Ipv4Addr::from_bits(address)));
        let [(s1, s2), (d1, d2)] = self.ports;
        let protocol = self.protocol.map_or("0x00/0x00".into(), |number| format!("{number:#04x}/0xFF"));
        _ = writeln!(out, "@{source}\t{destination}\t{s1} : {s2}\t{d1} : {d2}\t{protocol}\t0x0000/0x0000\t");
    }

    fn matches(&self, addresses: [u32; 2], ports: Option<[u16; 2]>, protocol: u8) -> bool {
        let within = |((prefix, length), address): (&(u32, u32), u32)| {
            *length == 0 || prefix >> (32 - length) == address >> (32 - length)
        };
        let full = |range: &(u16, u16)| *range == (0, 65535);
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && self.prefixes.iter().zip(addresses).all(within)
            && (0..2).all(|side| {
                full(&self.ports[side])
                    || ports.is_some_and(|ports| (self.ports[side].0..=self.ports[side].1).contains(&ports[side]))
            })
    }
}

#[test]
fn classbench_means_what_a_linear_search_finds() {
    let mut random = Random::new(7);
    let mut decided = 0;
    for _ in 0..60 {
        let lines: Vec<Line> = (0..30).map(|_| Line::draw(&mut random)).collect();
        let mut text = String::new();
        lines.iter().for_each(|line| line.write(&mut text));
        let rules = rules(&imported(&text, &REQUEST).policy);
        let mut machine = Machine::new(&rules);
        for _ in 0..100 {
            let addresses = [(); 2].map(|()| address(&mut random));
            let protocol = [6, 17, 132, 1, 47][random.below(5)];
            let ports = matches!(protocol, 6 | 17 | 132).then(|| [(); 2].map(|()| port(&mut random)));
            let [source, destination] = addresses.map(std::net::Ipv4Addr::from_bits);
            let words = match (protocol, ports) {
                (6, Some([s, d])) => format!("tcp {source}:{s} > {destination}:{d}"),
                (17, Some([s, d])) => format!("udp {source}:{s} > {destination}:{d}"),
                (_, Some([s, d])) => format!("sctp {source}:{s} > {destination}:{d}"),
                (number, None) => format!("ip proto {number} {source} > {destination}"),
            };
            let expected = lines.iter().position(|line| line.matches(addresses, ports, protocol));
            let found = machine.run(&mut packet::parse(&words).unwrap(), 0, None).rule;
            assert_eq!(found, expected, "{words}\n{text}");
            decided += usize::from(found.is_some());
        }
    }
    assert!((1000..5900).contains(&decided), "{decided}");
}

#[test]
fn flags_are_told() {
    let line = "@1.2.3.4/32\t5.6.7.8/32\t0 : 65535\t80 : 80\t0x06/0xFF\t";
    let flags = |words: &str| imported(&format!("{line}0x0000/0x0000\n{line}{words}\n"), &REQUEST).notes;
    assert_eq!(flags("0x0000/0x0000"), Vec::<String>::new());
    assert_eq!(flags(""), Vec::<String>::new());
    assert_eq!(
        flags("0x0200/0x1200 more"),
        ["flags in a column behind the protocol are not looked at: 1 lines have some"]
    );
}
