//! Compiling C with clang.

use super::Stage::Compile;
use super::row::Row;

pub(super) const ROWS: &[Row] = &[
    Row::silent(
        "G1",
        &[Compile],
        &[2],
        "clang is not installed; it is needed for C sources only",
        "apt install clang   (dnf install clang), or compile elsewhere and load the .o file",
    ),
    Row::said(
        "G2",
        &["'asm/types.h' file not found", "'asm/*.h' file not found"],
        "the kernel's headers of this architecture are not in clang's path for BPF",
        "apt install linux-libc-dev   and add -I/usr/include/$(uname -m)-linux-gnu",
    ),
    Row::said(
        "G3",
        &["'bpf/*.h' file not found"],
        "libbpf's headers are not installed",
        "apt install libbpf-dev   (dnf install libbpf-devel)",
    ),
    Row::said(
        "G4",
        &["'vmlinux.h' file not found"],
        "the source wants the running kernel's types",
        "bpftool btf dump file /sys/kernel/btf/vmlinux format c > vmlinux.h",
    ),
    Row::said(
        "G5",
        &["no available targets are compatible with triple \"bpf\"", "unknown target triple 'bpf"],
        "this clang was built without the BPF target",
        "apt install clang   brings one that has it; clang --print-targets   lists them",
    ),
    Row::said(
        "G6",
        &["looks like the bpf stack limit is exceeded", "looks like the bpf stack limit of 512 bytes is exceeded"],
        "the function's local variables need more than the 512 bytes of a BPF stack",
        "keep large variables in a per-CPU array map of one element",
    ),
];
