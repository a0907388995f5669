//! What this kernel and machine are, as far as loading depends on it.

use std::fs;

use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::bpf;

/// The number of possible CPUs: how many values an element of a per-CPU map has.
pub fn possible_cpus() -> Result<usize> {
    crate::libbpf_log::silence();
    // SAFETY: no arguments.
    let ret = unsafe { libbpf_sys::libbpf_num_possible_cpus() };
    Ok(bpf::check(ret, || "count the CPUs".to_owned())?.unsigned_abs() as usize)
}

/// The size of a memory page in bytes. Ring buffers are multiples of it.
pub fn page_size() -> usize {
    // SAFETY: takes a constant, touches no memory.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// The kernel's release as numbers: 6.1.0-13-amd64 is (6, 1, 0).
pub fn kernel_release() -> Result<(u32, u32, u32)> {
    let path = "/proc/sys/kernel/osrelease";
    let text =
        fs::read_to_string(path).map_err(|error| Error::failed(format!("read {path}")).kernel(error.to_string()))?;
    Ok(parse_release(&text))
}

fn parse_release(text: &str) -> (u32, u32, u32) {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Whether the kernel has bpf_link for XDP (Linux 5.9).
///
/// Asked by making a link from no program: a kernel that knows XDP links finds the descriptor bad, one that
/// does not finds the attach type invalid (`link_create` in `kernel/bpf/syscall.c`). False also for users who may not use BPF at all.
pub fn has_xdp_link() -> bool {
    // SAFETY: no options; neither descriptor nor interface exist, so nothing is attached.
    let ret = unsafe { libbpf_sys::bpf_link_create(-1, 0, libbpf_sys::BPF_XDP, std::ptr::null()) };
    ret == -libc::EBADF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_releases() {
        assert_eq!(parse_release("6.1.0-13-amd64\n"), (6, 1, 0));
        assert_eq!(parse_release("6.18.44-fc-v669"), (6, 18, 44));
        assert_eq!(parse_release("5.4-rc1"), (5, 4, 0));
    }
}
