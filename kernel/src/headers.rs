//! Headers for compiling BPF programs: libbpf's own, and `vmlinux.h` made from the running kernel.

use std::ffi::{c_char, c_void};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::{fs, ptr};

use libbpf_sys::{__va_list_tag, btf, btf_dump};
use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::{bpf, libbpf_log, printf};

/// Name and contents of what programs include as `<bpf/NAME>`.
const LIBBPF: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/libbpf.rs"));

/// Name and contents of what programs include as `<linux/NAME>` and old distributions have in old versions only.
const UAPI: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/uapi.rs"));

/// Where the kernel shows its types.
const KERNEL_BTF: &std::ffi::CStr = c"/sys/kernel/btf/vmlinux";

/// Writes libbpf's headers into the folder `bpf` below `folder`, so that `-I folder` finds `<bpf/bpf_helpers.h>`.
pub fn write_libbpf_headers(folder: &Path) -> Result<()> {
    write_all(LIBBPF, &folder.join("bpf"))
}

/// Writes `bpf.h` and what it needs, as new as libbpf, into the folder `linux` below `folder`.
///
/// The newest types and flags of BPF are there also where the distribution's headers are older than its kernel.
pub fn write_uapi_headers(folder: &Path) -> Result<()> {
    write_all(UAPI, &folder.join("linux"))
}

fn write_all(headers: &[(&str, &str)], folder: &Path) -> Result<()> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        headers.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
    };
    write().map_err(|error| Error::failed(format!("write headers to {}", folder.display())).kernel(error.to_string()))
}

/// Writes the types of the running kernel as a C header, like `bpftool btf dump file /sys/kernel/btf/vmlinux
/// format c`. Some 3 MB.
///
/// Fails where the kernel was built without BTF, and where `out` does.
pub fn write_vmlinux_header(out: &mut impl Write) -> Result<()> {
    libbpf_log::silence();
    let mut sink = Sink { out: &mut BufWriter::with_capacity(1 << 16, out), error: None };
    let done = dump_kernel(&mut sink);
    if let Err(error) = sink.out.flush() {
        sink.error.get_or_insert(error);
    }
    match sink.error {
        Some(error) => Err(Error::failed("write vmlinux.h").kernel(error.to_string())),
        None => done,
    }
}

/// Where the text goes, and the first failure to write it.
struct Sink<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.out.write_all(bytes).err();
        }
    }
}

/// The kernel's types, freed when dropped.
struct KernelTypes(ptr::NonNull<btf>);

impl Drop for KernelTypes {
    fn drop(&mut self) {
        // SAFETY: made by btf__parse_raw, freed once.
        unsafe { libbpf_sys::btf__free(self.0.as_ptr()) };
    }
}

/// libbpf's writer of C types, freed when dropped.
struct Dump(ptr::NonNull<btf_dump>);

impl Drop for Dump {
    fn drop(&mut self) {
        // SAFETY: made by btf_dump__new, freed once.
        unsafe { libbpf_sys::btf_dump__free(self.0.as_ptr()) };
    }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn dump_kernel(sink: &mut Sink<'_>) -> Result<()> {
    // SAFETY: the path is a C string. Null and errno where it fails.
    let types = unsafe { libbpf_sys::btf__parse_raw(KERNEL_BTF.as_ptr()) };
    let types = ptr::NonNull::new(types).map(KernelTypes).ok_or_else(|| match last_errno() {
        libc::ENOENT => bpf::error(libc::ENOENT, "read the kernel's types")
            .cause("this kernel was built without BTF (CONFIG_DEBUG_INFO_BTF), so it has no vmlinux.h"),
        errno => bpf::error(errno, "read the kernel's types"),
    })?;
    sink.write(PROLOGUE.as_bytes());
    let context = ptr::from_mut(sink);
    // SAFETY: `types` outlives the dump (declared before it); `context` is used only by `emit`, inside the calls
    // below, while nothing else touches the sink.
    let dump =
        unsafe { libbpf_sys::btf_dump__new(types.0.as_ptr(), Some(emit), context.cast::<c_void>(), ptr::null()) };
    let dump = ptr::NonNull::new(dump).map(Dump).ok_or_else(|| bpf::error(last_errno(), "write the kernel's types"))?;
    // SAFETY: `types` is valid.
    let count = unsafe { libbpf_sys::btf__type_cnt(types.0.as_ptr()) };
    for id in 1..count {
        // SAFETY: the dump and, through it, types and sink are valid; the id exists.
        let ret = unsafe { libbpf_sys::btf_dump__dump_type(dump.0.as_ptr(), id) };
        bpf::check(ret, || format!("write the kernel's type {id}"))?;
    }
    drop(dump);
    sink.write(EPILOGUE.as_bytes());
    Ok(())
}

/// libbpf's output callback (`btf_dump_printf_fn_t`).
unsafe extern "C" fn emit(context: *mut c_void, format: *const c_char, arguments: *mut __va_list_tag) {
    // SAFETY: `context` is the sink that `dump_kernel` gave, format and arguments are libbpf's.
    unsafe {
        let sink = &mut *context.cast::<Sink<'_>>();
        printf::formatted(format, arguments, |text| sink.write(text));
    }
}

/// The attribute makes each field access one that libbpf fits to the kernel at load (CO-RE).
const PROLOGUE: &str = "#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

";

const EPILOGUE: &str = "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";
