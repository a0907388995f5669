use super::*;
use crate::error;
use crate::eval::Machine;
use crate::policy::{self, Element};

fn rules(text: &str) -> Rules {
    let document = policy::parse(text).unwrap();
    let request = policy::Request { policy: None, file: "f", inbound: true, resolve: None };
    let mut no_files = |_: &str| -> error::Result<Vec<Element>> { Ok(Vec::new()) };
    policy::resolve(&document, &request, &mut no_files)
        .unwrap_or_else(|problems| panic!("{}", problems[0].show("f", text)))
}

/// How many of a thousand packets each rule decides about; the default's last.
fn decided(text: &str, strangers: usize) -> Vec<usize> {
    let rules = rules(text);
    let drawn = packets(&rules, 1000, strangers, 1);
    assert_eq!((drawn.packets.len(), drawn.given_up), (1000, Vec::new()), "{text}");
    let mut machine = Machine::new(&rules);
    let mut counts = vec![0; rules.rules.len() + 1];
    for mut packet in drawn.packets {
        let rule = machine.run(&mut packet, 0, None).rule;
        counts[rule.unwrap_or(rules.rules.len())] += 1;
    }
    counts
}

#[test]
fn filters_of_all_kinds_have_packets() {
    for filter in [
        "udp",
        "tcp dst port 80 and ip src host 10.1.2.3",
        "ip src net 10.0.0.0/9 and ip dst net 192.168.7.64/27 and udp src portrange 1024-2048",
        "ip6 src net 2001:db8:1::/49 and tcp port 443",
        "src host 10.0.0.1 and not tcp",
        "not ip and not ip6",
        "arp and src host 10.0.0.1",
        "icmp[0] = 8",
        "icmp6[0] = 135",
        "tcp syn,!ack",
        "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
        "ip[6:2] & 0x1fff != 0",
        "vlan 5 and udp port 53",
        "vlan and vlan and ip6 and tcp",
        "payload starts \"GET /\"",
        "greater 200 and less 300",
        "ip[8] < 5 and ip proto 89",
        "ip[0] & 0xf > 5 and udp port 9",
        "ip6 protochain 17",
        "ether src host 02:00:00:00:00:07 and ether multicast",
        "sctp dst port in {7, 80-90} and ip src in {10.0.0.1, 10.1.0.0/16}",
        "src in office",
        "dst port in office",
        "ether src in office",
        "not src in office and not dst port in {80, 443}",
        "ip[2:2] - 20 >= 100 and len <= 1000",
        "ether proto 0x88cc",
        "ip src net 1.2.0.4 mask 255.255.0.255",
    ] {
        let sets = "set office = { 10.1.0.0/16, 2001:db8::/33, 22, 8000-8010, 02:00:00:00:00:09 }";
        assert_eq!(decided(&format!("{sets}\ndrop when {filter}"), 0), [1000, 0], "{filter}");
    }
}

#[test]
fn every_rule_has_its_share() {
    let counts = decided("drop when src host 10.0.0.1 and tcp\npass when src host 10.0.0.2 and udp\ndrop when arp", 10);
    assert!(counts[..3].iter().all(|count| (240..360).contains(count)), "{counts:?}");
    assert!((60..140).contains(&counts[3]), "{counts:?}");
}

#[test]
fn each_alternative_has_its_share() {
    let elements: Vec<String> = (0..100).map(|last| format!("10.0.0.{last}")).collect();
    let rules = rules(&format!("drop when ip src in {{{}}}", elements.join(", ")));
    let drawn = packets(&rules, 10_000, 0, 1);
    let mut counts = [0; 100];
    drawn.packets.iter().for_each(|packet| counts[usize::from(packet[29])] += 1);
    assert!(counts.iter().all(|count| (50..160).contains(count)), "{counts:?}");
}

#[test]
fn ranges_are_drawn_to_their_ends() {
    let rules = rules("drop when ip and udp dst portrange 100-103");
    let drawn = packets(&rules, 400, 0, 1);
    let mut counts = [0; 4];
    drawn.packets.iter().for_each(|packet| counts[usize::from(packet[37]) - 100] += 1);
    assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let rules = rules("drop when udp\npass when tcp");
    assert_eq!(packets(&rules, 100, 10, 5), packets(&rules, 100, 10, 5));
    assert_ne!(packets(&rules, 100, 10, 5), packets(&rules, 100, 10, 6));
}

#[test]
fn rules_that_match_nothing_are_given_up() {
    let rules = rules(
        "drop when udp\ndrop when tcp and ip proto 17 and ip\ndrop when len = 9000\ndrop when src in none\nset none = {}",
    );
    let drawn = packets(&rules, 300, 0, 1);
    assert_eq!((drawn.packets.len(), drawn.given_up), (300, vec![1, 2, 3]));
    let none = self::rules("drop when arp and ip");
    assert_eq!(packets(&none, 10, 0, 1).packets.len(), 10);
}

/// Ten thousand rules, and as many packets as a trace has.
#[test]
fn large_policies_are_drawn_from_soon() {
    let rule = |number: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 7);
        format!("drop when src host {address} and tcp dst port {}\n", number % 60_000)
    };
    let rules = rules(&(0..10_000).map(rule).collect::<String>());
    let begun = std::time::Instant::now();
    let drawn = packets(&rules, 65_536, 10, 1);
    assert_eq!((drawn.packets.len(), drawn.given_up.len()), (65_536, 0));
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}
