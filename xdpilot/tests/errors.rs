//! Errors of the catalogue, provoked with real interfaces and objects: the answer names the cause and the command
//! that mends, and that command mends. Needs root, clang, bpftool, ethtool, setpriv.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support {
    pub(crate) mod net;
}

use std::fs;
use std::path::Path;

use support::net::{Net, output, run};
use xdpilot_core::diagnose::{Facts, Stage, diagnose, telling};

const HEAD: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"#;

/// Objects by name; each has the program `main_prog` where nothing else is said.
const OBJECTS: &[(&str, &str)] = &[
    ("pass", r#"SEC("xdp") int main_prog(struct xdp_md *ctx) { return XDP_PASS; }"#),
    ("devmap", r#"SEC("xdp/devmap") int entry(struct xdp_md *ctx) { return XDP_PASS; }"#),
    ("cpumap", r#"SEC("xdp/cpumap") int entry(struct xdp_md *ctx) { return XDP_PASS; }"#),
    (
        "huge",
        r#"struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 0x7fffffff); __uint(key_size, 4);
                __uint(value_size, 4096); } table SEC(".maps"); SEC("xdp") int main_prog(struct xdp_md *ctx) {
                int key = 0; return bpf_map_lookup_elem(&table, &key) ? XDP_DROP : XDP_PASS; }"#,
    ),
    (
        "pinned",
        r#"struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __uint(key_size, 4);
                __uint(value_size, 8); __uint(pinning, LIBBPF_PIN_BY_NAME); } NS SEC(".maps");
                SEC("xdp") int main_prog(struct xdp_md *ctx) {
                int key = 0; return bpf_map_lookup_elem(&NS, &key) ? XDP_PASS : XDP_DROP; }"#,
    ),
    ("section", r#"SEC("xdp-prog1") int main_prog(struct xdp_md *ctx) { return XDP_PASS; }"#),
    (
        "legacy",
        r#"struct bpf_map_def { unsigned type, key_size, value_size, max_entries, flags; };
                struct bpf_map_def SEC("maps") table = { BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0 };
                SEC("xdp") int main_prog(struct xdp_md *ctx) {
                int key = 0; return bpf_map_lookup_elem(&table, &key) ? XDP_PASS : XDP_DROP; }"#,
    ),
    (
        "globals",
        r#"int verdict = XDP_PASS; static __attribute__((noinline)) int chosen(void) { return verdict; }
                SEC("prog") int main_prog(struct xdp_md *ctx) { return chosen(); }"#,
    ),
];

/// An error to provoke. NS, DIR and T (netns:NS) are filled in; `xdpilot` is the built binary.
struct Case {
    /// Row of the catalogue.
    row: &'static str,
    /// Commands that lead there; each must succeed.
    before: &'static [&'static str],
    /// The command that fails.
    command: &'static str,
    /// What the answer says: kernel's words, cause.
    says: &'static [&'static str],
    /// The command in the answer that mends; empty where it is advice to a person.
    mend: &'static str,
    /// Whether the failed command is to be repeated then: it succeeds.
    again: bool,
}

const LOAD: &str = "xdpilot load DIR/pass.o --on T/v0";

const fn case(
    row: &'static str,
    before: &'static [&'static str],
    command: &'static str,
    says: &'static [&'static str],
    mend: &'static str,
    again: bool,
) -> Case {
    Case { row, before, command, says, mend, again }
}

