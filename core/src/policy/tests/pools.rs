//! Pools, `route` and `decap`: what is read, what is printed, what is refused.

use super::{no_files, parsed, request, shown};
use crate::policy::*;

const EVERYTHING: &str = r#"pool cats via fullnat from 192.0.2.1,2001:db8::1 {
  10.0.1.2:8080      weight 2 id 0
  [2001:db8::2]:8080 id 7 drain
  2001:db8::3        id 1
  docker:web:8080    id 2
  netns:blue/eth0    id 3
  podman:db          weight 65535 id 4294967295
  hash quic
  sessions 2m
  timeout 90m
  check exec "curl \"$XDPILOT_ADDRESS\" # \\" port 81 every 500ms timeout 1m rise 3 fall 1 shared
}

policy edge {
  decap      when ip proto 4
  route cats when tcp dst port 80
  default route cats
}

test "pools" on edge {
  tcp 192.0.2.1:1 > 192.0.2.2:80 => route cats
}
"#;

/// A pool of this method with these statements.
fn pool_of(method: &str, statements: &str) -> String {
    format!("pool a via {method} {{\n{statements}\n}}")
}

/// What is wrong first: what, the words above the carets, the hint.
fn wrong(text: &str) -> String {
    let problem = parse(text).expect_err(text).remove(0);
    format!("{} [{}] {}", problem.what, &text[problem.span], problem.hint.unwrap_or_default())
}

#[test]
fn all_that_a_pool_can_say() {
    let document = parsed(EVERYTHING);
    let pool = &document.pools[0];
    let source = |address: &str, length| Source { address: address.parse().unwrap(), length };
    assert_eq!(pool.method, Method::FullNat(vec![source("192.0.2.1", 32), source("2001:db8::1", 128)]));
    assert_eq!((pool.hash, pool.sessions, pool.timeout), (HashBy::Quic, 2_000_000, 5_400));
    let backends = pool
        .backends
        .iter()
        .map(|backend| (backend.host.to_string(), backend.port, backend.weight, backend.id, backend.drain));
    let expected = [
        ("10.0.1.2", Some(8080), 2, Some(0), false),
        ("2001:db8::2", Some(8080), 1, Some(7), true),
        ("2001:db8::3", None, 1, Some(1), false),
        ("docker:web", Some(8080), 1, Some(2), false),
        ("netns:blue/eth0", None, 1, Some(3), false),
        ("podman:db", None, 65_535, Some(u32::MAX), false),
    ];
    let expected = expected.map(|(host, port, weight, id, drain)| (host.to_string(), port, weight, id, drain));
    assert_eq!(backends.collect::<Vec<_>>(), expected);
    let kind = CheckKind::Exec("curl \"$XDPILOT_ADDRESS\" # \\".into());
    assert_eq!(
        pool.check,
        Some(Check { kind, port: Some(81), every: 500, timeout: 60_000, rise: 3, fall: 1, shared: true })
    );
    let rules = &document.policies[0].rules;
    assert_eq!(rules[0].action, Action::Set(Assignment::Decap));
    assert_eq!(rules[1].action, Action::Verdict(Verdict::Route("cats".into())));
    assert_eq!(document.policies[0].default, Verdict::Route("cats".into()));
    assert_eq!(document.tests[0].cases[0].verdict, Verdict::Route("cats".into()));
}

#[test]
fn what_goes_without_saying() {
    let pool = &parsed("pool a via nat { 10.0.0.2; check tcp port 80 }").pools[0];
    assert_eq!((pool.hash, pool.sessions, pool.timeout), (HashBy::Tuple, SESSIONS, TIMEOUT));
    assert_eq!((pool.backends[0].weight, pool.backends[0].id, pool.backends[0].drain), (1, None, false));
    assert_eq!(pool.check, Some(Check { port: Some(80), ..Check::new(CheckKind::Tcp) }));
    let text =
        "pool a via nat { 10.0.0.2 weight 1; check http \"/\" port 80 rise 2 every 2000ms; timeout 300s; hash 5tuple }";
    let printed = "pool a via nat {\n  10.0.0.2\n  check http \"/\" port 80\n}\n";
    assert_eq!(parsed(text).pools[0].to_string(), printed);
    assert_eq!(parsed("pool a via gue port 6080 { ::1 weight 0 }").pools[0].method.to_string(), "gue");
}

