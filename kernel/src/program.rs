//! Facts of loaded programs.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use libbpf_sys::{bpf_func_info, bpf_prog_info};
use nix::time::{ClockId, clock_gettime};
use xdpilot_core::error::Result;

use crate::bpf;

/// The longest name that the kernel stores with a program; longer ones are cut (`BPF_OBJ_NAME_LEN - 1`).
const KERNEL_NAME: usize = 15;

/// The kernel's facts of one program (`struct bpf_prog_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// The id.
    pub id: u32,
    /// The function's whole name where its BTF tells it, else the kernel's 15 characters.
    pub name: String,
    /// `enum bpf_prog_type`.
    pub prog_type: u32,
    /// The hash of the instructions, as bpftool prints it: 16 hexadecimal digits.
    pub tag: String,
    /// When it was loaded.
    pub loaded_at: SystemTime,
    /// The user who loaded it.
    pub uid: u32,
    /// Whether its license is compatible with the GPL.
    pub gpl_compatible: bool,
    /// The maps it uses.
    pub map_ids: Vec<u32>,
    /// The id of its BTF; 0 where it has none.
    pub btf_id: u32,
    /// The size of its machine code in bytes; 0 where it is not compiled, or hidden from this user.
    pub jited_bytes: u32,
    /// The size of its translated instructions in bytes.
    pub xlated_bytes: u32,
    /// The interface that it is offloaded to; 0 for none. An index in the interface's own namespace. (The kernel does
    /// not tell of programs that are only bound: `bpf_prog_offload_info_fill` in `kernel/bpf/offload.c`.)
    pub offload_ifindex: u32,
    /// How often it ran while statistics were on ([`crate::stats::Stats`]).
    pub run_count: u64,
    /// How long it ran while statistics were on.
    pub run_time: Duration,
}

impl ProgramInfo {
    /// The facts of the program behind a descriptor.
    pub fn of_fd(fd: BorrowedFd<'_>) -> Result<Self> {
        let what = || "read a program's facts".to_owned();
        let counts: bpf_prog_info = bpf::info(fd, what)?;
        if counts.nr_map_ids == 0 {
            return Ok(Self::new(&counts, Vec::new(), whole_name(fd, &counts)));
        }
        let mut map_ids = vec![0u32; counts.nr_map_ids as usize];
        let mut asked = bpf_prog_info {
            nr_map_ids: counts.nr_map_ids,
            map_ids: map_ids.as_mut_ptr() as u64,
            ..bpf_prog_info::default()
        };
        // SAFETY: `map_ids` has room for the stated count; no other array is asked for.
        unsafe { bpf::fill_info(fd, &mut asked, what) }?;
        map_ids.truncate(asked.nr_map_ids as usize);
        Ok(Self::new(&asked, map_ids, whole_name(fd, &asked)))
    }

    /// The facts of the program of this id; `None` where there is none.
    pub fn of_id(id: u32) -> Result<Option<Self>> {
        match open(id)? {
            Some(fd) => Self::of_fd(fd.as_fd()).map(Some),
            None => Ok(None),
        }
    }

    /// Whether it is an XDP program.
    pub fn is_xdp(&self) -> bool {
        self.prog_type == libbpf_sys::BPF_PROG_TYPE_XDP
    }

    /// The type's name as bpftool prints it: `xdp`, `ext`, `sched_cls`.
    pub fn type_name(&self) -> String {
        // SAFETY: libbpf returns null or a string of its constant table.
        unsafe { bpf::type_name(libbpf_sys::libbpf_bpf_prog_type_str(self.prog_type), self.prog_type) }
    }

    fn new(info: &bpf_prog_info, map_ids: Vec<u32>, name: String) -> Self {
        ProgramInfo {
            id: info.id,
            name,
            prog_type: info.type_,
            tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
            loaded_at: since_boot(info.load_time),
            uid: info.created_by_uid,
            gpl_compatible: info.gpl_compatible() != 0,
            map_ids,
            btf_id: info.btf_id,
            jited_bytes: info.jited_prog_len,
            xlated_bytes: info.xlated_prog_len,
            offload_ifindex: info.ifindex,
            run_count: info.run_cnt,
            run_time: Duration::from_nanos(info.run_time_ns),
        }
    }
}

/// A descriptor of the program of this id; `None` where there is none (any more). Needs `CAP_SYS_ADMIN`.
pub fn open(id: u32) -> Result<Option<OwnedFd>> {
    // SAFETY: takes an integer, returns a descriptor.
    bpf::fd_of_id(unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) }, || format!("open program {id}"))
}

/// A descriptor of the program pinned at `path`; an error where something else is pinned there.
pub fn open_pinned(path: &Path) -> Result<OwnedFd> {
    let fd = bpf::open_pinned(path)?;
    crate::object::ObjectRef::of_fd(fd.as_fd())?.expect_kind(crate::object::ObjectKind::Program, path)?;
    Ok(fd)
}

/// The ids of all loaded programs, of whatever type, ascending. Needs `CAP_SYS_ADMIN`.
pub fn ids() -> Result<Vec<u32>> {
    bpf::ids(libbpf_sys::bpf_prog_get_next_id, "programs")
}

/// Pins a program at `path` on a BPF file system.
pub fn pin(program: BorrowedFd<'_>, path: &Path) -> Result<()> {
    bpf::pin(program, path)
}

/// The wall-clock time of a count of nanoseconds since boot (suspend included, as `load_time` is counted).
fn since_boot(nanoseconds: u64) -> SystemTime {
    let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    SystemTime::now() - uptime.saturating_sub(Duration::from_nanos(nanoseconds))
}

/// The name from BTF where the kernel's own may be cut, as bpftool does.
fn whole_name(fd: BorrowedFd<'_>, info: &bpf_prog_info) -> String {
    let name = bpf::name(&info.name);
    if name.len() < KERNEL_NAME {
        return name;
    }
    btf_name(fd, info).filter(|whole| whole.starts_with(&name)).unwrap_or(name)
}

/// The name of the program's main function in its BTF.
fn btf_name(fd: BorrowedFd<'_>, info: &bpf_prog_info) -> Option<String> {
    if info.btf_id == 0 || info.nr_func_info == 0 || info.func_info_rec_size as usize != size_of::<bpf_func_info>() {
        return None;
    }
    let mut main = bpf_func_info::default();
    let mut asked = bpf_prog_info {
        nr_func_info: 1,
        func_info_rec_size: info.func_info_rec_size,
        func_info: std::ptr::from_mut(&mut main) as u64,
        ..bpf_prog_info::default()
    };
    // SAFETY: `main` is room for the one record asked for.
    unsafe { bpf::fill_info(fd, &mut asked, || "read a program's functions".to_owned()) }.ok()?;
    // SAFETY: takes an integer; null where it fails.
    let btf = unsafe { libbpf_sys::btf__load_from_kernel_by_id(info.btf_id) };
    if btf.is_null() {
        return None;
    }
    // SAFETY: `btf` is valid; the type and its name point into it, and the name is copied before it is freed.
    unsafe {
        let function = libbpf_sys::btf__type_by_id(btf, main.type_id).as_ref();
        let name = function.map(|function| libbpf_sys::btf__name_by_offset(btf, function.name_off));
        let name = name.filter(|name| !name.is_null()).map(|name| CStr::from_ptr(name).to_string_lossy().into_owned());
        libbpf_sys::btf__free(btf);
        name
    }
}
