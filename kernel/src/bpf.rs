//! What all BPF commands share: return values to results, ids, info, paths.

use std::ffi::{CString, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;
use xdpilot_core::error::{Error, Kind, Result};

/// The kernel's internal "not supported" (`include/linux/errno.h`), which leaks to user space from BPF.
pub(crate) const ENOTSUPP: i32 = 524;

/// The words for an error number.
pub(crate) fn errno_text(errno: i32) -> String {
    match errno.abs() {
        ENOTSUPP => "Operation not supported by this kernel".to_owned(),
        errno => {
            let text = std::io::Error::from_raw_os_error(errno).to_string();
            text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_owned())
        }
    }
}

/// The error of a failed BPF command; `errno` of either sign.
pub(crate) fn error(errno: i32, what: impl Into<String>) -> Error {
    let error = Error::failed(what).kernel(errno_text(errno)).errno(errno);
    if errno.abs() != libc::EPERM {
        return error;
    }
    let error = error.of_kind(Kind::NotPermitted);
    if nix::unistd::geteuid().is_root() {
        error.cause("CAP_BPF, CAP_NET_ADMIN or CAP_SYS_ADMIN is missing, or seccomp or lockdown forbids it")
    } else {
        error.cause("BPF needs root, or CAP_BPF and CAP_NET_ADMIN").mend("run the command with sudo")
    }
}

/// The value of a libbpf call that returns a negative errno where it fails.
pub(crate) fn check(ret: c_int, what: impl FnOnce() -> String) -> Result<c_int> {
    if ret < 0 { Err(error(ret, what())) } else { Ok(ret) }
}

/// The descriptor that a libbpf call returned.
pub(crate) fn owned_fd(ret: c_int, what: impl FnOnce() -> String) -> Result<OwnedFd> {
    let fd = check(ret, what)?;
    // SAFETY: the call made this descriptor for us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The descriptor that a `*_GET_FD_BY_ID` command returned; `None` where the id is gone.
pub(crate) fn fd_of_id(ret: c_int, what: impl FnOnce() -> String) -> Result<Option<OwnedFd>> {
    if ret == -libc::ENOENT { Ok(None) } else { owned_fd(ret, what).map(Some) }
}

/// A path as C sees it.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::usage(format!("path {}", path.display())).cause("it holds a zero byte"))
}

/// Pins a program, map or link at `path` (`BPF_OBJ_PIN`).
pub(crate) fn pin(fd: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let c = c_path(path)?;
    // SAFETY: `c` is a valid C string for the call.
    let ret = unsafe { libbpf_sys::bpf_obj_pin(fd.as_raw_fd(), c.as_ptr()) };
    check(ret, || format!("pin {}", path.display())).map(drop).map_err(|error| {
        if crate::pins::is_bpffs(path.parent().unwrap_or(path)) {
            return error;
        }
        error.cause("no BPF file system is mounted there").mend("mount -t bpf bpf /sys/fs/bpf")
    })
}

/// Opens the object pinned at `path` (`BPF_OBJ_GET`).
pub(crate) fn open_pinned(path: &Path) -> Result<OwnedFd> {
    let c = c_path(path)?;
    // SAFETY: `c` is a valid C string for the call.
    owned_fd(unsafe { libbpf_sys::bpf_obj_get(c.as_ptr()) }, || format!("open pin {}", path.display()))
}

/// All ids that a `*_GET_NEXT_ID` command gives, ascending.
pub(crate) fn ids(next: unsafe extern "C" fn(u32, *mut u32) -> c_int, what: &str) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut id = 0;
    loop {
        // SAFETY: `id` outlives the call, which only writes it.
        match unsafe { next(id, &mut id) } {
            0 => ids.push(id),
            ret if ret == -libc::ENOENT => return Ok(ids),
            ret => return Err(error(ret, format!("list {what}"))),
        }
    }
}

/// A `struct bpf_*_info`.
///
/// # Safety
/// Only for `repr(C)` structures in which any bytes are a valid value.
pub(crate) unsafe trait KernelInfo: Default {}
// SAFETY: integers only.
unsafe impl KernelInfo for libbpf_sys::bpf_prog_info {}
// SAFETY: integers only.
unsafe impl KernelInfo for libbpf_sys::bpf_map_info {}
// SAFETY: integers and unions of integers only.
unsafe impl KernelInfo for libbpf_sys::bpf_link_info {}

/// The kernel's facts of a program, map or link (`BPF_OBJ_GET_INFO_BY_FD`).
pub(crate) fn info<T: KernelInfo>(fd: BorrowedFd<'_>, what: impl FnOnce() -> String) -> Result<T> {
    let mut info = T::default();
    // SAFETY: the zeroed structure holds no address, so the kernel writes into it alone.
    unsafe { fill_info(fd, &mut info, what) }?;
    Ok(info)
}

/// Like [`info`], for a structure that asks for arrays.
///
/// # Safety
/// Addresses in `info` must point to writable memory of the element counts that stand beside them.
pub(crate) unsafe fn fill_info<T: KernelInfo>(
    fd: BorrowedFd<'_>,
    info: &mut T,
    what: impl FnOnce() -> String,
) -> Result<()> {
    let mut size = size_of::<T>() as u32;
    // SAFETY: `info` is `size` writable bytes; `T` takes any bytes; arrays are the caller's promise.
    let ret = unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(fd.as_raw_fd(), std::ptr::from_mut(info).cast::<c_void>(), &mut size)
    };
    check(ret, what).map(drop)
}

/// The text of a zero-terminated name field.
pub(crate) fn name(field: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = field.iter().map(|&c| c.to_ne_bytes()[0]).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of one of libbpf's constant tables of type names; "type N" where it has none.
///
/// # Safety
/// `text` is null or a C string that is never freed.
pub(crate) unsafe fn type_name(text: *const std::ffi::c_char, number: u32) -> String {
    if text.is_null() {
        return format!("type {number}");
    }
    // SAFETY: the caller's promise.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