const CASES: &[Case] = &[
    case(
        "A1",
        &["xdpilot ip -n NS link set v0 xdp obj DIR/pass.o sec xdp"],
        "xdpilot ip -n NS link set v0 xdp obj DIR/pass.o sec xdp",
        &["kernel: XDP program already attached", "cause: another XDP program"],
        "xdpilot load DIR/pass.o --on T/v0 --replace",
        false,
    ),
    case(
        "A2",
        &["ip -n NS link set v0 xdpgeneric obj DIR/pass.o sec xdp"],
        "xdpilot ip -n NS link set v0 xdpdrv obj DIR/pass.o sec xdp",
        &["kernel: Native and generic XDP can't be active at the same time", "in the other mode"],
        "xdpilot unload --on T/v0",
        true,
    ),
    case(
        "A3",
        &[LOAD],
        "xdpilot ip -force -n NS link set v0 xdp obj DIR/pass.o sec xdp",
        &["kernel: Can't replace active BPF XDP link", "held by a bpf_link"],
        "xdpilot unload --on T/v0",
        true,
    ),
    case(
        "A6",
        &["ip -n NS link add br0 type bridge"],
        "xdpilot load DIR/pass.o --on T/br0 --mode native",
        &["kernel: Underlying driver does not support XDP in native mode", "bridge cannot run XDP itself"],
        "xdpilot load DIR/pass.o --on T/br0 --mode generic",
        false,
    ),
    case(
        "A7",
        &["ip -n NS link add br0 type bridge", "ip -n NS link set v0 master br0", "xdpilot load DIR/pass.o --on T/br0"],
        LOAD,
        &["kernel: Cannot attach when an upper device already has a program", "on top of T/v0"],
        "xdpilot unload --on UPPER",
        true,
    ),
    case(
        "A62",
        &["bpftool prog load DIR/devmap.o /sys/fs/bpf/NS"],
        "xdpilot ip -n NS link set v0 xdp pinned /sys/fs/bpf/NS",
        &["kernel: BPF_XDP_DEVMAP programs can not be attached to a device", "entries of a devmap"],
        "--program NAME",
        false,
    ),
    case(
        "A63",
        &["bpftool prog load DIR/cpumap.o /sys/fs/bpf/NS"],
        "xdpilot ip -n NS link set v0 xdp pinned /sys/fs/bpf/NS",
        &["kernel: BPF_XDP_CPUMAP programs can not be attached to a device", "entries of a cpumap"],
        "--program NAME",
        false,
    ),
    case(
        "A64",
        &[LOAD],
        LOAD,
        &["cause: program main_prog (id", "stands there in native mode"],
        "xdpilot unload --on T/v0",
        true,
    ),
    case(
        "A66",
        &["ip -n NS link set v0 xdp obj DIR/pass.o sec xdp"],
        "setpriv --bounding-set=-net_admin xdpilot unload --on T/v0",
        &["kernel: Operation not permitted", "CAP_NET_ADMIN"],
        "",
        false,
    ),
    case(
        "A67",
        &[],
        "xdpilot load DIR/pass.o --on T/v9",
        &["no interface is called v9", "v0"],
        "ip netns exec NS ip -brief link",
        false,
    ),
    case(
        "B12",
        &["ip -n NS link set v1 mtu 9000"],
        "xdpilot load DIR/pass.o --on T/v0 --mode native",
        &["kernel: veth: Peer MTU is too large to set XDP", "(v1) has MTU 9000"],
        "ip netns exec NS ip link set v1 mtu 3498",
        true,
    ),
    case(
        "B13",
        &["ip netns exec NS ethtool -L v1 tx 2"],
        "xdpilot load DIR/pass.o --on T/v0 --mode native",
        &["kernel: veth: XDP expects number of rx queues not less than peer tx queues", "(v1) sends on more queues"],
        "ip netns exec NS ethtool -L v1 tx 1",
        true,
    ),
    case(
        "C81",
        &[],
        "xdpilot load DIR/pass.o --on T/v0 --mode offload",
        &["veth cannot run XDP on the card itself"],
        "xdpilot load DIR/pass.o --on T/v0 --mode native",
        false,
    ),
    case(
        "D31",
        &[],
        "xdpilot ip -n NS link set v0 xdp obj DIR/pass.o",
        &["no section prog", "sections with programs: xdp"],
        "sec xdp",
        false,
    ),
    case(
        "D34",
        &["bpftool map create /sys/fs/bpf/NS type hash key 4 value 4 entries 4 name other"],
        "xdpilot load DIR/pinned.o --on T/v0",
        &["couldn't reuse pinned map at '/sys/fs/bpf/NS': parameter mismatch", "another shape is pinned already"],
        "rm PATH",
        false,
    ),
    case(
        "D38",
        &[],
        "ip netns exec NS setpriv --bounding-set=-all xdpilot load DIR/pass.o --on v0",
        &["kernel: Operation not permitted", "CAP_BPF"],
        "",
        false,
    ),
    case(
        "D87",
        &[],
        "xdpilot load DIR/huge.o --on T/v0",
        &["'table': failed to create", "more or larger entries"],
        "make max_entries smaller",
        false,
    ),
    case("D89", &["cp /bin/true DIR/true.o"], "xdpilot load DIR/true.o --on T/v0", &["true.o", "cause: "], "", false),
];

/// Compiles the objects that the words name.
fn setup(net: &Net, words: &str) {
    for (name, source) in OBJECTS.iter().filter(|(name, _)| words.contains(&format!("DIR/{name}.o"))) {
        net.compile(name, &net.fill(&format!("{HEAD}{source}")));
    }
}

/// NS, DIR and T filled in.
fn line(net: &Net, words: &str) -> String {
    net.fill(&words.replace("T/", "netns:NS/"))
}

#[test]
fn root_each_error_is_explained_and_its_mend_mends() {
    for case in CASES {
        let net = Net::new();
        setup(&net, &format!("{} {} {}", case.before.join(" "), case.command, case.mend));
        for before in case.before {
            run(&line(&net, before));
        }
        let failed = output(&line(&net, case.command));
        let told = String::from_utf8_lossy(&failed.stderr);
        let mend = line(&net, case.mend);
        assert!(!failed.status.success(), "{}: {failed:?}", case.row);
        for words in case.says.iter().map(|words| line(&net, words)).chain(["mend: ".into(), mend.clone()]) {
            assert!(told.contains(&words), "{}: {words:?} is not in\n{told}", case.row);
        }
        let mend = mend.replace("UPPER", &line(&net, "T/br0")).replace("rm PATH", &net.fill("rm /sys/fs/bpf/NS"));
        if mend.contains(' ') && ["xdpilot", "ip", "rm"].contains(&mend.split(' ').next().unwrap()) {
            run(&mend);
        }
        if case.again {
            run(&line(&net, case.command));
        }
        output(&line(&net, "xdpilot unload --on T/v0"));
    }
}

