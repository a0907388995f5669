use std::fmt::Write;

use super::*;
use crate::eval::Machine;
use crate::policy::{self, Element};
use crate::rules::Rules;
use crate::{error, packet};

const REQUEST: Request<'_> =
    Request { format: None, name: "list", chain: None, interface: None, verdict: Verdict::Drop };

fn rules(text: &str) -> Rules {
    let document = policy::parse(text).unwrap();
    let request = policy::Request { policy: None, file: "f", inbound: true, resolve: None };
    let mut no_files = |_: &str| -> Result<Vec<Element>> { Ok(Vec::new()) };
    policy::resolve(&document, &request, &mut no_files)
        .unwrap_or_else(|problems| panic!("{}", problems[0].show("f", text)))
}

#[track_caller]
fn imported(text: &str, request: &Request<'_>) -> Imported {
    let imported = import(text, request).unwrap();
    // It prints as it is printed by `fmt`, and means something.
    assert_eq!(policy::format(&imported.policy).unwrap(), imported.policy);
    assert_eq!(rules(&imported.policy).rules.len(), imported.rules);
    imported
}

/// The verdict on each packet.
#[track_caller]
fn verdicts(policy: &str, packets: &[&str]) -> String {
    let rules = rules(policy);
    let mut machine = Machine::new(&rules);
    let verdict = |words: &&str| machine.run(&mut packet::parse(words).unwrap(), 0, None).verdict.to_string();
    packets.iter().map(verdict).collect::<Vec<_>>().join(" ")
}

fn reasons(imported: &Imported) -> Vec<(Option<u32>, &str)> {
    imported.left_out.iter().map(|what| (what.line, what.reason.as_str())).collect()
}

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

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// One of few, so that rules overlap and packets hit.
    fn address(&mut self) -> u32 {
        0x0a00_0000 | (self.below(4) as u32) << 22 | self.below(4) as u32
    }

    fn port(&mut self) -> u16 {
        [0, 22, 53, 80, 443, 1023, 1024, 65535][self.below(8) as usize]
    }
}

struct Line {
    prefixes: [(u32, u32); 2],
    ports: [(u16, u16); 2],
    protocol: Option<u8>,
}

