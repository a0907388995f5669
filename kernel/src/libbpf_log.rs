//! libbpf's talk, captured per thread. Nothing of it goes to stderr.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};

use libbpf_sys::__va_list_tag;

use crate::printf;

thread_local! {
    /// The capture that runs on this thread. libbpf talks on the thread that called it.
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

struct Capture {
    /// Whether debug messages are wanted too.
    debug: bool,
    text: Vec<u8>,
}

/// Runs `work` and gives its result with all that libbpf said meanwhile on this thread.
///
/// With `debug`, debug messages too: verifier logs of programs that load, relocations, probes.
pub(crate) fn capture<T>(debug: bool, work: impl FnOnce() -> T) -> (T, String) {
    silence();
    CAPTURE.set(Some(Capture { debug, text: Vec::new() }));
    let result = work();
    let text = CAPTURE.take().map_or_else(Vec::new, |capture| capture.text);
    (result, String::from_utf8_lossy(&text).into_owned())
}

/// Takes libbpf's talk away from stderr, also outside a capture.
pub(crate) fn silence() {
    // SAFETY: `print` is a function that lives as long as the process.
    unsafe { libbpf_sys::libbpf_set_print(Some(print)) };
}

/// libbpf's print callback (`libbpf_print_fn_t`).
unsafe extern "C" fn print(level: u32, format: *const c_char, arguments: *mut __va_list_tag) -> c_int {
    CAPTURE.with_borrow_mut(|capture| match capture {
        Some(Capture { debug, text }) if *debug || level != libbpf_sys::LIBBPF_DEBUG => {
            // SAFETY: libbpf gave both for this call.
            unsafe { printf::formatted(format, arguments, |message| text.extend_from_slice(message)) };
        }
        _ => {}
    });
    0
}