/// D29, D30, D33: other loaders refuse these.
#[test]
fn root_what_other_loaders_refuse_is_loaded() {
    let net = Net::new();
    let names = ["section", "legacy", "globals", "pass"];
    setup(&net, &names.map(|name| format!("DIR/{name}.o")).join(" "));
    let before = [
        ("section", "failed to guess program type from ELF section"),
        ("legacy", "legacy map definitions in 'maps' section"),
    ];
    for (name, refusal) in before {
        let theirs = output(&net.fill(&format!("bpftool prog load DIR/{name}.o /sys/fs/bpf/NS")));
        assert!(String::from_utf8_lossy(&theirs.stderr).contains(refusal), "{theirs:?}");
    }
    for name in names {
        run(&line(&net, &format!("xdpilot load DIR/{name}.o --on T/v0")));
        run(&line(&net, "xdpilot unload --on T/v0"));
    }
}

/// B15: the frames vanish without a word; doctor tells before.
#[test]
fn root_doctor_tells_of_a_peer_that_loses_frames_and_its_mend_mends() {
    let net = Net::new();
    let doctor = || run(&line(&net, "xdpilot doctor --on T/v0"));
    let mends = ["ip netns exec NS ethtool -K v1 gro on", "ip netns exec NS ethtool -K v1 tx off"];
    for mend in mends.map(|mend| line(&net, mend)) {
        assert!(doctor().contains(&format!("mend: {mend}\n")), "{}", doctor());
        run(&mend);
        assert!(!doctor().contains(&mend), "{}", doctor());
    }
    run(&net.fill("ip -n NS link set v0 down"));
    let failed = output(&line(&net, "xdpilot doctor --json --on T/v0"));
    assert_eq!(failed.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&failed.stdout).unwrap();
    let finding = &document["sections"][2]["findings"][0];
    assert_eq!(finding["level"], "fail", "{document}");
    assert_eq!(finding["mend"], net.fill("ip netns exec NS ip link set v0 up"));
}

/// A pin in mounts that end with the command would let the program go with it.
#[test]
fn root_a_program_loaded_by_ip_netns_exec_stays() {
    let net = Net::new();
    setup(&net, "DIR/pass.o");
    run(&net.fill("ip netns exec NS xdpilot load DIR/pass.o --on v0"));
    assert_eq!(support::net::mode(&net, "v0"), 1);
}

/// The sources of recorded verifier logs that load here: what they ask for is seen to.
const MENDED: &[&str] = &["map_refused", "metadata_kfunc"];

/// Those of which a newer libbpf than the recorder's speaks otherwise.
const NEWER: &[(&str, &str)] = &[("kfunc_missing_weak", "kfunc 'bpf_no_such_kfunc' is referenced but wasn't resolved")];

#[test]
fn root_each_refusal_of_the_verifier_shows_line_source_cause_and_mend() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/verifier_logs");
    let net = Net::new();
    let sources = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let (mut explained, mut wrong) = (0, Vec::new());
    for source in sources.filter(|path| path.extension().is_some_and(|extension| extension == "c")) {
        let name = source.file_stem().unwrap().to_str().unwrap().to_string();
        net.compile_file(&source);
        let answer = output(&line(&net, &format!("xdpilot load DIR/{name}.o --on T/v0")));
        let told = String::from_utf8_lossy(&answer.stderr);
        if answer.status.success() != MENDED.contains(&name.as_str()) {
            wrong.push(format!("{name}: {told}"));
        }
        if answer.status.success() {
            run(&line(&net, "xdpilot unload --on T/v0"));
            continue;
        }
        let newer = NEWER.iter().find(|(newer, _)| *newer == name).map(|(_, words)| words.to_string());
        let log = newer.unwrap_or_else(|| fs::read_to_string(source.with_extension("log")).unwrap());
        let cause = diagnose(Stage::Load, None, &log, &Facts::default()).unwrap().cause;
        let expected = telling(&log).map(|told| told.to_string().replace('\n', "\n    "));
        for words in expected.into_iter().chain([format!("cause: {cause}"), "mend: ".into()]) {
            if !told.contains(&words) {
                wrong.push(format!("{name}: {words:?} is not in\n{told}"));
            }
        }
        explained += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(explained > 40, "{explained}");
}

#[test]
fn root_verbose_shows_all_that_the_verifier_said() {
    let net = Net::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/verifier_logs");
    net.compile_file(&folder.join("packet_bounds.c"));
    let told = |more: &str| {
        let output = output(&line(&net, &format!("xdpilot load DIR/packet_bounds.o --on T/v0 {more}")));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(!told("").contains("processed "));
    assert!(told("--verbose").contains("processed "));
}
