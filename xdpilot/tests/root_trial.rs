//! Policies and objects in the kernel without any interface: `check` and `test --kernel` compare the kernel with the
//! evaluator. Needs root and clang.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use xdpilot_core::packet;
use xdpilot_core::pcap::{Packet, Writer};

fn xdpilot(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xdpilot")).args(words).output().unwrap()
}

#[track_caller]
fn json(words: &[&str]) -> Value {
    let output = xdpilot(&[words, &["--json"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A capture of these packets, each also cut to every length.
fn capture(folder: &Path, words: &[&str]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    let frames = words.iter().map(|words| packet::parse(words).unwrap());
    let cut = frames.flat_map(|frame| (0..=frame.len()).rev().map(move |length| frame[..length].to_vec()));
    for (at, bytes) in (1u64..).zip(cut) {
        let length = bytes.len() as u32;
        writer.write(&Packet { time: at * 10_000_000, length, bytes }).unwrap();
    }
    writer.finish().unwrap();
    let path = folder.join("in.pcap");
    fs::write(&path, bytes).unwrap();
    path
}

const PACKETS: [&str; 6] = [
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 syn",
    "udp 10.0.0.1:53 > 10.0.0.2:2000 vlan 7 payload \"odd\"",
    "tcp [2001:db8::1]:1 > [2001:db8::2]:80 ack ext 0,60",
    "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicitation",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request options 8",
    "arp who-has 10.0.0.2 tell 10.0.0.1",
];

#[test]
fn the_kernel_treats_the_data_suite_as_the_evaluator_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/cases");
    let mut packets = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let report = json(&["check", path.to_str().unwrap()]);
        assert!(report["policies"].as_array().unwrap().iter().all(|policy| policy["verified"] == true), "{report}");
        let tests = report["tests"].as_array().unwrap();
        let cases: Vec<&Value> = tests.iter().flat_map(|test| test["cases"].as_array().unwrap()).collect();
        packets += cases.iter().filter(|case| case["ok"] == true && case["kernel"].is_string()).count();
        assert!(cases.iter().all(|case| case["kernel"].is_string()), "{}: {report}", path.display());
    }
    assert!(packets > 50, "{packets}");
}

#[test]
fn the_kernel_and_the_evaluator_agree_on_packets_of_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path(), &PACKETS);
    let policy = "set near = { 10.0.0.0/8, 2001:db8::/32 }
set src 192.0.2.1 when dst in near
set ttl 3
limit 50/s burst 5 per src,proto when not arp
set dst port 99 when tcp
count syn when tcp[tcpflags] & tcp-syn != 0
reflect when vlan
redirect lo when greater 60
drop when not ip";
    let report = json(&["test", "-e", policy, "--pcap", capture.to_str().unwrap(), "--kernel"]);
    let kernel = &report["kernel"];
    assert_eq!((&kernel["differences"], &kernel["counters"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    // Those shorter than an Ethernet header.
    assert_eq!(kernel["skipped"], 14 * PACKETS.len());
    assert_eq!(kernel["packets"].as_u64().unwrap() + 14 * PACKETS.len() as u64, report["packets"].as_u64().unwrap());
}

#[test]
fn objects_and_c_files_run_in_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path(), &["udp 10.0.0.1:1 > 10.0.0.2:2", "tcp 10.0.0.1:1 > 10.0.0.2:2 syn"]);
    let source = folder.path().join("udp.c");
    let text = "#include <linux/bpf.h>
__attribute__((section(\"xdp\"), used)) int drop_udp(struct xdp_md *ctx) {
    unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + 24 > end) return XDP_PASS;
    return data[12] == 8 && data[13] == 0 && data[23] == 17 ? XDP_DROP : XDP_PASS;
}";
    fs::write(&source, text).unwrap();
    let (source, capture) = (source.to_str().unwrap(), capture.to_str().unwrap());
    let output = xdpilot(&["test", source, "--pcap", capture, "--verdicts"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let udp = packet::parse("udp 10.0.0.1:1 > 10.0.0.2:2").unwrap().len();
    assert_eq!(
        (lines[0], lines[udp - 24], lines[udp - 23]),
        ("1\tdrop\t-", &*format!("{}\tdrop\t-", udp - 23), &*format!("{}\tpass\t-", udp - 22))
    );
    assert_eq!(lines[udp - 13], format!("{}\t-\t-", udp - 12));
    // The same in words decides the same, where the kernel takes the packet.
    let same = json(&["test", "-e", "drop when udp", "--pcap", capture, "--against", source]);
    assert_eq!(same["changes"], Value::Array(vec![]));
    assert!(same["obstacle"].as_str().unwrap().contains("shorter than an Ethernet header"), "{same}");
}

/// What packets to a service become, to the last byte, as RFCs 792, 1191, 2003, 2473, 4213, 4443, 8201, 8999, 9000 and
/// 9369 have it, and Katran's documentation: in the evaluator and in the kernel. The bytes were not made by xdpilot.
#[test]
fn routed_packets_become_what_the_standards_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/route-cases");
    let mut packets = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let report = json(&["check", path.to_str().unwrap()]);
        assert!(report["unverified"].is_null(), "{report}");
        for test in report["tests"].as_array().unwrap() {
            packets += test["cases"].as_array().unwrap().len();
        }
    }
    assert!(packets > 25, "{packets}");
}
