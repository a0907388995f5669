use super::*;
use crate::policy::parse;

/// Line and words of each warning.
fn warned(text: &str) -> Vec<String> {
    let document = parse(text).unwrap_or_else(|problems| panic!("{}", problems[0].show("f", text)));
    let shown = lint(&document).into_iter().map(|warning| {
        let line = text[..warning.span.start].matches('\n').count() + 1;
        format!("{line}: {}; {}", warning.what, warning.hint.unwrap_or_default())
    });
    shown.collect()
}

/// Whether the second rule is shown never to act behind the first.
fn shadows(first: &str, second: &str) -> bool {
    let text = format!("drop when {first}\ncount x when {second}");
    warned(&text).iter().any(|warning| warning.starts_with("2: this rule is not reached by any"))
}

#[test]
fn wider_conditions_shadow() {
    for (wide, narrow) in [
        ("udp", "udp port 53"),
        ("udp", "udp"),
        ("ip", "icmp"),
        ("net 10.0.0.0/8", "net 10.1.0.0/16"),
        ("src net 10.0.0.0/8", "src host 10.1.2.3 and tcp"),
        ("ip6 net 2001:db8::/32", "ip6 host 2001:db8::5"),
        ("tcp portrange 1000-2000", "tcp dst port 1500"),
        ("tcp dst portrange 1000-2000", "tcp dst portrange 1100-1200"),
        ("port 53", "udp dst port 53"),
        ("tcp or udp", "tcp port 80"),
        ("not tcp", "udp"),
        ("ip[8] > 5", "ip[8] > 6"),
        ("tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn"),
        ("len > 100", "len > 200"),
        ("vlan", "vlan 5"),
        ("ether src 02:00:00:00:00:01", "ether src 02:00:00:00:00:01 and arp"),
        ("ifindex 3", "ifindex 3 and udp"),
        ("not udp port 53", "tcp"),
        ("not vlan", "ip[0] = 5"),
    ] {
        assert!(shadows(wide, narrow), "{wide} covers {narrow}");
    }
    assert!(warned("set a = { 10.0.0.1 }\ndrop when src in a\npass when src in a and udp")[0].starts_with("3:"));
}

#[test]
fn other_conditions_do_not() {
    for (first, second) in [
        ("udp port 53", "udp"),
        ("tcp", "udp"),
        ("net 10.1.0.0/16", "net 10.0.0.0/8"),
        ("src net 10.0.0.0/8", "dst net 10.0.0.0/8"),
        ("tcp dst portrange 1000-2000", "tcp dst portrange 1500-2500"),
        ("tcp dst port 80", "port 80"),
        // Where the first one faults the second may hold.
        ("ip[100] >= 0", "ip"),
        ("not tcp port 53", "tcp"),
        ("not vlan", "ether[14] = 5"),
        ("ip and not tcp[13] = 2", "ip"),
    ] {
        assert!(!shadows(first, second), "{first} does not cover {second}");
    }
    assert_eq!(warned("set a = { 10.0.0.1 }\nset b = { 10.0.0.1 }\ndrop when src in a\npass when src in b"), [""; 0]);
}

#[test]
fn several_rules_shadow_together() {
    let text = "drop when tcp\npass when ip and not tcp\ncount x when ip proto 6 or ip proto 17";
    assert_eq!(warned(text), ["3: this rule is not reached by any packet that it matches; lines 1, 2 decide them"]);
    // What `set` rewrites may look different to later rules.
    assert!(warned("drop when udp dst port 53\nset dst port 53 when udp\npass when udp dst port 53").is_empty());
    assert!(warned("limit 5/s when udp\npass when udp").is_empty());
}

#[test]
fn nothing_is_left_behind_a_rule_without_condition() {
    let text = "pass when arp\ndrop\npass when udp\ncount x\n";
    assert_eq!(warned(text), ["3: this rule is not reached, nor are the 1 behind it; line 2 decides all packets"]);
}

#[test]
fn what_cannot_be_is_told() {
    assert_eq!(warned("drop when ip and ip6"), ["1: this rule matches no packet; "]);
    assert_eq!(warned("drop when ip[0] > 300"), ["1: this rule matches no packet; "]);
    assert!(warned("drop when vlan and vlan").is_empty());
}

#[test]
fn arp_and_discovery_are_missed() {
    let arp = "ARP is dropped: no IPv4 packet will find its way here for long; add before it: pass when arp";
    let discovery = "IPv6 neighbour discovery is dropped: no IPv6 packet will find its way here for long; \
                     add before it: pass when icmp6";
    for (text, expected) in [
        ("pass when tcp port 22\ndefault drop", vec![format!("2: {arp}"), format!("2: {discovery}")]),
        ("pass when tcp port 22\npass when arp\ndrop", vec![format!("3: {discovery}")]),
        ("pass when ip\ndefault drop", vec![format!("2: {arp}")]),
        ("pass when tcp or arp or icmp6\ndefault drop", vec![]),
        ("pass when icmp6 and ip6[40] = 128\npass when arp\ndefault drop", vec![format!("3: {discovery}")]),
        // Whoever says it, means it; whoever passes nothing, too; and this one matches ARP.
        ("drop when arp\npass when ip\ndefault drop", vec![]),
        ("drop", vec![]),
        ("pass when ip6 and icmp6\ndefault drop", vec![]),
        ("pass when src net 10.0.0.0/8\ndefault drop", vec![]),
        ("pass when not udp\ndefault drop", vec![]),
    ] {
        assert_eq!(warned(text), expected, "{text}");
    }
}

