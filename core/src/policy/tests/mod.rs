mod pools;

use super::*;
use crate::error::Error;

const EDGE: &str = r#"set office  = { 192.0.2.0/24, 2001:db8::/32 }
set blocked = file "blocked.txt"                # live

policy edge on docker:web traffic from {
  drop                            when src in blocked
  pass                            when src in office
  limit 100/s per src burst 200   when tcp[tcpflags] & tcp-syn != 0
  sample 1/1000                   when udp
  drop                            when udp and not src port 53
  default pass
}

test "udp" on edge {
  udp 198.51.100.7:999   > 10.0.0.80:69      => drop
  udp 198.51.100.7:53   > 10.0.0.80:69      => pass
}
"#;

const EDGE_FORMATTED: &str = r#"set office = { 192.0.2.0/24, 2001:db8::/32 }
set blocked = file "blocked.txt"  # live

policy edge on docker:web traffic from {
  drop                          when src in blocked
  pass                          when src in office
  limit 100/s per src burst 200 when tcp[tcpflags] & tcp-syn != 0
  sample 1/1000                 when udp
  drop                          when udp and not src port 53
  default pass
}

test "udp" on edge {
  udp 198.51.100.7:999 > 10.0.0.80:69 => drop
  udp 198.51.100.7:53 > 10.0.0.80:69  => pass
}
"#;

fn shown(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(|problem| problem.show("f", text)).collect()
}

fn parsed(text: &str) -> Document {
    parse(text).unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| p.show("f", text)).collect::<String>()))
}

fn no_files(path: &str) -> Result<Vec<Element>, Error> {
    Err(Error::failed(format!("read {path}")))
}

fn request(policy: Option<&str>) -> Request<'_> {
    Request { policy, file: "f", inbound: true, resolve: None }
}

#[test]
fn a_file_of_every_kind_of_part() {
    let document = parsed(EDGE);
    let policy = &document.policies[0];
    assert_eq!(policy.places, some_places("docker:web traffic from").unwrap());
    assert_eq!(policy.rules.len(), 5);
    assert_eq!(policy.rules[2].line, 7);
    let limit = Limit { rate: 100, unit: Unit::Packets, burst: 200, per: vec![Key::Src] };
    assert_eq!(policy.rules[2].action, Action::Limit(limit));
    assert_eq!(policy.default_line, Some(10));
    assert_eq!(document.tests[0].cases[1].packet, "udp 198.51.100.7:53 > 10.0.0.80:69");
    assert_eq!(parsed(&document.to_string()).without_places(), document.without_places());
}

#[test]
fn formatting() {
    assert_eq!(format(EDGE).unwrap(), EDGE_FORMATTED);
    for (before, after) in [
        ("drop when udp;pass", "drop when udp\npass\n"),
        ("", ""),
        ("# a\n\n\n\n# b", "# a\n\n# b\n"),
        ("policy a{drop when udp#x\n}#y", "policy a {\n  drop when udp  # x\n}  # y\n".replace("# ", "#").as_str()),
        ("policy a { # x\n\n  pass\n\n\n  # z\n\n}", "policy a {  # x\n  pass\n\n  # z\n}\n"),
        (
            "drop when (udp  # a\n   or tcp)and src in{1.2.3.4,5.6.7.8}",
            "drop when (udp  # a\n    or tcp) and src in {1.2.3.4, 5.6.7.8}\n",
        ),
        ("drop # why\n when   udp", "drop  # why\n    when udp\n"),
        ("redirect\nor<", "redirect\n    or<\n"),
        ("redirect\nor<b when  udp&&\ntcp", "redirect\n    or<b when udp &&\n    tcp\n"),
        (
            "set a={ 1.2.3.4 5.6.7.8,\n\n # c\n 80 # http\n}",
            "set a = {\n  1.2.3.4, 5.6.7.8,\n\n  # c\n  80,  # http\n}\n",
        ),
        ("drop when tcp[13]&2!=0&&!udp", "drop when tcp[13] & 2 != 0 && !udp\n"),
        ("drop when payload starts \"a  # b\"  # c", "drop when payload starts \"a  # b\"  # c\n"),
        (
            "limit 1k/s per src , dst port burst 5 when udp\r\npass\r\n",
            "limit 1k/s per src,dst port burst 5 when udp\npass\n",
        ),
    ] {
        assert_eq!(format(before).unwrap(), after, "{before}");
        assert_eq!(format(after).unwrap(), after, "{before}");
        assert_eq!(parsed(after).without_places(), parsed(before).without_places(), "{before}");
    }
}

