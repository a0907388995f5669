//! Probes of the running kernel and of what it lets this process do.

use std::fs;
use std::path::Path;

use xdpilot_kernel::{machine, pins, program};

use super::finding::Finding;

/// Bits of `CapEff` (`include/uapi/linux/capability.h`).
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_BPF: u64 = 1 << 39;

/// The probes, in the order in which they are shown.
pub(super) const PROBES: &[fn() -> Finding] =
    &[bpf_is_permitted, types, jit, bpf_file_system, links, locked_memory, unprivileged];

fn bpf_is_permitted() -> Finding {
    let held = effective_capabilities();
    let has = |capability: u64| held & (capability | CAP_SYS_ADMIN) != 0;
    let names: Vec<&str> = [("CAP_BPF", has(CAP_BPF)), ("CAP_NET_ADMIN", held & CAP_NET_ADMIN != 0)]
        .into_iter()
        .filter_map(|(name, held)| (!held).then_some(name))
        .collect();
    if !names.is_empty() {
        return Finding::fail(
            format!("this process lacks {}, so it may neither load nor attach programs", names.join(" and ")),
            "run it as root: sudo xdpilot …; in a container: --cap-add BPF --cap-add NET_ADMIN, or --privileged",
        );
    }
    match program::ids() {
        Ok(_) => Finding::ok("this process may load and attach programs"),
        Err(error) => Finding::fail(
            format!("the kernel refuses bpf(2): {}", error.kernel_words().unwrap_or("without a reason")),
            "in a container: --privileged, or --cap-add SYS_ADMIN and a seccomp profile that allows bpf(2)",
        ),
    }
}

fn effective_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    held.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

fn types() -> Finding {
    match Path::new("/sys/kernel/btf/vmlinux").exists() {
        true => Finding::ok("the kernel's types (BTF) can be read"),
        false => Finding::warn(
            "the kernel has no type information (BTF): programs that read kernel types (CO-RE) and kfuncs do not load",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
        ),
    }
}

fn jit() -> Finding {
    const SWITCH: &str = "net.core.bpf_jit_enable";
    match setting("net/core/bpf_jit_enable").as_deref() {
        Some("0") => {
            Finding::warn("programs are interpreted: the JIT compiler is off", format!("sysctl -w {SWITCH}=1"))
        }
        Some("2") => {
            Finding::warn("the JIT compiler prints each program to the kernel log", format!("sysctl -w {SWITCH}=1"))
        }
        Some(_) => Finding::ok("programs are compiled to machine code (JIT)"),
        None => Finding::ok("whether programs are compiled (JIT) cannot be read in this namespace"),
    }
}

fn bpf_file_system() -> Finding {
    match pins::is_bpffs(Path::new(pins::BPFFS)) {
        true => Finding::ok(format!("the BPF file system is mounted at {}", pins::BPFFS)),
        false => Finding::warn(
            format!("no BPF file system is mounted at {}; xdpilot load mounts it where it may", pins::BPFFS),
            format!("mount -t bpf bpf {}", pins::BPFFS),
        ),
    }
}

fn links() -> Finding {
    match machine::has_xdp_link() {
        true => Finding::ok("programs are attached by links, which nobody else replaces by mistake"),
        false => {
            Finding::warn("the kernel has no XDP links: programs are attached by netlink", "use Linux 5.9 or newer")
        }
    }
}

fn locked_memory() -> Finding {
    if machine::kernel_release().is_ok_and(|(major, minor, _)| (major, minor) >= (5, 11)) {
        return Finding::ok("BPF memory is not held against the limit of locked memory");
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    match soft {
        Some("unlimited") => Finding::ok("locked memory is unlimited"),
        _ => Finding::warn("BPF memory counts as locked memory, which is limited here", "ulimit -l unlimited"),
    }
}

fn unprivileged() -> Finding {
    match setting("kernel/unprivileged_bpf_disabled").as_deref() {
        Some("0") => Finding::warn(
            "any user may load programs, which the kernel's documentation advises against",
            "sysctl -w kernel.unprivileged_bpf_disabled=2",
        ),
        _ => Finding::ok("only privileged users may load programs"),
    }
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc/sys").join(path)).ok().map(|text| text.trim().to_string())
}