#[test]
fn sets_tests_and_limits() {
    let text = "set a = { 10.0.0.1 }\npolicy edge {\n  limit 2g/s\n}\ntest \"x\" on egde {\n}\n";
    let expected = [
        "1: no rule uses set a; ",
        "3: this limit never drops anything; a packet's share of such a rate is less than a nanosecond",
        "5: this test is on egde: there is no such policy; did you mean edge?",
    ];
    assert_eq!(warned(text), expected);
    assert!(warned("limit 1g/s").is_empty());
}

#[test]
fn pools_that_serve_nobody() {
    let text = "pool a via nat {\n  10.0.0.1\n}\npool b via nat {\n  10.0.0.1 weight 0\n  10.0.0.2 drain\n}\nroute b\n\
                test \"x\" {\n  udp 1.2.3.4:5 > 1.2.3.4:6 => route c\n}\n";
    let expected = [
        "1: no rule routes to pool a; ",
        "4: no backend of pool b gets new connections; each has weight 0 or drains",
        "10: this packet is to be routed to c: there is no such pool; pools here: a, b",
    ];
    assert_eq!(warned(text), expected);
    assert!(warned("pool a via nat { 10.0.0.1 drain; 10.0.0.2 }\ndefault route a").is_empty());
    // As with sets, a route that is not known may have meant it.
    assert!(warned("pool a via nat { 10.0.0.1 }\nroute b").is_empty());
}

#[test]
fn pools_of_the_other_ip_version() {
    let told = |method: &str, backends: &str, filter: &str| {
        warned(&format!("pool a via {method} {{\n{backends}\n}}\nroute a when {filter}"))
    };
    let v4 = ["4: pool a has no backend for IPv4 packets; via nat a backend's address is of the packet's version"];
    let v6 = ["4: pool a has no backend for IPv6 packets; via fullnat a backend's address is of the packet's version"];
    assert_eq!(told("nat", "2001:db8::1", "dst host 10.0.0.1 and tcp dst port 80"), v4);
    assert_eq!(told("fullnat from 10.0.0.9", "10.0.0.1", "ip6 and (udp or tcp dst port 80)"), v6);
    for (method, backend, filter) in [
        ("nat", "2001:db8::1", "tcp dst port 80"),
        // ARP has addresses too.
        ("nat", "2001:db8::1", "dst host 10.0.0.1"),
        ("nat", "docker:web", "ip6"),
        ("ipip", "10.0.0.1", "ip6"),
        ("l2", "10.0.0.1", "ip and tcp"),
    ] {
        assert!(told(method, backend, filter).is_empty(), "{method} {backend} {filter}");
    }
}

#[test]
fn what_is_routed_is_let_in() {
    let text = "pool a via nat { 10.0.0.1 }\nroute a when ip and tcp\ndefault drop";
    assert!(warned(text)[0].starts_with("3: ARP is dropped"));
    // The headers are elsewhere behind it.
    let text = "pool a via nat { 10.0.0.1 }\ndecap when ip proto 4\nroute a when ip and tcp\ndefault drop";
    assert!(warned(text).is_empty());
}

/// Filters that overlap in many ways.
const FILTERS: [&str; 24] = [
    "udp",
    "tcp",
    "ip",
    "ip6",
    "arp",
    "icmp or icmp6",
    "port 53",
    "udp dst port 53",
    "tcp portrange 20-80",
    "not tcp",
    "not port 53",
    "src net 10.0.0.0/8",
    "dst host 10.0.0.2",
    "not host 10.0.0.1",
    "vlan",
    "vlan and udp",
    "len > 60",
    "ip[8] > 5",
    "ip[6:2] & 0x1fff != 0",
    "tcp[tcpflags] & tcp-syn != 0",
    "tcp syn,!ack",
    "ip6 protochain 17",
    "payload starts \"a\"",
    "ether[60] = 1",
];

/// The evaluator never hits a rule that is said to be dead.
#[test]
fn dead_rules_have_no_hits() {
    let words = [
        "udp 10.0.0.1:53 > 10.0.0.2:53",
        "tcp 10.0.0.1:1 > 10.0.0.2:80 syn",
        "tcp 11.0.0.1:53 > 10.0.0.3:22 syn,ack ttl 3",
        "udp [::1]:1 > [::2]:53 payload \"abc\"",
        "udp [::1]:1 > [::2]:53 ext 0,60",
        "tcp [::1]:53 > [::2]:80 syn vlan 3",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        "icmp 10.0.0.1 > 10.0.0.2",
        "icmp6 ::1 > ::2",
        "ip proto 17 10.0.0.1 > 10.0.0.2 frag 5 payload \"0123456789\"",
        "udp 10.0.0.9:9 > 10.0.0.2:9 options 40 payload \"a\" len 100",
        "ether type 0x88cc",
    ];
    let mut packets = Vec::new();
    for words in words {
        let whole = crate::packet::parse(words).unwrap();
        packets.extend((0..=whole.len()).map(|end| whole[..end].to_vec()));
    }
    let mut found = 0;
    for first in FILTERS {
        for second in FILTERS {
            for third in FILTERS {
                let text = format!("drop when {first}\ndrop when {second}\ncount x when {third} and not {second}");
                let document = parse(&text).unwrap();
                let request = super::super::Request { policy: None, file: "f", inbound: true, resolve: None };
                let rules = super::super::resolve(&document, &request, &mut |_| Ok(Vec::new())).unwrap();
                let dead = dead(&rules);
                if dead.is_empty() {
                    continue;
                }
                found += dead.len();
                let mut machine = crate::eval::Machine::new(&rules);
                for packet in &packets {
                    machine.run(&mut packet.clone(), 0, None);
                }
                for Dead { rule, .. } in dead {
                    assert_eq!(machine.hits(rule), (0, 0), "rule {rule} of {text}");
                }
            }
        }
    }
    assert!(found > 1000, "only {found} dead rules");
}
