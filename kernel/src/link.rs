//! BPF links: the attachment of a program as an object that can be pinned, updated and enumerated.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use libbpf_sys::{bpf_attach_type, bpf_link_create_opts, bpf_link_info, bpf_link_update_opts};
use nix::libc;
use xdpilot_core::error::Result;

use crate::bpf;
use crate::object::{ObjectKind, ObjectRef};

/// What a link attaches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// An XDP program on an interface.
    Xdp {
        /// The interface, an index in the interface's own namespace; 0 for a dead link, whose interface is gone
        /// or from which it was detached.
        ifindex: u32,
    },
    /// A program at a function's entry or exit (fentry, fexit), or in its place (freplace).
    Tracing {
        /// The id of the program that holds the function; of the kernel's BTF object for kernel functions.
        target_obj_id: u32,
        /// The BTF id of the function in it.
        target_btf_id: u32,
    },
    /// A program in the traffic control of an interface (TCX).
    Tcx {
        /// The interface, as for XDP.
        ifindex: u32,
        /// Whether it sees packets that leave rather than those that come.
        egress: bool,
    },
    /// Any other: `enum bpf_link_type`.
    Other(u32),
}

/// The kernel's facts of one link (`struct bpf_link_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The id.
    pub id: u32,
    /// The program it holds.
    pub program_id: u32,
    /// What it attaches to.
    pub kind: LinkKind,
}

impl LinkInfo {
    /// The facts of the link behind a descriptor.
    pub fn of_fd(fd: BorrowedFd<'_>) -> Result<Self> {
        let info: bpf_link_info = bpf::info(fd, || "read a link's facts".to_owned())?;
        let kind = match info.type_ {
            libbpf_sys::BPF_LINK_TYPE_XDP => {
                // SAFETY: all members of the union are integers and it was zeroed before.
                LinkKind::Xdp { ifindex: unsafe { info.__bindgen_anon_1.xdp.ifindex } }
            }
            libbpf_sys::BPF_LINK_TYPE_TRACING => {
                // SAFETY: all members of the union are integers and it was zeroed before.
                let tracing = unsafe { info.__bindgen_anon_1.tracing };
                LinkKind::Tracing { target_obj_id: tracing.target_obj_id, target_btf_id: tracing.target_btf_id }
            }
            libbpf_sys::BPF_LINK_TYPE_TCX => {
                // SAFETY: all members of the union are integers and it was zeroed before.
                let tcx = unsafe { info.__bindgen_anon_1.tcx };
                LinkKind::Tcx { ifindex: tcx.ifindex, egress: tcx.attach_type == libbpf_sys::BPF_TCX_EGRESS }
            }
            other => LinkKind::Other(other),
        };
        Ok(LinkInfo { id: info.id, program_id: info.prog_id, kind })
    }

    /// The interface of a living XDP link, an index in the interface's own namespace.
    pub fn xdp_ifindex(&self) -> Option<u32> {
        match self.kind {
            LinkKind::Xdp { ifindex } if ifindex != 0 => Some(ifindex),
            _ => None,
        }
    }

    /// Whether it stands on an interface: none does any more where the interface is gone, or it was detached.
    pub fn is_alive(&self) -> bool {
        matches!(self.kind, LinkKind::Xdp { ifindex } | LinkKind::Tcx { ifindex, .. } if ifindex != 0)
    }

    /// The interface of a living link to packets that leave, an index in the interface's own namespace.
    pub fn egress_ifindex(&self) -> Option<u32> {
        match self.kind {
            LinkKind::Tcx { ifindex, egress: true } if ifindex != 0 => Some(ifindex),
            _ => None,
        }
    }
}

/// An open link. A link to an interface that is not pinned detaches when its last descriptor closes.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

