//! Run counts and run times of programs: the kernel counts them only while somebody asks.

use std::os::fd::OwnedFd;

use xdpilot_core::error::Result;

use crate::bpf;

/// Counts `run_count` and `run_time` of all programs while it lives (`BPF_ENABLE_STATS`, Linux 5.8).
#[derive(Debug)]
pub struct Stats {
    _fd: OwnedFd,
}

impl Stats {
    /// Turns the counting on. It costs each program some 20 ns a packet.
    ///
    /// Fails on kernels before 5.8 (EINVAL) and without `CAP_SYS_ADMIN`.
    pub fn enable() -> Result<Self> {
        // SAFETY: takes an integer, returns a descriptor.
        let ret = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        Ok(Stats { _fd: bpf::owned_fd(ret, || "turn on BPF statistics".to_owned())? })
    }
}
