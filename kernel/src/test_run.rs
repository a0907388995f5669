//! Running an XDP program on a packet without any interface (`BPF_PROG_TEST_RUN`).

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use libbpf_sys::{bpf_test_run_opts, xdp_md};
use nix::libc;
use xdpilot_core::error::Result;

use crate::bpf;

/// Room that a program may add at the packet's two ends: `XDP_PACKET_HEADROOM` in front, up to a page behind.
const GROWTH: usize = 256 + 4096;

/// A packet and the circumstances of its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun<'a> {
    /// The frame, from its Ethernet header on; at least 14 bytes.
    pub packet: &'a [u8],
    /// The interface that it seems to come from, in this thread's network namespace; 0 for loopback without saying
    /// so. The kernel takes only interfaces whose receive queue is registered: a veth with XDP attached, a NIC.
    pub ingress_ifindex: u32,
    /// The receive queue on that interface.
    pub rx_queue: u32,
    /// How often to run; the duration is the mean. Each run goes on with what the last one made of the packet.
    pub repeat: u32,
}

/// What a program did with the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The program's return value: `XDP_ABORTED` 0, `XDP_DROP` 1, `XDP_PASS` 2, `XDP_TX` 3, `XDP_REDIRECT` 4, or any
    /// other number.
    pub verdict: u32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
    /// The mean time of a run, in whole nanoseconds.
    pub duration: Duration,
}

/// Runs the program (`bpf_prog_test_run_xdp` in `net/bpf/test_run.c`).
///
/// EINVAL: the packet is shorter than an Ethernet header, longer than the program without `xdp.frags` can take, or
/// the interface cannot be named. Needs `CAP_NET_ADMIN`.
pub fn run(program: BorrowedFd<'_>, test: &TestRun<'_>) -> Result<TestResult> {
    let mut out = vec![0u8; test.packet.len() + GROWTH];
    let length = u32::try_from(test.packet.len()).unwrap_or(u32::MAX);
    let context = xdp_md {
        data_end: length,
        ingress_ifindex: test.ingress_ifindex,
        rx_queue_index: test.rx_queue,
        ..xdp_md::default()
    };
    let mut options = bpf_test_run_opts {
        sz: size_of::<bpf_test_run_opts>() as u64,
        data_in: test.packet.as_ptr().cast::<c_void>(),
        data_size_in: length,
        data_out: out.as_mut_ptr().cast::<c_void>(),
        data_size_out: u32::try_from(out.len()).unwrap_or(u32::MAX),
        repeat: i32::try_from(test.repeat).unwrap_or(i32::MAX),
        ..bpf_test_run_opts::default()
    };
    // Kernels before 5.15 take no context, so it is given only where it says something.
    if test.ingress_ifindex != 0 {
        options.ctx_in = std::ptr::from_ref(&context).cast::<c_void>();
        options.ctx_size_in = size_of::<xdp_md>() as u32;
    }
    let ret = loop {
        // SAFETY: all buffers live across the call and have the sizes stated beside them.
        match unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut options) } {
            ret if ret == -libc::EINTR => {}
            ret => break ret,
        }
    };
    bpf::check(ret, || format!("test-run the program on a packet of {length} bytes"))?;
    out.truncate(options.data_size_out as usize);
    Ok(TestResult { verdict: options.retval, packet: out, duration: Duration::from_nanos(options.duration.into()) })
}
