//! libbpf's talk, captured per thread. Nothing of it goes to stderr.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use libbpf_sys::__va_list_tag;

use crate::printf;

thread_local! {
    /// The log of the capture that runs on this thread. libbpf talks on the thread that called it.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Whether some capture wants debug messages too.
static DEBUG: AtomicBool = AtomicBool::new(false);

/// Runs `work` and gives its result with all that libbpf said meanwhile on this thread.
///
/// With `debug`, debug messages too: verifier logs of programs that load, relocations, probes.
pub(crate) fn capture<T>(debug: bool, work: impl FnOnce() -> T) -> (T, String) {
    silence();
    if debug {
        DEBUG.store(true, Ordering::Relaxed);
    }
    LOG.with_borrow_mut(|log| *log = Some(Vec::new()));
    let result = work();
    let log = LOG.with_borrow_mut(Option::take).unwrap_or_default();
    (result, String::from_utf8_lossy(&log).into_owned())
}

/// Takes libbpf's talk away from stderr, also outside a capture.
pub(crate) fn silence() {
    // SAFETY: `print` is a function that lives as long as the process.
    unsafe { libbpf_sys::libbpf_set_print(Some(print)) };
}

/// libbpf's print callback (`libbpf_print_fn_t`).
unsafe extern "C" fn print(level: u32, format: *const c_char, arguments: *mut __va_list_tag) -> c_int {
    if level == libbpf_sys::LIBBPF_DEBUG && !DEBUG.load(Ordering::Relaxed) {
        return 0;
    }
    LOG.with_borrow_mut(|log| {
        if let Some(log) = log {
            // SAFETY: libbpf gave both for this call.
            unsafe { printf::formatted(format, arguments, |text| log.extend_from_slice(text)) };
        }
    });
    0
}
