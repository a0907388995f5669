mod classbench;
mod iptables;
mod nft;

use super::*;
use crate::eval::Machine;
use crate::policy::{self, Element};
use crate::random::Random;
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
         set cards = { 02:00:00:00:00:0a }\nset both = { 10.0.0.1 . tcp . 80 }\n\n\
         drop when src in bad\ndrop when src in nets\ndrop when dst port in web\ndrop when ether src in cards\n\
         drop when ip src . proto . dst port in both\n"
    );
    assert_eq!(reasons(&imported), [(Some(14), "no set strange is made above")]);
    assert_eq!(imported.notes.len(), 1);
}

#[test]
fn exceptions_tuples_and_sets_of_sets_of_ipset() {
    let text = "create nets hash:net\nadd nets 10.0.0.0/8\nadd nets 10.1.0.0/16 nomatch\nadd nets 10.1.2.0/24\n\
                add nets 11.0.0.0/32 nomatch\n\
                create hosts hash:ip\nadd hosts 192.0.2.1\n\
                create all list:set size 8\nadd all nets\nadd all hosts\nadd all no\nadd all three\n\
                create three hash:net,port,net\nadd three 192.0.2.0/24,udp:53,198.51.100.0/24\n\
                add three 0.0.0.0/0,sctp:9,203.0.113.9\nadd three 1.2.3.4,icmp:8/0,1.2.3.4\n\
                create faces hash:net,iface\nadd faces 10.0.0.0/8,eth0\n";
    let imported = imported(text, &REQUEST);
    assert_eq!(
        reasons(&imported),
        [
            (Some(11), "no set no is made above"),
            (Some(12), "no set three is made above"),
            (Some(16), "1.2.3.4,icmp:8/0,1.2.3.4 is no element of this set"),
            (Some(17), "a iface beside other parts of hash:net,iface has no counterpart; its 1 elements are left out"),
        ]
    );
    let packets = [
        ("udp 10.0.0.1:1 > 1.1.1.1:1", "drop"),
        ("udp 10.1.0.1:1 > 1.1.1.1:1", "pass"),
        ("udp 10.1.2.1:1 > 1.1.1.1:1", "drop"),
        ("udp 10.1.3.0:1 > 1.1.1.1:1", "pass"),
        ("udp 10.255.255.255:1 > 1.1.1.1:1", "drop"),
        ("udp 192.0.2.1:1 > 1.1.1.1:1", "drop"),
        ("udp 192.0.2.2:1 > 198.51.100.7:53", "drop"),
        ("tcp 192.0.2.2:1 > 198.51.100.7:53", "pass"),
        ("sctp 9.9.9.9:1 > 203.0.113.9:9", "drop"),
    ];
    let (words, expected): (Vec<&str>, Vec<&str>) = packets.into_iter().unzip();
    assert_eq!(verdicts(&imported.policy, &words), expected.join(" "), "{}", imported.policy);
    assert!(imported.policy.contains("drop when src in all\n"), "{}", imported.policy);
}

#[test]
fn exceptions_leave_what_no_longer_prefix_takes() {
    let element = |word: &str| ranges::addresses(word).unwrap().remove(0);
    let mut random = Random::new(9);
    for _ in 0..500 {
        let mut prefix = || {
            let word = format!("10.0.0.{}/{}", random.below(256), 24 + random.below(9));
            element(&word)
        };
        let (from, others) = (prefix(), [prefix(), prefix(), prefix()]);
        let holds = |element: &Element, last: u8| match element {
            Element::V4(address, length) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                (address.to_bits() ^ (0x0a00_0000 | u32::from(last))) & mask == 0
            }
            _ => false,
        };
        let length = |element: &Element| if let Element::V4(_, length) = element { *length } else { 0 };
        let left = ranges::without(&from, &others);
        for last in 0..=255 {
            let taken = others.iter().any(|other| length(other) > length(&from) && holds(other, last));
            let found = left.iter().any(|element| holds(element, last));
            assert_eq!(found, holds(&from, last) && !taken, "{from} without {others:?}: {left:?}");
        }
    }
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
fn lists_of_windows() {
    let imported = imported("\u{feff}10.0.0.1\r\n10.0.0.2\r\n", &REQUEST);
    assert!(imported.left_out.is_empty(), "{:?}", imported.left_out);
    assert!(imported.policy.starts_with("set list = { 10.0.0.1, 10.0.0.2 }"), "{}", imported.policy);
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
    let mut random = Random::new(3);
    let formats = [Format::Classbench, Format::Iptables, Format::Nft, Format::Ipset, Format::Cidr];
    let parts: Vec<&str> =
        iptables::TABLES.split_whitespace().chain(nft::NFT.split_inclusive(['{', ':', ','])).collect();
    for _ in 0..3000 {
        let mut text = String::from(if random.below(2) == 0 { "*filter\n:INPUT DROP\n-A INPUT " } else { "" });
        for _ in 0..random.below(20) {
            text += parts[random.below(parts.len())];
            text.push_str(["\n", " ", "\n-A INPUT "][random.below(3)]);
        }
        for format in formats {
            if let Ok(imported) = import(&text, &Request { format: Some(format), ..REQUEST }) {
                assert!(policy::parse(&imported.policy).is_ok(), "{text}");
            }
        }
    }
    // Documents of nft with a value elsewhere.
    for _ in 0..3000 {
        let (from, to) = (random.below(nft::NFT.len()), random.below(nft::NFT.len()));
        let mut text = nft::NFT.to_owned();
        let end = from + (to % 12);
        text.replace_range(from..end.min(nft::NFT.len()), ["null", "[]", "5", "\"x\"", "{}", ""][random.below(6)]);
        drop(import(&text, &REQUEST));
    }
}