#[test]
fn pools_are_printed_as_they_are_read() {
    assert_eq!(parsed(EVERYTHING).to_string(), EVERYTHING);
    assert_eq!(format(EVERYTHING).unwrap(), EVERYTHING);
    for method in ["nat", "l2", "ipip", "ipip from 10.99.0.0/16,2001:db8:9::/64", "gue port 1 from 10.0.0.1,10.0.0.2"] {
        let text = pool_of(method, "  10.0.0.1 drain");
        assert_eq!(parsed(&text).to_string(), text + "\n");
    }
    let document = parsed("pool a via gue from 10.0.0.1 port 9 { 10.0.0.2 }\nset x = { 80 }\nroute a when port in x");
    assert_eq!(
        document.to_string(),
        "set x = { 80 }\n\npool a via gue port 9 from 10.0.0.1 {\n  10.0.0.2\n}\n\nroute a when port in x\n"
    );
    assert_eq!(document.pools[0].backends[0].to_string(), "10.0.0.2");
}

#[test]
fn pools_are_formatted() {
    for (before, after) in [
        (
            "pool  a  via  fullnat from 10.0.0.1 , 10.0.0.2{#x\n10.1.0.1:80   drain;10.1.0.1:8080  weight  2 #y\n\n\n\
             # z\n  check   http  \"/a  b\\\"#\\\"\" }"
                .replace("a  b", "a%20b"),
            "pool a via fullnat from 10.0.0.1,10.0.0.2 {  #x\n  10.1.0.1:80   drain\n  10.1.0.1:8080 weight 2  #y\n\n  \
             # z\n  check http \"/a%20b\\\"#\\\"\"\n}\n",
        ),
        (
            "pool a # why\n via nat\n{ 10.0.0.1\n}\nroute   a\ntest \"x\" { udp 10.0.0.1:1 > 10.0.0.2:2=>route  a }"
                .into(),
            "# why\npool a via nat {\n  10.0.0.1\n}\nroute a\ntest \"x\" {\n  udp 10.0.0.1:1 > 10.0.0.2:2 => route a\n}\n",
        ),
    ] {
        assert_eq!(format(&before).unwrap(), after, "{before}");
        assert_eq!(format(after).unwrap(), after, "{before}");
        assert_eq!(parsed(after).without_places(), parsed(&before).without_places(), "{before}");
    }
}

#[test]
fn wrong_headings_are_told() {
    const METHODS: &str = "expected a method: nat, fullnat from ADDRESS, ipip, gue or l2";
    for (text, expected) in [
        ("pool cats { 10.0.0.1 }", "unexpected { [{] expected via and a method: via nat, fullnat, ipip, gue or l2"),
        ("pool cats via natt { 10.0.0.1 }", "no method natt [natt] did you mean nat?"),
        ("pool cats via masquerade { 10.0.0.1 }", &format!("no method masquerade [masquerade] {METHODS}")),
        ("pool cats via { 10.0.0.1 }", &format!("unexpected {{ [{{] {METHODS}")),
        (
            "pool cats via fullnat { 10.0.0.1 }",
            "fullnat needs an address that packets come from [fullnat] expected from ADDRESS behind it: via fullnat from 192.0.2.1",
        ),
        (
            "pool cats via fullnat from 10.0.0.0/24 { 10.0.0.1 }",
            "fullnat takes single addresses [10.0.0.0/24] replies come back to them; prefixes are for ipip and gue",
        ),
        (
            "pool cats via ipip from 10.0.0.1/24 { 10.0.0.1 }",
            "10.0.0.1/24 has bits behind its prefix length [10.0.0.1/24] did you mean 10.0.0.0/24 or 10.0.0.1?",
        ),
        (
            "pool cats via ipip from http { 10.0.0.1 }",
            "http is not an address [http] expected an address or a prefix: 192.0.2.1, 10.99.0.0/16",
        ),
        ("pool cats via ipip from ::1, 0::1 { 10.0.0.1 }", "0::1 is said twice [0::1] "),
        ("pool cats via ipip from ::1 from ::2 { 10.0.0.1 }", "from is said twice [from] "),
        ("pool cats via gue port 1 port 2 { 10.0.0.1 }", "port is said twice [port] "),
        ("pool cats via gue port 0 { 10.0.0.1 }", "0 is not a port [0] expected a number from 1 to 65535"),
        (
            "pool cats via nat from 10.0.0.1 { 10.0.0.1 }",
            "via nat the client's address stays [from] from is for fullnat, ipip and gue",
        ),
        ("pool cats via ipip port 1 { 10.0.0.1 }", "unexpected port [port] expected {"),
        ("pool and via nat { 10.0.0.1 }", "a pool cannot be named and [and] it has a meaning in filters"),
        ("pool when via nat { 10.0.0.1 }", "unexpected when [when] expected the name of a pool"),
        ("pool a via nat {\n 10.0.0.1", "this { is not closed [{] expected a }"),
    ] {
        assert_eq!(wrong(text), expected, "{text}");
    }
}

