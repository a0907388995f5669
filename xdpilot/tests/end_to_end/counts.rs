//! The counts are those of the packets that came.

use std::time::Instant;

use xdpilot_core::link::VERDICTS;
use xdpilot_kernel::program::ProgramInfo;
use xdpilot_kernel::veth::{self, End, Settings};
use xdpilot_kernel::{configure, interface::Interface};

use crate::command::{id, load, tool, unload};
use crate::net::{FAR, Net, PATIENCE, Pair, send};
use crate::programs::{TAIL_CALL, build, example};

/// Ethernet, IPv4 and UDP headers.
const HEADERS: u64 = 14 + 20 + 8;
const PACKETS: usize = 1000;

/// Waits until `count` packets were counted for the verdict, and makes sure that they have so many bytes and that no
/// other verdict was counted.
#[track_caller]
fn assert_counts(program: u32, verdict: &str, count: u64, bytes: u64) {
    let info = ProgramInfo::of_id(program).unwrap().unwrap();
    let start = Instant::now();
    loop {
        let counts = xdpilot::record::counts(&info).unwrap().unwrap();
        let seen: Vec<_> = VERDICTS.iter().zip(&counts).filter(|(_, count)| count.packets > 0).collect();
        match seen[..] {
            [(seen, got)] if got.packets == count => {
                assert_eq!((*seen, got.bytes), (verdict, bytes));
                return;
            }
            _ => assert!(start.elapsed() < PATIENCE, "{seen:?}"),
        }
    }
}

#[test]
fn root_each_verdict_is_counted_with_its_bytes() {
    let pair = Pair::new();
    let tail_call = build(TAIL_CALL);
    let cases = [
        (example("dropper"), "main", "drop"),
        (example("pass"), "pass", "pass"),
        (example("bounce"), "bounce", "tx"),
        (tail_call.path.clone(), "first", "drop"),
    ];
    for (object, program, verdict) in cases {
        let answer = load(&object, &pair.target(), &["--program", program]);
        for size in [18, 1400] {
            // A new program begins at zero.
            let answer = if size == 18 {
                answer.clone()
            } else {
                load(&object, &pair.target(), &["--program", program, "--replace"])
            };
            send(&pair.near, FAR, PACKETS, size);
            let bytes = PACKETS as u64 * (HEADERS + size as u64);
            assert_counts(id(&answer), verdict, PACKETS as u64, bytes);
        }
        unload(&pair.target());
    }
}

#[test]
fn root_redirected_packets_are_counted_and_arrive_at_the_other_pair() {
    let (pair, sink) = (Pair::new(), Net::new());
    let out = End { namespace: &pair.far.namespace, name: "out0", mac: None };
    let end = End { namespace: &sink.namespace, name: "sink0", mac: None };
    let (out, end) = veth::create(out, end, Settings::default()).unwrap();
    let up = |net: &Net, interface: &Interface| net.run(|| configure::set_up(interface)).unwrap();
    up(&pair.far, &out);
    up(&sink, &end);
    let object = build(
        r#"
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 1); __uint(key_size, 4); __uint(value_size, 4);
} ports SEC(".maps");
SEC("xdp") int redirect(struct xdp_md *ctx) { return redirect_map(&ports, 0, XDP_ABORTED); }
"#,
    );
    let answer = load(&object.path, &pair.target(), &[]);
    let info = ProgramInfo::of_id(id(&answer)).unwrap().unwrap();
    let shown = |id: &u32| tool(&format!("bpftool map show id {id}"));
    let ports = info.map_ids.iter().find(|id| shown(id).contains("name ports")).unwrap();
    let index = out.index.to_le_bytes().map(|byte| byte.to_string()).join(" ");
    let inside = format!("nsenter --net=/run/netns/{}", pair.far.name);
    tool(&format!("{inside} bpftool map update id {ports} key 0 0 0 0 value {index}"));
    let counter = load(&example("dropper"), &sink.target("sink0"), &[]);

    send(&pair.near, FAR, PACKETS, 100);
    let bytes = PACKETS as u64 * (HEADERS + 100);
    assert_counts(id(&answer), "redirect", PACKETS as u64, bytes);
    assert_counts(id(&counter), "drop", PACKETS as u64, bytes);
    unload(&sink.target("sink0"));
    unload(&pair.target());
}

#[test]
fn root_all_bytes_of_a_jumbo_packet_are_counted() {
    let pair = Pair::with_mtu(9000);
    let object = build(r#"SEC("xdp.frags") int jumbo(struct xdp_md *ctx) { return XDP_DROP; }"#);
    let answer = load(&object.path, &pair.target(), &["--mode", "native"]);
    send(&pair.near, FAR, 100, 8900);
    assert_counts(id(&answer), "drop", 100, 100 * (HEADERS + 8900));
    unload(&pair.target());
}
