//! Programs in the traffic control of an interface (TCX, `net/core/` and `kernel/bpf/tcx.c`, Linux 6.6).

use libbpf_sys::{bpf_attach_type, bpf_prog_query_opts as Options, bpf_prog_query_opts__bindgen_ty_1 as Count};
use nix::libc;
use xdpilot_core::error::Result;

use crate::bpf;

/// The kernel's limit (`BPF_MPROG_MAX`, `include/linux/bpf_mprog.h`).
const MOST: usize = 64;

/// A program that sees the packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// Its id.
    pub program: u32,
    /// The link that holds it; none where it was attached without one.
    pub link: Option<u32>,
}

/// The programs that see the packets that leave an interface of this thread's network namespace, in the order in which
/// they do. None where the kernel has no TCX.
pub fn egress(ifindex: u32) -> Result<Vec<Classifier>> {
    query(ifindex, libbpf_sys::BPF_TCX_EGRESS, "leave")
}

/// The same for the packets that arrive there.
pub fn ingress(ifindex: u32) -> Result<Vec<Classifier>> {
    query(ifindex, libbpf_sys::BPF_TCX_INGRESS, "arrive at")
}

fn query(ifindex: u32, kind: bpf_attach_type, verb: &str) -> Result<Vec<Classifier>> {
    let (mut programs, mut links) = ([0u32; MOST], [0u32; MOST]);
    let mut options = Options {
        sz: size_of::<Options>() as u64,
        prog_ids: programs.as_mut_ptr(),
        link_ids: links.as_mut_ptr(),
        __bindgen_anon_1: Count { count: MOST as u32 },
        ..Options::default()
    };
    let interface = i32::try_from(ifindex).unwrap_or(-1);
    // SAFETY: both arrays have room for the stated count and live across the call.
    let ret = unsafe { libbpf_sys::bpf_prog_query_opts(interface, kind, &mut options) };
    if ret == -libc::EINVAL || ret == -libc::ENOENT {
        return Ok(Vec::new());
    }
    bpf::check(ret, || format!("list the programs on packets that {verb} interface {ifindex}"))?;
    // SAFETY: both members of the union are the same integer.
    let count = unsafe { options.__bindgen_anon_1.count } as usize;
    let found = programs.into_iter().zip(links).take(count);
    Ok(found.map(|(program, link)| Classifier { program, link: Some(link).filter(|id| *id != 0) }).collect())
}