#[test]
fn wrong_statements_are_told() {
    const HOSTS: &str = "expected ADDRESS, ADDRESS:PORT, [IPV6]:PORT, docker:NAME, podman:NAME or netns:NAME[/IFACE]";
    for (statement, expected) in [
        ("10.0.0.1:99999", "99999 is no port [99999] expected a number from 1 to 65535".to_string()),
        ("docker:web:", "the port is missing [] expected a number from 1 to 65535".into()),
        ("docker:/eth0", "docker:/eth0 names no container [docker:/eth0] expected docker:NAME[/IFACE][:PORT]".into()),
        ("netns:a/b/c", "netns:a/b/c names no container [netns:a/b/c] expected netns:NAME[/IFACE][:PORT]".into()),
        ("dokcer:web:80", "dokcer:web:80 is not a backend [dokcer:web:80] did you mean docker:web:80?".into()),
        ("[::1]", format!("[::1] is not a backend [[::1]] {HOSTS}")),
        ("10.0.0:80", format!("10.0.0:80 is not a backend [10.0.0:80] {HOSTS}")),
        ("web.example.com", format!("web.example.com is not a backend [web.example.com] {HOSTS}")),
        ("224.0.0.1", "224.0.0.1 is not the address of one host [224.0.0.1] ".into()),
        ("hsah src", "hsah is not a backend [hsah] did you mean hash?".into()),
        ("drain", "drain is not a backend [drain] drain stands behind a backend: 10.0.0.2 drain".into()),
        ("drop when udp", "drop is not a backend [drop] rules stand outside of pools: is a } missing above?".into()),
        ("= 5", "unexpected = [=] expected a backend, or hash, sessions, timeout or check".into()),
        ("10.0.0.1 wieght 2", "no option wieght of a backend [wieght] did you mean weight?".into()),
        ("10.0.0.1 weight 2 weight 3", "weight is said twice [weight] ".into()),
        ("10.0.0.1 weight 65536", "65536 is not a weight [65536] expected a number from 0 to 65535".into()),
        ("10.0.0.1 weight", "something is missing here [] expected a weight".into()),
        ("10.0.0.1 id -1", "-1 is not the id of a backend [-1] expected a number from 0 to 4294967295".into()),
        ("10.0.0.1, 10.0.0.2", "unexpected , [,] expected weight N, id N or drain".into()),
        ("hash scr", "scr is not something to hash [scr] did you mean src?".into()),
        ("hash src\nhash src", "hash is said twice [hash] ".into()),
        ("hash src dst", "unexpected dst [dst] expected the end of the line".into()),
        (
            "sessions 1g",
            "1g is not a number of connections [1g] expected a number from 1 to 100m: sessions 100k".into(),
        ),
        ("timeout 5", "5 is not a duration [5] expected a duration: 500ms, 2s, 5m, 1h".into()),
        ("timeout 500ms", "500ms is too short or too long [500ms] expected a duration from 1s to 65535s".into()),
        (
            "timeout 1500ms",
            "1500ms has parts of a second [1500ms] connections are forgotten after whole seconds: timeout 5m".into(),
        ),
        ("check ping", "no check ping [ping] expected tcp, http \"PATH\" or exec \"COMMAND\"".into()),
        ("check", "something is missing here [] expected tcp, http \"PATH\" or exec \"COMMAND\"".into()),
        ("check http", "something is missing here [] expected a path in quotes".into()),
        (
            "check http \"a b\"",
            "this is not the path of a request [\"a b\"] expected a path that begins with / and has no spaces: \"/healthz\""
                .into(),
        ),
        ("check exec \"\"", "this is not a command [\"\"] expected a command of the shell".into()),
        ("check exec \"a", "this string has no end [\"a] expected a closing \" on this line".into()),
        ("check tcp evry 2s", "no option evry of a check [evry] did you mean every?".into()),
        ("check tcp every 5ms", "5ms is too short or too long [5ms] expected a duration from 10ms to 24h".into()),
        ("check tcp rise 2 rise 2", "rise is said twice [rise] ".into()),
        ("check tcp fall 0", "0 is not a number of checks [0] expected a number from 1 to 1000".into()),
    ] {
        assert_eq!(wrong(&pool_of("nat", statement)), expected, "{statement}");
    }
}

