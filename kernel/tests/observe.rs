//! Facts of programs, maps, links, pins and their holders, against what bpftool and the kernel say.
// Helpers are test code too.
#![allow(clippy::expect_used)]

mod common;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::{HEAD, load_source, own_namespaces, run, unique, veth, vmlinux_header};
use xdpilot_kernel::link::{self, Link, LinkKind};
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::map::{self, Map};
use xdpilot_kernel::object::ObjectRef;
use xdpilot_kernel::owners::Owners;
use xdpilot_kernel::program::{self, ProgramInfo};
use xdpilot_kernel::stats::Stats;
use xdpilot_kernel::test_run::{TestRun, run as test_run};
use xdpilot_kernel::{machine, pins};

const PASS: &str = "SEC(\"xdp\") int pass(struct xdp_md *ctx) { return XDP_PASS; }";
const DROP: &str = "SEC(\"xdp\") int drop(struct xdp_md *ctx) { return XDP_DROP; }";

fn load_pass() -> Loaded {
    load_source(&format!("{HEAD}{PASS}"), "pass")
}

fn packet(repeat: u32) -> TestRun<'static> {
    TestRun { packet: &[0; 64], ingress_ifindex: 0, rx_queue: 0, repeat }
}

#[test]
fn root_programs_are_listed_with_their_facts() {
    let before = SystemTime::now() - Duration::from_secs(1);
    let loaded = load_pass();
    let id = loaded.info().id;
    assert!(program::ids().expect("ids").contains(&id));
    let info = ProgramInfo::of_id(id).expect("info").expect("there");
    assert_eq!(info, ProgramInfo { loaded_at: info.loaded_at, ..loaded.info().clone() });
    assert!(info.loaded_at > before && info.loaded_at < SystemTime::now() + Duration::from_secs(1));
    assert_eq!((info.name.as_str(), info.type_name().as_str(), info.is_xdp()), ("pass", "xdp", true));
    assert!(info.xlated_bytes > 0 && info.btf_id > 0 && info.gpl_compatible);
    drop(loaded);
    assert_eq!(ProgramInfo::of_id(id).expect("info"), None);
}

#[test]
fn root_runs_are_counted_while_statistics_are_on() {
    let loaded = load_pass();
    let count = || ProgramInfo::of_fd(loaded.entry()).expect("info").run_count;
    let stats = Stats::enable().expect("stats");
    test_run(loaded.entry(), &packet(100)).expect("run");
    assert_eq!(count(), 100);
    drop(stats);
}

#[test]
fn root_a_test_run_gives_the_changed_packet() {
    let source = format!(
        "{HEAD} SEC(\"xdp\") int grow(struct xdp_md *ctx) {{
            if (bpf_xdp_adjust_head(ctx, -4)) return XDP_ABORTED;
            unsigned char *data = (void *)(long)ctx->data;
            if ((void *)(data + 4) > (void *)(long)ctx->data_end) return XDP_ABORTED;
            data[0] = data[1] = data[2] = data[3] = 7;
            return XDP_TX;
        }}"
    );
    let result = test_run(load_source(&source, "grow").entry(), &packet(1)).expect("run");
    assert_eq!((result.verdict, result.packet.len()), (3, 68));
    assert_eq!(result.packet[..5], [7, 7, 7, 7, 0]);
    let error = test_run(load_pass().entry(), &TestRun { packet: &[0; 5], ..packet(1) }).expect_err("too short");
    assert_eq!(error.errno_value(), Some(nix::libc::EINVAL));
}

#[test]
fn root_a_test_run_may_come_from_an_interface() {
    own_namespaces();
    let (_, ifindex) = veth();
    let pass = load_pass();
    let _link = Link::attach_xdp(pass.entry(), ifindex, 0).expect("attach: registers the receive queues");
    let source = format!(
        "{HEAD} SEC(\"xdp\") int from(struct xdp_md *ctx) {{
            return ctx->ingress_ifindex == {ifindex} ? XDP_DROP : XDP_PASS;
        }}"
    );
    let from = load_source(&source, "from");
    let verdict =
        |ingress_ifindex| test_run(from.entry(), &TestRun { ingress_ifindex, ..packet(1) }).expect("run").verdict;
    assert_eq!((verdict(ifindex), verdict(0)), (1, 2));
}

