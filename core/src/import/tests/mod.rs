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
