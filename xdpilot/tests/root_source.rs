//! Files become objects that the kernel loads. Needs root, clang and a kernel with BTF.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use xdpilot::source::{self, Source};
use xdpilot_core::error::{Error, Kind};
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::test_run::{self, TestRun};

/// Names the source that a child of this test reads.
const CHILD: &str = "XDPILOT_TEST_SOURCE";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str, text: impl AsRef<[u8]>) -> Result<Source, Error> {
        source::read(&self.write(name, text))
    }
}

fn loads(source: &Source) -> Loaded {
    let request = Request { elf: &source.elf, name: &source.name, entry: "prog", ..Request::default() };
    load(&request).unwrap_or_else(|error| panic!("{}\n{}", error.error, error.log))
}

/// The verdict on an IPv4 UDP packet to port 53.
fn verdict(loaded: &Loaded) -> u32 {
    let mut packet = [0u8; 64];
    (packet[12], packet[14], packet[23], packet[37]) = (0x08, 0x45, 17, 53);
    test_run::run(loaded.entry(), &TestRun { packet: &packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 })
        .unwrap()
        .verdict
}

fn compiles_to(verdict_wanted: u32, text: &str) {
    let source = Folder::new().read("some.c", text).unwrap();
    assert_eq!(verdict(&loads(&source)), verdict_wanted, "{text}");
}

const NO_INCLUDE: &str = r#"
__attribute__((section("xdp"))) int prog(void *ctx) { return 1; }
char _license[] __attribute__((section("license"))) = "GPL";
"#;

#[test]
fn a_program_without_includes() {
    compiles_to(1, NO_INCLUDE);
}

const HELPERS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1); } hits SEC(".maps");
SEC("xdp") int prog(struct xdp_md *ctx) {
    __u32 key = 0; __u64 *hit = bpf_map_lookup_elem(&hits, &key);
    if (!hit) return XDP_ABORTED;
    __sync_fetch_and_add(hit, 1);
    return XDP_TX;
}
char _license[] SEC("license") = "GPL";
"#;

#[test]
fn maps_and_libbpf_s_headers() {
    let source = Folder::new().read("maps.c", HELPERS).unwrap();
    assert_eq!(source.name, "maps");
    let loaded = loads(&source);
    assert_eq!(verdict(&loaded), 3);
    let hits = loaded.map("hits").unwrap().first().unwrap();
    assert_eq!(hits, 1u64.to_le_bytes());
}

#[test]
fn types_newer_than_the_distribution_s_headers() {
    compiles_to(
        2,
        r#"
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <bpf/bpf_helpers.h>
struct arena { __uint(type, BPF_MAP_TYPE_ARENA); };
struct held { struct bpf_refcount count; struct bpf_list_head list; };
SEC("xdp") int prog(struct xdp_md *ctx) { return sizeof(struct held) ? XDP_PASS : XDP_DROP; }
char _license[] SEC("license") = "GPL";
"#,
    );
}

const SYSTEM_HEADERS: &str = r#"
#include <stdint.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <net/ethernet.h>
#include <sys/socket.h>
#include <asm/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <linux/tcp.h>
#include <linux/icmp.h>
#include <uapi/linux/if_packet.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int prog(struct xdp_md *ctx) {
    void *data = (void *)(uintptr_t)ctx->data, *end = (void *)(uintptr_t)ctx->data_end;
    struct ethhdr *eth = data; struct iphdr *ip = (void *)(eth + 1); struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > end) return XDP_ABORTED;
    uint8_t copy[6]; memcpy(copy, eth->h_source, 6);
    if (eth->h_proto != htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP || copy[0]) return XDP_PASS;
    return __be16_to_cpu(udp->dest) == 53 && ntohs(udp->dest) == 53 && __cpu_to_be32(ip->saddr) == 0 ? XDP_DROP : XDP_TX;
}
char _license[] SEC("license") = "GPL";
"#;

#[test]
fn the_system_s_headers() {
    compiles_to(1, SYSTEM_HEADERS);
}

