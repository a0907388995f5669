//! Loading against the running kernel.
// Helpers are test code too.
#![allow(clippy::expect_used)]

mod common;

use std::os::fd::AsFd;
use std::path::PathBuf;

use common::{HEAD, compile, load_source, own_namespaces, run, unique, veth};
use xdpilot_core::error::Kind;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::load::{Device, Request, load};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::test_run::{TestRun, run as test_run};
use xdpilot_kernel::{pins, program};

fn verdict(program: std::os::fd::BorrowedFd<'_>) -> u32 {
    test_run(program, &TestRun { packet: &[0; 64], ingress_ifindex: 0, rx_queue: 0, repeat: 1 }).expect("run").verdict
}

#[test]
fn root_loads_the_chosen_program_and_leaves_its_siblings() {
    let source = format!(
        "{HEAD}
        SEC(\"xdp\") int a_program_of_a_long_name(struct xdp_md *ctx) {{ return XDP_DROP; }}
        SEC(\"odd section\") int odd(struct xdp_md *ctx) {{ return XDP_TX; }}
        SEC(\"xdp\") int broken(struct xdp_md *ctx) {{ return *(unsigned char *)(long)ctx->data; }}
        SEC(\"fentry/no_such_function\") int other(void *ctx) {{ return 0; }}"
    );
    let elf = compile(&source);
    let request = Request { elf: &elf, name: "siblings", entry: "a_program_of_a_long_name", ..Request::default() };
    let loaded = load(&request).expect("load");
    let id = loaded.info().id;
    assert_eq!(loaded.info().name, "a_program_of_a_long_name");
    let seen = run(&format!("bpftool prog show id {id}"));
    assert!(seen.contains(&format!("tag {}", loaded.info().tag)), "{seen}");
    assert!(seen.contains("a_program_of_a_long_name") && seen.contains("xdp") && seen.contains("gpl"), "{seen}");
    assert_eq!(verdict(loaded.entry()), 1);
    assert!(loaded.program("broken").is_none());
    assert_eq!(loaded.log(), "");
    drop(loaded);
    assert!(program::open(id).expect("open").is_none());

    let loaded = load(&Request { entry: "odd", ..request }).expect("a section of no meaning");
    assert_eq!(verdict(loaded.entry()), 3);
}

#[test]
fn root_names_the_programs_where_the_chosen_one_is_missing() {
    let elf = compile(&format!("{HEAD} SEC(\"xdp\") int one(struct xdp_md *ctx) {{ return XDP_PASS; }}"));
    let error = load(&Request { elf: &elf, name: "o", entry: "two", ..Request::default() }).expect_err("missing");
    assert_eq!(error.error.kind(), Kind::Usage);
    assert!(error.to_string().contains("no program two; it has: one"), "{error}");
    let error = load(&Request { elf: &[1, 2, 3], name: "o", entry: "two", ..Request::default() }).expect_err("no ELF");
    assert!(!error.log.is_empty());
}

#[test]
fn root_a_rejection_brings_the_verifiers_log() {
    let source = format!(
        "{HEAD} SEC(\"xdp\") int peek(struct xdp_md *ctx) {{
            return *(unsigned char *)(long)ctx->data; // caf\u{e9}
        }}"
    );
    let error = load(&Request { elf: &compile(&source), name: "peek.o", entry: "peek", ..Request::default() })
        .expect_err("rejected");
    assert_eq!(error.error.errno_value(), Some(nix::libc::EACCES));
    assert!(error.log.contains("processed ") && error.log.contains("-- END PROG LOAD LOG --"), "{}", error.log);
    let words = error.error.kernel_words().expect("words");
    assert!(words.contains("invalid access to packet") && words.contains("return *(unsigned char *)"), "{words}");
}

#[test]
fn root_a_verbose_load_tells_of_the_verifier() {
    let elf = compile(&format!("{HEAD} SEC(\"xdp\") int one(struct xdp_md *ctx) {{ return XDP_PASS; }}"));
    let request = Request { elf: &elf, name: "o", entry: "one", verbose: true, ..Request::default() };
    let loaded = load(&request).expect("load");
    assert!(loaded.log().contains("processed "), "{}", loaded.log());
}

#[test]
fn root_tail_calls_reach_programs_loaded_beside_the_entry() {
    let source = format!(
        "{HEAD}
        int target(struct xdp_md *ctx);
        struct {{
            __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4);
            __array(values, int(void *));
        }} jumps SEC(\".maps\") = {{ .values = {{ [1] = (void *)&target }} }};
        SEC(\"xdp\") int target(struct xdp_md *ctx) {{ return XDP_TX; }}
        SEC(\"xdp\") int entry(struct xdp_md *ctx) {{ bpf_tail_call(ctx, &jumps, 1); return XDP_ABORTED; }}"
    );
    let elf = compile(&source);
    let request = Request { elf: &elf, name: "tail", entry: "entry", also: &["target"], ..Request::default() };
    let loaded = load(&request).expect("load");
    assert_eq!(verdict(loaded.entry()), 3);
    let jumps = loaded.map("jumps").expect("map");
    assert!(jumps.delete(&1u32.to_ne_bytes()).expect("delete"));
    assert_eq!(verdict(loaded.entry()), 0);
    let target = loaded.program("target").expect("target");
    let number = std::os::fd::AsRawFd::as_raw_fd(&target).to_ne_bytes();
    jumps.update(&1u32.to_ne_bytes(), &number).expect("update");
    assert_eq!(verdict(loaded.entry()), 3);
}

#[test]
fn root_pinned_maps_are_shared_and_their_folders_made() {
    own_namespaces();
    let source = |size: u32| {
        format!(
            "{HEAD}
            struct {{
                __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, {size});
                __type(key, __u32); __type(value, __u64);
            }} hits SEC(\".maps\");
            SEC(\"xdp\") int count(struct xdp_md *ctx) {{
                __u32 key = 0;
                __u64 *hit = bpf_map_lookup_elem(&hits, &key);
                if (hit) __sync_fetch_and_add(hit, 1);
                return XDP_PASS;
            }}"
        )
    };
    let path = PathBuf::from(pins::BPFFS).join(unique("xp")).join("deep/hits");
    let pinned = [("hits", path.as_path())];
    let (elf, larger) = (compile(&source(1)), compile(&source(2)));
    let request = Request { elf: &elf, name: "o", entry: "count", pinned_maps: &pinned, ..Request::default() };
    let (first, second) = (load(&request).expect("first"), load(&request).expect("second"));
    assert_eq!(first.info().map_ids, second.info().map_ids);
    let seen = run(&format!("bpftool map show pinned {}", path.display()));
    assert!(seen.starts_with(&format!("{}:", first.info().map_ids[0])), "{seen}");
    verdict(first.entry());
    verdict(second.entry());
    let map = Map::open_pinned(&path).expect("pin");
    assert_eq!(map.first().expect("value"), 2u64.to_ne_bytes());

    let error = load(&Request { elf: &larger, ..request }).expect_err("does not fit");
    assert!(error.error.kernel_words().is_some_and(|words| words.contains("parameter mismatch")), "{error}");
    assert!(path.exists());
}

#[test]
fn root_a_failed_load_removes_the_folders_that_it_made() {
    own_namespaces();
    let elf = compile(&format!("{HEAD} SEC(\"xdp\") int one(struct xdp_md *ctx) {{ return XDP_PASS; }}"));
    let folder = PathBuf::from(pins::BPFFS).join(unique("xp"));
    let path = folder.join("a/b");
    let pinned = [("none", path.as_path())];
    let request = Request { elf: &elf, name: "o", entry: "one", pinned_maps: &pinned, ..Request::default() };
    assert!(load(&request).expect_err("no such map").to_string().contains("no map none"));
    assert!(!folder.exists());
}

#[test]
fn root_a_bound_program_may_ask_its_device_for_metadata() {
    own_namespaces();
    let (_, ifindex) = veth();
    let source = format!(
        "{HEAD}
        extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;
        SEC(\"xdp\") int stamp(struct xdp_md *ctx) {{
            __u64 time = 0;
            bpf_xdp_metadata_rx_timestamp(ctx, &time);
            return XDP_PASS;
        }}"
    );
    let elf = compile(&source);
    let request = Request { elf: &elf, name: "stamp.o", entry: "stamp", ..Request::default() };
    let error = load(&request).expect_err("not bound");
    assert!(error.log.contains("metadata kfuncs require device-bound program"), "{}", error.log);
    let loaded = load(&Request { device: Device::Bound(ifindex), ..request }).expect("bound");
    assert!(Link::attach_xdp(loaded.entry(), veth().1, 0).is_err(), "bound to another interface");
    Link::attach_xdp(loaded.entry(), ifindex, 0).expect("its own interface");
    let error = load(&Request { device: Device::Offload(ifindex), ..request }).expect_err("veth has no offload");
    assert!(error.error.errno_value().is_some(), "{error}");
}

#[test]
fn root_global_data_is_a_map() {
    let source = format!(
        "{HEAD} const volatile int answer = 42;
        SEC(\"xdp\") int one(struct xdp_md *ctx) {{ return answer == 42 ? XDP_PASS : XDP_DROP; }}"
    );
    let loaded = load_source(&source, "one");
    assert_eq!(loaded.map_names(), ["test.rodata"]);
    let rodata = loaded.map("test.rodata").expect("map");
    assert_eq!(rodata.first().expect("value"), 42u32.to_ne_bytes());
    assert!(Map::new(loaded.entry().as_fd().try_clone_to_owned().expect("dup")).is_err(), "a program is no map");
}
