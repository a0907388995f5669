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
    let spin = source(&folder, "spin.c", "volatile int turns = 0; while (turns < 300) turns++; return XDP_DROP;");
    let report = run(&[text(&pass), "--vs", text(&spin), "--json"]).unwrap();
    let programs = report["programs"].as_array().unwrap();
    let [pass, spin] = &programs[..] else { panic!("{report}") };
    // An empty program is measured over an empty program.
    assert!(median(pass).abs() < 10.0, "{report}");
    // Each turn waits for a store: no machine does ten in a nanosecond.
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

#[test]
fn root_what_cannot_be_measured_is_told() {
    assert!(run(&["id:4294967295"]).unwrap_err().contains("there is no program of this id"));
    assert!(run(&["id:x"]).unwrap_err().contains("stands no number"));
    assert!(run(&["-e", "drop when udp", "--trace", "/no/such.pcap"]).unwrap_err().contains("/no/such.pcap"));
}
