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