impl Line {
    fn draw(random: &mut Random) -> Self {
        let lengths = [0, 8, 10, 30, 31, 32];
        let prefixes = [(); 2].map(|()| (random.address(), lengths[random.below(6) as usize]));
        let protocol = [None, Some(6), Some(17), Some(1), Some(132)][random.below(5) as usize];
        let ports = [(); 2].map(|()| match random.below(2) {
            0 => (0, 65535),
            _ if protocol == Some(1) => (0, 65535),
            _ => {
                let (one, other) = (random.port(), random.port());
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
    let mut random = Random(7);
    let mut decided = 0;
    for _ in 0..60 {
        let lines: Vec<Line> = (0..30).map(|_| Line::draw(&mut random)).collect();
        let mut text = String::new();
        lines.iter().for_each(|line| line.write(&mut text));
        let rules = rules(&imported(&text, &REQUEST).policy);
        let mut machine = Machine::new(&rules);
        for _ in 0..100 {
            let addresses = [(); 2].map(|()| random.address());
            let protocol = [6, 17, 132, 1, 47][random.below(5) as usize];
            let ports = matches!(protocol, 6 | 17 | 132).then(|| [(); 2].map(|()| random.port()));
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

const TABLES: &str = r#"# Generated by iptables-save v1.8.9
*raw
:PREROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:SYN - [0:0]
:OTHER - [0:0]
-A INPUT -i lo -j ACCEPT
[5:300] -A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j DROP
-A INPUT -p tcp -m multiport --dports 80,443,8000:8010 -m comment --comment "the web" -j ACCEPT
-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j SYN
-A INPUT -p icmp -m icmp --icmp-type 8/0 -j ACCEPT
-A INPUT -p udp -m udp ! --dport 53 -j LOG --log-prefix "odd udp: " --log-level 7
-A INPUT -p udp -m udp --dport 5353 -j REJECT --reject-with icmp-port-unreachable
-A INPUT -p udp -j ACCEPT
-A SYN -s 10.9.0.0/16 -j RETURN
-A SYN -p tcp -m tcp --dport 25 -g OTHER
-A SYN -j ACCEPT
-A OTHER -s 10.1.1.1/32 -j ACCEPT
COMMIT
"#;

#[test]
fn chains_of_iptables_are_one_list() {
    let imported = imported(TABLES, &REQUEST);
    assert!(imported.left_out.is_empty(), "{:?}", imported.left_out);
    assert!(imported.policy.contains("count odd-udp"), "{}", imported.policy);
    assert!(imported.policy.contains("  # the web"), "{}", imported.policy);
    assert!(imported.notes.iter().any(|note| note.contains("filter/FORWARD is not imported")), "{:?}", imported.notes);
    let packets = [
        ("tcp 11.0.0.1:9 > 1.1.1.1:22 syn", "drop"),
        ("tcp 10.0.0.1:9 > 1.1.1.1:22 syn", "pass"),
        ("tcp 10.9.0.1:9 > 1.1.1.1:22 syn", "drop"),
        ("tcp 10.9.0.1:9 > 1.1.1.1:8005 syn", "pass"),
        ("tcp 10.0.0.1:9 > 1.1.1.1:25 syn", "drop"),
        ("tcp 10.1.1.1:9 > 1.1.1.1:25 syn", "pass"),
        ("tcp 10.1.1.1:9 > 1.1.1.1:25 ack", "drop"),
        ("icmp 10.1.1.1 > 1.1.1.1 echo-request", "pass"),
        ("icmp 10.1.1.1 > 1.1.1.1 type 8 code 1", "drop"),
        ("udp 10.1.1.1:1 > 1.1.1.1:5353", "drop"),
        ("udp 10.1.1.1:1 > 1.1.1.1:53", "pass"),
        ("arp who-has 1.1.1.1 tell 10.1.1.1", "pass"),
        ("udp [2001:db8::1]:1 > [2001:db8::2]:5353", "pass"),
    ];
    let (words, expected): (Vec<&str>, Vec<&str>) = packets.into_iter().unzip();
    assert_eq!(verdicts(&imported.policy, &words), expected.join(" "), "{}", imported.policy);
}

/// The policy of one rule of iptables, without what stands around it.
fn iptables(rule: &str) -> String {
    let text = format!("create bad hash:ip family inet\nadd bad 10.1.1.1\n*filter\n:INPUT ACCEPT\n-A INPUT {rule}\n");
    let imported = imported(&text, &Request { interface: Some("eth0"), ..REQUEST });
    match imported.left_out.first() {
        Some(what) => what.reason.clone(),
        None => imported.policy.lines().last().unwrap_or_default().to_owned(),
    }
}

#[test]
fn matches_of_iptables() {
    for (rule, expected) in [
        ("-j DROP", "drop when ip"),
        ("-i eth0 -j DROP", "drop when ip"),
        ("-i eth+ -j DROP", "drop when ip"),
        ("-i eth1 -j DROP", "default pass"),
        ("! -i eth1 -s 1.2.3.4 -j DROP", "drop when ip src host 1.2.3.4"),
        ("-s 1.2.3.4,5.6.0.0/16 -j DROP", "drop when ip src in {1.2.3.4, 5.6.0.0/16}"),
        ("-d 1.2.3.4/255.255.255.0 -j DROP", "drop when ip dst net 1.2.3.0/24"),
        ("-d 1.2.3.4/255.0.255.0 -j DROP", "drop when ip dst net 1.0.3.0 mask 255.0.255.0"),
        ("-s 0.0.0.0/0 -p all -j DROP", "drop when ip"),
        ("! -p tcp -j DROP", "drop when ip and not tcp"),
        ("-p gre -j DROP", "drop when ip proto 47"),
        ("-j DROP -p tcp --dport 22", "drop when ip and tcp dst port 22"),
        ("-j LOG --log-level 7 --log-uid --log-prefix \"a b\"", "count a-b when ip"),
        ("-j REDIRECT --to-ports 80", "target REDIRECT has no counterpart"),
        ("-p udp -m udp --sport 1024: -j DROP", "drop when ip and udp src portrange 1024-65535"),
        ("-p tcp -m tcp ! --dport 10:20 -j DROP", "drop when ip and tcp dst port in {0-9, 21-65535}"),
        ("-p tcp -m multiport --ports 22,25 -j DROP", "drop when ip and tcp port in {22, 25}"),
        ("-p tcp --syn -j DROP", "drop when ip and tcp syn,!ack,!rst,!fin"),
        (
            "-p tcp -m tcp ! --tcp-flags ALL NONE -j DROP",
            "drop when ip and tcp and not tcp !fin,!syn,!rst,!psh,!ack,!urg",
        ),
        ("-f -j DROP", "drop when ip[6:2] & 0x1fff != 0"),
        ("-m set --match-set bad src -j DROP", "drop when ip src in bad"),
        ("-m set ! --match-set bad dst -j DROP", "drop when ip and not ip dst in bad"),
        ("-m mac --mac-source 02:00:00:00:00:01 -j DROP", "drop when ip and ether src host 02:00:00:00:00:01"),
        ("-m iprange --src-range 10.0.0.1-10.0.0.2 -j DROP", "drop when ip src in {10.0.0.1, 10.0.0.2}"),
        ("-m length --length 0:100 -j DROP", "drop when (ip[2:2] >= 0 and ip[2:2] <= 100)"),
        ("-m ttl --ttl-lt 5 -j DROP", "drop when ip[8] < 5"),
        ("-m dscp --dscp 0x2e -j DROP", "drop when ip[1] & 0xfc = 184"),
        (
            "-p udp -m hashlimit --hashlimit-above 100/sec --hashlimit-burst 20 --hashlimit-mode srcip,dstport --hashlimit-name x -j DROP",
            "limit 100/s per src,dst port burst 20 when ip and udp",
        ),
        ("-s 8.8.8.8/32", "count counted when ip src host 8.8.8.8"),
        ("-m state --state NEW -j DROP", "connections are not known where a policy stands, before the kernel's stack"),
        (
            "-m limit --limit 5/s -j ACCEPT",
            "a policy's limit drops what exceeds it, where this one lets the next rules decide",
        ),
        ("-m recent --set -j DROP", "-m recent has no counterpart"),
        ("-j MARK --set-mark 1", "target MARK has no counterpart"),
        ("-j NOTRACK", "there is no chain NOTRACK"),
        ("-s example.org -j DROP", "example.org is no address; names are not looked up"),
        ("-p tcp --dport", "nothing stands behind --dport"),
        ("-p icmp --dport 5 -j DROP", "ports are known of TCP, UDP and SCTP alone"),
    ] {
        assert_eq!(iptables(rule), expected, "{rule}");
    }
}

#[test]
fn ip6tables_is_about_ipv6() {
    let text = "# Generated by ip6tables-save v1.8\n*filter\n:INPUT DROP [0:0]\n\
                -A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT\n-A INPUT -s 2001:db8::/32 -p tcp -j ACCEPT\n";
    assert_eq!(
        imported(text, &REQUEST).policy,
        "pass when icmp6[0] = 135\npass when ip6 src net 2001:db8::/32 and tcp\ndrop when ip6\n"
    );
}

#[test]
fn chains_are_chosen() {
    let text = "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -s 1.2.3.4 -j DROP\n*filter\n:INPUT ACCEPT\n-A INPUT -j DROP\n";
    let error = import(text, &REQUEST).unwrap_err();
    assert!(error.to_string().contains("several see packets that arrive: raw/PREROUTING, filter/INPUT"), "{error}");
    for chain in ["PREROUTING", "raw/PREROUTING"] {
        let request = Request { chain: Some(chain), ..REQUEST };
        assert_eq!(imported(text, &request).policy, "drop when ip src host 1.2.3.4\n");
    }
    let error = import(text, &Request { chain: Some("FORWARD"), ..REQUEST }).unwrap_err();
    assert!(error.to_string().contains("there are: raw/PREROUTING, filter/INPUT"), "{error}");
}

#[test]
fn chains_in_circles_end() {
    for rules in ["-A INPUT -j A\n-A A -j A", "-A INPUT -j A\n-A A -j B\n-A A -j B\n-A B -j A\n-A B -j A"] {
        let text = format!("*filter\n:INPUT ACCEPT\n:A -\n:B -\n{rules}\n");
        assert!(import(&text, &REQUEST).unwrap_err().to_string().contains("import chain INPUT"));
    }
}

const NFT: &str = r#"{"nftables": [
  {"metainfo": {"json_schema_version": 1}},
  {"table": {"family": "inet", "name": "filter"}},
  {"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "type": "filter", "prio": 0, "policy": "drop"}},
  {"chain": {"family": "inet", "table": "filter", "name": "web"}},
  {"set": {"family": "inet", "table": "filter", "name": "bad", "type": "ipv4_addr", "flags": ["interval"],
    "elem": ["10.0.0.1", {"prefix": {"addr": "10.9.0.0", "len": 16}}, {"range": ["10.0.1.0", "10.0.1.2"]}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 1, "expr": [
    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@bad"}}, {"counter": {"packets": 0, "bytes": 0}}, {"drop": null}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 2, "comment": "the web", "expr": [
    {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [80, 443, {"range": [8000, 8010]}]}}}, {"jump": {"target": "web"}}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 3, "expr": [
    {"vmap": {"key": {"payload": {"protocol": "udp", "field": "dport"}}, "data": {"set": [[53, {"accept": null}], [54, {"drop": null}]]}}}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 4, "expr": [
    {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established"]}}, {"accept": null}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 5, "expr": [
    {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": ["icmp", "ipv6-icmp"]}}},
    {"limit": {"rate": 1, "burst": 1, "per": "second", "inv": true}}, {"drop": null}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 6, "expr": [
    {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": ["icmp", "ipv6-icmp"]}}}, {"accept": null}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "web", "handle": 7, "expr": [
    {"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, {"|": ["syn", "ack"]}]}, "right": "syn"}}, {"accept": null}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "web", "handle": 8, "expr": [
    {"match": {"op": "!=", "left": {"payload": {"protocol": "ip6", "field": "saddr"}}, "right": {"prefix": {"addr": "2001:db8::", "len": 32}}}}, {"return": null}]}},
  {"rule": {"family": "inet", "table": "filter", "chain": "web", "handle": 9, "expr": [{"accept": null}]}}
]}"#;

#[test]
fn chains_of_nft_are_one_list() {
    let imported = imported(NFT, &REQUEST);
    let left_out: Vec<&str> = imported.left_out.iter().map(|what| what.reason.as_str()).collect();
    assert_eq!(left_out, ["connections are not known where a policy stands, before the kernel's stack"]);
    assert!(imported.left_out[0].text.starts_with("inet/filter/input handle 4: "), "{:?}", imported.left_out);
    let packets = [
        ("tcp 10.0.0.1:9 > 1.1.1.1:80 syn", "drop"),
        ("tcp 10.0.1.2:9 > 1.1.1.1:80 syn", "drop"),
        ("tcp 10.9.7.7:9 > 1.1.1.1:80 syn", "drop"),
        ("tcp 10.0.1.3:9 > 1.1.1.1:8001 syn", "pass"),
        ("tcp 10.0.1.3:9 > 1.1.1.1:8001 ack", "pass"),
        ("tcp [2001:db8::1]:9 > [2001:db8::2]:443 ack", "pass"),
        ("tcp [2001:db9::1]:9 > [2001:db8::2]:443 ack", "drop"),
        ("tcp [2001:db9::1]:9 > [2001:db8::2]:443 syn", "pass"),
        ("udp [2001:db9::1]:9 > [2001:db8::2]:53", "pass"),
        ("udp 10.0.2.1:9 > 1.1.1.1:54", "drop"),
        ("icmp 10.0.2.1 > 1.1.1.1 echo-request", "pass"),
        ("icmp6 2001:db8::1 > 2001:db8::2 type 128", "drop"),
        ("arp who-has 1.1.1.1 tell 10.1.1.1", "pass"),
    ];
    let (words, expected): (Vec<&str>, Vec<&str>) = packets.into_iter().unzip();
    assert_eq!(verdicts(&imported.policy, &words), expected.join(" "), "{}", imported.policy);
}

/// The policy of one rule of a table of this family.
fn nft(family: &str, expr: &str) -> String {
    let text = format!(
        r#"{{"nftables": [{{"chain": {{"family": "{family}", "table": "t", "name": "c", "hook": "input", "policy": "accept"}}}},
           {{"rule": {{"family": "{family}", "table": "t", "chain": "c", "handle": 1, "expr": [{expr}, {{"drop": null}}]}}}}]}}"#
    );
    let imported = imported(&text, &Request { interface: Some("eth0"), ..REQUEST });
    match imported.left_out.first() {
        Some(what) => what.reason.clone(),
        None => imported.policy.trim_end().to_owned(),
    }
}

/// A test of a field.
fn matched(left: &str, operator: &str, right: &str) -> String {
    format!(r#"{{"match": {{"op": "{operator}", "left": {left}, "right": {right}}}}}"#)
}

#[test]
fn matches_of_nft() {
    let payload = |words: &str| {
        let (protocol, field) = words.split_once(' ').unwrap();
        format!(r#"{{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}"#)
    };
    for (family, field, operator, right, expected) in [
        ("ip", "tcp dport", "==", "22", "drop when ip and tcp dst port 22"),
        ("inet", "tcp dport", "!=", "22", "drop when tcp dst port in {0-21, 23-65535}"),
        ("inet", "th sport", "==", r#""domain""#, "drop when src port 53"),
        ("inet", "udp dport", ">=", "1024", "drop when udp dst portrange 1024-65535"),
        ("inet", "ip saddr", "!=", r#""1.2.3.4""#, "drop when ip and not ip src host 1.2.3.4"),
        ("inet", "ip6 daddr", "==", r#"{"set": ["::1", "::2"]}"#, "drop when ip6 dst in {::1, ::2}"),
        ("inet", "ip protocol", "==", r#""igmp""#, "drop when ip proto 2"),
        ("netdev", "ether saddr", "==", r#""02:00:00:00:00:01""#, "drop when ether src host 02:00:00:00:00:01"),
        ("inet", "icmp type", "==", r#"{"set": ["echo-request", 13]}"#, "drop when (icmp[0] = 8 or icmp[0] = 13)"),
        ("inet", "icmpv6 type", "==", r#""nd-neighbor-solicit""#, "drop when icmp6[0] = 135"),
        ("inet", "icmp type", "!=", r#""echo-request""#, "drop when icmp and not icmp[0] = 8"),
        ("inet", "ip ttl", "!=", "5", "drop when ip and not ip[8] = 5"),
        ("inet", "ip ttl", "<", "5", "drop when ip[8] < 5"),
        ("inet", "ip dscp", "==", r#""cs1""#, "drop when ip[1] & 0xfc = 32"),
        ("inet", "tcp flags", "in", r#"["syn", "fin"]"#, "drop when (tcp syn or tcp fin)"),
        ("inet", "tcp option", "==", "1", "tcp option has no counterpart"),
        ("inet", "ip saddr", "==", r#""@no""#, "there is no set no"),
    ] {
        assert_eq!(nft(family, &matched(&payload(field), operator, right)), expected, "{field} {right}");
    }
    for (family, key, right, expected) in [
        ("inet", "l4proto", r#""tcp""#, "drop when tcp"),
        ("ip", "l4proto", "47", "drop when ip proto 47"),
        ("netdev", "l4proto", "47", "drop when (ip proto 47 or ip6 proto 47)"),
        ("inet", "nfproto", r#""ipv6""#, "drop when ip6"),
        ("netdev", "protocol", r#""arp""#, "drop when arp"),
        ("inet", "iifname", r#""eth0""#, "drop when ip or ip6"),
        ("inet", "iifname", r#""lo""#, "default pass"),
        ("inet", "mark", "5", "meta mark has no counterpart"),
    ] {
        let left = format!(r#"{{"meta": {{"key": "{key}"}}}}"#);
        assert_eq!(nft(family, &matched(&left, "==", right)), expected, "{key} {right}");
    }
    let limit = r#"{"limit": {"rate": 10, "burst": 3, "per": "second"}}"#;
    assert!(nft("inet", limit).contains("lets the next rules decide"));
}

#[test]
fn sets_of_ipset() {
    let text = "create bad hash:ip family inet hashsize 1024 maxelem 65536 timeout 300\n\
                add bad 10.0.0.1 timeout 299\nadd bad 10.0.0.1\n\
                create nets hash:net family inet6\nadd nets 2001:db8::/32\nadd nets ::/1 nomatch\n\
                create web bitmap:port range 0-65535\nadd web 80\nadd web 443-445\n\
                create cards hash:mac\nadd cards 02:00:00:00:00:0A\n\
                create both hash:ip,port family inet\nadd both 10.0.0.1,tcp:80\n\
                add strange 1.2.3.4\n";
    let imported = imported(text, &REQUEST);
    assert_eq!(
        imported.policy,
        "set bad = { 10.0.0.1 }\nset nets = { 2001:db8::/32 }\nset web = { 80, 443-445 }\n\
         set cards = { 02:00:00:00:00:0a }\n\n\
         drop when src in bad\ndrop when src in nets\ndrop when dst port in web\ndrop when ether src in cards\n"
    );
    assert_eq!(
        reasons(&imported),
        [
            (Some(6), "an exception to the set has no counterpart"),
            (Some(14), "no set strange is made above"),
            (
                Some(12),
                "elements of hash:ip,port are tuples; those of a policy's sets are single; its 1 elements are left out"
            ),
        ]
    );
    assert_eq!(imported.notes.len(), 1);
}

#[test]
fn lists_of_prefixes() {
    let text = "; a list\n1.10.16.0/20 ; SBL1\n# x\n10.0.0.9/24,\r\n2001:db8::1\n1.2.3.4-1.2.3.5\nnonsense\n";
    let request = Request { name: "2024 bad.guys", verdict: Verdict::Pass, ..REQUEST };
    let imported = imported(text, &request);
    assert_eq!(
        imported.policy,
        "set set-2024-bad-guys = { 1.10.16.0/20, 10.0.0.0/24, 2001:db8::1, 1.2.3.4/31 }\n\n\
         pass when src in set-2024-bad-guys\n"
    );
    assert_eq!(reasons(&imported), [(Some(7), "this is no address, prefix or range of addresses")]);
}

#[test]
fn what_is_no_format_is_told() {
    for (text, said) in [
        ("", "nothing stands in it"),
        ("table inet filter {\n}", "nft -j list ruleset"),
        ("hello world", "line 1 is none of them: hello world"),
        ("{", "it is no JSON"),
        ("{}", "has no list named nftables"),
        ("*filter\n:INPUT ACCEPT\nCOMMIT\n", "no chain that sees packets that arrive has rules"),
    ] {
        let error = import(text, &REQUEST).unwrap_err();
        assert_eq!(error.kind(), error::Kind::Usage);
        assert!(error.to_string().contains(said), "{text}: {error}");
    }
}

#[test]
fn any_text_is_taken_or_refused() {
    let mut random = Random(3);
    let formats = [Format::Classbench, Format::Iptables, Format::Nft, Format::Ipset, Format::Cidr];
    let parts: Vec<&str> = TABLES.split_whitespace().chain(NFT.split_inclusive(['{', ':', ','])).collect();
    for _ in 0..3000 {
        let mut text = String::from(if random.below(2) == 0 { "*filter\n:INPUT DROP\n-A INPUT " } else { "" });
        for _ in 0..random.below(20) {
            text += parts[random.below(parts.len() as u64) as usize];
            text.push_str(["\n", " ", "\n-A INPUT "][random.below(3) as usize]);
        }
        for format in formats {
            if let Ok(imported) = import(&text, &Request { format: Some(format), ..REQUEST }) {
                assert!(policy::parse(&imported.policy).is_ok(), "{text}");
            }
        }
    }
    // Documents of nft with a value elsewhere.
    for _ in 0..3000 {
        let (from, to) = (random.below(NFT.len() as u64) as usize, random.below(NFT.len() as u64) as usize);
        let mut text = NFT.to_owned();
        let end = from + (to % 12);
        text.replace_range(from..end.min(NFT.len()), ["null", "[]", "5", "\"x\"", "{}", ""][random.below(6) as usize]);
        drop(import(&text, &REQUEST));
    }
}
