//! Programs to load: the committed examples, and objects compiled from sources of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// One of the examples.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(format!("{name}.o")).canonicalize().unwrap()
}

/// An object that vanishes with this value.
pub(crate) struct Built {
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

/// What all the sources begin with.
const HEAD: &str = r#"
#include <linux/bpf.h>
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) __typeof__(value) *name
#define __array(name, value) __typeof__(value) *name[]
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static long (*timer_init)(struct bpf_timer *timer, void *map, __u64 flags) = (void *)169;
static long (*timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*timer_start)(struct bpf_timer *timer, __u64 ns, __u64 flags) = (void *)171;
struct elf_map { __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx; };
char _license[] SEC("license") = "GPL";
"#;

/// Compiles a source.
pub(crate) fn build(source: &str) -> Built {
    let directory = tempfile::Builder::new().prefix("xp").tempdir().unwrap();
    let (c, path) = (directory.path().join("test.c"), directory.path().join("test.o"));
    std::fs::write(&c, format!("{HEAD}{source}")).unwrap();
    let clang = ["clang", "clang-19", "clang-18", "clang-17", "clang-16", "clang-14"]
        .into_iter()
        .find(|clang| Command::new(clang).arg("--version").output().is_ok_and(|output| output.status.success()))
        .unwrap();
    let include = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(clang)
        .args([
            "-target",
            "bpf",
            "-mcpu=v3",
            "-O2",
            "-g",
            "-Wall",
            "-Wno-unused",
            "-Werror",
            "-idirafter",
            &include,
            "-c",
        ])
        .args([&c, Path::new("-o"), &path])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Built { path, _directory: directory }
}

/// Its verdict is that of a program it tail-calls: drop. Without the tail call it is pass.
pub(crate) const TAIL_CALL: &str = r#"
SEC("xdp") int second(struct xdp_md *ctx) { return XDP_DROP; }
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4);
    __array(values, int(void *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&second } };
SEC("xdp") int first(struct xdp_md *ctx) { tail_call(ctx, &jumps, 1); return XDP_PASS; }
"#;

/// The verifier refuses it: it reads past a packet's end.
pub(crate) const REFUSED: &str = r#"
SEC("xdp") int reads_past_the_end(struct xdp_md *ctx) { return *(char *)(long)ctx->data; }
"#;

/// A counting dropper whose map iproute2 would pin under this name, by `pinning` (1 object, 2 global).
pub(crate) fn pinning_dropper(name: &str, pinning: u32) -> String {
    format!(
        r#"
struct elf_map SEC("maps") {name} = {{
    .type = BPF_MAP_TYPE_ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = {pinning},
}};
SEC("xdp") int dropper(struct xdp_md *ctx)
{{
    __u32 key = 0;
    __u64 *count = lookup(&{name}, &key);
    if (count) __sync_fetch_and_add(count, 1);
    return XDP_DROP;
}}
"#
    )
}
