//! `xdpilot test`, `explain`, `check` and `fmt` as a user without root runs them; tcpdump says what filters match.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support {
    pub(crate) mod folder;
}

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::folder::Folder;
use xdpilot_core::packet;
use xdpilot_core::pcap::{Packet, Reader, Writer};

const POLICY: &str = "policy edge {
  set ttl 9 when tcp
  drop      when udp and not src port 53
  limit 1/s burst 1 per src when icmp
  reflect   when tcp dst port 7
  default pass
}
";
const PACKETS: [&str; 6] = [
    "udp 10.0.0.1:1000 > 10.0.0.2:69",
    "udp 10.0.0.1:53 > 10.0.0.2:2000",
    "tcp 10.0.0.1:1000 > 10.0.0.2:7 syn",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request",
    "arp who-has 10.0.0.2 tell 10.0.0.1",
];
const SECOND: u64 = 1_000_000_000;

fn xdpilot(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xdpilot")).args(words).output().unwrap()
}

#[track_caller]
fn said(words: &[&str]) -> String {
    let output = xdpilot(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(words: &[&str]) -> Value {
    serde_json::from_str(&said(&[words, &["--json"]].concat())).unwrap()
}

impl Folder {
    /// A capture of these packets, a millisecond apart.
    fn capture(&self, packets: &[Vec<u8>]) -> String {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        for (at, packet) in (0u64..).zip(packets) {
            let length = packet.len() as u32;
            writer.write(&Packet { time: SECOND + at * 1_000_000, length, bytes: packet.clone() }).unwrap();
        }
        writer.finish().unwrap();
        self.file("in.pcap", bytes)
    }
}

fn frames() -> Vec<Vec<u8>> {
    PACKETS.iter().map(|words| packet::parse(words).unwrap()).collect()
}

#[test]
fn verdicts_are_told_with_the_line_that_decided() {
    let folder = Folder::new();
    let (policy, capture) = (folder.file("edge.xdp", POLICY), folder.capture(&frames()));
    let lines = said(&["test", &policy, "--pcap", &capture, "--verdicts"]);
    let expected = "1\tdrop\t3\n2\tpass\tdefault\n3\ttx\t5\n4\tpass\tdefault\n5\tdrop\t4\n6\tpass\tdefault\n";
    assert_eq!(lines, expected);
    let document = json(&["test", &policy, "--pcap", &capture]);
    assert_eq!(document["packets"], 6);
    assert_eq!(document["results"][2]["rule"], 4);
    assert_eq!(document["rules"][2]["matched"], 2);
    assert_eq!(document["rules"][2]["decided"], 1);
    let people = said(&["test", &policy, "--pcap", &capture]);
    assert!(people.contains("rule 2, line 3: drop when udp and not src port 53"), "{people}");
    assert!(people.contains("6 packets: 2 drop, 3 pass, 1 tx"), "{people}");
}

#[test]
fn rewritten_packets_are_written() {
    let folder = Folder::new();
    let (policy, capture, out) = (folder.file("edge.xdp", POLICY), folder.capture(&frames()), folder.path("out.pcap"));
    said(&["test", &policy, "--pcap", &capture, "--out", out.to_str().unwrap(), "--verdicts"]);
    let tcpdump = Command::new("tcpdump").args(["-nvtr", out.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(tcpdump.stdout).unwrap();
    // Back to the sender, with the new time to live, and right sums.
    assert!(text.contains("10.0.0.2.7 > 10.0.0.1.1000: Flags [S], cksum 0x") && text.contains("(correct)"), "{text}");
    assert!(text.contains("ttl 9") && !text.contains("bad cksum"), "{text}");
    assert_eq!(text.matches("ARP").count() + text.matches("proto ").count(), 4, "{text}");
}

#[test]
fn two_policies_are_compared() {
    let folder = Folder::new();
    let capture = folder.capture(&frames());
    let (now, before) =
        (folder.file("now.xdp", POLICY), folder.file("before.xdp", "drop when udp\nset ttl 9 when tcp"));
    let document = json(&["test", &now, "--pcap", &capture, "--against", &before]);
    let changed: Vec<(u64, &str, &str)> = document["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let verdict = |side: &str| change[side]["verdict"].as_str().unwrap();
            (change["number"].as_u64().unwrap(), verdict("before"), verdict("after"))
        })
        .collect();
    assert_eq!(changed, [(2, "drop", "pass"), (3, "pass", "tx"), (5, "pass", "drop")]);
    let same = json(&["test", &now, "--pcap", &capture, "--against", &now]);
    assert_eq!(same["changes"], Value::Array(Vec::new()));
}

#[test]
fn a_truncated_capture_gives_what_is_whole() {
    let folder = Folder::new();
    let capture = folder.capture(&frames());
    let bytes = fs::read(&capture).unwrap();
    let cut = folder.file("cut.pcap", &bytes[..bytes.len() - 1]);
    let output = xdpilot(&["test", "-e", "drop when udp", "--pcap", &cut, "--verdicts"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 5);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("the file is truncated"), "{error}");
}

/// The numbers of the packets that tcpdump takes, by their times.
fn tcpdump(capture: &str, filter: &str) -> Vec<u64> {
    let output = Command::new("tcpdump").args(["-nr", capture, "-w", "-", filter]).output().unwrap();
    assert!(output.status.success(), "{filter}: {}", String::from_utf8_lossy(&output.stderr));
    let mut reader = Reader::new(&output.stdout[..]).unwrap();
    let next = || reader.next_packet().unwrap();
    std::iter::from_fn(next).map(|packet| (packet.time - SECOND) / 1_000_000 + 1).collect()
}

#[test]
fn filters_match_what_tcpdump_matches_at_every_length() {
    let folder = Folder::new();
    let whole = packet::parse("tcp 10.0.0.1:1000 > 10.0.0.2:80 syn vlan 7 payload \"GET /\"").unwrap();
    let plain = packet::parse("udp [2001:db8::1]:53 > [2001:db8::2]:2000").unwrap();
    let prefixes: Vec<Vec<u8>> =
        [whole, plain].iter().flat_map(|frame| (0..=frame.len()).map(|length| frame[..length].to_vec())).collect();
    let capture = folder.capture(&prefixes);
    for filter in [
        "udp",
        "tcp",
        "vlan and tcp dst port 80",
        "ip6 and port 53",
        "not ip6",
        "greater 40",
        "less 20",
        "vlan and tcp[tcpflags] & tcp-syn != 0",
        "ether[0] & 1 = 0 or not tcp",
        "host 2001:db8::2",
        "udp or vlan 7",
    ] {
        let policy = format!("drop when {filter}");
        let lines = said(&["test", "-e", &policy, "--pcap", &capture, "--verdicts"]);
        let numbers = lines.lines().filter(|line| line.ends_with("\tdrop\t1"));
        let ours: Vec<u64> = numbers.map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
        assert_eq!(ours, tcpdump(&capture, filter), "{filter}");
    }
}

#[test]
fn captures_of_other_links_and_other_files_are_refused() {
    let folder = Folder::new();
    let mut bytes = fs::read(folder.capture(&frames())).unwrap();
    bytes[20] = 113;
    for (name, content, says) in
        [("any.pcap", &bytes[..], "link type is 113"), ("t.txt", b"hello\n", "neither pcap nor")]
    {
        let output = xdpilot(&["test", "-e", "pass", "--pcap", &folder.file(name, content)]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(says), "{error}");
    }
}

#[test]
fn the_decision_is_explained_byte_by_byte() {
    let folder = Folder::new();
    let policy = folder.file("edge.xdp", POLICY);
    let text = said(&["explain", &policy, "--packet", "udp 10.0.0.1:1 > 10.0.0.2:53"]);
    for line in [
        "rule 1, line 2: set ttl 9 when tcp",
        "  byte 23 (IPv4 protocol) = 17 (udp), wanted 6 (tcp): no",
        "  bytes 34-35 (source port) = 1, wanted other than 53: yes",
        "verdict: drop, by rule 2, line 3",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}\n{text}");
    }
    // The end of the packet ends the condition.
    let document =
        json(&["explain", "-e", "drop when not tcp[13] = 2", "--packet", "tcp 10.0.0.1:1 > 10.0.0.2:80 cut 40"]);
    let step = document["rules"][0]["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&step["subject"], &step["holds"]), (&"byte 47 (TCP flags)".into(), &Value::Null));
    assert!(step["fault"].as_str().unwrap().contains("beyond the packet's 40 bytes"));
    assert_eq!(document["verdict"], "pass");
}

#[test]
fn a_packet_of_a_capture_is_explained_with_what_came_before() {
    let folder = Folder::new();
    let (policy, capture) = (folder.file("edge.xdp", POLICY), folder.capture(&frames()));
    let verdict = |number: &str| json(&["explain", &policy, "--pcap", &capture, "--number", number])["verdict"].clone();
    assert_eq!([verdict("4"), verdict("5")], ["pass", "drop"]);
    assert_eq!(xdpilot(&["explain", &policy, "--pcap", &capture, "--number", "7"]).status.code(), Some(2));
}

#[test]
fn hexadecimal_digits_are_a_packet_too() {
    let document = json(&["explain", "-e", "drop when arp", "--hex", "ffffffffffff 02:00:00:00:00:01 0806"]);
    assert_eq!((&document["verdict"], &document["rule"]), (&"drop".into(), &1.into()));
    assert_eq!(xdpilot(&["explain", "-e", "pass", "--hex", "fff"]).status.code(), Some(2));
}

#[test]
fn failing_tests_are_told_with_the_rule_that_decided() {
    let folder = Folder::new();
    let tests =
        |verdict: &str| format!("{POLICY}test \"tftp\" on edge {{\n  udp 10.0.0.1:1 > 10.0.0.2:69 => {verdict}\n}}\n");
    let good = json(&["check", &folder.file("good.xdp", tests("drop"))]);
    assert_eq!((&good["tests"][0]["cases"][0]["ok"], &good["policies"][0]["rules"]), (&true.into(), &4.into()));
    let output = xdpilot(&["check", &folder.file("bad.xdp", tests("pass"))]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("line 9: udp 10.0.0.1:1 > 10.0.0.2:69"), "{text}");
    assert!(text.contains("expected pass, got drop by rule 2, line 3: drop when udp and not src port 53"), "{text}");
}

#[test]
fn faults_have_their_place_and_a_caret() {
    let output = xdpilot(&["check", "-e", "drop when udpp"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("^^^^") && error.contains("udp"), "{error}");
}

#[test]
fn faults_of_pools_are_told_all_at_once() {
    let folder = Folder::new();
    let text = "pool cats via ipip {\n  10.0.1.2 wieght 2\n  hash scr\n}\npool dogs via l2 {\n  10.0.1.3:80\n}\n";
    let file = folder.file("edge.xdp", text);
    let expected = format!(
        "\
{file}:2:12: no option wieght of a backend
 2 |   10.0.1.2 wieght 2
   |            ^^^^^^ did you mean weight?
{file}:3:8: scr is not something to hash
 3 |   hash scr
   |        ^^^ did you mean src?
{file}:6:3: via l2 the packet's port is not changed
 6 |   10.0.1.3:80
   |   ^^^^^^^^^^^ leave out :80, or take via nat or via fullnat
"
    );
    for verb in ["check", "fmt"] {
        let output = xdpilot(&[verb, &file]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(&expected), "{error}");
    }
    let unknown = folder.file("unknown.xdp", "pool cats via l2 {\n  10.0.1.3\n}\nroute cast when tcp\n");
    let error = String::from_utf8(xdpilot(&["check", &unknown]).stderr).unwrap();
    let expected = ":4:7: no pool cast\n 4 | route cast when tcp\n   |       ^^^^ did you mean cats?\n";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn pools_are_formatted_with_their_comments() {
    let folder = Folder::new();
    let text =
        "pool cats via nat{ # live\n10.0.1.2:8080 weight 2;docker:web:8080 drain # old\n check  tcp }\nroute cats\n";
    let file = folder.file("a.xdp", text);
    said(&["fmt", &file]);
    let expected = "pool cats via nat {  # live\n  10.0.1.2:8080   weight 2\n  docker:web:8080 drain  # old\n  check tcp\n}\n\
                    route cats\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
}

#[test]
fn files_are_formatted_in_place_with_their_mode() {
    let folder = Folder::new();
    let file = folder.file("a.xdp", "drop   when udp\n# why\npass when tcp   # web\n");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let link = folder.path("link.xdp");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let check = |file: &Path| xdpilot(&["fmt", "--check", file.to_str().unwrap()]);
    let before = check(&link);
    assert_eq!((before.status.code(), before.stdout), (Some(1), format!("{}\n", link.display()).into_bytes()));
    said(&["fmt", link.to_str().unwrap()]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# why") && text.contains("# web") && text.contains("drop when udp"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(check(&link).status.success());
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 2);
}

#[test]
fn the_standard_input_is_formatted_to_the_output() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xdpilot"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"drop    when  udp").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "drop when udp\n");
}
