//! `xdpilot bench`, on programs whose cost is known.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use xdpilot_core::pcap::{Packet, Writer};

const HEAD: &str = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar LICENSE[] SEC(\"license\") = \"GPL\";\n";

fn source(folder: &TempDir, name: &str, body: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, format!("{HEAD}SEC(\"xdp\") int main_(struct xdp_md *ctx) {{ {body} }}\n")).unwrap();
    path
}

fn run(words: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_xdpilot")).arg("bench").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(said) }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn median(program: &Value) -> f64 {
    program["ns"]["median"].as_f64().unwrap()
}

#[test]
fn root_a_long_loop_costs_what_an_empty_program_does_not() {
    let folder = TempDir::new().unwrap();
    let pass = source(&folder, "pass.c", "return XDP_PASS;");
    let spin =
        source(&folder, "spin.c", "volatile int sink; for (int i = 0; i < 1000; i++) sink = i; return XDP_DROP;");
    let report = run(&[text(&pass), "--vs", text(&spin), "--json"]).unwrap();
    let programs = report["programs"].as_array().unwrap();
    let [pass, spin] = &programs[..] else { panic!("{report}") };
    // An empty program is measured over an empty program.
    assert!(median(pass).abs() < 10.0, "{report}");
    // A thousand stores: no machine does twenty in a nanosecond.
    assert!(median(spin) > 30.0 && median(spin) > median(pass) + 20.0, "{report}");
    let packets = report["packets"].as_u64().unwrap();
    assert_eq!(pass["verdicts"], serde_json::json!({ "pass": packets }));
    assert_eq!(spin["verdicts"], serde_json::json!({ "drop": packets }));
    assert_eq!((&report["version"], &report["trace"]), (&1.into(), &"the built-in mix".into()));
    for field in ["source", "program", "ratio", "empty_ns"] {
        assert!(!spin[field].is_null(), "{field}: {report}");
    }
}

#[test]
fn root_the_trace_is_that_of_the_capture() {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("three.pcap");
    let mut writer = Writer::new(BufWriter::new(fs::File::create(&capture).unwrap())).unwrap();
    for length in [60u32, 1000, 8, 1514] {
        let bytes = vec![0x11; length as usize];
        writer.write(&Packet { time: 0, length, bytes }).unwrap();
    }
    writer.finish().unwrap();
    let long = source(&folder, "long.c", "return ctx->data_end - ctx->data > 999 ? XDP_DROP : XDP_PASS;");
    let report = run(&[text(&long), "--trace", text(&capture), "--json"]).unwrap();
    assert_eq!(report["packets"], 3);
    assert_eq!(report["programs"][0]["verdicts"], serde_json::json!({ "drop": 2, "pass": 1 }));
    let notes = report["notes"].to_string();
    assert!(notes.contains("1 packets are left out") && notes.contains("soon foreseen"), "{notes}");
}

#[test]
fn root_programs_that_move_the_packet_are_measured() {
    let folder = TempDir::new().unwrap();
    // Without the trampoline's mending each would fail after some packets, and return XDP_ABORTED at once.
    let moves = [
        ("push.c", "return bpf_xdp_adjust_head(ctx, -4) ? XDP_ABORTED : XDP_PASS;"),
        ("meta.c", "return bpf_xdp_adjust_meta(ctx, -8) ? XDP_ABORTED : XDP_PASS;"),
        ("tail.c", "return bpf_xdp_adjust_tail(ctx, -20) ? XDP_ABORTED : XDP_PASS;"),
    ];
    for (name, body) in moves {
        let program = source(&folder, name, body);
        let report = run(&[text(&program), "--json"]).unwrap();
        assert!(median(&report["programs"][0]) > 1.0, "{name}: {report}");
    }
}