#[test]
fn rules_go_on_where_they_must() {
    for text in [
        "drop when udp and\n\n port 53\npass",
        "drop when udp\n  and port 53\npass",
        "drop\nwhen udp &&\nport 53\npass",
        "drop when (udp\n# c\n and port 53) ; pass",
    ] {
        assert_eq!(parsed(text).policies[0].rules.len(), 2, "{text}");
    }
    assert_eq!(parsed("drop when src in {\n 1.2.3.4,\n 5.6.7.8 }\nlimit 5/s").policies[0].rules.len(), 2);
}

#[test]
fn problems_are_told_with_their_places() {
    for (text, expected) in [
        ("drp when udp", "f:1:1: no action drp\n 1 | drp when udp\n   | ^^^ did you mean drop?"),
        ("udp", "f:1:1: no action udp\n 1 | udp\n   | ^^^ a filter stands behind an action: drop when …"),
        ("drop wehn udp", "f:1:6: unexpected wehn\n 1 | drop wehn udp\n   |      ^^^^ did you mean when?"),
        (
            "drop when",
            "f:1:6: there is no filter behind when\n 1 | drop when\n   |      ^^^^ expected a filter: when udp",
        ),
        (
            "limit 100",
            "f:1:7: 100 is no rate\n 1 | limit 100\n   |       ^^^ expected packets (100/s, 5k/s) or bits (500kbit/s, 10mbit/s, 1gbit/s) in a second",
        ),
        (
            "set x = { 10.0.0.1/8 }",
            "f:1:11: 10.0.0.1/8 has bits behind its prefix length\n 1 | set x = { 10.0.0.1/8 }\n   |           ^^^^^^^^^^ did you mean 10.0.0.0/8 or 10.0.0.1?",
        ),
        (
            "drop when payload starts \"a\n or \"",
            "f:1:26: this string is not closed\n 1 | drop when payload starts \"a\n   |                          ^ expected \" at its end, on this line",
        ),
        (
            "default drop\ndefault pass",
            "f:2:1: the default is said twice: line 1 has one\n 2 | default pass\n   | ^^^^^^^^^^^^",
        ),
        ("policy a {\n drop", "f:1:10: this { is not closed\n 1 | policy a {\n   |          ^ expected a }"),
        (
            "test \"x\" { tcp 1.2.3.4:5 > 1.2.3.4:99999 => drop }",
            "f:1:28: unexpected 1.2.3.4:99999\n 1 | test \"x\" { tcp 1.2.3.4:5 > 1.2.3.4:99999 => drop }\n   |                            ^^^^^^^^^^^^^ expected ADDRESS:PORT, [ADDRESS]:PORT for IPv6",
        ),
        ("set dscp 64", "f:1:10: 64 is not a DSCP\n 1 | set dscp 64\n   |          ^^ expected a number from 0 to 63"),
    ] {
        assert_eq!(shown(text)[0], expected, "{text}");
    }
}

#[test]
fn each_wrong_line_is_told() {
    let text = "drp\npass\npolcy a\npool cats {\n x\n}\nlimit\ndrop when (udp\npass";
    let lines: Vec<String> = shown(text).iter().map(|shown| shown.split(':').nth(1).unwrap().to_string()).collect();
    assert_eq!(lines, ["1", "3", "4", "7", "8"]);
}

#[test]
fn rules_are_resolved() {
    let text =
        "set a = { 10.0.0.0/8, 80 }\nset b = { 53 }\ndrop when udp and dst port in a\npass when src in a\ndefault drop";
    let rules = resolve(&parsed(text), &request(None), &mut no_files).unwrap();
    assert_eq!(rules.sets.len(), 1);
    assert_eq!(rules.sets[0].parts, [Part::V4, Part::V6, Part::Port]);
    assert_eq!(rules.rules[0].text, "drop when udp dst port in a".replace("udp dst", "udp and dst"));
    assert_eq!((rules.default, rules.default_line), (Verdict::Drop, 5));
}

