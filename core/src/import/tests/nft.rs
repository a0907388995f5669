use super::*;

pub(super) const NFT: &str = r#"{"nftables": [
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
        (
            "inet",
            "tcp flags",
            "==",
            r#"{"set": ["syn", {"|": ["syn", "ack"]}]}"#,
            "drop when (tcp !fin,syn,!rst,!psh,!ack,!urg,!ece,!cwr or tcp !fin,syn,!rst,!psh,ack,!urg,!ece,!cwr)",
        ),
        ("inet", "ip ttl", "==", r#"{"range": [1, 4]}"#, "drop when (ip[8] >= 1 and ip[8] <= 4)"),
        ("inet", "ip dscp", "==", r#"{"set": ["af11", "ef"]}"#, "drop when (ip[1] & 0xfc = 40 or ip[1] & 0xfc = 184)"),
        ("inet", "ip dscp", "==", r#""af44""#, "no DSCP \"af44\" is known"),
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
    let fragments = format!(r#"{{"&": [{}, 8191]}}"#, payload("ip frag-off"));
    assert_eq!(nft("inet", &matched(&fragments, "!=", "0")), "drop when ip and not ip[6:2] & 0x1fff = 0");
    let limit = r#"{"limit": {"rate": 10, "burst": 3, "per": "second"}}"#;
    assert!(nft("inet", limit).contains("lets the next rules decide"));
    let over = r#"{"limit": {"rate": 10, "burst": 3, "per": "second", "inv": true}}"#;
    let source = payload("ip saddr");
    let add = format!(r#"{{"set": {{"op": "add", "elem": {source}, "set": "@s", "stmt": [{over}]}}}}"#);
    assert_eq!(nft("inet", &add), "limit 10/s per src burst 3 when ip");
    let meter = format!(r#"{{"meter": {{"key": {source}, "name": "m", "size": 9, "stmt": {over}}}}}"#);
    assert_eq!(nft("inet", &meter), "limit 10/s per src burst 3 when ip");
    let add = format!(r#"{{"set": {{"op": "add", "elem": {source}, "set": "@s"}}}}"#);
    assert_eq!(nft("inet", &add), "what packets put into sets has no counterpart");
}

/// What `nft -j list ruleset` prints of `ip saddr . tcp dport @web accept`, `ip saddr . udp dport @near jump sub`,
/// `meta l4proto @gre drop`, `tcp dport vmap @ports`, `ip saddr . tcp dport vmap { 192.0.2.7 . 1-9 : accept }`.
const TUPLES: &str = r#"{"nftables": [
  {"chain": {"family": "inet", "table": "t", "name": "sub"}},
  {"chain": {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "policy": "accept"}},
  {"set": {"family": "inet", "table": "t", "name": "web", "type": ["ipv4_addr", "inet_service"], "elem": [
    {"concat": ["192.0.2.1", 80]}, {"elem": {"val": {"concat": ["192.0.2.2", 443]}, "timeout": 60}}]}},
  {"set": {"family": "inet", "table": "t", "name": "near", "type": ["ipv4_addr", "inet_service"], "flags": ["interval"], "elem": [
    {"concat": [{"prefix": {"addr": "198.51.100.0", "len": 24}}, {"range": [80, 90]}]}]}},
  {"set": {"family": "inet", "table": "t", "name": "gre", "type": "inet_proto", "elem": [47]}},
  {"set": {"family": "inet", "table": "t", "name": "seen", "type": "ipv4_addr", "flags": ["timeout"]}},
  {"map": {"family": "inet", "table": "t", "name": "ports", "type": "inet_service", "map": "verdict",
    "elem": [[22, {"drop": null}], [{"range": [23, 25]}, {"jump": {"target": "sub"}}]]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 1, "expr": [{"match": {"op": "==", "left": {"concat": [
    {"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "tcp", "field": "dport"}}]}, "right": "@web"}},
    {"accept": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 2, "expr": [{"match": {"op": "==", "left": {"concat": [
    {"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "udp", "field": "dport"}}]}, "right": "@near"}},
    {"jump": {"target": "sub"}}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 3, "expr": [
    {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "@gre"}}, {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 4, "expr": [
    {"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@ports"}}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 5, "expr": [{"vmap": {"key": {"concat": [
    {"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "tcp", "field": "dport"}}]},
    "data": {"set": [[{"concat": ["192.0.2.7", {"range": [1, 9]}]}, {"accept": null}]]}}}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 6, "expr": [
    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@seen"}}, {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 7, "expr": [{"match": {"op": "!=", "left": {"concat": [
    {"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "tcp", "field": "dport"}}]}, "right": "@web"}},
    {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 11, "expr": [{"match": {"op": "!=", "left": {"concat": [
    {"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "tcp", "field": "dport"}}]}, "right": "@near"}},
    {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 8, "expr": [
    {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "other", "handle": 10, "expr": [
    {"set": {"op": "add", "elem": {"payload": {"protocol": "ip", "field": "saddr"}}, "set": "@seen"}}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "sub", "handle": 9, "expr": [
    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "9.9.9.9"}}, {"drop": null}]}}
]}"#;

#[test]
fn tuples_and_named_maps_of_nft() {
    let imported = imported(TUPLES, &REQUEST);
    assert_eq!(reasons(&imported), [(None, "tuples of which none may hold have no counterpart")]);
    assert!(imported.notes.iter().any(|note| note.contains("timeouts")), "{:?}", imported.notes);
    assert!(imported.notes.iter().any(|note| note.contains("set seen is filled")), "{:?}", imported.notes);
    let packets = [
        ("tcp 192.0.2.1:9 > 1.1.1.1:80", "pass"),
        ("tcp 192.0.2.2:9 > 1.1.1.1:443", "pass"),
        ("tcp 192.0.2.2:9 > 1.1.1.1:80", "drop"),
        ("udp 198.51.100.7:9 > 9.9.9.9:85", "drop"),
        ("udp 198.51.100.7:9 > 9.9.9.8:85", "pass"),
        ("udp 198.51.100.7:9 > 9.9.9.9:91", "pass"),
        ("ip proto 47 1.1.1.1 > 2.2.2.2", "drop"),
        ("tcp 192.0.2.7:9 > 1.1.1.1:9", "pass"),
        ("tcp 192.0.2.7:9 > 1.1.1.1:10", "drop"),
        ("tcp 1.1.1.1:9 > 9.9.9.9:24", "drop"),
    ];
    let (words, expected): (Vec<&str>, Vec<&str>) = packets.into_iter().unzip();
    assert_eq!(verdicts(&imported.policy, &words), expected.join(" "), "{}", imported.policy);
    for said in [
        "set web = { 192.0.2.1 . 80, 192.0.2.2 . 443 }\n",
        "when ip src . tcp dst port in web\n",
        "when ip and tcp dst portrange 0-65535 and not ip src . tcp dst port in web\n",
    ] {
        assert!(imported.policy.contains(said), "{}", imported.policy);
    }
}

/// `meta l4proto . th dport @any`, `ip protocol . th sport @any`, `ether saddr . ip6 saddr @cards`.
const COLUMNS: &str = r#"{"nftables": [
  {"chain": {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "policy": "accept"}},
  {"set": {"family": "inet", "table": "t", "name": "any", "type": ["inet_proto", "inet_service"], "elem": [
    {"concat": ["udp", 53]}, {"concat": [132, 9]}]}},
  {"set": {"family": "inet", "table": "t", "name": "cards", "type": ["ether_addr", "ipv6_addr"]}},
  {"element": {"family": "inet", "table": "t", "name": "cards", "elem": [{"concat": ["02:00:00:00:00:07", "fd00::7"]}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 1, "expr": [{"match": {"op": "==", "left": {"concat": [
    {"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}, "right": "@any"}}, {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 2, "expr": [{"match": {"op": "==", "left": {"concat": [
    {"payload": {"protocol": "ip", "field": "protocol"}}, {"payload": {"protocol": "th", "field": "sport"}}]}, "right": "@any"}},
    {"drop": null}]}},
  {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 3, "expr": [{"match": {"op": "==", "left": {"concat": [
    {"payload": {"protocol": "ether", "field": "saddr"}}, {"payload": {"protocol": "ip6", "field": "saddr"}}]}, "right": "@cards"}},
    {"drop": null}]}}
]}"#;

#[test]
fn columns_of_tuples_of_nft() {
    let imported = imported(COLUMNS, &REQUEST);
    assert_eq!(reasons(&imported), []);
    let packets = [
        ("udp 1.1.1.1:9 > 2.2.2.2:53", "drop"),
        ("tcp 1.1.1.1:9 > 2.2.2.2:53", "pass"),
        ("sctp [fd00::1]:1 > [fd00::2]:9", "drop"),
        ("udp 1.1.1.1:53 > 2.2.2.2:1", "drop"),
        ("udp [fd00::1]:53 > [fd00::2]:1", "pass"),
        ("udp [fd00::7]:1 > [fd00::2]:1 ether src 02:00:00:00:00:07", "drop"),
        ("udp [fd00::8]:1 > [fd00::2]:1 ether src 02:00:00:00:00:07", "pass"),
    ];
    let (words, expected): (Vec<&str>, Vec<&str>) = packets.into_iter().unzip();
    assert_eq!(verdicts(&imported.policy, &words), expected.join(" "), "{}", imported.policy);
}