#[test]
fn unsound_pools_are_told() {
    for (method, statements, expected) in [
        ("nat", "hash src", "pool a has no backend [a] a backend is a line in its braces: 10.0.0.2 or 10.0.0.2:8080"),
        (
            "ipip",
            "10.0.0.1\n10.0.0.2:80",
            "via ipip the packet's port is not changed [10.0.0.2:80] leave out :80, or take via nat or via fullnat",
        ),
        (
            "l2",
            "docker:web:80",
            "via l2 the packet's port is not changed [docker:web:80] leave out :80, or take via nat or via fullnat",
        ),
        ("nat", "::1\n0::1 weight 2", "::1 is a backend above [0::1] for a greater share say weight N behind it"),
        ("nat", "10.0.0.1 id 3\n10.0.0.2 id 3", "id 3 is taken [10.0.0.2] 10.0.0.1 has it"),
        (
            "nat",
            "hash quic\n10.0.0.1 id 3\n10.0.0.2",
            "hash quic needs an id for each backend [hash quic] 10.0.0.2 has none: id N behind it",
        ),
        (
            "l2",
            "10.0.0.1\ncheck tcp every 1s",
            "this check has no port for 10.0.0.1 [check tcp every 1s] expected port N behind it: check tcp port 80",
        ),
    ] {
        assert_eq!(wrong(&pool_of(method, statements)), expected, "{statements}");
    }
    for sound in ["10.0.0.1\n10.0.0.1:80\n10.0.0.1:81", "10.0.0.1:80\ncheck tcp", "10.0.0.1\ncheck exec \"true\""] {
        parsed(&pool_of("nat", sound));
    }
}

#[test]
fn each_wrong_line_of_a_pool_is_told() {
    let text = pool_of("nat", "10.0.0.1 drian\nhash src\ncheck tpc\n10.0.0.1:x");
    let lines: Vec<String> = shown(&text).iter().map(|shown| shown.split(':').nth(1).unwrap().to_string()).collect();
    assert_eq!(lines, ["2", "4", "5"]);
}

#[test]
fn routes_are_read_to_their_ends() {
    for (text, expected) in [
        ("route when tcp", "unexpected when [when] expected the name of a pool"),
        ("route not", "a pool cannot be named not [not] it has a meaning in filters"),
        ("default route", "something is missing here [] expected the name of a pool"),
        ("decap ip", "unexpected ip [ip] expected when, or the end of the line"),
        ("rout cats", "no action rout [rout] did you mean route?"),
    ] {
        assert_eq!(wrong(text), expected, "{text}");
    }
}

#[test]
fn pools_are_resolved() {
    let pools = |names: &[&str]| -> String {
        names.iter().map(|name| format!("pool {name} via nat {{ 10.0.0.1 }}\n")).collect()
    };
    let text = pools(&["a", "b", "c", "d"]) + "route c when tcp\nroute a when udp\nroute c when icmp\ndefault route d";
    let rules = resolve(&parsed(&text), &request(None), &mut no_files).unwrap();
    assert_eq!(rules.pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>(), ["c", "a", "d"]);
    assert_eq!((rules.pool("a"), rules.pool("b")), (Some(1), None));
    let many = |name, count| {
        let backends: String = (0..count).map(|n| format!("10.0.{}.{}\n", n / 250, n % 250 + 1)).collect();
        format!("pool {name} via nat {{\n{backends}}}\n")
    };
    let full = many("a", 30_000) + &many("b", 2_767);
    assert!(resolve(&parsed(&(full.clone() + "route a\nroute b")), &request(None), &mut no_files).is_ok());
    for (text, inbound, expected) in [
        (pools(&["cats"]) + "route   cast when tcp", true, "no pool cast [cast] did you mean cats?"),
        (pools(&["cats"]) + "drop when udp\ndefault  route  xyz", true, "no pool xyz [xyz] pools here: cats"),
        ("route a".into(), true, "no pool a [a] there are no pools"),
        (pools(&["a", "a"]) + "route a", true, "there is a pool a above [a] names are unique"),
        (
            pools(&["a"]) + "route a when tcp",
            false,
            "packets that leave cannot be routed [route a] route and decap are for packets that arrive",
        ),
        (
            pools(&["a"]) + "default route a",
            false,
            "packets that leave cannot be routed [default route a] route and decap are for packets that arrive",
        ),
        (
            "decap when ip proto 4".into(),
            false,
            "packets that leave cannot be taken out of their outer headers [decap] route and decap are for packets that arrive",
        ),
        (
            full + &pools(&["c"]) + "route a when tcp\nroute b when udp\nroute c",
            true,
            "policy policy has more than 32767 backends with this pool [c] take several policies",
        ),
    ] {
        let problems = resolve(&parsed(&text), &Request { inbound, ..request(None) }, &mut no_files).unwrap_err();
        let problem = problems[0].clone();
        let shown = format!("{} [{}] {}", problem.what, &text[problem.span], problem.hint.unwrap_or_default());
        assert_eq!(shown, expected);
    }
}