const CORE: &str = r#"
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
SEC("xdp") int prog(struct xdp_md *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    int pid = BPF_CORE_READ(task, tgid);
    return pid == (bpf_get_current_pid_tgid() >> 32) && bpf_core_field_exists(task->mm) ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"#;

#[test]
fn the_kernel_s_types_where_none_lie_beside() {
    compiles_to(1, CORE);
    compiles_to(1, &CORE.replace("vmlinux.h", "vmlinux/vmlinux.h"));
    let folder = Folder::new();
    folder.write("vmlinux.h", "enum { FROM_BESIDE = 2 }; struct xdp_md;\n");
    let text = NO_INCLUDE.replace("return 1", "return FROM_BESIDE");
    let source = folder.read("own.c", format!("#include \"vmlinux.h\"\n{text}")).unwrap();
    assert_eq!(verdict(&loads(&source)), 2);
}

#[test]
fn sources_of_older_days() {
    // Headers without folder, and `memcpy` and the return type as clang 14 took them.
    let text = r#"
#include <linux/bpf.h>
#include "bpf_helpers.h"
#include "bpf_endian.h"
SEC("xdp") prog(struct xdp_md *ctx) {
    char from[4] = "abc", to[4];
    memcpy(to, from, 4);
    return to[0] == 'a' && bpf_htons(1) == 256 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"#;
    compiles_to(1, text);
    let map = r#"
#include <linux/bpf.h>
#include "bpf_helpers.h"
struct bpf_map_def SEC("maps") hits = { .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
SEC("xdp") int prog(struct xdp_md *ctx) { __u32 key = 0; return bpf_map_lookup_elem(&hits, &key) ? XDP_DROP : XDP_PASS; }
char _license[] SEC("license") = "GPL";
"#;
    let source = Folder::new().read("map.c", map).unwrap();
    let (object, _) = xdpilot_core::elf::read(&source.elf).unwrap();
    let shape = &object.maps[0].shape;
    assert_eq!((shape.kind, shape.key_size, shape.value_size, shape.max_entries), (2, 4, 8, 1));
}

#[test]
fn an_object_is_the_same_each_time() {
    let folder = Folder::new();
    let path = folder.write("same.c", HELPERS);
    let (first, second) = (source::read(&path).unwrap(), source::read(&path).unwrap());
    assert!(first.elf == second.elf);
    let place = std::env::temp_dir().join("xdpilot-");
    let place = place.as_os_str().as_encoded_bytes();
    assert!(!first.elf.windows(place.len()).any(|bytes| bytes == place));
    // An object is read whatever it is called, and even where its name says C.
    for name in ["same.o", "same", "same.c"] {
        let source = folder.read(name, &first.elf).unwrap();
        assert!(source.elf == first.elf && source.name == "same");
        assert_eq!(source.path, folder.0.path().join(name));
    }
}

#[test]
fn files_that_are_no_programs() {
    let folder = Folder::new();
    folder.write("dropper.c", NO_INCLUDE);
    let missing = source::read(&folder.0.path().join("droper.c")).unwrap_err();
    assert_eq!(missing.cause_text(), Some("did you mean dropper.c?"), "{missing}");
    assert_eq!((missing.kind(), missing.errno_value()), (Kind::Usage, Some(2)));
    let nowhere = source::read(Path::new("/nonexistent-folder/a.c")).unwrap_err();
    assert_eq!(nowhere.cause_text(), Some("there is no folder /nonexistent-folder"));
    assert_eq!(source::read(folder.0.path()).unwrap_err().cause_text(), Some("it is a folder"));
    assert_eq!(folder.read("empty.o", "").unwrap_err().cause_text(), Some("the file is empty"));
    let strange = folder.read("notes.txt", "hello").unwrap_err();
    assert!(strange.cause_text().unwrap().contains("neither"), "{strange}");
    let bitcode = folder.read("a.bc", b"BC\xc0\xde....").unwrap_err();
    assert!(bitcode.mend_text().unwrap().starts_with("llc -march=bpf"), "{bitcode}");
    let endless = source::read(Path::new("/dev/zero")).unwrap_err();
    assert!(endless.cause_text().unwrap().contains("larger than 64 MiB"), "{endless}");
}

/// Runs this one test again in a process of its own, which then reads `source` and ends with what came of it.
fn child(test: &str, source: &Path, prepare: impl FnOnce(&mut Command), wrapper: &[&str]) -> Output {
    let own = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    command.args(["--exact", test, "--nocapture"]).env(CHILD, source);
    prepare(&mut command);
    command.output().unwrap()
}

/// In such a process: reads the source, prints the error to stdout, ends. Elsewhere: nothing.
fn serve_as_child() {
    if let Some(path) = std::env::var_os(CHILD) {
        match source::read(Path::new(&path)) {
            Ok(source) => {
                println!("loaded program {}", loads(&source).info().id);
                std::process::exit(0);
            }
            Err(error) => {
                println!("{error}");
                std::process::exit(1);
            }
        }
    }
}

#[test]
fn clang_s_words_are_passed_on() {
    serve_as_child();
    let folder = Folder::new();
    let path = folder.write("wrong.c", "int main() { return missing_thing; }\n");
    let output = child("clang_s_words_are_passed_on", &path, |_| {}, &[]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let telling = format!("{}:1:21: error: use of undeclared identifier 'missing_thing'", path.display());
    assert!(err.contains(&telling) && err.contains("1 error generated."), "{err}");
    assert!(
        out.contains(&format!("compile {}\n  kernel: clang", path.display())) && out.contains("exits with 1"),
        "{out}"
    );
    // Warnings too, of a source that compiles; none of them twice.
    let path = folder.write("warn.c", format!("#warning look here\n#include \"vmlinux.h\"\n{NO_INCLUDE}"));
    let output = child("clang_s_words_are_passed_on", &path, |_| {}, &[]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && err.matches("warning: look here").count() == 1, "{err}");
}

#[test]
fn without_clang_the_error_names_the_package() {
    serve_as_child();
    let folder = Folder::new();
    let path = folder.write("a.c", NO_INCLUDE);
    let output = child(
        "without_clang_the_error_names_the_package",
        &path,
        |command| _ = command.env("PATH", folder.0.path()),
        &[],
    );
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("find clang\n") && out.contains(" install clang"), "{out}");
}

/// A system with neither libbpf-dev nor 32-bit headers, as fresh ones are.
#[test]
fn neither_libbpf_dev_nor_multilib_is_needed() {
    serve_as_child();
    let hide = r#"
set -e
here=$(dirname "$XDPILOT_TEST_SOURCE")
echo '#error hidden' > "$here/hidden.h"
for f in /usr/include/gnu/stubs-32.h /usr/include/*-linux-gnu/gnu/stubs-32.h; do
  if [ -e "$f" ]; then mount --bind "$here/hidden.h" "$f"; fi
done
if [ -d /usr/include/bpf ]; then mount -t tmpfs none /usr/include/bpf; fi
exec "$@"
"#;
    let folder = Folder::new();
    for (name, text) in [("maps.c", HELPERS), ("system.c", SYSTEM_HEADERS), ("core.c", CORE)] {
        let path = folder.write(name, text);
        let wrapper = ["unshare", "--mount", "sh", "-c", hide, "sh"];
        let output = child("neither_libbpf_dev_nor_multilib_is_needed", &path, |_| {}, &wrapper);
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && out.contains("loaded program"), "{name}: {output:?}");
    }
}