#[test]
fn root_per_cpu_counters_are_summed() {
    let source = format!(
        "{HEAD}
        struct {{
            __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 3);
            __type(key, __u32); __type(value, __u64[2]);
        }} counts SEC(\".maps\");
        SEC(\"xdp\") int count(struct xdp_md *ctx) {{
            __u32 key = 2;
            __u64 *value = bpf_map_lookup_elem(&counts, &key);
            if (value) {{ value[0] += 1; value[1] += 10; }}
            return XDP_PASS;
        }}"
    );
    let loaded = load_source(&source, "count");
    let counts = loaded.map("counts").expect("map");
    let mut all = Vec::new();
    for cpu in 0..machine::possible_cpus().expect("cpus") as u64 {
        all.extend([cpu.to_ne_bytes(), 100u64.to_ne_bytes()].concat());
    }
    counts.update(&2u32.to_ne_bytes(), &all).expect("update");
    test_run(loaded.entry(), &packet(5)).expect("run");
    let cpus = machine::possible_cpus().expect("cpus") as u64;
    assert_eq!(counts.sum_per_cpu(2).expect("sum"), [cpus * (cpus - 1) / 2 + 5, cpus * 100 + 50]);
    assert_eq!(counts.sum_per_cpu(0).expect("sum"), [0, 0]);
    assert!(counts.sum_per_cpu(3).is_err() && counts.update(&[0; 4], &[0; 3]).is_err() && counts.lookup(&[]).is_err());
    let info = counts.info();
    assert_eq!((info.name.as_str(), info.type_name().as_str(), info.max_entries), ("counts", "percpu_array", 3));
    assert!(map::ids().expect("ids").contains(&info.id));
    assert_eq!(Map::open(info.id).expect("open").expect("there").info(), info);
    let seen = run(&format!("bpftool map show id {}", info.id));
    assert!(seen.contains("percpu_array") && seen.contains("name counts"), "{seen}");
}

#[test]
fn root_a_link_lives_by_its_pin_is_updated_and_dies_with_its_interface() {
    own_namespaces();
    assert!(machine::has_xdp_link());
    let (name, ifindex) = veth();
    let (pass, drop_all) = (load_pass(), load_source(&format!("{HEAD}{DROP}"), "drop"));
    let path = Path::new(pins::BPFFS).join(unique("xp"));
    let made = Link::attach_xdp(pass.entry(), ifindex, 0).expect("attach");
    let busy = Link::attach_xdp(pass.entry(), ifindex, 0).expect_err("taken");
    assert_eq!(busy.errno_value(), Some(nix::libc::EBUSY));
    made.pin(&path).expect("pin");
    let id = made.info().expect("info").id;
    drop(made);

    let link = Link::open_pinned(&path).expect("pinned");
    assert_eq!(link.info().expect("info").kind, LinkKind::Xdp { ifindex });
    assert!(run(&format!("bpftool link show pinned {}", path.display())).starts_with(&format!("{id}: xdp")));
    let shown = || run(&format!("ip -details link show {name}"));
    assert!(shown().contains(&format!("prog/xdp id {} ", pass.info().id)), "{}", shown());
    assert!(link.update(drop_all.entry(), Some(drop_all.entry())).is_err(), "not the present program");
    link.update(drop_all.entry(), Some(pass.entry())).expect("update");
    assert!(shown().contains(&format!("prog/xdp id {} ", drop_all.info().id)), "{}", shown());
    assert_eq!(link.info().expect("info").program_id, drop_all.info().id);

    run(&format!("ip link del {name}"));
    let dead = link::all().expect("links").into_iter().find(|info| info.id == id).expect("still there");
    assert_eq!((dead.kind, dead.xdp_ifindex()), (LinkKind::Xdp { ifindex: 0 }, None));
    drop(link);
    pins::remove(&path).expect("remove");
    assert!(pins::walk(Path::new(pins::BPFFS)).is_empty());
}