#[test]
fn root_a_policy_is_measured_with_and_without_its_counters() {
    let report = run(&["-e", "drop when udp", "--json"]).unwrap();
    let programs = report["programs"].as_array().unwrap();
    let names: Vec<&str> = programs.iter().map(|program| program["source"].as_str().unwrap()).collect();
    assert_eq!(names, ["-e 'drop when udp'", "-e 'drop when udp' (no counters)"]);
    assert_eq!(programs[0]["verdicts"], programs[1]["verdicts"]);
    assert!(programs[0]["verdicts"]["drop"].as_u64().unwrap() > 1000, "{report}");
}

/// Rules for one address each.
fn rules(folder: &TempDir, name: &str, count: usize) -> PathBuf {
    let rule = |number| format!("drop when src host 10.0.{}.{} and tcp dst port 80\n", number / 256, number % 256);
    let path = folder.path().join(name);
    fs::write(&path, (0..count).map(rule).collect::<String>()).unwrap();
    path
}

#[test]
fn root_packets_are_drawn_from_the_rules() {
    let folder = TempDir::new().unwrap();
    let policy = rules(&folder, "some.xdp", 20);
    let report = run(&[text(&policy), "--trace", "auto", "--json"]).unwrap();
    assert_eq!((&report["packets"], &report["notes"].to_string().contains("no packet")), (&65536.into(), &false));
    for program in report["programs"].as_array().unwrap() {
        // Nine of ten packets are some rule's.
        let dropped = program["verdicts"]["drop"].as_f64().unwrap() / 65536.0;
        assert!((0.88..0.92).contains(&dropped), "{report}");
    }
    let report = run(&["-e", "drop when udp\npass when ip and arp", "--trace", "auto", "--json"]).unwrap();
    assert!(report["notes"].to_string().contains("for 1 of 2 rules no packet was found"), "{report}");
}

#[test]
fn root_a_sweep_is_a_table_and_a_plot() {
    let folder = TempDir::new().unwrap();
    let (policy, other) = (rules(&folder, "some.xdp", 40), rules(&folder, "other.xdp", 40));
    let plot = folder.path().join("plot.svg");
    let report =
        run(&[text(&policy), "--vs", text(&other), "--sweep", "30,3,3", "--svg", text(&plot), "--json"]).unwrap();
    let points = report["sweep"].as_array().unwrap();
    let counts: Vec<u64> = points.iter().map(|point| point["rules"].as_u64().unwrap()).collect();
    assert_eq!(counts, [3, 30]);
    for point in points {
        let programs = point["programs"].as_array().unwrap();
        assert_eq!((programs.len(), &point["packets"]), (4, &65536.into()), "{report}");
        let verdicts: Vec<&Value> = programs.iter().map(|program| &program["verdicts"]).collect();
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{report}");
        assert!(verdicts[0]["drop"].as_u64().unwrap() > 57_000, "{report}");
    }
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg ") && svg.matches("<polyline").count() == 4 && svg.contains(">30<"), "{svg}");
}

#[test]
fn root_a_sweep_needs_policies_with_as_many_rules() {
    let folder = TempDir::new().unwrap();
    let policy = rules(&folder, "some.xdp", 5);
    let pass = source(&folder, "pass.c", "return XDP_PASS;");
    assert!(run(&[text(&policy), "--sweep", "1,10"]).unwrap_err().contains("it has 5 rules"));
    assert!(run(&[text(&policy), "--sweep", "0"]).unwrap_err().contains("expected numbers of rules"));
    assert!(run(&[text(&pass), "--sweep", "1"]).unwrap_err().contains("rules of a policy"));
    assert!(run(&[text(&policy), "--sweep", "1", "--vs", text(&pass)]).unwrap_err().contains("rules of a policy"));
    assert!(run(&[text(&pass), "--trace", "auto"]).unwrap_err().contains("rules of a policy"));
}

#[test]
fn root_what_cannot_be_measured_is_told() {
    assert!(run(&["id:4294967295"]).unwrap_err().contains("there is no program of this id"));
    assert!(run(&["id:x"]).unwrap_err().contains("stands no number"));
    assert!(run(&["-e", "drop when udp", "--trace", "/no/such.pcap"]).unwrap_err().contains("/no/such.pcap"));
}
