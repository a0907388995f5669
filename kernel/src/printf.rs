//! C's formatted output, for libbpf's callbacks.

use std::ffi::{c_char, c_int, c_void};

use libbpf_sys::__va_list_tag;
use nix::libc;

unsafe extern "C" {
    fn vasprintf(out: *mut *mut c_char, format: *const c_char, arguments: *mut __va_list_tag) -> c_int;
}

/// Formats as C does and hands over the bytes, which need not be UTF-8 (source lines in a verifier log).
///
/// # Safety
/// `format` and `arguments` are what a `printf`-like C callback got. `arguments` is used up. (A `va_list`
/// argument is passed as a pointer both on x86-64, where it is an array, and on arm64, where it is a
/// structure too large for registers.)
pub(crate) unsafe fn formatted(format: *const c_char, arguments: *mut __va_list_tag, take: impl FnOnce(&[u8])) {
    let mut text: *mut c_char = std::ptr::null_mut();
    // SAFETY: the caller's promise; `text` is writable.
    let length = unsafe { vasprintf(&mut text, format, arguments) };
    let Ok(length) = usize::try_from(length) else { return };
    // SAFETY: vasprintf succeeded, so `text` is an allocation with `length` bytes before its zero byte.
    take(unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) });
    // SAFETY: allocated by vasprintf with malloc, not used any more.
    unsafe { libc::free(text.cast::<c_void>()) };
}