impl Link {
    /// Attaches an XDP program to an interface of this thread's network namespace (`BPF_LINK_CREATE`, Linux 5.9).
    ///
    /// `flags` are `XDP_FLAGS_*` of `linux/if_link.h` and choose the mode (0: the kernel chooses). EBUSY: a program
    /// stands there already; EOPNOTSUPP: the driver has no native XDP; EINVAL: also a kernel without XDP links.
    /// The kernel's extack text does not come this way.
    pub fn attach_xdp(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> Result<Self> {
        let options = bpf_link_create_opts {
            sz: size_of::<bpf_link_create_opts>() as u64,
            flags,
            ..bpf_link_create_opts::default()
        };
        let interface = i32::try_from(ifindex).unwrap_or(-1);
        // SAFETY: the options are valid for the call.
        let ret = unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), interface, libbpf_sys::BPF_XDP, &options) };
        Ok(Link { fd: bpf::owned_fd(ret, || format!("attach to interface {ifindex} by a link"))? })
    }

    /// Attaches a classifier (`sched_cls`) to the packets that leave an interface of this thread's network namespace,
    /// behind those that stand there (TCX, Linux 6.6).
    ///
    /// A verdict of -1 goes on to the next one there, 0 lets the packet out, 2 drops it (`enum tcx_action_base`).
    pub fn attach_egress(program: BorrowedFd<'_>, ifindex: u32) -> Result<Self> {
        Self::attach_tcx(program, ifindex, libbpf_sys::BPF_TCX_EGRESS, "leave")
    }

    /// The same for the packets that arrive there, before the stack sees them.
    pub fn attach_ingress(program: BorrowedFd<'_>, ifindex: u32) -> Result<Self> {
        Self::attach_tcx(program, ifindex, libbpf_sys::BPF_TCX_INGRESS, "arrive at")
    }

    fn attach_tcx(program: BorrowedFd<'_>, ifindex: u32, kind: bpf_attach_type, verb: &str) -> Result<Self> {
        let options =
            bpf_link_create_opts { sz: size_of::<bpf_link_create_opts>() as u64, ..bpf_link_create_opts::default() };
        let interface = i32::try_from(ifindex).unwrap_or(-1);
        // SAFETY: the options are valid for the call.
        let ret = unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), interface, kind, &options) };
        let fd = bpf::owned_fd(ret, || format!("attach to the packets that {verb} interface {ifindex}"));
        let fd = fd.map_err(|error| match error.errno_value() {
            Some(libc::EINVAL) => error.cause("programs for such packets (TCX) need Linux 6.6"),
            _ => error,
        })?;
        Ok(Link { fd })
    }

    /// Opens the link of this id; `None` where there is none (any more). Needs `CAP_SYS_ADMIN`.
    pub fn open(id: u32) -> Result<Option<Self>> {
        // SAFETY: takes an integer, returns a descriptor.
        let ret = unsafe { libbpf_sys::bpf_link_get_fd_by_id(id) };
        Ok(bpf::fd_of_id(ret, || format!("open link {id}"))?.map(|fd| Link { fd }))
    }

    /// Opens the link pinned at `path`; an error where something else is pinned there.
    pub fn open_pinned(path: &Path) -> Result<Self> {
        let fd = bpf::open_pinned(path)?;
        ObjectRef::of_fd(fd.as_fd())?.expect_kind(ObjectKind::Link, path)?;
        Ok(Link { fd })
    }

    /// Its facts.
    pub fn info(&self) -> Result<LinkInfo> {
        LinkInfo::of_fd(self.fd.as_fd())
    }

    /// Puts another program in the place of the present one, atomically (`BPF_LINK_UPDATE`).
    ///
    /// With `expected`, only while that program is the present one (else EPERM). ENOLINK: the link is dead.
    pub fn update(&self, new: BorrowedFd<'_>, expected: Option<BorrowedFd<'_>>) -> Result<()> {
        let options = bpf_link_update_opts {
            sz: size_of::<bpf_link_update_opts>() as u64,
            flags: if expected.is_some() { libbpf_sys::BPF_F_REPLACE } else { 0 },
            old_prog_fd: expected.map_or(0, |fd| fd.as_raw_fd().unsigned_abs()),
            ..bpf_link_update_opts::default()
        };
        // SAFETY: the options are valid for the call.
        let ret = unsafe { libbpf_sys::bpf_link_update(self.fd.as_raw_fd(), new.as_raw_fd(), &options) };
        bpf::check(ret, || "replace the program of a link".to_owned()).map(drop)
    }

    /// Takes the program off its hook, whoever else holds the link (`BPF_LINK_DETACH`, Linux 5.9). A dead link
    /// stays until its last descriptor and pin are gone.
    pub fn detach(&self) -> Result<()> {
        // SAFETY: takes a descriptor.
        let ret = unsafe { libbpf_sys::bpf_link_detach(self.fd.as_raw_fd()) };
        bpf::check(ret, || "detach a link".to_owned()).map(drop)
    }

    /// Pins it at `path` on a BPF file system: it outlives this process.
    pub fn pin(&self, path: &Path) -> Result<()> {
        bpf::pin(self.fd.as_fd(), path)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The facts of all links, of whatever kind, by ascending id. Needs `CAP_SYS_ADMIN`.
pub fn all() -> Result<Vec<LinkInfo>> {
    let mut links = Vec::new();
    for id in bpf::ids(libbpf_sys::bpf_link_get_next_id, "links")? {
        // A link that goes away meanwhile is no error.
        if let Some(link) = Link::open(id)? {
            links.push(link.info()?);
        }
    }
    Ok(links)
}
