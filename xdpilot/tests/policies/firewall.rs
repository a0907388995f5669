//! What passes a firewall, and what does not.

use crate::command::{tool, unload};
use crate::net::{FAR, LOST, PATIENCE};
use crate::traffic::{FAR6, FIRST, NEAR6, OTHER, hits, load, pair, policy, tcp_within, udp_arrives, udp_is_dropped};

#[test]
fn root_network_port_and_protocol_decide_together_and_hits_are_counted() {
    let pair = pair();
    load(&pair, "drop when src net 10.0.0.0/30 and udp dst port 53; count other when udp");
    udp_is_dropped(&pair, FIRST, 53);
    udp_arrives(&pair, FIRST, 54);
    udp_arrives(&pair, OTHER, 53);
    assert!(tcp_within(&pair, FAR, 53, PATIENCE));
    let seen = hits(&pair.target());
    assert_eq!(seen[..2], [1, 2], "one datagram dropped, two counted");
    assert!(seen[2] >= 4, "the handshake of TCP at least: {seen:?}");
    let counters = &policy(&pair.target(), "native")["counters"];
    assert_eq!((&counters[0]["name"], &counters[0]["packets"]), (&"other".into(), &2.into()));
    unload(&pair.target());
    udp_arrives(&pair, FIRST, 53);
}

#[test]
fn root_an_exception_stands_before_the_rule() {
    let pair = pair();
    load(&pair, "pass when src host 10.0.0.9; drop when udp");
    udp_arrives(&pair, OTHER, 4000);
    udp_is_dropped(&pair, FIRST, 4000);
    unload(&pair.target());
}

#[test]
fn root_a_range_of_ports_has_two_ends() {
    let pair = pair();
    load(&pair, "drop when udp dst portrange 1000-2000");
    for port in [999, 2001] {
        udp_arrives(&pair, FIRST, port);
    }
    for port in [1000, 1500, 2000] {
        udp_is_dropped(&pair, FIRST, port);
    }
    assert_eq!(hits(&pair.target())[0], 3);
    unload(&pair.target());
}

#[test]
fn root_addresses_of_ipv6_are_filtered() {
    let pair = pair();
    load(&pair, "drop when src net fd00::/64 and udp dst port 53");
    udp_is_dropped(&pair, NEAR6, 53);
    udp_arrives(&pair, NEAR6, 54);
    udp_arrives(&pair, FIRST, 53);
    unload(&pair.target());
}

#[test]
fn root_what_is_not_allowed_is_dropped_and_neighbours_are_still_found() {
    let pair = pair();
    load(
        &pair,
        "pass when arp
         pass when icmp6 and ip6[40] >= 133 and ip6[40] <= 137
         pass when tcp dst port 22
         default drop",
    );
    for (net, interface) in [(&pair.near, "near0"), (&pair.far, "eth0")] {
        tool(&format!("ip -n {} neigh flush dev {interface} nud all", net.name));
    }
    assert!(tcp_within(&pair, FAR, 22, PATIENCE), "ARP");
    assert!(tcp_within(&pair, FAR6, 22, PATIENCE), "neighbour discovery");
    assert!(!tcp_within(&pair, FAR, 23, LOST));
    udp_is_dropped(&pair, FIRST, 22);
    udp_is_dropped(&pair, NEAR6, 22);
    unload(&pair.target());
}