#[test]
fn what_has_no_meaning_is_told() {
    for (text, policy, expected) in [
        ("set blocked = { 10.0.0.1 }\ndrop when src in blokced", None, "no set blokced; did you mean blocked?"),
        ("policy a { drop }\npolicy b { drop }", None, "this file has several policies: say which; its policies: a, b"),
        ("policy edge { drop }", Some("egde"), "no policy egde in this file; did you mean edge?"),
        ("policy a { drop }\npolicy a { drop }", Some("a"), "there is a policy a above; names are unique"),
        ("set a = file \"x\"\ndrop when src in a", None, "set a: read x; this set's file"),
        ("", None, "this policy has no rules; a rule is ACTION when FILTER: drop when udp"),
    ] {
        let problems = resolve(&parsed(text), &request(policy), &mut no_files).unwrap_err();
        assert_eq!(format!("{}; {}", problems[0].what, problems[0].hint.as_deref().unwrap_or_default()), expected);
    }
}

#[test]
fn elements_of_a_file() {
    let text = "# list\n10.0.0.0/8, 10.0.0.1 # x\n2001:db8::1\n02:00:00:00:00:01 80-90\r\nhttp\n";
    let printed: Vec<String> = elements(text).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(printed, ["10.0.0.0/8", "10.0.0.1", "2001:db8::1", "02:00:00:00:00:01", "80-90", "80"]);
    let problems = elements("10.0.0.1\n90-80\n10.0.0/8").unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.span.clone()).collect::<Vec<_>>(), [9..14, 15..23]);
}

#[test]
fn places_are_words() {
    for words in [
        "eth0",
        "docker:web traffic from, podman:db",
        "node role=edge zone=eu-1 eth0 direction egress, node name=a docker:web/eth1 traffic from direction egress",
    ] {
        let places = some_places(words).unwrap();
        let printed: Vec<String> = places.iter().map(ToString::to_string).collect();
        assert_eq!(printed.join(", "), words);
    }
    for (words, expected) in [
        ("", "something is missing here"),
        ("node eth0", "unexpected eth0"),
        ("node role=, eth1", "a value is missing"),
        ("node role=a role=b eth0", "role is said twice"),
        ("node role=- eth0", "- is no value"),
        ("eth0, eth0", "this place is said twice"),
        ("eth0 traffic out", "unexpected out"),
        ("eth0 eth1", "unexpected eth1"),
    ] {
        assert_eq!(some_places(words).unwrap_err().what, expected, "{words}");
    }
}

#[test]
fn a_file_comes_apart() {
    let text = "# all of it\n\n# those of the office\nset a = { 1.2.3.4 } # x\npool p via l2 {\n  1.2.3.4\n}\n\
                # why\npolicy e on node role=edge eth0,\n  eth1 traffic to { # y\n  pass when src in a\n}\n\
                policy f { drop }\ntest \"t\" on e {\n  udp 1.2.3.4:1 > 1.2.3.4:2 => pass\n}\n";
    let (_, parts) = split(text, "edge").unwrap();
    let shown: Vec<_> = parts.iter().map(|part| (part.kind, part.name.as_str(), part.text.as_str())).collect();
    assert_eq!(
        shown,
        [
            (PartKind::Set, "a", "# those of the office\nset a = { 1.2.3.4 }\n"),
            (PartKind::Pool, "p", "pool p via l2 {\n  1.2.3.4\n}\n"),
            (
                PartKind::Policy,
                "e",
                "# why\npolicy e { # y\n  pass when src in a\n}\n\ntest \"t\" on e {\n  udp 1.2.3.4:1 > 1.2.3.4:2 => pass\n}\n"
            ),
            (PartKind::Policy, "f", "policy f { drop }\n"),
        ]
    );
    assert_eq!(parts[2].places, some_places("node role=edge eth0, eth1").unwrap());
    let (_, parts) = split("drop when udp\ntest \"t\" { udp 1.2.3.4:1 > 1.2.3.4:2 => drop }", "edge").unwrap();
    assert_eq!(parts.len(), 1);
    assert!(parse(&parts[0].text).unwrap().tests.len() == 1, "{}", parts[0].text);
    assert_eq!(parts[0].name, "edge");
}