#[test]
fn root_detaching_takes_the_program_off_whoever_holds_the_link() {
    own_namespaces();
    let (name, ifindex) = veth();
    let pass = load_pass();
    let held = Link::attach_xdp(pass.entry(), ifindex, 0).expect("attach");
    let id = held.info().expect("info").id;
    Link::open(id).expect("open").expect("there").detach().expect("detach");
    assert!(!run(&format!("ip -details link show {name}")).contains("prog/xdp"));
    assert_eq!(held.info().expect("info").xdp_ifindex(), None);
}

#[test]
fn root_holders_are_found_by_descriptor_and_by_pin() {
    own_namespaces();
    let (_, ifindex) = veth();
    let loaded = load_pass();
    let link = Link::attach_xdp(loaded.entry(), ifindex, 0).expect("attach");
    let folder = Path::new(pins::BPFFS).join(unique("xp"));
    std::fs::create_dir_all(folder.join("deep")).expect("folder");
    let (program_pin, link_pin) = (folder.join("deep/program"), folder.join("link"));
    program::pin(loaded.entry(), &program_pin).expect("pin");
    link.pin(&link_pin).expect("pin");
    std::os::unix::fs::symlink(&folder, folder.join("loop")).expect("a loop");

    let owners = Owners::scan();
    let objects = [ObjectRef::program(loaded.info().id), ObjectRef::link(link.info().expect("info").id)];
    for (object, pin) in objects.into_iter().zip([&program_pin, &link_pin]) {
        let holders = owners.processes(object);
        assert_eq!(holders.len(), 1, "{object:?}: {holders:?}");
        assert_eq!(holders[0].pid, std::process::id());
        assert_eq!(holders[0].comm, std::fs::read_to_string("/proc/self/comm").expect("comm").trim());
        assert_eq!(owners.pins(object), std::slice::from_ref(pin));
    }
    assert!(owners.processes(ObjectRef::map(u32::MAX)).is_empty());
    let found: Vec<ObjectRef> = pins::walk(&folder).into_iter().map(|pin| pin.object).collect();
    assert_eq!(found, objects);
    assert!(Link::open_pinned(&program_pin).is_err(), "a program is no link");
    assert!(program::open_pinned(&program_pin).expect("pinned").as_fd().try_clone_to_owned().is_ok());
}

#[test]
fn root_the_bpf_file_system_of_an_ancestor_is_used_where_there_is_none() {
    // The ancestor's: a fresh machine has none before something loads its first program.
    pins::ensure_mounted().expect("mount");
    own_namespaces();
    let base = Path::new(pins::BPFFS);
    while pins::is_bpffs(base) {
        nix::mount::umount(base).expect("umount");
    }
    let loaded = load_pass();
    let error = program::pin(loaded.entry(), &base.join("x")).expect_err("nowhere to pin");
    assert!(error.mend_text().is_some_and(|mend| mend.contains("mount -t bpf")), "{error}");
    pins::ensure_mounted().expect("an ancestor has it");
    assert!(!pins::is_bpffs(base));
    let pin = pins::root().join(unique("pin"));
    program::pin(loaded.entry(), &pin).expect("pin");
    let pinned = pins::pinned_object(&pin);
    pins::remove(&pin).expect("unpin");
    assert_eq!(pinned.expect("pinned"), ObjectRef::program(loaded.info().id));
}

#[test]
fn root_vmlinux_header_is_what_bpftool_writes() {
    let ours = String::from_utf8_lossy(vmlinux_header());
    let theirs = run("bpftool btf dump file /sys/kernel/btf/vmlinux format c");
    let types = |text: &str| {
        let mut lines: Vec<String> =
            text.lines().filter(|line| line.starts_with("struct ")).map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    };
    assert_eq!(types(&ours), types(&theirs));
}
